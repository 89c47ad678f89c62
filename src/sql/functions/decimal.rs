//! `decimal` and its kin: exact arithmetic on decimal numbers kept as text.

use super::{PURE, text};
use rusqlite::functions::{Aggregate, Context, FunctionFlags, WindowAggregate};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Result};
use std::cmp::Ordering;

/// A number as its digits, most significant first, of which the last `fraction` are behind the point.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Decimal {
    negative: bool,
    digits: Vec<u8>,
    fraction: usize,
}

impl Decimal {
    fn zero() -> Self {
        Self {
            negative: false,
            digits: vec![0],
            fraction: 0,
        }
    }

    /// Reads a number; what follows it is ignored.
    fn parse(text: &[u8]) -> Self {
        let mut rest = crate::sqltext::split::trim_start(text);
        let negative = rest.first() == Some(&b'-');
        if matches!(rest.first(), Some(b'-' | b'+')) {
            rest = &rest[1..];
        }
        let zeros = rest.iter().take_while(|&&byte| byte == b'0').count();
        rest = &rest[zeros..];
        let mut digits = Vec::new();
        let mut fraction = None;
        let mut exponent = 0_i64;
        for (at, &byte) in rest.iter().enumerate() {
            match byte {
                b'0'..=b'9' => digits.push(byte - b'0'),
                b'.' if fraction.is_none() => fraction = Some(digits.len()),
                b'e' | b'E' => {
                    exponent = std::str::from_utf8(&rest[at + 1..])
                        .ok()
                        .and_then(|power| power.trim().parse().ok())
                        .unwrap_or(0);
                    break;
                }
                _ => {}
            }
        }
        let mut fraction = fraction.map_or(0, |at| digits.len() - at);
        let shift = usize::try_from(exponent.unsigned_abs().min(1000)).unwrap_or(0);
        if exponent > 0 {
            let moved = shift.min(fraction);
            fraction -= moved;
            digits.extend(std::iter::repeat_n(0, shift - moved));
        } else if exponent < 0 {
            let before = digits.len() - fraction;
            if shift > before {
                digits.splice(0..0, std::iter::repeat_n(0, shift - before));
            }
            fraction += shift;
        }
        Self {
            negative,
            digits,
            fraction,
        }
    }

    fn of(value: ValueRef<'_>) -> Option<Self> {
        text(value).map(|bytes| Self::parse(&bytes))
    }

    fn is_zero(&self) -> bool {
        self.digits.iter().all(|&digit| digit == 0)
    }

    /// With at least that many digits before and behind the point.
    fn expanded(&self, whole: usize, fraction: usize) -> Vec<u8> {
        let mine = self.digits.len() - self.fraction;
        let mut digits = vec![0; whole - mine];
        digits.extend(&self.digits);
        digits.resize(whole + fraction, 0);
        digits
    }

    /// Both with the same number of digits before and behind the point, which is returned too.
    fn aligned(&self, other: &Self) -> (Vec<u8>, Vec<u8>, usize) {
        let whole = |number: &Self| number.digits.len() - number.fraction;
        // One digit more than needed, for the carry.
        let width = whole(self).max(whole(other)) + 1;
        let fraction = self.fraction.max(other.fraction);
        (
            self.expanded(width, fraction),
            other.expanded(width, fraction),
            fraction,
        )
    }

    fn compare(&self, other: &Self) -> Ordering {
        let (left, right, _) = self.aligned(other);
        match (self.negative && !self.is_zero(), other.negative && !other.is_zero()) {
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => left.cmp(&right),
            (true, true) => right.cmp(&left),
        }
    }

    fn plus(&self, other: &Self) -> Self {
        let (left, right, fraction) = self.aligned(other);
        let (negative, digits) = if self.negative == other.negative {
            let mut sum = vec![0; left.len()];
            let mut carry = 0;
            for at in (0..left.len()).rev() {
                let digit = left[at] + right[at] + carry;
                (sum[at], carry) = (digit % 10, digit / 10);
            }
            (self.negative, sum)
        } else {
            let (negative, larger, smaller) = match left.cmp(&right) {
                Ordering::Less => (other.negative, right, left),
                _ => (self.negative, left, right),
            };
            let mut difference = vec![0; larger.len()];
            let mut borrow = 0;
            for at in (0..larger.len()).rev() {
                let taken = smaller[at] + borrow;
                borrow = u8::from(larger[at] < taken);
                difference[at] = larger[at] + 10 * borrow - taken;
            }
            (negative, difference)
        };
        Self {
            negative,
            digits,
            fraction,
        }
    }

    fn negated(mut self) -> Self {
        self.negative = !self.negative;
        self
    }

