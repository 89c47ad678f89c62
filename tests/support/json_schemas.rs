//! The published schemas of `docs/json`, against which every document is held that a test reads: it is valid by the schema of its
//! command, and has nothing that the schema does not describe.

use super::crate_root;
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// A schema, ready for documents.
struct Schema {
    validator: jsonschema::Validator,
    /// The names of all members that it describes; none where any name may be.
    members: Option<BTreeSet<String>>,
}

/// Schemas by command; none for a command that answers no document.
static SCHEMAS: Mutex<Option<HashMap<String, Option<Arc<Schema>>>>> = Mutex::new(None);

/// The file with the schema of a command, whose words are joined by hyphens.
pub fn file(command: &str) -> PathBuf {
    crate_root().join(format!("docs/json/{command}.json"))
}

/// The schema of a command, whose words are joined by hyphens; none if it has none.
pub fn read(command: &str) -> Option<Value> {
    let text = std::fs::read(file(command)).ok()?;
    Some(serde_json::from_slice(&text).unwrap_or_else(|error| panic!("docs/json/{command}.json: {error}")))
}

fn schema(command: &str) -> Option<Arc<Schema>> {
    let mut schemas = SCHEMAS.lock().unwrap();
    let schemas = schemas.get_or_insert_default();
    let load = || {
        let schema = read(command)?;
        let mut members = BTreeSet::new();
        let is_closed = describes_members(&schema, &mut members) && !members.is_empty();
        Some(Arc::new(Schema {
            validator: jsonschema::validator_for(&schema).unwrap(),
            members: is_closed.then_some(members),
        }))
    };
    schemas.entry(command.to_owned()).or_insert_with(load).clone()
}

/// The schema that as many of the words lead to as possible.
fn find(words: &[&str]) -> Option<(String, Arc<Schema>)> {
    (1..=words.len().min(3)).rev().find_map(|count| {
        let command = words[..count].join("-");
        schema(&command).map(|schema| (command, schema))
    })
}

/// Holds the answer to a command line against the schema of its command.
#[track_caller]
pub fn check_answer(args: &[&OsStr], answer: &Value) {
    let words: Vec<&str> = args.iter().map_while(|word| word.to_str()).collect();
    if let Some((command, schema)) = find(&words) {
        check(&command, &schema, answer);
    }
}

/// Holds an answer against the schema that the name of its golden document begins with.
#[track_caller]
pub fn check_named(name: &str, answer: &Value) {
    let words: Vec<&str> = name.split('-').collect();
    let found = (1..=words.len()).rev().find_map(|count| {
        let command = words[..count].join("-");
        schema(&command).map(|schema| (command, schema))
    });
    let (command, schema) = found.unwrap_or_else(|| panic!("no schema in docs/json for {name}"));
    check(&command, &schema, answer);
}

#[track_caller]
fn check(command: &str, schema: &Schema, answer: &Value) {
    let problems: Vec<_> = schema
        .validator
        .iter_errors(answer)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(
        problems.is_empty(),
        "not as docs/json/{command}.json says: {problems:#?}\n{answer:#}"
    );
    if let Some(described) = &schema.members {
        let mut there = BTreeSet::new();
        add_members(answer, &mut there);
        let unknown: Vec<_> = there.difference(described).collect();
        assert!(
            unknown.is_empty(),
            "docs/json/{command}.json does not describe {unknown:?}\n{answer:#}"
        );
    }
}

/// Collects the names of all members that a schema describes. False where any name may be.
fn describes_members(schema: &Value, names: &mut BTreeSet<String>) -> bool {
    let Value::Object(keywords) = schema else {
        return *schema == json!(false);
    };
    let says_nothing = keywords
        .keys()
        .all(|key| ["title", "description", "default"].contains(&key.as_str()));
    let is_any_object = schema["type"] == "object" && schema["properties"].is_null();
    let is_open = |key: &str| schema.get(key).is_some_and(|allowed| *allowed != json!(false));
    if says_nothing || is_any_object || is_open("additionalProperties") || is_open("patternProperties") {
        return false;
    }
    keywords.iter().all(|(key, below)| match (key.as_str(), below) {
        ("properties", Value::Object(below)) => {
            names.extend(below.keys().cloned());
            below.values().all(|below| describes_members(below, names))
        }
        ("$defs", Value::Object(below)) => below.values().all(|below| describes_members(below, names)),
        ("anyOf" | "oneOf" | "allOf" | "prefixItems", Value::Array(below)) => {
            below.iter().all(|below| describes_members(below, names))
        }
        ("items", below) => describes_members(below, names),
        _ => true,
    })
}

/// Collects the names of all members of a document.
fn add_members(document: &Value, names: &mut BTreeSet<String>) {
    match document {
        Value::Object(fields) => {
            for (name, value) in fields {
                names.insert(name.clone());
                add_members(value, names);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| add_members(item, names)),
        _ => {}
    }
}
