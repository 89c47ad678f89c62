//! Which parts of a migration's file are run: the annotations of goose, dbmate, Drizzle, Atlas and sqlx, which are comments to
//! SQLite.
//!
//! Every migration runs in a transaction here, so a file that wants none is refused rather than run in another way than its
//! author meant.

use crate::error::{Code, Error, Result};
use crate::sql::script_error::located;
use std::ops::Range;

/// Parts of a text, in order.
type Parts = Vec<Range<usize>>;

/// A single part.
fn one(part: Range<usize>) -> Parts {
    std::iter::once(part).collect()
}

/// The lines of a text: where each begins and ends, and its number.
fn lines(text: &str) -> impl Iterator<Item = (Range<usize>, u64)> {
    let mut at = 0;
    text.split_inclusive('\n').zip(1..).map(move |(line, number)| {
        let start = at;
        at += line.len();
        (start..at, number)
    })
}

/// What follows a marker in a comment line (`-- +goose Up`), without the white space around it.
fn annotation<'t>(line: &'t str, marker: &str) -> Option<&'t str> {
    let comment = line.trim().strip_prefix("--")?;
    Some(comment.trim_start().strip_prefix(marker)?.trim())
}

fn invalid(file: &str, line: u64, why: &str) -> Error {
    located(file, line, why, Code::InvalidFile)
}

fn wants_no_transaction(file: &str, line: u64) -> Error {
    located(
        file,
        line,
        "it asks to run without a transaction, and torso runs each migration in one",
        Code::Unsupported,
    )
    .hint("take the annotation out; run a statement such as VACUUM with torso db exec")
}

/// All of a file, unless sqlx's first line asks for no transaction.
pub(super) fn plain(file: &str, text: &str) -> Result<Parts> {
    if annotation(text.lines().next().unwrap_or_default(), "no-transaction").is_some() {
        return Err(wants_no_transaction(file, 1));
    }
    Ok(one(0..text.len()))
}

/// Drizzle's statements, between its breakpoints.
pub(super) fn drizzle(text: &str) -> Parts {
    const BREAKPOINT: &str = "--> statement-breakpoint";
    let mut parts = Parts::new();
    let mut start = 0;
    for (at, found) in text.match_indices(BREAKPOINT) {
        parts.push(start..at);
        start = at + found.len();
    }
    parts.push(start..text.len());
    parts
}

/// All of a file of Atlas, unless it has a directive that changes how it is run.
pub(super) fn atlas(file: &str, text: &str) -> Result<Parts> {
    /// Directives that say nothing about how statements are run.
    const HARMLESS: [&str; 4] = ["nolint", "sum", "assert", "import"];
    for (range, number) in lines(text) {
        let Some(directive) = annotation(&text[range], "atlas:") else {
            continue;
        };
        let name = directive.split_whitespace().next().unwrap_or_default();
        match directive.split_whitespace().nth(1) {
            Some("none") if name == "txmode" => return Err(wants_no_transaction(file, number)),
            _ if name == "txmode" || HARMLESS.contains(&name) => {}
            _ => {
                return Err(located(
                    file,
                    number,
                    &format!("torso does not know Atlas's directive {name:?}"),
                    Code::Unsupported,
                )
                .hint("take it out, or apply the directory with Atlas"));
            }
        }
    }
    Ok(one(0..text.len()))
}

/// What is between `-- migrate:up` and `-- migrate:down`.
pub(super) fn dbmate(file: &str, text: &str) -> Result<Parts> {
    let mut up = None;
    for (range, number) in lines(text) {
        match (annotation(&text[range.clone()], "migrate:"), up) {
            (Some(option), None) if option.starts_with("up") => {
                if option.contains("transaction:false") {
                    return Err(wants_no_transaction(file, number));
                }
                up = Some(range.end);
            }
            (Some(option), Some(start)) if option.starts_with("down") => return Ok(one(start..range.start)),
            (Some(option), _) => {
                return Err(invalid(file, number, &format!("migrate:{option} is not expected here")));
            }
            (None, _) => {}
        }
    }
    match up {
        Some(start) => Ok(one(start..text.len())),
        None => Err(invalid(file, 1, "it has no line -- migrate:up")),
    }
}

