//! The usage of instances, by day.

use super::AccountStore;
use crate::control::store::count;
use crate::control::tokens::Usage;
use crate::error::Result;
use rusqlite::params;
use std::collections::BTreeMap;

/// The counters of an instance's process, and the bytes that the gateway sent since the last reading.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reading {
    pub rows_read: u64,
    pub rows_written: u64,
    pub bytes_synced: u64,
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl AccountStore {
    /// Adds the usage since the last reading to a day. Call it within [`crate::control::store::Store::write`].
    pub fn add_reading(&self, database: &str, location: &str, day: &str, reading: Reading) -> Result<()> {
        let last = self
            .row(
                "SELECT rows_read, rows_written FROM counters WHERE database_id = ?1 AND location = ?2",
                [database, location],
                |row| Ok((count(row, 0)?, count(row, 1)?)),
            )?
            .unwrap_or_default();
        // A counter that has decreased has begun again.
        let since = |now: u64, last: u64| if now < last { now } else { now - last };
        self.execute(
            "INSERT INTO usage (database_id, location, day, rows_read, rows_written, bytes_synced)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (database_id, location, day) DO UPDATE SET rows_read = rows_read + excluded.rows_read,
                 rows_written = rows_written + excluded.rows_written, bytes_synced = bytes_synced + excluded.bytes_synced",
            params![
                database,
                location,
                day,
                number(since(reading.rows_read, last.0)),
                number(since(reading.rows_written, last.1)),
                number(reading.bytes_synced)
            ],
        )?;
        self.execute(
            "INSERT INTO counters (database_id, location, rows_read, rows_written) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (database_id, location) DO UPDATE SET rows_read = excluded.rows_read,
                 rows_written = excluded.rows_written",
            params![
                database,
                location,
                number(reading.rows_read),
                number(reading.rows_written)
            ],
        )?;
        Ok(())
    }

    /// Adds bytes that the gateway sent to a day, where the counters could not be read.
    pub fn add_bytes(&self, database: &str, location: &str, day: &str, bytes_synced: u64) -> Result<()> {
        self.execute(
            "INSERT INTO usage (database_id, location, day, bytes_synced) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (database_id, location, day) DO UPDATE SET bytes_synced = bytes_synced + excluded.bytes_synced",
            params![database, location, day, number(bytes_synced)],
        )?;
        Ok(())
    }

    /// The usage of a database's instances from one day to another, both included, by location. Without storage.
    pub fn usage(&self, database: &str, from: &str, to: &str) -> Result<BTreeMap<String, Usage>> {
        let rows = self.rows(
            "SELECT location, sum(rows_read), sum(rows_written), sum(bytes_synced) FROM usage
             WHERE database_id = ?1 AND day BETWEEN ?2 AND ?3 GROUP BY location",
            [database, from, to],
            |row| {
                let usage = Usage {
                    rows_read: count(row, 1)?,
                    rows_written: count(row, 2)?,
                    storage_bytes: 0,
                    bytes_synced: count(row, 3)?,
                };
                Ok((row.get(0)?, usage))
            },
        )?;
        Ok(rows.into_iter().collect())
    }
}
