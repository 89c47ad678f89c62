//! `.parameter`: values for the parameters of statements.

use super::CommandCall;
use crate::shell::exec::parameters::{create_table, query};
use crate::shell::state::{Interrupt, Shell, ShellResult};
use crate::sql::text::value_to_text;
use crate::sqltext::quote::literal;
use crate::sqltext::token::{TokenKind, tokens};
use std::io::Write;

/// Names are shown in a column no wider than this.
const WIDEST: usize = 40;

pub fn parameter(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    shell.session()?;
    match call.texts()[..] {
        ["clear"] => quietly(shell, "DROP TABLE IF EXISTS temp.sqlite_parameters"),
        ["list"] => list(shell),
        ["init"] => create_table(shell),
        ["set", name, value] => set(shell, name, value),
        ["unset", name] => quietly(
            shell,
            &format!("DELETE FROM temp.sqlite_parameters WHERE key={}", literal(name)),
        ),
        _ => super::help::print(shell, "parameter").map(drop),
    }
}

/// Runs a statement whose failure means that there was nothing to do.
fn quietly(shell: &mut Shell<'_>, sql: &str) -> ShellResult {
    query(shell, sql).map(drop)
}

fn list(shell: &mut Shell<'_>) -> ShellResult {
    let rows = query(shell, "SELECT key, quote(value) FROM temp.sqlite_parameters")?.unwrap_or_default();
    let width = rows
        .iter()
        .map(|row| value_to_text(&row[0]).chars().count())
        .max()
        .unwrap_or(0)
        .min(WIDEST);
    for row in rows {
        let (name, value) = (value_to_text(&row[0]), value_to_text(&row[1]));
        let pad = width.saturating_sub(name.len());
        writeln!(shell.out, "{name}{:pad$} {value}", "")?;
    }
    Ok(())
}

/// The largest number of a parameter, SQLite's default.
const LARGEST_NUMBER: u16 = 32_766;

/// Whether a value is no SQL, although SQLite could compute it: groups of digits and letters with `-`, `/`, `.` or `:` between
/// them, such as a date, a number of a telephone or a version.
fn is_text(value: &str) -> bool {
    let groups: Vec<&str> = value
        .trim_start_matches(['+', '-'])
        .split(['-', '/', '.', ':'])
        .collect();
    let is_group = |group: &&str| !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_alphanumeric());
    groups.len() > 1 && groups.iter().all(is_group) && value.parse::<f64>().is_err()
}

/// Whether a statement can have a parameter of this name: a number that SQLite takes behind `?`, or one token. SQLite takes `::` and
/// parentheses at the end for parts of a name, as variables of Tcl have them.
fn is_parameter_name(name: &str) -> bool {
    if let Some(number) = name.strip_prefix('?') {
        let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
        return is_number
            && number
                .parse::<u16>()
                .is_ok_and(|number| (1..=LARGEST_NUMBER).contains(&number));
    }
    let plain = name.replace("::", "");
    let plain = match plain.split_once('(') {
        Some((before, within)) if within.ends_with(')') && !within.contains(char::is_whitespace) => before,
        _ => &plain,
    };
    let mut all = tokens(plain);
    matches!(all.next(), Some((TokenKind::Parameter, text)) if text == plain && !text.starts_with('#'))
        && all.next().is_none()
}

/// The value is an SQL expression if it can be read as one and is not meant as a text, and a text otherwise.
fn set(shell: &mut Shell<'_>, name: &str, value: &str) -> ShellResult {
    if !is_parameter_name(name) {
        return shell.fail(format_args!(
            "Error: no statement can have a parameter called \"{name}\": names begin with :, @ or $, numbers with ?"
        ));
    }
    create_table(shell)?;
    let replace = |value: &str| {
        format!(
            "REPLACE INTO temp.sqlite_parameters(key,value) VALUES({},{value});",
            literal(name)
        )
    };
    // Prepared first: only what cannot be understood is a text, not what fails as it runs.
    let understood = !is_text(value) && query(shell, &format!("EXPLAIN {}", replace(value)))?.is_ok();
    let sql = if understood {
        replace(value)
    } else {
        replace(&literal(value))
    };
    match query(shell, &sql)? {
        Ok(_) => Ok(()),
        Err(_) if understood => Ok(()),
        Err(failure) => {
            shell.show(format_args!("Error: {failure}"))?;
            Err(Interrupt::Failed(1))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{is_parameter_name, is_text};

    #[test]
    fn parameter_names_are_those_that_a_statement_can_have() {
        for name in [
            "@a", ":a", "$a", "@1", ":é", "?1", "?32766", "?01", "$a::b", "$a::b(c)", "@a_b$",
        ] {
            assert!(is_parameter_name(name), "{name}");
        }
        for name in [
            "", "a", "@", "?", "?0", "?32767", "?99999", "?x", "?1a", "@a b", "@a-b", "@a.b", "@x;", "$a(b", "$a(b c)",
            "#1", "'@a'",
        ] {
            assert!(!is_parameter_name(name), "{name}");
        }
    }

    #[test]
    fn parameter_value_that_sqlite_would_compute_is_text() {
        for text in [
            "2024-01-02",
            "555-1234",
            "+31-20-1234567",
            "1.2.3",
            "10:30",
            "1/2",
            "a-b",
        ] {
            assert!(is_text(text), "{text}");
        }
        for sql in [
            "1",
            "-2.5e3",
            "2.5",
            "0x1F",
            "'it''s'",
            "x'00ff'",
            "NULL",
            "datetime('now')",
            "1+1",
            "1 - 2",
            "",
        ] {
            assert!(!is_text(sql), "{sql}");
        }
    }
}
