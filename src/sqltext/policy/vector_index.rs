//! Judges vector indexes. The engine makes tables of its own for an index when CREATE INDEX is prepared, and pastes the
//! index's name into SQL for that. So all names have to be plain words, and the table that it keeps its parameters in has
//! nothing in it that is no plain name. `shadow` judges the tables of the nodes.

use super::expression::{self, Judged};
use super::names::{fold, is_plain};
use super::{Violation, ViolationKind, lists};
use crate::sqltext::quote::unquote;
use libsql_sqlite3_parser::ast::{ColumnConstraint, CreateTableBody, Expr, Literal, Name, QualifiedName, SortedColumn};

/// Judges the columns of an index. One of vectors cannot be unique: the engine may not survive the attempt.
pub(super) fn judge(unique: bool, index: &QualifiedName, table: &Name, columns: &[SortedColumn]) -> Judged {
    for column in columns {
        match vector_function_arguments(&column.expr) {
            Some(_) if unique => return Err(Violation::new(ViolationKind::Statement, "a unique index of vectors")),
            Some(args) => {
                let mut names = index.db_name.iter().chain([&index.name, table]);
                names.try_for_each(|name| check_plain(&name.0))?;
                arguments(args)?;
            }
            None => expression::expr(&column.expr)?,
        }
    }
    Ok(())
}

/// Whether the columns of an index are those of one of vectors.
pub(super) fn has_vectors(columns: &[SortedColumn]) -> bool {
    columns
        .iter()
        .any(|column| vector_function_arguments(&column.expr).is_some())
}

/// The arguments of the function that makes an index one of vectors, if an expression is a call of it.
fn vector_function_arguments(expression: &Expr) -> Option<&[Expr]> {
    match expression {
        Expr::Collate(inner, _) => vector_function_arguments(inner),
        Expr::FunctionCall {
            name,
            distinctness: None,
            args,
            filter_over: None,
        } if fold(&name.0) == lists::VECTOR_INDEX_FUNCTION => Some(args.as_deref().unwrap_or_default()),
        _ => None,
    }
}

fn check_plain(name: &str) -> Judged {
    let name = unquote(name);
    if is_plain(&name) {
        return Ok(());
    }
    Err(Violation::new(ViolationKind::VectorIndex, name))
}

/// A column, then options such as `'metric=cosine'`.
fn arguments(args: &[Expr]) -> Judged {
    let Some((column, options)) = args.split_first() else {
        return Err(Violation::new(ViolationKind::VectorIndex, lists::VECTOR_INDEX_FUNCTION));
    };
    match column {
        Expr::Id(name) => check_plain(&name.0)?,
        Expr::Name(name) => check_plain(&name.0)?,
        _ => return Err(Violation::new(ViolationKind::VectorIndex, lists::VECTOR_INDEX_FUNCTION)),
    }
    options.iter().try_for_each(|option| match option {
        Expr::Literal(Literal::String(text)) if is_option(&unquote(text)) => Ok(()),
        Expr::Literal(Literal::String(text)) => Err(Violation::new(ViolationKind::VectorIndex, unquote(text))),
        _ => Err(Violation::new(ViolationKind::VectorIndex, lists::VECTOR_INDEX_FUNCTION)),
    })
}

fn is_option(text: &str) -> bool {
    let is_value = |value: &str| {
        !value.is_empty()
            && value
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_.+-".contains(&byte))
    };
    text.split_once('=')
        .is_some_and(|(key, value)| is_plain(key) && is_value(value))
}

/// The table of parameters as the engine makes it and as dumps have it: two columns, which nothing computes.
pub(super) fn judge_parameter_table(body: &CreateTableBody) -> Judged {
    let refused = || Err(Violation::new(ViolationKind::Table, lists::VECTOR_INDEX_TABLE));
    let CreateTableBody::ColumnsAndConstraints {
        columns,
        constraints: None,
        options: _,
    } = body
    else {
        return refused();
    };
    let is_known = |name: &str| matches!(&*fold(name), "name" | "metadata");
    let is_plain_column = columns.iter().all(|column| {
        is_known(&column.col_name.0)
            && column
                .constraints
                .iter()
                .all(|named| matches!(named.constraint, ColumnConstraint::PrimaryKey { .. }))
    });
    if columns.len() == 2 && is_plain_column {
        return Ok(());
    }
    refused()
}
