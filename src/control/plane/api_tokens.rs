//! The user that acts, and its API tokens.

use crate::control::accounts::{ApiToken, MintedApiToken, NewApiToken, User};
use crate::control::names::TokenName;
use crate::error::Result;
use jiff::Timestamp;

/// The API tokens of a user.
pub trait ApiTokenOperations {
    /// When the API token in use expires; none if never.
    fn validate(&self) -> Result<Option<Timestamp>>;
    fn current_user(&self) -> Result<User>;
    fn list_api_tokens(&self) -> Result<Vec<ApiToken>>;
    fn create_api_token(&self, name: &TokenName, new: &NewApiToken) -> Result<MintedApiToken>;
    /// Takes effect at once.
    fn revoke_api_token(&self, name: &TokenName) -> Result<()>;
    /// Revokes every API token of the user made before now, this one too. Returns that time.
    fn invalidate_sessions(&self) -> Result<Timestamp>;
}
