//! `.filectrl`: settings of the layer through which the engine reaches its file. Only a local database has it.

use super::CommandCall;
use super::local::local;
use crate::shell::state::{Interrupt, Shell, ShellResult};
use crate::shell::words::integer;
use rusqlite::FileControl;
use std::os::raw::c_int;

/// File controls by name, and what they take.
const CONTROLS: [(&str, &str); 9] = [
    ("chunk_size", "SIZE"),
    ("data_version", ""),
    ("has_moved", ""),
    ("lock_timeout", "MILLISEC"),
    ("persist_wal", "[BOOLEAN]"),
    ("psow", "[BOOLEAN]"),
    ("reserve_bytes", "[N]"),
    ("size_limit", "[LIMIT]"),
    ("tempfilename", ""),
];

pub fn filectrl(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    local(shell, "filectrl")?;
    let mut words = call.texts();
    let mut schema = None;
    if words.len() >= 3 && matches!(words[0], "--schema" | "-schema") {
        schema = Some(words[1].to_owned());
        words.drain(..2);
    }
    let typed = words.first().copied().unwrap_or("help");
    let name = match typed.strip_prefix("--").or_else(|| typed.strip_prefix('-')) {
        Some(name) if !name.is_empty() => name,
        _ => typed,
    };
    if name == "help" {
        shell.show(format_args!("Available file-controls:"))?;
        for (name, usage) in CONTROLS {
            shell.show(format_args!("  .filectrl {name} {usage}"))?;
        }
        return Err(Interrupt::Failed(1));
    }
    let mut matching = CONTROLS.iter().filter(|(control, _)| control.starts_with(name));
    let (control, usage) = match (matching.next(), matching.next()) {
        (Some(only), None) => *only,
        (Some(_), Some(_)) => {
            return shell.fail(format_args!(
                "Error: ambiguous file-control: \"{name}\"\nUse \".filectrl --help\" for help"
            ));
        }
        _ => {
            return shell.say(format_args!(
                "Error: unknown file-control: {name}\nUse \".filectrl --help\" for help"
            ));
        }
    };
    let value = match (control, words.get(1)) {
        ("persist_wal" | "psow", Some(word)) => Some(i64::from(shell.switch(word)?)),
        (_, word) => word.map(|word| integer(word)),
    };
    match (apply(shell, control, schema.as_deref(), value)?, words.len()) {
        (_, 3..) | (Answer::Usage, _) => {
            shell.show(format_args!("Usage: .filectrl {name} {usage}"))?;
            Err(Interrupt::Failed(1))
        }
        (Answer::Number(number), _) => shell.show(format_args!("{number}")),
        (Answer::Nothing, _) => Ok(()),
    }
}

enum Answer {
    Number(i64),
    Nothing,
    /// It was asked for in the wrong way.
    Usage,
}

/// Asks the file. What it does not support leaves the value as it was, as in classic.
fn apply(shell: &mut Shell<'_>, control: &str, schema: Option<&str>, value: Option<i64>) -> ShellResult<Answer> {
    let connection = local(shell, "filectrl")?;
    let mut number = value.unwrap_or(-1);
    #[allow(clippy::cast_possible_truncation)] // as classic does
    let mut small = number as c_int;
    let mut version = 0;
    Ok(match (control, value) {
        ("size_limit", _) => {
            let _ = connection.file_control(schema, FileControl::SizeLimit(&mut number));
            Answer::Number(number)
        }
        ("chunk_size", Some(_)) => {
            let _ = connection.file_control(schema, FileControl::ChunkSize(&mut small));
            Answer::Nothing
        }
        ("lock_timeout", Some(_)) => {
            let _ = connection.file_control(schema, FileControl::LockTimeout(&mut small));
            Answer::Nothing
        }
        ("persist_wal", _) => {
            let _ = connection.file_control(schema, FileControl::PersistWal(&mut small));
            Answer::Number(i64::from(small))
        }
        ("psow", _) => {
            let _ = connection.file_control(schema, FileControl::PowerSafeOverwrite(&mut small));
            Answer::Number(i64::from(small))
        }
        ("reserve_bytes", _) => {
            if value.is_some() {
                let _ = connection.file_control(schema, FileControl::ReserveBytes(&mut small));
            }
            small = -1;
            let _ = connection.file_control(schema, FileControl::ReserveBytes(&mut small));
            Answer::Number(i64::from(small))
        }
        ("data_version", None) => {
            let _ = connection.file_control(schema, FileControl::DataVersion(&mut version));
            Answer::Number(i64::from(version))
        }
        #[cfg(unix)]
        ("has_moved", None) => {
            small = 0;
            let _ = connection.file_control(schema, FileControl::HasMoved(&mut small));
            Answer::Number(i64::from(small))
        }
        // The engine's bindings do not hand the name of a temporary file out.
        ("tempfilename", None) => Answer::Nothing,
        _ => Answer::Usage,
    })
}
