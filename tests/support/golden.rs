//! Golden documents: the JSON answers that scripts rely on, as files in `tests/golden`. They are additive only: setting
//! `TORSO_BLESS=1` records a new answer or a new key, and still refuses one that drops a key or changes its type.

use super::{World, crate_root, json_schemas, redact};
use serde_json::Value;
use std::path::PathBuf;

/// Holds an answer against its golden document, and against the published schema.
#[track_caller]
pub fn check(world: &World, name: &str, mut answer: Value) {
    json_schemas::check_named(name, &answer);
    redact::json(world, &mut answer);
    let path = path(name);
    let golden: Option<Value> = std::fs::read(&path)
        .ok()
        .map(|bytes| serde_json::from_slice(&bytes).expect("a golden document is JSON"));
    if let Some(golden) = &golden {
        let losses = losses("$", golden, &answer);
        assert!(
            losses.is_empty(),
            "{name}: the JSON contract is additive only:\n{}",
            losses.join("\n")
        );
    }
    if golden.as_ref() == Some(&answer) {
        return;
    }
    let text = serde_json::to_string_pretty(&answer).unwrap() + "\n";
    assert!(
        std::env::var_os("TORSO_BLESS").is_some(),
        "{name}: the answer is not {}; TORSO_BLESS=1 records it:\n{text}",
        path.display()
    );
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// Where a golden document is kept.
fn path(name: &str) -> PathBuf {
    crate_root().join("tests/golden").join(format!("{name}.json"))
}

/// What an old document had and a new one has not, or has as another type. Of an array, the first item speaks for all.
fn losses(at: &str, old: &Value, new: &Value) -> Vec<String> {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => old
            .iter()
            .flat_map(|(key, was)| match new.get(key) {
                Some(is) => losses(&format!("{at}.{key}"), was, is),
                None => vec![format!("{at}.{key} is gone")],
            })
            .collect(),
        (Value::Array(old), Value::Array(new)) => match (old.first(), new.first()) {
            (Some(was), Some(is)) => losses(&format!("{at}[0]"), was, is),
            (Some(_), None) => vec![format!("{at} is empty now")],
            (None, _) => vec![],
        },
        // What was absent may come to be there.
        (Value::Null, _) => vec![],
        _ if std::mem::discriminant(old) == std::mem::discriminant(new) => vec![],
        _ => vec![format!("{at} was {old} and is {new}: another type")],
    }
}

#[test]
fn golden_comparison_sees_lost_keys_and_types_and_not_new_ones() {
    let old = serde_json::json!({"a": 1, "b": [{"c": "x"}], "d": null});
    let gained = serde_json::json!({"a": 2, "b": [{"c": "y", "e": 1}], "d": "z", "f": {}});
    assert!(losses("$", &old, &gained).is_empty());
    let lost = serde_json::json!({"a": "1", "b": [{}]});
    assert_eq!(losses("$", &old, &lost).len(), 3);
}
