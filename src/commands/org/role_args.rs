//! The role of a member, as it is typed.

use crate::control::accounts::MemberRole;

/// What a member may do.
#[derive(clap::Args)]
pub(in crate::commands) struct RoleArgs {
    /// Role: owner, admin, member or viewer
    #[arg(long, value_name = "ROLE", default_value_t = MemberRole::Member)]
    pub role: MemberRole,
    /// Short for --role admin
    #[arg(long, short, conflicts_with = "role")]
    pub admin: bool,
}

impl RoleArgs {
    pub fn role(&self) -> MemberRole {
        if self.admin { MemberRole::Admin } else { self.role }
    }
}
