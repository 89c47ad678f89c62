//! `.system`, `.shell` and `.cd`: the operating system.

use super::CommandCall;
use crate::change_outcome::note_lasting_change;
use crate::shell::output::shell_command;
use crate::shell::state::{Shell, ShellResult};
use std::io::Write;

pub fn cd(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    match call.texts()[..] {
        [directory] => match std::env::set_current_dir(directory) {
            Ok(()) => Ok(()),
            Err(_) => shell.fail(format_args!("Cannot change to directory \"{directory}\"")),
        },
        _ => shell.fail(format_args!("Usage: .cd DIRECTORY")),
    }
}

pub fn system(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    if call.args.is_empty() {
        return shell.fail(format_args!("Usage: .system COMMAND"));
    }
    let words: Vec<String> = call
        .args
        .iter()
        .map(|word| {
            if word.contains(' ') {
                format!("\"{word}\"")
            } else {
                word.clone()
            }
        })
        .collect();
    shell.out.flush()?;
    note_lasting_change();
    let status = shell_command(&words.join(" ")).status();
    #[cfg(unix)]
    let raw = status.map_or(-1, std::os::unix::process::ExitStatusExt::into_raw);
    #[cfg(not(unix))]
    let raw = status.ok().and_then(|status| status.code()).unwrap_or(-1);
    if raw != 0 {
        shell.say(format_args!("System command returns {raw}"))?;
    }
    Ok(())
}
