//! `docs/design.md` says what each folder is for and who may import whom: both tables are made from the source.
//!
//! `UPDATE=1 cargo test --test integration docs::rooms` writes them.

use crate::layering::IMPORTS;
use crate::support::{crate_root, tree};
use std::fmt::Write as _;

/// The first sentence of a file's module doc, up to a semicolon.
fn purpose(text: &str) -> String {
    let docs: Vec<_> = text
        .lines()
        .take_while(|line| line.starts_with("//!"))
        .map(|line| line.trim_start_matches("//!").trim())
        .collect();
    let docs = docs.join(" ").replace("[`", "`").replace("`]", "`");
    let end = docs
        .match_indices(". ")
        .chain(docs.match_indices("; "))
        .map(|(at, _)| at)
        .min();
    docs[..end.unwrap_or(docs.len())]
        .trim_end_matches('.')
        .replace('|', r"\|")
}

/// A table of the folders of `src`, each before its own folders.
fn rooms() -> String {
    let src = crate_root().join("src");
    let mut folders: Vec<_> = tree::list(&src)
        .into_keys()
        .filter(|path| path.ends_with("mod.rs"))
        .map(|path| {
            (
                path.parent().unwrap().to_owned(),
                std::fs::read_to_string(src.join(path)).unwrap(),
            )
        })
        .collect();
    folders.sort();
    assert!(folders.len() > 30, "only {} folders", folders.len());
    let mut table = String::from("| folder | what is in it |\n|---|---|\n");
    for (folder, text) in &folders {
        let _ = writeln!(table, "| `{}/` | {} |", folder.display(), purpose(text));
    }
    table
}

/// A table of what each folder may import.
fn walls() -> String {
    let mut table = String::from("| folder or file | may import |\n|---|---|\n");
    for (from, to) in IMPORTS {
        let names: Vec<_> = to
            .iter()
            .filter(|name| *name != from)
            .map(|name| format!("`{name}`"))
            .collect();
        let names = if names.is_empty() {
            "nothing".to_owned()
        } else {
            names.join(", ")
        };
        let _ = writeln!(table, "| `{from}` | {names} |");
    }
    table
}

/// Holds the table after a comment equal to what it is made from; with `UPDATE` set, writes it.
#[track_caller]
fn check(source: &str, table: &str) {
    let file = crate_root().join("docs/design.md");
    let page = std::fs::read_to_string(&file).unwrap();
    let opening =
        format!("<!-- Made from {source}; UPDATE=1 cargo test --test integration docs::rooms makes it again. -->\n");
    let start = page.find(&opening).unwrap_or_else(|| panic!("no {opening}")) + opening.len();
    let end = start + page[start..].find("<!-- End of what is made. -->").unwrap();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&file, format!("{}{table}{}", &page[..start], &page[end..])).unwrap();
    } else {
        assert_eq!(
            &page[start..end],
            table,
            "UPDATE=1 cargo test --test integration docs::rooms"
        );
    }
}

/// One test, because both tables are in one file.
#[test]
fn docs_design_lists_every_folder_and_who_may_import_whom() {
    check("the first sentence of each module", &rooms());
    check("tests/layering.rs", &walls());
}
