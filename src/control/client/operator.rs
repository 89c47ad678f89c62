//! Users, organizations, quotas and schedules of backups of a server, for its operator: the user of its first start.

use super::api_error::CallSubject;
use super::{Client, about, about_organization, wire};
use crate::control::ServerOperations;
use crate::control::accounts::{
    BackupSchedule, BackupScheduleChange, EndedAccess, QuotaSetting, ScheduledGroup, ServerOrganization, ServerUser,
};
use crate::control::endpoints::Operation;
use crate::control::names::Username;
use crate::control::server_configuration::{ServerConfiguration, ServerConfigurationPatch};
use crate::error::{Code, Error, Result};

impl ServerOperations for Client {
    fn list_users(&self) -> Result<Vec<ServerUser>> {
        let about = about("the users of the server").only_here("list its users");
        let reply = self.http.ask(&self.call(Operation::ListUsers, &[], about))?;
        let users = wire::list(reply, "users")?.into_iter();
        users.map(|user| wire::read(user, "a user")).collect()
    }

    fn disable_user(&self, user: &Username) -> Result<EndedAccess> {
        let call = self.call(Operation::DisableUser, &[user], about_user(user));
        wire::read(self.http.ask(&call)?, "the tokens of the user")
    }

    fn remove_user(&self, user: &Username) -> Result<EndedAccess> {
        let call = self.call(Operation::RemoveUser, &[user], about_user(user));
        wire::read(self.http.ask(&call)?, "the tokens of the user")
    }

    fn list_server_organizations(&self) -> Result<Vec<ServerOrganization>> {
        let about = about("the organizations of the server").only_here("list all its organizations");
        let reply = self
            .http
            .ask(&self.call(Operation::ListServerOrganizations, &[], about))?;
        let organizations = wire::list(reply, "organizations")?.into_iter();
        organizations
            .map(|organization| wire::read(organization, "an organization"))
            .collect()
    }

    fn list_quotas(&self) -> Result<Vec<QuotaSetting>> {
        let about = about("the quotas of the server").only_here("list quotas");
        let reply = self.http.ask(&self.call(Operation::ListQuotas, &[], about))?;
        let quotas = wire::list(reply, "quotas")?.into_iter();
        quotas.map(|quota| wire::read(quota, "a quota")).collect()
    }

    fn set_quota(&self, quota: &QuotaSetting) -> Result<()> {
        let about = match &quota.organization {
            Some(slug) => about_organization(slug),
            None => about("the quotas of the server"),
        };
        let call = self
            .call(Operation::SetQuota, &[], about.only_here("set quotas"))
            .body(wire::to_json(quota));
        self.http.ask(&call).map(drop)
    }

    fn get_server_configuration(&self) -> Result<ServerConfiguration> {
        let about = about("the settings of the server").only_here("show its settings");
        let reply = self
            .http
            .ask(&self.call(Operation::GetServerConfiguration, &[], about))?;
        wire::read(wire::within(reply, "configuration"), "settings")
    }

    fn update_server_configuration(&self, patch: &ServerConfigurationPatch) -> Result<ServerConfiguration> {
        let about = about("the settings of the server").only_here("change its settings");
        let call = self
            .call(Operation::UpdateServerConfiguration, &[], about)
            .body(wire::to_json(patch));
        let changed: ServerConfiguration =
            wire::read(wire::within(self.http.ask(&call)?, "configuration"), "settings")?;
        // An older server passes over a setting that it does not know.
        if let Some(seconds) = patch.verify_every_seconds
            && changed.verify_every_seconds != Some(seconds).filter(|seconds| *seconds > 0)
        {
            return Err(Error::new(
                Code::Unsupported,
                "the server cannot compare replicas with their primaries by itself",
            )
            .hint("update the server: a newer one can; until then, torso db verify NAME compares one"));
        }
        Ok(changed)
    }

    fn list_backup_schedules(&self) -> Result<Vec<BackupSchedule>> {
        let about = about("the schedules of backups").only_here("list schedules of backups");
        let reply = self.http.ask(&self.call(Operation::ListBackupSchedules, &[], about))?;
        let schedules = wire::list(reply, "schedules")?.into_iter();
        schedules.map(|schedule| wire::read(schedule, "a schedule")).collect()
    }

    fn set_backup_schedule(&self, change: &BackupScheduleChange) -> Result<BackupSchedule> {
        let about = match change.of()? {
            Some(group) => about_schedule(&group),
            None => about("the schedules of backups").only_here("schedule backups"),
        };
        let call = self
            .call(Operation::SetBackupSchedule, &[], about)
            .body(wire::to_json(change));
        wire::read(wire::within(self.http.ask(&call)?, "schedule"), "a schedule")
    }

    fn remove_backup_schedule(&self, group: &ScheduledGroup) -> Result<()> {
        let call = self
            .call(Operation::RemoveBackupSchedule, &[], about_schedule(group))
            .query("organization", &group.organization)
            .query("group", &group.group);
        self.http.ask(&call).map(drop)
    }
}

fn about_schedule(group: &ScheduledGroup) -> CallSubject<'static> {
    CallSubject::new(
        format!("schedule of backups of group {group}"),
        Code::SettingNotFound,
        Code::Conflict,
    )
    .hint("torso server schedules list shows the schedules")
    .only_here("schedule backups")
}

fn about_user(user: &Username) -> CallSubject<'static> {
    CallSubject::new(format!("user {user}"), Code::UserNotFound, Code::UserExists)
        .hint("torso server users list shows the users")
        .only_here("manage its users")
}
