//! What a statement is, as far as its words tell: enough to choose how to send it, to show it and to ask before it.
//!
//! Nothing here decides what somebody may do: the engine has the last word on what a statement means, and
//! [`super::policy`] reads the parsed statement.

use super::quote::is_keyword;
use super::token::{TokenKind, significant_tokens, tokens};

/// The kind of a statement. One behind `WITH` has the kind of what follows the common tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatementKind {
    /// `SELECT` and `VALUES`.
    Read,
    /// `INSERT`, `REPLACE`, `UPDATE` and `DELETE`.
    Write,
    Pragma,
    Begin,
    /// `COMMIT` and `END`.
    Commit,
    /// `ROLLBACK` of the whole transaction.
    Rollback,
    /// `ROLLBACK TO` a savepoint.
    RollbackTo,
    Savepoint,
    Release,
    Other,
}

/// How a statement is to be explained instead of being run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Explain {
    #[default]
    No,
    /// `EXPLAIN`: the program.
    Program,
    /// `EXPLAIN QUERY PLAN`.
    Plan,
}

/// A statement, classified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatementSummary {
    /// Where the statement begins in the text, after white space, comments and semicolons.
    pub start: usize,
    pub kind: StatementKind,
    pub explain: Explain,
    /// It may have parameters.
    pub has_parameters: bool,
    /// It may have a `RETURNING` clause.
    pub has_returning: bool,
}

impl StatementSummary {
    /// Classifies the first statement in `sql`; none if there are only white space, comments and semicolons. Reads to the
    /// end of `sql`, so pass one statement (see [`super::split::first_statement`]).
    #[must_use]
    pub fn of(sql: &str) -> Option<Self> {
        let mut summary = Self {
            start: 0,
            kind: StatementKind::Other,
            explain: Explain::No,
            has_parameters: false,
            has_returning: false,
        };
        let mut begun = false;
        let (mut with, mut words, mut depth, mut at) = (false, 0, 0_usize, 0);
        for (token, text) in tokens(sql) {
            let start = at;
            at += text.len();
            match (token, text) {
                (TokenKind::Space | TokenKind::Comment, _) => continue,
                // To the tokenizer no comment, but whoever types has just begun one.
                (TokenKind::Symbol, "/") if &sql[start..] == "/*" => break,
                // A vertical tab is white space for the shell.
                (TokenKind::Symbol, ";") | (TokenKind::Illegal, "\u{b}") if !begun => continue,
                (TokenKind::Symbol, "(") => depth += 1,
                (TokenKind::Symbol, ")") => depth = depth.saturating_sub(1),
                (TokenKind::Parameter, _) => summary.has_parameters = true,
                _ => {}
            }
            if !begun {
                begun = true;
                summary.start = start;
            }
            let word = if token == TokenKind::Word { text } else { "" };
            let is = |name: &str| word.eq_ignore_ascii_case(name);
            if words == 0 && is("EXPLAIN") {
                summary.explain = Explain::Program;
            } else if summary.explain == Explain::Program && words == 1 && is("QUERY") {
                summary.explain = Explain::Plan;
            } else if words == 0 || (with && depth == 0 && summary.kind == StatementKind::Other) {
                with |= words == 0 && is("WITH");
                summary.kind = kind_of(word);
            } else if matches!(words, 1 | 2) && summary.kind == StatementKind::Rollback && is("TO") {
                summary.kind = StatementKind::RollbackTo;
            }
            summary.has_returning |= is("RETURNING");
            words += 1;
        }
        begun.then_some(summary)
    }

    /// Whether it may return many rows.
    #[must_use]
    pub fn may_return_rows(&self) -> bool {
        self.explain == Explain::No && (self.kind == StatementKind::Read || self.has_returning)
    }

    /// Whether it cannot change the database, as far as the words tell.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.explain != Explain::No || self.kind == StatementKind::Read
    }

    /// Whether it ends the whole transaction.
    #[must_use]
    pub fn ends_transaction(&self) -> bool {
        self.explain == Explain::No && matches!(self.kind, StatementKind::Commit | StatementKind::Rollback)
    }
}

