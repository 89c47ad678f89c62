//! Names as the engine resolves them: without their quotes, in lower case.

use super::{Violation, ViolationKind, lists};
use crate::sqltext::quote::unquote;
use libsql_sqlite3_parser::ast::{Name, QualifiedName};
use std::borrow::Cow;

/// A name without its quotes and in lower case, as names are compared.
pub(super) fn fold(name: &str) -> Cow<'_, str> {
    match unquote(name) {
        name if name.bytes().any(|byte| byte.is_ascii_uppercase()) => Cow::Owned(name.to_ascii_lowercase()),
        name => name,
    }
}

/// Whether a name is a plain word, which nothing reads as anything else wherever it is pasted.
pub(super) fn is_plain(name: &str) -> bool {
    let bytes = name.as_bytes();
    bytes
        .first()
        .is_some_and(|first| first.is_ascii_alphabetic() || *first == b'_')
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

/// Refuses a name that is no table which a statement may name.
pub(super) fn check_table(name: &str) -> Result<(), Violation> {
    let name = fold(name);
    if is_user_table(&name) || is_engine_table(&name) {
        return Ok(());
    }
    Err(Violation::new(ViolationKind::Table, name))
}

/// Whether a name is one that users may give: the engine has nothing of that name that exists without being made.
fn is_user_table(name: &str) -> bool {
    let is_reserved = lists::RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    !is_reserved && !lists::contains(lists::REFUSED_MODULES, name)
}

/// Whether a name is one of the engine's own that statements may use: its tables, its modules, pragmas that only read, and
/// the indexes of constraints.
fn is_engine_table(name: &str) -> bool {
    if let Some(pragma) = name.strip_prefix("pragma_") {
        // As a table, its column with the path of a file could go anywhere in an answer.
        return pragma != lists::DATABASE_LIST && lists::find_pragma(pragma).is_some();
    }
    lists::contains(lists::SYSTEM_TABLES, name)
        || lists::contains(lists::TABLE_MODULES, name)
        || name.starts_with(lists::AUTOMATIC_INDEX_PREFIX)
}

pub(super) fn check_qualified(name: &QualifiedName) -> Result<(), Violation> {
    check_table(&name.name.0)
}

pub(super) fn is_vector_index_table(name: &Name) -> bool {
    fold(&name.0) == lists::VECTOR_INDEX_TABLE
}

/// Refuses a function that is in no list.
pub(super) fn check_function(name: &str) -> Result<(), Violation> {
    let name = fold(name);
    if lists::contains(lists::FUNCTIONS, &name) {
        return Ok(());
    }
    let kind = if lists::contains(lists::REFUSED_FUNCTIONS, &name) || name == lists::VECTOR_INDEX_FUNCTION {
        ViolationKind::Function
    } else {
        ViolationKind::UnknownFunction
    };
    Err(Violation::new(kind, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policy_names_are_compared_without_quotes_and_case() {
        assert_eq!(fold("\"FsDir\""), "fsdir");
        assert_eq!(fold("[a\"B]"), "a\"b");
    }

    #[test]
    fn policy_plain_names_are_words_of_ascii() {
        for name in ["a", "_", "Idx_9"] {
            assert!(is_plain(name), "{name}");
        }
        for name in ["", "9a", "a b", "a;b", "a-b", "é", "a\"", "a$"] {
            assert!(!is_plain(name), "{name}");
        }
    }
}
