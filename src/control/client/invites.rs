//! Invitations to become a member of an organization.

use super::api_error::CallSubject;
use super::call::ApiCall;
use super::{Client, about_organization, wire};
use crate::control::accounts::{Invite, MemberRole, User};
use crate::control::names::{OrganizationSlug, Username};
use crate::control::{InviteOperations, routes};
use crate::error::{Code, Error, Result};
use crate::secret::Secret;
use serde_json::{Value, json};

impl InviteOperations for Client {
    fn list_invites(&self, of: &OrganizationSlug) -> Result<Vec<Invite>> {
        let reply = self
            .http
            .ask(&ApiCall::get(routes::invites(of), about_organization(of)))?;
        wire::list(reply, "invites")?.into_iter().map(wire::invite).collect()
    }

    fn create_invite(&self, of: &OrganizationSlug, email: &str, role: MemberRole) -> Result<Invite> {
        let call =
            ApiCall::post(routes::invites(of), about_invite(email)).body(json!({ "email": email, "role": role }));
        wire::invite(wire::within(self.http.ask(&call)?, "invited"))
    }

    fn delete_invite(&self, of: &OrganizationSlug, email: &str) -> Result<()> {
        if !email.contains('@') {
            return Err(
                Error::new(Code::InvalidValue, format!("{email:?} is not a mail address"))
                    .hint("torso org invites list shows the invitations"),
            );
        }
        let path = format!("{}/{}", routes::invites(of), segment(email));
        self.http.ask(&ApiCall::delete(path, about_invite(email))).map(drop)
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

/// An address as a part of a path: everything but letters, digits and a few marks is escaped.
fn segment(email: &str) -> String {
    let mut escaped = String::new();
    for byte in email.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'@' | b'-' | b'_') {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

impl Client {
    /// Becomes a user of the server by an invitation: the user, and the first API token. Asked without a token, and not
    /// part of [`Accounts`], which are somebody's already.
    pub fn accept_invite(&self, invitation: &Secret, username: &Username) -> Result<(User, Secret)> {
        let about = CallSubject::new(format!("user {username}"), Code::InviteNotFound, Code::UserExists);
        let call = ApiCall::post(routes::ACCEPT_INVITE, about.only_here("take invitations by themselves"))
            .body(json!({ "invitation": invitation.expose(), "username": username }));
        let mut reply = self.http.ask(&call)?;
        let token = match reply["token"].take() {
            Value::String(token) => Secret::new(token),
            _ => return Err(self.http.unknown_answer(&call.about)),
        };
        Ok((wire::user(wire::within(reply, "user"))?, token))
    }
}
