//! What nodes are answered over the link. Who a node is comes from its certificate; here it is checked that it is that location now.

use crate::control::gateway_plane::AccessRequest;
use crate::control::hosted::Shared;
use crate::engine::remote::NodeReport;
use crate::engine::remote::PlacedEngine;
use crate::error::{Code, Error, Result};
use crate::link::{
    HandlerAnswer, JoinApproval, JoinRequest, LinkHandler, NodeName, NodeRequest, StreamEnd, StreamPurpose,
    StreamTarget,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::sync::{Arc, Weak};

/// Answers nodes for a plane, as long as that is there.
pub(super) struct NodeHandler(Weak<Shared>);

/// The request for what is wanted, by a node that has a generation of it.
#[derive(Deserialize)]
struct WantedRequest {
    generation: u64,
}

impl NodeHandler {
    pub fn new(shared: &Arc<Shared>) -> Self {
        Self(Arc::downgrade(shared))
    }

    fn shared(&self) -> Result<Arc<Shared>> {
        self.0
            .upgrade()
            .ok_or_else(|| Error::new(Code::Unavailable, "the server is stopping"))
    }
}

impl LinkHandler for NodeHandler {
    fn join(&self, request: &JoinRequest) -> Result<JoinApproval> {
        self.shared()?.join_node(request)
    }

    fn check_node(&self, node: &NodeName) -> Result<()> {
        self.shared()?.check_node(node)
    }

    fn answer(&self, node: &NodeName, request: &NodeRequest) -> Result<HandlerAnswer> {
        let shared = self.shared()?;
        match request.name.as_str() {
            "wanted" => {
                let known: WantedRequest = parse(&request.body)?;
                let (_, state) = shared.wanted_at(node.location())?;
                if state.generation == known.generation {
                    return Ok(HandlerAnswer::NotYet);
                }
                to_answer(&state)
            }
            "access" => {
                let known: AccessRequest = parse(&request.body)?;
                match shared.access_at(node.location(), &known)? {
                    Some(state) => to_answer(&state),
                    None if known.url.is_none() => Ok(HandlerAnswer::Ready(Value::Null)),
                    None => Ok(HandlerAnswer::NotYet),
                }
            }
            "position" => to_answer(&shared.position_for(node.location(), &parse(&request.body)?)?),
            "report" => {
                let report: NodeReport = parse(&request.body)?;
                let (databases, _) = shared.wanted_at(node.location())?;
                let engine = PlacedEngine::new(shared.sqld()?.clone(), shared.nodes.remote.clone());
                let was_away = !shared.nodes.remote.is_current(node.location());
                let answer = engine.receive_report(node.location(), report, &databases);
                if was_away {
                    // What could not be done without this machine.
                    shared.keep_trying();
                }
                to_answer(&answer)
            }
            _ => Err(Error::new(
                Code::PathNotFound,
                format!(
                    "this version of torso does not know the request {:?} of nodes",
                    request.name
                ),
            )),
        }
    }

    fn authorize(&self, node: &NodeName, target: &StreamTarget) -> Result<StreamEnd> {
        let shared = self.shared()?;
        let (databases, state) = shared.wanted_at(node.location())?;
        let unwanted = || {
            Error::new(
                Code::Forbidden,
                format!("location {} has no replicas of pool {}", node.location(), target.pool),
            )
        };
        let pool = state.pools.get(&target.pool).ok_or_else(unwanted)?;
        let is_replica = pool.primary != node.location() && target.purpose == StreamPurpose::Log;
        if pool.organization != target.organization || !is_replica {
            return Err(unwanted());
        }
        target.check_epoch(pool.epoch)?;
        if shared.nodes.remote.has(&pool.primary) {
            return Ok(StreamEnd::Location(pool.primary.clone()));
        }
        let mut primaries = databases.iter().map(|database| &database.primary);
        let primary = primaries.find(|primary| primary.pool.as_ref() == Some(&target.pool));
        let address = shared.sqld()?.log_address(primary.ok_or_else(unwanted)?)?;
        Ok(StreamEnd::Here(address))
    }
}

fn parse<T: DeserializeOwned>(body: &Value) -> Result<T> {
    T::deserialize(body).map_err(|cause| {
        Error::new(Code::InvalidValue, "a request of a node cannot be understood")
            .caused_by(cause)
            .hint("install the same version of torso on all machines")
    })
}

fn to_answer(value: &impl serde::Serialize) -> Result<HandlerAnswer> {
    serde_json::to_value(value)
        .map(HandlerAnswer::Ready)
        .map_err(|cause| Error::new(Code::Internal, "an answer to a node cannot be written").caused_by(cause))
}
