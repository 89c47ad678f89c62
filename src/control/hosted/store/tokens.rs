//! API tokens and database tokens. Their texts are not stored.

use super::AccountStore;
use crate::control::names::TokenName;
use crate::control::store::{parsed, parsed_maybe};
use crate::control::tokens::Authorization;
use crate::error::Result;
use jiff::Timestamp;
use rusqlite::{Row, params};

#[derive(Debug, Clone, PartialEq)]
pub struct ApiTokenRow {
    pub id: String,
    pub user_id: String,
    pub name: TokenName,
    pub prefix: String,
    pub organization_id: Option<String>,
    pub group_uuid: Option<String>,
    pub scopes: Vec<String>,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub last_used_at: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct DatabaseTokenRow {
    pub id: String,
    pub organization_id: String,
    /// None if it opens the whole group.
    pub database_id: Option<String>,
    pub group_uuid: String,
    pub name: Option<String>,
    pub authorization: Authorization,
    pub created_at: Timestamp,
    pub created_by: String,
    pub expires_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
}

const API_TOKEN: &str = "SELECT id, user_id, name, prefix, organization_id, group_uuid, scopes, created_at, expires_at,
    last_used_at FROM api_tokens";

const DATABASE_TOKEN: &str = "SELECT id, organization_id, database_id, group_uuid, name, authorization, created_at,
    created_by, expires_at, revoked_at FROM database_tokens";

fn api_token(row: &Row<'_>) -> rusqlite::Result<ApiTokenRow> {
    Ok(ApiTokenRow {
        id: row.get(0)?,
        user_id: row.get(1)?,
        name: parsed(row, 2)?,
        prefix: row.get(3)?,
        organization_id: row.get(4)?,
        group_uuid: row.get(5)?,
        scopes: row
            .get_ref(6)?
            .as_str()?
            .split_ascii_whitespace()
            .map(str::to_owned)
            .collect(),
        created_at: parsed(row, 7)?,
        expires_at: parsed_maybe(row, 8)?,
        last_used_at: parsed_maybe(row, 9)?,
    })
}

fn database_token(row: &Row<'_>) -> rusqlite::Result<DatabaseTokenRow> {
    Ok(DatabaseTokenRow {
        id: row.get(0)?,
        organization_id: row.get(1)?,
        database_id: row.get(2)?,
        group_uuid: row.get(3)?,
        name: row.get(4)?,
        authorization: match row.get_ref(5)?.as_str()? {
            "full-access" => Authorization::FullAccess,
            _ => Authorization::ReadOnly,
        },
        created_at: parsed(row, 6)?,
        created_by: row.get(7)?,
        expires_at: parsed_maybe(row, 8)?,
        revoked_at: parsed_maybe(row, 9)?,
    })
}

fn text(time: Option<Timestamp>) -> Option<String> {
    time.map(|time| time.to_string())
}

impl AccountStore {
    /// The API tokens of a user, ordered by name.
    pub fn api_tokens(&self, user_id: &str) -> Result<Vec<ApiTokenRow>> {
        self.rows(
            &format!("{API_TOKEN} WHERE user_id = ?1 ORDER BY name"),
            [user_id],
            api_token,
        )
    }

    /// At most `limit` API tokens of a user behind a name, ordered by name.
    pub fn api_token_page(&self, user_id: &str, after: Option<&TokenName>, limit: usize) -> Result<Vec<ApiTokenRow>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.rows(
            &format!("{API_TOKEN} WHERE user_id = ?1 AND name > ?2 ORDER BY name LIMIT ?3"),
            params![user_id, after.map_or("", TokenName::as_str), limit],
            api_token,
        )
    }

    pub fn api_token(&self, user_id: &str, name: &str) -> Result<Option<ApiTokenRow>> {
        self.row(
            &format!("{API_TOKEN} WHERE user_id = ?1 AND name = ?2"),
            [user_id, name],
            api_token,
        )
    }

