//! Database tokens on a server: those that users make, and those that commands make for themselves.

use super::api_error::CallSubject;
use super::call::ApiCall;
use super::{Client, about_database, about_group, wire};
use crate::control::endpoints::Operation;
use crate::control::names::{DatabaseName, GroupName, TokenId};
use crate::control::tokens::{Authorization, DatabaseToken, Expiration, Minted, NewToken, OWN_LABEL, OWN_LIFE};
use crate::control::{DatabaseTokenOperations, ListPage};
use crate::error::Result;
use crate::secret::{Renewal, Secret};
use std::fmt::Display;
use std::time::Duration;

/// What only torso's own server can do.
const LIST_TOKENS: &str = "list tokens of databases";

impl DatabaseTokenOperations for Client {
    fn create_database_token(&self, name: &DatabaseName, new: &NewToken) -> Result<Minted> {
        self.mint(Operation::CreateDatabaseToken, name, new, about_database(name))
    }

    fn create_group_token(&self, name: &GroupName, new: &NewToken) -> Result<Minted> {
        self.mint(Operation::CreateGroupToken, name, new, about_group(name))
    }

    fn list_database_tokens_after(
        &self,
        name: &DatabaseName,
        after: Option<&TokenId>,
        limit: usize,
    ) -> Result<ListPage<DatabaseToken>> {
        let call = self.call(
            Operation::ListDatabaseTokens,
            &[name],
            about_database(name).only_here(LIST_TOKENS),
        );
        self.token_page(call, after, limit)
    }

    fn list_group_tokens_after(
        &self,
        name: &GroupName,
        after: Option<&TokenId>,
        limit: usize,
    ) -> Result<ListPage<DatabaseToken>> {
        let call = self.call(
            Operation::ListGroupTokens,
            &[name],
            about_group(name).only_here(LIST_TOKENS),
        );
        self.token_page(call, after, limit)
    }

    fn revoke_database_token(&self, name: &DatabaseName, id: &str) -> Result<DatabaseToken> {
        self.revoke(Operation::RevokeDatabaseToken, name, id, about_database(name))
    }

    fn revoke_group_token(&self, name: &GroupName, id: &str) -> Result<DatabaseToken> {
        self.revoke(Operation::RevokeGroupToken, name, id, about_group(name))
    }

    fn rotate_database_tokens(&self, name: &DatabaseName, grace: Duration) -> Result<()> {
        self.forget_tokens();
        self.rotate(Operation::RotateDatabaseTokens, name, grace, about_database(name))
    }

    fn rotate_group_tokens(&self, name: &GroupName, grace: Duration) -> Result<()> {
        self.forget_tokens();
        self.rotate(Operation::RotateGroupTokens, name, grace, about_group(name))
    }
}

impl Client {
    /// A token for the command itself, made once and kept in memory while the command runs.
    pub(super) fn own_token(&self, name: &DatabaseName, authorization: Authorization) -> Result<Secret> {
        let key = (name.clone(), authorization);
        if let Some(token) = self.minted.borrow().get(&key) {
            return Ok(token.clone());
        }
        let new = NewToken {
            name: Some(OWN_LABEL.to_owned()),
            expiration: Expiration::After(OWN_LIFE),
            authorization,
            ..NewToken::default()
        };
        let token = self.create_database_token(name, &new)?.jwt;
        self.minted.borrow_mut().insert(key, token.clone());
        Ok(token)
    }

    /// Replaces such a token when half of its life is over.
    pub(super) fn renewal(&self, name: &DatabaseName, authorization: Authorization) -> Renewal {
        let (again, name) = (self.again(), name.clone());
        Renewal::new(OWN_LIFE / 2, move || again().own_token(&name, authorization))
    }

    /// Forgets the command's own tokens: call it after what changes which database a name stands for, or which tokens open
    /// it.
    pub(super) fn forget_tokens(&self) {
        self.minted.borrow_mut().clear();
    }

    /// Makes a token. Here and below, `of` is the database or group that tokens open.
    fn mint(&self, operation: Operation, of: &dyn Display, new: &NewToken, about: CallSubject<'_>) -> Result<Minted> {
        let mut call = self
            .call(operation, &[of], about)
            .query("expiration", wire::expiration(new.expiration))
            .query(
                "authorization",
                match new.authorization {
                    Authorization::FullAccess => "full-access",
                    Authorization::ReadOnly => "read-only",
                },
            )
            .body(wire::to_json(&new.permissions));
        if let Some(name) = &new.name {
            call = call.query("name", name);
        }
        wire::read(self.http.ask(&call)?, "a token")
    }

    fn token_page(&self, call: ApiCall<'_>, after: Option<&TokenId>, limit: usize) -> Result<ListPage<DatabaseToken>> {
        let (tokens, has_more) = self.ask_for_page(call, after, limit, "tokens")?;
        let tokens = tokens.into_iter().map(|token| wire::read(token, "a token"));
        let mut tokens: Vec<DatabaseToken> = tokens.collect::<Result<_>>()?;
        // A server of before there were pages sends all of them.
        if let Some(after) = after.map(ToString::to_string)
            && let Some(at) = tokens.iter().position(|token| token.id == after)
        {
            tokens.drain(..=at);
        }
        Ok(ListPage::of_first(tokens, limit).with_more(has_more))
    }

    fn revoke(
        &self,
        operation: Operation,
        of: &dyn Display,
        id: &str,
        about: CallSubject<'_>,
    ) -> Result<DatabaseToken> {
        let id: TokenId = id.parse()?;
        let call = self.call(operation, &[of, &id], about.only_here("end single tokens of databases"));
        wire::read(wire::within(self.http.ask(&call)?, "token"), "a token")
    }

    fn rotate(&self, operation: Operation, of: &dyn Display, grace: Duration, about: CallSubject<'_>) -> Result<()> {
        let mut call = self.call(operation, &[of], about);
        if !grace.is_zero() {
            call = call.query("grace", format!("{}s", grace.as_secs()));
        }
        self.http.ask(&call).map(drop)
    }
}
