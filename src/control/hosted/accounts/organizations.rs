//! Organizations.

use super::{CallerAccounts, tokens};
use crate::control::accounts::{
    AuditPage, MemberRole, Organization, OrganizationKind, OrganizationPatch, OrganizationUsage, Pagination, Plan,
    Subscription,
};
use crate::control::hosted::permission::Action;
use crate::control::hosted::store::{AccountStore, OrganizationRow};
use crate::control::hosted::{NewAuditEntry, PLAN, new_id};
use crate::control::names::OrganizationSlug;
use crate::control::types::DatabaseFilter;
use crate::control::{DatabaseOperations as _, OrganizationOperations};
use crate::error::{Code, Error, Result};
use crate::sync::lock;
use jiff::Timestamp;
use serde_json::json;
use std::sync::atomic::Ordering;

/// Entries of the audit log on a page: the default and the maximum.
const PAGE: u64 = 25;
const LARGEST_PAGE: u64 = 1000;

/// Characters of the longest name.
const LONGEST_NAME: usize = 100;

impl OrganizationOperations for CallerAccounts<'_> {
    fn list_organizations(&self) -> Result<Vec<Organization>> {
        let session = &self.caller.session;
        let mut rows = self.records().organizations_of(&session.user_id)?;
        if let Some(only) = &session.organization_id {
            rows.retain(|row| row.id == *only);
        }
        Ok(rows.into_iter().map(|row| self.organization(row)).collect())
    }

    fn create_organization(&self, name: &str) -> Result<Organization> {
        let row = self.row(name)?;
        {
            let records = self.records();
            records.write(|| {
                free(&records, &row)?;
                records.insert_organization(&row)?;
                records.set_member(&row.id, &self.caller.session.user_id, MemberRole::Owner)
            })?;
        }
        let entry = NewAuditEntry::new(
            "org-create",
            format!("created organization {}", row.slug),
            json!({ "organization": row.slug }),
        );
        self.shared.first_group(&row);
        self.shared.note(&row.id, self.caller, entry, None);
        Ok(self.organization(row))
    }

    fn get_organization(&self, slug: &OrganizationSlug) -> Result<Organization> {
        let (row, _) = self.shared.rights(self.caller, Some(slug))?;
        Ok(self.organization(row))
    }

    fn update_organization(&self, slug: &OrganizationSlug, patch: &OrganizationPatch) -> Result<Organization> {
        let entry = NewAuditEntry::new(
            "org-set-overages",
            format!("changed organization {slug}"),
            json!({ "organization": slug, "changes": patch }),
        );
        self.change(slug, Action::ManageOrganization, entry, |row, _| {
            if patch.require_mfa == Some(true) {
                return Err(Error::new(
                    Code::Unsupported,
                    "this server knows API tokens only, and no second factor",
                )
                .hint("give tokens an expiration instead: torso auth api-tokens mint NAME --expiration 30d"));
            }
            let row = OrganizationRow {
                overages: patch.overages.unwrap_or(row.overages),
                require_mfa: patch.require_mfa.unwrap_or(row.require_mfa),
                ..row.clone()
            };
            let records = self.records();
            records.write(|| records.update_organization(&row))?;
            Ok(self.organization(row))
        })
    }

    fn delete_organization(&self, slug: &OrganizationSlug) -> Result<()> {
        let entry = NewAuditEntry::new(
            "org-delete",
            format!("deleted organization {slug}"),
            json!({ "organization": slug }),
        );
        self.change(slug, Action::ManageOrganization, entry, |row, _| {
            if row.kind == OrganizationKind::Personal {
                return Err(Error::new(
                    Code::Conflict,
                    format!("{slug} is a personal organization and stays as long as its user"),
                )
                .hint("destroy its databases one by one: torso db list"));
            }
            let state = self.shared.plane_pool.state(&row.id);
            let _making = lock(&state.making);
            let plane = self.shared.plane_of(row)?;
            let all = plane.list_databases(&DatabaseFilter::default())?;
            if !all.is_empty() {
                return Err(Error::new(
                    Code::Conflict,
                    format!("organization {slug} still has databases: {}", all.len()),
                )
                .hint("destroy or move them first: torso db list"));
            }
            drop(plane);
            {
                let records = self.records();
                records.write(|| records.delete_organization(&row.id))?;
                // Tokens that were restricted to this organization are gone with it.
                self.shared.sessions.forget();
            }
            self.shared.refresh_none(row);
            self.shared.plane_pool.close(&row.id);
            // There are no databases in it any more, so files that cannot be removed do no harm.
            let _ = std::fs::remove_dir_all(self.shared.plane_pool.dir(&row.id));
            Ok(())
        })
    }

    fn audit_log(&self, of: &OrganizationSlug, page: u64, page_size: u64) -> Result<AuditPage> {
        let (organization, _) = self.allow(of, Action::SeeAudit, None)?;
        let page = page.max(1);
        let page_size = match page_size {
            0 => PAGE,
            size => size.min(LARGEST_PAGE),
        };
        let records = self.records();
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
            name: PLAN.to_owned(),
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
}

/// Refuses a new organization whose slug is taken, by another one or by a user's name.
fn free(records: &AccountStore, row: &OrganizationRow) -> Result<()> {
    if records.organization(row.slug.as_str())?.is_none() && records.user(row.slug.as_str())?.is_none() {
        return Ok(());
    }
    Err(Error::new(
        Code::OrganizationExists,
        format!("an organization {} exists already", row.slug),
    )
    .hint("choose another name"))
}

impl CallerAccounts<'_> {
    /// A dry run of making an organization.
    pub(in crate::control::hosted) fn planned(&self, name: &str) -> Result<Organization> {
        let row = self.row(name)?;
        free(&self.records(), &row)?;
        Ok(self.organization(row))
    }

    fn row(&self, name: &str) -> Result<OrganizationRow> {
        self.unlimited("create organizations")?;
        if name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
            return Err(Error::new(
                Code::InvalidValue,
                "the name of the organization is too long or has control characters",
            )
            .hint(format!("use up to {LONGEST_NAME} characters")));
        }
        Ok(OrganizationRow {
            id: new_id(),
            slug: tokens::slug(name)?,
            name: name.trim().to_owned(),
            kind: OrganizationKind::Team,
            plan: PLAN.to_owned(),
            overages: false,
            require_mfa: false,
            created_at: Timestamp::now(),
        })
    }

    pub(super) fn organization(&self, row: OrganizationRow) -> Organization {
        let over_quota = &self.shared.plane_pool.state(&row.id).over_quota;
        Organization {
            blocked_writes: over_quota.load(Ordering::SeqCst),
            id: row.id,
            name: row.name,
            slug: row.slug,
            kind: row.kind,
            overages: row.overages,
            require_mfa: row.require_mfa,
            blocked_reads: false,
            plan_id: row.plan,
            plan_timeline: String::new(),
            platform: "torso".to_owned(),
        }
    }
}
