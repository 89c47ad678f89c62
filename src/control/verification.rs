//! The result of comparing a database's replicas with its primary.

use super::names::{DatabaseName, LocationCode};
use super::types::Role;
use serde::{Deserialize, Serialize};

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
    /// The instances that are not what their primary is.
    pub fn differing(&self) -> impl Iterator<Item = &VerifiedInstance> {
        self.instances
            .iter()
            .filter(|instance| !instance.is_equal && !instance.repaired)
    }
}
