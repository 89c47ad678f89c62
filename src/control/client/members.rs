//! Members of organizations.

use super::api_error::CallSubject;
use super::{Client, about_organization, wire};
use crate::control::MemberOperations;
use crate::control::accounts::{EndedAccess, Member, MemberRole};
use crate::control::endpoints::Operation;
use crate::control::names::{OrganizationSlug, Username};
use crate::error::{Code, Result};
use serde_json::json;

impl MemberOperations for Client {
    fn list_members(&self, of: &OrganizationSlug) -> Result<Vec<Member>> {
        let reply = self
            .http
            .ask(&self.call_in(of, Operation::ListMembers, &[], about_organization(of)))?;
        wire::list(reply, "members")?.into_iter().map(wire::member).collect()
    }

    fn get_member(&self, of: &OrganizationSlug, user: &Username) -> Result<Member> {
        let reply = self
            .http
            .ask(&self.call_in(of, Operation::GetMember, &[user], about_member(user)))?;
        wire::member(wire::within(reply, "member"))
    }

    fn add_member(&self, of: &OrganizationSlug, user: &Username, role: MemberRole) -> Result<Member> {
        let call = self
            .call_in(of, Operation::AddMember, &[], about_member(user))
            .body(json!({ "username": user, "role": role }));
        self.http.ask(&call)?;
        Ok(Member {
            username: user.clone(),
            role,
            email: String::new(),
        })
    }

    fn update_member(&self, of: &OrganizationSlug, user: &Username, role: MemberRole) -> Result<Member> {
        let call = self
            .call_in(of, Operation::UpdateMember, &[user], about_member(user))
            .body(json!({ "role": role }));
        let member = wire::within(self.http.ask(&call)?, "member");
        if member.is_object() {
            wire::member(member)
        } else {
            self.get_member(of, user)
        }
    }

    fn remove_member(&self, of: &OrganizationSlug, user: &Username, keep_tokens: bool) -> Result<EndedAccess> {
        let mut call = self.call_in(of, Operation::RemoveMember, &[user], about_member(user));
        if keep_tokens {
            call = call.query("keep_tokens", true);
        }
        // Other servers say nothing of tokens.
        wire::read(self.http.ask(&call)?, "the tokens of the member")
    }
}

fn about_member(user: &Username) -> CallSubject<'static> {
    CallSubject::new(format!("member {user}"), Code::UserNotFound, Code::MemberExists)
        .hint("torso org members list shows the members")
}
