//! `sha3` and `sha3_query`.

use super::{DIRECT, PURE, refused, text};
use crate::sql::digest::Digest;
use rusqlite::functions::Context;
use rusqlite::types::Value;
use rusqlite::{Connection, Result};

/// A SHA3 hash of that many bits, or an error for a size that does not exist.
fn digest(bits: i64) -> Result<Digest> {
    u32::try_from(bits)
        .ok()
        .and_then(Digest::new)
        .ok_or_else(|| refused("SHA3 size should be one of: 224 256 384 512"))
}

fn size(context: &Context<'_>) -> Result<i64> {
    if context.len() < 2 {
        Ok(256)
    } else {
        context.get::<Option<i64>>(1).map(|size| size.unwrap_or(0))
    }
}

fn sha3(context: &Context<'_>) -> Result<Value> {
    let mut hash = digest(size(context)?)?;
    Ok(match text(context.get_raw(0)) {
        None => Value::Null,
        Some(bytes) => {
            hash.bytes(&bytes);
            Value::Blob(hash.finish())
        }
    })
}

/// Hashes the text and the answer of every statement in the first argument.
fn sha3_query(context: &Context<'_>) -> Result<Value> {
    let mut hash = digest(size(context)?)?;
    let Some(sql) = text(context.get_raw(0)) else {
        return Ok(Value::Null);
    };
    let sql = String::from_utf8_lossy(&sql).into_owned();
    // SAFETY: the connection is only used within this call, which it outlives, to run read-only statements.
    #[allow(unsafe_code)]
    let connection = unsafe { context.get_connection() }?;
    let mut rest = sql.as_str();
    while !rest.trim().is_empty() {
        let end = crate::sqltext::split::first_statement(rest.as_bytes());
        let (statement, after) = rest.split_at(end);
        rest = after;
        hash_statement(&connection, statement, &mut hash)?;
    }
    Ok(Value::Blob(hash.finish()))
}

fn hash_statement(connection: &Connection, sql: &str, hash: &mut Digest) -> Result<()> {
    let mut statement = match connection.prepare(sql) {
        Ok(statement) => statement,
        Err(rusqlite::Error::Empty) => return Ok(()),
        Err(error) => return Err(refused(format!("error SQL statement [{sql}]: {error}"))),
    };
    if !statement.readonly() {
        return Err(refused(format!("non-query: [{sql}]")));
    }
    let columns = statement.column_count();
    hash.statement(sql.trim_start());
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        hash.row();
        for index in 0..columns {
            hash.value(row.get_ref(index)?);
        }
    }
    Ok(())
}

pub(super) fn register(connection: &Connection) -> Result<()> {
    for arguments in [1, 2] {
        connection.create_scalar_function("sha3", arguments, PURE, |context| sha3(context))?;
        connection.create_scalar_function("sha3_query", arguments, DIRECT, |context| sha3_query(context))?;
    }
    Ok(())
}
