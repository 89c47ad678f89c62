//! Dot-commands: their names, options and arguments.

use super::{Candidate, Found, What, starts_with};
use crate::shell::editor::schema::Schema;
use std::path::Path;

/// What stands at a place of a dot-command.
#[derive(Clone, Copy)]
enum Arg {
    /// One of these words.
    Of(&'static [&'static str]),
    Table,
    Path,
    Directory,
    /// A logical database, or a file.
    Database,
    Command,
    Limit,
}

use Arg::{Command, Database, Directory, Limit, Of, Table};

const SWITCH: Arg = Of(&["on", "off"]);
const MODES: &[&str] = &[
    "ascii", "box", "column", "csv", "html", "insert", "json", "jsonl", "line", "list", "markdown", "qbox", "quote",
    "table", "tabs", "tcl", "vertical",
];

/// Each dot-command: its name, its options, its arguments in order (the last one repeats).
const COMMANDS: &[(&str, &[&str], &[Arg])] = &[
    ("auth", &[], &[SWITCH]),
    ("backup", &["--async"], &[Arg::Path]),
    ("bail", &[], &[SWITCH]),
    ("cd", &[], &[Directory]),
    ("changes", &[], &[SWITCH]),
    ("clone", &[], &[Arg::Path]),
    ("connection", &[], &[Of(&["close"])]),
    ("databases", &[], &[]),
    ("dbconfig", &[], &[]),
    ("dbinfo", &[], &[]),
    ("diff", &[], &[Database]),
    (
        "dump",
        &["--preserve-rowids", "--newlines", "--data-only", "--nosys"],
        &[Table],
    ),
    ("echo", &[], &[SWITCH]),
    ("edit", &[], &[]),
    ("eqp", &[], &[Of(&["on", "off", "full", "trace", "trigger"])]),
    ("excel", &["--bom"], &[]),
    ("exit", &[], &[]),
    ("expert", &["--verbose", "--sample"], &[]),
    ("explain", &[], &[Of(&["on", "off", "auto"])]),
    ("filectrl", &["--schema", "--help"], &[]),
    ("find", &["--case"], &[]),
    ("fullschema", &["--indent"], &[]),
    ("headers", &[], &[SWITCH]),
    ("help", &["-all"], &[Command]),
    (
        "import",
        &[
            "--csv",
            "--ascii",
            "--tsv",
            "--json",
            "--jsonl",
            "--skip",
            "--schema",
            "--null",
            "--dry-run",
            "--create",
            "--types",
            "-v",
        ],
        &[Arg::Path, Table],
    ),
    ("indexes", &[], &[Table]),
    ("intck", &[], &[]),
    ("limits", &[], &[Limit]),
    ("lint", &["-verbose", "-groupbyparent"], &[Of(&["fkey-indexes"])]),
    ("load", &[], &[Arg::Path]),
    ("log", &[], &[Arg::Path]),
    (
        "mode",
        &["--wrap", "--wordwrap", "--quote", "--noquote"],
        &[Of(MODES), Table],
    ),
    ("nullvalue", &[], &[]),
    ("once", &["-e", "-x", "-w", "--bom"], &[Arg::Path]),
    ("open", &["--readonly", "--new", "--nofollow"], &[Database]),
    ("output", &["-e", "-x", "-w", "--bom"], &[Arg::Path]),
    ("parameter", &[], &[Of(&["init", "list", "set", "unset", "clear"])]),
    ("print", &[], &[]),
    ("progress", &["--limit", "--once", "--quiet", "--reset"], &[]),
    ("prompt", &[], &[]),
    ("query", &[], &[Of(&["save", "run", "list", "drop"])]),
    ("quit", &[], &[]),
    ("read", &[], &[Arg::Path]),
    ("recover", &[], &[]),
    ("restore", &[], &[Arg::Path]),
    ("save", &[], &[Arg::Path]),
    ("schema", &["--indent", "--nosys"], &[Table]),
    ("selftest", &["--init", "-v"], &[]),
    ("separator", &[], &[]),
    (
        "sha3sum",
        &["--schema", "--sha3-224", "--sha3-256", "--sha3-384", "--sha3-512"],
        &[Table],
    ),
    ("shell", &[], &[]),
    ("show", &[], &[]),
    ("sizes", &[], &[Table]),
    ("stats", &[], &[Of(&["on", "off", "stmt", "vmstep"])]),
    ("system", &[], &[]),
    ("tables", &[], &[Table]),
    ("timeout", &[], &[]),
    ("timer", &[], &[SWITCH]),
    (
        "trace",
        &["--close", "--profile", "--row", "--stmt", "--expanded", "--plain"],
        &[Of(&["stdout", "stderr", "off"])],
    ),
    ("version", &[], &[]),
    ("vfsinfo", &[], &[]),
    ("vfslist", &[], &[]),
    ("vfsname", &[], &[]),
    ("watch", &["--count"], &[]),
    ("width", &[], &[]),
    ("www", &["--bom"], &[]),
];

