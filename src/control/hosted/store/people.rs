//! Users, organizations, members and invitations.

use super::AccountStore;
use crate::control::accounts::{MemberRole, OrganizationKind};
use crate::control::names::{OrganizationSlug, Username};
use crate::control::store::{count, parsed};
use crate::error::Result;
use jiff::Timestamp;
use rusqlite::{Row, params};

#[derive(Debug, Clone, PartialEq)]
pub struct UserRow {
    pub id: String,
    pub username: Username,
    pub name: String,
    pub email: String,
    pub created_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq)]
pub struct OrganizationRow {
    pub id: String,
    pub slug: OrganizationSlug,
    pub name: String,
    pub kind: OrganizationKind,
    pub plan: String,
    pub overages: bool,
    pub require_mfa: bool,
    pub created_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq)]
pub struct MemberRow {
    pub user_id: String,
    pub username: Username,
    pub email: String,
    pub role: MemberRole,
}

#[derive(Debug, Clone, PartialEq)]
pub struct InviteRow {
    pub id: u64,
    pub organization_id: String,
    pub email: String,
    pub role: MemberRole,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

const USER: &str = "SELECT id, username, name, email, created_at FROM users";
const ORGANIZATION: &str =
    "SELECT o.id, o.slug, o.name, o.kind, o.plan, o.overages, o.require_mfa, o.created_at FROM organizations o";
const MEMBER: &str = "SELECT u.id, u.username, u.email, m.role FROM members m JOIN users u ON u.id = m.user_id";
const INVITE: &str = "SELECT id, organization_id, email, role, created_at, expires_at FROM invites";

fn user(row: &Row<'_>) -> rusqlite::Result<UserRow> {
    Ok(UserRow {
        id: row.get(0)?,
        username: parsed(row, 1)?,
        name: row.get(2)?,
        email: row.get(3)?,
        created_at: parsed(row, 4)?,
    })
}

fn organization(row: &Row<'_>) -> rusqlite::Result<OrganizationRow> {
    Ok(OrganizationRow {
        id: row.get(0)?,
        slug: parsed(row, 1)?,
        name: row.get(2)?,
        kind: match row.get_ref(3)?.as_str()? {
            "personal" => OrganizationKind::Personal,
            _ => OrganizationKind::Team,
        },
        plan: row.get(4)?,
        overages: row.get(5)?,
        require_mfa: row.get(6)?,
        created_at: parsed(row, 7)?,
    })
}

fn member(row: &Row<'_>) -> rusqlite::Result<MemberRow> {
    Ok(MemberRow {
        user_id: row.get(0)?,
        username: parsed(row, 1)?,
        email: row.get(2)?,
        role: parsed(row, 3)?,
    })
}

fn invite(row: &Row<'_>) -> rusqlite::Result<InviteRow> {
    Ok(InviteRow {
        id: count(row, 0)?,
        organization_id: row.get(1)?,
        email: row.get(2)?,
        role: parsed(row, 3)?,
        created_at: parsed(row, 4)?,
        expires_at: parsed(row, 5)?,
    })
}

impl AccountStore {
    pub fn users(&self) -> Result<Vec<UserRow>> {
        self.rows(&format!("{USER} ORDER BY created_at, username"), [], user)
    }

    pub fn user(&self, name: &str) -> Result<Option<UserRow>> {
        self.row(&format!("{USER} WHERE username = ?1"), [name], user)
    }

    pub fn user_by_id(&self, id: &str) -> Result<Option<UserRow>> {
        self.row(&format!("{USER} WHERE id = ?1"), [id], user)
    }

    pub fn insert_user(&self, row: &UserRow) -> Result<()> {
        self.execute(
            "INSERT INTO users (id, username, name, email, created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                row.id,
                row.username.as_str(),
                row.name,
                row.email,
                row.created_at.to_string()
            ],
        )?;
        Ok(())
    }

    /// Also removes the user's API tokens and memberships.
    pub fn delete_user(&self, id: &str) -> Result<()> {
        self.execute("DELETE FROM users WHERE id = ?1", [id])?;
        Ok(())
    }

    pub fn organizations(&self) -> Result<Vec<OrganizationRow>> {
        self.rows(&format!("{ORGANIZATION} ORDER BY o.slug"), [], organization)
    }

    pub fn organization(&self, slug: &str) -> Result<Option<OrganizationRow>> {
        self.row(&format!("{ORGANIZATION} WHERE o.slug = ?1"), [slug], organization)
    }

    pub fn organization_by_id(&self, id: &str) -> Result<Option<OrganizationRow>> {
        self.row(&format!("{ORGANIZATION} WHERE o.id = ?1"), [id], organization)
    }

