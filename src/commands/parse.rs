//! Reads the command line.
//!
//! A tree of all commands with their options took two thirds of the instructions of a short command; one of them is used. So the
//! tree is first made of only the commands that the words name. Where that does not parse, the whole tree is asked, whatever the
//! reason: it knows what else there is, so messages and suggestions come from it. What parses without the other commands
//! means the same with them: a command that has arguments of its own stays whole, with all commands below it.
//!
//! `torso db shell FILE 'select 1'` took 1.83 times as long as `sqlite3` before, and takes 1.4 times as long. To measure again:
//! `cargo bench --locked --bench beside-sqlite3 -- start`, before and after `parse` returns `read(Cli::command(), args)` at once.

use super::{Cli, Command, Globals};
use clap::error::ErrorKind;
use clap::{Args as _, CommandFactory as _, FromArgMatches as _, Subcommand as _};
use std::ffi::OsString;

/// The command of a command line, whose first word is the program's name.
pub(super) fn parse(args: &[OsString]) -> Result<Cli, clap::Error> {
    match read(named_tree(args), args) {
        Err(error) if error.kind() != ErrorKind::DisplayVersion => read(Cli::command(), args),
        read => read,
    }
}

fn read(mut tree: clap::Command, args: &[OsString]) -> Result<Cli, clap::Error> {
    let mut matches = tree.try_get_matches_from_mut(args)?;
    let cli = Cli::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut tree));
    // Freeing its thousand small parts would take a sixth of the time of a short command, whose memory goes with its process.
    std::mem::forget((tree, matches));
    cli
}

/// The tree of only those commands that the words name.
fn named_tree(args: &[OsString]) -> clap::Command {
    let root = clap::Command::new("torso")
        .version(env!("CARGO_PKG_VERSION"))
        .args_override_self(true)
        .disable_help_subcommand(true);
    let all = Command::augment_subcommands(clap::Command::new("torso"));
    let tree = with_named(Globals::augment_args(root), &all, args.get(1..).unwrap_or_default());
    std::mem::forget(all);
    tree
}

/// Adds to `command` the one of the commands below `all` that the words name first, and so on below that.
fn with_named(command: clap::Command, all: &clap::Command, words: &[OsString]) -> clap::Command {
    let named = words
        .iter()
        .enumerate()
        .find_map(|(at, word)| Some((&words[at + 1..], all.find_subcommand(word)?)));
    match named {
        None => command,
        Some((rest, found)) if found.has_subcommands() && found.get_arguments().next().is_none() => {
            // clap keeps names for ever; a process parses one command line.
            let name: &'static str = found.get_name().to_owned().leak();
            command.subcommand(with_named(clap::Command::new(name), found, rest))
        }
        Some((_, found)) => command.subcommand(found.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    /// The names of a command line's commands, where the tree of those that it names understands it.
    fn parsed_by_named_tree(line: &str) -> Option<String> {
        let mut matches = named_tree(&words(line)).try_get_matches_from(words(line)).ok()?;
        let mut names = Vec::new();
        while let Some((name, below)) = matches.remove_subcommand() {
            names.push(name);
            matches = below;
        }
        Some(names.join(" "))
    }

    #[test]
    fn parse_finds_commands_by_name_and_alias_among_global_options() {
        for (line, expected) in [
            ("torso", ""),
            ("torso db list", "db list"),
            ("torso --json db ls --group g", "db list"),
            ("torso --context prod db tokens create app", "db tokens create"),
            ("torso db create list --location ams", "db create"),
            ("torso run -- db list", "run"),
            ("torso server users list", "server users list"),
            ("torso -q --output json --output csv config list", "config list"),
        ] {
            let whole = Cli::command().try_get_matches_from(words(line));
            assert!(whole.is_ok(), "{line}: {}", whole.unwrap_err());
            assert_eq!(parsed_by_named_tree(line).as_deref(), Some(expected), "{line}");
        }
    }

    #[test]
    fn parse_asks_the_whole_tree_about_what_the_named_one_does_not_understand() {
        // The value of an option is a command's name: the named tree takes it for the command.
        for line in ["torso --context db location list", "torso --org run db list"] {
            assert!(parse(&words(line)).is_ok(), "{line}");
        }
        for line in ["torso db", "torso db craete", "torso db list --grop x", "torso nothing"] {
            let (own, whole) = (parse(&words(line)), Cli::command().try_get_matches_from(words(line)));
            let text = |error: clap::Error| error.to_string();
            assert_eq!(own.err().map(text), whole.err().map(text), "{line}");
        }
    }
}
