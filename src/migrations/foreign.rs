//! What other tools recorded as applied, so that a database that they began to migrate is not migrated twice.
//!
//! Their tables are read and, but for Drizzle's, never written: Drizzle applies what is missing when an application starts, so
//! its table is kept true.

use super::load::compare_versions;
use super::record::AppliedRow;
use super::{Migration, MigrationLayout, MigrationSet, checksum_of, record};
use crate::checksum;
use crate::error::{Code, Error, Result};
use crate::sql::{Session, Value, query};
use ring::digest::{Algorithm, SHA256, SHA384, digest};
use std::collections::BTreeMap;

/// Drizzle's table.
pub(super) const DRIZZLE: &str = "__drizzle_migrations";

/// A table in which a tool records what it applied.
struct ForeignTable {
    name: &'static str,
    layouts: &'static [MigrationLayout],
    /// For each migration what it is known by, whether it was applied as a whole, and the checksum of its file or NULL. Drizzle's
    /// table has its own columns.
    query: &'static str,
    /// Whether a row of the query is that of a migration.
    is_same: fn(&Migration, &Value) -> bool,
    record: RecordKind,
}

/// What the rows of such a table say.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RecordKind {
    /// Each is an applied migration; the checksum is made by a hash of the file.
    Each(Option<&'static Algorithm>),
    /// The one row is the last applied migration.
    Last,
    Drizzle,
}

