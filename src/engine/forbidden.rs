//! SQL that reaches beyond its database. The engine's processes know functions and tables that touch the files of their
//! host, or that run other SQL which nobody has looked at. Whoever lets strangers' SQL through to them asks [`forbidden`]
//! about each text first.
//!
//! A text is read as SQLite reads it, token by token: names in string literals and comments are only words.
//! [`mentions`] is the quick look before: it says no for almost everything, and never for what is forbidden.

/// Functions that may not be called.
const FUNCTIONS: &[&str] = &[
    "readfile",
    "writefile",
    "sha3_query",
    "load_extension",
    "fts3_tokenizer",
    // Settings and keys of an encryption that databases here do not have.
    "sqlite3mc_config",
    "sqlite3mc_config_table",
    "sqlite3mc_codec_data",
    // Writes into the process's log.
    "sqlite_log",
    EDIT,
];

/// Runs a program in the shell of SQLite; no process has it. Tables may well be called so, with columns behind.
const EDIT: &str = "edit";

/// Tables that may not be named.
const TABLES: &[&str] = &["fsdir", "carray", "sqlite_dbpage"];

/// A part of each name above.
const PARTS: &[&str] = &[
    "dfile",
    "tefile",
    "a3_query",
    "d_extension",
    "_tokenizer",
    "lite3mc_",
    "lite_log",
    "edit",
    "fsdir",
    "carray",
    "_dbpage",
];

/// Why a text of SQL is refused; none where nothing is wrong with it.
#[must_use]
pub fn forbidden(sql: &str) -> Option<&'static str> {
    let mut place = Place::default();
    let mut rest = sql.as_bytes();
    while let Some((token, after)) = next(rest) {
        // SQLite takes a parenthesis right behind a parameter for a part of its name, whatever is in it, and so may read
        // on where nobody else does. No statement has one there.
        if matches!(token, Token::Other(b'0')) && after.first() == Some(&b'(') {
            return Some("a parameter with a parenthesis");
        }
        rest = after;
        if let Some(refused) = place.sees(&token, rest) {
            return Some(refused);
        }
    }
    None
}

/// Bytes of the longest statement in a text. What stands between semicolons counts as one, also in the body of a trigger.
#[must_use]
pub fn longest_statement(sql: &str) -> usize {
    let (mut longest, mut begun) = (0, 0);
    let mut rest = sql.as_bytes();
    while let Some((token, after)) = next(rest) {
        rest = after;
        let at = sql.len() - rest.len();
        longest = longest.max(at - begun);
        if matches!(token, Token::Other(b';')) {
            begun = at;
        }
    }
    longest
}

/// Whether bytes that hold SQL somewhere, in whatever wrapping that keeps names in one piece, name anything that may be
/// forbidden.
#[must_use]
pub fn mentions(bytes: &[u8]) -> bool {
    PARTS.iter().any(|part| contains(bytes, part.as_bytes()))
}

/// Whether `text` has `part` in any case. Looks for the rarest letter of the part.
fn contains(text: &[u8], part: &[u8]) -> bool {
    // Letters of texts in SQL and JSON, the rarest first.
    let rarest = |byte: &u8| b"zqxjk_wyvfghpbmdlcuoiarnste".iter().position(|letter| letter == byte);
    let Some((at, &letter)) = part.iter().enumerate().min_by_key(|(_, byte)| rarest(byte)) else {
        return true;
    };
    memchr::memchr2_iter(letter, letter.to_ascii_uppercase(), text).any(|found| {
        found
            .checked_sub(at)
            .and_then(|begin| text.get(begin..begin + part.len()))
            .is_some_and(|here| here.eq_ignore_ascii_case(part))
    })
}

