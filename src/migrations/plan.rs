//! What is to be done to a database: the files on one side, what was applied on the other.

use super::record::AppliedRow;
use super::{Migration, MigrationSet};
use crate::error::{Code, Error, Result};
use std::collections::BTreeMap;

/// What is to be done. Numbers are places in [`MigrationSet::migrations`].
#[derive(Debug, PartialEq, Eq)]
pub struct MigrationPlan {
    /// How many migrations are recorded as applied.
    pub recorded: usize,
    /// The last that is applied, recorded or not.
    pub last: Option<usize>,
    /// Those that another tool applied, with its table: they are to be recorded.
    pub adopted: Vec<(usize, &'static str)>,
    /// Those to apply, in order.
    pub pending: Vec<usize>,
    /// How many are left after that, because only some are wanted.
    pub left: usize,
}

/// Compares. `until` is the last migration that is wanted; all of them where it is none.
///
/// Fails with `migration_conflict` where an applied file was edited or is gone, where a file comes before an applied one, and
/// where the database is past `until`.
pub(super) fn plan(
    set: &MigrationSet,
    rows: &[AppliedRow],
    foreign: &BTreeMap<usize, &'static str>,
    until: Option<usize>,
) -> Result<MigrationPlan> {
    let mut is_applied = vec![false; set.migrations.len()];
    for row in rows {
        let position = set.migrations.iter().position(|found| found.version == row.version);
        let Some(at) = position else {
            return Err(vanished(row));
        };
        if set.migrations[at].checksum != row.checksum {
            return Err(edited(&set.migrations[at], "the record"));
        }
        is_applied[at] = true;
    }
    let adopted: Vec<_> = foreign
        .iter()
        .filter(|(at, _)| !is_applied[**at])
        .map(|(at, table)| (*at, *table))
        .collect();
    for (at, _) in &adopted {
        is_applied[*at] = true;
    }
    let last = is_applied.iter().rposition(|applied| *applied);
    let missing: Vec<_> = (0..is_applied.len()).filter(|at| !is_applied[*at]).collect();
    if let (Some(last), Some(first)) = (last, missing.first())
        && *first < last
    {
        return Err(put_in_before(&set.migrations[*first], &set.migrations[last]));
    }
    if let (Some(last), Some(until)) = (last, until)
        && until < last
    {
        return Err(past(&set.migrations[last], &set.migrations[until]));
    }
    let pending: Vec<_> = missing
        .iter()
        .copied()
        .filter(|at| until.is_none_or(|until| *at <= until))
        .collect();
    Ok(MigrationPlan {
        recorded: rows.len(),
        last,
        left: missing.len() - pending.len(),
        adopted,
        pending,
    })
}

/// The error about an applied file whose text has changed.
pub(super) fn edited(migration: &Migration, by: &str) -> Error {
    Error::new(
        Code::MigrationConflict,
        format!(
            "{} was edited after it was applied: its checksum is not that of {by}",
            migration.file()
        ),
    )
    .hint("bring the file back as it was, and put the change into a new migration")
}

fn vanished(row: &AppliedRow) -> Error {
    let title = if row.name.is_empty() || row.name == row.version {
        row.version.clone()
    } else {
        format!("{}_{}", row.version, row.name)
    };
    Error::new(
        Code::MigrationConflict,
        format!("migration {title} was applied, and its file is gone"),
    )
    .hint("bring the file back, or name the directory that has it with --dir")
}

fn put_in_before(migration: &Migration, last: &Migration) -> Error {
    Error::new(
        Code::MigrationConflict,
        format!(
            "{} comes before {}, which is applied already",
            migration.file(),
            last.title()
        ),
    )
    .hint("give it a higher number than every applied migration")
}

fn past(last: &Migration, wanted: &Migration) -> Error {
    Error::new(
        Code::MigrationConflict,
        format!("the database is at {}, past {}", last.title(), wanted.title()),
    )
    .hint("torso undoes no migration: write one that does, or restore a copy from before")
}
