//! `ieee754` and its kin: the bits of a real.

use super::{PURE, refused};
use rusqlite::functions::Context;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Result};

/// Bits of the fraction, and the exponent's bias with them.
const FRACTION: u32 = 52;
const BIAS: i64 = 1075;

/// A real as an integer times a power of two.
#[allow(clippy::cast_possible_wrap)] // 53 bits
fn split(real: f64) -> (i64, i64) {
    if real == 0.0 {
        return (0, if real.is_sign_negative() { -1996 } else { 0 });
    }
    let bits = real.abs().to_bits();
    let exponent = (bits >> FRACTION) as i64;
    let mut mantissa = (bits & ((1 << FRACTION) - 1)) as i64;
    if exponent == 0 {
        mantissa <<= 1;
    } else {
        mantissa |= 1 << FRACTION;
    }
    let mut power = exponent;
    while power < BIAS && mantissa > 0 && mantissa & 1 == 0 {
        mantissa >>= 1;
        power += 1;
    }
    (if real < 0.0 { -mantissa } else { mantissa }, power - BIAS)
}

/// The real that an integer times a power of two makes.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)] // a double is what is asked for
fn join(mantissa: i64, power: i64) -> f64 {
    let power = power.clamp(-4096, 4096) as i32;
    // In two steps, so that neither overflows where the product does not.
    let half = power / 2;
    mantissa as f64 * 2_f64.powi(half) * 2_f64.powi(power - half)
}

/// A real, also when given as the eight bytes that hold it.
#[allow(clippy::cast_precision_loss)] // as SQLite does
fn real(value: ValueRef<'_>) -> Option<f64> {
    match value {
        ValueRef::Real(number) => Some(number),
        ValueRef::Integer(number) => Some(number as f64),
        ValueRef::Blob(bytes) => bytes.try_into().ok().map(f64::from_be_bytes),
        ValueRef::Text(text) => std::str::from_utf8(text).ok()?.parse().ok(),
        ValueRef::Null => None,
    }
}

fn one(context: &Context<'_>, answer: fn(i64, i64) -> Value) -> Option<Value> {
    real(context.get_raw(0)).map(|number| {
        let (mantissa, power) = split(number);
        answer(mantissa, power)
    })
}

pub(super) fn register(connection: &Connection) -> Result<()> {
    connection.create_scalar_function("ieee754", 1, PURE, |context| {
        Ok(one(context, |mantissa, power| {
            Value::Text(format!("ieee754({mantissa},{power})"))
        }))
    })?;
    connection.create_scalar_function("ieee754", 2, PURE, |context| {
        let (mantissa, power) = (context.get::<Option<i64>>(0)?, context.get::<Option<i64>>(1)?);
        Ok(join(mantissa.unwrap_or(0), power.unwrap_or(0)))
    })?;
    connection.create_scalar_function("ieee754_mantissa", 1, PURE, |context| {
        Ok(one(context, |mantissa, _| Value::Integer(mantissa)))
    })?;
    connection.create_scalar_function("ieee754_exponent", 1, PURE, |context| {
        Ok(one(context, |_, power| Value::Integer(power)))
    })?;
    connection.create_scalar_function("ieee754_to_blob", 1, PURE, |context| {
        Ok(match context.get_raw(0) {
            ValueRef::Integer(_) | ValueRef::Real(_) => {
                real(context.get_raw(0)).map(|number| number.to_be_bytes().to_vec())
            }
            _ => None,
        })
    })?;
    connection.create_scalar_function("ieee754_from_blob", 1, PURE, |context| match context.get_raw(0) {
        ValueRef::Blob(bytes) if bytes.len() == 8 => Ok(real(ValueRef::Blob(bytes))),
        ValueRef::Null | ValueRef::Blob(_) => Ok(None),
        _ => Err(refused("ieee754_from_blob() wants a blob of 8 bytes")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_numbers_are_taken_apart_and_put_together() {
        for real in [2.0, 45.25, -0.1, 1e300, 5e-324, 1.0 / 3.0] {
            let (mantissa, power) = split(real);
            assert_eq!(join(mantissa, power), real);
        }
        assert_eq!(split(45.25), (181, -2));
        assert_eq!(split(2.0), (2, 0));
    }
}
