//! Errors that point: where in the statement, and what was probably meant.
//!
//! For a person only: scripts get the words of `sqlite3`. The shell prints what [`point`] and [`suggest`] return.

use super::lex::{Lexeme, LexemeKind, lexemes};
use super::schema::Schema;
use unicode_width::UnicodeWidthStr;

/// Columns of a line shown around the caret, where the line is longer than the terminal.
const NARROWEST: usize = 40;

/// The line of `sql` that holds byte `offset`, and a caret beneath it; with the line's number where there are several.
/// `columns` is the terminal's width.
#[must_use]
pub fn point(sql: &str, offset: usize, columns: usize) -> String {
    let sql = sql.trim_end();
    let mut offset = offset.min(sql.len());
    while !sql.is_char_boundary(offset) {
        offset -= 1;
    }
    let start = sql[..offset].rfind('\n').map_or(0, |end| end + 1);
    let end = sql[offset..].find('\n').map_or(sql.len(), |more| offset + more);
    let label = if sql.contains('\n') {
        format!("line {}: ", sql[..start].matches('\n').count() + 1)
    } else {
        "  ".to_owned()
    };
    let before = visible(&sql[start..offset]);
    let after = visible(&sql[offset..end]);
    let room = columns.saturating_sub(label.width() + 1).max(NARROWEST);
    // The token under the caret and what explains it stay in sight.
    let (before, cut_left) = if before.width() > room * 2 / 3 {
        (tail(&before, room / 2), true)
    } else {
        (before, false)
    };
    let left = if cut_left { "…" } else { "" };
    let rest = room.saturating_sub(before.width() + left.width());
    let (after, cut_right) = if after.width() > rest {
        (head(&after, rest.saturating_sub(1)), true)
    } else {
        (after, false)
    };
    let right = if cut_right { "…" } else { "" };
    let length = token_width(sql, offset).clamp(1, after.width().max(1));
    let indent = " ".repeat(label.width() + left.width() + before.width());
    format!("{label}{left}{before}{after}{right}\n{indent}{}", "^".repeat(length))
}

/// Display columns of the token at `offset`, on its first line.
fn token_width(sql: &str, offset: usize) -> usize {
    let token = lexemes(sql)
        .into_iter()
        .find(|token| token.start <= offset && offset < token.end);
    token.map_or(1, |token| {
        sql[offset..token.end].lines().next().unwrap_or_default().width()
    })
}

