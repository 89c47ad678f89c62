//! `sha3` and `sha3_query`.

use super::{DIRECT, PURE, refused, text};
use rusqlite::functions::Context;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Result};
use sha3::digest::DynDigest;
use sha3::{Sha3_224, Sha3_256, Sha3_384, Sha3_512};

/// The hash of that many bits, where there is one.
fn hasher(bits: i64) -> Result<Box<dyn DynDigest>> {
    Ok(match bits {
        224 => Box::<Sha3_224>::default(),
        256 => Box::<Sha3_256>::default(),
        384 => Box::<Sha3_384>::default(),
        512 => Box::<Sha3_512>::default(),
        _ => return Err(refused("SHA3 size should be one of: 224 256 384 512")),
    })
}

fn size(context: &Context<'_>) -> Result<i64> {
    if context.len() < 2 {
        Ok(256)
    } else {
        context.get::<Option<i64>>(1).map(|size| size.unwrap_or(0))
    }
}

fn sha3(context: &Context<'_>) -> Result<Value> {
    let mut hash = hasher(size(context)?)?;
    Ok(match text(context.get_raw(0)) {
        None => Value::Null,
        Some(bytes) => {
            hash.update(&bytes);
            Value::Blob(hash.finalize().into_vec())
        }
    })
}

/// Hashes the text and the answer of every statement in the first argument.
fn sha3_query(context: &Context<'_>) -> Result<Value> {
    let mut hash = hasher(size(context)?)?;
    let Some(sql) = text(context.get_raw(0)) else {
        return Ok(Value::Null);
    };
    let sql = String::from_utf8_lossy(&sql).into_owned();
    // SAFETY: the connection is only used within this call, which it outlives, to run read-only statements.
    #[allow(unsafe_code)]
    let connection = unsafe { context.get_connection() }?;
    let mut rest = sql.as_str();
    while !rest.trim().is_empty() {
        let end = crate::sql::split::first_statement(rest.as_bytes());
        let (statement, after) = rest.split_at(end);
        rest = after;
        hash_statement(&connection, statement, hash.as_mut())?;
    }
    Ok(Value::Blob(hash.finalize().into_vec()))
}

fn hash_statement(connection: &Connection, sql: &str, hash: &mut dyn DynDigest) -> Result<()> {
    let mut statement = match connection.prepare(sql) {
        Ok(statement) => statement,
        Err(rusqlite::Error::Empty) => return Ok(()),
        Err(error) => return Err(refused(format!("error SQL statement [{sql}]: {error}"))),
    };
    if !statement.readonly() {
        return Err(refused(format!("non-query: [{sql}]")));
    }
    let columns = statement.column_count();
    let text = sql.trim_start();
    hash.update(format!("S{}:", text.len()).as_bytes());
    hash.update(text.as_bytes());
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        hash.update(b"R");
        for index in 0..columns {
            match row.get_ref(index)? {
                ValueRef::Null => hash.update(b"N"),
                ValueRef::Integer(number) => {
                    hash.update(b"I");
                    hash.update(&number.to_be_bytes());
                }
                ValueRef::Real(number) => {
                    hash.update(b"F");
                    hash.update(&number.to_bits().to_be_bytes());
                }
                ValueRef::Text(bytes) => {
                    hash.update(format!("T{}:", bytes.len()).as_bytes());
                    hash.update(bytes);
                }
                ValueRef::Blob(bytes) => {
                    hash.update(format!("B{}:", bytes.len()).as_bytes());
                    hash.update(bytes);
                }
            }
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
