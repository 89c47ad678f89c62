//! `.stats`.

use super::CommandCall;
use crate::shell::exec::stats::{self, OF_STATEMENT, ONLY_STEPS};
use crate::shell::state::{Shell, ShellResult};

pub fn stats(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    shell.settings.stats = match call.texts()[..] {
        ["stmt"] => OF_STATEMENT,
        ["vmstep"] => ONLY_STEPS,
        [word] => u8::from(shell.switch(word)? != 0),
        [] => return stats::print_now(shell),
        _ => return shell.fail(format_args!("Usage: .stats ?on|off|stmt|vmstep?")),
    };
    Ok(())
}
