//! Dot-commands: which there are, and how one is found.
//!
//! A command may be shortened. The first in [`COMMANDS`] that begins with what was typed is meant, so the order of the
//! table is part of the interface; it is that of the `sqlite3` shell. Commands that it does not have come last and must be
//! typed in full. The commands themselves are in the files by theme.

mod check;
mod connect;
mod control;
mod diff;
mod edit;
mod engine;
mod examine;
pub mod expert;
mod files;
mod find;
mod help;
pub mod hooks;
mod parameter;
mod query;
mod recover;
pub mod schema;
mod settings;
pub mod stats;
mod sum;
mod tables;
mod trace;
mod transfer;
mod vfs;
mod watch;

use super::state::{Ran, Shell};
use super::words;
pub(super) use parameter::values as parameters;
pub(super) use settings::cut;

/// A command and its words.
pub struct Call {
    /// As typed.
    pub name: String,
    /// The words after the name.
    pub args: Vec<String>,
    /// The same, with bytes that are not UTF-8 as they are.
    pub raw: Vec<Vec<u8>>,
    /// All of it as it was typed, without the dot.
    pub line: Vec<u8>,
}

impl Call {
    /// What comes after so many of the words after the name, as it was typed.
    fn rest(&self, words: usize) -> String {
        String::from_utf8_lossy(words::after(&self.line, words + 1)).into_owned()
    }

    /// The words after the name, as texts.
    fn texts(&self) -> Vec<&str> {
        self.args.iter().map(String::as_str).collect()
    }
}

type Run = fn(&mut Shell<'_>, &Call) -> Ran;

/// The name, how much of it must be typed, and what it does.
struct Command(&'static str, usize, Run);

/// In the order in which abbreviations are tried.
const COMMANDS: &[Command] = &[
    Command("auth", 1, hooks::auth),
    Command("backup", 3, connect::backup),
    Command("save", 3, connect::backup),
    Command("bail", 3, settings::bail),
    Command("binary", 3, settings::binary),
    Command("breakpoint", 3, settings::nothing),
    Command("cd", 2, files::cd),
    Command("changes", 3, settings::changes),
    Command("check", 3, files::check),
    Command("clone", 1, connect::clone),
    Command("connection", 1, connect::connection),
    Command("databases", 2, schema::databases),
    Command("dbconfig", 3, engine::dbconfig),
    Command("dbinfo", 3, examine::dbinfo),
    Command("recover", 1, recover::recover),
    Command("dump", 1, files::dump),
    Command("echo", 1, settings::echo),
    Command("eqp", 1, settings::eqp),
    Command("exit", 1, settings::exit),
    Command("explain", 1, settings::explain),
    Command("expert", 1, expert::expert),
    Command("filectrl", 1, control::filectrl),
    Command("fullschema", 1, schema::fullschema),
    Command("headers", 1, settings::headers),
    Command("help", 1, help::help),
    Command("import", 1, files::import),
    Command("indices", 1, schema::indexes),
    Command("indexes", 1, schema::indexes),
    Command("limits", 5, engine::limits),
    Command("lint", 3, check::lint),
    Command("load", 1, control::load),
    Command("log", 3, hooks::log),
    Command("mode", 1, settings::mode),
    Command("nonce", 5, settings::nonce),
    Command("nullvalue", 1, settings::nullvalue),
    Command("open", 2, connect::open),
    Command("output", 1, files::output),
    Command("once", 1, files::once),
    Command("excel", 5, files::excel),
    Command("parameter", 3, parameter::parameter),
    Command("print", 3, files::print),
    Command("progress", 3, control::progress),
    Command("prompt", 1, settings::prompt),
    Command("quit", 1, settings::quit),
    Command("read", 3, files::read),
    Command("restore", 3, connect::restore),
    Command("scanstats", 1, settings::scanstats),
    Command("schema", 1, schema::schema),
    Command("selftest", 4, check::selftest),
    Command("separator", 1, settings::separator),
    Command("sha3sum", 4, sum::sha3sum),
    Command("shell", 1, files::system),
    Command("system", 1, files::system),
    Command("show", 1, settings::show),
    Command("stats", 1, stats::stats),
    Command("tables", 2, schema::tables),
    Command("testcase", 8, files::testcase),
    Command("timeout", 5, engine::timeout),
    Command("timer", 5, settings::timer),
    Command("trace", 1, trace::trace),
    Command("version", 1, engine::version),
    Command("vfsinfo", 4, vfs::vfsinfo),
    Command("vfslist", 4, vfs::vfslist),
    Command("vfsname", 4, vfs::vfsname),
    Command("wheretrace", 1, settings::nothing),
    Command("width", 2, settings::width),
    Command("edit", 4, edit::edit),
    Command("diff", 4, diff::diff),
    Command("find", 4, find::find),
    Command("intck", 5, examine::intck),
    Command("query", 5, query::query),
    Command("sizes", 5, examine::sizes),
    Command("watch", 5, watch::watch),
    Command("www", 3, files::www),
];

/// The names of all commands.
pub fn names() -> impl Iterator<Item = &'static str> {
    COMMANDS.iter().map(|command| command.0)
}

/// The names of the engine's limits.
pub fn limits() -> impl Iterator<Item = &'static str> {
    engine::LIMITS.iter().map(|(name, _)| *name)
}

/// The lines of help on a command.
#[cfg(test)]
pub fn help_on(name: &str) -> Vec<&'static str> {
    help::on(name)
}

fn find(name: &str) -> Option<&'static Command> {
    COMMANDS
        .iter()
        .find(|command| name.len() >= command.1 && command.0.starts_with(name))
}

/// Runs a dot-command, given without its dot.
pub fn run(shell: &mut Shell<'_>, line: &[u8]) -> Ran {
    let mut raw = words::split(line);
    if raw.is_empty() {
        return Ok(());
    }
    let name = String::from_utf8_lossy(&raw.remove(0)).into_owned();
    let call = Call {
        line: line.to_vec(),
        args: raw
            .iter()
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .collect(),
        raw,
        name,
    };
    let ran = match find(&call.name) {
        Some(command) => command.2(shell, &call),
        None => {
            let meant = shell.command_meant(&call.name);
            shell.fail(format_args!(
                "Error: unknown command or invalid arguments:  \"{}\". Enter \".help\" for help{meant}",
                call.name
            ))
        }
    };
    // The right word lifts safe mode for the next command, so it must not end here.
    if call.name != "nonce" || ran.is_err() {
        shell.command_done(false)?;
    }
    ran
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn abbreviations_mean_what_they_always_meant() {
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
            assert_eq!(find(typed).map(|command| command.0), Some(meant), "{typed}");
        }
        assert!(find("TABLES").is_none());
        for own in ["diff", "find", "intck", "query", "sizes", "watch", "edit", "www"] {
            assert!(find(own).is_some_and(|command| command.0 == own));
            assert!(
                find(&own[..own.len() - 1]).is_none_or(|command| command.0 != own),
                "{own}"
            );
        }
        assert!(find("").is_none());
        assert!(find("ba").is_none());
    }
}
