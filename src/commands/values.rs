//! Values as users write them: sizes (`64mb`, `1GiB`), which servers are sent as well, durations (`30m`, `1w2d30m`), and
//! parameters of SQL (`day=2026-01-01`).

pub use crate::control::sizes::Size;
use crate::error::{Code, Error, Result};
use crate::sql::Value;
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
        if text.starts_with('-') {
            return Err(refuse("it begins with -"));
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

/// A value for a parameter in SQL: `NAME=TEXT`, or `NAME:=JSON` for a number, a text or null.
#[derive(Debug, Clone, PartialEq)]
pub struct SqlParameter {
    pub name: String,
    pub value: Value,
}

impl FromStr for SqlParameter {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = |why: &str| {
            Error::new(
                Code::InvalidValue,
                format!("{text:?} gives no parameter a value: {why}"),
            )
            .hint("write NAME=TEXT, NAME:=5 for a number, or NAME:=null")
        };
        let (name, value) = text.split_once('=').ok_or_else(|| refuse("it has no ="))?;
        let (name, value) = match name.strip_suffix(':') {
            None => (name, Value::Text(value.to_owned())),
            Some(name) => {
                let json = serde_json::from_str(value).map_err(|_| refuse("what follows := is not JSON"))?;
                let value = match json {
                    serde_json::Value::Null => Value::Null,
                    serde_json::Value::String(text) => Value::Text(text),
                    serde_json::Value::Bool(on) => Value::Integer(on.into()),
                    serde_json::Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                        (Some(whole), _) => Value::Integer(whole),
                        (None, Some(real)) if !number.is_u64() => Value::Real(real),
                        _ => return Err(refuse("the number is too large for SQLite")),
                    },
                    _ => return Err(refuse("SQL has no lists and objects")),
                };
                (name, value)
            }
        };
        let name = name.trim_start_matches([':', '@', '$']);
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(refuse("its name is not one of letters, digits and _"));
        }
        Ok(Self {
            name: name.to_owned(),
            value,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sql_parameters_are_text_unless_they_are_json() {
        for (text, name, value) in [
            ("a=007", "a", Value::Text("007".into())),
            (":a=x=y", "a", Value::Text("x=y".into())),
            ("a=", "a", Value::Text(String::new())),
            ("a:=7", "a", Value::Integer(7)),
            ("a:=1.5", "a", Value::Real(1.5)),
            ("a:=null", "a", Value::Null),
            ("a:=true", "a", Value::Integer(1)),
            ("a:=\"x\"", "a", Value::Text("x".into())),
        ] {
            let found: SqlParameter = text.parse().unwrap();
            assert_eq!((found.name.as_str(), found.value), (name, value), "{text}");
        }
        for text in ["a", "=1", "a:=x", "a:=[1]", "a:=18446744073709551615", "a b=1"] {
            assert_eq!(
                text.parse::<SqlParameter>().unwrap_err().code(),
                Code::InvalidValue,
                "{text}"
            );
        }
    }

    #[test]
    fn duration_values_are_parsed_or_refused() {
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
