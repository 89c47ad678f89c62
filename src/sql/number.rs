//! Numbers as text, in one place, so that a result looks the same whatever engine and transport it came from.
//!
//! Two forms of a real. [`push_rounded`] is what text modes show: 15 significant digits, as SQLite's `%!.15g`.
//! [`push_exact`] is what SQL and JSON literals get: the shortest digits that read back as the same value, never more than
//! 17. Both always have a point or an exponent, so a real never turns into an integer.

/// Appends an integer.
pub fn push_integer(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends a real rounded to 15 significant digits, as text modes show it. Infinities are `Inf` and `-Inf`, and `±Inf` where
/// it is not known which (NaN, which SQLite itself never has).
pub fn push_rounded(out: &mut Vec<u8>, value: f64) {
    if !value.is_finite() {
        let text: &[u8] = if value.is_nan() {
            "±Inf".as_bytes()
        } else if value > 0.0 {
            b"Inf"
        } else {
            b"-Inf"
        };
        out.extend_from_slice(text);
        return;
    }
    if value.abs() < 1e15 && value.trunc() == value {
        push_whole(out, value);
        return;
    }
    let mut decimal = Decimal::shortest(value);
    if value.is_subnormal() {
        // Fewer than 15 digits may identify it, yet its expansion goes on.
        decimal = Decimal::parse(format!("{value:.14e}").as_bytes());
    } else if decimal.len > 15 {
        decimal.round_to_15(value);
    }
    decimal.push(out, 14);
}

/// Appends a real as a literal that reads back as the same value. Infinities are `1e999` and `-1e999`, which every
/// SQLite reads as infinite and which is a number to JSON; one of unknown sign is `NULL`.
pub fn push_exact(out: &mut Vec<u8>, value: f64) {
    if value.is_nan() {
        out.extend_from_slice(b"NULL");
        return;
    }
    if !value.is_finite() {
        out.extend_from_slice(if value > 0.0 { b"1e999" } else { b"-1e999" });
        return;
    }
    if value.abs() < 9_223_372_036_854_775_808.0 && value.trunc() == value {
        if value == 0.0 && value.is_sign_negative() {
            out.push(b'-');
        }
        push_whole(out, value);
        return;
    }
    Decimal::shortest(value).push(out, 19);
}

/// A whole number below 2^63.
fn push_whole(out: &mut Vec<u8>, value: f64) {
    #[expect(clippy::cast_possible_truncation, reason = "the callers checked the range")]
    push_integer(out, value as i64);
    out.extend_from_slice(b".0");
}

/// Significant digits and where the point goes: `d₁.d₂d₃… × 10^exponent`.
struct Decimal {
    negative: bool,
    digits: [u8; 20],
    len: usize,
    exponent: i32,
}

impl Decimal {
    /// The fewest digits that identify a finite value that is not zero.
    fn shortest(value: f64) -> Self {
        let mut buffer = zmij::Buffer::new();
        Self::parse(buffer.format_finite(value).as_bytes())
    }

    /// Reads `[-]digits[.digits][e[-]digits]`, of at most 20 significant digits.
    fn parse(text: &[u8]) -> Self {
        let mut decimal = Self {
            negative: false,
            digits: [b'0'; 20],
            len: 0,
            exponent: -1,
        };
        let mut point = false;
        let mut bytes = text.iter();
        while let Some(&byte) = bytes.next() {
            match byte {
                b'-' => decimal.negative = true,
                b'.' => point = true,
                b'e' => {
                    let rest = std::str::from_utf8(bytes.as_slice()).unwrap_or_default();
                    decimal.exponent += rest.parse::<i32>().unwrap_or_default();
                    break;
                }
                b'0' if decimal.len == 0 => decimal.exponent -= i32::from(point),
                digit => {
                    if decimal.len < decimal.digits.len() {
                        decimal.digits[decimal.len] = digit;
                        decimal.len += 1;
                    }
                    decimal.exponent += i32::from(!point);
                }
            }
        }
        decimal.trim();
        decimal
    }

    fn trim(&mut self) {
        while self.len > 1 && self.digits[self.len - 1] == b'0' {
            self.len -= 1;
        }
    }

    /// Rounds to 15 digits, halves away from zero. The shortest digits decide unless they end exactly half-way: then the
    /// value itself may lie on either side.
    fn round_to_15(&mut self, value: f64) {
        let up = match self.digits[15].cmp(&b'5') {
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Greater => true,
            std::cmp::Ordering::Equal => self.len > 16 || !below_half(value),
        };
        self.len = 15;
        if up {
            let mut at = 15;
            loop {
                if at == 0 {
                    self.digits[0] = b'1';
                    self.len = 1;
                    self.exponent += 1;
                    break;
                }
                at -= 1;
                if self.digits[at] < b'9' {
                    self.digits[at] += 1;
                    break;
                }
                self.digits[at] = b'0';
            }
        }
        self.trim();
    }

    /// Writes the digits, with an exponent when the value is below 10^-4 or at least 10^(`plain` + 1).
    fn push(&self, out: &mut Vec<u8>, plain: i32) {
        if self.negative {
            out.push(b'-');
        }
        let digits = &self.digits[..self.len];
        if self.exponent < -4 || self.exponent > plain {
            out.push(digits[0]);
            out.push(b'.');
            out.extend_from_slice(if digits.len() > 1 { &digits[1..] } else { b"0" });
            out.extend_from_slice(if self.exponent < 0 { b"e-" } else { b"e+" });
            let exponent = self.exponent.unsigned_abs();
            if exponent < 10 {
                out.push(b'0');
            }
            push_integer(out, i64::from(exponent));
        } else if self.exponent < 0 {
            out.extend_from_slice(b"0.");
            out.extend((1..self.exponent.unsigned_abs()).map(|_| b'0'));
            out.extend_from_slice(digits);
        } else {
            let whole = self.exponent.unsigned_abs() as usize + 1;
            if digits.len() > whole {
                out.extend_from_slice(&digits[..whole]);
                out.push(b'.');
                out.extend_from_slice(&digits[whole..]);
            } else {
                out.extend_from_slice(digits);
                out.extend((digits.len()..whole).map(|_| b'0'));
                out.extend_from_slice(b".0");
            }
        }
    }
}

/// Whether the digits of a value after its fifteenth are less than a half, told from its exact expansion.
fn below_half(value: f64) -> bool {
    // A double has at most 767 significant digits.
    let exact = format!("{value:.766e}");
    let digits = exact.bytes().filter(u8::is_ascii_digit);
    digits.skip(15).take(1).any(|digit| digit < b'5')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rounded(value: f64) -> String {
        let mut out = Vec::new();
        push_rounded(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    fn exact(value: f64) -> String {
        let mut out = Vec::new();
        push_exact(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn rounded_real_looks_as_in_sqlite() {
        for (value, text) in [
            (0.0, "0.0"),
            (-0.0, "0.0"),
            (1.0, "1.0"),
            (0.1 + 0.2, "0.3"),
            (1e15, "1.0e+15"),
            (123_456_789_012_345.0, "123456789012345.0"),
            (999_999_999_999_999.9, "1.0e+15"),
            (1e-4, "0.0001"),
            (1e-5, "1.0e-05"),
            (-1.5e300, "-1.5e+300"),
            (2.0 / 3.0, "0.666666666666667"),
            (f64::MAX, "1.79769313486232e+308"),
            (5e-324, "4.94065645841247e-324"),
            (f64::INFINITY, "Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "±Inf"),
        ] {
            assert_eq!(rounded(value), text);
        }
    }

    #[test]
    fn exact_real_keeps_its_value_and_type() {
        for (value, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (0.1, "0.1"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1e15, "1000000000000000.0"),
            (4_611_686_018_427_387_904.0, "4611686018427387904.0"),
            (1e19, "10000000000000000000.0"),
            (1e20, "1.0e+20"),
            (1e-5, "1.0e-05"),
            (f64::INFINITY, "1e999"),
            (f64::NEG_INFINITY, "-1e999"),
            (f64::NAN, "NULL"),
        ] {
            assert_eq!(exact(value), text);
        }
    }

    fn printf(db: &rusqlite::Connection, format: &str, value: f64) -> String {
        db.query_row("select printf(?1, ?2)", rusqlite::params![format, value], |row| {
            row.get(0)
        })
        .unwrap()
    }

    #[test]
    fn rounded_real_halves_are_decided_by_the_exact_value() {
        let db = rusqlite::Connection::open_in_memory().unwrap();
        for value in [0.5, 1.5, 2.5].map(|half| 100_000_000_000_000.0 + half) {
            assert_eq!(rounded(value), printf(&db, "%!.15g", value));
        }
    }

    /// SQLite scales very large and very small reals with some 19 digits, which are too few to tell on which side of a
    /// half a value lies that is almost there. We decide by the exact value.
    fn sqlite_may_misjudge(value: f64) -> bool {
        let exact = format!("{:.24e}", value.abs());
        let beyond: String = exact.chars().filter(char::is_ascii_digit).skip(15).take(4).collect();
        !(1e-20..1e20).contains(&value.abs()) && (beyond == "4999" || beyond == "5000")
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn rounded_real_fuzz_is_that_of_the_linked_sqlite(bits in any::<u64>(), decimal in -1_000_000_000_000_i64..1_000_000_000_000, scale in 0_i32..12) {
            let db = rusqlite::Connection::open_in_memory().unwrap();
            for value in [f64::from_bits(bits), decimal as f64 / 10f64.powi(scale), decimal as f64 * 10f64.powi(scale)] {
                if value.is_finite() && value != 0.0 && !sqlite_may_misjudge(value) {
                    prop_assert_eq!(rounded(value), printf(&db, "%!.15g", value));
                }
            }
        }

        #[test]
        fn exact_real_fuzz_reads_back(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            if value.is_finite() {
                let text = exact(value);
                prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), bits);
                prop_assert!(text.contains(['.', 'e']), "{} has neither a point nor an exponent", text);
            }
        }
    }
}
