//! Invitations to become a member of an organization.

use super::api_error::CallSubject;
use super::{Client, about_organization, wire};
use crate::control::InviteOperations;
use crate::control::accounts::{Invite, MemberRole, User};
use crate::control::endpoints::Operation;
use crate::control::names::{OrganizationSlug, Username};
use crate::error::{Code, Error, Result};
use crate::secret::Secret;
use serde_json::{Value, json};

impl InviteOperations for Client {
    fn list_invites(&self, of: &OrganizationSlug) -> Result<Vec<Invite>> {
        let reply = self
            .http
            .ask(&self.call(Operation::ListInvites, &[of], about_organization(of)))?;
        wire::list(reply, "invites")?.into_iter().map(wire::invite).collect()
    }

    fn create_invite(&self, of: &OrganizationSlug, email: &str, role: MemberRole) -> Result<Invite> {
        let call = self
            .call(Operation::CreateInvite, &[of], about_invite(email))
            .body(json!({ "email": email, "role": role }));
        wire::invite(wire::within(self.http.ask(&call)?, "invited"))
    }

    fn delete_invite(&self, of: &OrganizationSlug, email: &str) -> Result<()> {
        if !email.contains('@') {
            return Err(
                Error::new(Code::InvalidValue, format!("{email:?} is not a mail address"))
                    .hint("torso org invites list shows the invitations"),
            );
        }
        let call = self.call(Operation::DeleteInvite, &[of, &email], about_invite(email));
        self.http.ask(&call).map(drop)
    }
}

fn about_invite(email: &str) -> CallSubject<'static> {
    CallSubject::new(
        format!("invitation of {email}"),
        Code::InviteNotFound,
        Code::InviteExists,
    )
    .hint("torso org invites list shows the invitations")
}

impl Client {
    /// Becomes a user of the server by an invitation: the user, and the first API token. Asked without a token, and not
    /// part of [`Accounts`], which are somebody's already.
    pub fn accept_invite(&self, invitation: &Secret, username: &Username) -> Result<(User, Secret)> {
        let about = CallSubject::new(format!("user {username}"), Code::InviteNotFound, Code::UserExists);
        let about = about.only_here("take invitations by themselves");
        let call = self
            .call(Operation::AcceptInvite, &[], about)
            .body(json!({ "invitation": invitation.expose(), "username": username }));
        let mut reply = self.http.ask(&call)?;
        let token = match reply["token"].take() {
            Value::String(token) => Secret::new(token),
            _ => return Err(self.http.unknown_answer(&call.about)),
        };
        Ok((wire::user(wire::within(reply, "user"))?, token))
    }
}
