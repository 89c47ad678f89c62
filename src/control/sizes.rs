//! Sizes as people and clients of the API write them: `64mb`, `1GiB`, or a number of bytes.

use crate::error::{Code, Error, Result};
use std::str::FromStr;

/// A number of bytes. `kb`, `mb`, `gb`, `tb` and their one-letter forms are powers of 1024, like `kib` and so on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

impl FromStr for Size {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = |why: &str| {
            Error::new(Code::InvalidValue, format!("{text:?} is not a size: {why}"))
                .hint("write a number and a unit, such as 64mb, 1GiB or 500000 (bytes); 0 is unlimited")
        };
        let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (digits, unit) = text.split_at(split);
        if digits.is_empty() {
            return Err(refuse("it does not start with a number"));
        }
        let number: u64 = digits.parse().map_err(|_| refuse("it is too large"))?;
        let shift = match unit.trim_start().to_ascii_lowercase().as_str() {
            "" | "b" => 0,
            "k" | "kb" | "kib" => 10,
            "m" | "mb" | "mib" => 20,
            "g" | "gb" | "gib" => 30,
            "t" | "tb" | "tib" => 40,
            _ => return Err(refuse(&format!("{:?} is not a unit", unit.trim_start()))),
        };
        number
            .checked_mul(1 << shift)
            .map(Self)
            .ok_or_else(|| refuse("it is too large"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_is_parsed_and_displayed_with_its_unit() {
        for (text, bytes) in [
            ("0", 0),
            ("500000", 500_000),
            ("64mb", 64 << 20),
            ("64 MB", 64 << 20),
            ("1GiB", 1 << 30),
            ("2k", 2048),
            ("1t", 1 << 40),
        ] {
            assert_eq!(text.parse::<Size>().unwrap(), Size(bytes), "{text}");
        }
        for text in [
            "",
            "mb",
            "-1",
            "1.5gb",
            "1 banana",
            "99999999999999999999",
            "18446744073709551615k",
            "1mbb",
        ] {
            let error = text.parse::<Size>().unwrap_err();
            assert_eq!(error.code(), Code::InvalidValue, "{text}");
            assert!(error.hint_text().unwrap().contains("64mb"));
        }
    }
}
