//! The catalog's databases, their replicas, and the two queues of work: pending databases and doomed instances.

use super::former_instances::epoch_column;
use super::{Catalog, parsed, parsed_maybe};
use crate::control::names::{DatabaseId, DatabaseName, GroupName, LocationCode};
use crate::control::store::count;
use crate::control::types::Parent;
use crate::error::Result;
use jiff::Timestamp;
use rusqlite::{Row, params};
use std::collections::{BTreeMap, BTreeSet};

/// What the first primary of a database is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseOrigin {
    Empty,
    /// The seed file with its id, in the staging directory.
    Seed,
}

/// A database.
#[derive(Debug, Clone, PartialEq)]
pub struct DatabaseRow {
    pub id: DatabaseId,
    pub name: DatabaseName,
    pub group_uuid: String,
    pub group: GroupName,
    pub primary: LocationCode,
    pub parent: Option<Parent>,
    /// In bytes, not negative. 0 is unlimited.
    pub size_limit: i64,
    pub allow_attach: bool,
    pub block_reads: bool,
    pub block_writes: bool,
    pub delete_protection: bool,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    /// None once its primary exists.
    pub origin: Option<DatabaseOrigin>,
    /// It has processes of its own. Never changes.
    pub isolated: bool,
    /// How often it has had another primary on an engine of processes, counted from 1.
    pub epoch: u64,
}

/// A parent that exists has its present name, a destroyed one its last name.
/// How many names before and after one are compared with it.
const NAMES_NEAR: i64 = 500;

const DATABASE: &str = "
    SELECT d.id, d.name, d.group_uuid, g.name, d.primary_location, d.parent_id, coalesce(p.name, d.parent_name),
           d.branched_at, d.size_limit, d.allow_attach, d.block_reads, d.block_writes, d.delete_protection,
           d.created_at, d.origin, d.isolated, d.expires_at, d.epoch
    FROM databases d JOIN groups g ON g.uuid = d.group_uuid LEFT JOIN databases p ON p.id = d.parent_id";

fn database(row: &Row<'_>) -> rusqlite::Result<DatabaseRow> {
    let parent = match parsed_maybe(row, 5)? {
        Some(id) => Some(Parent {
            id,
            name: parsed(row, 6)?,
            branched_at: parsed(row, 7)?,
        }),
        None => None,
    };
    Ok(DatabaseRow {
        id: parsed(row, 0)?,
        name: parsed(row, 1)?,
        group_uuid: row.get(2)?,
        group: parsed(row, 3)?,
        primary: parsed(row, 4)?,
        parent,
        size_limit: row.get(8)?,
        allow_attach: row.get(9)?,
        block_reads: row.get(10)?,
        block_writes: row.get(11)?,
        delete_protection: row.get(12)?,
        created_at: parsed(row, 13)?,
        origin: match row.get_ref(14)?.as_str_or_null()? {
            Some("seed") => Some(DatabaseOrigin::Seed),
            Some(_) => Some(DatabaseOrigin::Empty),
            None => None,
        },
        isolated: row.get(15)?,
        expires_at: parsed_maybe(row, 16)?,
        epoch: count(row, 17)?,
    })
}

impl Catalog {
    /// By name.
    pub fn databases(&self) -> Result<Vec<DatabaseRow>> {
        self.rows(&format!("{DATABASE} ORDER BY d.name"), [], database)
    }

    /// The names before and after one in their order, as many as are cheap to compare however many databases there are.
    pub fn database_names_near(&self, name: &DatabaseName) -> Result<Vec<String>> {
        self.rows(
            "SELECT name FROM (SELECT name FROM databases WHERE name < ?1 ORDER BY name DESC LIMIT ?2)
             UNION ALL
             SELECT name FROM (SELECT name FROM databases WHERE name > ?1 ORDER BY name LIMIT ?2)",
            params![name.as_str(), NAMES_NEAR],
            |row| row.get(0),
        )
    }

