//! The catalog: a [`Store`] with its schema. The queries are in `locations` (locations, groups), `databases` and
//! `former_instances`; the rules are the plane's.

pub mod databases;
pub mod former_instances;
pub mod locations;
pub mod marks;

use crate::control::store::{Store, StoreKind, parsed, parsed_maybe};
use crate::error::Result;
#[cfg(feature = "server")]
use crate::error::{Code, Error};
use std::ops::Deref;
use std::path::Path;

const KIND: StoreKind = StoreKind {
    noun: "the catalog",
    migrations: &[
        include_str!("migrations/0001.sql"),
        include_str!("migrations/0002.sql"),
        include_str!("migrations/0003.sql"),
        include_str!("migrations/0004.sql"),
        include_str!("migrations/0005.sql"),
        include_str!("migrations/0006.sql"),
        include_str!("migrations/0007.sql"),
        include_str!("migrations/0008.sql"),
    ],
};

/// The linked SQLite's version, and whether it has the fix of the "WAL-reset" bug, which can lose commits.
pub fn linked_sqlite() -> (&'static str, bool) {
    (rusqlite::version(), rusqlite::version_number() >= 3_051_003)
}

/// An open catalog.
pub struct Catalog(Store);

impl Catalog {
    /// Opens the catalog for reading; none if there is none yet. One of an older torso must be migrated before use, see
    /// [`Store::is_current`].
    pub fn open(path: &Path) -> Result<Option<Self>> {
        Ok(Store::open(path, KIND)?.map(Self))
    }

    /// Opens the catalog for the holder of the lock, and creates or migrates it as needed.
    pub fn prepare(path: &Path) -> Result<Self> {
        Store::prepare(path, KIND).map(Self)
    }

    /// What it has in common with its copies, and with no other catalog. Its schema has to be current.
    #[cfg(feature = "server")]
    pub fn identity(&self) -> Result<String> {
        let id = self.row("SELECT id FROM identity", [], |row| row.get(0))?;
        id.ok_or_else(|| Error::new(Code::CatalogDamaged, "the catalog has no identity"))
    }
}

impl Deref for Catalog {
    type Target = Store;
    fn deref(&self) -> &Store {
        &self.0
    }
}

/// A connection for tests, in the role of an application.
#[cfg(test)]
pub(super) fn open_for_test(url: &str) -> rusqlite::Connection {
    use rusqlite::{Connection, OpenFlags};
    Connection::open_with_flags(
        url,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_URI,
    )
    .unwrap()
}

#[cfg(test)]
mod tests;
