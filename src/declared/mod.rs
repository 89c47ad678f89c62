//! Declared state: a file that says which groups and databases there are to be, and the plan that makes it so.
//!
//! `parse` reads the file strictly, `current` asks a control plane what there is, `references` checks that what the file names is
//! there, and `plan` compares both and changes nothing.
//! Taking the steps is left to `commands/apply`.

mod current;
mod parse;
mod plan;
mod references;
mod table;

pub use current::CurrentState;
pub use parse::parse;
pub use plan::{ApplyPlan, DatabaseStep, Step, plan};
pub use references::check_references;

use crate::control::names::{DatabaseName, GroupName, LocationCode};
use crate::control::types::{ConfigurationPatch, Isolation, NewLocation};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// What a file declares. What it does not name is not its business.
#[derive(Debug, Default)]
pub struct DeclaredState {
    /// The file, for errors.
    pub file: String,
    pub scope: DeclaredScope,
    pub locations: Vec<NewLocation>,
    pub groups: BTreeMap<GroupName, DeclaredGroup>,
    pub databases: BTreeMap<DatabaseName, DeclaredDatabase>,
    /// The lines of the file's keys, which are whole: `databases.app.location`.
    pub lines: BTreeMap<String, u64>,
}

/// The databases that are the file's own, so that those it does not name may be destroyed.
#[derive(Debug, Default, PartialEq)]
pub struct DeclaredScope {
    /// Patterns of names.
    pub databases: Vec<String>,
    /// Groups with all their databases.
    pub groups: BTreeSet<GroupName>,
}

/// A group. What is none stays as it is.
#[derive(Debug, Default, PartialEq)]
pub struct DeclaredGroup {
    /// The line of the file that declares it.
    pub line: u64,
    /// The primary first; at least one.
    pub locations: Option<Vec<LocationCode>>,
    pub delete_protection: Option<bool>,
    pub isolation: Option<Isolation>,
}

/// A database. What is none stays as it is.
#[derive(Debug, Default, PartialEq)]
pub struct DeclaredDatabase {
    /// The line of the file that declares it.
    pub line: u64,
    pub group: Option<GroupName>,
    pub location: Option<LocationCode>,
    /// Its own replicas; those of its group are not among them.
    pub replicas: Option<BTreeSet<LocationCode>>,
    pub configuration: ConfigurationPatch,
    /// What it starts with, when it is created.
    pub seed: Option<DeclaredSeed>,
}

/// What a new database starts with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeclaredSeed {
    /// A SQLite file.
    File(PathBuf),
    /// An SQL script.
    Dump(PathBuf),
    /// A CSV file, which becomes a table.
    Csv(PathBuf),
    /// Another database.
    Database(DatabaseName),
}

#[cfg(test)]
mod tests;
