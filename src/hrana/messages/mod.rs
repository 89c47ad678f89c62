//! Hrana 2 and 3 as JSON: requests, and the answers of a pipeline.
//!
//! Only what a shell needs. The `libsql-hrana` crate has these types too, but brings a second encoding along, copies
//! every value, and refuses the `null` that a server sends for an infinite real. `decode` reads the rows of a cursor.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use rusqlite::types::{Value, ValueRef};
use serde::de::{Error as _, IgnoredAny};
use serde::ser::{Error as _, SerializeStruct};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Base64: written without padding, as in Hrana; read with or without.
pub const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

#[derive(Serialize)]
pub struct PipelineBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baton: Option<&'a str>,
    pub requests: &'a [Request<'a>],
}

#[derive(Serialize)]
pub struct CursorBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baton: Option<&'a str>,
    pub batch: &'a Batch<'a>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Request<'a> {
    Execute { stmt: Stmt<'a> },
    Batch { batch: Batch<'a> },
    Describe { sql: &'a str },
    GetAutocommit,
    Close,
}

#[derive(Serialize)]
pub struct Batch<'a> {
    pub steps: Vec<BatchStep<'a>>,
}

#[derive(Serialize)]
pub struct BatchStep<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub condition: Option<Condition>,
    pub stmt: Stmt<'a>,
}

#[derive(Serialize, Clone)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Condition {
    Ok { step: usize },
    Not { cond: Box<Condition> },
    Or { conds: Vec<Condition> },
    IsAutocommit,
}

impl Condition {
    /// Run only while a transaction is open.
    pub fn in_transaction() -> Self {
        Self::Not {
            cond: Box::new(Self::IsAutocommit),
        }
    }

    /// Never run: the server only parses the statement.
    pub fn never() -> Self {
        Self::Or { conds: Vec::new() }
    }
}

#[derive(Serialize)]
pub struct Stmt<'a> {
    pub sql: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub args: &'a [Arg<'a>],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub named_args: &'a [NamedArg<'a>],
    pub want_rows: bool,
}

/// The values of a statement's parameters: all by position, or all by name. Servers do not take both at once.
#[derive(Default)]
pub struct Bound<'a> {
    pub args: Vec<Arg<'a>>,
    pub named_args: Vec<NamedArg<'a>>,
}

/// A statement without parameters.
pub static UNBOUND: Bound<'static> = Bound {
    args: Vec::new(),
    named_args: Vec::new(),
};

#[derive(Serialize)]
pub struct NamedArg<'a> {
    pub name: String,
    pub value: Arg<'a>,
}

/// A value as it is sent.
#[derive(Debug, Clone, Copy)]
pub struct Arg<'a>(pub ValueRef<'a>);

impl Arg<'_> {
    /// Why the value cannot be sent, if it cannot.
    pub fn unsendable(&self) -> Option<&'static str> {
        match self.0 {
            ValueRef::Real(real) if !real.is_finite() => {
                Some("an infinite real cannot be sent to a server as a parameter")
            }
            ValueRef::Text(text) if std::str::from_utf8(text).is_err() => {
                Some("a text that is not valid UTF-8 cannot be sent to a server")
            }
            _ => None,
        }
    }
}

impl Serialize for Arg<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = if matches!(self.0, ValueRef::Null) { 1 } else { 2 };
        let mut value = serializer.serialize_struct("Value", fields)?;
        match self.0 {
            ValueRef::Null => value.serialize_field("type", "null")?,
            ValueRef::Integer(integer) => {
                value.serialize_field("type", "integer")?;
                value.serialize_field("value", &integer.to_string())?;
            }
            ValueRef::Real(real) => {
                value.serialize_field("type", "float")?;
                value.serialize_field("value", &real)?;
            }
            ValueRef::Text(text) => {
                value.serialize_field("type", "text")?;
                value.serialize_field("value", std::str::from_utf8(text).map_err(S::Error::custom)?)?;
            }
            ValueRef::Blob(blob) => {
                value.serialize_field("type", "blob")?;
                value.serialize_field("base64", &BASE64.encode(blob))?;
            }
        }
        value.end()
    }
}

