//! What only a server has: tokens, counters, organizations. Over files, these operations fail with `unsupported`.

use super::Embedded;
use crate::control::names::{DatabaseName, GroupName, OrganizationSlug, TokenId};
use crate::control::tokens::{DatabaseToken, DatabaseUsage, Minted, NewToken, QueryUsage, Span};
use crate::control::types::Group;
use crate::control::{DatabaseTokenOperations, ListPage, TransferOperations, UsageOperations};
use crate::error::{Code, Error, Result};
use std::time::Duration;

impl DatabaseTokenOperations for Embedded {
    fn create_database_token(&self, name: &DatabaseName, _new: &NewToken) -> Result<Minted> {
        Err(without_tokens(&format!("database {name}")))
    }

    fn create_group_token(&self, name: &GroupName, _new: &NewToken) -> Result<Minted> {
        Err(without_tokens(&format!("group {name}")))
    }

    fn list_database_tokens_after(
        &self,
        name: &DatabaseName,
        _after: Option<&TokenId>,
        _limit: usize,
    ) -> Result<ListPage<DatabaseToken>> {
        Err(without_tokens(&format!("database {name}")))
    }

    fn list_group_tokens_after(
        &self,
        name: &GroupName,
        _after: Option<&TokenId>,
        _limit: usize,
    ) -> Result<ListPage<DatabaseToken>> {
        Err(without_tokens(&format!("group {name}")))
    }

    fn revoke_database_token(&self, name: &DatabaseName, _id: &str) -> Result<DatabaseToken> {
        Err(without_tokens(&format!("database {name}")))
    }

    fn revoke_group_token(&self, name: &GroupName, _id: &str) -> Result<DatabaseToken> {
        Err(without_tokens(&format!("group {name}")))
    }

    fn rotate_database_tokens(&self, name: &DatabaseName, _grace: Duration) -> Result<()> {
        Err(without_tokens(&format!("database {name}")))
    }

    fn rotate_group_tokens(&self, name: &GroupName, _grace: Duration) -> Result<()> {
        Err(without_tokens(&format!("group {name}")))
    }
}

impl UsageOperations for Embedded {
    fn database_usage(&self, name: &DatabaseName, _span: Span) -> Result<DatabaseUsage> {
        Err(without_counters(name))
    }

    fn top_queries(&self, name: &DatabaseName) -> Result<Vec<QueryUsage>> {
        Err(without_counters(name))
    }
}

impl TransferOperations for Embedded {
    fn transfer_database(&self, name: &DatabaseName, _to: &OrganizationSlug) -> Result<()> {
        Err(without_organizations(&format!("database {name}")))
    }

    fn transfer_group(&self, name: &GroupName, _to: &OrganizationSlug) -> Result<Group> {
        Err(without_organizations(&format!("group {name}")))
    }
}

fn without_tokens(what: &str) -> Error {
    Error::new(
        Code::Unsupported,
        format!("{what} is on this machine, where files are opened without a token"),
    )
    .hint("tokens belong to a server: start one with torso server, and add it with torso context add")
}

fn without_counters(name: &DatabaseName) -> Error {
    Error::new(
        Code::Unsupported,
        format!("database {name} is a file on this machine, where usage is not counted"),
    )
    .hint(format!("torso db inspect {name} shows its size; a server counts rows"))
}

fn without_organizations(what: &str) -> Error {
    Error::new(
        Code::Unsupported,
        format!("{what} is on this machine, where there are no organizations"),
    )
    .hint("torso db copy moves databases between contexts")
}
