//! The user that acts, and its API tokens.

use super::pages::{LIST_PAGE, ListPage, read_all_pages};
use crate::control::accounts::{ApiToken, MintedApiToken, NewApiToken, User};
use crate::control::names::TokenName;
use crate::error::Result;
use jiff::Timestamp;

/// The API tokens of a user.
pub trait ApiTokenOperations {
    /// When the API token in use expires; none if never.
    fn validate(&self) -> Result<Option<Timestamp>>;
    fn current_user(&self) -> Result<User>;
    /// The API tokens behind a name, ordered by name.
    fn list_api_tokens_after(&self, after: Option<&TokenName>, limit: usize) -> Result<ListPage<ApiToken>>;
    /// All of them.
    fn list_api_tokens(&self) -> Result<Vec<ApiToken>> {
        read_all_pages(
            |after| self.list_api_tokens_after(after, LIST_PAGE),
            |token| Ok(token.name.clone()),
        )
    }
    fn create_api_token(&self, name: &TokenName, new: &NewApiToken) -> Result<MintedApiToken>;
    /// Takes effect at once.
    fn revoke_api_token(&self, name: &TokenName) -> Result<()>;
    /// Revokes every API token of the user made before now, this one too. Returns that time.
    fn invalidate_sessions(&self) -> Result<Timestamp>;
}

/// The endpoints of the user that acts and its API tokens, as rows of the table in [`endpoints`](crate::control::endpoints).
macro_rules! api_token_endpoints {
    ($next:ident $($others:ident)*; $($rows:tt)*) => {
        $next! {
            $($others)*; $($rows)*
            ValidateToken, Call(account::validate):
                global Get "/v1/auth/validate",
                global Get "/v1/auth/api-tokens/validate";
            ListApiTokens, Call(account::list_tokens): global Get "/v1/auth/api-tokens";
            CreateApiToken, Repeatable(account::create_token): global Post "/v1/auth/api-tokens/{tokenName}";
            /// In the form of version 2.
            CreateApiTokenNested, Repeatable(account::create_token_nested):
                global Post "/v2/auth/api-tokens/{tokenName}";
            RevokeApiToken, Change(account::revoke_token, account::token_revoked):
                global Delete "/v1/auth/api-tokens/{tokenName}";
            InvalidateSessions, Repeatable(account::invalidate_sessions): global Post "/v1/auth/invalidate";
            CurrentUser, Call(account::current_user): global Get "/v1/user", global Get "/v1/current-user";
        }
    };
}
pub(crate) use api_token_endpoints;
