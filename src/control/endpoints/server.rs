//! Users, organizations, quotas and schedules of backups of a server, for its operator: the user of its first start.

use crate::control::accounts::{
    BackupSchedule, BackupScheduleChange, EndedAccess, QuotaSetting, ScheduledGroup, ServerOrganization, ServerUser,
};
use crate::control::names::Username;
use crate::control::server_configuration::{ServerConfiguration, ServerConfigurationPatch};
use crate::error::Result;

/// What the operator of a server may do. Fails with `forbidden` for others.
pub trait ServerOperations {
    /// All users of the server.
    fn list_users(&self) -> Result<Vec<ServerUser>>;
    /// Ends every token that a user has or made. Memberships stay, and the user comes back with a new token, which the server
    /// issues at a start. Refused for the operator.
    fn disable_user(&self, user: &Username) -> Result<EndedAccess>;
    /// The same, and removes the user and the user's personal organization. Refused while that has databases, for the last
    /// owner of an organization, and for the operator.
    fn remove_user(&self, user: &Username) -> Result<EndedAccess>;
    /// All organizations of the server.
    fn list_server_organizations(&self) -> Result<Vec<ServerOrganization>>;
    /// The quotas that were set, those of all organizations first.
    fn list_quotas(&self) -> Result<Vec<QuotaSetting>>;
    /// Takes effect at once.
    fn set_quota(&self, quota: &QuotaSetting) -> Result<()>;
    /// The settings that can be changed while the server runs.
    fn get_server_configuration(&self) -> Result<ServerConfiguration>;
    /// Takes effect at once. The locations are remembered, the level of the log is not.
    fn update_server_configuration(&self, patch: &ServerConfigurationPatch) -> Result<ServerConfiguration>;
    /// When backups are made of the whole server, and of groups that have a schedule of their own. None where the server has
    /// no place for backups.
    fn list_backup_schedules(&self) -> Result<Vec<BackupSchedule>>;
    /// Takes effect at once. Refused where the server has no place for backups.
    fn set_backup_schedule(&self, change: &BackupScheduleChange) -> Result<BackupSchedule>;
    /// Has a group be backed up with the server alone; its backups stay. Fails with `setting_not_found` if it has no schedule.
    fn remove_backup_schedule(&self, group: &ScheduledGroup) -> Result<()>;
}

/// The endpoints of the operator of a server, as rows of the table in [`endpoints`](crate::control::endpoints). Not in the Platform
/// API.
macro_rules! server_endpoints {
    ($next:ident $($others:ident)*; $($rows:tt)*) => {
        $next! {
            $($others)*; $($rows)*
            ListUsers, Call(operator::list_users): global Get "/v1/server/users";
            DisableUser, Change(operator::disable_user, operator::user_removed):
                global Post "/v1/server/users/{username}/disable";
            RemoveUser, Change(operator::remove_user, operator::user_removed):
                global Delete "/v1/server/users/{username}";
            ListServerOrganizations, Call(operator::list_organizations): global Get "/v1/server/organizations";
            ListQuotas, Call(operator::list_quotas): global Get "/v1/server/quotas";
            SetQuota, Change(operator::set_quota, operator::quota_set): global Put "/v1/server/quotas";
            GetServerConfiguration, Call(operator::get_configuration): global Get "/v1/server/configuration";
            UpdateServerConfiguration, Repeatable(operator::update_configuration):
                global Patch "/v1/server/configuration";
            ListBackupSchedules, Call(operator::list_backup_schedules): global Get "/v1/server/backup-schedules";
            SetBackupSchedule, Repeatable(operator::set_backup_schedule): global Put "/v1/server/backup-schedules";
            RemoveBackupSchedule, Change(operator::remove_backup_schedule, operator::backup_schedule_removed):
                global Delete "/v1/server/backup-schedules";
        }
    };
}
pub(crate) use server_endpoints;
