//! The hosted plane's database, `accounts.db`: rows and queries. The rules are in the parent module.
//!
//! There is one connection, for one thread at a time; what every request needs is cached in memory by the plane.

mod former_labels;
mod idempotency;
mod nodes;
mod people;
mod schedules;
mod tokens;
mod transfers;
mod usage;

pub use former_labels::FormerLabelRow;
pub use nodes::{ClientAddress, JoinTokenRow, JoinedMachine, NodeRow};
pub use people::{InviteRow, MemberRow, OrganizationRow, UserRow};
pub use schedules::{BackupScheduleRow, GroupKey};
pub use tokens::{ApiTokenRow, DatabaseTokenRow};
pub use transfers::{GroupTransferRow, TransferRow};
pub use usage::Reading;

use crate::control::accounts::AuditEntry;
use crate::control::idempotency::RequestMark;
use crate::control::store::{Store, StoreKind, count, parsed};
use crate::error::{Code, Error, Result};
use jiff::Timestamp;
use rusqlite::params;
use std::cell::Cell;
use std::ops::Deref;
use std::path::Path;

const KIND: StoreKind = StoreKind {
    noun: "the accounts file",
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

/// Before the id of an organization: the setting that has the identity of its catalog.
const CATALOG_IDENTITY: &str = "catalog-identity:";

/// Entries of the audit log that are kept for an organization.
const AUDIT_KEPT: u64 = 100_000;

/// The open database. Its owner holds the server's lock.
pub struct AccountStore {
    store: Store,
    /// Whose changes the next ones are.
    mark: Cell<Option<RequestMark>>,
}

impl Deref for AccountStore {
    type Target = Store;
    fn deref(&self) -> &Store {
        &self.store
    }
}

impl AccountStore {
    pub fn open(path: &Path) -> Result<Self> {
        let store = Store::prepare(path, KIND)?;
        store.durable()?;
        Ok(Self {
            store,
            mark: Cell::default(),
        })
    }

    pub fn setting(&self, name: &str) -> Result<Option<String>> {
        self.row("SELECT value FROM settings WHERE name = ?1", [name], |row| row.get(0))
    }

    /// Every setting whose name begins with a prefix, ordered by name.
    pub fn settings(&self, prefix: &str) -> Result<Vec<(String, String)>> {
        self.rows(
            "SELECT name, value FROM settings WHERE substr(name, 1, length(?1)) = ?1 ORDER BY name",
            [prefix],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    }

    pub fn set(&self, name: &str, value: &str) -> Result<()> {
        self.execute(
            "INSERT INTO settings (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            [name, value],
        )?;
        Ok(())
    }

    /// Notes which catalog an organization has, when it has one for the first time. Fails when it has none any more, or another one.
    pub fn check_catalog_identity(&self, organization: &str, identity: Option<&str>) -> Result<()> {
        let name = format!("{CATALOG_IDENTITY}{organization}");
        match (self.setting(&name)?, identity) {
            (None, None) => Ok(()),
            (None, Some(identity)) => self.write(|| self.set(&name, identity)),
            (Some(known), Some(identity)) if known == identity => Ok(()),
            (Some(_), found) => {
                let what = match found {
                    Some(_) => "has another catalog than before",
                    None => "has no catalog any more",
                };
                Err(
                    Error::new(Code::CatalogDamaged, format!("organization {organization} {what}"))
                        .hint("put back the directory that it had in the server's data directory"),
                )
            }
        }
    }

    /// Removes the tokens and counters of a database that is gone. Its usage is kept.
    pub fn forget_database(&self, database: &str) -> Result<()> {
        self.execute("DELETE FROM database_tokens WHERE database_id = ?1", [database])?;
        self.execute("DELETE FROM counters WHERE database_id = ?1", [database])?;
        Ok(())
    }

    /// Adds an entry to the audit log. Unlike the action itself, it may be lost in a power failure.
    pub fn audit(&self, organization: &str, entry: &AuditEntry, result: &str, request_id: &str) -> Result<()> {
        self.write_lazily(|| {
            self.execute(
                "INSERT INTO audit (organization_id, at, author, code, message, origin, result, request_id, data)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                params![
                    organization,
                    entry.created_at.to_string(),
                    entry.author,
                    entry.code,
                    entry.message,
                    entry.origin,
                    result,
                    request_id,
                    entry.data.to_string(),
                ],
            )?;
            // Old entries are removed at random times, some at once.
            if fastrand::u8(..) == 0 {
                self.execute(
                    "DELETE FROM audit WHERE organization_id = ?1 AND id <= (SELECT id FROM audit
                         WHERE organization_id = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
                    params![organization, i64::try_from(AUDIT_KEPT).unwrap_or(i64::MAX)],
                )?;
            }
            Ok(())
        })
    }

    pub fn count_audit(&self, organization: &str) -> Result<u64> {
        let number = self.row(
            "SELECT count(*) FROM audit WHERE organization_id = ?1",
            [organization],
            |row| count(row, 0),
        )?;
        Ok(number.unwrap_or(0))
    }

    /// The newest first.
    pub fn audit_page(&self, organization: &str, skip: u64, most: u64) -> Result<Vec<AuditEntry>> {
        let limit = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.rows(
            "SELECT at, author, code, message, origin, result, request_id, data FROM audit
             WHERE organization_id = ?1 ORDER BY id DESC LIMIT ?2 OFFSET ?3",
            params![organization, limit(most), limit(skip)],
            |row| {
                let created_at: Timestamp = parsed(row, 0)?;
                let mut data: serde_json::Value = parsed(row, 7)?;
                if let Some(data) = data.as_object_mut() {
                    data.insert("result".to_owned(), row.get::<_, String>(5)?.into());
                    data.insert("request_id".to_owned(), row.get::<_, String>(6)?.into());
                }
                Ok(AuditEntry {
                    created_at,
                    author: row.get(1)?,
                    code: row.get(2)?,
                    message: row.get(3)?,
                    origin: row.get(4)?,
                    data,
                })
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::store::{migrated_schema, numbered};

    #[test]
    fn accounts_migrations_lead_to_the_schema() {
        let schema = migrated_schema(KIND, include_str!("schema.sql"));
        assert!(schema.iter().any(|(_, name, _)| name == "database_tokens"));
    }

    #[test]
    fn accounts_migrations_are_numbered_without_gaps() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/control/hosted/store/migrations");
        assert_eq!(
            numbered(&folder),
            KIND.migrations.len(),
            "a step that is not in the list is never taken"
        );
    }

    #[test]
    fn catalog_that_is_gone_or_another_one_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let records = AccountStore::open(&dir.path().join("accounts.db")).unwrap();
        records.check_catalog_identity("o1", None).unwrap();
        for _ in 0..2 {
            records.check_catalog_identity("o1", Some("first")).unwrap();
        }
        records.check_catalog_identity("o2", Some("other")).unwrap();
        for found in [None, Some("other")] {
            let error = records.check_catalog_identity("o1", found).unwrap_err();
            assert_eq!(error.code(), Code::CatalogDamaged);
        }
        records.check_catalog_identity("o1", Some("first")).unwrap();
    }
}
