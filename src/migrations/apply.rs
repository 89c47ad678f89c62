//! Applying migrations to one database, each in a transaction with its record.
//!
//! Whatever ends it, a migration is there with its record or not at all, so the same call made again goes on where it was. Two
//! processes take turns: the record is read again within the transaction that is to write it.

use super::plan::{MigrationPlan, plan};
use super::{Migration, MigrationSet, foreign, record};
use crate::error::{Code, Error, Result};
use crate::sql::restrict::{Restriction, restrict};
use crate::sql::transaction::{enforce_foreign_keys, in_transaction, run_in_transaction};
use crate::sql::{Args, Session, Unseen};
use std::time::{Duration, Instant};

/// How long a migration waits for other programs that write to the same file.
const PATIENCE: Duration = Duration::from_secs(30);

/// A migration that was applied now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppliedMigration {
    pub version: String,
    pub name: String,
    pub duration: Duration,
}

/// What came of migrating a database.
#[derive(Debug, Default)]
pub struct MigrateOutcome {
    pub applied: Vec<AppliedMigration>,
    /// The versions that another tool had applied, which are recorded now.
    pub adopted: Vec<String>,
    /// How many were recorded before.
    pub recorded: usize,
    /// How many are left, because only some were wanted.
    pub left: usize,
    /// The last version that the database has.
    pub version: Option<String>,
    /// Why not all of `applied` that was wanted could be applied. What is in `applied` stays.
    pub failure: Option<Error>,
}

/// What [`migrate`] would do. Changes nothing.
pub fn preview(session: &mut dyn Session, set: &MigrationSet, until: Option<usize>) -> Result<MigrationPlan> {
    let plan = compare(session, set, until)?;
    for at in &plan.pending {
        set.migrations[*at].script()?;
    }
    Ok(plan)
}

/// Applies what is missing, up to `until` where that is some. Every file that is to be applied is judged before the first runs.
///
/// An error is returned only where nothing was applied; else it is the outcome's `failure`.
pub fn migrate(session: &mut dyn Session, set: &MigrationSet, until: Option<usize>) -> Result<MigrateOutcome> {
    if session.is_local() {
        session.set_timeout(PATIENCE)?;
    }
    enforce_foreign_keys(session)?;
    let restriction = restrict(session)?;
    let done = migrate_restricted(session, set, until, restriction.as_ref());
    if let Some(restriction) = restriction {
        restriction.lift(session);
    }
    done
}

fn migrate_restricted(
    session: &mut dyn Session,
    set: &MigrationSet,
    until: Option<usize>,
    restriction: Option<&Restriction>,
) -> Result<MigrateOutcome> {
    let mut plan = preview(session, set, until)?;
    adopt(session, set, &plan.adopted)?;
    let title = |at: &usize| set.migrations[*at].version.clone();
    let mut outcome = MigrateOutcome {
        recorded: plan.recorded,
        adopted: plan.adopted.iter().map(|(at, _)| title(at)).collect(),
        ..MigrateOutcome::default()
    };
    let mut last = plan.last;
    while let Some(at) = plan.pending.first().copied() {
        let migration = &set.migrations[at];
        let step = match apply_one(session, migration, restriction) {
            // Another process has applied it meanwhile, and perhaps others.
            Ok(None) => preview(session, set, until).and_then(|newer| {
                plan = newer;
                last = plan.last;
                if plan.pending.first() == Some(&at) {
                    let why = format!("{} is recorded, and to be applied", migration.file());
                    return Err(Error::new(Code::Internal, why));
                }
                Ok(())
            }),
            Ok(Some(duration)) => {
                plan.pending.remove(0);
                last = Some(at);
                outcome.applied.push(AppliedMigration {
                    version: migration.version.clone(),
                    name: migration.name.clone(),
                    duration,
                });
                Ok(())
            }
            Err(error) => Err(error),
        };
        match step {
            Ok(()) => {}
            Err(error) if outcome.applied.is_empty() => return Err(error),
            Err(error) => {
                outcome.failure = Some(error);
                break;
            }
        }
    }
    outcome.version = last.as_ref().map(title);
    outcome.left = plan.left + plan.pending.len();
    Ok(outcome)
}

/// Records what another tool applied.
fn adopt(session: &mut dyn Session, set: &MigrationSet, adopted: &[(usize, &'static str)]) -> Result<()> {
    if adopted.is_empty() {
        return Ok(());
    }
    in_transaction(session, record::TABLE, |session| {
        execute(session, record::CREATE)?;
        for (at, table) in adopted {
            if !record::is_recorded(session, &set.migrations[*at])? {
                execute(session, &record::insert(&set.migrations[*at], Some(table)))?;
            }
        }
        Ok(())
    })
}

/// Applies a migration and records it. None if it is recorded already.
fn apply_one(
    session: &mut dyn Session,
    migration: &Migration,
    restriction: Option<&Restriction>,
) -> Result<Option<Duration>> {
    let script = migration.script()?;
    let began = Instant::now();
    let applied = run_in_transaction(session, script, |session| {
        execute(session, record::CREATE)?;
        if record::is_recorded(session, migration)? {
            return Ok(false);
        }
        script.run_all(session, restriction, &mut 0)?;
        execute(session, &record::insert(migration, None))?;
        for statement in foreign::drizzle_records(migration).iter().flatten() {
            execute(session, statement)?;
        }
        Ok(true)
    })?;
    Ok(applied.then(|| began.elapsed()))
}

fn execute(session: &mut dyn Session, sql: &str) -> Result<()> {
    session.run(sql, &Args::default(), &mut Unseen)?;
    Ok(())
}

fn compare(session: &mut dyn Session, set: &MigrationSet, until: Option<usize>) -> Result<MigrationPlan> {
    let existing = record::existing_tables(session, &foreign::known_tables(set.layout))?;
    let rows = record::read(session, existing.iter().any(|name| name == record::TABLE))?;
    let foreign = foreign::read(session, set, &existing, &rows)?;
    plan(set, &rows, &foreign, until)
}
