//! Organizations, their plans, usage and audit logs.

use super::api_error::CallSubject;
use super::{Client, about, about_organization, wire};
use crate::control::OrganizationOperations;
use crate::control::accounts::{AuditPage, Organization, OrganizationPatch, OrganizationUsage, Plan, Subscription};
use crate::control::endpoints::Operation;
use crate::control::names::OrganizationSlug;
use crate::error::{Code, Result};
use serde_json::json;

impl OrganizationOperations for Client {
    fn list_organizations(&self) -> Result<Vec<Organization>> {
        let reply = self
            .http
            .ask(&self.call(Operation::ListOrganizations, &[], about("the organizations")))?;
        let organizations = wire::list(reply, "organizations")?;
        self.all(organizations, "organization", "slug", wire::organization)
    }

    fn create_organization(&self, name: &str) -> Result<Organization> {
        let about = CallSubject::new(
            format!("organization {name:?}"),
            Code::PathNotFound,
            Code::OrganizationExists,
        );
        let call = self
            .call(Operation::CreateOrganization, &[], about)
            .body(json!({ "name": name }));
        let reply = self.http.ask(&call)?;
        let made = if reply.get("org").is_some() {
            wire::within(reply, "org")
        } else {
            wire::within(reply, "organization")
        };
        wire::organization(made)
    }

    fn get_organization(&self, slug: &OrganizationSlug) -> Result<Organization> {
        let call = self.call(Operation::GetOrganization, &[slug], about_organization(slug));
        wire::organization(wire::within(self.http.ask(&call)?, "organization"))
    }

    fn update_organization(&self, slug: &OrganizationSlug, patch: &OrganizationPatch) -> Result<Organization> {
        let call = self
            .call(Operation::UpdateOrganization, &[slug], about_organization(slug))
            .body(wire::to_json(patch));
        wire::organization(wire::within(self.http.ask(&call)?, "organization"))
    }

    fn delete_organization(&self, slug: &OrganizationSlug) -> Result<()> {
        self.http
            .ask(&self.call(Operation::DeleteOrganization, &[slug], about_organization(slug)))
            .map(drop)
    }

    fn audit_log(&self, of: &OrganizationSlug, page: u64, page_size: u64) -> Result<AuditPage> {
        let call = self
            .call_in(of, Operation::AuditLog, &[], about_organization(of))
            .query("page", page)
            .query("page_size", page_size);
        wire::read(self.http.ask(&call)?, "the audit log")
    }

    fn list_plans(&self) -> Result<Vec<Plan>> {
        let reply = self
            .http
            .ask(&self.call(Operation::ListPlans, &[], about("the plans")))?;
        wire::list(reply, "plans")?
            .into_iter()
            .map(|plan| wire::read(plan, "a plan"))
            .collect()
    }

    fn subscription(&self, of: &OrganizationSlug) -> Result<Subscription> {
        let reply = self
            .http
            .ask(&self.call_in(of, Operation::Subscription, &[], about_organization(of)))?;
        wire::read(wire::within(reply, "subscription"), "a subscription")
    }

    fn organization_usage(&self, of: &OrganizationSlug) -> Result<OrganizationUsage> {
        let reply = self
            .http
            .ask(&self.call_in(of, Operation::OrganizationUsage, &[], about_organization(of)))?;
        wire::read(wire::within(reply, "organization"), "usage")
    }
}
