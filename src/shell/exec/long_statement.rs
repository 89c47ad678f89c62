//! Statements that are too long for a server: long literals travel as parameters, and rows of an `INSERT` in parts.
//!
//! A server takes statements of up to a mebibyte, so that nobody makes it parse without end; parameters may be longer.

use super::{run_statement, run_statement_with};
use crate::shell::state::{Interrupt, Shell, ShellResult};
use crate::sql::{Args, Value};
use crate::sqltext::insert_values::values_start;
use crate::sqltext::quote::unquote;
use crate::sqltext::token::{TokenKind, significant_tokens, tokens};

/// Statements below this are sent as they are, in bytes: half of what a server takes, since what it counts may be longer.
pub const LONGEST: usize = 1 << 19;

/// Literals of at least so many bytes become parameters.
const LONG_LITERAL: usize = 1 << 12;

/// Runs a statement that is longer than [`LONGEST`].
pub fn run_long(shell: &mut Shell<'_>, sql: &str) -> ShellResult {
    let (sql, args) = with_parameters(sql);
    if sql.len() <= LONGEST {
        return run_statement_with(shell, &sql, args, &sql);
    }
    let Some(parts) = split_rows(&sql, LONGEST / 2) else {
        return run_statement_with(shell, &sql, args, &sql);
    };
    let own = !shell.session()?.in_transaction();
    if own {
        run_statement(shell, "BEGIN", "BEGIN")?;
    }
    for part in &parts {
        let named = args
            .named
            .iter()
            .filter(|(name, _)| part.contains(name.as_str()))
            .cloned()
            .collect();
        let args = Args {
            positional: Vec::new(),
            named,
        };
        if let Err(error) = run_statement_with(shell, part, args, part) {
            if own && !matches!(error, Interrupt::Exit(_)) {
                // What failed is reported; a transaction that is lost has undone itself.
                let _ = shell.query("ROLLBACK", &[])?;
            }
            return Err(error);
        }
    }
    if own {
        run_statement(shell, "COMMIT", "COMMIT")?;
    }
    Ok(())
}

/// The statement with its long literals as named parameters, and their values. Only statements that read and write rows may
/// have parameters; others stay as they are.
fn with_parameters(sql: &str) -> (String, Args) {
    let mut args = Args::default();
    let first = significant_tokens(sql)
        .find(|(kind, _)| *kind == TokenKind::Word)
        .map_or("", |(_, word)| word);
    let takes_parameters = ["INSERT", "REPLACE", "UPDATE", "DELETE", "SELECT", "WITH", "VALUES"]
        .iter()
        .any(|word| first.eq_ignore_ascii_case(word));
    if !takes_parameters {
        return (sql.to_owned(), args);
    }
    let mut short = String::with_capacity(sql.len().min(LONGEST));
    for (kind, text) in tokens(sql) {
        let value = match kind {
            TokenKind::String if text.len() >= LONG_LITERAL => Some(Value::Text(unquote(text).into_owned())),
            TokenKind::Blob if text.len() > LONG_LITERAL => blob(&text[1..]).map(Value::Blob),
            _ => None,
        };
        match value {
            Some(value) => {
                let name = format!(":torso_{:06}", args.named.len());
                short.push_str(&name);
                args.named.push((name, value));
            }
            None => short.push_str(text),
        }
    }
    (short, args)
}

/// The bytes of `'…'`, in which each has two hexadecimal digits.
fn blob(literal: &str) -> Option<Vec<u8>> {
    let digits = literal.strip_prefix('\'')?.strip_suffix('\'')?.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

/// The statements that insert the same rows, each of about `size` bytes. None if it is no `INSERT` of rows alone.
fn split_rows(sql: &str, size: usize) -> Option<Vec<String>> {
    // The head ends with the first row's parenthesis.
    let start = values_start(sql)? - 1;
    let head = &sql[..start];
    let mut parts = Vec::new();
    let mut part = String::from(head);
    let (mut depth, mut row, mut at) = (0_usize, start, start);
    let mut ended = false;
    for (kind, text) in tokens(&sql[start..]) {
        at += text.len();
        match (kind, text) {
            (TokenKind::Space | TokenKind::Comment, _) => {}
            (_, "(") if !ended => depth += 1,
            (_, ")") if depth > 1 => depth -= 1,
            (_, ")") if depth == 1 => {
                depth = 0;
                if part.len() > head.len() {
                    part.push(',');
                }
                part.push_str(sql[row..at].trim_start_matches(|letter: char| letter == ',' || letter.is_whitespace()));
                row = at;
                if part.len() >= size {
                    parts.push(std::mem::replace(&mut part, head.to_owned()));
                }
            }
            (_, ",") if depth == 0 && !ended => {}
            (_, ";") if depth == 0 => ended = true,
            // Something follows the rows: RETURNING, ON CONFLICT.
            _ if depth == 0 => return None,
            _ => {}
        }
    }
    if depth > 0 {
        return None;
    }
    if part.len() > head.len() {
        parts.push(part);
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_literals_become_parameters_and_short_ones_stay() {
        let long = "a''b".repeat(2000);
        let sql = format!("INSERT INTO t VALUES(1,'{long}','short',X'{}')", "00ff".repeat(2000));
        let (short, args) = with_parameters(&sql);
        assert_eq!(short, "INSERT INTO t VALUES(1,:torso_000000,'short',:torso_000001)");
        assert_eq!(args.named[0].1, Value::Text("a'b".repeat(2000)));
        assert_eq!(args.named[1].1, Value::Blob([0, 255].repeat(2000)));
        let table = format!("CREATE TABLE t(a DEFAULT '{long}')");
        assert_eq!(with_parameters(&table).0, table);
    }

    #[test]
    fn long_insert_is_split_between_rows() {
        let sql = "INSERT INTO t(a,b) VALUES(1,'x),('), (2,(3)),\n(4,5);";
        let parts = split_rows(sql, 1).unwrap();
        assert_eq!(
            parts,
            [
                "INSERT INTO t(a,b) VALUES(1,'x),(')",
                "INSERT INTO t(a,b) VALUES(2,(3))",
                "INSERT INTO t(a,b) VALUES(4,5)"
            ]
        );
        assert_eq!(split_rows(sql, 1000).unwrap().len(), 1);
        assert!(split_rows("INSERT INTO t VALUES(1),(2) RETURNING a", 1).is_none());
        assert!(split_rows("INSERT INTO t SELECT 1", 1).is_none());
    }
}
