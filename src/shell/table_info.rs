//! What tables a database has and what tells their rows apart, for commands that walk through all of them.

use crate::error::Result;
use crate::sql::query::rows;
use crate::sql::{Session, Value};
use crate::sqltext::quote::{identifier, literal};

/// A table that holds rows of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowTable {
    pub name: String,
    /// Its columns, without those that are hidden or computed.
    pub columns: Vec<String>,
    /// Expressions that tell a row from all others: the columns of the primary key, or the row's number.
    pub key: Vec<String>,
    /// The name of the row's number. None in a table that has none.
    pub row_number: Option<&'static str>,
    /// A module keeps its rows.
    pub is_virtual: bool,
}

/// The names of a row's number.
const ROW_NUMBERS: [&str; 3] = ["rowid", "_rowid_", "oid"];

fn text(value: &Value) -> String {
    crate::sql::text::value_to_text(value)
}

/// The tables of `main` by name, without SQLite's own and those that a virtual table keeps its content in.
pub fn tables(session: &mut dyn Session) -> Result<Vec<RowTable>> {
    listed(
        session,
        "type IN ('table', 'virtual') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
    )
}

/// The tables of `main` that `condition` on `pragma_table_list` lets through, by name.
pub fn listed(session: &mut dyn Session, condition: &str) -> Result<Vec<RowTable>> {
    let names = rows(
        session,
        &format!("SELECT name, type, wr FROM pragma_table_list WHERE schema = 'main' AND {condition} ORDER BY name"),
    )?;
    names
        .iter()
        .map(|row| {
            let has_number = row[2] != Value::Integer(1);
            describe(session, &text(&row[0]), text(&row[1]) == "virtual", has_number)
        })
        .collect()
}

fn describe(session: &mut dyn Session, name: &str, is_virtual: bool, has_number: bool) -> Result<RowTable> {
    let described = rows(session, &format!("PRAGMA main.table_xinfo({})", literal(name)))?;
    let mut columns = Vec::new();
    let mut key: Vec<(i64, String)> = Vec::new();
    for row in &described {
        let [Value::Text(column), Value::Integer(place), Value::Integer(hidden)] = [&row[1], &row[5], &row[6]] else {
            continue;
        };
        if *hidden == 0 {
            columns.push(column.clone());
        }
        if *place > 0 {
            key.push((*place, identifier(column)));
        }
    }
    key.sort_unstable();
    let row_number = ROW_NUMBERS
        .into_iter()
        .filter(|_| has_number)
        .find(|number| described.iter().all(|row| !text(&row[1]).eq_ignore_ascii_case(number)));
    let mut key: Vec<String> = key.into_iter().map(|(_, column)| column).collect();
    if key.is_empty() {
        key.extend(row_number.map(str::to_owned));
    }
    Ok(RowTable {
        name: name.to_owned(),
        columns,
        key,
        row_number,
        is_virtual,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{Target, open};

    #[test]
    fn table_key_is_what_tells_rows_apart() {
        let mut session = open(&Target::Memory).unwrap();
        for sql in [
            "CREATE TABLE plain(a, b)",
            "CREATE TABLE numbered(a, id INTEGER PRIMARY KEY, c AS (a))",
            "CREATE TABLE paired(a, b, c, PRIMARY KEY(c, a)) WITHOUT ROWID",
            "CREATE TABLE shadowing(rowid, _rowid_)",
            "CREATE VIRTUAL TABLE words USING fts5(t)",
            "CREATE VIEW seen AS SELECT 1",
        ] {
            rows(session.as_mut(), sql).unwrap();
        }
        let found = tables(session.as_mut()).unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|table| (table.name.as_str(), table.columns.join(","), table.key.join(",")))
            .collect();
        assert_eq!(
            found,
            [
                ("numbered", "a,id".to_owned(), "\"id\"".to_owned()),
                ("paired", "a,b,c".to_owned(), "\"c\",\"a\"".to_owned()),
                ("plain", "a,b".to_owned(), "rowid".to_owned()),
                ("shadowing", "rowid,_rowid_".to_owned(), "oid".to_owned()),
                ("words", "t".to_owned(), "rowid".to_owned()),
            ]
        );
    }
}
