//! Runs a prepared statement and passes its rows to a sink.

use super::statement::{FileStatement, StepResult};
use crate::sql::{Failure, Sink};
use rusqlite::types::ValueRef;

/// An empty buffer for the next row, in the memory of the last one.
pub(super) fn emptied<'a>(mut buffer: Vec<ValueRef<'_>>) -> Vec<ValueRef<'a>> {
    buffer.clear();
    buffer.into_iter().map(|_| ValueRef::Null).collect()
}

/// Steps through a statement; returns the number of rows.
pub(super) fn stream(statement: &mut FileStatement<'_>, sink: &mut dyn Sink) -> Result<u64, Failure> {
    let width = statement.width();
    let mut count = 0;
    let mut buffer: Vec<ValueRef<'_>> = Vec::with_capacity(width);
    let mut described = width == 0;
    while statement.step()? == StepResult::Row {
        count += 1;
        if width == 0 {
            continue;
        }
        if !described {
            described = true;
            sink.columns(&statement.columns()?).map_err(Failure::Sink)?;
        }
        let mut values = emptied(buffer);
        statement.row(width, &mut values)?;
        let flow = sink.row(&values).map_err(Failure::Sink)?;
        buffer = emptied(values);
        if flow.is_break() {
            return Ok(count);
        }
    }
    if !described {
        sink.columns(&statement.columns()?).map_err(Failure::Sink)?;
    }
    Ok(count)
}