    /// The organizations of a user, the personal one first.
    pub fn organizations_of(&self, user_id: &str) -> Result<Vec<OrganizationRow>> {
        self.rows(
            &format!(
                "{ORGANIZATION} JOIN members m ON m.organization_id = o.id WHERE m.user_id = ?1
                 ORDER BY o.kind <> 'personal', o.slug"
            ),
            [user_id],
            organization,
        )
    }

    pub fn insert_organization(&self, row: &OrganizationRow) -> Result<()> {
        let kind = match row.kind {
            OrganizationKind::Personal => "personal",
            OrganizationKind::Team => "team",
        };
        self.execute(
            "INSERT INTO organizations (id, slug, name, kind, plan, overages, require_mfa, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                row.id,
                row.slug.as_str(),
                row.name,
                kind,
                row.plan,
                row.overages,
                row.require_mfa,
                row.created_at.to_string()
            ],
        )?;
        Ok(())
    }

    /// Updates what can change.
    pub fn update_organization(&self, row: &OrganizationRow) -> Result<()> {
        self.execute(
            "UPDATE organizations SET name = ?2, plan = ?3, overages = ?4, require_mfa = ?5 WHERE id = ?1",
            params![row.id, row.name, row.plan, row.overages, row.require_mfa],
        )?;
        Ok(())
    }

    /// Also removes its members, invitations, and the tokens that are restricted to it.
    pub fn delete_organization(&self, id: &str) -> Result<()> {
        self.execute("DELETE FROM organizations WHERE id = ?1", [id])?;
        self.execute(
            "DELETE FROM settings WHERE name = ?1",
            [format!("{}{id}", super::CATALOG_IDENTITY)],
        )?;
        Ok(())
    }

    /// By name.
    pub fn members(&self, organization: &str) -> Result<Vec<MemberRow>> {
        self.rows(
            &format!("{MEMBER} WHERE m.organization_id = ?1 ORDER BY u.username"),
            [organization],
            member,
        )
    }

    pub fn member(&self, organization: &str, user_id: &str) -> Result<Option<MemberRow>> {
        self.row(
            &format!("{MEMBER} WHERE m.organization_id = ?1 AND m.user_id = ?2"),
            [organization, user_id],
            member,
        )
    }

    /// Adds a member, or changes a member's role.
    pub fn set_member(&self, organization: &str, user_id: &str, role: MemberRole) -> Result<()> {
        self.execute(
            "INSERT INTO members (organization_id, user_id, role) VALUES (?1, ?2, ?3)
             ON CONFLICT (organization_id, user_id) DO UPDATE SET role = excluded.role",
            [organization, user_id, role.name()],
        )?;
        Ok(())
    }

    /// Also removes the user's tokens that are restricted to this organization.
    pub fn delete_member(&self, organization: &str, user_id: &str) -> Result<()> {
        self.execute(
            "DELETE FROM members WHERE organization_id = ?1 AND user_id = ?2",
            [organization, user_id],
        )?;
        self.execute(
            "DELETE FROM api_tokens WHERE organization_id = ?1 AND user_id = ?2",
            [organization, user_id],
        )?;
        Ok(())
    }

    /// Ordered by address.
    pub fn invites(&self, organization: &str) -> Result<Vec<InviteRow>> {
        self.rows(
            &format!("{INVITE} WHERE organization_id = ?1 ORDER BY email"),
            [organization],
            invite,
        )
    }

    pub fn invite(&self, organization: &str, email: &str) -> Result<Option<InviteRow>> {
        self.row(
            &format!("{INVITE} WHERE organization_id = ?1 AND email = ?2"),
            [organization, email],
            invite,
        )
    }

    pub fn invite_by_hash(&self, hash: &[u8; 32]) -> Result<Option<InviteRow>> {
        self.row(&format!("{INVITE} WHERE hash = ?1"), [hash.as_slice()], invite)
    }

    /// Returns its id.
    pub fn insert_invite(&self, row: &InviteRow, hash: &[u8; 32]) -> Result<u64> {
        let id = self.row(
            "INSERT INTO invites (organization_id, email, role, hash, created_at, expires_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) RETURNING id",
            params![
                row.organization_id,
                row.email,
                row.role.name(),
                hash.as_slice(),
                row.created_at.to_string(),
                row.expires_at.to_string()
            ],
            |row| count(row, 0),
        )?;
        Ok(id.unwrap_or(0))
    }

    /// False if there was none.
    pub fn delete_invite(&self, id: u64) -> Result<bool> {
        let id = i64::try_from(id).unwrap_or(0);
        Ok(self.execute("DELETE FROM invites WHERE id = ?1", [id])? > 0)
    }
}
