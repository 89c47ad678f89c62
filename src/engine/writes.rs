//! SQL that libSQL server takes for a write, and so refuses to whoever may only read: on a socket by ending it. Who wants to
//! refuse a statement of such in better words asks [`writes`] first.
//!
//! What is not known to be a write is none here, and is the server's to refuse.

use super::forbidden::{Token, next};

/// Words that a statement which writes begins with.
const VERBS: &[&str] = &[
    "insert", "replace", "update", "delete", "alter", "drop", "create", "reindex",
];

/// Pragmas that the server has done where writes are done, whatever they do.
const PRAGMAS: &[&str] = &[
    "defer_foreign_keys",
    "foreign_keys",
    "foreign_key_list",
    "foreign_key_check",
    "collation_list",
    "data_version",
    "freelist_count",
    "integrity_check",
    "legacy_file_format",
    "page_count",
    "quick_check",
    "stats",
    "user_version",
];

/// Whether a statement in a text of SQL is one.
#[must_use]
pub fn writes(sql: &str) -> bool {
    let mut rest = sql.as_bytes();
    while let Some((token, after)) = next(rest) {
        rest = after;
        if let Token::Word(word) = token
            && begins_write(word, after)
        {
            return true;
        }
        if !matches!(token, Token::Other(b';')) {
            rest = behind_statement(rest);
        }
    }
    false
}

fn is(word: &[u8], wanted: &str) -> bool {
    word.eq_ignore_ascii_case(wanted.as_bytes())
}

fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    match next(text) {
        Some((Token::Word(word), rest)) => Some((word, rest)),
        _ => None,
    }
}

/// What is behind the semicolon that ends a statement.
fn behind_statement(mut text: &[u8]) -> &[u8] {
    while let Some((token, rest)) = next(text) {
        text = rest;
        if matches!(token, Token::Other(b';')) {
            break;
        }
    }
    text
}

/// Whether a statement writes that begins with a word.
fn begins_write(first: &[u8], rest: &[u8]) -> bool {
    if is(first, "with") {
        return common_tables_write(rest);
    }
    if is(first, "pragma") {
        return pragma_writes(rest);
    }
    // Temporary things are no writes; the server has none.
    let is_temporary = || word(rest).is_some_and(|(second, _)| is(second, "temp") || is(second, "temporary"));
    VERBS.iter().any(|verb| is(first, verb)) && !(is(first, "create") && is_temporary())
}

/// Whether what stands behind a list of common tables writes.
fn common_tables_write(mut text: &[u8]) -> bool {
    let mut depth = 0_u32;
    while let Some((token, rest)) = next(text) {
        match token {
            Token::Other(b';') => return false,
            Token::Other(b'(') => depth += 1,
            Token::Other(b')') => depth = depth.saturating_sub(1),
            Token::Word(verb) if depth == 0 => {
                if is(verb, "select") || is(verb, "values") {
                    return false;
                }
                // A table may be called `replace`.
                let is_replace = is(verb, "replace") && word(rest).is_some_and(|(next, _)| is(next, "into"));
                if is_replace || is(verb, "insert") || is(verb, "update") || is(verb, "delete") {
                    return true;
                }
            }
            _ => {}
        }
        text = rest;
    }
    false
}

fn pragma_writes(text: &[u8]) -> bool {
    let Some((first, rest)) = word(text) else {
        return false;
    };
    // The name of a schema may stand before.
    let name = match next(rest) {
        Some((Token::Other(b'.'), rest)) => word(rest).map_or(first, |(name, _)| name),
        _ => first,
    };
    PRAGMAS.iter().any(|pragma| is(name, pragma))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_writes_is_told_by_its_first_word_and_what_is_behind_common_tables() {
        for sql in [
            "insert into t values (1)",
            " -- select\n/* select */ INSERT INTO t DEFAULT VALUES",
            "replace into t values (1)",
            "with a as (select 1) insert into t select * from a",
            "with a(x) as (values (1)), replace as (select 2) replace into t select * from a",
            "select 1; ;update t set x = 1",
            "create trigger r after insert on t begin select 1; end",
            "create unique index i on t (x)",
            "pragma user_version",
            "pragma main.user_version = 3",
        ] {
            assert!(writes(sql), "{sql}");
        }
        for sql in [
            "",
            ";",
            "select 'insert into t'",
            "select replace('a', 'b', 'c')",
            "with replace as (select 1) select * from replace",
            "with a as (select 1) values (1)",
            "explain insert into t values (1)",
            "create temp table u (x)",
            "begin immediate",
            "savepoint update_it",
            "pragma table_info(t)",
            "\"insert\"",
            "/* insert",
        ] {
            assert!(!writes(sql), "{sql}");
        }
    }
}
