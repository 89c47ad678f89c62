//! `.timeout`: how long a statement waits.

use super::CommandCall;
use crate::shell::state::{Shell, ShellResult};
use crate::shell::words::integer;
use std::time::Duration;

pub fn timeout(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    let millis = call.args.first().map_or(0, |word| integer(word));
    let timeout = Duration::from_millis(u64::try_from(millis).unwrap_or(0).min(0x7fff_ffff));
    let set = shell.session()?.set_timeout(timeout);
    match set {
        Ok(()) => Ok(()),
        Err(error) => shell.fail(format_args!("Error: {error}")),
    }
}
