//! `.exit` and `.quit`.

use super::CommandCall;
use crate::shell::state::{Interrupt, Shell, ShellResult};
use crate::shell::words::integer;

pub fn quit(_: &mut Shell<'_>, _: &CommandCall) -> ShellResult {
    Err(Interrupt::Quit)
}

pub fn exit(_: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    match call.args.first().map_or(0, |word| integer(word)) {
        0 => Err(Interrupt::Quit),
        #[allow(clippy::cast_possible_truncation)] // only the low byte reaches the caller anyway
        code => Err(Interrupt::Exit(code as i32)),
    }
}
