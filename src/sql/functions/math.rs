//! SQLite's mathematical functions, which the bundled library is built without.

use super::PURE;
use rusqlite::functions::Context;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Result};

/// A function of one real. None is NULL: the argument is outside its domain.
type Real = fn(f64) -> Option<f64>;

/// A function of two reals.
type Reals = fn(f64, f64) -> Option<f64>;

const FUNCTIONS: [(&str, Real); 23] = [
    ("acos", |x| defined(x.acos())),
    ("acosh", |x| defined(x.acosh())),
    ("asin", |x| defined(x.asin())),
    ("asinh", |x| defined(x.asinh())),
    ("atan", |x| defined(x.atan())),
    ("atanh", |x| defined(x.atanh())),
    ("cos", |x| defined(x.cos())),
    ("cosh", |x| defined(x.cosh())),
    ("degrees", |x| defined(x.to_degrees())),
    ("exp", |x| defined(x.exp())),
    ("ln", logarithm),
    ("log", |x| positive(x, f64::log10)),
    ("log10", |x| positive(x, f64::log10)),
    ("log2", |x| positive(x, f64::log2)),
    ("radians", |x| defined(x.to_radians())),
    ("sin", |x| defined(x.sin())),
    ("sinh", |x| defined(x.sinh())),
    ("sqrt", |x| defined(x.sqrt())),
    ("tan", |x| defined(x.tan())),
    ("tanh", |x| defined(x.tanh())),
    ("ceil", |x| Some(x.ceil())),
    ("floor", |x| Some(x.floor())),
    ("trunc", |x| Some(x.trunc())),
];

fn defined(value: f64) -> Option<f64> {
    (!value.is_nan()).then_some(value)
}

fn positive(x: f64, function: fn(f64) -> f64) -> Option<f64> {
    if x > 0.0 { Some(function(x)) } else { None }
}

fn logarithm(x: f64) -> Option<f64> {
    positive(x, f64::ln)
}

/// A value as a number; text counts if all of it is a number. None makes the result NULL.
#[allow(clippy::cast_precision_loss)] // as SQLite does
fn number(value: ValueRef<'_>) -> Option<f64> {
    match value {
        ValueRef::Integer(number) => Some(number as f64),
        ValueRef::Real(number) => Some(number),
        ValueRef::Text(text) => std::str::from_utf8(text).ok()?.trim().parse().ok(),
        _ => None,
    }
}

/// Functions whose result for an integer is an integer.
fn keeps_integers(name: &str) -> bool {
    matches!(name, "ceil" | "floor" | "trunc")
}

fn call(context: &Context<'_>, integers: bool, function: Real) -> Option<Value> {
    match context.get_raw(0) {
        ValueRef::Integer(number) if integers => Some(Value::Integer(number)),
        value => number(value).and_then(function).map(Value::Real),
    }
}

fn binary(context: &Context<'_>, function: Reals) -> Option<f64> {
    function(number(context.get_raw(0))?, number(context.get_raw(1))?)
}

pub(super) fn register(connection: &Connection) -> Result<()> {
    for (name, function) in FUNCTIONS {
        let integers = keeps_integers(name);
        connection.create_scalar_function(name, 1, PURE, move |context| Ok(call(context, integers, function)))?;
    }
    let ceiling: Real = |x| Some(x.ceil());
    connection.create_scalar_function("ceiling", 1, PURE, move |context| Ok(call(context, true, ceiling)))?;
    connection.create_scalar_function("pi", 0, PURE, |_| Ok(std::f64::consts::PI))?;
    let binaries: [(&str, Reals); 5] = [
        ("atan2", |y, x| defined(y.atan2(x))),
        ("mod", |x, y| defined(x % y)),
        ("pow", |x, y| defined(x.powf(y))),
        ("power", |x, y| defined(x.powf(y))),
        // The base comes first.
        ("log", |base, x| {
            let (base, x) = (logarithm(base)?, logarithm(x)?);
            (base > 0.0).then(|| x / base)
        }),
    ];
    for (name, function) in binaries {
        connection.create_scalar_function(name, 2, PURE, move |context| Ok(binary(context, function)))?;
    }
    Ok(())
}
