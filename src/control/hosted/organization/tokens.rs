//! Database tokens of an organization: making, listing, ending.

use super::{OrganizationPlane, PlaneGuard};
use crate::control::embedded::Placed;
use crate::control::hosted::permission::{Action, PermissionTarget};
use crate::control::hosted::store::DatabaseTokenRow;
use crate::control::hosted::{NewAuditEntry, new_id};
use crate::control::idempotency::RequestMark;
use crate::control::names::{DatabaseId, DatabaseName, GroupName, TokenId};
use crate::control::tokens::{Authorization, DatabaseToken, Expiration, Minted, NewToken};
use crate::control::types::Group;
use crate::control::{DatabaseTokenOperations, GroupOperations as _, ListPage};
use crate::error::{Code, Error, Result};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;

/// Characters of the longest token name.
const LONGEST_NAME: usize = 100;

impl DatabaseTokenOperations for OrganizationPlane<'_> {
    fn create_database_token(&self, name: &DatabaseName, new: &NewToken) -> Result<Minted> {
        let data = described(json!({ "database": name }), new);
        let entry = if new.is_of_a_command() {
            let message = format!("commands made themselves tokens for database {name}");
            NewAuditEntry::new("db-token-create", message, data).once_a_day()
        } else {
            NewAuditEntry::new("db-token-create", format!("created a token for database {name}"), data)
        };
        let action = match new.authorization {
            Authorization::ReadOnly => Action::MintReadToken,
            Authorization::FullAccess => Action::MintToken,
        };
        self.change_database(action, name, entry, |plane| {
            let placed = plane.placement(name)?;
            self.mint(new, placed.group_uuid, Some(placed.id))
        })
    }

    fn create_group_token(&self, name: &GroupName, new: &NewToken) -> Result<Minted> {
        let entry = NewAuditEntry::new(
            "group-token-create",
            format!("created a token for group {name}"),
            described(json!({ "group": name }), new),
        );
        let action = match new.authorization {
            Authorization::ReadOnly => Action::MintGroupReadToken,
            Authorization::FullAccess => Action::MintGroupToken,
        };
        self.change(action, PermissionTarget::Group(name), entry, |plane| {
            let group = plane.get_group(name)?;
            self.mint(new, group.uuid, None)
        })
    }

    fn list_database_tokens_after(
        &self,
        name: &DatabaseName,
        after: Option<&TokenId>,
        limit: usize,
    ) -> Result<ListPage<DatabaseToken>> {
        self.read_database(name, |plane| {
            let placed = plane.placement(name)?;
            let after = self.row_to_list_after(after)?;
            let rows = self.shared.records().tokens_of_database(
                placed.id.as_str(),
                &placed.group_uuid,
                after.as_ref(),
                limit.saturating_add(1),
            )?;
            let tokens = rows
                .into_iter()
                .map(|row| to_database_token(row, Some(&placed), &placed.group));
            Ok(ListPage::of_first(tokens.collect(), limit))
        })
    }

    fn list_group_tokens_after(
        &self,
        name: &GroupName,
        after: Option<&TokenId>,
        limit: usize,
    ) -> Result<ListPage<DatabaseToken>> {
        self.read(PermissionTarget::Group(name), |plane| {
            let group = plane.get_group(name)?;
            let after = self.row_to_list_after(after)?;
            let rows = self
                .shared
                .records()
                .tokens_of_group(&group.uuid, after.as_ref(), limit.saturating_add(1))?;
            let tokens = rows.into_iter().map(|row| to_database_token(row, None, &group.name));
            Ok(ListPage::of_first(tokens.collect(), limit))
        })
    }

    fn revoke_database_token(&self, name: &DatabaseName, id: &str) -> Result<DatabaseToken> {
        let entry = NewAuditEntry::new(
            "db-token-revoke",
            format!("revoked a token of database {name}"),
            json!({ "database": name, "token": printable_id(id) }),
        );
        self.change_database(Action::RotateDatabase, name, entry, |plane| {
            let placed = plane.placement(name)?;
            let row = self.known_token(id, |row| row.database_id.as_deref() == Some(placed.id.as_str()));
            let row = row.map_err(
                |error| match self.known_token(id, |row| row.group_uuid == placed.group_uuid) {
                    Ok(row) if row.database_id.is_none() => error.hint(format!(
                        "it opens the whole group: torso group tokens revoke {} {id}",
                        placed.group
                    )),
                    _ => error.hint(format!("torso db tokens list {name} shows them")),
                },
            )?;
            let row = self.end_token(row, Timestamp::now())?;
            Ok(to_database_token(row, Some(&placed), &placed.group))
        })
    }

    fn revoke_group_token(&self, name: &GroupName, id: &str) -> Result<DatabaseToken> {
        let entry = NewAuditEntry::new(
            "group-token-revoke",
            format!("revoked a token of group {name}"),
            json!({ "group": name, "token": printable_id(id) }),
        );
        self.change(Action::RotateGroup, PermissionTarget::Group(name), entry, |plane| {
            let group = plane.get_group(name)?;
            let row = self
                .known_token(id, |row| row.database_id.is_none() && row.group_uuid == group.uuid)
                .map_err(|error| error.hint(format!("torso group tokens list {name} shows them")))?;
            let row = self.end_token(row, Timestamp::now())?;
            Ok(to_database_token(row, None, &group.name))
        })
    }

    fn rotate_database_tokens(&self, name: &DatabaseName, grace: Duration) -> Result<()> {
        let entry = NewAuditEntry::new(
            "db-token-rotate",
            format!("invalidated the tokens of database {name}"),
            json!({ "database": name, "grace_seconds": grace.as_secs() }),
        );
        self.change_database(Action::RotateDatabase, name, entry, |plane| {
            let id = plane.placement(name)?.id;
            self.end_all(grace, |records| records.own_tokens(id.as_str()))
        })
    }

    fn rotate_group_tokens(&self, name: &GroupName, grace: Duration) -> Result<()> {
        let entry = NewAuditEntry::new(
            "group-token-rotate",
            format!("invalidated the tokens of group {name}"),
            json!({ "group": name, "grace_seconds": grace.as_secs() }),
        );
        self.change(
            Action::RotateGroup,
            PermissionTarget::Group(name),
            entry,
            |plane: &PlaneGuard| {
                let group: Group = plane.get_group(name)?;
                self.end_all(grace, |records| records.all_tokens_of_group(&group.uuid))
            },
        )
    }
}

