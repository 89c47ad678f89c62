//! What the operator of a server may do: see and end its users, see all organizations, set quotas, and schedule backups. The
//! operator is the user of the first start.

use super::CallerAccounts;
use super::members::{another_owner, made_api_token, made_database_token};
use crate::control::accounts::{
    BackupSchedule, BackupScheduleChange, EndedAccess, MadeToken, MemberRole, OrganizationKind, QuotaSetting,
    ScheduledGroup, ServerOrganization, ServerUser,
};
use crate::control::hosted::organization::bytes_stored;
use crate::control::hosted::store::{AccountStore, OrganizationRow, UserRow};
use crate::control::hosted::{Caller, Hosted, NewAuditEntry};
use crate::control::names::{OrganizationSlug, Username};
use crate::control::server_configuration::{ServerConfiguration, ServerConfigurationPatch};
use crate::control::types::DatabaseFilter;
use crate::control::{DatabaseOperations as _, ServerOperations};
use crate::error::{Code, Error, Result};
use crate::sync::lock;
use jiff::Timestamp;
use serde_json::json;
use std::sync::atomic::Ordering;

impl ServerOperations for CallerAccounts<'_> {
    fn list_users(&self) -> Result<Vec<ServerUser>> {
        self.allow_operator("list its users")?;
        self.shared.write_uses();
        let now = Timestamp::now();
        let records = self.records();
        let users = records.users()?;
        let mut all = Vec::with_capacity(users.len());
        for (at, user) in users.into_iter().enumerate() {
            let tokens = records.api_tokens(&user.id)?;
            let usable = tokens
                .iter()
                .filter(|token| token.expires_at.is_none_or(|end| end > now));
            all.push(ServerUser {
                operator: at == 0,
                organizations: records
                    .organizations_of(&user.id)?
                    .into_iter()
                    .map(|row| row.slug)
                    .collect(),
                api_tokens: count(usable.count()),
                last_used_at: tokens.iter().filter_map(|token| token.last_used_at).max(),
                username: user.username,
                email: user.email,
                created_at: user.created_at,
            });
        }
        Ok(all)
    }

    fn disable_user(&self, user: &Username) -> Result<EndedAccess> {
        let entry = NewAuditEntry::new(
            "user-disable",
            format!("ended every token of user {user}"),
            json!({ "user": user }),
        );
        self.operate("disable users", entry, || {
            let row = self.endable(user)?;
            self.end_tokens(&row, |_| Ok(()))
        })
    }

    fn remove_user(&self, user: &Username) -> Result<EndedAccess> {
        let entry = NewAuditEntry::new(
            "user-delete",
            format!("removed user {user} from the server"),
            json!({ "user": user }),
        );
        self.operate("remove users", entry, || {
            let row = self.endable(user)?;
            let all = self.records().organizations_of(&row.id)?;
            for organization in all.iter().filter(|row| row.kind == OrganizationKind::Team) {
                let records = self.records();
                let members = records.members(&organization.id)?;
                if let Some(member) = members.iter().find(|member| member.user_id == row.id) {
                    another_owner(&members, member, &organization.slug)?;
                }
            }
            let personal = all.into_iter().find(|row| row.kind == OrganizationKind::Personal);
            match personal {
                Some(personal) => self.remove_with(&row, &personal),
                None => self.remove_row(&row, None),
            }
        })
    }

    fn list_server_organizations(&self) -> Result<Vec<ServerOrganization>> {
        self.allow_operator("see all organizations")?;
        let organizations = self.records().organizations()?;
        let mut all = Vec::with_capacity(organizations.len());
        for row in organizations {
            let members = self.records().members(&row.id)?;
            let plane = self.shared.plane_of(&row)?;
            let owners = members.iter().filter(|member| member.role == MemberRole::Owner);
            all.push(ServerOrganization {
                owners: owners.map(|member| member.username.clone()).collect(),
                members: count(members.len()),
                databases: count(plane.list_databases(&DatabaseFilter::default())?.len()),
                storage_bytes: bytes_stored(&plane)?,
                over_quota: self.shared.plane_pool.state(&row.id).over_quota.load(Ordering::SeqCst),
                slug: row.slug,
                name: row.name,
                kind: row.kind,
                created_at: row.created_at,
            });
        }
        Ok(all)
    }

    fn list_quotas(&self) -> Result<Vec<QuotaSetting>> {
        self.allow_operator("see quotas")?;
        self.shared.quota_settings()
    }

    fn set_quota(&self, quota: &QuotaSetting) -> Result<()> {
        let entry = NewAuditEntry::new("quota-set", format!("set the quota {}", quota.name), json!(quota));
        self.operate("set quotas", entry, || {
            let slug = quota.organization.as_ref().map(OrganizationSlug::as_str);
            self.shared.set_quota(&quota.name, slug, quota.value)?;
            self.shared.enforce_storage_quotas();
            Ok(())
        })
    }

    fn get_server_configuration(&self) -> Result<ServerConfiguration> {
        self.allow_operator("see its settings")?;
        self.shared.configuration()
    }

    fn update_server_configuration(&self, patch: &ServerConfigurationPatch) -> Result<ServerConfiguration> {
        let entry = NewAuditEntry::new("server-configure", "changed the server's settings", json!(patch));
        self.operate("change its settings", entry, || self.shared.configure(patch))
    }

    fn list_backup_schedules(&self) -> Result<Vec<BackupSchedule>> {
        self.allow_operator("see the schedules of backups")?;
        self.shared.backup_schedules()
    }

    fn set_backup_schedule(&self, change: &BackupScheduleChange) -> Result<BackupSchedule> {
        let what = describe(change.of()?.as_ref());
        let entry = NewAuditEntry::new(
            "backup-schedule-set",
            format!("set when {what} is backed up"),
            json!(change),
        );
        self.operate("schedule backups", entry, || {
            let set = self.shared.set_backup_schedule(change);
            set.map_err(|error| self.shared.discreet(error))
        })
    }

    fn remove_backup_schedule(&self, group: &ScheduledGroup) -> Result<()> {
        let entry = NewAuditEntry::new(
            "backup-schedule-delete",
            format!("removed the schedule of backups of {}", describe(Some(group))),
            json!({ "organization": group.organization, "group": group.group }),
        );
        self.operate("schedule backups", entry, || self.shared.remove_backup_schedule(group))
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// What a schedule is of.
fn describe(of: Option<&ScheduledGroup>) -> String {
    of.map_or_else(|| "the server".to_owned(), |group| format!("group {group}"))
}

impl Hosted {
    /// Whether a caller is the operator of the server, with a token that is not limited.
    ///
    /// # Errors
    ///
    /// Those of reading the records.
    pub fn is_operator(&self, caller: &Caller) -> Result<bool> {
        CallerAccounts::new(&self.shared, caller).is_operator()
    }
}

impl CallerAccounts<'_> {
    /// Whether the caller is the operator, with a token that is not limited.
    fn is_operator(&self) -> Result<bool> {
        let is_first = self.shared.is_first_user(&self.caller.session.user_id)?;
        Ok(is_first && self.unlimited("see everybody's databases").is_ok())
    }

    /// Refuses everybody but the operator, and limited tokens.
    pub(super) fn allow_operator(&self, doing: &str) -> Result<()> {
        self.unlimited(doing)?;
        if self.is_operator()? {
            return Ok(());
        }
        Err(
            Error::new(Code::Forbidden, format!("only the operator of the server may {doing}"))
                .hint("the operator is the user of the server's first start"),
        )
    }

    /// Does what only the operator may, and writes it into the operator's own audit log.
    pub(super) fn operate<T>(&self, doing: &str, entry: NewAuditEntry, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let result = self.allow_operator(doing).and_then(|()| work());
        let personal = self.personal()?;
        self.shared
            .note(&personal.id, self.caller, entry, result.as_ref().err());
        result
    }

    /// A user whose access may be ended.
    fn endable(&self, user: &Username) -> Result<UserRow> {
        let row = self.records().user(user.as_str())?.ok_or_else(|| {
            Error::new(Code::UserNotFound, format!("there is no user {user} on this server"))
                .hint("torso server users list shows them")
        })?;
        if row.id == self.caller.session.user_id {
            return Err(Error::new(
                Code::Conflict,
                format!("{user} is the operator of the server, without whom nobody could manage it"),
            )
            .hint("end single tokens with torso auth api-tokens revoke"));
        }
        Ok(row)
    }

    /// Ends every token that a user has or made. `more` is part of the transaction.
    fn end_tokens(&self, user: &UserRow, more: impl FnOnce(&AccountStore) -> Result<()>) -> Result<EndedAccess> {
        let now = Timestamp::now();
        let records = self.records();
        let slug = |id: Option<&str>| -> Result<Option<OrganizationSlug>> {
            let row = id.map(|id| records.organization_by_id(id)).transpose()?.flatten();
            Ok(row.map(|row| row.slug))
        };
        let mut tokens: Vec<MadeToken> = Vec::new();
        for token in records.api_tokens(&user.id)? {
            let of = slug(token.organization_id.as_deref())?;
            tokens.push(made_api_token(&token, of.as_ref()));
        }
        let database = records.database_tokens_by(user.username.as_str(), None, now)?;
        for token in &database {
            let of = slug(Some(&token.organization_id))?;
            tokens.push(made_database_token(token, of.as_ref()));
        }
        records.write(|| {
            records.delete_api_tokens_of(&user.id)?;
            database
                .iter()
                .try_for_each(|token| records.revoke(&token.id, now).map(drop))?;
            more(&records)
        })?;
        self.shared.sessions.forget();
        self.shared
            .token_authority
            .end(database.iter().map(|token| (token.id.clone(), now)));
        Ok(EndedAccess {
            tokens,
            tokens_ended: true,
        })
    }

    /// Removes a user with the personal organization, which must be empty.
    fn remove_with(&self, user: &UserRow, personal: &OrganizationRow) -> Result<EndedAccess> {
        let state = self.shared.plane_pool.state(&personal.id);
        let _making = lock(&state.making);
        let databases = self
            .shared
            .plane_of(personal)?
            .list_databases(&DatabaseFilter::default())?;
        if !databases.is_empty() {
            return Err(Error::new(
                Code::Conflict,
                format!(
                    "the personal organization of {} still has databases: {}",
                    user.username,
                    databases.len()
                ),
            )
            .hint(format!(
                "torso server users disable {} ends the access and keeps them",
                user.username
            )));
        }
        let ended = self.remove_row(user, Some(personal))?;
        self.shared.refresh_none(personal);
        self.shared.plane_pool.close(&personal.id);
        // There are no databases in it, so files that cannot be removed do no harm.
        let _ = std::fs::remove_dir_all(self.shared.plane_pool.dir(&personal.id));
        Ok(ended)
    }

    fn remove_row(&self, user: &UserRow, personal: Option<&OrganizationRow>) -> Result<EndedAccess> {
        self.end_tokens(user, |records| {
            if let Some(personal) = personal {
                records.delete_organization(&personal.id)?;
            }
            records.delete_user(&user.id)
        })
    }
}
