//! `.log`: a record of statements that fail.

use super::CommandCall;
use crate::shell::state::{Shell, ShellResult, TraceOutput};
use crate::sql::log;
use std::fs::File;
use std::sync::{Arc, Mutex};

/// The place that a word names; none for `off`, and for a file that cannot be opened, which is said.
pub(super) fn place(shell: &mut Shell<'_>, word: &str) -> ShellResult<Option<TraceOutput>> {
    Ok(match word {
        "off" => None,
        "stdout" => Some(TraceOutput::Results),
        "stderr" => Some(TraceOutput::Stderr),
        file => {
            shell.check_output_file(file)?;
            match File::create(file) {
                Ok(opened) => Some(TraceOutput::File(Arc::new(Mutex::new(opened)))),
                Err(_) => {
                    shell.say(format_args!("Error: cannot open \"{file}\""))?;
                    None
                }
            }
        }
    })
}

/// Keeps a record of statements that fail, wherever they run, and of what else the engine notes where it is here.
pub fn log(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    let [word] = call.texts()[..] else {
        return shell.fail(format_args!("Usage: .log FILENAME"));
    };
    // Newer shells have "on" for standard output.
    shell.tracing.log = place(shell, if word == "on" { "stdout" } else { word })?;
    // The engine tells of statements as they are given to it.
    if let Some(session) = &mut shell.slot().session
        && let Some(engine) = session.engine()
    {
        engine.pass_verbatim();
    }
    let side = shell.tracing.hook_output.clone();
    log::listen(
        shell
            .tracing
            .log
            .clone()
            .map(|to| -> log::LogListener { Box::new(move |code, text| to.write(&side, &format!("({code}) {text}"))) }),
    );
    Ok(())
}
