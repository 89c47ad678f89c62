//! `.dump`: the command; what is written is made by `crate::shell::dump`.

use super::CommandCall;
use crate::shell::state::{Shell, ShellResult};

pub fn dump(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    let options = match crate::shell::dump::DumpOptions::parse(call.texts()) {
        Ok(options) => options,
        Err(word) => return shell.fail(format_args!("Unknown option \"{word}\" on \".dump\"")),
    };
    shell.session()?;
    let slot = &mut shell.connections.slots[shell.connections.active];
    let Some(session) = &mut slot.session else {
        return Ok(());
    };
    match crate::shell::dump::dump(session.as_mut(), &options, &mut shell.out) {
        Ok(report) if report.errors > 0 => {
            if let Err(failure) = shell.query("SELECT count(*) FROM sqlite_schema", &[])?
                && failure.primary_code() == Some(rusqlite::ffi::SQLITE_NOTADB)
            {
                return shell.fail(format_args!("Error: nothing could be read: {failure}"));
            }
            shell.fail(format_args!(
                "Error: not everything could be read: the dump ends in ROLLBACK (.recover saves what can be read)"
            ))
        }
        Ok(_) => Ok(()),
        Err(failure) => shell.fail_because(failure),
    }
}
