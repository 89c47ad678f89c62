//! Which server a node belongs to, as its directory has it.

use crate::engine::json_file::{read_json, write_json};
use crate::error::Result;
use serde::{Deserialize, Serialize};
use std::path::Path;

const FILE: &str = "server.json";

/// Which server a node belongs to, and where others reach the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeSettings {
    /// HOST:PORT.
    pub server: String,
    /// HOST or HOST:PORT.
    pub advertise: String,
}

impl NodeSettings {
    /// Reads them; none before the machine has joined.
    pub fn load(dir: &Path) -> Result<Option<Self>> {
        read_json(&dir.join(FILE))
    }

    pub(super) fn store(&self, dir: &Path) -> Result<()> {
        write_json(&dir.join(FILE), self)
    }
}
