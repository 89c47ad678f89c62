//! The catalog's locations and groups.

use super::{Catalog, parsed};
use crate::control::names::{GroupName, LocationCode};
use crate::control::types::Isolation;
use crate::error::Result;
use jiff::Timestamp;
use rusqlite::{Row, params};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A location the user added, or what was added to a built-in one.
#[derive(Debug, Clone, PartialEq)]
pub struct LocationRow {
    pub code: LocationCode,
    /// None for a built-in location that was only given a directory.
    pub description: Option<String>,
    pub dir: Option<PathBuf>,
    pub lat: Option<f64>,
    pub lon: Option<f64>,
}

/// A group.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupRow {
    pub uuid: String,
    pub name: GroupName,
    pub primary: LocationCode,
    pub delete_protection: bool,
    pub created_at: Timestamp,
    /// For databases that are made in it.
    pub isolation: Isolation,
}

const GROUP: &str = "SELECT uuid, name, primary_location, delete_protection, created_at, isolation FROM groups";

fn group(row: &Row<'_>) -> rusqlite::Result<GroupRow> {
    Ok(GroupRow {
        uuid: row.get(0)?,
        name: parsed(row, 1)?,
        primary: parsed(row, 2)?,
        delete_protection: row.get(3)?,
        created_at: parsed(row, 4)?,
        isolation: parsed(row, 5)?,
    })
}

impl Catalog {
    pub fn locations(&self) -> Result<Vec<LocationRow>> {
        self.rows("SELECT code, description, dir, lat, lon FROM locations", [], |row| {
            Ok(LocationRow {
                code: parsed(row, 0)?,
                description: row.get(1)?,
                dir: row.get::<_, Option<String>>(2)?.map(PathBuf::from),
                lat: row.get(3)?,
                lon: row.get(4)?,
            })
        })
    }

    /// `dir` is text because paths that are not UTF-8 are refused.
    pub fn insert_location(&self, row: &LocationRow, dir: Option<&str>) -> Result<()> {
        self.execute(
            "INSERT INTO locations (code, description, dir, lat, lon) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![row.code.as_str(), row.description, dir, row.lat, row.lon],
        )?;
        Ok(())
    }

    pub fn delete_location(&self, code: &LocationCode) -> Result<bool> {
        Ok(self.execute("DELETE FROM locations WHERE code = ?1", [code.as_str()])? > 0)
    }

    /// Locations that groups, databases, doomed instances or instances of earlier epochs refer to, but not those of former primaries
    /// that are away: they may never come back. Of many databases each location is looked up once, not each
    /// database.
    pub fn locations_in_use(&self) -> Result<Vec<LocationCode>> {
        self.rows(
            "WITH RECURSIVE
             primaries(code) AS (
                 SELECT min(primary_location) FROM databases UNION ALL
                 SELECT (SELECT min(primary_location) FROM databases WHERE primary_location > code)
                 FROM primaries WHERE code IS NOT NULL),
             replicas(code) AS (
                 SELECT min(location) FROM database_locations UNION ALL
                 SELECT (SELECT min(location) FROM database_locations WHERE location > code)
                 FROM replicas WHERE code IS NOT NULL)
             SELECT primary_location FROM groups UNION SELECT location FROM group_locations
             UNION SELECT code FROM primaries WHERE code IS NOT NULL
             UNION SELECT code FROM replicas WHERE code IS NOT NULL
             UNION SELECT location FROM doomed UNION SELECT location FROM former_instances WHERE is_kept = 0",
            [],
            |row| parsed(row, 0),
        )
    }

    pub fn groups(&self) -> Result<Vec<GroupRow>> {
        self.rows(&format!("{GROUP} ORDER BY name"), [], group)
    }

    /// At most `limit` groups behind a name, ordered by name.
    pub fn group_page(&self, after: Option<&GroupName>, limit: usize) -> Result<Vec<GroupRow>> {
        let after = after.map_or("", GroupName::as_str);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.rows(
            &format!("{GROUP} WHERE name > ?1 ORDER BY name LIMIT ?2"),
            params![after, limit],
            group,
        )
    }

    pub fn group(&self, name: &GroupName) -> Result<Option<GroupRow>> {
        self.row(&format!("{GROUP} WHERE name = ?1"), [name.as_str()], group)
    }

    pub fn insert_group(&self, row: &GroupRow) -> Result<()> {
        self.execute(
            "INSERT INTO groups (uuid, name, primary_location, delete_protection, created_at, isolation)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                row.uuid,
                row.name.as_str(),
                row.primary.as_str(),
                row.delete_protection,
                row.created_at.to_string(),
                row.isolation.name()
            ],
        )?;
        Ok(())
    }

    /// Updates what can change: name, primary, protection, isolation.
    pub fn update_group(&self, row: &GroupRow) -> Result<()> {
        self.execute(
            "UPDATE groups SET name = ?2, primary_location = ?3, delete_protection = ?4, isolation = ?5 WHERE uuid = ?1",
            params![row.uuid, row.name.as_str(), row.primary.as_str(), row.delete_protection, row.isolation.name()],
        )?;
        Ok(())
    }

    pub fn delete_group(&self, uuid: &str) -> Result<()> {
        self.execute("DELETE FROM groups WHERE uuid = ?1", [uuid])?;
        Ok(())
    }

    /// The replica locations of one group, ordered by code.
    pub fn group_locations(&self, uuid: &str) -> Result<Vec<LocationCode>> {
        self.rows(
            "SELECT location FROM group_locations WHERE group_uuid = ?1 ORDER BY location",
            [uuid],
            |row| parsed(row, 0),
        )
    }

    /// The same for every group that has any, by the group's uuid.
    pub fn all_group_locations(&self) -> Result<BTreeMap<String, Vec<LocationCode>>> {
        let rows = self.rows(
            "SELECT group_uuid, location FROM group_locations ORDER BY location",
            [],
            |row| Ok((row.get::<_, String>(0)?, parsed(row, 1)?)),
        )?;
        let mut all: BTreeMap<String, Vec<LocationCode>> = BTreeMap::new();
        for (uuid, location) in rows {
            all.entry(uuid).or_default().push(location);
        }
        Ok(all)
    }

    pub fn add_group_location(&self, uuid: &str, location: &LocationCode) -> Result<()> {
        self.execute(
            "INSERT OR IGNORE INTO group_locations (group_uuid, location) VALUES (?1, ?2)",
            [uuid, location.as_str()],
        )?;
        Ok(())
    }

    pub fn remove_group_location(&self, uuid: &str, location: &LocationCode) -> Result<()> {
        self.execute(
            "DELETE FROM group_locations WHERE group_uuid = ?1 AND location = ?2",
            [uuid, location.as_str()],
        )?;
        Ok(())
    }
}
