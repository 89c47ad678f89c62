//! Values as users write them: sizes (`64mb`, `1GiB`), which servers are sent as well, and durations (`30m`, `1w2d30m`).

pub use crate::control::sizes::Size;
use crate::error::{Code, Error, Result};
use std::str::FromStr;
use std::time::Duration;

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
