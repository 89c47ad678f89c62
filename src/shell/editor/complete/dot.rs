//! Dot-commands: their names, options and arguments.

use super::{Candidate, Completions, What, starts_with};
use crate::shell::command_spec::{Argument, CommandSpec};
use crate::shell::editor::schema::Schema;
use crate::shell::render::preset;
use std::path::Path;

/// The names of the dot-commands that a person may want, without their dots.
fn names(commands: &[&'static CommandSpec]) -> impl Iterator<Item = &'static str> {
    let mut names: Vec<_> = commands
        .iter()
        .filter(|spec| !spec.hidden)
        .map(|spec| spec.name)
        .collect();
    names.sort_unstable();
    names.into_iter()
}

/// Completes a dot-command up to the cursor at its end.
pub fn complete(line: &str, commands: &[&'static CommandSpec], schema: &dyn Schema) -> Completions {
    let typed = &line[1..];
    let Some(end) = typed.find(char::is_whitespace) else {
        let matching = names(commands).filter(|name| name.starts_with(typed));
        let mut candidates: Vec<_> = matching
            .map(|name| Candidate::new(What::Command, format!(".{name}"), format!(".{name}")))
            .collect();
        if let [only] = candidates.as_mut_slice() {
            let takes = commands
                .iter()
                .any(|spec| only.text[1..] == *spec.name && !(spec.options().is_empty() && spec.arguments.is_empty()));
            if takes {
                only.text.push(' ');
            }
        }
        return Completions { start: 0, candidates };
    };
    let (command, rest) = typed.split_at(end);
    // As the shell does: the first command that begins so.
    let mut sorted = commands.to_vec();
    sorted.sort_unstable_by_key(|spec| spec.name);
    let Some(spec) = sorted
        .iter()
        .find(|spec| spec.name == command)
        .or_else(|| sorted.iter().find(|spec| spec.name.starts_with(command)))
    else {
        return Completions {
            start: line.len(),
            candidates: Vec::new(),
        };
    };
    let word = word_start(rest);
    let start = line.len() - (rest.len() - word);
    let typed = &rest[word..];
    if typed.starts_with('-') {
        let candidates = spec
            .options()
            .into_iter()
            .filter(|option| option.starts_with(typed))
            .map(|option| Candidate::new(What::Argument, option, option));
        return Completions {
            start,
            candidates: candidates.collect(),
        };
    }
    let position = rest[..word]
        .split_whitespace()
        .filter(|word| !word.starts_with('-'))
        .count();
    let Some(argument) = spec
        .arguments
        .get(position)
        .or_else(|| spec.arguments.last().filter(|last| matches!(last, Argument::Table)))
    else {
        return Completions {
            start,
            candidates: Vec::new(),
        };
    };
    Completions {
        start,
        candidates: arguments(argument, typed, commands, schema),
    }
}

/// What could stand in the place of `typed`.
fn arguments(
    argument: &Argument,
    typed: &str,
    commands: &[&'static CommandSpec],
    schema: &dyn Schema,
) -> Vec<Candidate> {
    let quote = typed.chars().next().filter(|c| matches!(c, '"' | '\''));
    let bare = if quote.is_some() { &typed[1..] } else { typed };
    let named = |what: What, names: Vec<String>| -> Vec<Candidate> {
        names
            .into_iter()
            .filter(|name| starts_with(name, bare))
            .map(|name| Candidate::new(what, name.clone(), quoted(&name, quote)))
            .collect()
    };
    match *argument {
        Argument::Words(words) => words
            .iter()
            .filter(|word| starts_with(word, bare))
            .map(|word| Candidate::new(What::Argument, *word, *word))
            .collect(),
        Argument::Mode => named(
            What::Argument,
            preset::listed().into_iter().map(str::to_owned).collect(),
        ),
        Argument::Table => named(What::Table, schema.tables()),
        Argument::Command => named(What::Command, names(commands).map(str::to_owned).collect()),
        Argument::Database => {
            let mut all = if bare.contains('/') {
                Vec::new()
            } else {
                named(What::Database, schema.databases())
            };
            all.extend(paths(bare, quote, false));
            all
        }
        Argument::Path => paths(bare, quote, false),
        Argument::PathOr(words) => named(What::Argument, words.iter().map(|word| (*word).to_owned()).collect())
            .into_iter()
            .chain(paths(bare, quote, false))
            .collect(),
        Argument::Directory => paths(bare, quote, true),
    }
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
