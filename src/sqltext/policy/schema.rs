//! Judges the schema of a file that somebody sent: each row of `sqlite_schema`, and what it keeps of vector indexes.

use super::{Violation, ViolationKind, analyze, names, shadow, vector_index};
use crate::panics;
use crate::sqltext::quote::unquote;
use fallible_iterator::FallibleIterator as _;
use libsql_sqlite3_parser::ast::{Cmd, Stmt};
use libsql_sqlite3_parser::lexer::sql::Parser;

/// Judges the SQL of one row of `sqlite_schema`. Whoever opens the file has the engine read it.
///
/// # Errors
///
/// A [`Violation`], as for a statement that is run; and where the row has anything but one statement. A table as the engine makes
/// it for a vector index is none: what is in it is to be judged by who can read it.
pub fn check_schema_object(sql: &str) -> Result<(), Violation> {
    if let Some(Stmt::CreateTable { tbl_name, body, .. }) = parse_one(sql)
        && shadow::is_index_content(&tbl_name.name, &body)
    {
        return Ok(());
    }
    let summary = analyze(sql)?;
    if summary.statements != 1 || !summary.changes_schema {
        return Err(Violation::new(
            ViolationKind::Ambiguous,
            "it is not one CREATE statement",
        ));
    }
    Ok(())
}

/// Judges a name in the table where the engine keeps the parameters of vector indexes.
///
/// # Errors
///
/// A [`Violation`] where it is not a plain word.
pub fn check_vector_index_name(name: &str) -> Result<(), Violation> {
    if names::is_plain(name) {
        return Ok(());
    }
    Err(Violation::new(ViolationKind::VectorIndex, name))
}

/// A statement that makes a vector index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VectorIndex {
    /// Without quotes, as is `table`.
    pub name: String,
    pub table: String,
    /// As it stands in `sqlite_schema`.
    pub sql: String,
}

/// Reads a text that makes a vector index. None if it makes none, or one that is refused.
#[must_use]
pub fn parse_vector_index(sql: &str) -> Option<VectorIndex> {
    let mut statement = parse_one(sql)?;
    if let Stmt::CreateIndex { if_not_exists, .. } = &mut statement {
        *if_not_exists = false;
    }
    let Stmt::CreateIndex {
        unique,
        idx_name,
        tbl_name,
        columns,
        where_clause: None,
        ..
    } = &statement
    else {
        return None;
    };
    let is_one =
        vector_index::has_vectors(columns) && vector_index::judge(*unique, idx_name, tbl_name, columns).is_ok();
    is_one.then(|| VectorIndex {
        name: unquote(&idx_name.name.0).into_owned(),
        table: unquote(&tbl_name.0).into_owned(),
        sql: Cmd::Stmt(statement.clone())
            .to_string()
            .trim_end_matches(';')
            .to_owned(),
    })
}

/// The statement of a text that has one.
fn parse_one(sql: &str) -> Option<Stmt> {
    super::lexical::check(sql)
        .ok()
        .filter(|text| text.depth <= super::lexical::SHALLOW)?;
    let mut parser = Box::new(Parser::new(sql.as_bytes()));
    match panics::catch(|| (parser.next(), parser.next())) {
        Ok((Ok(Some(Cmd::Stmt(statement))), Ok(None))) => Some(statement),
        _ => None,
    }
}
