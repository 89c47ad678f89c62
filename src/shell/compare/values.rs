//! How values compare: the order in which SQLite sorts them, and when two are the same. What is compared is `compare`'s.

use crate::sql::number::push_exact;
use crate::sql::query::owned;
use crate::sql::text::{value_to_literal, value_to_text};
use crate::sql::{Value, ValueRef};
use std::cmp::Ordering;

/// The order in which SQLite sorts values, with texts by their bytes.
pub(super) fn compare_values(one: &Value, other: &Value) -> Ordering {
    fn class(value: &Value) -> u8 {
        match value {
            Value::Null => 0,
            Value::Integer(_) | Value::Real(_) => 1,
            Value::Text(_) => 2,
            Value::Blob(_) => 3,
        }
    }
    match (one, other) {
        (Value::Integer(one), Value::Integer(other)) => one.cmp(other),
        (Value::Real(one), Value::Real(other)) => one.partial_cmp(other).unwrap_or(Ordering::Equal),
        (Value::Integer(one), Value::Real(other)) => integer_and_real(*one, *other),
        (Value::Real(one), Value::Integer(other)) => integer_and_real(*other, *one).reverse(),
        (Value::Text(one), Value::Text(other)) => one.as_bytes().cmp(other.as_bytes()),
        (Value::Blob(one), Value::Blob(other)) => one.cmp(other),
        _ => class(one).cmp(&class(other)),
    }
}

/// Exactly, although not every integer is a real.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
fn integer_and_real(integer: i64, real: f64) -> Ordering {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if real >= LIMIT {
        return Ordering::Less;
    }
    if real < -LIMIT {
        return Ordering::Greater;
    }
    integer
        .cmp(&(real as i64))
        .then_with(|| (real.trunc()).partial_cmp(&real).unwrap_or(Ordering::Equal))
}

/// The order of two primary keys.
pub(super) fn compare_keys(one: &[Value], other: &[Value]) -> Ordering {
    one.iter()
        .zip(other)
        .map(|(one, other)| compare_values(one, other))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// Whether two values are the same to the bit: a zero may be negative, and a real is no integer.
pub(super) fn is_identical(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Real(one), Value::Real(other)) => one.to_bits() == other.to_bits(),
        _ => one == other,
    }
}

/// A value as a literal that no other value has.
#[must_use]
pub fn exact_literal(value: &Value) -> String {
    match value {
        Value::Real(number) => {
            let mut text = Vec::new();
            push_exact(&mut text, *number);
            String::from_utf8_lossy(&text).into_owned()
        }
        other => value_to_literal(other),
    }
}

/// A key as it is shown.
pub(super) fn format_key(key: &[Value]) -> String {
    let exact = |value: &Value| match value {
        Value::Real(number) => number.to_string(),
        other => value_to_text(other),
    };
    key.iter().map(exact).collect::<Vec<_>>().join(",")
}

/// A row with `keys` key values in front. Texts that are not UTF-8 are kept as bytes, so that none looks like another.
pub(super) fn read_row(row: &[ValueRef<'_>], keys: usize) -> Vec<Value> {
    let exact = |(at, &value): (usize, &ValueRef<'_>)| match value {
        ValueRef::Text(bytes) if at >= keys && std::str::from_utf8(bytes).is_err() => Value::Blob(bytes.to_vec()),
        other => owned(other),
    };
    row.iter().enumerate().map(exact).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::query::rows;
    use crate::sql::{self, Target};

    #[test]
    fn diff_orders_values_as_sqlite_does() {
        let session = &mut *sql::open(&Target::Memory).unwrap();
        let all = rows(
            session,
            "SELECT column1 FROM (VALUES(NULL),(1),(-3),(1.5),(-1.5),(9007199254740993),(9007199254740992.0),(9e300),\
             (-9e300),(''),('a'),('B'),('é'),(x''),(x'00'),(9223372036854775807),(9223372036854775808.0)) ORDER BY 1",
        )
        .unwrap();
        for pair in all.windows(2) {
            assert_eq!(compare_values(&pair[0][0], &pair[1][0]), Ordering::Less, "{pair:?}");
            assert_eq!(compare_values(&pair[1][0], &pair[0][0]), Ordering::Greater, "{pair:?}");
        }
    }
}
