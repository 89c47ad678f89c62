//! `.print`.

use super::CommandCall;
use crate::shell::state::{Shell, ShellResult};
use std::io::Write;

pub fn print(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    let line = call.raw.join(&b' ');
    shell.out.write_all(&line)?;
    shell.out.write_all(b"\n")?;
    Ok(())
}
