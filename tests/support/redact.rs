//! Takes out of a text what differs from run to run: the world's path, ports, ids, times and durations.

use super::World;
use super::run::Run;
use regex::Regex;
use serde_json::Value;
use std::sync::LazyLock;

static RULES: LazyLock<Vec<(Regex, &'static str)>> = LazyLock::new(|| {
    [
        (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "[id]"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "[time]"),
        (r"\b\d{8}-\d{6}-[0-9a-f]{8}\b", "[backup]"),
        (r"\b\d{8}T\d{6}Z(-\d+)?\b", "[time]"),
        (r"\b\d+(\.\d+)? ?(ms|µs)\b", "[duration]"),
        (r"\bin \d+(\.\d+)? ?s\b", "in [duration]"),
        (r"\b(\d+ (second|minute)s? ago|just now)\b", "[age]"),
        (r"\b127\.0\.0\.1:\d{4,5}\b", "127.0.0.1:[port]"),
    ]
    .map(|(pattern, text)| (Regex::new(pattern).unwrap(), text))
    .into()
});

/// The text with a stable word in the place of everything that changes.
pub fn text(world: &World, text: &str) -> String {
    plain(&text.replace(&*world.root().to_string_lossy(), "[world]"))
}

/// A text in which no path of a world is.
pub fn plain(text: &str) -> String {
    let mut text = text.to_owned();
    for (pattern, word) in RULES.iter() {
        text = pattern.replace_all(&text, *word).into_owned();
    }
    text
}

/// All that a run wrote, and how it ended, likewise.
pub fn report(world: &World, run: &Run) -> String {
    text(world, &run.report())
}

/// The document likewise; counts of bytes and milliseconds become 0.
pub fn json(world: &World, value: &mut Value) {
    match value {
        Value::String(string) => *string = text(world, string),
        Value::Array(items) => items.iter_mut().for_each(|item| json(world, item)),
        Value::Object(fields) => {
            for (name, field) in fields {
                if field.is_number() && (name.ends_with("_bytes") || name.ends_with("_ms")) {
                    *field = 0.into();
                } else {
                    json(world, field);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