/// What is between `-- +goose Up` and `-- +goose Down`, cut where StatementBegin and StatementEnd stand.
pub(super) fn goose(file: &str, text: &str) -> Result<Parts> {
    let mut parts = Parts::new();
    // Where the part under way begins, behind the Up.
    let mut start = None;
    // The line of a StatementBegin without its end.
    let mut begun = None;
    let mut over = false;
    for (range, number) in lines(text) {
        let Some(option) = annotation(&text[range.clone()], "+goose") else {
            continue;
        };
        let is = |name: &str| option.eq_ignore_ascii_case(name);
        if is("NO TRANSACTION") {
            return Err(wants_no_transaction(file, number));
        } else if is("Up") && start.is_none() && !over {
            start = Some(range.end);
        } else if is("Down") && !over && begun.is_none() {
            let Some(start) = start.take() else {
                return Err(invalid(file, number, "+goose Down comes before +goose Up"));
            };
            parts.push(start..range.start);
            over = true;
        } else if is("StatementBegin") && begun.is_none() && (start.is_some() || over) {
            begun = Some(number);
        } else if is("StatementEnd") && begun.is_some() {
            begun = None;
        } else if is("ENVSUB ON") {
            return Err(located(
                file,
                number,
                "torso does not put variables of the environment into migrations",
                Code::Unsupported,
            )
            .hint("write the values into the file"));
        } else if is("ENVSUB OFF") {
            continue;
        } else {
            return Err(invalid(file, number, &format!("+goose {option} is not expected here")));
        }
        // A block is a part of its own, since it may lack its semicolon.
        if let Some(start) = &mut start
            && (is("StatementBegin") || is("StatementEnd"))
        {
            parts.push(*start..range.start);
            *start = range.end;
        }
    }
    if let Some(line) = begun {
        return Err(invalid(file, line, "+goose StatementBegin has no StatementEnd"));
    }
    match start {
        Some(start) => parts.push(start..text.len()),
        None if over => {}
        None => return Err(invalid(file, 1, "it has no line -- +goose Up")),
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str, parts: Parts) -> Vec<&str> {
        parts.into_iter().map(|part| text[part].trim()).collect()
    }

    #[test]
    fn goose_runs_what_is_up() {
        let text =
            "-- a\n-- +goose Up\nA;\n-- +goose StatementBegin\nB; B\n-- +goose StatementEnd\nC;\n-- +goose Down\nD;\n";
        assert_eq!(texts(text, goose("f", text).unwrap()), ["A;", "B; B", "C;"]);
        for (text, message, code) in [
            ("A;", "f:1: it has no line -- +goose Up", Code::InvalidFile),
            ("\n-- +goose Down\n", "f:2: +goose Down comes before", Code::InvalidFile),
            (
                "-- +goose Up\n-- +goose Up\n",
                "f:2: +goose Up is not",
                Code::InvalidFile,
            ),
            (
                "-- +goose Up\n-- +goose StatementBegin\nA",
                "f:2: +goose",
                Code::InvalidFile,
            ),
            (
                "-- +goose Up\n-- +goose Sideways\n",
                "f:2: +goose Sideways",
                Code::InvalidFile,
            ),
            (
                "-- +goose NO TRANSACTION\n-- +goose Up\nA",
                "f:1: it asks",
                Code::Unsupported,
            ),
            (
                "-- +goose ENVSUB ON\n-- +goose Up\nA",
                "f:1: torso does not put",
                Code::Unsupported,
            ),
        ] {
            let error = goose("f", text).unwrap_err();
            assert!(error.message().starts_with(message), "{error}");
            assert_eq!(error.code(), code);
        }
    }

    #[test]
    fn dbmate_runs_what_is_up() {
        let text = "-- migrate:up\nA;\n\n-- migrate:down\nB;\n";
        assert_eq!(texts(text, dbmate("f", text).unwrap()), ["A;"]);
        assert_eq!(
            dbmate("f", "-- migrate:up transaction:false\nA").unwrap_err().code(),
            Code::Unsupported
        );
        assert_eq!(dbmate("f", "A;").unwrap_err().code(), Code::InvalidFile);
        assert!(
            dbmate("f", "-- migrate:down\nA;")
                .unwrap_err()
                .message()
                .starts_with("f:1:")
        );
    }

    #[test]
    fn directives_that_change_how_a_file_runs_are_refused() {
        assert!(atlas("f", "-- atlas:txmode file\n-- atlas:nolint\nA;").is_ok());
        for text in [
            "-- atlas:txmode none\nA",
            "-- atlas:delimiter //\nA",
            "-- atlas:checkpoint\nA",
        ] {
            assert_eq!(atlas("f", text).unwrap_err().code(), Code::Unsupported, "{text}");
        }
        assert_eq!(
            plain("f", "-- no-transaction\nA").unwrap_err().code(),
            Code::Unsupported
        );
        assert_eq!(
            texts(
                "A\n--> statement-breakpoint\nB",
                drizzle("A\n--> statement-breakpoint\nB")
            ),
            ["A", "B"]
        );
    }
}
