//! Implements [`Accounts`] for one caller: the rules of users, API tokens, organizations, members and invitations.

mod invites;
mod members;
mod nodes;
mod operator;
mod organizations;
mod tokens;

use super::idempotency::MarkingRecords;
use super::permission::{Action, PermissionTarget, Rights, Scopes, permission};
use super::store::OrganizationRow;
use super::{Caller, NewAuditEntry, Shared};
use crate::control::names::OrganizationSlug;
use crate::error::{Code, Error, Result};
use serde_json::json;

/// See the module.
pub(super) struct CallerAccounts<'a> {
    shared: &'a Shared,
    caller: &'a Caller,
}

impl<'a> CallerAccounts<'a> {
    pub fn new(shared: &'a Shared, caller: &'a Caller) -> Self {
        Self { shared, caller }
    }

    /// The records, for changes that are the caller's request's.
    fn records(&self) -> MarkingRecords<'a> {
        self.shared.records_for(self.caller.mark())
    }

    /// The organization, if the action is allowed in it. A refusal is written into its audit log.
    fn allow(
        &self,
        slug: &OrganizationSlug,
        action: Action,
        entry: Option<&NewAuditEntry>,
    ) -> Result<(OrganizationRow, Rights)> {
        let (organization, rights) = self.shared.rights(self.caller, Some(slug))?;
        permission(&rights, action, PermissionTarget::Organization).inspect_err(|error| {
            let entry = entry
                .cloned()
                .unwrap_or_else(|| NewAuditEntry::new("refused", error.message(), json!({})));
            self.shared.note(&organization.id, self.caller, entry, Some(error));
        })?;
        Ok((organization, rights))
    }

    /// Changes something in an organization, if that is allowed. The result is written into the audit log.
    fn change<T>(
        &self,
        slug: &OrganizationSlug,
        action: Action,
        entry: NewAuditEntry,
        work: impl FnOnce(&OrganizationRow, &Rights) -> Result<T>,
    ) -> Result<T> {
        let (organization, rights) = self.allow(slug, action, Some(&entry))?;
        let result = work(&organization, &rights).map_err(|error| self.shared.discreet(error));
        self.shared
            .note(&organization.id, self.caller, entry, result.as_ref().err());
        result
    }

    /// The caller's personal organization, whose audit log has what concerns only the caller.
    fn personal(&self) -> Result<OrganizationRow> {
        let name = self.caller.username().as_str();
        let row = self.records().organization(name)?;
        row.ok_or_else(|| super::organization::organization_not_found(name))
    }

    /// Refuses what a restricted token may not do, because it would gain more rights.
    fn unlimited(&self, doing: &str) -> Result<()> {
        let session = &self.caller.session;
        if session.scopes == Scopes::Everything && session.organization_id.is_none() && session.group_uuid.is_none() {
            return Ok(());
        }
        Err(Error::new(
            Code::Forbidden,
            format!("the API token in use is limited and may not {doing}"),
        )
        .hint("use a token with full access to all organizations"))
    }
}
