//! `.edit`.

use super::CommandCall;
use crate::error::Result;
use crate::shell::editor::external;
use crate::shell::state::{Shell, ShellResult};

/// Takes the last statement, or the words given, into the user's editor. What is saved comes to the next prompt.
pub fn edit(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    let words = call.args.join(" ");
    match edit_next(shell, &words) {
        Ok(true) => Ok(()),
        Ok(false) => shell.fail(format_args!("Error: .edit needs a terminal")),
        Err(error) => shell.fail(format_args!("Error: {error}")),
    }
}

/// Takes `text`, or the last statement, into the user's editor; what is saved comes to the next prompt. False where
/// there is no terminal.
fn edit_next(shell: &mut Shell<'_>, text: &str) -> Result<bool> {
    let Some(terminal) = &mut shell.terminal else {
        return Ok(false);
    };
    let text = if text.is_empty() { terminal.last.as_str() } else { text };
    terminal.next = external::edit(text)?.map(|text| text.trim_end().to_owned());
    Ok(true)
}
