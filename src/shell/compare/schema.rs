//! What differs in the schemas of two databases, and of which tables the rows can be compared: those that both have, by names in
//! any letter case, with the same key. Comparing rows is left to `compare`.

use super::{Common, Difference, DifferenceKind, DifferenceSink};
use crate::error::{Code, Error, Result};
use crate::shell::table_info::{RowTable, listed};
use crate::sql::content::ENGINE_TABLES;
use crate::sql::query::{rows, text};
use crate::sql::text::value_to_text;
use crate::sql::{Failure, Session, Value};
use crate::sqltext::quote::identifier;
use std::collections::BTreeMap;

/// The tables of `main` by name, without the engine's own and those that a virtual table keeps its content in.
fn tables(session: &mut dyn Session) -> Result<Vec<RowTable>> {
    listed(session, &format!("type IN ('table', 'virtual') AND {}", of_users()))
}

/// A condition on names: what is not the engine's own.
fn of_users() -> String {
    format!("name <> 'sqlite_sequence' AND NOT ({ENGINE_TABLES})")
}

/// What is in a schema, by kind and name in lower case: the name as it is written, and the statement.
fn schema(session: &mut dyn Session) -> Result<BTreeMap<String, (String, Value)>> {
    let all = rows(
        session,
        &format!(
            "SELECT type || ' ' || name, sql FROM sqlite_schema WHERE sql NOT NULL AND {} AND name NOT IN (SELECT \
             name FROM pragma_table_list WHERE schema = 'main' AND type = 'shadow')",
            of_users()
        ),
    )?;
    Ok(all
        .into_iter()
        .filter_map(|mut row| {
            let sql = row.pop()?;
            let name = value_to_text(&row.pop()?);
            Some((name.to_ascii_lowercase(), (name, sql)))
        })
        .collect())
}

/// What to read of a table that both have. None if their keys differ. Without a key, all of a row is one.
fn common(here: &RowTable, there: &RowTable) -> Option<Common> {
    let has_same_key = here.key.len() == there.key.len()
        && here
            .key
            .iter()
            .zip(&there.key)
            .all(|(one, other)| one.eq_ignore_ascii_case(other));
    if !has_same_key {
        return None;
    }
    let columns: Vec<String> = here
        .columns
        .iter()
        .filter(|column| there.columns.iter().any(|other| other.eq_ignore_ascii_case(column)))
        .cloned()
        .collect();
    let keys: Vec<String> = match here.key.is_empty() {
        true => columns.iter().map(|column| identifier(column)).collect(),
        false => here.key.clone(),
    };
    if keys.is_empty() {
        return None;
    }
    let key = keys.join(", ");
    let rest: String = columns
        .iter()
        .map(|column| format!(", {}", identifier(column)))
        .collect();
    // Sorted by bytes, whatever order a column asks for: the other side may have another one.
    let sorted = keys
        .iter()
        .map(|part| format!("{part} COLLATE BINARY"))
        .collect::<Vec<_>>()
        .join(", ");
    Some(Common {
        name: here.name.clone(),
        keys: keys.len(),
        sql: format!(
            "SELECT {key}{rest} FROM main.{} ORDER BY {sorted}",
            identifier(&here.name)
        ),
        columns,
    })
}

/// Reports what differs in the schemas; the tables whose rows are to be compared.
pub(super) fn compare_schemas(
    here: &mut dyn Session,
    there: &mut dyn Session,
    report: &mut dyn DifferenceSink,
) -> Result<Vec<Common>> {
    let encodings = [text(here, "PRAGMA encoding")?, text(there, "PRAGMA encoding")?];
    for (encoding, which) in encodings.iter().zip(["first", "second"]) {
        if encoding != "UTF-8" {
            return Err(Error::new(
                Code::InvalidValue,
                format!(
                    "the {which} of the two databases has its texts in {encoding}: only those in UTF-8 can be compared"
                ),
            )
            .hint("a database that is made from its dump has UTF-8: torso db create NAME --from-dump FILE"));
        }
    }
    let (ours, theirs) = (schema(here)?, schema(there)?);
    let mut tell = |object: &str, kind, here: &Value, there: &Value| {
        let difference = Difference {
            object,
            row: None,
            kind,
            here,
            there,
        };
        let result = report.difference(&difference);
        result.map_err(|error| Error::from(Failure::Sink(error)))
    };
    for (key, (name, sql)) in &ours {
        match theirs.get(key) {
            None => tell(name, DifferenceKind::OnlyHere, sql, &Value::Null)?,
            Some((_, other)) if other != sql => tell(name, DifferenceKind::Sql, sql, other)?,
            Some(_) => {}
        }
    }
    for (key, (name, sql)) in &theirs {
        if !ours.contains_key(key) {
            tell(name, DifferenceKind::OnlyThere, &Value::Null, sql)?;
        }
    }
    let others = tables(there)?;
    let mut compared = Vec::new();
    for table in tables(here)? {
        let Some(other) = others.iter().find(|other| other.name.eq_ignore_ascii_case(&table.name)) else {
            continue;
        };
        match common(&table, other) {
            Some(common) => compared.push(common),
            None => tell(&table.name, DifferenceKind::OtherKey, &Value::Null, &Value::Null)?,
        }
    }
    Ok(compared)
}
