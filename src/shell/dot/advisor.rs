//! `.expert`: the next statement is given to the index advisor.

use super::CommandCall;
use crate::shell::state::{Shell, ShellResult};
use crate::shell::words::{integer, is_option};

pub fn expert(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    let mut words = call.args.iter();
    while let Some(word) = words.next() {
        if is_option(word, "verbose") {
            // All there is to tell is told.
        } else if is_option(word, "sample") {
            match words.next().map(|number| integer(number)) {
                None => return shell.fail(format_args!("option requires an argument: {word}")),
                // Rows are not looked at here, so there is no sample to take.
                Some(0..=100) => {}
                Some(number) => return shell.fail(format_args!("value out of range: {number}")),
            }
        } else {
            // Classic complains, and counts it as no error.
            return shell.say(format_args!("unknown option: {word}"));
        }
    }
    shell.statements.advises = true;
    Ok(())
}