impl OrganizationPlane<'_> {
    fn mint(&self, new: &NewToken, group_uuid: String, database: Option<DatabaseId>) -> Result<Minted> {
        check_enforceable(new)?;
        // In whole seconds, as in the token itself.
        let now = Timestamp::now().as_second();
        let time = |second: i64| {
            Timestamp::from_second(second).map_err(|error| {
                Error::new(Code::InvalidValue, "the token would be valid for too long").caused_by(error)
            })
        };
        let row = DatabaseTokenRow {
            // A request that is made again replaces the token of its first time, whose text nobody got.
            id: self.caller.mark().map_or_else(new_id, |mark| id_of(&mark)),
            organization_id: self.organization.id.clone(),
            database_id: database.map(String::from),
            group_uuid,
            name: new.name.clone(),
            authorization: new.authorization,
            created_at: time(now)?,
            created_by: self.caller.username().as_str().to_owned(),
            expires_at: match new.expiration {
                Expiration::Never => None,
                Expiration::After(span) => {
                    let span = i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
                    Some(time(now.saturating_add(span))?)
                }
            },
            revoked_at: None,
        };
        let jwt = self.shared.token_authority.sign(&row)?;
        {
            let records = self.records();
            let is_alive = |old: DatabaseTokenRow| old.revoked_at.is_none();
            if self.caller.resumes()
                && !records
                    .database_token(&self.organization.id, &row.id)?
                    .is_some_and(is_alive)
            {
                return Err(
                    Error::new(Code::TokenNotFound, "the token was made, and revoked since").hint("make another one")
                );
            }
            records.write(|| records.insert_database_token(&row))?;
        }
        Ok(Minted {
            jwt,
            id: Some(row.id),
            expires_at: row.expires_at,
        })
    }

    /// The token with which the page before ended: it tells where the next one begins.
    fn row_to_list_after(&self, after: Option<&TokenId>) -> Result<Option<DatabaseTokenRow>> {
        after
            .map(|id| {
                self.known_token(&id.to_string(), |_| true)
                    .map_err(|error| error.hint("it was forgotten since: list from the beginning"))
            })
            .transpose()
    }

    fn known_token(&self, id: &str, fits: impl FnOnce(&DatabaseTokenRow) -> bool) -> Result<DatabaseTokenRow> {
        let row = self.shared.records().database_token(&self.organization.id, id)?;
        row.filter(fits).ok_or_else(|| {
            Error::new(
                Code::TokenNotFound,
                format!("there is no token with the id {}", printable_id(id)),
            )
        })
    }

    fn end_token(&self, mut row: DatabaseTokenRow, at: Timestamp) -> Result<DatabaseTokenRow> {
        let records = self.records();
        let at = records.write(|| records.revoke(&row.id, at))?;
        // Under the lock, so that a later time does not replace an earlier one.
        self.shared.token_authority.end([(row.id.clone(), at)]);
        row.revoked_at = Some(at);
        Ok(row)
    }

    fn end_all(
        &self,
        grace: Duration,
        which: impl FnOnce(&crate::control::hosted::store::AccountStore) -> Result<Vec<DatabaseTokenRow>>,
    ) -> Result<()> {
        let grace = i64::try_from(grace.as_secs()).unwrap_or(i64::MAX);
        let at = Timestamp::now()
            .checked_add(jiff::SignedDuration::from_secs(grace))
            .map_err(|error| Error::new(Code::InvalidValue, "the grace period is too long").caused_by(error))?;
        let records = self.records();
        let ended = records.write(|| {
            which(&records)?
                .into_iter()
                .map(|row| records.revoke(&row.id, at).map(|at| (row.id, at)))
                .collect::<Result<Vec<_>>>()
        })?;
        self.shared.token_authority.end(ended);
        Ok(())
    }

    /// Forgets tokens and counters of what was destroyed. What stays opens nothing: ids are not used again.
    pub(super) fn forget(&self, databases: &[DatabaseId], group: Option<&str>) {
        let records = self.shared.records();
        let _ = records.write(|| {
            for id in databases {
                records.forget_database(id.as_str())?;
            }
            group.map_or(Ok(()), |group| records.forget_tokens_of_group(group))
        });
    }
}

