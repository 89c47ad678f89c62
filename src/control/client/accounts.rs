//! [`Accounts`] over HTTP.

use super::api_error::CallSubject;
use super::call::Call;
use super::{Client, about, wire};
use crate::control::accounts::{
    Accounts, ApiToken, AuditPage, EndedAccess, Invite, Member, MemberRole, MintedApiToken, NewApiToken, Organization,
    OrganizationPatch, OrganizationUsage, Plan, QuotaSetting, ServerUser, Subscription, User,
};
use crate::control::names::{OrganizationSlug, TokenName, Username};
use crate::control::routes::{self, Method};
use crate::error::{Code, Error, Result};
use crate::secret::Secret;
use jiff::Timestamp;
use serde_json::{Value, json};

fn about_organization(slug: &OrganizationSlug) -> CallSubject<'static> {
    CallSubject::new(
        format!("organization {slug}"),
        Code::OrganizationNotFound,
        Code::OrganizationExists,
    )
    .hint("torso org list shows your organizations")
}

fn about_member(user: &Username) -> CallSubject<'static> {
    CallSubject::new(format!("member {user}"), Code::UserNotFound, Code::MemberExists)
        .hint("torso org members list shows the members")
}

fn about_user(user: &Username) -> CallSubject<'static> {
    CallSubject::new(format!("user {user}"), Code::UserNotFound, Code::UserExists)
        .hint("torso server users list shows the users")
        .only_here("manage its users")
}

fn about_invite(email: &str) -> CallSubject<'static> {
    CallSubject::new(
        format!("invitation of {email}"),
        Code::InviteNotFound,
        Code::InviteExists,
    )
    .hint("torso org invites list shows the invitations")
}

fn about_token(name: &TokenName) -> CallSubject<'static> {
    CallSubject::new(format!("API token {name}"), Code::TokenNotFound, Code::TokenExists)
        .hint("torso auth api-tokens list shows your tokens")
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

/// From here on, in the year 9000, a time stands for never: the official client wants one.
const NEVER: i64 = 221_845_392_000;

/// Seconds since 1970.
fn moment(value: &Value) -> Option<Timestamp> {
    value
        .as_i64()
        .filter(|seconds| (1..NEVER).contains(seconds))
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
}

impl Client {
    /// Becomes a user of the server by an invitation: the user, and the first API token. Asked without a token, and not
    /// part of [`Accounts`], which are somebody's already.
    pub fn accept_invite(&self, invitation: &Secret, username: &Username) -> Result<(User, Secret)> {
        let about = CallSubject::new(format!("user {username}"), Code::InviteNotFound, Code::UserExists);
        let call = Call::post(routes::ACCEPT_INVITE, about.only_here("take invitations by themselves"))
            .body(json!({ "invitation": invitation.expose(), "username": username }));
        let mut reply = self.http.ask(&call)?;
        let token = match reply["token"].take() {
            Value::String(token) => Secret::new(token),
            _ => return Err(self.http.unknown_answer(&call.about)),
        };
        Ok((wire::user(wire::within(reply, "user"))?, token))
    }
}

impl Accounts for Client {
    fn validate(&self) -> Result<Option<Timestamp>> {
        let reply = self.http.ask(&Call::get(routes::VALIDATE, about("the token")))?;
        if !reply.is_object() {
            return Err(self.http.unknown_answer(&about("the token")));
        }
        Ok(moment(&reply["exp"]))
    }

    fn current_user(&self) -> Result<User> {
        let reply = self.http.ask(&Call::get(routes::USER, about("the user")))?;
        wire::user(wire::within(reply, "user"))
    }

    fn list_api_tokens(&self) -> Result<Vec<ApiToken>> {
        let reply = self.http.ask(&Call::get(routes::API_TOKENS, about("the API tokens")))?;
        let tokens = wire::list(reply, "tokens")?;
        self.all(tokens, "API token", "name", wire::api_token)
    }

