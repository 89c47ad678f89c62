//! Classifies a statement by its first words: enough to choose how to send it.
//!
//! The server has the last word on what a statement means. A mistake here costs a round trip, never a wrong result.

use crate::sql::{Explain, ValueRef};

/// A statement, classified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    /// Where the statement begins in the text, after white space and comments.
    pub start: usize,
    pub verb: Verb,
    pub explain: Explain,
    /// It may have parameters.
    pub parameters: bool,
    /// It has a `RETURNING` clause.
    pub returning: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    /// `SELECT` and `VALUES`, also behind `WITH`.
    Read,
    /// `INSERT`, `REPLACE`, `UPDATE`, `DELETE`, also behind `WITH`.
    Write,
    Pragma,
    Begin,
    /// `COMMIT` and `END`, and `ROLLBACK` without `TO`.
    Finish,
    Savepoint,
    Release,
    Other,
}

impl Shape {
    /// Whether it may return many rows, so that it should be run with a cursor.
    pub(super) fn streams(&self) -> bool {
        self.explain == Explain::No && (self.verb == Verb::Read || self.returning)
    }

    /// Whether it cannot change the database, as far as the words tell.
    pub(super) fn read_only(&self) -> bool {
        self.explain != Explain::No || self.verb == Verb::Read
    }

    /// Classifies the first statement in `sql`; none if there are only white space, comments and semicolons.
    pub(super) fn of(sql: &str) -> Option<Self> {
        let text = sql.as_bytes();
        let mut shape = Self {
            start: 0,
            verb: Verb::Other,
            explain: Explain::No,
            parameters: false,
            returning: false,
        };
        let mut begun = false;
        let mut with = false;
        let mut words = 0;
        let mut depth = 0_usize;
        let mut at = 0;
        while at < text.len() {
            let (token, length) = token(&text[at..]);
            let word = match token {
                Token::Blank => None,
                Token::Parameter => {
                    shape.parameters = true;
                    Some("")
                }
                Token::Symbol(b';') if !begun => None,
                Token::Symbol(symbol) => {
                    match symbol {
                        b'(' => depth += 1,
                        b')' => depth = depth.saturating_sub(1),
                        _ => {}
                    }
                    Some("")
                }
                Token::Word => Some(sql.get(at..at + length).unwrap_or_default()),
            };
            if let Some(word) = word {
                if !begun {
                    begun = true;
                    shape.start = at;
                }
                let is = |name: &str| word.eq_ignore_ascii_case(name);
                if words == 0 && is("EXPLAIN") {
                    shape.explain = Explain::Program;
                } else if shape.explain == Explain::Program && words == 1 && is("QUERY") {
                    shape.explain = Explain::Plan;
                } else if words == 0 || (with && depth == 0 && shape.verb == Verb::Other) {
                    with |= words == 0 && is("WITH");
                    shape.verb = verb(word);
                } else if words == 1 && shape.verb == Verb::Finish && is("TO")
                    || words == 2 && shape.verb == Verb::Finish && is("TO")
                {
                    shape.verb = Verb::Other;
                }
                shape.returning |= is("RETURNING");
                words += 1;
            }
            at += length;
        }
        begun.then_some(shape)
    }
}

fn verb(word: &str) -> Verb {
    const VERBS: [(&str, Verb); 13] = [
        ("SELECT", Verb::Read),
        ("VALUES", Verb::Read),
        ("INSERT", Verb::Write),
        ("REPLACE", Verb::Write),
        ("UPDATE", Verb::Write),
        ("DELETE", Verb::Write),
        ("PRAGMA", Verb::Pragma),
        ("BEGIN", Verb::Begin),
        ("COMMIT", Verb::Finish),
        ("END", Verb::Finish),
        ("ROLLBACK", Verb::Finish),
        ("SAVEPOINT", Verb::Savepoint),
        ("RELEASE", Verb::Release),
    ];
    VERBS
        .iter()
        .find(|(name, _)| word.eq_ignore_ascii_case(name))
        .map_or(Verb::Other, |(_, verb)| *verb)
}