    pub fn api_token_by_hash(&self, hash: &[u8; 32]) -> Result<Option<ApiTokenRow>> {
        self.row(&format!("{API_TOKEN} WHERE hash = ?1"), [hash.as_slice()], api_token)
    }

    pub fn insert_api_token(&self, row: &ApiTokenRow, hash: &[u8; 32]) -> Result<()> {
        self.execute(
            "INSERT INTO api_tokens (id, user_id, name, prefix, hash, organization_id, group_uuid, scopes, created_at,
                 expires_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            params![
                row.id,
                row.user_id,
                row.name.as_str(),
                row.prefix,
                hash.as_slice(),
                row.organization_id,
                row.group_uuid,
                row.scopes.join(" "),
                row.created_at.to_string(),
                text(row.expires_at),
            ],
        )?;
        Ok(())
    }

    pub fn delete_api_token(&self, id: &str) -> Result<()> {
        self.execute("DELETE FROM api_tokens WHERE id = ?1", [id])?;
        Ok(())
    }

    pub fn delete_api_tokens_of(&self, user_id: &str) -> Result<()> {
        self.execute("DELETE FROM api_tokens WHERE user_id = ?1", [user_id])?;
        Ok(())
    }

    /// May be lost in a power failure.
    pub fn note_use(&self, uses: &[(String, Timestamp)]) -> Result<()> {
        self.write_lazily(|| {
            uses.iter().try_for_each(|(id, at)| {
                self.execute(
                    "UPDATE api_tokens SET last_used_at = ?2 WHERE id = ?1",
                    [id.as_str(), &at.to_string()],
                )
                .map(drop)
            })
        })
    }

    /// The API tokens of a user that are restricted to an organization, ordered by name.
    pub fn api_tokens_in(&self, organization: &str, user_id: &str) -> Result<Vec<ApiTokenRow>> {
        self.rows(
            &format!("{API_TOKEN} WHERE organization_id = ?1 AND user_id = ?2 ORDER BY name"),
            [organization, user_id],
            api_token,
        )
    }

    /// The API tokens of all users that are restricted to an organization, ordered by name.
    pub fn api_tokens_of_organization(&self, organization: &str) -> Result<Vec<ApiTokenRow>> {
        self.rows(
            &format!("{API_TOKEN} WHERE organization_id = ?1 ORDER BY name, id"),
            [organization],
            api_token,
        )
    }

    /// The database tokens that a user made and that open something at a time, in one organization or in all.
    pub fn database_tokens_by(
        &self,
        user: &str,
        organization: Option<&str>,
        at: Timestamp,
    ) -> Result<Vec<DatabaseTokenRow>> {
        self.rows(
            &format!(
                "{DATABASE_TOKEN} WHERE created_by = ?1 AND (?2 IS NULL OR organization_id = ?2)
                 AND (expires_at IS NULL OR unixepoch(expires_at) > ?3)
                 AND (revoked_at IS NULL OR unixepoch(revoked_at) > ?3) ORDER BY created_at, id"
            ),
            params![user, organization, at.as_second()],
            database_token,
        )
    }

    pub fn insert_database_token(&self, row: &DatabaseTokenRow) -> Result<()> {
        self.execute(
            "INSERT OR REPLACE INTO database_tokens (id, organization_id, database_id, group_uuid, name, authorization, created_at,
                 created_by, expires_at, revoked_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            params![
                row.id,
                row.organization_id,
                row.database_id,
                row.group_uuid,
                row.name,
                match row.authorization {
                    Authorization::FullAccess => "full-access",
                    Authorization::ReadOnly => "read-only",
                },
                row.created_at.to_string(),
                row.created_by,
                text(row.expires_at),
                text(row.revoked_at),
            ],
        )?;
        Ok(())
    }

    pub fn database_token(&self, organization: &str, id: &str) -> Result<Option<DatabaseTokenRow>> {
        self.row(
            &format!("{DATABASE_TOKEN} WHERE organization_id = ?1 AND id = ?2"),
            [organization, id],
            database_token,
        )
    }

