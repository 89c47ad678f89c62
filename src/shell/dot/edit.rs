//! `.edit`.

use super::Call;
use crate::shell::state::{Ran, Shell};

/// Takes the last statement, or the words given, into the user's editor. What is saved comes to the next prompt.
pub fn edit(shell: &mut Shell<'_>, call: &Call) -> Ran {
    shell.needs_trust(format_args!("cannot run .edit in safe mode"))?;
    let words = call.args.join(" ");
    match shell.edit_next(&words) {
        Ok(true) => Ok(()),
        Ok(false) => shell.fail(format_args!("Error: .edit needs a terminal")),
        Err(error) => shell.fail(format_args!("Error: {error}")),
    }
}
