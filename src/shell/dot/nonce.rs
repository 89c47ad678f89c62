//! `.nonce`: lifts safe mode for one command.

use super::CommandCall;
use crate::shell::state::{Interrupt, Shell, ShellResult};

pub fn nonce(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    match call.texts()[..] {
        [word] if shell.settings.nonce.as_deref() == Some(word) => {
            shell.trust(true);
            Ok(())
        }
        [word] => {
            let line = shell.input.line;
            shell.say(format_args!("line {line}: incorrect nonce: \"{word}\""))?;
            Err(Interrupt::Exit(1))
        }
        _ => shell.fail(format_args!("Usage: .nonce NONCE")),
    }
}