    fn create_api_token(&self, name: &TokenName, new: &NewApiToken) -> Result<MintedApiToken> {
        let call = Call::post(routes::api_token(name), about_token(name)).body(wire::to_json(new));
        let mut reply = self.http.ask(&call)?;
        // The second version of the API has it one level deeper.
        if reply["token"].is_object() {
            reply = wire::within(reply, "token");
        }
        let value = ["token", "value"]
            .into_iter()
            .find_map(|key| reply[key].as_str().map(str::to_owned))
            .ok_or_else(|| self.http.unknown_answer(&about_token(name)))?;
        if let Some(members) = reply.as_object_mut() {
            members.remove("token");
            members.remove("value");
            members.insert("name".to_owned(), json!(name));
            for (key, asked) in [
                ("organization", wire::to_json(&new.organization)),
                ("group", wire::to_json(&new.group)),
                ("scopes", wire::to_json(&new.scopes)),
            ] {
                members.entry(key).or_insert(asked);
            }
        }
        Ok(MintedApiToken {
            token: wire::api_token(reply)?,
            value: Secret::new(value),
        })
    }

    fn revoke_api_token(&self, name: &TokenName) -> Result<()> {
        self.http
            .ask(&Call::delete(routes::api_token(name), about_token(name)))
            .map(drop)
    }

    fn invalidate_sessions(&self) -> Result<Timestamp> {
        let reply = self.http.ask(&Call::post(routes::INVALIDATE, about("the sessions")))?;
        Ok(moment(&reply["validFrom"])
            .or_else(|| reply["validFrom"].as_str().and_then(|text| text.parse().ok()))
            .unwrap_or_else(Timestamp::now))
    }

    fn list_organizations(&self) -> Result<Vec<Organization>> {
        let reply = self
            .http
            .ask(&Call::get(routes::ORGANIZATIONS, about("the organizations")))?;
        let organizations = wire::list(reply, "organizations")?;
        self.all(organizations, "organization", "slug", wire::organization)
    }

    fn create_organization(&self, name: &str) -> Result<Organization> {
        let about = CallSubject::new(
            format!("organization {name:?}"),
            Code::PathNotFound,
            Code::OrganizationExists,
        );
        let call = Call::post(routes::ORGANIZATIONS, about).body(json!({ "name": name }));
        let reply = self.http.ask(&call)?;
        let made = if reply.get("org").is_some() {
            wire::within(reply, "org")
        } else {
            wire::within(reply, "organization")
        };
        wire::organization(made)
    }

    fn get_organization(&self, slug: &OrganizationSlug) -> Result<Organization> {
        let call = Call::get(routes::organization(slug), about_organization(slug));
        wire::organization(wire::within(self.http.ask(&call)?, "organization"))
    }

    fn update_organization(&self, slug: &OrganizationSlug, patch: &OrganizationPatch) -> Result<Organization> {
        let call =
            Call::new(Method::Patch, routes::organization(slug), about_organization(slug)).body(wire::to_json(patch));
        wire::organization(wire::within(self.http.ask(&call)?, "organization"))
    }

    fn delete_organization(&self, slug: &OrganizationSlug) -> Result<()> {
        self.http
            .ask(&Call::delete(routes::organization(slug), about_organization(slug)))
            .map(drop)
    }

    fn list_members(&self, of: &OrganizationSlug) -> Result<Vec<Member>> {
        let reply = self.http.ask(&Call::get(routes::members(of), about_organization(of)))?;
        wire::list(reply, "members")?.into_iter().map(wire::member).collect()
    }

    fn get_member(&self, of: &OrganizationSlug, user: &Username) -> Result<Member> {
        let reply = self
            .http
            .ask(&Call::get(routes::member(of, user), about_member(user)))?;
        wire::member(wire::within(reply, "member"))
    }

    fn add_member(&self, of: &OrganizationSlug, user: &Username, role: MemberRole) -> Result<Member> {
        let call = Call::post(routes::members(of), about_member(user)).body(json!({ "username": user, "role": role }));
        self.http.ask(&call)?;
        Ok(Member {
            username: user.clone(),
            role,
            email: String::new(),
        })
    }

