//! `.dbinfo`: what the header of a database says.

use super::CommandCall;
use crate::shell::state::{Shell, ShellResult};
use crate::sql::text::value_to_text;
use crate::sql::{Target, Value};
use rusqlite::FileControl;
use std::io::Read;

/// Bytes of the header that every database file begins with.
const HEADER: usize = 100;

/// The header of the database: from its file, or as the server has it.
fn header(shell: &mut Shell<'_>, database: &str) -> ShellResult<Option<[u8; HEADER]>> {
    if matches!(shell.slot().target, Some(Target::Remote { .. })) {
        let page = shell.query("SELECT substr(data, 1, 100) FROM sqlite_dbpage WHERE pgno = 1", &[])?;
        // Where pages may not be read, pragmas tell most of it.
        return Ok(
            match page.ok().as_ref().and_then(|page| page.first()).map(|row| &row[0]) {
                Some(Value::Blob(bytes)) => <[u8; HEADER]>::try_from(bytes.as_slice()).ok(),
                _ => None,
            },
        );
    }
    let files = shell.ask(
        "SELECT file FROM pragma_database_list WHERE name = ?1",
        &[Value::Text(database.to_owned())],
    )?;
    let Some(file) = files.first().map(|row| value_to_text(&row[0])) else {
        return shell.fail(format_args!("unknown database: {database}"));
    };
    let mut bytes = [0; HEADER];
    let read = std::fs::File::open(file).and_then(|mut file| file.read_exact(&mut bytes));
    Ok(read.is_ok().then_some(bytes))
}

/// What a number in the header says, and where it stands. With a pragma that tells the same, the file is not asked: what
/// is in a write-ahead log is not in its header yet.
const FIELDS: [(&str, usize, usize, Option<&str>); 15] = [
    ("database page size", 16, 2, Some("page_size")),
    ("write format", 18, 1, None),
    ("read format", 19, 1, None),
    ("reserved bytes", 20, 1, None),
    ("file change counter", 24, 4, None),
    ("database page count", 28, 4, Some("page_count")),
    ("freelist page count", 36, 4, Some("freelist_count")),
    ("schema cookie", 40, 4, Some("schema_version")),
    ("schema format", 44, 4, None),
    ("default cache size", 48, 4, None),
    ("autovacuum top root", 52, 4, None),
    ("incremental vacuum", 64, 4, None),
    ("text encoding", 56, 4, Some("encoding")),
    ("user version", 60, 4, Some("user_version")),
    ("application id", 68, 4, Some("application_id")),
];

/// Kinds of objects, and how they are counted.
const COUNTS: [(&str, &str); 5] = [
    ("tables", "count(*) FILTER (WHERE type = 'table')"),
    ("indexes", "count(*) FILTER (WHERE type = 'index')"),
    ("triggers", "count(*) FILTER (WHERE type = 'trigger')"),
    ("views", "count(*) FILTER (WHERE type = 'view')"),
    ("schema size", "coalesce(total(length(sql)), 0)"),
];

/// A big-endian number of up to four bytes.
fn number(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |number, &byte| number << 8 | u32::from(byte))
}

pub fn dbinfo(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    let database = match call.texts()[..] {
        [] => "main".to_owned(),
        [database] => database.to_owned(),
        _ => return shell.fail(format_args!("Usage: .dbinfo ?DB?")),
    };
    let schema = crate::sqltext::quote::identifier(&database);
    let header = header(shell, &database)?;
    for (name, at, length, pragma) in FIELDS {
        let answer = match pragma {
            // A server may refuse some of them.
            Some(pragma) => shell.query(&format!("PRAGMA {schema}.{pragma}"), &[])?.ok(),
            None => None,
        };
        let answer = answer.and_then(|rows| rows.first().map(|row| value_to_text(&row[0])));
        let held = header.map(|bytes| number(&bytes[at..at + length]));
        let value = match (answer, held) {
            (Some(encoding), held) if name == "text encoding" => {
                let code = held.unwrap_or_else(|| {
                    ["UTF-8", "UTF-16le", "UTF-16be"]
                        .iter()
                        .position(|known| *known == encoding)
                        .map_or(0, |at| at as u32 + 1)
                });
                format!("{code} ({})", encoding.replace("UTF-", "utf").to_lowercase())
            }
            (Some(answer), _) => answer,
            // A page of the largest size does not fit its field.
            (None, Some(1)) if at == 16 => "65536".to_owned(),
            (None, Some(held)) => held.to_string(),
            (None, None) => continue,
        };
        shell.show(format_args!("{:<20} {value}", format!("{name}:")))?;
    }
    if let Some(bytes) = header {
        shell.show(format_args!("{:<20} {}", "software version:", number(&bytes[96..100])))?;
    }
    for (name, count) in COUNTS {
        let rows = shell.ask(
            &format!("SELECT CAST({count} AS INTEGER) FROM {schema}.sqlite_schema"),
            &[],
        )?;
        let count = rows.first().map_or_else(String::new, |row| value_to_text(&row[0]));
        let label = if name == "schema size" {
            name.to_owned()
        } else {
            format!("number of {name}")
        };
        shell.show(format_args!("{:<20} {count}", format!("{label}:")))?;
    }
    let mut version: u32 = 0;
    if let Some(engine) = shell.session()?.engine()
        && engine
            .connection()
            .file_control(Some(database.as_str()), FileControl::DataVersion(&mut version))
            .is_ok()
    {
        shell.show(format_args!("{:<20} {version}", "data version"))?;
    }
    Ok(())
}
