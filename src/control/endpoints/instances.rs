//! Instances of a database: its primary and its replicas.

use crate::control::compaction::Compaction;
use crate::control::names::{DatabaseName, LocationCode};
use crate::control::promotion::ForcedPromotion;
use crate::control::types::{Connection, Database, Instance, Seed, Synced};
use crate::control::verification::{Verification, VerificationRequest};
use crate::error::Result;

/// The instances of databases.
pub trait InstanceOperations {
    /// The primary first, then replicas by location.
    fn list_instances(&self, name: &DatabaseName) -> Result<Vec<Instance>>;
    /// Adds a replica. Adding one that exists changes nothing; the primary's own location is refused.
    fn add_instance(&self, name: &DatabaseName, location: &LocationCode) -> Result<Instance>;
    /// Removes a replica. Refused for the primary, and for a location of the group.
    fn remove_instance(&self, name: &DatabaseName, location: &LocationCode) -> Result<()>;
    /// Refreshes replicas that are behind: the one at `location`, else all.
    fn sync_database(&self, name: &DatabaseName, location: Option<&LocationCode>) -> Result<Vec<Synced>>;
    /// Makes the replica at `location` the primary, without losing a committed row. If it is the primary already,
    /// nothing changes.
    fn promote_instance(&self, name: &DatabaseName, location: &LocationCode) -> Result<Database>;
    /// Makes the replica that has the most the primary, although the primary is not there: what it had beyond that is lost. Fails
    /// with `conflict` while the primary answers, and where the replica that was named has less than another one.
    fn force_promotion(&self, name: &DatabaseName, request: &ForcedPromotion) -> Result<Database>;
    /// Compares the content of all instances at one position, while writes go on.
    fn verify_database(&self, name: &DatabaseName, request: VerificationRequest) -> Result<Verification>;
    /// Gives the free pages of all instances back to the disk. With `dry_run`, only tells how much that would be. Allowed also over
    /// a quota and while writes are blocked.
    fn compact_database(&self, name: &DatabaseName, dry_run: bool) -> Result<Compaction>;
    /// Notes that a backup takes the place of a database's content. With `content`, it puts that in the place of a primary that is
    /// missing or damaged; else the caller replaces the content by statements. Refused under delete protection.
    fn restore_backup(&self, name: &DatabaseName, backup: &str, content: Option<&Seed>) -> Result<Database>;
    /// How to reach the primary, or the instance at `location`. A replica that is behind is refreshed first.
    fn connection(&self, name: &DatabaseName, location: Option<&LocationCode>) -> Result<Connection>;
    /// How to reach the primary to write. Fails with `blocked` while writes are blocked, and with `forbidden` where the caller
    /// may only read.
    fn connection_to_write(&self, name: &DatabaseName) -> Result<Connection> {
        let connection = self.connection(name, None)?;
        connection.check_writable()?;
        Ok(connection)
    }
}

/// The endpoints of instances, as rows of the table in [`endpoints`](crate::control::endpoints).
macro_rules! instance_endpoints {
    ($next:ident $($others:ident)*; $($rows:tt)*) => {
        $next! {
            $($others)*; $($rows)*
            SyncDatabase, Repeatable(databases::sync): scoped Post "/databases/{databaseName}/sync";
            ListInstances, Call(instances::list_instances): scoped Get "/databases/{databaseName}/instances";
            AddInstance, Change(instances::add_instance, instances::instance_added):
                scoped Post "/databases/{databaseName}/instances";
            GetInstance, Call(instances::get_instance): scoped Get "/databases/{databaseName}/instances/{instanceName}";
            RemoveInstance, Change(instances::remove_instance, instances::instance_removed):
                scoped Delete "/databases/{databaseName}/instances/{instanceName}";
            WaitForInstance, Call(instances::wait_for_instance):
                scoped Get "/databases/{databaseName}/instances/{instanceName}/wait";
            PromoteInstance, Change(instances::promote_instance, databases::get):
                scoped Post "/databases/{databaseName}/instances/{instanceName}/promote";
            VerifyDatabase, Repeatable(instances::verify): scoped Post "/databases/{databaseName}/verify";
            CompactDatabase, Repeatable(instances::compact): scoped Post "/databases/{databaseName}/compact";
            RestoreBackup, Change(instances::restore, databases::get): scoped Post "/databases/{databaseName}/restore";
            ForcePromotion, Change(instances::force_promotion, databases::get):
                scoped Post "/databases/{databaseName}/promote";
        }
    };
}
pub(crate) use instance_endpoints;
