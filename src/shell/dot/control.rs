//! `.progress`, `.filectrl` and `.load`: rarely typed ways into the engine. Only a local database has them.

use super::Call;
use super::engine::local;
use crate::shell::state::{End, Ran, Shell};
use crate::shell::words::integer;
use rusqlite::FileControl;
use std::os::raw::c_int;

/// Interrupts statements that take too many steps, and counts along.
pub fn progress(shell: &mut Shell<'_>, call: &Call) -> Ran {
    let (mut quiet, mut once, mut limit, mut steps) = (false, false, 0_i64, 0_i64);
    let mut words = call.args.iter();
    while let Some(word) = words.next() {
        match word.strip_prefix("--").or_else(|| word.strip_prefix('-')) {
            Some("quiet" | "q") => quiet = true,
            Some("once") => once = true,
            // The count begins anew with each of these commands already.
            Some("reset") => {}
            Some("limit") => match words.next() {
                Some(number) => limit = integer(number),
                None => return shell.fail(format_args!("Error: missing argument on --limit")),
            },
            Some(_) => return shell.fail(format_args!("Error: unknown option: \"{word}\"")),
            None => steps = integer(word),
        }
    }
    let side = shell.side.clone();
    let mut calls = 0_i64;
    let handler = move || {
        calls += 1;
        if limit > 0 && calls >= limit {
            side.push(&format!("Progress limit reached ({calls})"));
            if once {
                limit = 0;
            }
            return true;
        }
        if !quiet {
            side.push(&format!("Progress {calls}"));
        }
        false
    };
    let steps = c_int::try_from(steps.max(0)).unwrap_or(c_int::MAX);
    let connection = local(shell, "progress")?;
    let set = if steps > 0 {
        connection.progress_handler(steps, Some(handler))
    } else {
        connection.progress_handler(0, None::<fn() -> bool>)
    };
    match set {
        Ok(()) => Ok(()),
        Err(error) => shell.fail(format_args!("Error: {error}")),
    }
}

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

pub fn filectrl(shell: &mut Shell<'_>, call: &Call) -> Ran {
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
        return Err(End::Failed(1));
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
            Err(End::Failed(1))
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
fn apply(shell: &mut Shell<'_>, control: &str, schema: Option<&str>, value: Option<i64>) -> Ran<Answer> {
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

/// Loads an extension: code of the user's choice, in this process.
pub fn load(shell: &mut Shell<'_>, call: &Call) -> Ran {
    shell.needs_trust(format_args!("cannot run .load in safe mode"))?;
    let (file, entry) = match call.texts()[..] {
        [] => return shell.fail(format_args!("Usage: .load FILE ?ENTRYPOINT?")),
        [file] => (file.to_owned(), None),
        [file, entry, ..] => (file.to_owned(), Some(entry.to_owned())),
    };
    let connection = local(shell, "load")?;
    // SAFETY: the user names the library and asks for its code to be run; loading from SQL is switched off again at once.
    #[allow(unsafe_code)]
    let loaded = unsafe {
        connection
            .load_extension_enable()
            .and_then(|()| connection.load_extension(&file, entry.as_deref()))
    };
    let _ = connection.load_extension_disable();
    match loaded {
        Ok(()) => Ok(()),
        Err(error) => shell.fail(format_args!("Error: {error}")),
    }
}
