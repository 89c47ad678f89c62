//! What clap refuses, in our own voice: the same sentences, hints, documents and exit codes as every other error.

use crate::error::{Code, Error};
use crate::ui::{Color, Options, Ui, report};
use clap::error::ErrorKind;
use std::error::Error as _;
use std::ffi::OsString;
use std::io::Write as _;

/// Prints what clap has to say (help, version or a refusal) and returns the exit code.
pub(super) fn answer(args: &[OsString], error: clap::Error) -> u8 {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // Help into a closed pipe is no failure.
            let _ = error.print();
            0
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = std::io::stderr().lock().write_all(error.to_string().as_bytes());
            Code::Usage.kind().exit_code()
        }
        _ => {
            let ui = Ui::new(Options {
                color: color(args),
                ..Options::default()
            });
            report::report(&ui, wants_json(args), &translate(&error))
        }
    }
}

/// Our error for clap's. Where one of our own parsers refused a value, its error is told as it is.
fn translate(error: &clap::Error) -> Error {
    if let Some(own) = error.source().and_then(|source| source.downcast_ref::<Error>()) {
        let told = Error::new(own.code(), own.message());
        return match own.hint_text() {
            Some(hint) => told.hint(hint),
            None => told,
        };
    }
    let text = error.to_string();
    let mut message = Vec::new();
    let mut hints = Vec::new();
    for line in text.lines() {
        let line = line.trim();
        if let Some(tip) = line.strip_prefix("tip: ") {
            hints.push(tip.to_owned());
        } else if let Some(usage) = line.strip_prefix("Usage: ") {
            hints.push(format!("usage is {usage}"));
        } else if !line.is_empty() && !line.starts_with("For more information") {
            message.push(line.strip_prefix("error: ").unwrap_or(line).to_owned());
        }
    }
    let told = Error::new(Code::Usage, message.join(" "));
    if hints.is_empty() {
        told.hint("torso help shows the commands")
    } else {
        told.hint(hints.join("; "))
    }
}

/// Whether the command line asked for JSON, as far as one can tell from words that do not parse.
fn wants_json(args: &[OsString]) -> bool {
    let words: Vec<_> = args
        .iter()
        .skip(1)
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