#[derive(Clone, Copy)]
pub(super) enum Token<'a> {
    /// A word: a name or a keyword.
    Word(&'a [u8]),
    /// A name in double quotes, brackets or backticks.
    Name(&'a [u8]),
    /// A string literal, which SQLite also takes for the name of a table.
    Text(&'a [u8]),
    /// One byte of anything else; parameters and numbers are `0`.
    Other(u8),
}

/// The next token, and what is behind it. White space and comments are none.
pub(super) fn next(mut text: &[u8]) -> Option<(Token<'_>, &[u8])> {
    loop {
        text = match text {
            [] => return None,
            [b' ' | b'\t' | b'\n' | b'\x0c' | b'\r', rest @ ..] | [0xef, 0xbb, 0xbf, rest @ ..] => rest,
            [b'-', b'-', rest @ ..] => memchr::memchr(b'\n', rest).map_or(&[][..], |end| &rest[end + 1..]),
            // As in SQLite, a slash and a star at the end of the text are no comment.
            [b'/', b'*', rest @ ..] if !rest.is_empty() => {
                memchr::memmem::find(rest, b"*/").map_or(&[][..], |end| &rest[end + 2..])
            }
            _ => break,
        };
    }
    let (first, rest) = (text[0], &text[1..]);
    Some(match first {
        b'\'' | b'"' | b'`' => {
            let end = quoted(rest, first);
            let inner = &rest[..end];
            let token = if first == b'\'' {
                Token::Text(inner)
            } else {
                Token::Name(inner)
            };
            (token, rest.get(end + 1..).unwrap_or_default())
        }
        b'[' => {
            let end = memchr::memchr(b']', rest).unwrap_or(rest.len());
            (Token::Name(&rest[..end]), rest.get(end + 1..).unwrap_or_default())
        }
        b'?' => {
            let end = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            (Token::Other(b'0'), &rest[end..])
        }
        b'$' | b'@' | b':' | b'#' => (Token::Other(b'0'), &rest[word(rest)..]),
        b'0'..=b'9' => (Token::Other(b'0'), &rest[word(rest)..]),
        _ if is_word(first) => {
            let end = 1 + word(rest);
            (Token::Word(&text[..end]), &text[end..])
        }
        _ => (Token::Other(first), rest),
    })
}

/// Where a quoted text ends: at its quote, unless that is doubled.
fn quoted(text: &[u8], quote: u8) -> usize {
    let mut at = 0;
    while let Some(found) = memchr::memchr(quote, &text[at..]) {
        at += found;
        if text.get(at + 1) != Some(&quote) {
            return at;
        }
        at += 2;
    }
    text.len()
}

fn word(text: &[u8]) -> usize {
    text.iter().position(|&byte| !is_word(byte)).unwrap_or(text.len())
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

fn one_of(name: &[u8], list: &[&'static str]) -> Option<&'static str> {
    list.iter()
        .copied()
        .find(|entry| name.eq_ignore_ascii_case(entry.as_bytes()))
}

/// What may stand at a place, as far as string literals are concerned.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Expected {
    #[default]
    Value,
    /// The name of a table.
    Table,
    /// The name of a table, or a list of tables in parentheses.
    Tables,
}

#[derive(Default)]
struct Place {
    expected: Expected,
    /// Whether a list of tables goes on, by depth of parentheses; the last is where we are.
    lists: Vec<bool>,
    /// The last token was a word that a table and its columns follow.
    before_columns: bool,
}

impl Place {
    /// Why a token is refused, with what follows it.
    fn sees(&mut self, token: &Token, rest: &[u8]) -> Option<&'static str> {
        let expected = std::mem::take(&mut self.expected);
        let before_columns = std::mem::take(&mut self.before_columns);
        let called = || matches!(next(rest), Some((Token::Other(b'('), _)));
        match *token {
            Token::Word(name) | Token::Name(name) => {
                if let Some(found) = one_of(name, TABLES) {
                    return Some(found);
                }
                if let Some(found) = one_of(name, FUNCTIONS)
                    && called()
                    && !(found == EDIT && before_columns)
                {
                    return Some(found);
                }
                if matches!(token, Token::Word(_)) {
                    self.keyword(name);
                }
            }
            Token::Text(text) => {
                return one_of(text, TABLES).filter(|_| expected != Expected::Value || called());
            }
            Token::Other(b'(') => {
                self.lists.push(expected == Expected::Tables);
                self.expected = expected.in_parentheses();
            }
            Token::Other(b')') => {
                self.lists.pop();
            }
            Token::Other(b',') if self.lists.last() == Some(&true) => self.expected = Expected::Tables,
            Token::Other(b'.') => {
                self.expected = Expected::Table;
                self.before_columns = true;
            }
            Token::Other(b';') => self.lists.clear(),
            Token::Other(_) => {}
        }
        None
    }

    fn keyword(&mut self, word: &[u8]) {
        const END_OF_LIST: &[&str] = &[
            "where",
            "group",
            "order",
            "having",
            "limit",
            "window",
            "select",
            "values",
            "set",
            "returning",
            "union",
            "except",
            "intersect",
        ];
        const BEFORE_COLUMNS: &[&str] = &["table", "into", "exists", "references", "with", "recursive", "on"];
        if self.lists.is_empty() {
            self.lists.push(false);
        }
        self.before_columns = one_of(word, BEFORE_COLUMNS).is_some();
        let list = self.lists.last_mut();
        if one_of(word, &["from", "join"]).is_some() {
            list.into_iter().for_each(|list| *list = true);
            self.expected = Expected::Tables;
        } else if one_of(word, &["in", "using"]).is_some() {
            self.expected = Expected::Table;
        } else if one_of(word, END_OF_LIST).is_some() {
            list.into_iter().for_each(|list| *list = false);
        }
    }
}

impl Expected {
    fn in_parentheses(self) -> Self {
        if self == Self::Tables { self } else { Self::Value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(sql: &str) {
        assert!(forbidden(sql).is_some(), "let through: {sql:?}");
        assert!(mentions(sql.as_bytes()), "not noticed: {sql:?}");
    }

    /// Each name in each way to write it.
    #[test]
    fn names_are_found_however_they_are_written() {
        for name in FUNCTIONS.iter().chain(TABLES) {
            let upper = name.to_ascii_uppercase();
            for written in [
                (*name).to_owned(),
                upper.clone(),
                format!("\"{name}\""),
                format!("[{upper}]"),
                format!("`{name}`"),
            ] {
                for sql in [
                    format!("select {written}(1)"),
                    format!("select * from {written} ( 1 )"),
                    format!("select 1;select \u{feff}{written}/* '*/\n(1)"),
                    format!("select 'a''b', {written} --'\n ('x')"),
                    format!("\u{feff}{written}(1)"),
                    format!("create table t (x default ({written}('x')))"),
                    format!("select ?1,{written}(2)"),
                    format!("select x'00',{written}(2)"),
                    format!("select \"a\"\"\",{written}(2)"),
                ] {
                    refused(&sql);
                }
            }
        }
    }

    /// What is in such parentheses is read in two ways.
    #[test]
    fn parameters_have_no_parentheses() {
        for sql in ["select $a('), readfile(1) --'", "select $a::b(\"), readfile(1) --\""] {
            refused(sql);
        }
        assert_eq!(
            forbidden("select $a, (edit), :b, (1), f(?1) from t where x in (@c)"),
            None
        );
    }

    /// SQLite takes a string for the name of a table.
    #[test]
    fn tables_are_found_in_single_quotes() {
        for name in TABLES {
            for sql in [
                format!("select * from '{name}' where path = '/'"),
                format!("select * from t, '{name}'"),
                format!("select * from (t join '{name}')"),
                format!("select * from (t, ('{name}' as x))"),
                format!("select * from t where x in '{name}'"),
                format!("select * from main.'{name}'"),
                format!("select 1 in '{name}'('/')"),
                format!("create virtual table t using '{name}'"),
            ] {
                refused(&sql);
            }
        }
    }

    /// What only says a name is not refused.
    #[test]
    fn words_are_let_through() {
        for sql in [
            "select 'readfile(1)'",
            "insert into t values (1, 'fsdir', 'readfile('), ('fsdir', 'carray', '')",
            "insert into t select 'fsdir', 'carray' from u where x = 'fsdir' and y in ('carray', 'fsdir')",
            "select readfile from t -- fsdir('/')",
            "select /* readfile('x') */ 1",
            "select * from t where \"readfile\" = 1 order by 'fsdir'",
            "select * from t join u on t.x = f(u.y, 'fsdir') and 'fsdir' = t.z",
            "update t set a = 'fsdir', b = 'carray'",
            "select a from t union select 'carray', 'fsdir'",
            "create table my_readfile (readfiles, fsdirs)",
            "select my_readfile(1), readfile_too(2)",
            "create table edit(id integer); insert into main.edit(id) values (1); create index i on edit (id)",
            "create table if not exists edit (a references edit(id)); select edit, 1 from edit where edit in (1, 2)",
        ] {
            assert_eq!(forbidden(sql), None, "{sql}");
        }
    }

    #[test]
    fn statements_are_measured_by_semicolons() {
        assert_eq!(longest_statement("select 1"), 8);
        assert_eq!(longest_statement("a;bb; ccc 'x;y' "), 10);
        assert_eq!(longest_statement(""), 0);
    }

    #[test]
    fn every_name_has_its_part() {
        for name in FUNCTIONS.iter().chain(TABLES) {
            assert!(
                mentions(name.as_bytes()) && mentions(name.to_ascii_uppercase().as_bytes()),
                "{name}"
            );
        }
        assert!(!mentions(
            br#"{"requests":[{"type":"execute","stmt":{"sql":"select a_query, z from file"}}]}"#
        ));
    }

    #[test]
    fn no_text_is_too_odd() {
        for text in [
            "", "'", "\"", "[", "/*", "/", "--", "?", "$", ")))", "((", "x'", "'fsdir'", "a.'",
        ] {
            let _ = forbidden(text);
            let _ = longest_statement(text);
        }
    }
}
