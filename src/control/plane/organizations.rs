//! Organizations, their plans, usage and audit logs.

use crate::control::accounts::{AuditPage, Organization, OrganizationPatch, OrganizationUsage, Plan, Subscription};
use crate::control::names::OrganizationSlug;
use crate::error::Result;

/// The organizations of a user.
pub trait OrganizationOperations {
    /// The personal organization first.
    fn list_organizations(&self) -> Result<Vec<Organization>>;
    fn create_organization(&self, name: &str) -> Result<Organization>;
    fn get_organization(&self, slug: &OrganizationSlug) -> Result<Organization>;
    fn update_organization(&self, slug: &OrganizationSlug, patch: &OrganizationPatch) -> Result<Organization>;
    /// Refused while it has databases, and for a personal organization.
    fn delete_organization(&self, slug: &OrganizationSlug) -> Result<()>;
    /// Pages count from 1.
    fn audit_log(&self, of: &OrganizationSlug, page: u64, page_size: u64) -> Result<AuditPage>;
    fn list_plans(&self) -> Result<Vec<Plan>>;
    fn subscription(&self, of: &OrganizationSlug) -> Result<Subscription>;
    fn organization_usage(&self, of: &OrganizationSlug) -> Result<OrganizationUsage>;
}