/// A request that runs one statement.
pub fn single<'a>(sql: &'a str, args: &'a Bound<'a>, condition: Option<Condition>) -> Request<'a> {
    Request::Batch {
        batch: one_step(sql, args, condition),
    }
}

/// A batch of one statement.
pub fn one_step<'a>(sql: &'a str, args: &'a Bound<'a>, condition: Option<Condition>) -> Batch<'a> {
    Batch {
        steps: vec![BatchStep {
            condition,
            stmt: Stmt {
                sql,
                args: &args.args,
                named_args: &args.named_args,
                want_rows: true,
            },
        }],
    }
}

/// Serializes one of the types here, which cannot fail.
pub fn json<T: serde::Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

#[derive(Deserialize)]
pub struct PipelineReply {
    pub baton: Option<String>,
    #[serde(default)]
    pub base_url: Option<String>,
    pub results: Vec<Answer>,
}

/// The first line of a cursor's answer.
#[derive(Deserialize)]
pub struct CursorHead {
    pub baton: Option<String>,
    #[serde(default)]
    pub base_url: Option<String>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Answer {
    Ok { response: Response },
    Error { error: HranaError },
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Response {
    Execute { result: StmtResult },
    Batch { result: BatchResult },
    Describe { result: Description },
    GetAutocommit { is_autocommit: bool },
    Close,
}

#[derive(Deserialize, Debug, Clone, Default)]
pub struct HranaError {
    #[serde(default)]
    pub message: String,
    #[serde(default)]
    pub code: Option<String>,
}

#[derive(Deserialize)]
pub struct BatchResult {
    pub step_results: Vec<Option<StmtResult>>,
    pub step_errors: Vec<Option<HranaError>>,
}

#[derive(Deserialize)]
pub struct StmtResult {
    #[serde(default)]
    pub cols: Vec<Col>,
    #[serde(default)]
    pub rows: Vec<Vec<ResultCell>>,
    #[serde(default)]
    pub affected_row_count: u64,
    #[serde(default, deserialize_with = "integer")]
    pub last_insert_rowid: Option<i64>,
    #[serde(default)]
    pub rows_read: Option<u64>,
    #[serde(default)]
    pub rows_written: Option<u64>,
    #[serde(default)]
    pub query_duration_ms: Option<f64>,
}

#[derive(Deserialize, Debug, Clone)]
pub struct Col {
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub decltype: Option<String>,
}

#[derive(Deserialize)]
pub struct Description {
    pub params: Vec<Param>,
    #[serde(default)]
    pub is_readonly: bool,
}

#[derive(Deserialize)]
pub struct Param {
    #[serde(default)]
    pub name: Option<String>,
}

/// A value in a pipeline's result.
pub enum ResultCell {
    Value(Value),
    /// An infinite real, whose sign JSON cannot express.
    Infinite,
}

impl<'de> Deserialize<'de> for ResultCell {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(tag = "type", rename_all = "snake_case")]
        enum Wire {
            Null,
            Integer { value: Option<Number> },
            Float { value: Option<f64> },
            Text { value: String },
            Blob { base64: String },
        }
        Ok(Self::Value(match Wire::deserialize(deserializer)? {
            Wire::Null => Value::Null,
            Wire::Integer { value } => Value::Integer(
                value
                    .and_then(Number::integer)
                    .ok_or_else(|| D::Error::custom("an integer is not one"))?,
            ),
            Wire::Float { value: Some(value) } => Value::Real(value),
            Wire::Float { value: None } => return Ok(Self::Infinite),
            Wire::Text { value } => Value::Text(value),
            Wire::Blob { base64 } => Value::Blob(BASE64.decode(base64).map_err(D::Error::custom)?),
        }))
    }
}

/// An integer: a string from most servers, a number from some.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum Number {
    Integer(i64),
    Text(String),
    Other(IgnoredAny),
}

impl Number {
    pub fn integer(self) -> Option<i64> {
        match self {
            Self::Integer(integer) => Some(integer),
            Self::Text(text) => text.parse().ok(),
            Self::Other(_) => None,
        }
    }
}

pub fn integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    Ok(Option::<Number>::deserialize(deserializer)?.and_then(Number::integer))
}

#[cfg(test)]
mod tests;
