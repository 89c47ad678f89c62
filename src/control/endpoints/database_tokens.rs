//! Database tokens, which only a server has: for one database, or for all of a group.

use super::pages::{LIST_PAGE, ListPage, read_all_pages};
use crate::control::names::{DatabaseName, GroupName, TokenId};
use crate::control::tokens::{DatabaseToken, Minted, NewToken};
use crate::error::Result;
use std::time::Duration;

/// The tokens that open databases. Where databases are files, all of these fail with `unsupported`.
pub trait DatabaseTokenOperations {
    /// Refused with permissions on tables, which no engine here can enforce.
    fn create_database_token(&self, name: &DatabaseName, new: &NewToken) -> Result<Minted>;
    /// A token for every database of a group, now and in future.
    fn create_group_token(&self, name: &GroupName, new: &NewToken) -> Result<Minted>;
    /// The tokens that open the database, with those of its group; the newest first, behind the token with an id.
    fn list_database_tokens_after(
        &self,
        name: &DatabaseName,
        after: Option<&TokenId>,
        limit: usize,
    ) -> Result<ListPage<DatabaseToken>>;
    /// All of them.
    fn list_database_tokens(&self, name: &DatabaseName) -> Result<Vec<DatabaseToken>> {
        read_all_pages(
            |after| self.list_database_tokens_after(name, after, LIST_PAGE),
            |token| token.id.parse(),
        )
    }
    /// The tokens that open the group; the newest first, behind the token with an id.
    fn list_group_tokens_after(
        &self,
        name: &GroupName,
        after: Option<&TokenId>,
        limit: usize,
    ) -> Result<ListPage<DatabaseToken>>;
    /// All of them.
    fn list_group_tokens(&self, name: &GroupName) -> Result<Vec<DatabaseToken>> {
        read_all_pages(
            |after| self.list_group_tokens_after(name, after, LIST_PAGE),
            |token| token.id.parse(),
        )
    }
    /// Revokes a token of a database, at once. Revoking it twice changes nothing.
    fn revoke_database_token(&self, name: &DatabaseName, id: &str) -> Result<DatabaseToken>;
    fn revoke_group_token(&self, name: &GroupName, id: &str) -> Result<DatabaseToken>;
    /// Revokes every token made so far that opens only this database, after a grace period.
    fn rotate_database_tokens(&self, name: &DatabaseName, grace: Duration) -> Result<()>;
    /// Revokes every token made so far for the group or one of its databases, after a grace period.
    fn rotate_group_tokens(&self, name: &GroupName, grace: Duration) -> Result<()>;
}

/// The endpoints of database tokens, as rows of the table in [`endpoints`](crate::control::endpoints).
macro_rules! database_token_endpoints {
    ($next:ident $($others:ident)*; $($rows:tt)*) => {
        $next! {
            $($others)*; $($rows)*
            ListGroupTokens, Call(tokens::list_of_group): scoped Get "/groups/{groupName}/auth/tokens";
            CreateGroupToken, Repeatable(tokens::create_for_group): scoped Post "/groups/{groupName}/auth/tokens";
            CreateGroupTokenById, Repeatable(tokens::create_for_group_by_id):
                global Post "/v3/organizations/{organizationId}/groups/{groupId}/auth/tokens";
            RevokeGroupToken, Repeatable(tokens::revoke_of_group):
                scoped Delete "/groups/{groupName}/auth/tokens/{tokenId}";
            RotateGroupTokens, Change(tokens::rotate_of_group, tokens::rotated):
                scoped Post "/groups/{groupName}/auth/rotate";
            ListDatabaseTokens, Call(tokens::list_of_database): scoped Get "/databases/{databaseName}/auth/tokens";
            CreateDatabaseToken, Repeatable(tokens::create_for_database):
                scoped Post "/databases/{databaseName}/auth/tokens";
            CreateDatabaseTokenById, Repeatable(tokens::create_for_database_by_id):
                global Post "/v3/organizations/{organizationId}/databases/{databaseId}/auth/tokens";
            RevokeDatabaseToken, Repeatable(tokens::revoke_of_database):
                scoped Delete "/databases/{databaseName}/auth/tokens/{tokenId}";
            RotateDatabaseTokens, Change(tokens::rotate_of_database, tokens::rotated):
                scoped Post "/databases/{databaseName}/auth/rotate";
        }
    };
}
pub(crate) use database_token_endpoints;
