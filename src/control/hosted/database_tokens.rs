//! Database tokens: made with the server's own Ed25519 key, for one database or for a group.

use super::change_counter::ChangeCounter;
use super::store::{AccountStore, DatabaseTokenRow};
use crate::control::gateway_plane::{AccessClaim, Claims, ISSUER, InternalTokens, TokenVerifier};
use crate::control::tokens::Authorization;
use crate::error::Result;
use crate::jwt::JwtKey;
use crate::secret::Secret;
use jiff::Timestamp;

pub(super) struct TokenAuthority {
    key: JwtKey,
    pub verifier: TokenVerifier,
    pub internal: InternalTokens,
    changes: ChangeCounter,
}

impl TokenAuthority {
    /// `changes` counts when tokens are revoked.
    pub fn open(key: JwtKey, records: &AccountStore, changes: ChangeCounter) -> Result<Self> {
        let verifier = TokenVerifier::new(key.public());
        let ended = records.revoked_tokens()?.into_iter();
        verifier.end(ended.filter_map(|row| Some((row.id, row.revoked_at?))));
        Ok(Self {
            key,
            verifier,
            internal: InternalTokens::default(),
            changes,
        })
    }

    /// Signs a token that has been stored.
    pub fn sign(&self, row: &DatabaseTokenRow) -> Result<Secret> {
        let claims = Claims {
            iss: ISSUER.to_owned(),
            jti: row.id.clone(),
            iat: row.created_at.as_second(),
            exp: row.expires_at.map(Timestamp::as_second),
            a: match row.authorization {
                Authorization::FullAccess => AccessClaim::Rw,
                Authorization::ReadOnly => AccessClaim::Ro,
            },
            gid: row.database_id.is_none().then(|| row.group_uuid.clone()),
            id: row.database_id.clone(),
            org: row.organization_id.clone(),
        };
        self.key.sign(&claims)
    }

    /// Revokes tokens from a time on, which may be past.
    pub fn end(&self, ids: impl IntoIterator<Item = (String, Timestamp)>) {
        self.verifier.end(ids);
        self.changes.mark_changed();
    }
}
