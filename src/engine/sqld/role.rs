//! The role of a process's directory, and its ports: `role.json`, written before the first start.

use crate::engine::Site;
use crate::engine::json_file::{read_json, write_json};
use crate::engine::process::{OnlyDatabase, ProcessLabel};
use crate::error::{Code, Error, Result};
use crate::sync::lock;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// Below the ports that systems use for outgoing connections.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// So many ports may have been chosen and not be in use yet.
const STARTS_AT_ONCE: usize = 1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ProcessRole {
    Primary,
    Replica,
}

impl ProcessRole {
    pub fn name(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Replica => "replica",
        }
    }
}

/// The role of a directory. A change of roles is a new epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct InstanceConfig {
    pub role: ProcessRole,
    /// The number of changes of the primary.
    pub epoch: u64,
    /// The location of the primary.
    pub primary: String,
    #[serde(flatten)]
    pub ports: Ports,
}

impl InstanceConfig {
    /// The ports on which the process itself listens.
    pub fn own_ports(&mut self) -> Vec<&mut u16> {
        let Ports { log, http, admin } = &mut self.ports;
        match self.role {
            ProcessRole::Primary => vec![http, admin, log],
            ProcessRole::Replica => vec![http, admin],
        }
    }
}

/// Ports of 127.0.0.1. They stay until another program has one of them when the process is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ports {
    /// Where the primary sends its replication log.
    #[serde(rename = "log_port")]
    pub log: u16,
    /// Takes SQL.
    #[serde(rename = "http_port")]
    pub http: u16,
    /// For administration.
    #[serde(rename = "admin_port")]
    pub admin: u16,
}

/// What the process for a site is called.
pub(super) fn label(at: &Site, place: ProcessRole) -> ProcessLabel {
    let pool = at.pool.clone().unwrap_or_default();
    // A pool is called after what shares it: a group, or one database.
    let is_alone = pool.strip_prefix(&at.id).is_some_and(|rest| rest.starts_with('-'));
    ProcessLabel {
        location: at.location.clone(),
        group: at.group.clone().unwrap_or_else(|| "?".to_owned()),
        database: is_alone.then(|| OnlyDatabase {
            id: at.id.clone(),
            name: at.database_name().to_owned(),
        }),
        pool,
        role: place.name(),
    }
}

/// The directory of the process's own files.
pub(super) fn db_path(dir: &Path) -> PathBuf {
    dir.join("sqld")
}

/// The role of a directory; none if it has none.
pub(super) fn role_of(dir: &Path) -> Result<Option<InstanceConfig>> {
    read_json(&dir.join("role.json"))
}

/// Makes a new role with ports of its own. A replica is given its primary's location and log port.
pub(super) fn new_role(primary: &str, log_port: Option<u16>) -> Result<InstanceConfig> {
    Ok(InstanceConfig {
        role: if log_port.is_none() {
            ProcessRole::Primary
        } else {
            ProcessRole::Replica
        },
        epoch: 1,
        primary: primary.to_owned(),
        ports: Ports {
            log: log_port.map_or_else(free_port, Ok)?,
            http: free_port()?,
            admin: free_port()?,
        },
    })
}

/// Returns a port that nobody listens on, and that this function has not returned just before. Another program may take it before
/// it is used.
pub(super) fn free_port() -> Result<u16> {
    static RETURNED: Mutex<VecDeque<u16>> = Mutex::new(VecDeque::new());
    let mut returned = lock(&RETURNED);
    for _ in 0..10_000 {
        let port = fastrand::u16(PORTS);
        if !returned.contains(&port) && is_free(port) {
            returned.push_back(port);
            if returned.len() > STARTS_AT_ONCE {
                returned.pop_front();
            }
            return Ok(port);
        }
    }
    Err(Error::new(
        Code::Unavailable,
        format!("no port is free between {} and {}", PORTS.start, PORTS.end),
    ))
}

/// Stores a role.
pub(super) fn write_role(dir: &Path, role: &InstanceConfig) -> Result<()> {
    write_json(&dir.join("role.json"), role)
}

/// Whether nobody listens on a port.
pub(super) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}
