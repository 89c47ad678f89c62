//! What clap refuses, in our own voice: the same sentences, hints, documents and exit codes as every other error.

use super::{Cli, help};
use crate::error::{Code, Error};
use crate::ui::{Color, Ui, UiOptions, report};
use clap::CommandFactory as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::error::Error as _;
use std::ffi::OsString;
use std::io::Write as _;

/// Prints what clap has to say (help, version or a refusal) and returns the exit code.
pub(super) fn answer(args: &[OsString], error: clap::Error) -> u8 {
    match error.kind() {
        ErrorKind::DisplayHelp => {
            let ui = Ui::new(UiOptions {
                color: color(args),
                ..UiOptions::default()
            });
            print(&ui, args, &help::requested_page(args, ui.colors_answer()))
        }
        ErrorKind::DisplayVersion => print(&Ui::new(UiOptions::default()), args, &error.to_string()),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let page = help::requested_page(args, false);
            let _ = std::io::stderr().lock().write_all(page.as_bytes());
            Code::Usage.kind().exit_code()
        }
        _ => {
            let ui = Ui::new(UiOptions {
                color: color(args),
                ..UiOptions::default()
            });
            report::report(&ui, wants_json(args), &translate(&error, args))
        }
    }
}

/// Prints a text and returns the exit code. A closed pipe is no failure, and a full disk is one.
fn print(ui: &Ui, args: &[OsString], text: &str) -> u8 {
    match ui.page(text) {
        Ok(()) => 0,
        Err(error) => report::report(ui, wants_json(args), &error),
    }
}

/// Our error for clap's. Where one of our own parsers refused a value, its error is told as it is.
fn translate(error: &clap::Error, args: &[OsString]) -> Error {
    if let Some(own) = error.source().and_then(|source| source.downcast_ref::<Error>()) {
        let text = Error::new(own.code(), own.message());
        return match own.hint_text() {
            Some(hint) => text.hint(hint),
            None => text,
        };
    }
    let text = error.to_string();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let ours = lines.take_while(|line| !line.starts_with("tip: ") && !line.starts_with("Usage: "));
    let message: Vec<_> = ours.filter(|line| !line.starts_with("For more information")).collect();
    let message = message.join(" ");
    let message = message.strip_prefix("error: ").unwrap_or(&message);
    Error::new(Code::Usage, message).hint(hint(error, args))
}

/// What to type next: the word that was probably meant, else the help of the command at fault.
fn hint(error: &clap::Error, args: &[OsString]) -> String {
    let text = |kind| error.get(kind).map(ToString::to_string);
    let near = [
        ContextKind::SuggestedSubcommand,
        ContextKind::SuggestedArg,
        ContextKind::SuggestedValue,
    ]
    .into_iter()
    .find_map(|kind| match error.get(kind)? {
        // The likeliest comes last.
        ContextValue::Strings(words) => Some(words.iter().rev().take(2).cloned().collect::<Vec<_>>().join(" or ")),
        ContextValue::String(word) => Some(word.clone()),
        _ => None,
    });
    // clap takes words for alike that nobody would mistake for each other.
    let typed = text(ContextKind::InvalidSubcommand);
    let near = near.filter(|near| {
        typed.as_ref().is_none_or(|typed| {
            near.split(" or ")
                .any(|word| strsim::damerau_levenshtein(typed, word) <= typed.len().div_ceil(2))
        })
    });
    if let Some(near) = near {
        return format!("did you mean {near}?");
    }
    // `Usage: torso db create [OPTIONS] …`: the words before the first option or value are the command.
    let usage = text(ContextKind::Usage).unwrap_or_default();
    let words = usage.split_whitespace().skip_while(|word| *word != "torso");
    let command: Vec<_> = words.take_while(|word| !word.starts_with(['[', '<', '-'])).collect();
    match command.as_slice() {
        [] | ["torso"] => match named(args) {
            Some(command) => format!("torso {command} --help shows what it takes"),
            None => "torso help shows the commands".into(),
        },
        command => format!("{} --help shows what it takes", command.join(" ")),
    }
}