/// The id of the token that a request makes.
fn id_of(mark: &RequestMark) -> String {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&mark.0[..16]);
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}

/// An id as it may be shown: instead of an id, a whole token may have been given.
fn printable_id(id: &str) -> String {
    uuid::Uuid::try_parse(id).map_or_else(|_| "that was given".to_owned(), |id| id.hyphenated().to_string())
}

/// The data of a new token for the audit log.
fn described(mut data: Value, new: &NewToken) -> Value {
    data["authorization"] = json!(new.authorization);
    data["expiration"] = json!(new.expiration.to_string());
    data
}

fn check_enforceable(new: &NewToken) -> Result<()> {
    let refuse = |what: &str| {
        Error::new(
            Code::Unsupported,
            format!("this server cannot enforce {what}, so it does not create the token"),
        )
        .hint("create a read-only token (--read-only), or put these tables into a database of their own")
    };
    if new.permissions.fine_grained_permissions.is_some() {
        return Err(refuse("permissions on tables"));
    }
    let attach = new.permissions.permissions.as_ref();
    if attach.is_some_and(|permissions| !permissions.read_attach.databases.is_empty()) {
        return Err(refuse("databases that may be attached"));
    }
    match &new.name {
        Some(name) if name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) => Err(Error::new(
            Code::InvalidValue,
            "the name of the token is too long or has control characters",
        )
        .hint(format!("use up to {LONGEST_NAME} characters"))),
        _ => Ok(()),
    }
}

fn to_database_token(row: DatabaseTokenRow, database: Option<&Placed>, group: &GroupName) -> DatabaseToken {
    DatabaseToken {
        database: row
            .database_id
            .is_some()
            .then(|| database.map(|placed| placed.name.clone()))
            .flatten(),
        id: row.id,
        name: row.name,
        group: group.clone(),
        authorization: row.authorization,
        created_at: row.created_at,
        expires_at: row.expires_at,
        created_by: row.created_by,
        revoked_at: row.revoked_at,
    }
}
