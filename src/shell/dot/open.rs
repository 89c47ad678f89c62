//! `.open`: another database on the active connection.

use super::CommandCall;
use crate::shell::state::{Shell, ShellResult, Slot};
use crate::shell::words::is_option;
use crate::sql::{Session, Target};
use std::path::Path;

/// What a user's word for a database stands for.
pub(super) fn target(shell: &mut Shell<'_>, name: &str) -> ShellResult<Target> {
    if name == ":memory:" {
        return Ok(Target::Memory);
    }
    match (shell.hooks.resolve)(name) {
        Ok(Some(target)) => Ok(target),
        Ok(None) => Ok(Target::file(name)),
        Err(error) => shell.fail(format_args!("Error: {error}")),
    }
}

pub fn open(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    let mut file: Option<&str> = None;
    let (mut new, mut read_only, mut no_links) = (false, false, false);
    for word in &call.args {
        if is_option(word, "new") {
            new = true;
        } else if is_option(word, "readonly") {
            read_only = true;
        } else if is_option(word, "nofollow") {
            no_links = true;
        } else if word.starts_with('-') {
            return shell.fail(format_args!("unknown option: {word}"));
        } else if file.is_some() {
            return shell.fail(format_args!("extra argument: \"{word}\""));
        } else {
            file = Some(word);
        }
    }
    let Some(file) = file else {
        shell.disconnect();
        *shell.slot() = Slot::default();
        return shell.session().map(drop);
    };
    if file != ":memory:" {
        shell.check_safe_mode(format_args!("cannot open disk-based database files in safe mode"))?;
    }
    if !shell.input.at_prompt() {
        // Whatever happens, nothing that follows is meant for the database that was open.
        shell.disconnect();
        *shell.slot() = Slot::unavailable(file);
    }
    let target = target(shell, file)?;
    if let (true, Target::File { create: false, .. }) = (new, &target) {
        return shell.fail(format_args!(
            "Error: {file} is a database of torso, whose file --new would remove. Drop its tables, or: torso db destroy {file}"
        ));
    }
    let target = target.restricted(read_only, no_links);
    if let (true, Target::File { path, .. }) = (new, &target) {
        shell.check_output_file(path)?;
        remove_database(shell, path)?;
    }
    match connect(shell, &target) {
        Ok(session) => {
            shell.disconnect();
            *shell.slot() = Slot {
                file: Some(target.called(file)),
                target: Some(target),
                session: Some(session),
                ..Slot::default()
            };
            Ok(())
        }
        Err(error) => {
            let name = target.called(file);
            if shell.input.at_prompt() {
                shell.fail(format_args!("Error: {error}\nThe database that was open stays open."))
            } else {
                shell.fail(format_args!(
                    "Error: {error}\nNo database is open until \"{name}\" or another one is."
                ))
            }
        }
    }
}

/// Connects to a database. At the prompt a server has to answer, since the database that is open is left for it.
fn connect(shell: &mut Shell<'_>, target: &Target) -> crate::error::Result<Box<dyn Session>> {
    let mut session = shell.connect(target)?;
    if shell.input.at_prompt() && !session.is_local() {
        crate::sql::query::rows(session.as_mut(), "SELECT 1")?;
    }
    Ok(session)
}

/// Removes a file for `.open --new`, with what SQLite keeps beside it: a journal of the old database would be taken for one of
/// the new.
fn remove_database(shell: &mut Shell<'_>, path: &Path) -> ShellResult {
    #[cfg(unix)]
    if let Err(error) = crate::served_file::check_free(path) {
        return shell.fail(format_args!("Error: {error}"));
    }
    for suffix in ["", "-journal", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match std::fs::remove_file(&name) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return shell.fail(format_args!("Error: cannot remove \"{}\": {error}", name.display()));
            }
            _ => {}
        }
    }
    Ok(())
}
