//! Locations on other machines: the operator's, like all that is the server's own.

use super::CallerAccounts;
use crate::control::NodeOperations;
use crate::control::hosted::NewAuditEntry;
use crate::control::names::LocationCode;
use crate::control::node_status::{NodeInvitation, NodeStatus};
use crate::error::Result;
use serde_json::json;

impl NodeOperations for CallerAccounts<'_> {
    fn list_nodes(&self) -> Result<Vec<NodeStatus>> {
        self.allow_operator("see the machines of its locations")?;
        Ok(self.shared.node_statuses())
    }

    fn invite_node(&self, location: &LocationCode) -> Result<NodeInvitation> {
        let entry = NewAuditEntry::new(
            "node-add",
            format!("created a token for a machine to join as location {location}"),
            json!({ "location": location }),
        );
        self.operate("have locations on other machines", entry, || {
            self.shared.invite_node(location)
        })
    }

    fn remove_node(&self, location: &LocationCode) -> Result<()> {
        let entry = NewAuditEntry::new(
            "node-remove",
            format!("removed the machine of location {location}"),
            json!({ "location": location }),
        );
        self.operate("remove machines of locations", entry, || {
            self.shared.remove_node(location)
        })
    }
}
