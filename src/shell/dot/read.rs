//! `.read`: a script from a file or a program.

use super::CommandCall;
use super::script::read_lines;
use crate::shell::input::Reader;
use crate::shell::output::{failure_of_program, shell_command};
use crate::shell::state::{Interrupt, Shell, ShellResult};
use crate::sql::trailer;
use std::fs::File;
use std::io::Write;
use std::process::Stdio;

pub fn read(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    let [place] = call.texts()[..] else {
        return shell.fail(format_args!("Usage: .read FILE"));
    };
    let line = shell.input.line;
    let failed = if let Some(command) = place.strip_prefix('|') {
        shell.out.flush()?;
        let Ok(mut child) = shell_command(command).stdout(Stdio::piped()).spawn() else {
            return shell.fail(format_args!("Error: cannot open \"{place}\""));
        };
        let failed = match child.stdout.take() {
            Some(stdout) => read_lines(shell, &mut Reader::new(stdout)),
            None => Ok(true),
        };
        let ended = child.wait();
        if let Some(why) = failure_of_program(&ended) {
            return shell.fail(format_args!(
                "Error: \"{}\" {why}: its output may not be whole",
                &place[1..]
            ));
        }
        failed?
    } else {
        match File::open(place) {
            Ok(mut file) if file.metadata().is_ok_and(|metadata| !metadata.is_dir()) => {
                if let Err(error) = trailer::verify(&mut file, place) {
                    return shell.fail(format_args!("Error: {}", error.message()));
                }
                read_lines(shell, &mut Reader::new(file))?
            }
            _ => return shell.fail(format_args!("Error: cannot open \"{place}\"")),
        }
    };
    shell.input.line = line;
    if failed { Err(Interrupt::Failed(1)) } else { Ok(()) }
}