/// Text on one line that cannot move the cursor; tabs become blanks, as wide as the caret counts them.
fn visible(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c == '\t' {
                ' '
            } else if c.is_control() {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

fn tail(text: &str, columns: usize) -> String {
    let mut words: Vec<&str> = Vec::new();
    let mut used = 0;
    for (at, c) in text.char_indices().rev() {
        let piece = &text[at..at + c.len_utf8()];
        used += piece.width();
        if used > columns {
            break;
        }
        words.push(piece);
    }
    words.into_iter().rev().collect()
}

fn head(text: &str, columns: usize) -> String {
    let mut used = 0;
    text.chars()
        .take_while(|c| {
            used += c.to_string().width();
            used <= columns
        })
        .collect()
}

/// Where SQLite names the thing but not the place (`no such table: x`): the name's first place in the statement.
#[must_use]
pub fn find_offset(sql: &str, message: &str) -> Option<usize> {
    let named = unknown(message)?.1;
    let last = named.rsplit('.').next().unwrap_or(named);
    lexemes(sql)
        .into_iter()
        .find(|token| {
            matches!(token.kind, LexemeKind::Name | LexemeKind::Quoted | LexemeKind::Keyword)
                && token
                    .text(sql)
                    .trim_matches(['"', '`', '[', ']'])
                    .eq_ignore_ascii_case(last)
        })
        .map(|token| token.start)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Thing {
    Table,
    Column,
    Function,
    Index,
    Trigger,
    Collation,
    Pragma,
    Syntax,
}

/// What a message says is unknown.
fn unknown(message: &str) -> Option<(Thing, &str)> {
    const PATTERNS: &[(&str, Thing)] = &[
        ("no such table: ", Thing::Table),
        ("no such view: ", Thing::Table),
        ("no such column: ", Thing::Column),
        ("no such function: ", Thing::Function),
        ("no such index: ", Thing::Index),
        ("no such trigger: ", Thing::Trigger),
        ("no such collation sequence: ", Thing::Collation),
        ("does not support PRAGMA ", Thing::Pragma),
    ];
    for (pattern, thing) in PATTERNS {
        if let Some(at) = message.find(pattern) {
            let name = message[at + pattern.len()..].trim();
            // `no such column: x - should this be a string literal in single-quotes?`
            let name = name.split(" - ").next().unwrap_or(name);
            return Some((*thing, name.trim_matches('"')));
        }
    }
    // `table t has no column named x`
    if let Some(at) = message.find(" has no column named ") {
        return Some((Thing::Column, message[at + " has no column named ".len()..].trim()));
    }
    let near = message.strip_prefix("near \"")?.strip_suffix("\": syntax error")?;
    Some((Thing::Syntax, near))
}

/// What was probably meant: a known name close to the one that `message` says is unknown, or a keyword close to the word
/// that the parser stumbled over (or the one before it).
#[must_use]
pub fn suggest(sql: &str, message: &str, schema: &dyn Schema) -> Option<String> {
    let (thing, name) = unknown(message)?;
    let name = name.rsplit('.').next().unwrap_or(name);
    let known = match thing {
        Thing::Table => schema.tables(),
        Thing::Column => schema
            .tables()
            .iter()
            .filter(|table| mentions(sql, table))
            .flat_map(|table| schema.columns(table))
            .collect(),
        Thing::Function => {
            return FOREIGN_FUNCTIONS
                .iter()
                .find(|(foreign, _)| foreign.eq_ignore_ascii_case(name))
                .map(|(_, here)| (*here).to_owned())
                .or_else(|| nearest_word(name, schema.functions().iter().map(String::as_str)).map(str::to_owned));
        }
        Thing::Index => schema.indexes(),
        Thing::Trigger => schema.triggers(),
        Thing::Collation => schema.collations(),
        Thing::Pragma => schema.pragmas(),
        Thing::Syntax => return misspelt(sql, name),
    };
    nearest(name, known.iter().map(String::as_str)).map(str::to_owned)
}

/// The name of the pragma that a statement asks for.
#[must_use]
pub fn pragma(sql: &str) -> Option<&str> {
    let mut words = lexemes(sql).into_iter().filter(Lexeme::is_significant);
    if !words.next()?.text(sql).eq_ignore_ascii_case("pragma") {
        return None;
    }
    let first = words.next()?.text(sql);
    match (words.next().map(|word| word.text(sql)), words.next()) {
        (Some("."), Some(name)) => Some(name.text(sql)),
        _ => Some(first),
    }
}

fn mentions(sql: &str, name: &str) -> bool {
    lexemes(sql).iter().any(|token| {
        token
            .text(sql)
            .trim_matches(['"', '`', '[', ']'])
            .eq_ignore_ascii_case(name)
    })
}

/// Keywords that hands misspell and after which a parser stumbles.
const KEYWORDS: &[&str] = &[
    "SELECT",
    "FROM",
    "WHERE",
    "GROUP",
    "ORDER",
    "INSERT",
    "INTO",
    "VALUES",
    "UPDATE",
    "DELETE",
    "CREATE",
    "TABLE",
    "HAVING",
    "LIMIT",
    "JOIN",
    "DISTINCT",
    "BETWEEN",
    "RETURNING",
    "PRAGMA",
    "EXPLAIN",
    "ALTER",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "UNION",
];

fn misspelt(sql: &str, near: &str) -> Option<String> {
    let tokens: Vec<_> = lexemes(sql).into_iter().filter(Lexeme::is_significant).collect();
    let at = tokens.iter().position(|token| token.text(sql) == near)?;
    let words = tokens[at.saturating_sub(2)..=at]
        .iter()
        .rev()
        .filter(|token| token.kind == LexemeKind::Name);
    for token in words {
        let word = token.text(sql);
        if word.len() >= 4
            && let Some(keyword) = nearest_word(word, KEYWORDS.iter().copied())
        {
            let capitals = word.chars().all(char::is_uppercase);
            return Some(if capitals {
                keyword.to_owned()
            } else {
                keyword.to_lowercase()
            });
        }
    }
    None
}

/// Functions of other databases, and what does the same here.
const FOREIGN_FUNCTIONS: [(&str, &str); 10] = [
    ("now", "datetime('now')"),
    ("getdate", "datetime('now')"),
    ("sysdate", "datetime('now')"),
    ("curdate", "date('now')"),
    ("curtime", "time('now')"),
    ("isnull", "ifnull(x, y)"),
    ("nvl", "ifnull(x, y)"),
    ("len", "length"),
    ("ucase", "upper"),
    ("lcase", "lower"),
];

/// Like [`nearest`], for words of the language: a short one that begins with another letter is another word.
fn nearest_word<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let first = |word: &str| word.chars().next().map(|letter| letter.to_ascii_lowercase());
    nearest(name, known).filter(|found| {
        first(found) == first(name)
            || name.len() > 4 && strsim::damerau_levenshtein(&name.to_lowercase(), &found.to_lowercase()) == 1
    })
}

/// The known name that is close enough to `name` to have been meant, if any.
#[must_use]
pub fn nearest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let name = name.to_lowercase();
    let allowed = match name.chars().count() {
        0 | 1 => return None,
        2..=4 => 1,
        5..=8 => 2,
        _ => 3,
    };
    known
        .into_iter()
        .map(|other| (strsim::damerau_levenshtein(&name, &other.to_lowercase()), other))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, other)| other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::editor::schema::Nothing;

    #[test]
    fn pragma_name_is_read_from_its_statement() {
        for (sql, name) in [
            ("pragma journl_mode;", Some("journl_mode")),
            ("/* x */ PRAGMA main.user_version = 3", Some("user_version")),
            ("pragma table_info(t)", Some("table_info")),
            ("select 1", None),
            ("pragma", None),
        ] {
            assert_eq!(pragma(sql), name, "{sql}");
        }
    }

    #[test]
    fn error_pointer_stands_under_the_token_on_its_line() {
        assert_eq!(point("select nme from t", 7, 80), "  select nme from t\n         ^^^");
        assert_eq!(
            point("select '日本', nme\nfrom t;", 17, 80),
            "line 1: select '日本', nme\n                       ^^^"
        );
        assert_eq!(
            point("select *\nfrom t\nwhere nme = 1", 22, 80),
            "line 3: where nme = 1\n              ^^^"
        );
        assert_eq!(point("select 1 +", 99, 80), "  select 1 +\n            ^");
        assert_eq!(point("select\tx", 7, 80), "  select x\n         ^");
    }

    #[test]
    fn error_pointer_in_a_long_line_is_cut_around_the_token() {
        let sql = format!("select {} nme {}", "a, ".repeat(60), ", b".repeat(60));
        let offset = sql.find("nme").unwrap();
        let text = point(&sql, offset, 60);
        let (line, caret) = text.split_once('\n').unwrap();
        assert!(line.width() <= 60, "{text}");
        assert!(line.starts_with("  …") && line.ends_with('…'), "{text}");
        assert_eq!(
            head(line, caret.width()).chars().rev().take(3).collect::<String>(),
            "emn"
        );
    }

    #[test]
    fn error_names_are_found_and_similar_ones_suggested() {
        assert_eq!(find_offset("select * from usres u", "no such table: usres"), Some(14));
        assert_eq!(find_offset("select u.nme from t u", "no such column: u.nme"), Some(9));
        assert_eq!(nearest("usres", ["users", "orders"]), Some("users"));
        assert_eq!(nearest("x", ["y"]), None);
        assert_eq!(nearest("tabels", ["tables", "timer"]), Some("tables"));
        let keyword = |sql: &str, message: &str| suggest(sql, message, &Nothing);
        assert_eq!(
            keyword("selct 1", "near \"selct\": syntax error").as_deref(),
            Some("select")
        );
        assert_eq!(
            keyword("SELECT * FORM t", "near \"FORM\": syntax error").as_deref(),
            Some("FROM")
        );
        assert_eq!(keyword("select * fro t where x", "near \"where\": syntax error"), None);
        assert_eq!(keyword("select 1 +", "incomplete input"), None);
    }
}