    /// The first databases after a name, of a group or of all, ordered by name.
    pub fn database_page(
        &self,
        after: Option<&DatabaseName>,
        group: Option<&str>,
        limit: usize,
    ) -> Result<Vec<DatabaseRow>> {
        let after = after.map_or("", DatabaseName::as_str);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        match group {
            Some(uuid) => self.rows(
                &format!("{DATABASE} WHERE d.group_uuid = ?1 AND d.name > ?2 ORDER BY d.name LIMIT ?3"),
                params![uuid, after, limit],
                database,
            ),
            None => self.rows(
                &format!("{DATABASE} WHERE d.name > ?1 ORDER BY d.name LIMIT ?2"),
                params![after, limit],
                database,
            ),
        }
    }

    /// The databases of a group, ordered by name.
    pub fn databases_of_group(&self, uuid: &str) -> Result<Vec<DatabaseRow>> {
        self.rows(
            &format!("{DATABASE} WHERE d.group_uuid = ?1 ORDER BY d.name"),
            [uuid],
            database,
        )
    }

    pub fn database(&self, name: &DatabaseName) -> Result<Option<DatabaseRow>> {
        self.row(&format!("{DATABASE} WHERE d.name = ?1"), [name.as_str()], database)
    }

    pub fn database_by_id(&self, id: &DatabaseId) -> Result<Option<DatabaseRow>> {
        self.row(&format!("{DATABASE} WHERE d.id = ?1"), [id.as_str()], database)
    }

