//! The lexer against fixed examples, and against SQLite's own tokenizer.

use super::*;
use crate::fuzz::{pieces, run};
use proptest::prelude::*;
use std::cell::Cell;

fn kinds(sql: &str) -> Vec<TokenKind> {
    significant_tokens(sql).map(|(kind, _)| kind).collect()
}

#[test]
fn tokens_have_the_kinds_of_sqlite() {
    use super::TokenKind::{Blob, Illegal, Number, Parameter, QuotedName, String, Symbol, Word};
    for (sql, expected) in [
        ("select 'it''s', \"a\"\"b\"", &[Word, String, Symbol, QuotedName][..]),
        ("[c d]`e`", &[QuotedName, QuotedName]),
        ("x'00' X'0g' x'0' xy", &[Blob, Illegal, Illegal, Word]),
        ("1 1.5 .5 1. 1e3 1e+3 0x1F 1_000", &[Number; 8]),
        ("1a 1e 0x", &[Illegal; 3]),
        ("? ?1 :a @a $a #a", &[Parameter; 6]),
        (
            "a->>b -> || <> != == . ;",
            &[
                Word, Symbol, Word, Symbol, Symbol, Symbol, Symbol, Symbol, Symbol, Symbol,
            ],
        ),
        ("! : @ { \\ \u{1}", &[Illegal; 6]),
        ("-- a\n/* b */ c /*", &[Word, Symbol, Symbol]),
        ("é $é", &[Word, Parameter]),
    ] {
        assert_eq!(kinds(sql), expected, "{sql}");
    }
}

#[test]
fn token_of_an_unclosed_quote_is_illegal_to_the_end() {
    for sql in ["'a''", "\"a", "`", "[a", "x'00"] {
        let (token, rest) = next_token(sql.as_bytes()).unwrap();
        assert_eq!(
            (token.kind, token.closed, rest),
            (TokenKind::Illegal, false, &b""[..]),
            "{sql}"
        );
    }
    let (comment, _) = next_token(b"/* a").unwrap();
    assert_eq!((comment.kind, comment.closed), (TokenKind::Comment, false));
}

#[test]
fn token_of_a_quoted_text_is_what_stands_between_quotes() {
    let quoted = |sql: &'static str| next_token(sql.as_bytes()).unwrap().0.quoted();
    assert_eq!(quoted("'a''b' c"), Some(&b"a''b"[..]));
    assert_eq!(quoted("[a]"), Some(&b"a"[..]));
    assert_eq!(quoted("x'00'"), Some(&b"00"[..]));
    assert_eq!(quoted("'a"), Some(&b"a"[..]));
    assert_eq!(quoted("x"), None);
}

#[test]
fn token_that_is_open_is_closed_by_its_own_quote() {
    for (text, by, length) in [
        ("a''b' c", b'\'', Some(5)),
        ("a''", b'\'', None),
        ("a] b", b']', Some(2)),
        ("a */ b", b'*', Some(4)),
        ("a * /", b'*', None),
    ] {
        assert_eq!(close(text.as_bytes(), by), length, "{text}");
    }
}

const PIECES: &[&str] = &[
    "select", "x", "X", "a", "é", "\u{feff}", "end", "'", "''", "\"", "`", "[", "]", "--", "/*", "*/", "/", "*", "-",
    ">", "->>", "<", "=", "==", "!", "!=", "|", "||", "&", "~", "%", "+", ",", ".", ";", "(", ")", "{", "}", "\\", "^",
    "?", "?1", ":", "@", "$", "#", ":a", "@b", "$c", "0", "1", "12", "0x", "0x1F", "1e", "1e5", "e+5", "1.5", ".5",
    "_", "1_0", "x'00'", "x'0", "x'0g'", " ", "  ", "\t", "\n", "\r\n", "\x0b", "\x0c", "\u{1}", "\u{7f}",
];

/// What SQLite's tokenizer makes of the first token of a text: its length and whether it is illegal; none for a text that
/// is blank or begins with a semicolon.
///
/// Nothing may follow on `ROLLBACK TO [a]` but a semicolon, so the parser refuses the very next token, and names it.
fn first_token_of_sqlite(connection: &rusqlite::Connection, sql: &str) -> Option<(String, bool)> {
    let text = format!("ROLLBACK TO [a]{sql}");
    let error = connection.prepare(&text).err()?;
    let message = match error {
        rusqlite::Error::SqlInputError { msg, .. } => msg,
        rusqlite::Error::SqliteFailure(_, Some(message)) => message,
        other => panic!("{other}: {sql:?}"),
    };
    let illegal = message
        .strip_prefix("unrecognized token: \"")
        .and_then(|rest| rest.strip_suffix('"'));
    let refused = message
        .strip_prefix("near \"")
        .and_then(|rest| rest.strip_suffix("\": syntax error"));
    match (illegal, refused) {
        (Some(token), _) => Some((token.to_owned(), true)),
        (_, Some(token)) => Some((token.to_owned(), false)),
        // Behind the first statement.
        _ => panic!("{message}: {sql:?}"),
    }
}

#[test]
#[allow(clippy::print_stderr)] // the number is the point
fn tokens_fuzz_are_those_of_sqlite() {
    let connection = rusqlite::Connection::open_in_memory().unwrap();
    let (compared, left_out) = (Cell::new(0_u64), Cell::new(0_u64));
    run("tokenized texts", 10_000, pieces(PIECES, 12), |sql| {
        let mut rest = sql.as_bytes();
        while let Some((token, after)) = next_significant(rest) {
            let begin = sql.len() - after.len() - token.text.len();
            let here = &sql[begin..];
            rest = after;
            if token.is_symbol(b';') {
                continue;
            }
            // The names of Tcl's variables, see the module.
            if matches!(token.text[0], b'$' | b'@' | b':' | b'#')
                && (after.starts_with(b"(") || after.starts_with(b":"))
            {
                left_out.set(left_out.get() + 1);
                continue;
            }
            compared.set(compared.get() + 1);
            let ours = (
                String::from_utf8_lossy(token.text).into_owned(),
                token.kind == TokenKind::Illegal,
            );
            prop_assert_eq!(first_token_of_sqlite(&connection, here), Some(ours), "{:?}", here);
        }
        Ok(())
    });
    eprintln!("fuzz: {} tokens compared, {} left out", compared.get(), left_out.get());
    assert!(compared.get() > 0);
}

#[test]
fn tokens_fuzz_are_all_of_the_text() {
    run("texts cut into tokens", 10_000, pieces(PIECES, 20), |sql| {
        let whole: String = tokens(&sql).map(|(_, text)| text).collect();
        prop_assert_eq!(whole, sql);
        Ok(())
    });
}
