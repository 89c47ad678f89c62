//! What other tools recorded as applied, so that a database that they began to migrate is not migrated twice.
//!
//! Their tables are read and, but for Drizzle's, never written: Drizzle applies what is missing when an application starts, so
//! its table is kept true.

use super::record::AppliedRow;
use super::{Migration, MigrationLayout, MigrationSet, checksum_of, record};
use crate::error::{Code, Error, Result};
use crate::sql::{Session, Value, query};
use std::collections::BTreeMap;

/// Drizzle's table.
pub(super) const DRIZZLE: &str = "__drizzle_migrations";

/// A table in which a tool records what it applied.
struct ForeignTable {
    name: &'static str,
    layouts: &'static [MigrationLayout],
    query: &'static str,
    /// Whether a migration is among the rows of the query.
    is_applied: fn(&Migration, &[Vec<Value>]) -> Result<bool>,
}

const TABLES: &[ForeignTable] = &[
    ForeignTable {
        name: DRIZZLE,
        layouts: &[MigrationLayout::Drizzle, MigrationLayout::Folders],
        query: "SELECT created_at, hash FROM __drizzle_migrations",
        is_applied: is_applied_by_drizzle,
    },
    ForeignTable {
        name: "goose_db_version",
        layouts: &[MigrationLayout::Goose],
        query: "SELECT version_id FROM goose_db_version AS this WHERE is_applied AND NOT EXISTS (SELECT 1 FROM \
                goose_db_version AS later WHERE later.version_id = this.version_id AND later.id > this.id)",
        is_applied: has_version,
    },
    ForeignTable {
        name: "gorp_migrations",
        layouts: &[MigrationLayout::SqlMigrate],
        query: "SELECT id FROM gorp_migrations",
        is_applied: has_file_name,
    },
    ForeignTable {
        name: "schema_migrations",
        layouts: &[MigrationLayout::Dbmate],
        query: "SELECT version FROM schema_migrations",
        is_applied: has_version,
    },
    ForeignTable {
        name: "schema_migrations",
        layouts: &[MigrationLayout::Reversible],
        query: "SELECT version, dirty FROM schema_migrations",
        is_applied: is_applied_by_golang_migrate,
    },
    ForeignTable {
        name: "_sqlx_migrations",
        layouts: &[MigrationLayout::Plain, MigrationLayout::Reversible],
        query: "SELECT version FROM _sqlx_migrations WHERE success",
        is_applied: has_version,
    },
    ForeignTable {
        name: "d1_migrations",
        layouts: &[MigrationLayout::Plain],
        query: "SELECT name FROM d1_migrations",
        is_applied: has_file_name,
    },
    ForeignTable {
        name: "atlas_schema_revisions",
        layouts: &[MigrationLayout::Atlas],
        query: "SELECT version FROM atlas_schema_revisions WHERE applied = total",
        is_applied: has_version,
    },
    ForeignTable {
        name: "_prisma_migrations",
        layouts: &[MigrationLayout::Folders],
        query: "SELECT migration_name FROM _prisma_migrations WHERE finished_at IS NOT NULL AND rolled_back_at IS NULL",
        is_applied: has_folder_name,
    },
];

/// The names of the tables of other tools that have this layout.
pub(super) fn tables_of(layout: MigrationLayout) -> impl Iterator<Item = &'static str> {
    of_layout(layout).map(|table| table.name)
}

fn of_layout(layout: MigrationLayout) -> impl Iterator<Item = &'static ForeignTable> {
    TABLES.iter().filter(move |table| table.layouts.contains(&layout))
}

/// The migrations, by their place in the set, that other tools recorded as applied, with the table that says so, but for those that
/// torso has in its own record. `existing`
/// are the tables that the database has.
pub(super) fn read(
    session: &mut dyn Session,
    set: &MigrationSet,
    existing: &[String],
    recorded: &[AppliedRow],
) -> Result<BTreeMap<usize, &'static str>> {
    let mut applied = BTreeMap::new();
    for table in of_layout(set.layout).filter(|table| existing.iter().any(|name| name == table.name)) {
        let rows = query::rows(session, table.query).map_err(|error| match error.code() {
            Code::SqlError => Error::new(
                Code::Conflict,
                format!(
                    "the table {} is not that of a tool that torso knows: {error}",
                    table.name
                ),
            )
            .hint("rename that table, or apply the migrations with the tool that made it"),
            _ => error,
        })?;
        for (at, migration) in set.migrations.iter().enumerate() {
            let is_recorded = recorded.iter().any(|row| row.version == migration.version);
            if !is_recorded && (table.is_applied)(migration, &rows)? {
                applied.insert(at, table.name);
            }
        }
    }
    Ok(applied)
}

