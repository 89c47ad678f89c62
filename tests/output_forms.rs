//! `--output csv|jsonl|name` on every command that answers: the session of the golden documents once in each form. What is in the
//! forms is one definition (`ui::View`), so what is held here is that no command goes around it.

use crate::golden_json::{ANSWERS, words, world};
use crate::support::{Run, crate_root};
use serde_json::Value;

/// Answers that are one bare value, in every form the same.
const VALUES: [&str; 2] = ["config-get", "config-path"];

/// Runs the session in a form; each answer by its name, with what it is as JSON.
fn answers(form: &str) -> impl Iterator<Item = (&'static str, Value, Run)> {
    let world = world();
    ANSWERS.iter().map(move |(name, line)| {
        let golden = std::fs::read(crate_root().join(format!("tests/golden/{name}.json"))).unwrap();
        let backup = match line.contains("BACKUP") {
            true => world.ok(["db", "backups", "app", "--in", "backups", "--output", "name"]),
            false => String::new(),
        };
        let words = words(line, backup.trim()).into_iter();
        let run = world.torso(words.chain(["--output".to_owned(), form.to_owned()]));
        // Two databases that differ are an answer, too.
        assert!(matches!(run.code(), 0 | 5), "{}", run.report());
        (*name, serde_json::from_slice(&golden).unwrap(), run)
    })
}

#[test]
fn output_as_json_lines_has_a_line_for_each_item() {
    for (name, golden, run) in answers("jsonl") {
        // What differs is a line each, and the summary is the exit code.
        if name == "db-diff" {
            continue;
        }
        let lines: Vec<Value> = run
            .stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{name}: {error}\n{}", run.report())))
            .collect();
        let wanted = golden.as_array().map_or(1, Vec::len);
        assert_eq!(lines.len(), wanted, "{name}\n{}", run.report());
    }
}

#[test]
fn output_as_csv_has_a_header_and_records_of_its_width() {
    for (name, golden, run) in answers("csv") {
        if VALUES.contains(&name) {
            continue;
        }
        let mut reader = csv::ReaderBuilder::new().from_reader(run.stdout.as_bytes());
        let header = reader.headers().unwrap().clone();
        assert!(
            !header.is_empty()
                && header
                    .iter()
                    .all(|title| !title.is_empty() && title == title.to_lowercase() || golden.get(title).is_some()),
            "{name}: {header:?}\n{}",
            run.report()
        );
        // The reader refuses a record of another width.
        for record in reader.records() {
            record.unwrap_or_else(|error| panic!("{name}: {error}\n{}", run.report()));
        }
    }
}

#[test]
fn output_as_names_has_bare_names() {
    for (name, golden, run) in answers("name") {
        let names: Vec<&str> = run.stdout.lines().collect();
        assert!(
            names
                .iter()
                .all(|line| !line.is_empty() && !line.starts_with(['{', '[', '"'])),
            "{name}\n{}",
            run.report()
        );
        if let Some(items) = golden.as_array().filter(|_| !name.starts_with("db-diff")) {
            // What was not there has not been changed.
            let done = items.iter().filter(|item| item["done"] != false).count();
            assert_eq!(names.len(), done, "{name}\n{}", run.report());
        }
    }
}