/// `sql` with numbered parameters (`?1`); `names` has the name of each parameter that has one. Only the name of a
/// result column that is just a parameter changes.
pub(super) fn numbered(sql: &str, names: &[Option<String>]) -> String {
    let mut numbered = String::with_capacity(sql.len() + 8);
    let mut highest = 0;
    let mut at = 0;
    while at < sql.len() {
        let (token, length) = token(&sql.as_bytes()[at..]);
        let text = sql.get(at..at + length).unwrap_or_default();
        if let Token::Parameter = token {
            let number = match text {
                "?" => highest + 1,
                _ => names
                    .iter()
                    .position(|name| name.as_deref() == Some(text))
                    .map_or(highest + 1, |index| index + 1),
            };
            highest = highest.max(number);
            numbered.push_str(&format!("?{number}"));
        } else {
            numbered.push_str(text);
        }
        at += length;
    }
    numbered
}

/// `sql` with literals in place of the parameters whose values cannot be sent. None unless all parameters are a bare
/// `?`, one for each value.
pub(super) fn spelled(sql: &str, row: &[ValueRef<'_>]) -> Option<String> {
    let mut spelled = String::with_capacity(sql.len() + 64);
    let mut values = row.iter();
    let mut at = 0;
    while at < sql.len() {
        let (token, length) = token(&sql.as_bytes()[at..]);
        let text = sql.get(at..at + length)?;
        match token {
            Token::Parameter if text == "?" => match values.next()? {
                ValueRef::Text(text) if std::str::from_utf8(text).is_err() => {
                    spelled.push_str("CAST(x'");
                    for byte in *text {
                        spelled.push_str(&format!("{byte:02x}"));
                    }
                    spelled.push_str("' AS TEXT)");
                }
                ValueRef::Real(real) if !real.is_finite() => {
                    spelled.push_str(if *real > 0.0 { "9e999" } else { "-9e999" });
                }
                _ => spelled.push('?'),
            },
            Token::Parameter => return None,
            _ => spelled.push_str(text),
        }
        at += length;
    }
    values.next().is_none().then_some(spelled)
}

/// The name, in lower case, of the pragma that `sql` sets, if it must be set again on a new stream. `sql` begins with
/// `PRAGMA`.
pub(super) fn session_pragma(sql: &str) -> Option<String> {
    const OF_A_SESSION: [&str; 15] = [
        "automatic_index",
        "busy_timeout",
        "cache_size",
        "cache_spill",
        "case_sensitive_like",
        "cell_size_check",
        "checkpoint_fullfsync",
        "foreign_keys",
        "ignore_check_constraints",
        "legacy_alter_table",
        "query_only",
        "recursive_triggers",
        "reverse_unordered_selects",
        "temp_store",
        "trusted_schema",
    ];
    let rest = sql.get("PRAGMA".len()..)?.trim_start();
    let (name, value) = rest.split_at(rest.find(['=', '('])?);
    let name = name.rsplit('.').next()?.trim().to_ascii_lowercase();
    (value.len() > 1 && OF_A_SESSION.contains(&name.as_str())).then_some(name)
}

enum Token {
    /// White space or a comment.
    Blank,
    /// A keyword, a bare name or a number.
    Word,
    Parameter,
    /// Anything else; also a whole string or quoted name, by its first byte.
    Symbol(u8),
}

/// The next token and its length in bytes, at least 1. An unclosed quote or comment goes to the end.
fn token(text: &[u8]) -> (Token, usize) {
    let until = |from: usize, end: &[u8]| {
        text.get(from..)
            .and_then(|rest| rest.windows(end.len()).position(|window| window == end))
            .map_or(text.len(), |found| from + found + end.len())
    };
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80;
    let word = |from: usize| {
        let rest = text.get(from..).unwrap_or_default();
        from + rest.iter().position(|&byte| !is_word(byte)).unwrap_or(rest.len())
    };
    match text[0] {
        byte if byte.is_ascii_whitespace() || byte == b'\x0b' => (Token::Blank, 1),
        // A byte order mark.
        0xef if text.starts_with(b"\xef\xbb\xbf") => (Token::Blank, 3),
        b'-' if text.get(1) == Some(&b'-') => (Token::Blank, until(2, b"\n")),
        b'/' if text.get(1) == Some(&b'*') => (Token::Blank, until(2, b"*/")),
        quote @ (b'\'' | b'"' | b'`') => (Token::Symbol(quote), until(1, &[quote])),
        b'[' => (Token::Symbol(b'['), until(1, b"]")),
        b'?' | b':' | b'@' | b'$' => (Token::Parameter, word(1)),
        byte if is_word(byte) => (Token::Word, word(1)),
        symbol => (Token::Symbol(symbol), 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn statements_are_told_apart() {
        for (sql, verb, streams, parameters) in [
            ("select 1", Verb::Read, true, false),
            (" ;; -- x\n/* y */ VALUES(?)", Verb::Read, true, true),
            (
                "with a(x) as (select ':x') insert into t select * from a",
                Verb::Write,
                false,
                false,
            ),
            (
                "with a as (select 1) select * from a where x=@b",
                Verb::Read,
                true,
                true,
            ),
            ("insert into t values(1) returning *", Verb::Write, true, false),
            ("explain select 1", Verb::Other, false, false),
            ("rollback", Verb::Finish, false, false),
            ("rollback transaction to a", Verb::Other, false, false),
            ("rollback to a", Verb::Other, false, false),
            ("end transaction", Verb::Finish, false, false),
            ("pragma foreign_keys", Verb::Pragma, false, false),
            ("create table [a?](b)", Verb::Other, false, false),
        ] {
            let shape = Shape::of(sql).unwrap();
            assert_eq!(
                (shape.verb, shape.streams(), shape.parameters),
                (verb, streams, parameters),
                "{sql}"
            );
        }
        assert_eq!(Shape::of(" ; -- x"), None);
        assert_eq!(Shape::of("\u{feff} select 1").unwrap().start, 4);
        assert_eq!(Shape::of("explain query plan select 1").unwrap().explain, Explain::Plan);
    }

    #[test]
    fn parameters_get_numbers() {
        let names = [
            Some(":a".to_owned()),
            None,
            Some("?3".to_owned()),
            Some("@b".to_owned()),
        ];
        assert_eq!(
            numbered("select :a, ?, '?', ?3, @b, :a -- ?", &names),
            "select ?1, ?2, '?', ?3, ?4, ?1 -- ?"
        );
    }

    #[test]
    fn values_that_cannot_be_sent_are_written_out() {
        let row = [
            ValueRef::Integer(1),
            ValueRef::Text(b"a\xff"),
            ValueRef::Real(f64::NEG_INFINITY),
            ValueRef::Text(b"?"),
        ];
        assert_eq!(
            spelled("INSERT INTO \"t?\" VALUES (?, ?,?,?)", &row).as_deref(),
            Some("INSERT INTO \"t?\" VALUES (?, CAST(x'61ff' AS TEXT),-9e999,?)")
        );
        assert_eq!(spelled("INSERT INTO t VALUES(?,?)", &row), None);
        assert_eq!(spelled("INSERT INTO t VALUES(?1,?,?,?)", &row), None);
    }

    #[test]
    fn settings_of_a_session_are_known() {
        assert_eq!(
            session_pragma("PRAGMA foreign_keys=off").as_deref(),
            Some("foreign_keys")
        );
        assert_eq!(
            session_pragma("pragma main.Query_Only (1)").as_deref(),
            Some("query_only")
        );
        assert_eq!(session_pragma("pragma foreign_keys"), None);
        assert_eq!(session_pragma("pragma user_version=4"), None);
    }

    proptest! {
        #[test]
        fn any_text_has_an_outline_within_it(sql in "\\PC*|[ -~\n]*") {
            if let Some(shape) = Shape::of(&sql) {
                prop_assert!(sql.is_char_boundary(shape.start) && shape.start < sql.len());
            }
            session_pragma(&sql);
            numbered(&sql, &[]);
        }
    }
}
