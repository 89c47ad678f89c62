//! The user that acts, and its API tokens.

use super::api_error::CallSubject;
use super::{Client, about, wire};
use crate::control::accounts::{ApiToken, MintedApiToken, NewApiToken, User};
use crate::control::endpoints::Operation;
use crate::control::names::TokenName;
use crate::control::{ApiTokenOperations, ListPage};
use crate::error::{Code, Result};
use crate::secret::Secret;
use jiff::Timestamp;
use serde_json::{Value, json};

impl ApiTokenOperations for Client {
    fn validate(&self) -> Result<Option<Timestamp>> {
        let reply = self
            .http
            .ask(&self.call(Operation::ValidateToken, &[], about("the token")))?;
        if !reply.is_object() {
            return Err(self.http.unknown_answer(&about("the token")));
        }
        Ok(moment(&reply["exp"]))
    }

    fn current_user(&self) -> Result<User> {
        let reply = self
            .http
            .ask(&self.call(Operation::CurrentUser, &[], about("the user")))?;
        wire::user(wire::within(reply, "user"))
    }

    fn list_api_tokens_after(&self, after: Option<&TokenName>, limit: usize) -> Result<ListPage<ApiToken>> {
        let call = self.call(Operation::ListApiTokens, &[], about("the API tokens"));
        let (tokens, has_more) = self.ask_for_page(call, after, limit, "tokens")?;
        let mut tokens = self.all(tokens, "API token", "name", wire::api_token)?;
        // Other servers know no pages, and have orders of their own.
        tokens.sort_by(|a, b| a.name.as_str().cmp(b.name.as_str()));
        tokens.retain(|token| after.is_none_or(|after| token.name.as_str() > after.as_str()));
        Ok(ListPage::of_first(tokens, limit).with_more(has_more))
    }

    fn create_api_token(&self, name: &TokenName, new: &NewApiToken) -> Result<MintedApiToken> {
        let call = self
            .call(Operation::CreateApiToken, &[name], about_token(name))
            .body(wire::to_json(new));
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
            for (key, requested) in [
                ("organization", wire::to_json(&new.organization)),
                ("group", wire::to_json(&new.group)),
                ("scopes", wire::to_json(&new.scopes)),
            ] {
                members.entry(key).or_insert(requested);
            }
        }
        Ok(MintedApiToken {
            token: wire::api_token(reply)?,
            value: Secret::new(value),
        })
    }

    fn revoke_api_token(&self, name: &TokenName) -> Result<()> {
        self.http
            .ask(
                &self
                    .call(Operation::RevokeApiToken, &[name], about_token(name))
                    .ending_token(),
            )
            .map(drop)
    }

    fn invalidate_sessions(&self) -> Result<Timestamp> {
        let reply = self.http.ask(
            &self
                .call(Operation::InvalidateSessions, &[], about("the sessions"))
                .repeatable()
                .ending_token(),
        )?;
        Ok(moment(&reply["validFrom"])
            .or_else(|| reply["validFrom"].as_str().and_then(|text| text.parse().ok()))
            .unwrap_or_else(Timestamp::now))
    }
}

fn about_token(name: &TokenName) -> CallSubject<'static> {
    CallSubject::new(format!("API token {name}"), Code::TokenNotFound, Code::TokenExists)
        .hint("torso auth api-tokens list shows your tokens")
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
