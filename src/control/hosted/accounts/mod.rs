//! Implements [`Accounts`] for one caller: the rules of users, API tokens, organizations, members and invitations.

mod members;
mod operator;
mod organizations;
mod tokens;

use super::permission::{Action, Rights, Scopes, Target, permission};
use super::store::OrganizationRow;
use super::{Caller, Entry, Shared};
use crate::control::accounts::{
    Accounts, ApiToken, AuditPage, EndedAccess, Invite, Member, MemberRole, MintedApiToken, NewApiToken, Organization,
    OrganizationPatch, OrganizationUsage, Pagination, Plan, QuotaSetting, ServerUser, Subscription, User,
};
use crate::control::names::{OrganizationSlug, TokenName, Username};
use crate::error::{Code, Error, Result};
use jiff::Timestamp;
use serde_json::json;

/// Entries of the audit log on a page: the default and the maximum.
const PAGE: u64 = 25;
const LARGEST_PAGE: u64 = 1000;

/// See the module.
pub(super) struct CallerAccounts<'a> {
    shared: &'a Shared,
    caller: &'a Caller,
}

impl<'a> CallerAccounts<'a> {
    pub fn new(shared: &'a Shared, caller: &'a Caller) -> Self {
        Self { shared, caller }
    }

    /// The organization, if the action is allowed in it. A refusal is written into its audit log.
    fn allow(
        &self,
        slug: &OrganizationSlug,
        action: Action,
        entry: Option<&Entry>,
    ) -> Result<(OrganizationRow, Rights)> {
        let (organization, rights) = self.shared.rights(self.caller, Some(slug))?;
        permission(&rights, action, Target::Organization).inspect_err(|error| {
            let entry = entry
                .cloned()
                .unwrap_or_else(|| Entry::new("refused", error.message(), json!({})));
            self.shared.note(&organization.id, self.caller, entry, Some(error));
        })?;
        Ok((organization, rights))
    }

    /// Changes something in an organization, if that is allowed. The result is written into the audit log.
    fn change<T>(
        &self,
        slug: &OrganizationSlug,
        action: Action,
        entry: Entry,
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
        let row = self.shared.records().organization(name)?;
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

impl Accounts for CallerAccounts<'_> {
    fn validate(&self) -> Result<Option<Timestamp>> {
        Ok(self.caller.expires_at())
    }

    fn current_user(&self) -> Result<User> {
        self.user()
    }

    fn list_api_tokens(&self) -> Result<Vec<ApiToken>> {
        self.tokens()
    }

    fn create_api_token(&self, name: &TokenName, new: &NewApiToken) -> Result<MintedApiToken> {
        self.mint(name, new)
    }

    fn revoke_api_token(&self, name: &TokenName) -> Result<()> {
        self.revoke(name)
    }

    fn invalidate_sessions(&self) -> Result<Timestamp> {
        self.invalidate()
    }

    fn list_organizations(&self) -> Result<Vec<Organization>> {
        self.organizations()
    }

    fn create_organization(&self, name: &str) -> Result<Organization> {
        self.found(name)
    }

    fn get_organization(&self, slug: &OrganizationSlug) -> Result<Organization> {
        let (row, _) = self.shared.rights(self.caller, Some(slug))?;
        Ok(self.organization(row))
    }

    fn update_organization(&self, slug: &OrganizationSlug, patch: &OrganizationPatch) -> Result<Organization> {
        self.update(slug, patch)
    }

    fn delete_organization(&self, slug: &OrganizationSlug) -> Result<()> {
        self.dissolve(slug)
    }

    fn list_members(&self, of: &OrganizationSlug) -> Result<Vec<Member>> {
        let (organization, _) = self.allow(of, Action::SeeMembers, None)?;
        let rows = self.shared.records().members(&organization.id)?;
        Ok(rows.into_iter().map(members::told).collect())
    }

    fn get_member(&self, of: &OrganizationSlug, user: &Username) -> Result<Member> {
        let (organization, _) = self.allow(of, Action::SeeMembers, None)?;
        self.member(&organization, user).map(members::told)
    }

    fn add_member(&self, of: &OrganizationSlug, user: &Username, role: MemberRole) -> Result<Member> {
        self.admit(of, user, role)
    }

    fn update_member(&self, of: &OrganizationSlug, user: &Username, role: MemberRole) -> Result<Member> {
        self.set_role(of, user, role)
    }

    fn remove_member(&self, of: &OrganizationSlug, user: &Username, keep_tokens: bool) -> Result<EndedAccess> {
        self.dismiss(of, user, keep_tokens)
    }

    fn list_invites(&self, of: &OrganizationSlug) -> Result<Vec<Invite>> {
        let (organization, _) = self.allow(of, Action::SeeMembers, None)?;
        let rows = self.shared.records().invites(&organization.id)?;
        Ok(rows.into_iter().map(|row| members::told_invite(row, None)).collect())
    }

    fn create_invite(&self, of: &OrganizationSlug, email: &str, role: MemberRole) -> Result<Invite> {
        self.invite(of, email, role)
    }

    fn delete_invite(&self, of: &OrganizationSlug, email: &str) -> Result<()> {
        self.uninvite(of, email)
    }

    fn audit_log(&self, of: &OrganizationSlug, page: u64, page_size: u64) -> Result<AuditPage> {
        let (organization, _) = self.allow(of, Action::SeeAudit, None)?;
        let page = page.max(1);
        let page_size = match page_size {
            0 => PAGE,
            size => size.min(LARGEST_PAGE),
        };
        let records = self.shared.records();
        let total_rows = records.count_audit(&organization.id)?;
        let skip = (page - 1).saturating_mul(page_size);
        Ok(AuditPage {
            audit_logs: records.audit_page(&organization.id, skip, page_size)?,
            pagination: Pagination {
                page,
                page_size,
                total_pages: total_rows.div_ceil(page_size),
                total_rows,
            },
        })
    }

    fn list_plans(&self) -> Result<Vec<Plan>> {
        Ok(vec![Plan {
            name: super::PLAN.to_owned(),
            price: "0".to_owned(),
            prices: Vec::new(),
            quotas: self.shared.plan_quotas()?,
        }])
    }

    fn subscription(&self, of: &OrganizationSlug) -> Result<Subscription> {
        let (organization, _) = self.shared.rights(self.caller, Some(of))?;
        Ok(Subscription {
            name: organization.plan.clone(),
            plan: organization.plan,
            timeline: String::new(),
            overages: organization.overages,
        })
    }

    fn organization_usage(&self, of: &OrganizationSlug) -> Result<OrganizationUsage> {
        let tenant = self.shared.organization_plane(self.caller, Some(of))?;
        tenant.organization_usage()
    }

    fn list_users(&self) -> Result<Vec<ServerUser>> {
        self.server_users()
    }

    fn disable_user(&self, user: &Username) -> Result<EndedAccess> {
        self.disable(user)
    }

    fn remove_user(&self, user: &Username) -> Result<EndedAccess> {
        self.remove(user)
    }

    fn list_quotas(&self) -> Result<Vec<QuotaSetting>> {
        self.quota_settings()
    }

    fn set_quota(&self, quota: &QuotaSetting) -> Result<()> {
        self.change_quota(quota)
    }
}