    fn times(&self, other: &Self) -> Self {
        let mut product = vec![0_u32; self.digits.len() + other.digits.len()];
        for (i, &a) in self.digits.iter().enumerate().rev() {
            let mut carry = 0;
            for (j, &b) in other.digits.iter().enumerate().rev() {
                let digit = product[i + j + 1] + u32::from(a) * u32::from(b) + carry;
                (product[i + j + 1], carry) = (digit % 10, digit / 10);
            }
            product[i] += carry;
        }
        let mut number = Self {
            negative: self.negative != other.negative,
            #[allow(clippy::cast_possible_truncation)] // digits
            digits: product.into_iter().map(|digit| digit as u8).collect(),
            fraction: self.fraction + other.fraction,
        };
        // As many digits behind the point as the shorter factor has, unless more are needed.
        let wanted = self.fraction.min(other.fraction);
        while number.fraction > wanted && number.digits.last() == Some(&0) {
            number.digits.pop();
            number.fraction -= 1;
        }
        number
    }

    fn show(&self) -> String {
        let whole = self.digits.len() - self.fraction;
        let leading = self.digits[..whole].iter().take_while(|&&digit| digit == 0).count();
        let mut text = String::new();
        if self.negative && !self.is_zero() {
            text.push('-');
        }
        if leading == whole {
            text.push('0');
        }
        let digit = |&digit: &u8| char::from(b'0' + digit);
        text.extend(self.digits[leading..whole].iter().map(digit));
        if self.fraction > 0 {
            text.push('.');
            text.extend(self.digits[whole..].iter().map(digit));
        }
        text
    }
}

fn two(context: &Context<'_>, answer: fn(&Decimal, &Decimal) -> Decimal) -> Option<String> {
    let (left, right) = (Decimal::of(context.get_raw(0))?, Decimal::of(context.get_raw(1))?);
    Some(answer(&left, &right).show())
}

struct Sum;

impl Aggregate<Option<Decimal>, String> for Sum {
    fn init(&self, _: &mut Context<'_>) -> Result<Option<Decimal>> {
        Ok(None)
    }

    fn step(&self, context: &mut Context<'_>, sum: &mut Option<Decimal>) -> Result<()> {
        if let Some(number) = Decimal::of(context.get_raw(0)) {
            *sum = Some(sum.take().unwrap_or_else(Decimal::zero).plus(&number));
        }
        Ok(())
    }

    fn finalize(&self, _: &mut Context<'_>, sum: Option<Option<Decimal>>) -> Result<String> {
        Ok(sum.flatten().unwrap_or_else(Decimal::zero).show())
    }
}

impl WindowAggregate<Option<Decimal>, String> for Sum {
    fn value(&self, sum: Option<&mut Option<Decimal>>) -> Result<String> {
        Ok(sum
            .and_then(|sum| sum.as_ref())
            .map_or_else(|| "0".to_owned(), Decimal::show))
    }

    fn inverse(&self, context: &mut Context<'_>, sum: &mut Option<Decimal>) -> Result<()> {
        if let Some(number) = Decimal::of(context.get_raw(0)) {
            *sum = Some(sum.take().unwrap_or_else(Decimal::zero).plus(&number.negated()));
        }
        Ok(())
    }
}

pub(super) fn register(connection: &Connection) -> Result<()> {
    connection.create_scalar_function("decimal", 1, PURE, |context| {
        Ok(Decimal::of(context.get_raw(0)).map(|number| number.show()))
    })?;
    connection.create_scalar_function("decimal_cmp", 2, PURE, |context| {
        let (left, right) = (Decimal::of(context.get_raw(0)), Decimal::of(context.get_raw(1)));
        Ok(left.zip(right).map(|(left, right)| left.compare(&right) as i32))
    })?;
    connection.create_scalar_function("decimal_add", 2, PURE, |context| Ok(two(context, Decimal::plus)))?;
    connection.create_scalar_function("decimal_sub", 2, PURE, |context| {
        Ok(two(context, |left, right| left.plus(&right.clone().negated())))
    })?;
    connection.create_scalar_function("decimal_mul", 2, PURE, |context| Ok(two(context, Decimal::times)))?;
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_window_function("decimal_sum", 1, flags, Sum)?;
    connection.create_collation("decimal", |left, right| {
        Decimal::parse(left.as_bytes()).compare(&Decimal::parse(right.as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_arithmetic_is_exact() {
        let number = |text: &str| Decimal::parse(text.as_bytes());
        assert_eq!(number("1.1").plus(&number("2.2")).show(), "3.3");
        assert_eq!(number("1").plus(&number("-0.1")).show(), "0.9");
        assert_eq!(number("2").times(&number("3.5")).show(), "7");
        assert_eq!(number("-2.50").times(&number("4")).show(), "-10");
        assert_eq!(number("1e3").show(), "1000");
        assert_eq!(number("1.5e-3").show(), "0.0015");
        assert_eq!(number("0.10").compare(&number(".1")), Ordering::Equal);
        assert_eq!(number("-3").compare(&number("2")), Ordering::Less);
        assert_eq!(number("999.99").plus(&number("0.01")).show(), "1000.00");
    }
}
