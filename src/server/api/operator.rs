//! Users, organizations, quotas, settings and schedules of backups of the server, for its operator.

use super::body::Named;
use super::call::OperationCall;
use super::reply::ApiReply;
use crate::control::accounts::{BackupScheduleChange, EndedAccess, QuotaSetting, ScheduledGroup};
use crate::control::names::{GroupName, LocationCode, OrganizationSlug, Username};
use crate::control::server_configuration::ServerConfigurationPatch;
use crate::error::{Code, Error, Result};
use serde::Deserialize;

pub(super) fn list_users(call: &OperationCall<'_>) -> Result<ApiReply> {
    ApiReply::of("users", &call.accounts().list_users()?)
}

pub(super) fn disable_user(call: &OperationCall<'_>) -> Result<ApiReply> {
    let user: Username = call.name("username")?;
    ApiReply::bare(&call.accounts().disable_user(&user)?)
}

pub(super) fn remove_user(call: &OperationCall<'_>) -> Result<ApiReply> {
    let user: Username = call.name("username")?;
    ApiReply::bare(&call.accounts().remove_user(&user)?)
}

/// The answer to a request that has disabled or removed a user before. Which tokens ended with it is in the audit log.
pub(super) fn user_removed(_: &OperationCall<'_>) -> Result<ApiReply> {
    ApiReply::bare(&EndedAccess {
        tokens: Vec::new(),
        tokens_ended: true,
    })
}

pub(super) fn list_organizations(call: &OperationCall<'_>) -> Result<ApiReply> {
    ApiReply::of("organizations", &call.accounts().list_server_organizations()?)
}

pub(super) fn list_quotas(call: &OperationCall<'_>) -> Result<ApiReply> {
    ApiReply::of("quotas", &call.accounts().list_quotas()?)
}

#[derive(Deserialize)]
struct NewQuota {
    organization: Option<Named<OrganizationSlug>>,
    name: String,
    value: u64,
}

fn wanted_quota(call: &OperationCall<'_>) -> Result<QuotaSetting> {
    let new: NewQuota = call.body()?;
    Ok(QuotaSetting {
        organization: new.organization.map(Named::get).transpose()?,
        name: new.name,
        value: new.value,
    })
}

pub(super) fn set_quota(call: &OperationCall<'_>) -> Result<ApiReply> {
    let quota = wanted_quota(call)?;
    call.accounts().set_quota(&quota)?;
    ApiReply::of("quota", &quota)
}

/// The answer to a request that has set a quota before.
pub(super) fn quota_set(call: &OperationCall<'_>) -> Result<ApiReply> {
    ApiReply::of("quota", &wanted_quota(call)?)
}

pub(super) fn get_configuration(call: &OperationCall<'_>) -> Result<ApiReply> {
    ApiReply::of("configuration", &call.accounts().get_server_configuration()?)
}

#[derive(Deserialize)]
struct NewConfiguration {
    locations: Option<Vec<Named<LocationCode>>>,
    log_level: Option<String>,
    verify_every_seconds: Option<u64>,
}

pub(super) fn update_configuration(call: &OperationCall<'_>) -> Result<ApiReply> {
    let new: NewConfiguration = call.body()?;
    let codes = |all: Vec<Named<LocationCode>>| all.into_iter().map(Named::get).collect::<Result<_>>();
    let patch = ServerConfigurationPatch {
        locations: new.locations.map(codes).transpose()?,
        log_level: new.log_level.map(|level| level.parse()).transpose()?,
        verify_every_seconds: new.verify_every_seconds,
    };
    ApiReply::of("configuration", &call.accounts().update_server_configuration(&patch)?)
}

pub(super) fn list_backup_schedules(call: &OperationCall<'_>) -> Result<ApiReply> {
    ApiReply::of("schedules", &call.accounts().list_backup_schedules()?)
}

#[derive(Deserialize)]
struct NewBackupSchedule {
    organization: Option<Named<OrganizationSlug>>,
    group: Option<Named<GroupName>>,
    every_seconds: Option<u64>,
    keep: Option<String>,
}

pub(super) fn set_backup_schedule(call: &OperationCall<'_>) -> Result<ApiReply> {
    let new: NewBackupSchedule = call.body()?;
    let change = BackupScheduleChange {
        organization: new.organization.map(Named::get).transpose()?,
        group: new.group.map(Named::get).transpose()?,
        every_seconds: new.every_seconds,
        keep: new.keep,
    };
    ApiReply::of("schedule", &call.accounts().set_backup_schedule(&change)?)
}

/// The group in the query.
fn scheduled_group(call: &OperationCall<'_>) -> Result<ScheduledGroup> {
    // Who may not see the schedules is refused first, whatever the query is.
    call.accounts().list_backup_schedules()?;
    match (call.query_as("organization")?, call.query_as("group")?) {
        (Some(organization), Some(group)) => Ok(ScheduledGroup { organization, group }),
        _ => Err(
            Error::new(Code::InvalidValue, "it is not said whose schedule is to be removed")
                .hint("add ?organization=ORGANIZATION&group=GROUP"),
        ),
    }
}

pub(super) fn remove_backup_schedule(call: &OperationCall<'_>) -> Result<ApiReply> {
    let group = scheduled_group(call)?;
    call.accounts().remove_backup_schedule(&group)?;
    ApiReply::of("group", &group.to_string())
}

/// The answer to a request that has removed a schedule before.
pub(super) fn backup_schedule_removed(call: &OperationCall<'_>) -> Result<ApiReply> {
    ApiReply::of("group", &scheduled_group(call)?.to_string())
}
