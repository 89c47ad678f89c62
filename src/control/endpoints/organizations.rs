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

/// The endpoints of organizations, as rows of the table in [`endpoints`](crate::control::endpoints).
macro_rules! organization_endpoints {
    ($next:ident $($others:ident)*; $($rows:tt)*) => {
        $next! {
            $($others)*; $($rows)*
            ListOrganizations, Call(organizations::list): global Get "/v1/organizations";
            /// In the form of version 2.
            ListOrganizationsWrapped, Call(organizations::list_wrapped): global Get "/v2/organizations";
            CreateOrganization, Change(organizations::create, organizations::created): global Post "/v1/organizations";
            GetOrganization, Call(organizations::get): global Get "/v1/organizations/{organizationSlug}";
            UpdateOrganization, Change(organizations::update, organizations::get):
                global Patch "/v1/organizations/{organizationSlug}";
            DeleteOrganization, Change(organizations::delete, organizations::deleted):
                global Delete "/v1/organizations/{organizationSlug}";
            /// API tokens that open an organization.
            ListOrganizationTokens, Call(account::list_organization_tokens): scoped Get "/api-tokens";
            RevokeOrganizationToken, Change(account::revoke_organization_token, account::organization_token_revoked):
                scoped Delete "/api-tokens/{tokenId}";
            AuditLog, Call(organizations::audit_log): scoped Get "/audit-logs";
            OrganizationUsage, Call(organizations::usage): scoped Get "/usage";
            Subscription, Call(organizations::subscription): scoped Get "/subscription";
            ListPlans, Call(organizations::plans): scoped Get "/plans";
            ListInvoices, Call(organizations::invoices): scoped Get "/invoices";
        }
    };
}
pub(crate) use organization_endpoints;
