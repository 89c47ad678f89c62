//! How the clients of work on many databases reach them: with what the list of databases said already, and with one token for each
//! group, where the caller may make such. Else each database would take three more requests than its SQL.

use super::Client;
use crate::control::DatabaseTokenOperations as _;
use crate::control::names::{DatabaseName, GroupName};
use crate::control::tokens::{Authorization, Expiration, NewToken, OWN_LABEL, OWN_LIFE};
use crate::control::types::Database;
use crate::error::{Code, Result};
use crate::secret::Secret;
use crate::sync::lock;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// From so many databases on, a token of their group is worth its request, and that it opens others of the group.
const WORTH_IT: usize = 4;

/// What the clients of a fleet share.
pub(super) struct FleetConnections {
    databases: HashMap<DatabaseName, Database>,
    /// Tokens of groups; none of one whose token the caller may not make.
    tokens: Mutex<HashMap<(GroupName, Authorization), Option<Secret>>>,
}

impl Client {
    /// Returns a function that makes the same client on another thread, for work on databases that were listed just now.
    pub fn again_for(&self, databases: Vec<Database>) -> impl Fn() -> Self + Send + Sync + 'static {
        let again = self.again();
        let shared = Arc::new(FleetConnections {
            databases: databases
                .into_iter()
                .map(|database| (database.name.clone(), database))
                .collect(),
            tokens: Mutex::default(),
        });
        move || Self {
            fleet: Some(Arc::clone(&shared)),
            ..again()
        }
    }

    /// A database of the fleet, as it was listed.
    pub(super) fn listed(&self, name: &DatabaseName) -> Option<&Database> {
        self.fleet.as_ref()?.databases.get(name)
    }

    /// A token that opens a database: its group's where the database is one of many, else its own.
    pub(super) fn token_for(&self, database: &Database, authorization: Authorization) -> Result<Secret> {
        if let Some(fleet) = &self.fleet
            && fleet.databases.len() >= WORTH_IT
            && fleet.databases.contains_key(&database.name)
            && let Some(token) = self.group_token(fleet, &database.group, authorization)?
        {
            return Ok(token);
        }
        self.own_token(&database.name, authorization)
    }

    fn group_token(
        &self,
        fleet: &FleetConnections,
        group: &GroupName,
        authorization: Authorization,
    ) -> Result<Option<Secret>> {
        // Others wait, and do not make one each.
        let mut tokens = lock(&fleet.tokens);
        let key = (group.clone(), authorization);
        if let Some(token) = tokens.get(&key) {
            return Ok(token.clone());
        }
        let new = NewToken {
            name: Some(OWN_LABEL.to_owned()),
            expiration: Expiration::After(OWN_LIFE),
            authorization,
            ..NewToken::default()
        };
        let token = match self.create_group_token(group, &new) {
            Ok(minted) => Some(minted.jwt),
            Err(error) if matches!(error.code(), Code::Forbidden | Code::Unsupported | Code::GroupNotFound) => None,
            Err(error) => return Err(error),
        };
        tokens.insert(key, token.clone());
        Ok(token)
    }
}