    /// At most `limit` of the tokens that open a database, its own and its group's: the newest first, behind a token.
    pub fn tokens_of_database(
        &self,
        database: &str,
        group: &str,
        after: Option<&DatabaseTokenRow>,
        limit: usize,
    ) -> Result<Vec<DatabaseTokenRow>> {
        self.token_page(
            "(database_id = ?1 OR (group_uuid = ?2 AND database_id IS NULL))",
            (database, group),
            after,
            limit,
        )
    }

    /// At most `limit` of the tokens that open a whole group: the newest first, behind a token.
    pub fn tokens_of_group(
        &self,
        group: &str,
        after: Option<&DatabaseTokenRow>,
        limit: usize,
    ) -> Result<Vec<DatabaseTokenRow>> {
        self.token_page("group_uuid = ?2 AND database_id IS NULL", ("", group), after, limit)
    }

    fn token_page(
        &self,
        condition: &str,
        (database, group): (&str, &str),
        after: Option<&DatabaseTokenRow>,
        limit: usize,
    ) -> Result<Vec<DatabaseTokenRow>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.rows(
            &format!(
                "{DATABASE_TOKEN} WHERE {condition}
                 AND (?3 IS NULL OR created_at < ?3 OR (created_at = ?3 AND id > ?4))
                 ORDER BY created_at DESC, id LIMIT ?5"
            ),
            params![
                database,
                group,
                after.map(|row| row.created_at.to_string()),
                after.map(|row| &row.id),
                limit
            ],
            database_token,
        )
    }

    /// The tokens that are revoked before they expire.
    pub fn revoked_tokens(&self) -> Result<Vec<DatabaseTokenRow>> {
        self.rows(
            &format!("{DATABASE_TOKEN} WHERE revoked_at IS NOT NULL"),
            [],
            database_token,
        )
    }

    /// Revokes a token from a time on, or from an earlier one that was set before. Returns the time.
    pub fn revoke(&self, id: &str, at: Timestamp) -> Result<Timestamp> {
        let before = self.row("SELECT revoked_at FROM database_tokens WHERE id = ?1", [id], |row| {
            parsed_maybe::<Timestamp>(row, 0)
        })?;
        let at = before.flatten().map_or(at, |before| before.min(at));
        self.execute(
            "UPDATE database_tokens SET revoked_at = ?2 WHERE id = ?1",
            [id, &at.to_string()],
        )?;
        Ok(at)
    }

    /// The tokens that open only a database.
    pub fn own_tokens(&self, database: &str) -> Result<Vec<DatabaseTokenRow>> {
        self.rows(
            &format!("{DATABASE_TOKEN} WHERE database_id = ?1"),
            [database],
            database_token,
        )
    }

    /// Every token of a group and of its databases.
    pub fn all_tokens_of_group(&self, group: &str) -> Result<Vec<DatabaseTokenRow>> {
        self.rows(
            &format!("{DATABASE_TOKEN} WHERE group_uuid = ?1"),
            [group],
            database_token,
        )
    }

    /// Removes all tokens of a group.
    pub fn forget_tokens_of_group(&self, group: &str) -> Result<()> {
        self.execute("DELETE FROM database_tokens WHERE group_uuid = ?1", [group])?;
        Ok(())
    }

    /// Removes tokens that expired before a time.
    pub fn forget_expired_tokens(&self, before: Timestamp) -> Result<()> {
        // Times of different precision do not compare correctly as text, so they are compared as numbers.
        self.execute(
            "DELETE FROM database_tokens WHERE expires_at IS NOT NULL AND unixepoch(expires_at) < ?1",
            [before.as_second()],
        )?;
        self.execute(
            "DELETE FROM api_tokens WHERE expires_at IS NOT NULL AND unixepoch(expires_at) < ?1",
            [before.as_second()],
        )?;
        self.execute(
            "DELETE FROM invites WHERE unixepoch(expires_at) < ?1",
            [before.as_second()],
        )?;
        Ok(())
    }
}
