//! Locations on other machines: the operator's, like all that is the server's own.

use super::CallerAccounts;
use crate::control::NodeOperations;
use crate::control::hosted::NewAuditEntry;
use crate::control::names::LocationCode;
use crate::control::node_status::{NodeInvitation, NodeStatus};
use crate::error::Result;
use serde_json::json;

/// What only the operator may do.
const ADD: &str = "have locations on other machines";
const REMOVE: &str = "remove machines of locations";

impl NodeOperations for CallerAccounts<'_> {
    fn list_nodes(&self) -> Result<Vec<NodeStatus>> {
        self.allow_operator("see the machines of its locations")?;
        Ok(self.shared.node_statuses())
    }

    fn check_invited_node(&self, location: &LocationCode) -> Result<()> {
        self.allow_operator(ADD)?;
        self.shared.check_invited_node(location)
    }

    fn check_removed_node(&self, location: &LocationCode) -> Result<()> {
        self.allow_operator(REMOVE)?;
        self.shared.check_removed_node(location)
    }

    fn invite_node(&self, location: &LocationCode) -> Result<NodeInvitation> {
        let entry = NewAuditEntry::new(
            "node-add",
            format!("created a token for a machine to join as location {location}"),
            json!({ "location": location }),
        );
        self.operate(ADD, entry, || self.shared.invite_node(location))
    }

    fn remove_node(&self, location: &LocationCode) -> Result<()> {
        let entry = NewAuditEntry::new(
            "node-remove",
            format!("removed the machine of location {location}"),
            json!({ "location": location }),
        );
        self.operate(REMOVE, entry, || self.shared.remove_node(location))
    }
}
