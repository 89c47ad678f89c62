//! Judges virtual tables: the module, and its arguments, which may name tables and functions.

use super::expression::Judged;
use super::names::{check_table, fold};
use super::{Violation, ViolationKind, lists};
use crate::sqltext::token::{TokenKind, next_significant};
use libsql_sqlite3_parser::ast::Name;

/// Options of full text tables whose value is a table.
const TABLE_OPTIONS: &[&str] = &["content"];

/// Options of full text tables with values that reach nothing. Not among them: `compress` and `uncompress` of FTS4, which
/// name functions.
const OPTIONS: &[&str] = &[
    "columnsize",
    "content_rowid",
    "contentless_delete",
    "contentless_unindexed",
    "detail",
    "languageid",
    "locale",
    "matchinfo",
    "notindexed",
    "order",
    "prefix",
    "tokendata",
    "tokenize",
];

pub(super) fn judge(module: &Name, args: &[String]) -> Judged {
    let folded = fold(&module.0);
    if !lists::contains(lists::VIRTUAL_TABLE_MODULES, &folded) {
        return Err(Violation::new(ViolationKind::Module, folded));
    }
    let refused = |arg: &str| {
        Violation::new(
            ViolationKind::Module,
            format!("{folded} with the argument {}", arg.trim()),
        )
    };
    for arg in args {
        let tokens = tokens(arg).ok_or_else(|| refused(arg))?;
        let allowed = match &*folded {
            "fts3" | "fts4" | "fts5" => full_text(&tokens)?,
            "fts3tokenize" => true,
            // Tables and schemas by name.
            _ => tokens
                .iter()
                .filter_map(ArgumentToken::name)
                .try_for_each(check_table)
                .map(|()| true)?,
        };
        if !allowed {
            return Err(refused(arg));
        }
    }
    Ok(())
}

/// A token of an argument.
enum ArgumentToken {
    /// A word, or a name or a text without its quotes.
    Name(String),
    Number,
    Sign(u8),
}

impl ArgumentToken {
    fn name(&self) -> Option<&str> {
        match self {
            Self::Name(name) => Some(name),
            Self::Number | Self::Sign(_) => None,
        }
    }
}

/// The tokens of an argument; none where there is anything but names, numbers and a few signs. Modules read arguments with
/// lexers of their own, so nothing is let through that they could split elsewhere: no quotes in quotes. Comments are skipped:
/// a module that does not know them takes them for a part of a value, which then names no table.
fn tokens(arg: &str) -> Option<Vec<ArgumentToken>> {
    let mut pieces = Vec::new();
    let mut rest = arg.as_bytes();
    while let Some((token, after)) = next_significant(rest) {
        rest = after;
        let inner = token.quoted().map(|inner| String::from_utf8_lossy(inner).into_owned());
        match (token.kind, inner) {
            (TokenKind::Word, _) => {
                pieces.push(ArgumentToken::Name(String::from_utf8_lossy(token.text).into_owned()));
            }
            (TokenKind::QuotedName | TokenKind::String | TokenKind::Illegal, Some(inner)) => {
                let is_option = pieces.iter().any(|piece| matches!(piece, ArgumentToken::Sign(b'=')));
                // A tokenizer's options have quotes of their own.
                if inner.contains(['"', '`', '[', ']', ';']) || (inner.contains('\'') && !is_option) {
                    return None;
                }
                pieces.push(ArgumentToken::Name(inner));
            }
            (TokenKind::Number, _) => pieces.push(ArgumentToken::Number),
            (TokenKind::Symbol, _) => {
                for &sign in token.text {
                    if !matches!(sign, b'=' | b'+' | b'-' | b'(' | b')' | b'.' | b',') {
                        return None;
                    }
                    pieces.push(ArgumentToken::Sign(sign));
                }
            }
            _ => return None,
        }
    }
    Some(pieces)
}

/// A column, or an option that is known.
fn full_text(tokens: &[ArgumentToken]) -> Result<bool, Violation> {
    match tokens {
        [ArgumentToken::Name(option), ArgumentToken::Sign(b'='), value @ ..] => {
            let option = option.to_ascii_lowercase();
            if TABLE_OPTIONS.contains(&&*option) {
                return match value {
                    [] => Ok(true),
                    [ArgumentToken::Name(table)] => check_table(table).map(|()| true),
                    _ => Ok(false),
                };
            }
            Ok(OPTIONS.contains(&&*option))
        }
        _ => Ok(!tokens.iter().any(|token| matches!(token, ArgumentToken::Sign(b'=')))),
    }
}
