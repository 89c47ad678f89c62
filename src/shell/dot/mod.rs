//! Dot-commands: which there are, and how one is found.
//!
//! The table of commands is `table`; each command is in a file called after it or its family. Scripts, which hold commands
//! and SQL, are read by `script`.

mod advisor;
mod auth;
mod backup;
mod clone;
mod connection;
mod databases;
mod dbconfig;
mod dbinfo;
mod diff;
mod dump;
mod edit;
mod exit;
mod filectrl;
mod find;
mod help;
mod import;
mod intck;
mod limits;
mod lint;
mod load;
mod local;
mod log;
mod mode;
mod nonce;
mod open;
mod output;
mod parameter;
mod print;
mod progress;
pub mod prompt;
mod query;
mod read;
mod recover;
mod schema;
pub mod script;
mod selftest;
mod settings;
mod sha3sum;
mod show;
mod sizes;
mod stats;
mod system;
mod table;
mod tables;
mod testcase;
mod timeout;
mod trace;
pub mod transfer;
mod version;
mod vfs;
mod watch;

use super::command_spec::{CommandSpec, SafeMode};
use super::editor::diagnose;
use super::state::{Shell, ShellResult};
use super::words;
pub(super) use settings::cut;
use table::COMMANDS;

/// A command and its words.
pub struct CommandCall {
    /// As typed.
    pub name: String,
    /// The words after the name.
    pub args: Vec<String>,
    /// The same, with bytes that are not UTF-8 as they are.
    pub raw: Vec<Vec<u8>>,
    /// All of it as it was typed, without the dot.
    pub line: Vec<u8>,
}

impl CommandCall {
    /// What comes after so many of the words after the name, as it was typed.
    fn rest(&self, words: usize) -> String {
        String::from_utf8_lossy(words::after(&self.line, words + 1)).into_owned()
    }

    /// The words after the name, as texts.
    fn texts(&self) -> Vec<&str> {
        self.args.iter().map(String::as_str).collect()
    }
}

type Run = fn(&mut Shell<'_>, &CommandCall) -> ShellResult;

/// A row of the table: what is known of a command, and what runs it.
pub struct Command {
    pub spec: CommandSpec,
    pub run: Run,
}

/// What is known of all commands.
pub fn specs() -> impl Iterator<Item = &'static CommandSpec> {
    COMMANDS.iter().map(|command| &command.spec)
}

/// The command that is meant by what was typed.
fn find(typed: &str) -> Option<&'static Command> {
    COMMANDS
        .iter()
        .find(|command| typed.len() >= command.spec.shortest && command.spec.name.starts_with(typed))
}

/// Runs a dot-command, given without its dot.
pub fn run(shell: &mut Shell<'_>, line: &[u8]) -> ShellResult {
    let mut raw = words::split(line);
    if raw.is_empty() {
        return Ok(());
    }
    let mut name = String::from_utf8_lossy(&raw.remove(0)).into_owned();
    // What a person puts behind a command out of habit.
    if shell.input.at_prompt() && raw.is_empty() && find(name.trim_end_matches(';')).is_some() {
        name.truncate(name.trim_end_matches(';').len());
    }
    if let Some(word) = raw.iter().find(|word| std::str::from_utf8(word).is_err())
        && find(&name).is_none_or(|command| command.spec.name != "print")
    {
        shell.finish_command(false)?;
        // With other bytes in its place, it would be another file or another value.
        return shell.fail(format_args!(
            "Error: .{name} was not run: its word \"{}\" is not UTF-8",
            word.escape_ascii()
        ));
    }
    let mut call = CommandCall {
        line: line.to_vec(),
        args: raw
            .iter()
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .collect(),
        raw,
        name,
    };
    let ran = match find(&call.name) {
        Some(command) => {
            if shell.input.at_prompt() {
                drop_semicolon(command, &mut call.args);
            }
            if command.spec.takes_path() {
                call.args = with_home(&call.args);
            }
            run_command(shell, command, &call)
        }
        None => {
            let meant = nearest_command(shell, &call.name);
            shell.fail(format_args!(
                "Error: unknown command or invalid arguments:  \"{}\". Enter \".help\" for help{meant}",
                call.name
            ))
        }
    };
    // The right word lifts safe mode for the next command, so it must not end here.
    if call.name != "nonce" || ran.is_err() {
        shell.finish_command(false)?;
    }
    ran
}

/// Runs a command, unless safe mode refuses it.
fn run_command(shell: &mut Shell<'_>, command: &Command, call: &CommandCall) -> ShellResult {
    if command.spec.safe_mode == SafeMode::Refused {
        shell.check_safe_mode(format_args!("cannot run .{} in safe mode", command.spec.name))?;
    }
    (command.run)(shell, call)
}

/// Takes away the `;` that a person puts behind a dot-command out of habit, where no text of theirs could end with one.
fn drop_semicolon(command: &Command, args: &mut Vec<String>) {
    let takes_text = matches!(
        command.spec.name,
        "check"
            | "edit"
            | "find"
            | "nullvalue"
            | "parameter"
            | "print"
            | "prompt"
            | "query"
            | "separator"
            | "shell"
            | "system"
            | "watch"
    );
    let Some(last) = args.last_mut().filter(|_| !takes_text) else {
        return;
    };
    if let Some(rest) = last.strip_suffix(';') {
        *last = rest.to_owned();
    }
    if last.is_empty() {
        args.pop();
    }
}

/// The words with `~` and `~/…` as the home directory, as completion writes them.
fn with_home(args: &[String]) -> Vec<String> {
    args.iter().map(|word| words::expand_home(word)).collect()
}

/// What to add to the message on an unknown dot-command: the one that was probably meant.
fn nearest_command(shell: &Shell<'_>, name: &str) -> String {
    let meant = shell
        .terminal
        .as_ref()
        .and_then(|_| diagnose::nearest(name, specs().map(|spec| spec.name)));
    meant
        .map(|meant| format!(", did you mean .{meant}?"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dot_command_abbreviations_mean_what_they_mean_in_sqlite3() {
        for (typed, meant) in [
            ("q", "quit"),
            ("e", "echo"),
            ("ex", "exit"),
            ("exp", "explain"),
            ("h", "headers"),
            ("hel", "help"),
            ("i", "import"),
            ("in", "indices"),
            ("m", "mode"),
            ("n", "nullvalue"),
            ("o", "output"),
            ("on", "once"),
            ("op", "open"),
            ("p", "prompt"),
            ("r", "recover"),
            ("rea", "read"),
            ("expe", "expert"),
            ("dbi", "dbinfo"),
            ("res", "restore"),
            ("s", "scanstats"),
            ("sch", "schema"),
            ("se", "separator"),
            ("sh", "shell"),
            ("sho", "show"),
            ("st", "stats"),
            ("ta", "tables"),
            ("wi", "width"),
            ("c", "clone"),
            ("cha", "changes"),
            ("d", "dump"),
            ("da", "databases"),
            ("bac", "backup"),
            ("bai", "bail"),
        ] {
            assert_eq!(find(typed).map(|command| command.spec.name), Some(meant), "{typed}");
        }
        assert!(find("TABLES").is_none());
        for own in ["diff", "find", "intck", "query", "sizes", "watch", "edit", "www"] {
            assert!(find(own).is_some_and(|command| command.spec.name == own));
            assert!(
                find(&own[..own.len() - 1]).is_none_or(|command| command.spec.name != own),
                "{own}"
            );
        }
        assert!(find("").is_none());
        assert!(find("ba").is_none());
    }
}
