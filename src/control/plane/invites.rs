//! Invitations to become a member of an organization.

use crate::control::accounts::{Invite, MemberRole};
use crate::control::names::OrganizationSlug;
use crate::error::Result;

/// The invitations of an organization.
pub trait InviteOperations {
    fn list_invites(&self, of: &OrganizationSlug) -> Result<Vec<Invite>>;
    fn create_invite(&self, of: &OrganizationSlug, email: &str, role: MemberRole) -> Result<Invite>;
    fn delete_invite(&self, of: &OrganizationSlug, email: &str) -> Result<()>;
}