/// For SQLite's own tests, or other names of the same.
const HIDDEN: &[&str] = &[
    "binary",
    "breakpoint",
    "check",
    "indices",
    "nonce",
    "scanstats",
    "testcase",
    "wheretrace",
];

/// The names of the dot-commands that a person may want, without their dots.
pub fn names() -> impl Iterator<Item = &'static str> {
    let mut names: Vec<_> = crate::shell::dot::names()
        .filter(|name| !HIDDEN.contains(name))
        .collect();
    names.sort_unstable();
    names.into_iter()
}

/// Completes a dot-command up to the cursor at its end.
pub fn complete(line: &str, schema: &dyn Schema) -> Found {
    let typed = &line[1..];
    let Some(end) = typed.find(char::is_whitespace) else {
        let matching = names().filter(|name| name.starts_with(typed));
        let mut candidates: Vec<_> = matching
            .map(|name| Candidate::new(What::Command, format!(".{name}"), format!(".{name}")))
            .collect();
        if let [only] = candidates.as_mut_slice() {
            let takes = COMMANDS
                .iter()
                .any(|(name, options, args)| only.text[1..] == **name && !(options.is_empty() && args.is_empty()));
            if takes {
                only.text.push(' ');
            }
        }
        return Found { start: 0, candidates };
    };
    let (command, rest) = typed.split_at(end);
    // As the shell does: the first command that begins so.
    let Some((_, options, args)) = COMMANDS
        .iter()
        .find(|(name, ..)| *name == command)
        .or_else(|| COMMANDS.iter().find(|(name, ..)| name.starts_with(command)))
    else {
        return Found {
            start: line.len(),
            candidates: Vec::new(),
        };
    };
    let word = word_start(rest);
    let start = line.len() - (rest.len() - word);
    let typed = &rest[word..];
    if typed.starts_with('-') {
        let candidates = options
            .iter()
            .filter(|option| option.starts_with(typed))
            .map(|option| Candidate::new(What::Argument, *option, *option));
        return Found {
            start,
            candidates: candidates.collect(),
        };
    }
    let position = rest[..word]
        .split_whitespace()
        .filter(|word| !word.starts_with('-'))
        .count();
    let Some(arg) = args
        .get(position)
        .or_else(|| args.last().filter(|arg| matches!(arg, Arg::Table)))
    else {
        return Found {
            start,
            candidates: Vec::new(),
        };
    };
    let quote = typed.chars().next().filter(|c| matches!(c, '"' | '\''));
    let bare = if quote.is_some() { &typed[1..] } else { typed };
    let named = |what: What, names: Vec<String>| -> Vec<Candidate> {
        names
            .into_iter()
            .filter(|name| starts_with(name, bare))
            .map(|name| Candidate::new(what, name.clone(), quoted(&name, quote)))
            .collect()
    };
    let candidates = match *arg {
        Of(words) => words
            .iter()
            .filter(|word| starts_with(word, bare))
            .map(|word| Candidate::new(What::Argument, *word, *word))
            .collect(),
        Table => named(What::Table, schema.tables()),
        Command => named(What::Command, names().map(str::to_owned).collect()),
        Limit => named(What::Argument, crate::shell::dot::limits().map(str::to_owned).collect()),
        Database => {
            let mut all = if bare.contains('/') {
                Vec::new()
            } else {
                named(What::Database, schema.databases())
            };
            all.extend(paths(bare, quote, false));
            all
        }
        Arg::Path => paths(bare, quote, false),
        Directory => paths(bare, quote, true),
    };
    Found { start, candidates }
}

