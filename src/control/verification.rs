//! The result of comparing a database's replicas with its primary.

use super::names::{DatabaseName, LocationCode};
use super::types::Role;
use serde::{Deserialize, Serialize};

/// How a database is verified.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerificationRequest {
    /// Copies replicas that differ again.
    #[serde(default)]
    pub repair: bool,
    /// Also checks pages, free pages and indexes of each instance.
    #[serde(default)]
    pub deep: bool,
}

/// A comparison of all instances of a database, at one position of its log.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    pub database: DatabaseName,
    /// What the primary has.
    pub tables: u64,
    pub rows: u64,
    /// The SHA-256 of the content of all tables of the primary.
    pub hash: String,
    /// The primary first.
    pub instances: Vec<VerifiedInstance>,
    /// The locations of replicas on other machines, which cannot be read together with the primary.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_compared: Vec<LocationCode>,
}

/// An instance that was compared with the primary.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifiedInstance {
    pub location: LocationCode,
    pub role: Role,
    pub is_equal: bool,
    /// The first difference that was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difference: Option<TableDifference>,
    /// What is wrong with its pages or indexes, if that was looked at. Its rows are not compared then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damage: Option<String>,
    /// Whether it was copied again after that, and is equal now.
    #[serde(default)]
    pub repaired: bool,
}

/// The first table that differs.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableDifference {
    pub table: String,
    /// The first and the last key whose rows differ; none where the table is missing or has other columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_key: Option<String>,
}

impl Verification {
    /// The replicas that are not what their primary is.
    pub fn differing(&self) -> impl Iterator<Item = &VerifiedInstance> {
        let is_meant =
            |instance: &&VerifiedInstance| instance.role == Role::Replica && !instance.is_equal && !instance.repaired;
        self.instances.iter().filter(is_meant)
    }

    /// The primary, if its own file is damaged. Nothing was compared with it then.
    #[must_use]
    pub fn damaged_primary(&self) -> Option<&VerifiedInstance> {
        let is_meant = |instance: &&VerifiedInstance| instance.role == Role::Primary && instance.damage.is_some();
        self.instances.iter().find(is_meant)
    }
}
