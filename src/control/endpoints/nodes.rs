//! Locations on other machines, for the operator of a server.

use crate::control::names::LocationCode;
use crate::control::node_status::{NodeInvitation, NodeStatus};
use crate::error::Result;

/// What the operator of a server does with locations on other machines. Fails with `forbidden` for others.
pub trait NodeOperations {
    /// All locations on other machines, ordered by code.
    fn list_nodes(&self) -> Result<Vec<NodeStatus>>;
    /// Fails where [`NodeOperations::invite_node`] would, and changes nothing.
    fn check_invited_node(&self, location: &LocationCode) -> Result<()>;
    /// Fails where [`NodeOperations::remove_node`] would, and changes nothing.
    fn check_removed_node(&self, location: &LocationCode) -> Result<()>;
    /// Makes a location one of another machine, or has another machine take its place; returns what that machine joins with.
    fn invite_node(&self, location: &LocationCode) -> Result<NodeInvitation>;
    /// Makes a location one of the server's own again. Refused while there are instances.
    fn remove_node(&self, location: &LocationCode) -> Result<()>;
}

/// The endpoints of locations on other machines, as rows of the table in [`endpoints`](crate::control::endpoints). Not in the
/// Platform API.
macro_rules! node_endpoints {
    ($next:ident $($others:ident)*; $($rows:tt)*) => {
        $next! {
            $($others)*; $($rows)*
            ListNodes, Call(nodes::list): global Get "/v1/server/nodes";
            InviteNode, Repeatable(nodes::invite): global Post "/v1/server/nodes/{location}";
            RemoveNode, Change(nodes::remove, nodes::removed): global Delete "/v1/server/nodes/{location}";
        }
    };
}
pub(crate) use node_endpoints;