/// The statements that keep Drizzle's own table true.
pub(super) fn drizzle_records(migration: &Migration) -> Option<[String; 2]> {
    let when = migration.drizzle_when?;
    let create =
        format!("CREATE TABLE IF NOT EXISTS {DRIZZLE} (id SERIAL PRIMARY KEY, hash text NOT NULL, created_at numeric)");
    let hash = checksum_of(&migration.text);
    let insert = format!("INSERT INTO {DRIZZLE} (hash, created_at) VALUES ('{hash}', {when})");
    Some([create, insert])
}

fn first_number(row: &[Value]) -> Option<i64> {
    match row.first()? {
        Value::Integer(number) => Some(*number),
        Value::Real(number) => Some(*number as i64),
        Value::Text(text) => text.parse().ok(),
        _ => None,
    }
}

fn text_at(row: &[Value], at: usize) -> Option<&str> {
    match row.get(at) {
        Some(Value::Text(text)) => Some(text),
        _ => None,
    }
}

fn has_version(migration: &Migration, rows: &[Vec<Value>]) -> Result<bool> {
    let number: Option<i64> = migration.version.parse().ok();
    Ok(rows.iter().any(|row| {
        let same_number = number.is_some() && first_number(row) == number;
        same_number || text_at(row, 0) == Some(&migration.version)
    }))
}

fn has_file_name(migration: &Migration, rows: &[Vec<Value>]) -> Result<bool> {
    let name = migration.path.file_name().unwrap_or_default().to_string_lossy();
    Ok(rows.iter().any(|row| text_at(row, 0) == Some(&*name)))
}

fn has_folder_name(migration: &Migration, rows: &[Vec<Value>]) -> Result<bool> {
    Ok(rows.iter().any(|row| text_at(row, 0) == Some(&migration.title())))
}

/// One row has the version that the database is at.
fn is_applied_by_golang_migrate(migration: &Migration, rows: &[Vec<Value>]) -> Result<bool> {
    let Some(row) = rows.first() else { return Ok(false) };
    if matches!(row.get(1), Some(Value::Integer(dirty)) if *dirty != 0) {
        return Err(Error::new(
            Code::Conflict,
            "a migration was left half applied, as the table schema_migrations says (dirty)",
        )
        .hint("bring the database in order with the tool that made the table, then try again"));
    }
    Ok(first_number(row)
        .zip(migration.version.parse().ok())
        .is_some_and(|(at, own): (i64, i64)| own <= at))
}

/// What has a row of its own. Drizzle itself leaves out all that is older than the last row, and says nothing: a migration that
/// was merged in from another branch would never be applied.
fn is_applied_by_drizzle(migration: &Migration, rows: &[Vec<Value>]) -> Result<bool> {
    let hashes = [checksum_of(&migration.text), migration.checksum.clone()];
    let is_hash = |row: &Vec<Value>| text_at(row, 1).is_some_and(|hash| hashes.iter().any(|own| own == hash));
    let Some(when) = migration.drizzle_when else {
        return Ok(rows.iter().any(is_hash));
    };
    let own = rows.iter().find(|row| first_number(row) == Some(when));
    match own {
        Some(row) if !is_hash(row) => Err(super::plan::edited(migration, DRIZZLE)),
        Some(_) => Ok(true),
        None if rows.iter().filter_map(|row| first_number(row)).any(|last| last > when) => {
            Err(passed_over(migration, when))
        }
        None => Ok(false),
    }
}

fn passed_over(migration: &Migration, when: i64) -> Error {
    let hash = &migration.checksum;
    Error::new(
        Code::MigrationConflict,
        format!(
            "{} is older than the last migration in {DRIZZLE}, which does not have it: Drizzle would leave it out",
            migration.file()
        ),
    )
    .hint(format!(
        "give it a \"when\" in meta/_journal.json that is later than the last one; if it was applied, record it: INSERT INTO {DRIZZLE} \
         (hash, created_at) VALUES ('{hash}', {when})"
    ))
}

/// The tables that a database may have for these migrations, torso's own among them.
pub(super) fn known_tables(layout: MigrationLayout) -> Vec<&'static str> {
    std::iter::once(record::TABLE).chain(tables_of(layout)).collect()
}
