//! Small questions to a session, whose whole answer fits in memory.

use super::codes::meaning;
use super::{Args, Failure, Session, Sink, Value, ValueRef};
use crate::error::{Code, Error, Result};
use std::ops::ControlFlow;

/// Keeps all rows of a result. Text that is not UTF-8 is kept with replacement characters.
#[derive(Debug, Default)]
pub struct CollectedRows(pub Vec<Vec<Value>>);

impl Sink for CollectedRows {
    fn row(&mut self, row: &[ValueRef<'_>]) -> std::io::Result<ControlFlow<()>> {
        self.0.push(row.iter().map(|&value| owned(value)).collect());
        Ok(ControlFlow::Continue(()))
    }
}

/// A copy of a value. Text that is not UTF-8 gets replacement characters.
#[must_use]
pub fn owned(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
    }
}

/// All rows of one statement with positional parameters.
pub fn collect(session: &mut dyn Session, sql: &str, args: &[Value]) -> std::result::Result<Vec<Vec<Value>>, Failure> {
    let mut collected = CollectedRows::default();
    let args = Args {
        positional: args.to_vec(),
        named: Vec::new(),
    };
    session.run(sql, &args, &mut collected)?;
    Ok(collected.0)
}

/// All rows of one statement without parameters.
pub fn rows(session: &mut dyn Session, sql: &str) -> Result<Vec<Vec<Value>>> {
    Ok(collect(session, sql, &[])?)
}

/// The single value of a statement that has one, as SQLite writes it.
pub fn text(session: &mut dyn Session, sql: &str) -> Result<String> {
    let found = rows(session, sql)?
        .into_iter()
        .next()
        .and_then(|row| row.into_iter().next());
    Ok(match found {
        Some(Value::Text(text)) => text,
        Some(Value::Integer(number)) => number.to_string(),
        Some(Value::Real(number)) => number.to_string(),
        _ => String::new(),
    })
}

/// The single number of a statement that has one; 0 where it has none, or a negative one.
pub fn number(session: &mut dyn Session, sql: &str) -> Result<u64> {
    let found = rows(session, sql)?
        .into_iter()
        .next()
        .and_then(|row| row.into_iter().next());
    Ok(match found {
        Some(Value::Integer(number)) => u64::try_from(number).unwrap_or(0),
        _ => 0,
    })
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Sql { message, code, .. } => {
                let error = Self::new(meaning(code), message);
                if error.code() == Code::DatabaseBusy {
                    error.hint("close the applications that have it open, then try again")
                } else {
                    error
                }
            }
            Failure::Sink(error) => Self::io(error, "cannot write the answer"),
            Failure::Connection(error) => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{Target, open};

    #[test]
    fn query_helpers_return_values_and_errors() {
        let mut session = open(&Target::Memory).unwrap();
        assert_eq!(number(session.as_mut(), "SELECT 42").unwrap(), 42);
        assert_eq!(number(session.as_mut(), "SELECT 1 WHERE 0").unwrap(), 0);
        assert_eq!(text(session.as_mut(), "PRAGMA encoding").unwrap(), "UTF-8");
        let error = rows(session.as_mut(), "SELECT * FROM nowhere").unwrap_err();
        assert_eq!(
            (error.code(), error.message()),
            (Code::SqlError, "no such table: nowhere")
        );
    }
}
