//! The published schemas of `docs/json` themselves. Documents are held against them where tests read one (`support/json_schemas`).

use crate::support::{crate_root, json_schemas};
use serde_json::{Value, json};

/// A schema that takes everything would hold nothing.
#[test]
fn json_schema_refuses_documents_of_another_form() {
    let is_valid = |command: &str, document: Value| {
        let schema = json_schemas::read(command).unwrap();
        jsonschema::validator_for(&schema).unwrap().is_valid(&document)
    };
    assert!(!is_valid("db-list", json!([{ "Name": "app" }])));
    assert!(!is_valid("db-list", json!({ "Name": "app" })));
    assert!(!is_valid("db-destroy", json!([{ "name": 1, "done": true }])));
    assert!(!is_valid("db-rename", json!({ "dry_run": "yes", "steps": [] })));
    assert!(is_valid(
        "db-rename",
        json!({ "dry_run": true, "steps": ["rename database a to b"] })
    ));
}

/// Every schema is tried: a golden document is named after its command.
#[test]
fn json_schema_of_each_command_has_a_golden_document() {
    let names = |folder: &str| -> Vec<String> {
        let entries = std::fs::read_dir(crate_root().join(folder)).unwrap();
        let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        let names = entries.map(name);
        names
            .filter_map(|name| name.strip_suffix(".json").map(str::to_owned))
            .collect()
    };
    let golden = names("tests/golden");
    // Their documents are read by `client/gateway.rs` and `engine_sqld/program.rs`.
    let others = ["auth-accept", "engine-install", "engine-status"];
    let untried: Vec<_> = names("docs/json")
        .into_iter()
        .filter(|command| !golden.iter().any(|name| name.starts_with(command.as_str())))
        .filter(|command| !others.contains(&command.as_str()))
        .collect();
    assert!(untried.is_empty(), "{untried:?}");
}
