//! Asking before a statement that may destroy much, where the database is marked as protected.
//!
//! Only a person at the terminal is asked, about what was typed there and for the database the shell was started on.

use super::screen;
use crate::shell::editor::lex::{self, Kind};
use crate::shell::interrupt;
use crate::shell::state::{Shell, ShellResult};
use std::io::{self, Write};

/// What a statement would do that deserves a question; none for all others.
fn danger(sql: &str) -> Option<&'static str> {
    let mut depth = 0_usize;
    // Words that no parentheses enclose: what is in them belongs to a subquery or a column list.
    let mut words = Vec::new();
    for token in lex::tokens(sql).into_iter().filter(lex::Token::matters) {
        match token.text(sql) {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            word if depth == 0 && token.kind == Kind::Keyword => words.push(word.to_ascii_uppercase()),
            _ => {}
        }
    }
    let is = |word: &String, one: &[&str]| one.contains(&word.as_str());
    let first = words.first()?;
    let verb = if first == "WITH" {
        words
            .iter()
            .find(|word| is(word, &["UPDATE", "DELETE", "INSERT", "REPLACE", "SELECT"]))?
    } else {
        first
    };
    let bounded = words.iter().any(|word| word == "WHERE");
    match verb.as_str() {
        "DROP" => Some("this drops a part of the schema, and what it holds"),
        "ALTER" => Some("this alters the schema"),
        "UPDATE" if !bounded => Some("this updates every row of the table"),
        "DELETE" if !bounded => Some("this deletes every row of the table"),
        _ => None,
    }
}

/// Has the person at the terminal agree to `sql`, where that is called for. Fails if they do not.
pub fn confirm_statement(shell: &mut Shell<'_>, sql: &str) -> ShellResult {
    // Deeper than what is typed are files that are read.
    if shell.input.nesting != 1 || !screen::is_protected(shell) {
        return Ok(());
    }
    match danger(sql) {
        Some(danger) => confirm(shell, danger),
        None => Ok(()),
    }
}

/// Has the person at the terminal agree to what destroys much, where the database is protected. Fails if they do not.
pub fn confirm(shell: &mut Shell<'_>, danger: &str) -> ShellResult {
    if shell.input.nesting != 1 || !screen::is_protected(shell) {
        return Ok(());
    }
    shell.out.flush()?;
    let mut answer = String::new();
    let mut err = io::stderr();
    write!(err, "The database is protected, and {danger}. Go ahead? [y/N] ")?;
    err.flush()?;
    io::stdin().read_line(&mut answer)?;
    if !interrupt::pressed() && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    shell.fail(format_args!("Not run."))
}

#[cfg(test)]
mod tests {
    use super::danger;

    #[test]
    fn what_destroys_much_is_told_from_what_does_not() {
        for sql in [
            "drop table t",
            "/* c */ Drop View v;",
            "alter table t add b",
            "delete from t;",
            "update t set a = (select b from u where u.i = t.i)",
            "with x as (select 1 where true) delete from t",
            "delete from t -- where a = 1",
            "update t set a = 'where'",
            "delete from \"where\"",
        ] {
            assert!(danger(sql).is_some(), "{sql}");
        }
        for sql in [
            "",
            ";",
            "select 1",
            "delete from t where a = 1",
            "update t set a = 1 where b",
            "with x as (select 1) update t set a = 1 where b in x",
            "insert into t values(1) on conflict do update set a = 1",
            "create table t(a references u on delete cascade)",
            "explain delete from t",
            "create trigger r after insert on t begin delete from u; end",
            "with x as (select 1) select * from x",
        ] {
            assert!(danger(sql).is_none(), "{sql}");
        }
    }
}