/// Where the last word of a dot-command's arguments begins.
fn word_start(rest: &str) -> usize {
    let mut start = rest.len();
    let mut quote = None;
    let mut blank = true;
    for (at, c) in rest.char_indices() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c.is_whitespace() => {
                blank = true;
                start = at + c.len_utf8();
            }
            None => {
                if blank {
                    start = at;
                    blank = false;
                    quote = Some(c).filter(|c| matches!(c, '"' | '\''));
                }
            }
        }
    }
    start
}

/// A word as the dot-command parser reads it back.
fn quoted(word: &str, quote: Option<char>) -> String {
    let plain = !word.is_empty() && !word.contains(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '\\'));
    match quote {
        None if plain => word.to_owned(),
        Some('\'') if !word.contains('\'') => format!("'{word}'"),
        None if !word.contains('\'') => format!("'{word}'"),
        _ => format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\"")),
    }
}

/// Files whose path begins with what is typed; directories end in `/` and stay open for more.
fn paths(typed: &str, quote: Option<char>, directories: bool) -> Vec<Candidate> {
    let (directory, prefix) = typed.rsplit_once('/').map_or(("", typed), |(_, prefix)| {
        (&typed[..typed.len() - prefix.len()], prefix)
    });
    let looked = match directory.strip_prefix("~/") {
        Some(rest) => std::env::home_dir().map(|home| home.join(rest)),
        None if directory.is_empty() => Some(Path::new(".").to_owned()),
        None => Some(Path::new(directory).to_owned()),
    };
    let Some(entries) = looked.and_then(|directory| std::fs::read_dir(directory).ok()) else {
        return Vec::new();
    };
    let mut found: Vec<(String, bool)> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let wanted = name.starts_with(prefix) && (prefix.starts_with('.') || !name.starts_with('.'));
            let is_directory = entry.path().is_dir();
            (wanted && (is_directory || !directories)).then_some((name, is_directory))
        })
        .collect();
    found.sort();
    found
        .into_iter()
        .map(|(name, is_directory)| {
            let slash = if is_directory { "/" } else { "" };
            let whole = format!("{directory}{name}{slash}");
            let text = match quoted(&whole, quote) {
                // Left open, so that typing goes on inside the quotes.
                text if is_directory && text.ends_with(['\'', '"']) => text[..text.len() - 1].to_owned(),
                text => text,
            };
            Candidate::new(What::Path, format!("{name}{slash}"), text)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_a_command_of_the_shell() {
        for (name, ..) in COMMANDS {
            assert!(crate::shell::dot::names().any(|known| known == *name), "{name}");
        }
    }

    #[test]
    fn every_command_is_completed_with_the_options_that_its_help_tells() {
        for name in names() {
            let (_, options, _) = COMMANDS.iter().find(|(known, ..)| *known == name).expect(name);
            let told: Vec<&str> = crate::shell::dot::help_on(name)
                .into_iter()
                .filter_map(|line| line.strip_prefix("   -").map(|_| line.trim_start()))
                .flat_map(|line| line.split("  ").next().unwrap_or_default().split([' ', ',']))
                .filter(|word| word.starts_with('-'))
                .collect();
            for option in told {
                assert!(options.contains(&option), "{name} {option}");
            }
        }
    }
}
