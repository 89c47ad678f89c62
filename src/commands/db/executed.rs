//! What `torso db exec` answers about a database: changes, and rows as far as there is room.

use super::fleet::FleetItem;
use crate::commands::answers;
use crate::sql::{Column, Sink, ValueRef};
use base64::Engine as _;
use serde::Serialize;
use serde_json::json;
use std::ops::ControlFlow;

/// Bytes of the rows that the answer about a database may have.
pub(super) const LARGEST: usize = 1 << 20;

/// What came of a database.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Default, Serialize)]
pub(super) struct Executed {
    /// Rows that were changed.
    pub changes: u64,
    /// Of each statement that returns rows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub results: Vec<StatementResult>,
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Default, Serialize)]
pub(super) struct StatementResult {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<serde_json::Value>>,
    /// There were more rows than an answer has room for.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

impl FleetItem for Executed {
    fn status(&self) -> &'static str {
        "done"
    }

    fn is_cut(&self) -> bool {
        self.results.iter().any(|result| result.truncated)
    }

    fn sentence(&self) -> String {
        let Some(last) = self.results.last() else {
            return answers::counted(usize::try_from(self.changes).unwrap_or(usize::MAX), "change");
        };
        match last.rows.as_slice() {
            [row] => row.iter().map(plain).collect::<Vec<_>>().join(" "),
            rows if last.truncated => format!("more than {}", answers::counted(rows.len(), "row")),
            rows => answers::counted(rows.len(), "row"),
        }
    }
}

fn plain(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Keeps the rows of a statement as far as there is room.
pub(super) struct BoundedRows<'a> {
    result: &'a mut StatementResult,
    /// Bytes that are left.
    room: &'a mut usize,
}

impl<'a> BoundedRows<'a> {
    pub fn new(result: &'a mut StatementResult, room: &'a mut usize) -> Self {
        Self { result, room }
    }
}

impl Sink for BoundedRows<'_> {
    fn columns(&mut self, columns: &[Column]) -> std::io::Result<()> {
        self.result.columns = columns.iter().map(|column| column.name.clone()).collect();
        Ok(())
    }

    fn row(&mut self, row: &[ValueRef<'_>]) -> std::io::Result<ControlFlow<()>> {
        const OF_A_VALUE: usize = 32;
        let size: usize = row
            .iter()
            .map(|value| match value {
                ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.len() + OF_A_VALUE,
                _ => OF_A_VALUE,
            })
            .sum();
        match self.room.checked_sub(size) {
            Some(left) if !self.result.truncated => {
                *self.room = left;
                self.result.rows.push(row.iter().map(|&value| to_json(value)).collect());
            }
            // The statement goes on: it may change rows as it returns them.
            _ => self.result.truncated = true,
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// A value: numbers and text as they are, a blob as `{"base64": …}`. What JSON cannot have is an object as well: an infinity
/// `{"real": …}`, and text that is not UTF-8 `{"text_base64": …}`.
fn to_json(value: ValueRef<'_>) -> serde_json::Value {
    let base64 = |bytes| base64::engine::general_purpose::STANDARD.encode(bytes);
    match value {
        ValueRef::Null => json!(null),
        ValueRef::Integer(number) => json!(number),
        ValueRef::Real(number) if number.is_finite() => json!(number),
        ValueRef::Real(number) => json!({ "real": number.to_string() }),
        ValueRef::Text(text) => match std::str::from_utf8(text) {
            Ok(text) => json!(text),
            Err(_) => json!({ "text_base64": base64(text) }),
        },
        ValueRef::Blob(bytes) => json!({ "base64": base64(bytes) }),
    }
}
