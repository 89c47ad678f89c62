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

/// Refuses a name that no statement may use for a table. Names that the engine does not know are the users' own.
pub(super) fn check_table(name: &str) -> Result<(), Violation> {
    let name = fold(name);
    let refused = lists::contains(lists::REFUSED_TABLES, &name)
        || name
            .strip_prefix("pragma_")
            .is_some_and(|pragma| lists::contains(lists::ENGINE_REFUSES_PRAGMAS, pragma));
    if refused {
        return Err(Violation::new(ViolationKind::Table, name));
    }
    Ok(())
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
    let kind = if lists::contains(lists::REFUSED_FUNCTIONS, &name) || name == super::vector_index::MARKER {
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
    fn names_are_compared_without_quotes_and_case() {
        assert_eq!(fold("\"FsDir\""), "fsdir");
        assert_eq!(fold("[a\"B]"), "a\"b");
    }

    #[test]
    fn plain_names_are_words_of_ascii() {
        for name in ["a", "_", "Idx_9"] {
            assert!(is_plain(name), "{name}");
        }
        for name in ["", "9a", "a b", "a;b", "a-b", "é", "a\"", "a$"] {
            assert!(!is_plain(name), "{name}");
        }
    }
}
