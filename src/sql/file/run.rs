//! Runs a prepared statement and passes its rows to a sink.

use crate::panics;
use crate::sql::{Args, Column, Failure, Phase, Sink, StatementCounters};
use rusqlite::types::ValueRef;
use rusqlite::{Statement, StatementStatus};

/// SQLite's error as a failure in `phase`.
pub(super) fn failure(error: rusqlite::Error, phase: Phase) -> Failure {
    match error {
        rusqlite::Error::SqlInputError { error, msg, offset, .. } => Failure::Sql {
            phase,
            message: msg,
            code: error.extended_code,
            offset: usize::try_from(offset).ok(),
        },
        rusqlite::Error::SqliteFailure(error, message) => Failure::Sql {
            phase,
            message: message.unwrap_or_else(|| error.to_string()),
            code: error.extended_code,
            offset: None,
        },
        other => Failure::Sql {
            phase,
            message: other.to_string(),
            code: rusqlite::ffi::SQLITE_ERROR,
            offset: None,
        },
    }
}

/// Binds every parameter; a missing one is NULL. A bare `?` has the name `?N`.
pub(super) fn bind(statement: &mut Statement<'_>, args: &Args) -> rusqlite::Result<()> {
    for index in 1..=statement.parameter_count() {
        if let Some(value) = args.positional.get(index - 1) {
            statement.raw_bind_parameter(index, value)?;
            continue;
        }
        if args.named.is_empty() {
            continue;
        }
        let name = statement
            .parameter_name(index)
            .map_or_else(|| format!("?{index}"), str::to_owned);
        if let Some((_, value)) = args.named.iter().find(|(key, _)| *key == name) {
            statement.raw_bind_parameter(index, value)?;
        }
    }
    Ok(())
}

/// The columns of a result. In a damaged schema a name may not be UTF-8, and then rusqlite panics, which is caught
/// here.
pub(super) fn columns(statement: &Statement<'_>) -> std::result::Result<Vec<Column>, Failure> {
    let described = || {
        let column = |column: rusqlite::Column<'_>| Column {
            name: column.name().to_owned(),
            decltype: column.decl_type().map(str::to_owned),
        };
        statement.columns().map(column).collect()
    };
    panics::catch(described).map_err(|_| Failure::Sql {
        phase: Phase::Step,
        message: "a column's name is not UTF-8".into(),
        code: rusqlite::ffi::SQLITE_CORRUPT,
        offset: None,
    })
}

/// An empty buffer for the next row, in the memory of the last one.
pub(super) fn emptied<'a>(mut buffer: Vec<ValueRef<'_>>) -> Vec<ValueRef<'a>> {
    buffer.clear();
    buffer.into_iter().map(|_| ValueRef::Null).collect()
}

/// Steps through a statement; returns the number of rows.
pub(super) fn stream(statement: &mut Statement<'_>, sink: &mut dyn Sink) -> std::result::Result<u64, Failure> {
    let width = statement.column_count();
    let mut count = 0;
    let mut buffer: Vec<ValueRef<'_>> = Vec::with_capacity(width);
    let mut described = width == 0;
    let mut rows = statement.raw_query();
    loop {
        let row = match rows.next() {
            Ok(row) => row,
            Err(error) => return Err(failure(error, Phase::Step)),
        };
        let Some(row) = row else { break };
        count += 1;
        if width == 0 {
            continue;
        }
        if !described {
            described = true;
            let statement: &Statement<'_> = row.as_ref();
            sink.columns(&columns(statement)?).map_err(Failure::Sink)?;
        }
        let mut values = emptied(buffer);
        for index in 0..width {
            values.push(row.get_ref_unwrap(index));
        }
        let flow = sink.row(&values).map_err(Failure::Sink)?;
        buffer = emptied(values);
        if flow.is_break() {
            return Ok(count);
        }
    }
    drop(rows);
    if !described {
        sink.columns(&columns(statement)?).map_err(Failure::Sink)?;
    }
    Ok(count)
}

/// SQLite's counters for the statement.
pub(super) fn work(statement: &Statement<'_>) -> StatementCounters {
    use StatementStatus as Count;
    StatementCounters {
        full_scan_steps: statement.get_status(Count::FullscanStep),
        sorts: statement.get_status(Count::Sort),
        automatic_index_rows: statement.get_status(Count::AutoIndex),
        vm_steps: statement.get_status(Count::VmStep),
        reprepares: statement.get_status(Count::RePrepare),
        runs: statement.get_status(Count::Run),
        memory: statement.get_status(Count::MemUsed),
    }
}