    pub fn insert_database(&self, row: &DatabaseRow) -> Result<()> {
        let parent = row.parent.as_ref();
        self.execute(
            "INSERT INTO databases (id, name, group_uuid, primary_location, parent_id, parent_name, branched_at, size_limit,
                 allow_attach, block_reads, block_writes, delete_protection, created_at, origin, isolated, expires_at, epoch)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
            params![
                row.id.as_str(),
                row.name.as_str(),
                row.group_uuid,
                row.primary.as_str(),
                parent.map(|parent| parent.id.as_str()),
                parent.map(|parent| parent.name.as_str()),
                parent.map(|parent| parent.branched_at.to_string()),
                row.size_limit,
                row.allow_attach,
                row.block_reads,
                row.block_writes,
                row.delete_protection,
                row.created_at.to_string(),
                row.origin.map(|origin| match origin {
                    DatabaseOrigin::Empty => "empty",
                    DatabaseOrigin::Seed => "seed",
                }),
                row.isolated,
                row.expires_at.map(|end| end.to_string()),
                epoch_column(row.epoch),
            ],
        )?;
        Ok(())
    }

    /// Updates what can change: name, primary and its epoch, configuration.
    pub fn update_database(&self, row: &DatabaseRow) -> Result<()> {
        self.execute(
            "UPDATE databases SET name = ?2, primary_location = ?3, size_limit = ?4, allow_attach = ?5, block_reads = ?6,
                 block_writes = ?7, delete_protection = ?8, expires_at = ?9, branched_at = ?10, epoch = ?11
             WHERE id = ?1",
            params![
                row.id.as_str(),
                row.name.as_str(),
                row.primary.as_str(),
                row.size_limit,
                row.allow_attach,
                row.block_reads,
                row.block_writes,
                row.delete_protection,
                row.expires_at.map(|end| end.to_string()),
                row.parent.as_ref().map(|parent| parent.branched_at.to_string()),
                epoch_column(row.epoch),
            ],
        )?;
        Ok(())
    }

    pub fn delete_database(&self, id: &DatabaseId) -> Result<()> {
        self.execute("DELETE FROM databases WHERE id = ?1", [id.as_str()])?;
        Ok(())
    }

    /// The locations of a database beyond its group's, ordered by code.
    pub fn database_locations(&self, id: &DatabaseId) -> Result<Vec<LocationCode>> {
        self.rows(
            "SELECT location FROM database_locations WHERE database_id = ?1 ORDER BY location",
            [id.as_str()],
            |row| parsed(row, 0),
        )
    }

    /// The same for the databases whose names are in a range, as far as they have any.
    pub fn database_locations_between(
        &self,
        first: &DatabaseName,
        last: &DatabaseName,
    ) -> Result<BTreeMap<DatabaseId, Vec<LocationCode>>> {
        let rows = self.rows(
            "SELECT l.database_id, l.location FROM databases d JOIN database_locations l ON l.database_id = d.id
             WHERE d.name BETWEEN ?1 AND ?2 ORDER BY l.location",
            [first.as_str(), last.as_str()],
            |row| Ok((parsed(row, 0)?, parsed(row, 1)?)),
        )?;
        let mut all: BTreeMap<DatabaseId, Vec<LocationCode>> = BTreeMap::new();
        for (id, location) in rows {
            all.entry(id).or_default().push(location);
        }
        Ok(all)
    }

    pub fn add_database_location(&self, id: &DatabaseId, location: &LocationCode) -> Result<()> {
        self.execute(
            "INSERT OR IGNORE INTO database_locations (database_id, location) VALUES (?1, ?2)",
            [id.as_str(), location.as_str()],
        )?;
        Ok(())
    }

    pub fn remove_database_location(&self, id: &DatabaseId, location: &LocationCode) -> Result<()> {
        self.execute(
            "DELETE FROM database_locations WHERE database_id = ?1 AND location = ?2",
            [id.as_str(), location.as_str()],
        )?;
        Ok(())
    }

    /// Whether there is any pending work. What waits for a former primary to come back is none.
    pub fn has_work(&self) -> Result<bool> {
        let work = self.row(
            "SELECT EXISTS (SELECT 1 FROM pending) OR EXISTS (SELECT 1 FROM doomed)
                 OR EXISTS (SELECT 1 FROM former_instances
                            WHERE is_kept = 0 OR database_id NOT IN (SELECT id FROM databases))",
            [],
            |row| row.get(0),
        )?;
        Ok(work.unwrap_or(false))
    }

    /// Databases with pending work, including destroyed ones of which files are left.
    pub fn work(&self) -> Result<BTreeSet<DatabaseId>> {
        let rows = self.rows(
            "SELECT database_id FROM pending UNION SELECT database_id FROM doomed
                 UNION SELECT database_id FROM former_instances
                       WHERE is_kept = 0 OR database_id NOT IN (SELECT id FROM databases)",
            [],
            |row| parsed(row, 0),
        )?;
        Ok(rows.into_iter().collect())
    }

    /// Has the next primary of a database be made of its seed.
    pub fn want_seed(&self, id: &DatabaseId) -> Result<()> {
        self.execute("UPDATE databases SET origin = 'seed' WHERE id = ?1", [id.as_str()])?;
        Ok(())
    }

    pub fn add_pending(&self, id: &DatabaseId) -> Result<()> {
        self.execute("INSERT OR IGNORE INTO pending (database_id) VALUES (?1)", [id.as_str()])?;
        Ok(())
    }

    pub fn doomed(&self, id: &DatabaseId) -> Result<BTreeSet<LocationCode>> {
        let rows = self.rows(
            "SELECT location FROM doomed WHERE database_id = ?1",
            [id.as_str()],
            |row| parsed(row, 0),
        )?;
        Ok(rows.into_iter().collect())
    }

    /// Every doomed instance.
    pub fn all_doomed(&self) -> Result<Vec<(DatabaseId, LocationCode)>> {
        self.rows("SELECT database_id, location FROM doomed", [], |row| {
            Ok((parsed(row, 0)?, parsed(row, 1)?))
        })
    }

    pub fn add_doomed(&self, id: &DatabaseId, location: &LocationCode) -> Result<()> {
        self.execute(
            "INSERT OR IGNORE INTO doomed (database_id, location) VALUES (?1, ?2)",
            [id.as_str(), location.as_str()],
        )?;
        Ok(())
    }

    pub fn remove_doomed(&self, id: &DatabaseId, location: &LocationCode) -> Result<()> {
        self.execute(
            "DELETE FROM doomed WHERE database_id = ?1 AND location = ?2",
            [id.as_str(), location.as_str()],
        )?;
        Ok(())
    }

    /// Records that the database is in its wanted state.
    pub fn record_reconciled(&self, id: &DatabaseId) -> Result<()> {
        self.execute("DELETE FROM pending WHERE database_id = ?1", [id.as_str()])?;
        self.execute(
            "UPDATE databases SET origin = NULL WHERE id = ?1 AND origin IS NOT NULL",
            [id.as_str()],
        )?;
        Ok(())
    }
}
