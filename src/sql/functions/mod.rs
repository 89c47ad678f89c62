//! SQL functions that the `sqlite3` shell has beyond the engine's own.
//!
//! [`register`] adds them to a connection. They are in files by theme; each answers what its namesake in that shell does.

mod base;
mod decimal;
mod edit;
mod files;
mod hash;
mod math;
mod numbers;
mod pattern;
pub(super) mod reach;
mod series;

use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, Result};

/// Same arguments, same answer, and safe to use in a schema.
const PURE: FunctionFlags = FunctionFlags::SQLITE_UTF8
    .union(FunctionFlags::SQLITE_DETERMINISTIC)
    .union(FunctionFlags::SQLITE_INNOCUOUS);

/// For functions that reach outside the database: a statement may call them, a schema (view, trigger) may not.
const DIRECT: FunctionFlags = FunctionFlags::SQLITE_UTF8.union(FunctionFlags::SQLITE_DIRECTONLY);

/// Adds the functions, the `uint` collation and the table-valued `generate_series`.
pub(super) fn register(connection: &Connection) -> Result<()> {
    base::register(connection)?;
    math::register(connection)?;
    pattern::register(connection)?;
    hash::register(connection)?;
    decimal::register(connection)?;
    numbers::register(connection)?;
    files::register(connection)?;
    edit::register(connection)?;
    series::register(connection)
}

/// A function's error message.
fn refused(why: impl Into<String>) -> rusqlite::Error {
    rusqlite::Error::UserFunctionError(why.into().into())
}

/// A value as text bytes, converted as SQLite does; none for NULL.
fn text(value: rusqlite::types::ValueRef<'_>) -> Option<std::borrow::Cow<'_, [u8]>> {
    use rusqlite::types::ValueRef;
    match value {
        ValueRef::Null => None,
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(bytes.into()),
        ValueRef::Integer(number) => Some(number.to_string().into_bytes().into()),
        ValueRef::Real(number) => Some(real_text(number).into_bytes().into()),
    }
}

/// A real as text: the shortest that reads back the same, always recognisable as a real.
fn real_text(number: f64) -> String {
    if number.is_infinite() {
        return if number > 0.0 { "Inf" } else { "-Inf" }.to_owned();
    }
    let plain = number.to_string();
    if plain.contains('.') {
        plain
    } else {
        format!("{plain}.0")
    }
}
