//! How a part of the shell's work ends early: [`ShellResult`], and messages on standard error.

use crate::shell::render::Escape;
use crate::shell::render::text::visible;
use crate::sql::Phase;
use std::fmt;
use std::io::{self, IsTerminal, Write};

/// A statement that failed and has not been reported yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecError {
    /// Whether it failed before it ran.
    pub phase: Phase,
    /// SQLite's message and code, and where in the text the fault is.
    pub message: String,
    /// The code that a script sees.
    pub code: i32,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Why the shell's work did not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interrupt {
    /// A statement failed; whoever runs the text reports it.
    Statement(Box<ExecError>),
    /// Something failed and has been reported; the input goes on unless errors are to stop it. The code is that of the
    /// program where it was an argument.
    Failed(i32),
    /// The end of this input.
    Quit,
    /// The end of the shell, with this exit code.
    Exit(i32),
}

impl From<io::Error> for Interrupt {
    /// Results cannot be written. A closed pipe is no failure of ours.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::Exit(0)
        } else {
            complain(format_args!("Error: cannot write: {error}"));
            Self::Exit(1)
        }
    }
}

/// The result of everything that the shell does.
pub type ShellResult<T = ()> = Result<T, Interrupt>;

/// Writes a line to standard error. Nobody can be told if that fails.
pub fn complain(text: fmt::Arguments<'_>) {
    let mut line = fmt::format(text);
    line.push('\n');
    let mut stderr = io::stderr();
    // Messages hold names and words of statements, which must not take a terminal over.
    let mut scratch = Vec::new();
    let escape = if stderr.is_terminal() {
        Escape::Symbol
    } else {
        Escape::Off
    };
    let _ = stderr.write_all(visible(line.as_bytes(), escape, &mut scratch));
}
