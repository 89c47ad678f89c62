//! Locations on other machines.

use super::AccountStore;
use crate::control::names::LocationCode;
use crate::control::store::parsed;
use crate::error::Result;
use jiff::Timestamp;
use rusqlite::{Row, params};

/// A location on another machine.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeRow {
    pub location: LocationCode,
    pub created_at: Timestamp,
    /// The machine that is it now; none if none has joined yet.
    pub node: Option<JoinedMachine>,
    pub token: Option<JoinTokenRow>,
}

/// A machine that has joined.
#[derive(Debug, Clone, PartialEq)]
pub struct JoinedMachine {
    pub id: String,
    /// Where it says that others reach it.
    pub advertise: String,
    pub joined_at: Timestamp,
    /// Where it serves clients; none where it does not.
    pub clients: Option<ClientAddress>,
}

/// Where clients reach a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientAddress {
    pub url: String,
    pub domain: Option<String>,
}

/// A one-time token.
#[derive(Debug, Clone, PartialEq)]
pub struct JoinTokenRow {
    pub hash: [u8; 32],
    pub expires_at: Timestamp,
    /// The SHA-256 of the public key of the machine that has used it.
    pub used_by: Option<String>,
}

const NODE: &str =
    "SELECT location, created_at, node_id, advertise, joined_at, token_hash, token_expires_at, token_used_by,
    url, domain FROM nodes";

fn node(row: &Row<'_>) -> rusqlite::Result<NodeRow> {
    let id: Option<String> = row.get(2)?;
    let machine = |id| -> rusqlite::Result<JoinedMachine> {
        let (url, domain): (Option<String>, Option<String>) = (row.get(8)?, row.get(9)?);
        Ok(JoinedMachine {
            clients: url.map(|url| ClientAddress { url, domain }),
            id,
            advertise: row.get(3)?,
            joined_at: parsed(row, 4)?,
        })
    };
    let hash: Option<[u8; 32]> = row.get(5)?;
    let token = |hash| -> rusqlite::Result<JoinTokenRow> {
        Ok(JoinTokenRow {
            hash,
            expires_at: parsed(row, 6)?,
            used_by: row.get(7)?,
        })
    };
    Ok(NodeRow {
        location: parsed(row, 0)?,
        created_at: parsed(row, 1)?,
        node: id.map(machine).transpose()?,
        token: hash.map(token).transpose()?,
    })
}

impl AccountStore {
    /// All locations on other machines, ordered by code.
    pub fn nodes(&self) -> Result<Vec<NodeRow>> {
        self.rows(&format!("{NODE} ORDER BY location"), [], node)
    }

    /// Stores one, in place of what there was of its location.
    pub fn set_node(&self, row: &NodeRow) -> Result<()> {
        let (machine, token) = (row.node.as_ref(), row.token.as_ref());
        let clients = machine.and_then(|machine| machine.clients.as_ref());
        self.execute(
            "INSERT OR REPLACE INTO nodes
                 (location, created_at, node_id, advertise, joined_at, token_hash, token_expires_at, token_used_by, url, domain)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            params![
                row.location.as_str(),
                row.created_at.to_string(),
                machine.map(|machine| &machine.id),
                machine.map(|machine| &machine.advertise),
                machine.map(|machine| machine.joined_at.to_string()),
                token.map(|token| token.hash),
                token.map(|token| token.expires_at.to_string()),
                token.and_then(|token| token.used_by.as_ref()),
                clients.map(|clients| &clients.url),
                clients.and_then(|clients| clients.domain.as_ref()),
            ],
        )?;
        Ok(())
    }

    pub fn delete_node(&self, location: &LocationCode) -> Result<()> {
        self.execute("DELETE FROM nodes WHERE location = ?1", [location.as_str()])?;
        Ok(())
    }
}
