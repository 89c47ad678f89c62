//! Locations on other machines, for the operator of a server.

use super::api_error::CallSubject;
use super::{Client, about, wire};
use crate::control::NodeOperations;
use crate::control::endpoints::Operation;
use crate::control::names::LocationCode;
use crate::control::node_status::{NodeInvitation, NodeStatus};
use crate::error::{Code, Result};

impl NodeOperations for Client {
    fn list_nodes(&self) -> Result<Vec<NodeStatus>> {
        let about = about("the machines of the server's locations").only_here("list the machines of its locations");
        let reply = self.http.ask(&self.call(Operation::ListNodes, &[], about))?;
        let nodes = wire::list(reply, "nodes")?.into_iter();
        nodes.map(|node| wire::read(node, "a location")).collect()
    }

    fn check_invited_node(&self, location: &LocationCode) -> Result<()> {
        self.check_node_change("add", location)
    }

    fn check_removed_node(&self, location: &LocationCode) -> Result<()> {
        self.check_node_change("remove", location)
    }

    fn invite_node(&self, location: &LocationCode) -> Result<NodeInvitation> {
        let call = self.call(Operation::InviteNode, &[location], about_node(location));
        wire::read(wire::within(self.http.ask(&call)?, "invitation"), "an invitation")
    }

    fn remove_node(&self, location: &LocationCode) -> Result<()> {
        let call = self.call(Operation::RemoveNode, &[location], about_node(location));
        self.http.ask(&call).map(drop)
    }
}

impl Client {
    /// Asks whether a change would be refused. Servers that do not know the question answer with the list, and refuse nothing.
    fn check_node_change(&self, change: &'static str, location: &LocationCode) -> Result<()> {
        let call = self.call(Operation::ListNodes, &[], about_node(location));
        self.http.ask(&call.query(change, location)).map(drop)
    }
}

fn about_node(location: &LocationCode) -> CallSubject<'static> {
    CallSubject::new(
        format!("location {location}"),
        Code::LocationNotFound,
        Code::LocationInUse,
    )
    .hint("torso location list shows the locations")
    .only_here("have locations on other machines")
}