/// The kind that the first word of a statement tells.
fn kind_of(word: &str) -> StatementKind {
    const KINDS: [(&str, StatementKind); 13] = [
        ("SELECT", StatementKind::Read),
        ("VALUES", StatementKind::Read),
        ("INSERT", StatementKind::Write),
        ("REPLACE", StatementKind::Write),
        ("UPDATE", StatementKind::Write),
        ("DELETE", StatementKind::Write),
        ("PRAGMA", StatementKind::Pragma),
        ("BEGIN", StatementKind::Begin),
        ("COMMIT", StatementKind::Commit),
        ("END", StatementKind::Commit),
        ("ROLLBACK", StatementKind::Rollback),
        ("SAVEPOINT", StatementKind::Savepoint),
        ("RELEASE", StatementKind::Release),
    ];
    KINDS
        .iter()
        .find(|(name, _)| word.eq_ignore_ascii_case(name))
        .map_or(StatementKind::Other, |(_, kind)| *kind)
}

/// Returns the kind of the statement at the start of `sql` by its first word alone, however long it is.
#[must_use]
pub fn first_word_kind(sql: &str) -> StatementKind {
    significant_tokens(sql)
        .next()
        .map_or(StatementKind::Other, |(_, word)| kind_of(word))
}

/// Whether a text is one statement that ends the whole transaction, and nothing else.
#[must_use]
pub fn only_ends_transaction(sql: &str) -> bool {
    let is = |(token, word): (TokenKind, &str), names: &[&str]| {
        token == TokenKind::Word && names.iter().any(|name| word.eq_ignore_ascii_case(name))
    };
    let mut rest = significant_tokens(sql).peekable();
    rest.next_if(|&token| is(token, &["COMMIT", "END", "ROLLBACK"]))
        .is_some()
        && {
            rest.next_if(|&token| is(token, &["TRANSACTION"]));
            rest.all(|(_, text)| text == ";")
        }
}

/// What a statement destroys that a person may want to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DestructiveKind {
    /// `DROP`
    Drops,
    /// `ALTER`
    Alters,
    /// `UPDATE` without `WHERE`
    UpdatesAllRows,
    /// `DELETE` without `WHERE`
    DeletesAllRows,
}

/// Returns what a statement destroys; none for those that destroy little or nothing.
#[must_use]
pub fn destructive_kind(sql: &str) -> Option<DestructiveKind> {
    let mut depth = 0_usize;
    // Keywords that no parentheses enclose: what is in them belongs to a subquery or a column list.
    let mut words = Vec::new();
    for (token, text) in significant_tokens(sql) {
        match (token, text) {
            (TokenKind::Symbol, "(") => depth += 1,
            (TokenKind::Symbol, ")") => depth = depth.saturating_sub(1),
            (TokenKind::Word, word) if depth == 0 && is_keyword(word.as_bytes()) => words.push(word),
            _ => {}
        }
    }
    let is = |word: &str, names: &[&str]| names.iter().any(|name| word.eq_ignore_ascii_case(name));
    let first = *words.first()?;
    let verb = if is(first, &["WITH"]) {
        let verbs = ["UPDATE", "DELETE", "INSERT", "REPLACE", "SELECT"];
        words.iter().copied().find(|word| is(word, &verbs))?
    } else {
        first
    };
    let is_bounded = words.iter().any(|word| is(word, &["WHERE"]));
    match () {
        () if is(verb, &["DROP"]) => Some(DestructiveKind::Drops),
        () if is(verb, &["ALTER"]) => Some(DestructiveKind::Alters),
        () if is(verb, &["UPDATE"]) && !is_bounded => Some(DestructiveKind::UpdatesAllRows),
        () if is(verb, &["DELETE"]) && !is_bounded => Some(DestructiveKind::DeletesAllRows),
        () => None,
    }
}

/// Returns `sql` with numbered parameters (`?1`); `names` has the name of each parameter that has one. Only the name of a
/// result column that is just a parameter changes.
#[must_use]
pub fn number_parameters(sql: &str, names: &[Option<String>]) -> String {
    let mut numbered = String::with_capacity(sql.len() + 8);
    let mut highest = 0;
    for (token, text) in tokens(sql) {
        if token != TokenKind::Parameter {
            numbered.push_str(text);
            continue;
        }
        let named = names.iter().position(|name| name.as_deref() == Some(text));
        let number = match named {
            Some(index) if text != "?" => index + 1,
            _ => highest + 1,
        };
        highest = highest.max(number);
        numbered.push_str(&format!("?{number}"));
    }
    numbered
}

#[cfg(test)]
mod tests;
