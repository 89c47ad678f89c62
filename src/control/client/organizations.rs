//! Organizations, their plans, usage and audit logs.

use super::api_error::CallSubject;
use super::call::ApiCall;
use super::{Client, about, about_organization, wire};
use crate::control::OrganizationOperations;
use crate::control::accounts::{AuditPage, Organization, OrganizationPatch, OrganizationUsage, Plan, Subscription};
use crate::control::names::OrganizationSlug;
use crate::control::routes::{self, Method};
use crate::error::{Code, Result};
use serde_json::json;

impl OrganizationOperations for Client {
    fn list_organizations(&self) -> Result<Vec<Organization>> {
        let reply = self
            .http
            .ask(&ApiCall::get(routes::ORGANIZATIONS, about("the organizations")))?;
        let organizations = wire::list(reply, "organizations")?;
        self.all(organizations, "organization", "slug", wire::organization)
    }

    fn create_organization(&self, name: &str) -> Result<Organization> {
        let about = CallSubject::new(
            format!("organization {name:?}"),
            Code::PathNotFound,
            Code::OrganizationExists,
        );
        let call = ApiCall::post(routes::ORGANIZATIONS, about).body(json!({ "name": name }));
        let reply = self.http.ask(&call)?;
        let made = if reply.get("org").is_some() {
            wire::within(reply, "org")
        } else {
            wire::within(reply, "organization")
        };
        wire::organization(made)
    }

    fn get_organization(&self, slug: &OrganizationSlug) -> Result<Organization> {
        let call = ApiCall::get(routes::organization(slug), about_organization(slug));
        wire::organization(wire::within(self.http.ask(&call)?, "organization"))
    }

    fn update_organization(&self, slug: &OrganizationSlug, patch: &OrganizationPatch) -> Result<Organization> {
        let call = ApiCall::new(Method::Patch, routes::organization(slug), about_organization(slug))
            .body(wire::to_json(patch));
        wire::organization(wire::within(self.http.ask(&call)?, "organization"))
    }

    fn delete_organization(&self, slug: &OrganizationSlug) -> Result<()> {
        self.http
            .ask(&ApiCall::delete(routes::organization(slug), about_organization(slug)))
            .map(drop)
    }

    fn audit_log(&self, of: &OrganizationSlug, page: u64, page_size: u64) -> Result<AuditPage> {
        let call = ApiCall::get(routes::audit_logs(of), about_organization(of))
            .query("page", page)
            .query("page_size", page_size);
        wire::read(self.http.ask(&call)?, "the audit log")
    }

    fn list_plans(&self) -> Result<Vec<Plan>> {
        let reply = self
            .http
            .ask(&ApiCall::get(self.scoped(routes::PLANS), about("the plans")))?;
        wire::list(reply, "plans")?
            .into_iter()
            .map(|plan| wire::read(plan, "a plan"))
            .collect()
    }

    fn subscription(&self, of: &OrganizationSlug) -> Result<Subscription> {
        let reply = self
            .http
            .ask(&ApiCall::get(routes::subscription(of), about_organization(of)))?;
        wire::read(wire::within(reply, "subscription"), "a subscription")
    }

    fn organization_usage(&self, of: &OrganizationSlug) -> Result<OrganizationUsage> {
        let reply = self
            .http
            .ask(&ApiCall::get(routes::organization_usage(of), about_organization(of)))?;
        wire::read(wire::within(reply, "organization"), "usage")
    }
}
