//! Members of organizations.

use crate::control::accounts::{EndedAccess, Member, MemberRole};
use crate::control::names::{OrganizationSlug, Username};
use crate::error::Result;

/// The members of an organization.
pub trait MemberOperations {
    fn list_members(&self, of: &OrganizationSlug) -> Result<Vec<Member>>;
    fn get_member(&self, of: &OrganizationSlug, user: &Username) -> Result<Member>;
    /// A user of this server becomes a member at once.
    fn add_member(&self, of: &OrganizationSlug, user: &Username, role: MemberRole) -> Result<Member>;
    fn update_member(&self, of: &OrganizationSlug, user: &Username, role: MemberRole) -> Result<Member>;
    /// Ends the tokens that the user made in the organization as well, unless they are to be kept. Refused for the last
    /// owner.
    fn remove_member(&self, of: &OrganizationSlug, user: &Username, keep_tokens: bool) -> Result<EndedAccess>;
}

/// The endpoints of members, as rows of the table in [`endpoints`](crate::control::endpoints).
macro_rules! member_endpoints {
    ($next:ident $($others:ident)*; $($rows:tt)*) => {
        $next! {
            $($others)*; $($rows)*
            ListMembers, Call(organizations::list_members): scoped Get "/members";
            AddMember, Change(organizations::add_member, organizations::member_added):
                scoped Post "/members", scoped Post "/members/{username}";
            GetMember, Call(organizations::get_member): scoped Get "/members/{username}";
            UpdateMember, Change(organizations::update_member, organizations::get_member):
                scoped Patch "/members/{username}";
            RemoveMember, Change(organizations::remove_member, organizations::member_removed):
                scoped Delete "/members/{username}";
        }
    };
}
pub(crate) use member_endpoints;
