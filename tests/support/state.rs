//! Everything a user can find out about a world, to tell whether a command happened wholly or not at all.

use super::{World, redact, tree};
use serde_json::Value;
use std::collections::BTreeMap;

/// What there is: a line for each group, database and instance, and the content of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State(BTreeMap<String, String>);

impl State {
    /// Asks the program. Opening a replica makes it equal to its primary first, so equal contents are what one gets.
    #[track_caller]
    pub fn of(world: &World) -> Self {
        let mut state = BTreeMap::new();
        for group in items(&world.json(["group", "list"])) {
            let facts = pick(group, &["primary", "locations", "delete_protection"]);
            state.insert(format!("group {}", text(group, "name")), facts);
        }
        for database in items(&world.json(["db", "list"])) {
            let name = text(database, "Name");
            let wanted = ["group", "primaryRegion", "regions", "block_writes", "delete_protection"];
            state.insert(format!("database {name}"), pick(database, &wanted));
            for location in items(&database["regions"]) {
                let location = location.as_str().unwrap();
                let content = world.ok(["db", "shell", name, "--location", location, ".dump"]);
                state.insert(format!("database {name} at {location}"), content);
            }
        }
        Self(state)
    }

    /// The contents of a database, one for each location.
    pub fn contents(&self, database: &str) -> Vec<&str> {
        let prefix = format!("database {database} at ");
        let instances = self.0.iter().filter(|(name, _)| name.starts_with(&prefix));
        instances.map(|(_, content)| content.as_str()).collect()
    }

    pub fn databases(&self) -> Vec<&str> {
        self.0
            .keys()
            .filter_map(|name| name.strip_prefix("database "))
            .filter(|name| !name.contains(' '))
            .collect()
    }
}

/// The files of the data directory with ids taken out, each with how many there are. The catalog, what comes and goes
/// beside a SQLite file, and locks are not counted.
pub fn files(world: &World) -> BTreeMap<String, usize> {
    let mut files = BTreeMap::new();
    for (path, entry) in tree::list(&world.data_dir()) {
        let name = redact::text(world, &path.to_string_lossy());
        let passing = ["catalog.db", "-wal", "-shm", "lock"]
            .iter()
            .any(|end| name.ends_with(end));
        if !entry.folder && !passing {
            *files.entry(name).or_default() += 1;
        }
    }
    files
}

/// What `torso doctor` finds that is worth a warning, or worse.
pub fn complaints(world: &World, flags: &[&str]) -> Vec<Value> {
    let run = world.torso(["doctor", "--json"].iter().chain(flags));
    let findings = run.json();
    let bad = |finding: &&Value| !matches!(text(finding, "severity"), "ok" | "note");
    let complaints: Vec<Value> = items(&findings).iter().filter(bad).cloned().collect();
    assert_eq!(run.code() == 0, complaints.is_empty(), "{}", run.report());
    complaints
}

fn items(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("not an array: {value}"))
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no {key} in {value}"))
}

fn pick(value: &Value, keys: &[&str]) -> String {
    keys.iter().map(|key| format!("{key}={} ", value[*key])).collect()
}
