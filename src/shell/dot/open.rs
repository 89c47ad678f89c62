//! `.open`: another database on the active connection.

use super::Call;
use crate::shell::state::{Shell, ShellResult, Slot};
use crate::shell::words::is_option;
use crate::sql::Target;

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

pub fn open(shell: &mut Shell<'_>, call: &Call) -> ShellResult {
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
    shell.disconnect();
    *shell.slot() = Slot::default();
    let Some(file) = file else {
        return shell.session().map(drop);
    };
    if shell.settings.safe && file != ":memory:" {
        shell.check_safe_mode(format_args!("cannot open disk-based database files in safe mode"))?;
    }
    let target = target(shell, file)?.restricted(read_only, no_links);
    if let (true, Target::File { path, .. }) = (new, &target) {
        // What cannot be removed cannot be opened anew either, and that is told.
        let _ = std::fs::remove_file(path);
    }
    match shell.connect(&target) {
        Ok(session) => {
            *shell.slot() = Slot {
                file: Some(target.called(file)),
                target: Some(target),
                session: Some(session),
                ..Slot::default()
            };
            Ok(())
        }
        Err(error) => {
            shell.say(format_args!(
                "Error: {error}\nNotice: using substitute in-memory database instead of \"{}\"",
                target.called(file)
            ))?;
            *shell.slot() = Slot {
                file: Some(target.called(file)),
                target: Some(Target::Memory),
                ..Slot::default()
            };
            shell.session().map(drop)
        }
    }
}
