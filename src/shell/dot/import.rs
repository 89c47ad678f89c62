//! `.import`: the command; reading and inserting is done by `crate::shell::import`.

use super::CommandCall;
use crate::shell::state::{Interrupt, Shell, ShellResult};
use crate::shell::{import, interrupt};
use crate::sql::Failure;
use std::io::{IsTerminal, Write};

pub fn import(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    let options = match import::ImportOptions::parse(&call.texts(), &shell.settings.style) {
        Ok(options) => options,
        Err(import::ImportArgumentError::Usage(problem)) => {
            shell.out.write_all(problem.as_bytes())?;
            super::help::print(shell, "import")?;
            return Err(Interrupt::Failed(1));
        }
        Err(import::ImportArgumentError::Message(message)) => return shell.fail(format_args!("{message}")),
    };
    if options.line_feed_rows {
        shell.settings.style.row_separator = "\n".to_owned();
    }
    shell.session()?;
    shell.out.flush()?;
    interrupt::clear();
    let slot = &mut shell.connections.slots[shell.connections.active];
    let Some(session) = &mut slot.session else {
        return Ok(());
    };
    let mut streams = import::ImportStreams {
        out: &mut shell.out,
        err: &mut std::io::stderr(),
        terminal: std::io::stderr().is_terminal(),
    };
    match import::import(session.as_mut(), &options, &mut streams, &interrupt::pressed) {
        Ok(0) => Ok(()),
        Ok(code) => Err(Interrupt::Failed(code)),
        Err(Failure::Connection(error)) => shell.fail_with_error(error),
        Err(failure) => shell.fail_because(failure),
    }
}