    fn update_member(&self, of: &OrganizationSlug, user: &Username, role: MemberRole) -> Result<Member> {
        let call = Call::new(Method::Patch, routes::member(of, user), about_member(user)).body(json!({ "role": role }));
        let member = wire::within(self.http.ask(&call)?, "member");
        if member.is_object() {
            wire::member(member)
        } else {
            self.get_member(of, user)
        }
    }

    fn remove_member(&self, of: &OrganizationSlug, user: &Username, keep_tokens: bool) -> Result<EndedAccess> {
        let mut call = Call::delete(routes::member(of, user), about_member(user));
        if keep_tokens {
            call = call.query("keep_tokens", true);
        }
        // Other servers say nothing of tokens.
        wire::read(self.http.ask(&call)?, "the tokens of the member")
    }

    fn list_invites(&self, of: &OrganizationSlug) -> Result<Vec<Invite>> {
        let reply = self.http.ask(&Call::get(routes::invites(of), about_organization(of)))?;
        wire::list(reply, "invites")?.into_iter().map(wire::invite).collect()
    }

    fn create_invite(&self, of: &OrganizationSlug, email: &str, role: MemberRole) -> Result<Invite> {
        let call = Call::post(routes::invites(of), about_invite(email)).body(json!({ "email": email, "role": role }));
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
        self.http.ask(&Call::delete(path, about_invite(email))).map(drop)
    }

    fn audit_log(&self, of: &OrganizationSlug, page: u64, page_size: u64) -> Result<AuditPage> {
        let call = Call::get(routes::audit_logs(of), about_organization(of))
            .query("page", page)
            .query("page_size", page_size);
        wire::read(self.http.ask(&call)?, "the audit log")
    }

    fn list_plans(&self) -> Result<Vec<Plan>> {
        let reply = self
            .http
            .ask(&Call::get(self.scoped(routes::PLANS), about("the plans")))?;
        wire::list(reply, "plans")?
            .into_iter()
            .map(|plan| wire::read(plan, "a plan"))
            .collect()
    }

    fn subscription(&self, of: &OrganizationSlug) -> Result<Subscription> {
        let reply = self
            .http
            .ask(&Call::get(routes::subscription(of), about_organization(of)))?;
        wire::read(wire::within(reply, "subscription"), "a subscription")
    }

    fn organization_usage(&self, of: &OrganizationSlug) -> Result<OrganizationUsage> {
        let reply = self
            .http
            .ask(&Call::get(routes::organization_usage(of), about_organization(of)))?;
        wire::read(wire::within(reply, "organization"), "usage")
    }

    fn list_users(&self) -> Result<Vec<ServerUser>> {
        let about = about("the users of the server").only_here("list its users");
        let reply = self.http.ask(&Call::get(routes::USERS, about))?;
        let users = wire::list(reply, "users")?.into_iter();
        users.map(|user| wire::read(user, "a user")).collect()
    }

    fn disable_user(&self, user: &Username) -> Result<EndedAccess> {
        let call = Call::post(routes::user_disable(user), about_user(user));
        wire::read(self.http.ask(&call)?, "the tokens of the user")
    }

    fn remove_user(&self, user: &Username) -> Result<EndedAccess> {
        let call = Call::delete(routes::user(user), about_user(user));
        wire::read(self.http.ask(&call)?, "the tokens of the user")
    }

    fn list_quotas(&self) -> Result<Vec<QuotaSetting>> {
        let about = about("the quotas of the server").only_here("list quotas");
        let reply = self.http.ask(&Call::get(routes::QUOTAS, about))?;
        let quotas = wire::list(reply, "quotas")?.into_iter();
        quotas.map(|quota| wire::read(quota, "a quota")).collect()
    }

    fn set_quota(&self, quota: &QuotaSetting) -> Result<()> {
        let about = match &quota.organization {
            Some(slug) => about_organization(slug),
            None => about("the quotas of the server"),
        };
        let call = Call::new(Method::Put, routes::QUOTAS, about.only_here("set quotas")).body(wire::to_json(quota));
        self.http.ask(&call).map(drop)
    }
}
