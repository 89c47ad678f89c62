//! Drizzle's journal: the file that lists its migrations, by <https://github.com/drizzle-team/drizzle-orm> (`migrator.ts`).

use super::text::read_text;
use super::{Migration, MigrationLayout};
use crate::error::{Code, Error, Result};
use crate::sql::script_error::located;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::Path;

/// The journal, below the directory of migrations.
pub(super) const JOURNAL: &str = "meta/_journal.json";

#[derive(Deserialize)]
#[serde(expecting = "an object with the list entries")]
struct Journal {
    #[serde(default)]
    dialect: Option<String>,
    entries: Vec<JournalEntry>,
}

#[derive(Deserialize)]
#[serde(expecting = "an entry with idx, when and tag")]
struct JournalEntry {
    idx: u64,
    /// Milliseconds since 1970: what Drizzle records a migration by.
    when: i64,
    tag: String,
}

/// The migrations that the journal lists, in its order.
pub(super) fn load(directory: &Path) -> Result<Vec<Migration>> {
    let path = directory.join(JOURNAL);
    let file = path.display().to_string();
    let journal: Journal = serde_json::from_str(&read_text(&path)?)
        .map_err(|error| located(&file, error.line() as u64, &error.to_string(), Code::InvalidFile))?;
    if let Some(dialect) = journal
        .dialect
        .filter(|name| !["sqlite", "turso"].contains(&name.as_str()))
    {
        return Err(Error::new(
            Code::Unsupported,
            format!("{file}: the migrations are for {dialect}, not for SQLite"),
        )
        .hint("generate them with the dialect sqlite or turso"));
    }
    let mut entries = journal.entries;
    entries.sort_by_key(|entry| entry.idx);
    check_unique(&file, &entries)?;
    entries
        .into_iter()
        .map(|entry| {
            if entry.tag.contains(['/', '\\']) || entry.tag.starts_with('.') {
                return Err(Error::new(
                    Code::InvalidFile,
                    format!("{file}: the tag {:?} is not a file's name", entry.tag),
                ));
            }
            let path = directory.join(format!("{}.sql", entry.tag));
            let text = read_text(&path).map_err(|error| match error.code() {
                Code::FileNotFound => Error::new(
                    Code::InvalidFile,
                    format!("{file} lists {}, and there is no such file", path.display()),
                ),
                _ => error,
            })?;
            let mut migration = Migration::new(MigrationLayout::Drizzle, entry.tag.clone(), entry.tag, path, text);
            migration.drizzle_when = Some(entry.when);
            Ok(migration)
        })
        .collect()
}

/// Refuses a journal that two branches have put together wrongly.
fn check_unique(file: &str, entries: &[JournalEntry]) -> Result<()> {
    let (mut tags, mut times) = (BTreeSet::new(), BTreeSet::new());
    for entry in entries {
        let why = if !tags.insert(&entry.tag) {
            format!("{file} lists {:?} twice", entry.tag)
        } else if !times.insert(entry.when) {
            format!(
                "{file} has the same time, {}, for {:?} and another entry",
                entry.when, entry.tag
            )
        } else {
            continue;
        };
        return Err(Error::new(Code::InvalidFile, why)
            .hint("mend the journal: each entry has a tag and a later \"when\" of its own"));
    }
    Ok(())
}
