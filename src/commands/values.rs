//! Values as users write them: sizes (`64mb`, `1GiB`) and durations (`30m`, `1w2d30m`).

use crate::error::{Code, Error, Result};
use std::str::FromStr;
use std::time::Duration;

/// A number of bytes. `kb`, `mb`, `gb`, `tb` and their one-letter forms count in 1024s, as file sizes are meant here;
/// `kib` and so on say it outright.
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

/// A span of time, or none: `never`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    Never,
    For(Duration),
}

impl FromStr for Span {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = |why: &str| {
            Error::new(Code::InvalidValue, format!("{text:?} is not a duration: {why}"))
                .hint("write numbers with units, such as 30s, 30m, 2d, 1w2d30m, or never")
        };
        if text == "never" {
            return Ok(Self::Never);
        }
        if text.is_empty() {
            return Err(refuse("it is empty"));
        }
        let mut rest = text;
        let mut total = Duration::ZERO;
        while !rest.is_empty() {
            let split = rest
                .find(|c: char| !c.is_ascii_digit())
                .ok_or_else(|| refuse("a number has no unit"))?;
            let number: u64 = rest[..split].parse().map_err(|_| {
                refuse(if split == 0 {
                    "a unit has no number"
                } else {
                    "it is too long"
                })
            })?;
            let end = rest[split..]
                .find(|c: char| c.is_ascii_digit())
                .map_or(rest.len(), |at| split + at);
            let unit = match &rest[split..end] {
                "ms" => Duration::from_millis(1),
                "s" => Duration::from_secs(1),
                "m" => Duration::from_secs(60),
                "h" => Duration::from_secs(3_600),
                "d" => Duration::from_secs(86_400),
                "w" => Duration::from_secs(604_800),
                other => return Err(refuse(&format!("{other:?} is not a unit"))),
            };
            total = u32::try_from(number)
                .ok()
                .and_then(|number| unit.checked_mul(number))
                .and_then(|part| total.checked_add(part))
                .ok_or_else(|| refuse("it is too long"))?;
            rest = &rest[end..];
        }
        Ok(Self::For(total))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
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

    #[test]
    fn durations() {
        for (text, seconds) in [
            ("0s", 0),
            ("30m", 1_800),
            ("2d", 172_800),
            ("1w2d30m", 779_400),
            ("90s", 90),
        ] {
            assert_eq!(
                text.parse::<Span>().unwrap(),
                Span::For(Duration::from_secs(seconds)),
                "{text}"
            );
        }
        assert_eq!("never".parse::<Span>().unwrap(), Span::Never);
        for text in ["", "5", "m", "5 m", "5x", "-5m", "1h30", "99999999999w"] {
            let error = text.parse::<Span>().unwrap_err();
            assert_eq!(error.code(), Code::InvalidValue, "{text}");
            assert!(error.hint_text().unwrap().contains("1w2d30m"));
        }
    }
}
