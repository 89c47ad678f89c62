//! Reads the command line.
//!
//! A tree of all commands with their options took two thirds of the instructions of a short command; one of them is used. So the
//! tree is first made of only the commands that the words name. Where that does not parse, the whole tree is asked, whatever the
//! reason: it knows what else there is, so messages and suggestions come from it. What parses without the other commands
//! means the same with them: a command that has arguments of its own stays whole, with all commands below it.
//!
//! `torso db shell FILE 'select 1'` took 1.83 times as long as `sqlite3` before, and takes 1.4 times as long. To measure again:
//! `cargo bench --locked --bench beside-sqlite3 -- start`, before and after `parse` returns `read(Cli::command(), args)` at once.

#[cfg(unix)]
use super::run;
use super::{Cli, Globals};
use super::{
    api, apply, auth, completion, config, context, db, doctor, env, gc, group, help, link, location, manual, org, wait,
};
#[cfg(feature = "server")]
use super::{dev, engine, node, server};
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

/// Adds to a command its arguments, and the commands below it.
type Augment = fn(clap::Command) -> clap::Command;

/// Each command, and what adds to it all that is its own. `Command` has the same in one function, which makes all of them.
const COMMANDS: &[(&str, Augment)] = &[
    ("db", db::Verb::augment_subcommands),
    #[cfg(unix)]
    ("run", run::Args::augment_args),
    ("env", env::Verb::augment_subcommands),
    ("link", link::Args::augment_args),
    #[cfg(feature = "server")]
    ("dev", dev::Args::augment_args),
    ("wait", wait::Verb::augment_subcommands),
    ("gc", gc::Args::augment_args),
    ("group", group::Verb::augment_subcommands),
    ("apply", apply::Args::augment_args),
    ("location", location::Verb::augment_subcommands),
    ("context", context::Verb::augment_subcommands),
    ("auth", auth::Verb::augment_subcommands),
    ("org", org::Verb::augment_subcommands),
    ("api", api::Args::augment_args),
    ("config", config::Verb::augment_subcommands),
    ("doctor", doctor::Args::augment_args),
    #[cfg(feature = "server")]
    ("engine", engine::Verb::augment_subcommands),
    #[cfg(feature = "server")]
    ("server", server::Args::augment_args),
    #[cfg(feature = "server")]
    ("node", node::Args::augment_args),
    ("completion", completion::Args::augment_args),
    ("help", help::Args::augment_args),
    ("man", manual::Args::augment_args),
];

/// The tree of only those commands that the words name.
fn named_tree(args: &[OsString]) -> clap::Command {
    let root = clap::Command::new("torso")
        .version(env!("CARGO_PKG_VERSION"))
        .args_override_self(true)
        .disable_help_subcommand(true);
    let root = Globals::augment_args(root);
    let mut words = args.get(1..).unwrap_or_default().iter();
    let named = words.find_map(|word| COMMANDS.iter().find(|(name, _)| word == name));
    let Some((name, augment)) = named else { return root };
    let all = augment(clap::Command::new(*name));
    root.subcommand(only_named(all, name, words.as_slice()))
}

/// The command `all`, with only the one of the commands below it that the words name first.
fn only_named(all: clap::Command, name: &'static str, words: &[OsString]) -> clap::Command {
    if !all.has_subcommands() || all.get_arguments().next().is_some() {
        return all;
    }
    let named = words
        .iter()
        .enumerate()
        .find_map(|(at, word)| Some((&words[at + 1..], all.find_subcommand(word)?)));
    let below = named.map(|(rest, found)| {
        // clap keeps names for ever; a process parses one command line.
        let name: &'static str = found.get_name().to_owned().leak();
        only_named(found.clone(), name, rest)
    });
    std::mem::forget(all);
    clap::Command::new(name).subcommands(below)
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
    fn parse_knows_every_command() {
        let tree = Cli::command();
        let left_out: &[&str] = if cfg!(feature = "server") {
            &[]
        } else {
            &["dev", "engine", "node", "server"]
        };
        let of_tree = tree.get_subcommands().map(clap::Command::get_name);
        let of_tree: Vec<_> = of_tree.filter(|name| !left_out.contains(name)).collect();
        let known: Vec<_> = COMMANDS.iter().map(|(name, _)| *name).collect();
        assert_eq!(known, of_tree);
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
