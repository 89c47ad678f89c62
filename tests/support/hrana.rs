//! As much of Hrana's JSON as a test needs that plays an application without a client library.

use reqwest::blocking::RequestBuilder;
use serde_json::{Value, json};

/// Runs statements on one stream, which is closed after them. `request` goes to a pipeline, with all but its body. The rows of
/// the last statement, or the first error.
pub fn execute<S: AsRef<str>>(
    request: RequestBuilder,
    statements: impl IntoIterator<Item = S>,
) -> Result<Vec<Value>, String> {
    execute_to_position(request, statements).map(|(rows, _)| rows)
}

/// The same, and the position in the database's log that the answer has, if it has one.
pub fn execute_to_position<S: AsRef<str>>(
    request: RequestBuilder,
    statements: impl IntoIterator<Item = S>,
) -> Result<(Vec<Value>, Option<String>), String> {
    let mut requests: Vec<_> = statements
        .into_iter()
        .map(|sql| json!({ "type": "execute", "stmt": { "sql": sql.as_ref() } }))
        .collect();
    requests.push(json!({ "type": "close" }));
    let answer = request
        .json(&json!({ "requests": requests }))
        .send()
        .map_err(|error| format!("{error:?}"))?;
    let status = answer.status();
    let position = answer.headers().get("torso-position");
    let position = position.and_then(|value| Some(value.to_str().ok()?.to_owned()));
    let text = answer.text().map_err(|error| format!("{error:?}"))?;
    let body: Value = serde_json::from_str(&text).map_err(|_| format!("{status}: {text}"))?;
    let results = body["results"].as_array().ok_or_else(|| format!("{status}: {text}"))?;
    let mut rows = Vec::new();
    for result in results {
        if result["type"] == "error" {
            return Err(result["error"].to_string());
        }
        if let Some(found) = result["response"]["result"]["rows"].as_array() {
            rows.clone_from(found);
        }
    }
    Ok((rows, position))
}

/// A field of a message of Protocol Buffers.
pub fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut length = bytes.len();
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend(bytes);
    out
}
