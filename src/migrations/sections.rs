//! Which parts of a migration's file are run: the annotations of goose, sql-migrate, dbmate, Drizzle, Atlas and sqlx, which are
//! comments to SQLite.
//!
//! Every migration runs in a transaction here, so a file that wants none is refused rather than run in another way than its
//! author meant.

use crate::error::{Code, Error, Result};
use crate::sql::script_error::located;
use std::ops::Range;

/// What goose's annotations begin with.
pub(super) const GOOSE: &str = "+goose";

/// What those of sql-migrate begin with, which are goose's otherwise.
pub(super) const SQL_MIGRATE: &str = "+migrate";

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
    // An editor's byte order mark may come before the first one.
    let comment = line.trim_start_matches('\u{feff}').trim().strip_prefix("--")?;
    Some(comment.trim_start().strip_prefix(marker)?.trim())
}

/// Whether a text has an annotation that begins with a marker.
pub(super) fn has_annotation(text: &str, marker: &str) -> bool {
    text.lines().any(|line| annotation(line, marker).is_some())
}

/// Whether a comment line says, in a way that no layout here has, that what undoes the migration follows: `-- Down`,
/// `--!Downs`, `-- rollback`, `---- create above / drop below ----`.
fn begins_undo(line: &str) -> bool {
    /// What such a line says.
    const UNDO: [&str; 6] = ["down", "downs", "undo", "rollback", "revert", "below"];
    /// What it may say beside it. A sentence has other words.
    const BESIDE: [&str; 10] = [
        "above",
        "begin",
        "create",
        "drop",
        "goose",
        "migrate",
        "migration",
        "rambler",
        "section",
        "start",
    ];
    let Some(comment) = line.trim().strip_prefix("--") else {
        return false;
    };
    let comment = comment.to_ascii_lowercase();
    let words: Vec<&str> = comment
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    words.iter().any(|word| UNDO.contains(word))
        && words.iter().all(|word| UNDO.contains(word) || BESIDE.contains(word))
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

/// All of a file, unless sqlx's first line asks for no transaction, or a part of it seems to undo the rest.
pub(super) fn plain(file: &str, text: &str) -> Result<Parts> {
    if annotation(text.lines().next().unwrap_or_default(), "no-transaction").is_some() {
        return Err(wants_no_transaction(file, 1));
    }
    if let Some((line, number)) = text.lines().zip(1..).find(|(line, _)| begins_undo(line)) {
        return Err(located(
            file,
            number,
            &format!(
                "torso would run what follows {:?}, which seems to undo the migration",
                line.trim()
            ),
            Code::Unsupported,
        )
        .hint("use the annotations of goose or dbmate, or put what undoes it into a file NNNN_name.down.sql"));
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

/// What is between `-- +goose Up` and `-- +goose Down`, cut where StatementBegin and StatementEnd stand. `marker` is what the
/// annotations begin with.
pub(super) fn goose(file: &str, text: &str, marker: &str) -> Result<Parts> {
    let mut parts = Parts::new();
    // Where the part under way begins, behind the Up.
    let mut start = None;
    // The line of a StatementBegin without its end.
    let mut begun = None;
    let mut over = false;
    for (range, number) in lines(text) {
        let Some(option) = annotation(&text[range.clone()], marker) else {
            continue;
        };
        let is = |name: &str| option.eq_ignore_ascii_case(name);
        if is("NO TRANSACTION") || is("Up notransaction") {
            return Err(wants_no_transaction(file, number));
        } else if is("Up") && start.is_none() && !over {
            start = Some(range.end);
        } else if is("Down") && !over && begun.is_none() {
            let Some(start) = start.take() else {
                return Err(invalid(
                    file,
                    number,
                    &format!("{marker} Down comes before {marker} Up"),
                ));
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
            return Err(invalid(
                file,
                number,
                &format!("{marker} {option} is not expected here"),
            ));
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
        return Err(invalid(
            file,
            line,
            &format!("{marker} StatementBegin has no StatementEnd"),
        ));
    }
    match start {
        Some(start) => parts.push(start..text.len()),
        None if over => {}
        None => return Err(invalid(file, 1, &format!("it has no line -- {marker} Up"))),
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
        assert_eq!(texts(text, goose("f", text, GOOSE).unwrap()), ["A;", "B; B", "C;"]);
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
            let error = goose("f", text, GOOSE).unwrap_err();
            assert!(error.message().starts_with(message), "{error}");
            assert_eq!(error.code(), code);
        }
    }

    #[test]
    fn goose_annotations_of_sql_migrate_and_behind_a_byte_order_mark_are_read() {
        let text = "\u{feff}-- +migrate Up\nA;\n-- +migrate Down\nB;\n";
        assert!(has_annotation(text, SQL_MIGRATE) && !has_annotation(text, GOOSE));
        assert_eq!(texts(text, goose("f", text, SQL_MIGRATE).unwrap()), ["A;"]);
        let text = "-- +migrate Up notransaction\nA;";
        let error = goose("f", text, SQL_MIGRATE).unwrap_err();
        assert_eq!(error.code(), Code::Unsupported);
    }

    #[test]
    fn undo_that_no_layout_has_is_refused() {
        for line in [
            "-- Down",
            "--!Downs",
            "-- # --- !Downs",
            "-- rambler down",
            "-- Down Migration",
            "-- Migrate:Down",
            "-- //@UNDO",
            "---- create above / drop below ----",
            "-- rollback",
        ] {
            let error = plain("f", &format!("create table a(x);\n{line}\ndrop table a;")).unwrap_err();
            assert_eq!(error.code(), Code::Unsupported, "{line}");
            assert!(error.message().starts_with("f:2: "), "{error}");
        }
        for line in [
            "-- down payments",
            "-- the table is dropped by a later migration",
            "-- Up",
            "-- see below: b",
            "--",
        ] {
            assert!(plain("f", &format!("create table a(x);\n{line}\n")).is_ok(), "{line}");
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