/// The command that the words name, where clap does not say.
fn named(args: &[OsString]) -> Option<String> {
    let tree = Cli::command();
    let mut command = &tree;
    let mut path = Vec::new();
    for word in args.iter().skip(1).map(|word| word.to_string_lossy()) {
        if let Some(next) = command.find_subcommand(&*word) {
            path.push(next.get_name());
            command = next;
        }
    }
    (!path.is_empty()).then(|| path.join(" "))
}

/// Whether the command line asked for JSON, as far as one can tell from words that do not parse.
fn wants_json(args: &[OsString]) -> bool {
    names_json(args.get(1..).unwrap_or_default())
}

/// Whether words name JSON as the form of the result: `--json`, or `--output` with a form of JSON.
pub(super) fn names_json(words: &[OsString]) -> bool {
    let words: Vec<_> = words
        .iter()
        .take_while(|word| *word != "--")
        .map(|word| word.to_string_lossy())
        .collect();
    words.iter().enumerate().any(|(i, word)| match word.as_ref() {
        "--json" | "--output=json" | "--output=jsonl" => true,
        "--output" => words.get(i + 1).is_some_and(|form| form == "json" || form == "jsonl"),
        _ => false,
    })
}

fn color(args: &[OsString]) -> Color {
    let words: Vec<_> = args.iter().map(|word| word.to_string_lossy()).collect();
    let value = words
        .iter()
        .enumerate()
        .find_map(|(i, word)| match word.strip_prefix("--color") {
            Some("") => words.get(i + 1).map(AsRef::as_ref),
            Some(rest) => rest.strip_prefix('='),
            None => None,
        });
    match value {
        Some("always") => Color::Always,
        Some("never") => Color::Never,
        _ => Color::Auto,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    fn refused(line: &str) -> Error {
        match Cli::try_parse_from(line.split(' ')) {
            Ok(_) => panic!("{line} was understood"),
            Err(error) => translate(&error, &line.split(' ').map(OsString::from).collect::<Vec<_>>()),
        }
    }

    #[test]
    fn clap_error_names_the_fault_and_what_to_type() {
        for (line, message, hint) in [
            (
                "torso db craete",
                "unrecognized subcommand 'craete'",
                "did you mean create",
            ),
            (
                "torso db list --sort naem",
                "invalid value 'naem' for '--sort <KEY>'",
                "did you mean name?",
            ),
            (
                "torso db list --grop x",
                "unexpected argument '--grop' found",
                "did you mean --group?",
            ),
            (
                "torso db destroy",
                "the following required arguments were not provided: <NAME>...",
                "torso db destroy --help",
            ),
            ("torso frobnicate", "unrecognized subcommand 'frobnicate'", "torso help"),
            (
                "torso db config set app foo on",
                "invalid value 'foo' for '<KEY>'",
                "torso db config set --help",
            ),
            ("torso --color blue", "invalid value 'blue'", "torso help"),
            (
                "torso db create --from-csv a --from-file b",
                "cannot be used with",
                "torso db create --help",
            ),
        ] {
            let error = refused(line);
            assert_eq!(error.code(), Code::Usage, "{line}");
            assert!(error.message().contains(message), "{line}: {error}");
            assert!(
                error.hint_text().unwrap().contains(hint),
                "{line}: {:?}",
                error.hint_text()
            );
        }
    }

    #[test]
    fn clap_error_of_an_own_parser_keeps_its_message() {
        let error = refused("torso db create Upper");
        assert_eq!(error.code(), Code::InvalidName);
        assert!(
            error.message().starts_with("\"Upper\" is not a database name"),
            "{error}"
        );
        let error = refused("torso db create a --size-limit 5parsecs");
        assert_eq!(error.code(), Code::InvalidValue);
    }

    #[test]
    fn json_flag_is_found_in_a_line_that_does_not_parse() {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        for line in ["torso --json x", "torso x --output json", "torso x --output=jsonl y"] {
            assert!(wants_json(&words(line)), "{line}");
        }
        for line in ["torso x", "torso x -- --json", "torso --output table --jsn"] {
            assert!(!wants_json(&words(line)), "{line}");
        }
    }
}