const TABLES: &[ForeignTable] = &[
    ForeignTable {
        name: DRIZZLE,
        layouts: &[MigrationLayout::Drizzle, MigrationLayout::Folders],
        query: "SELECT created_at, hash FROM __drizzle_migrations",
        is_same: has_version,
        record: RecordKind::Drizzle,
    },
    ForeignTable {
        name: "goose_db_version",
        layouts: &[MigrationLayout::Goose],
        query: "SELECT version_id, 1, NULL FROM goose_db_version AS this WHERE version_id > 0 AND is_applied AND NOT EXISTS (SELECT 1 \
                FROM goose_db_version AS later WHERE later.version_id = this.version_id AND later.id > this.id)",
        is_same: has_version,
        record: RecordKind::Each(None),
    },
    ForeignTable {
        name: "gorp_migrations",
        layouts: &[MigrationLayout::SqlMigrate],
        query: "SELECT id, 1, NULL FROM gorp_migrations",
        is_same: has_file_name,
        record: RecordKind::Each(None),
    },
    ForeignTable {
        name: "schema_migrations",
        layouts: &[MigrationLayout::Dbmate],
        query: "SELECT version, 1, NULL FROM schema_migrations",
        is_same: has_version,
        record: RecordKind::Each(None),
    },
    ForeignTable {
        name: "schema_migrations",
        layouts: &[MigrationLayout::Reversible],
        query: "SELECT version, NOT dirty, NULL FROM schema_migrations",
        is_same: has_version,
        record: RecordKind::Last,
    },
    ForeignTable {
        name: "_sqlx_migrations",
        layouts: &[MigrationLayout::Plain, MigrationLayout::Reversible],
        query: "SELECT version, success, lower(hex(checksum)) FROM _sqlx_migrations",
        is_same: has_version,
        record: RecordKind::Each(Some(&SHA384)),
    },
    ForeignTable {
        name: "d1_migrations",
        layouts: &[MigrationLayout::Plain],
        query: "SELECT name, 1, NULL FROM d1_migrations",
        is_same: has_file_name,
        record: RecordKind::Each(None),
    },
    ForeignTable {
        name: "flyway_schema_history",
        layouts: &[MigrationLayout::Plain],
        query: "SELECT version, success, NULL FROM flyway_schema_history AS this WHERE version IS NOT NULL AND type NOT LIKE 'UNDO%' \
                AND type <> 'DELETE' AND NOT EXISTS (SELECT 1 FROM flyway_schema_history AS later WHERE later.version = this.version \
                AND later.installed_rank > this.installed_rank AND later.success AND (later.type LIKE 'UNDO%' OR later.type = 'DELETE'))",
        is_same: has_dotted_version,
        record: RecordKind::Each(None),
    },
    ForeignTable {
        name: "atlas_schema_revisions",
        layouts: &[MigrationLayout::Atlas],
        query: "SELECT version, applied = total AND coalesce(error, '') = '', NULL FROM atlas_schema_revisions",
        is_same: has_version,
        record: RecordKind::Each(None),
    },
    ForeignTable {
        name: "_prisma_migrations",
        layouts: &[MigrationLayout::Folders],
        query: "SELECT migration_name, finished_at IS NOT NULL, checksum FROM _prisma_migrations WHERE rolled_back_at IS NULL",
        is_same: has_folder_name,
        record: RecordKind::Each(Some(&SHA256)),
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
        let is_recorded = |migration: &Migration| recorded.iter().any(|row| row.version == migration.version);
        let rest = set
            .migrations
            .iter()
            .enumerate()
            .filter(|(_, migration)| !is_recorded(migration));
        for (at, migration) in rest {
            let is_applied = match table.record {
                RecordKind::Drizzle => is_applied_by_drizzle(migration, &rows)?,
                RecordKind::Last => is_before(migration, &rows),
                RecordKind::Each(hash) => table.is_applied(migration, &rows, hash)?,
            };
            if is_applied {
                applied.insert(at, table.name);
            }
        }
        if table.record != RecordKind::Drizzle {
            table.check_rows(set, &rows)?;
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
    to_number(row.first()?)
}

fn to_number(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(number) => Some(*number),
        Value::Real(number) => Some(*number as i64),
        Value::Text(text) => text.parse().ok(),
        _ => None,
    }
}

/// What a row is known by, for messages.
fn display_name(row: &[Value]) -> String {
    match row.first() {
        Some(Value::Text(text)) => text.clone(),
        _ => first_number(row).map_or_else(String::new, |number| number.to_string()),
    }
}

fn is_text(value: &Value, expected: &str) -> bool {
    matches!(value, Value::Text(text) if text == expected)
}

fn text_at(row: &[Value], at: usize) -> Option<&str> {
    match row.get(at) {
        Some(Value::Text(text)) => Some(text),
        _ => None,
    }
}

fn has_version(migration: &Migration, row: &Value) -> bool {
    let number: Option<i64> = migration.version.parse().ok();
    number.is_some() && to_number(row) == number || is_text(row, &migration.version)
}

/// Of Flyway, which writes `2.1` whatever separates the parts in the file's name.
fn has_dotted_version(migration: &Migration, row: &Value) -> bool {
    match row {
        Value::Text(text) => compare_versions(&migration.version, text).is_eq(),
        _ => has_version(migration, row),
    }
}

fn has_file_name(migration: &Migration, row: &Value) -> bool {
    let name = migration.path.file_name().unwrap_or_default().to_string_lossy();
    is_text(row, &name)
}

fn has_folder_name(migration: &Migration, row: &Value) -> bool {
    is_text(row, &migration.title())
}

/// Whether a migration comes up to the one that the only row names.
fn is_before(migration: &Migration, rows: &[Vec<Value>]) -> bool {
    let last = rows.first().and_then(|row| first_number(row));
    last.zip(migration.version.parse().ok())
        .is_some_and(|(last, own): (i64, i64)| own <= last)
}

impl ForeignTable {
    /// Whether a migration has a row. Fails where the row's checksum is not that of the file.
    fn is_applied(&self, migration: &Migration, rows: &[Vec<Value>], hash: Option<&'static Algorithm>) -> Result<bool> {
        let own = rows
            .iter()
            .find(|row| row.first().is_some_and(|row| (self.is_same)(migration, row)));
        let Some(row) = own else { return Ok(false) };
        // What a checkout makes of line ends is no change.
        let texts = [
            &migration.text,
            &migration.text.replace("\r\n", "\n"),
            &migration.text.replace('\n', "\r\n"),
        ];
        match (hash, text_at(row, 2)) {
            (Some(hash), Some(checksum)) => {
                let of = |text: &&String| checksum::hex(digest(hash, text.as_bytes()).as_ref());
                if texts.iter().any(|text| of(text) == checksum) {
                    Ok(true)
                } else {
                    Err(super::plan::edited(migration, self.name))
                }
            }
            _ => Ok(true),
        }
    }

    /// Refuses what a tool left half applied, and what it applied from a file that is gone.
    fn check_rows(&self, set: &MigrationSet, rows: &[Vec<Value>]) -> Result<()> {
        for row in rows {
            let name = display_name(row);
            if !matches!(row.get(1), Some(Value::Integer(whole)) if *whole != 0) {
                return Err(Error::new(
                    Code::Conflict,
                    format!(
                        "migration {name} was left half applied, as the table {} says",
                        self.name
                    ),
                )
                .hint("bring the database in order with the tool that made the table, then try again"));
            }
            let has_file = |migration: &Migration| row.first().is_some_and(|row| (self.is_same)(migration, row));
            if !set.migrations.iter().any(has_file) {
                return Err(Error::new(
                    Code::MigrationConflict,
                    format!(
                        "migration {name} was applied, as the table {} says, and its file is gone",
                        self.name
                    ),
                )
                .hint("bring the file back, or name the directory that has it with --dir"));
            }
        }
        Ok(())
    }
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
