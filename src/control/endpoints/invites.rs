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

/// The endpoints of invitations, as rows of the table in [`endpoints`](crate::control::endpoints).
macro_rules! invite_endpoints {
    ($next:ident $($others:ident)*; $($rows:tt)*) => {
        $next! {
            $($others)*; $($rows)*
            ListInvites, Call(organizations::list_invites):
                global Get "/v2/organizations/{organizationSlug}/invites",
                scoped Get "/invites";
            CreateInvite, Change(organizations::create_invite, organizations::invited_again):
                global Post "/v2/organizations/{organizationSlug}/invites",
                scoped Post "/invite",
                scoped Post "/invites";
            DeleteInvite, Change(organizations::delete_invite, organizations::invite_deleted):
                global Delete "/v2/organizations/{organizationSlug}/invites/{email}",
                scoped Delete "/invites/{email}";
        }
    };
}
pub(crate) use invite_endpoints;
