//! Databases: creating, listing, renaming, configuring and deleting them.

use crate::control::Progress;
use crate::control::names::DatabaseName;
use crate::control::types::{Configuration, ConfigurationPatch, CreateDatabase, Database, DatabaseFilter};
use crate::error::Result;
use std::ops::ControlFlow;

/// Called with some databases of a list; says whether it wants more.
pub type DatabaseVisitor<'a> = dyn FnMut(Vec<Database>) -> Result<ControlFlow<()>> + 'a;

/// The databases of a control plane.
pub trait DatabaseOperations {
    /// Calls `visit` with the databases that pass the filter, some at a time, ordered by name.
    fn visit_databases(&self, filter: &DatabaseFilter, visit: &mut DatabaseVisitor<'_>) -> Result<()>;
    /// The same, all at once.
    fn list_databases(&self, filter: &DatabaseFilter) -> Result<Vec<Database>> {
        let mut all = Vec::new();
        self.visit_databases(filter, &mut |page| {
            all.extend(page);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(all)
    }
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
    /// The same if it is past its end now; false if it is not, or is not there. Whoever gave it more time meanwhile keeps it.
    fn delete_expired_database(&self, name: &DatabaseName) -> Result<bool>;
    fn get_configuration(&self, name: &DatabaseName) -> Result<Configuration>;
    fn update_configuration(&self, name: &DatabaseName, patch: &ConfigurationPatch) -> Result<Configuration>;
}

/// The endpoints of databases, as rows of the table in [`endpoints`](crate::control::endpoints).
macro_rules! database_endpoints {
    ($next:ident $($others:ident)*; $($rows:tt)*) => {
        $next! {
            $($others)*; $($rows)*
            ListDatabases, Call(databases::list):
                scoped Get "/databases",
                global Get "/v3/organizations/{organizationId}/databases";
            CreateDatabase, Change(databases::create, databases::created):
                scoped Post "/databases",
                global Post "/v3/organizations/{organizationId}/databases";
            /// Not in the Platform API, so that a server that knows no ends refuses instead of making a database that never ends.
            CreateExpiringDatabase, Change(databases::create, databases::created): scoped Post "/databases/expiring";
            GetDatabase, Call(databases::get): scoped Get "/databases/{databaseName}";
            DeleteDatabase, Change(databases::delete, databases::deleted): scoped Delete "/databases/{databaseName}";
            RenameDatabase, Change(databases::rename, databases::renamed):
                scoped Post "/databases/{databaseName}/rename";
            /// Does nothing: databases never sleep.
            WakeDatabase, Repeatable(databases::check_exists): scoped Post "/databases/{databaseName}/wakeup";
            /// Does nothing: the server decides about versions.
            UpdateDatabase, Repeatable(databases::check_exists): scoped Post "/databases/{databaseName}/update";
            GetConfiguration, Call(databases::get_configuration): scoped Get "/databases/{databaseName}/configuration";
            UpdateConfiguration, Change(databases::update_configuration, databases::get_configuration):
                scoped Patch "/databases/{databaseName}/configuration";
            GetDatabaseById, Call(databases::get_by_id):
                global Get "/v3/organizations/{organizationId}/databases/{databaseId}";
            DeleteDatabaseById, Change(databases::delete_by_id, databases::deleted_by_id):
                global Delete "/v3/organizations/{organizationId}/databases/{databaseId}";
        }
    };
}
pub(crate) use database_endpoints;
