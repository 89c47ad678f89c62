//! What came of running a program once: both streams and how it ended.

use serde_json::Value;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};

/// A finished run.
#[derive(Debug, Clone)]
pub struct Run {
    /// The command line, for messages.
    pub line: String,
    pub stdout: String,
    pub stderr: String,
    pub status: ExitStatus,
}

impl Run {
    /// Runs a command to its end.
    pub fn of(mut command: Command) -> Self {
        let line = line_of(&command);
        let output = command
            .output()
            .unwrap_or_else(|error| panic!("cannot run {line}: {error}"));
        let run = Self {
            line,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            status: output.status,
        };
        if command.get_program() == super::world::TORSO && !run.status.success() {
            let words = command.get_args().map(|word| word.to_string_lossy().into_owned());
            super::hints::check(&words.collect::<Vec<_>>(), &run.stderr);
        }
        run
    }

    /// The exit code; 128 and the signal's number where a signal ended it, as shells count.
    pub fn code(&self) -> i32 {
        match self.status.code() {
            Some(code) => code,
            None => 128 + self.status.signal().unwrap_or_default(),
        }
    }

    /// Insists on success.
    #[track_caller]
    pub fn success(self) -> Self {
        assert!(self.status.success(), "{}", self.report());
        self
    }

    /// Insists on failure with this exit code and error code: nothing on standard output, and one sentence, or with
    /// `--json` one document, on standard error.
    #[track_caller]
    pub fn fails(self, exit: i32, code: &str) -> Self {
        assert_eq!(self.code(), exit, "{}", self.report());
        assert_eq!(self.stdout, "", "a failure answered\n{}", self.report());
        assert_eq!(self.error()["code"], code, "{}", self.report());
        self
    }

    /// The one JSON document on standard output.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("not one JSON document ({error})\n{}", self.report()))
    }

    /// The error document on standard error: its last line, notices may come before.
    #[track_caller]
    pub fn error(&self) -> Value {
        let last = self.stderr.lines().last().unwrap_or_default();
        let document: Value =
            serde_json::from_str(last).unwrap_or_else(|error| panic!("no error document ({error})\n{}", self.report()));
        document["error"].clone()
    }

    /// Everything, as one would see it in a terminal; what snapshots hold.
    pub fn report(&self) -> String {
        format!(
            "$ {}\n{}-- stderr --\n{}-- exit {} --\n",
            self.line,
            self.stdout,
            self.stderr,
            self.code()
        )
    }
}

/// A command as one would type it, near enough for a message.
pub fn line_of(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let mut line = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    for arg in command.get_args() {
        let text = arg.to_string_lossy();
        let plain = !text.is_empty()
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_./=:,@+".contains(c));
        line.push(' ');
        if plain {
            line.push_str(&text);
        } else {
            line.push_str(&format!("{text:?}"));
        }
    }
    line
}
