//! Every command line that a page, a help text or a hint shows is one that torso understands.

use super::pages;
use crate::support::crate_root;
use clap::error::ErrorKind;
use std::path::Path;

/// What ends a command in a shell.
const ENDS: [char; 8] = ['|', ';', '&', '>', '<', ')', '#', '\n'];

/// The words of the first command in a shell's text, with quotes taken off.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '\\') if chars.peek() == Some(&'\n') => {
                chars.next();
            }
            (None, c) if ENDS.contains(&c) => {
                // The number of a stream is no word: `2> FILE`.
                word = word.filter(|word| !word.chars().all(|c| c.is_ascii_digit()) || !['<', '>'].contains(&c));
                break;
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// Why torso does not understand the words; none if it does, or if only something is missing that a reader fills in.
fn misunderstood(mut words: Vec<String>) -> Option<String> {
    // The shell's words are its own to parse.
    if let Some(at) = words.windows(2).position(|pair| pair == ["db", "shell"]) {
        words.truncate(at + 2);
    }
    let has_placeholder = words.iter().any(|word| {
        let letters: String = word.chars().filter(|c| c.is_alphabetic()).collect();
        word.contains(['…', '$', '{', '[', '<', '|']) || (letters.len() > 1 && letters.chars().all(char::is_uppercase))
    });
    // `torso NOUN -h` speaks of any command.
    if words
        .get(1)
        .is_some_and(|word| word.chars().all(|c| c.is_ascii_uppercase()))
    {
        return None;
    }
    let error = torso::commands::command().try_get_matches_from(&words).err()?;
    match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        | ErrorKind::MissingRequiredArgument
        | ErrorKind::MissingSubcommand => None,
        ErrorKind::InvalidValue if error.to_string().contains("a value is required") => None,
        ErrorKind::ValueValidation | ErrorKind::InvalidValue | ErrorKind::UnknownArgument if has_placeholder => {
            let unknown = words.iter().find(|word| {
                word.starts_with("--")
                    && error.kind() == ErrorKind::UnknownArgument
                    && error.to_string().contains(*word)
            });
            unknown.map(|word| format!("{}: no option {word}", words.join(" ")))
        }
        _ => Some(format!("{}: {error}", words.join(" "))),
    }
}

/// Where commands of torso begin in a shell's text.
fn commands_in(text: &str) -> Vec<Vec<String>> {
    let starts = text.match_indices("torso ").map(|(at, _)| at).filter(|at| {
        let before = text[..*at].trim_end_matches(' ');
        before.is_empty()
            || before.ends_with(['\n', '|', ';', '(', '&', '$'])
            || before.ends_with("xargs -n1")
            || before.ends_with("sudo -u torso")
            || before.ends_with("until")
    });
    starts.map(|at| words(&text[at..])).collect()
}

#[test]
fn docs_command_in_every_block_is_understood() {
    let mut checked = 0;
    let mut failures = Vec::new();
    for page in pages::all().iter().filter(|page| page.name() != "CHANGELOG.md") {
        for block in page
            .blocks()
            .iter()
            .filter(|block| ["sh", "console", ""].contains(&&*block.language))
        {
            for words in commands_in(&block.text) {
                checked += 1;
                failures.extend(misunderstood(words).map(|why| format!("{}:{}: {why}", page.name(), block.line)));
            }
        }
    }
    assert!(checked > 50, "only {checked}");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn docs_command_in_every_sentence_is_understood() {
    let mut checked = 0;
    let mut failures = Vec::new();
    for page in pages::all() {
        for code in page.inline_code().iter().filter(|code| code.starts_with("torso ")) {
            checked += 1;
            failures.extend(misunderstood(words(code)).map(|why| format!("{}: {why}", page.name())));
        }
    }
    assert!(checked > 30, "only {checked}");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The options that a text names right after a command, up to the end of the sentence's part.
fn options_named(text: &str) -> Vec<&str> {
    let end = text
        .find(['"', '`', ';', ':', '(', ')', '|', '\n'])
        .unwrap_or(text.len());
    // In a literal, a line ends with the two characters of its escape.
    let text = text[..end].split("\\n").next().unwrap_or_default();
    let text = text.split(". ").next().unwrap_or_default();
    text.split([' ', ',', '=', '.'])
        .map(|word| word.trim_end_matches('\\'))
        .filter(|word| word.len() > 2 && word.starts_with("--"))
        .collect()
}

fn sources(dir: &Path, found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "rs" || extension == "txt")
        {
            found.push((path.display().to_string(), std::fs::read_to_string(path).unwrap()));
        }
    }
}

#[test]
fn hint_that_names_an_option_names_one_of_its_command() {
    let mut found = Vec::new();
    sources(&crate_root().join("src"), &mut found);
    let mut tree = torso::commands::command();
    tree.build();
    let (mut checked, mut failures) = (0, Vec::new());
    for (path, text) in &found {
        let text = text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default();
        for (at, _) in text.match_indices("torso ") {
            let mut rest = &text[at + "torso ".len()..];
            let mut command = &tree;
            while let Some(next) = rest
                .split([' ', '"', '`', '\\', ',', ';', ':', ')', '\n'])
                .next()
                .and_then(|word| Some((word, command.find_subcommand(word)?)))
            {
                command = next.1;
                rest = rest[next.0.len()..].trim_start_matches(' ');
            }
            // The shell's flags are its own.
            if command.get_name() == "torso" || command.get_name() == "shell" {
                continue;
            }
            for option in options_named(rest) {
                checked += 1;
                let known = |arg: &clap::Arg| {
                    let long = option.strip_prefix("--");
                    arg.get_long() == long
                        || arg
                            .get_all_aliases()
                            .unwrap_or_default()
                            .iter()
                            .any(|alias| Some(*alias) == long)
                };
                if option != "--help" && !command.get_arguments().any(known) {
                    failures.push(format!("{path}: {} has no {option}", command.get_name()));
                }
            }
        }
    }
    assert!(checked > 40, "only {checked}");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
