//! Judges the schema of a file that somebody sent: each row of `sqlite_schema`, and the names of vector indexes.

use super::{Violation, ViolationKind, analyze, names};

/// Judges the SQL of one row of `sqlite_schema`. Whoever opens the file has the engine read it.
///
/// # Errors
///
/// A [`Violation`], as for a statement that is run; and where the row has anything but one statement.
pub fn check_schema_object(sql: &str) -> Result<(), Violation> {
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
