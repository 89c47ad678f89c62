//! Request bodies: read in bounded time and memory, whatever their content type, with keys in any case.

use crate::error::{Code, Error, Result};
use axum::body::{Body, Bytes};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use std::str::FromStr;
use std::time::Duration;

/// Bytes of the longest body that is read into memory.
const WHOLE: usize = 256 << 10;

/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(20);

/// Reads a body into memory.
pub(super) async fn whole(body: Body) -> Result<Bytes> {
    let read = tokio::time::timeout(PATIENCE, Limited::new(body, WHOLE).collect());
    match read.await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Error::new(
            Code::TooLarge,
            format!("the body is larger than {} KiB", WHOLE >> 10),
        )
        .hint("upload files to /v1/uploads, in chunks")),
        Ok(Err(error)) => {
            Err(Error::new(Code::InvalidValue, "the body is incomplete: the connection was closed").caused_by(error))
        }
        Err(_) => Err(Error::new(
            Code::TooSlow,
            format!(
                "the whole body must arrive within {} s, and did not",
                PATIENCE.as_secs()
            ),
        )
        .hint("send it again; large files go to /v1/uploads")),
    }
}

/// A JSON body as an object with keys in lower case; empty and `null` are an empty object.
pub(super) fn object(bytes: &[u8]) -> Result<Value> {
    if bytes.trim_ascii().is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    let value: Value = serde_json::from_slice(bytes).map_err(|error| not_json(&error))?;
    match value {
        Value::Null => Ok(Value::Object(Map::new())),
        Value::Object(_) => Ok(lower(value)),
        _ => Err(Error::new(Code::InvalidValue, "the body is not a JSON object")
            .hint("send an object, such as {\"name\": \"app\"}")),
    }
}

fn not_json(error: &serde_json::Error) -> Error {
    Error::new(Code::InvalidValue, format!("the body is not JSON: {error}"))
        .hint("send an object, such as {\"name\": \"app\"}")
}

/// Turns keys into lower case, at every depth. No request of this API has keys that are user data.
fn lower(value: Value) -> Value {
    match value {
        Value::Object(members) => members
            .into_iter()
            .map(|(key, value)| (key.to_ascii_lowercase(), lower(value)))
            .collect(),
        Value::Array(items) => items.into_iter().map(lower).collect(),
        value => value,
    }
}

/// The fields of an HTML form, as an object.
pub(super) fn form(bytes: &[u8]) -> Value {
    url::form_urlencoded::parse(bytes)
        .map(|(key, value)| (key.into_owned(), Value::String(value.into_owned())))
        .collect()
}

/// Deserializes an object. Unknown keys are ignored.
pub(super) fn read<T: DeserializeOwned>(object: Value) -> Result<T> {
    serde_json::from_value(object).map_err(|error| {
        Error::new(Code::InvalidValue, format!("the body cannot be parsed: {error}"))
            .hint("docs/api.md lists the body of each path")
    })
}

/// A name in a body. One that is not allowed is an error of its own, which a deserializer could not hand on.
#[derive(Debug)]
pub(super) struct Named<T>(Result<T>);

impl<T> Named<T> {
    /// The name. Fails with `invalid_name`, and the rule, if it is not allowed.
    pub fn get(self) -> Result<T> {
        self.0
    }
}

impl<'de, T: FromStr<Err = Error>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(text.parse()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn json_body_keys_in_any_case_are_read_and_an_empty_body_is_an_object() {
        let read = |text: &str| object(text.as_bytes()).unwrap();
        assert_eq!(
            read(r#"{"Name":"A","Seed":{"Type":"x"},"List":[{"T":null}]}"#),
            json!({"name": "A", "seed": {"type": "x"}, "list": [{"t": null}]})
        );
        for empty in ["", " \r\n", "null", "{}"] {
            assert_eq!(read(empty), json!({}));
        }
    }

    #[test]
    fn json_body_that_is_no_object_is_refused() {
        let deep = "[".repeat(100_000);
        for text in ["[]", "1", "\"x\"", "{", "{\"a\":}", deep.as_str(), "\u{0}"] {
            let error = object(text.as_bytes()).unwrap_err();
            assert_eq!(error.code(), Code::InvalidValue);
            assert!(error.hint_text().is_some());
        }
    }
}
