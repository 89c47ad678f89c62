//! Databases: creating, listing, renaming, configuring and deleting them.

use crate::control::Progress;
use crate::control::names::DatabaseName;
use crate::control::types::{Configuration, ConfigurationPatch, CreateDatabase, Database, DatabaseFilter};
use crate::error::Result;

/// The databases of a control plane.
pub trait DatabaseOperations {
    /// Ordered by name.
    fn list_databases(&self, filter: &DatabaseFilter) -> Result<Vec<Database>>;
    fn create_database(&self, request: &CreateDatabase) -> Result<Database>;
    /// [`Self::create_database`] that reports the progress of an upload. Without an upload, `progress` is not
    /// called.
    fn create_database_telling(&self, request: &CreateDatabase, _progress: &mut Progress<'_>) -> Result<Database> {
        self.create_database(request)
    }
    fn get_database(&self, name: &DatabaseName) -> Result<Database>;
    fn rename_database(&self, name: &DatabaseName, to: &DatabaseName) -> Result<Database>;
    /// Refused under delete protection.
    fn delete_database(&self, name: &DatabaseName) -> Result<()>;
    fn get_configuration(&self, name: &DatabaseName) -> Result<Configuration>;
    fn update_configuration(&self, name: &DatabaseName, patch: &ConfigurationPatch) -> Result<Configuration>;
}
