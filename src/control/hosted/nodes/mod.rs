//! Locations on other machines, as their server sees them. Who may be which is in `membership`, what each is to run in `wanted`, and
//! what it is answered over the link in `handler`. What it has to know to serve clients is in `access`. `check` is what `torso doctor` says of them.

mod access_states;
mod check;
mod handler;
mod membership;
mod primary_ports;
mod wanted;

pub use membership::join_token_fingerprint;

use super::change_counter::ChangeCounter;
use super::store::{AccountStore, NodeRow};
use super::{Hosted, Shared};
use crate::control::names::LocationCode;
use crate::control::node_status::{NodeState, NodeStatus};
use crate::engine::remote::{RemoteLocations, WantedState};
use crate::error::{Code, Error, Result};
use crate::link::{Authority, LinkServer};
use crate::sync::lock;
use access_states::{AccessStates, announce_changes};
use handler::NodeHandler;
use primary_ports::{PlaneWays, PrimaryPorts};
use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use wanted::WantedStates;

/// The directory of the link's authority, in the server's data directory.
const AUTHORITY_DIR: &str = "nodes";

/// What the plane knows of locations on other machines.
pub(super) struct Nodes {
    /// What they have reported.
    pub remote: RemoteLocations,
    rows: Mutex<BTreeMap<LocationCode, NodeRow>>,
    /// Held while it is decided who is a location, and recorded.
    membership: Mutex<()>,
    wanted: Arc<WantedStates>,
    ports: PrimaryPorts,
    pub(super) access: AccessStates,
    /// None where the server does not listen for them.
    listening: OnceLock<ListeningLink>,
}

struct ListeningLink {
    server: Arc<LinkServer>,
    authority: Arc<Authority>,
    /// Where nodes reach it: HOST:PORT.
    address: String,
}

impl Nodes {
    /// `changes` are those of what a gateway has to know.
    pub fn open(records: &AccountStore, changes: ChangeCounter) -> Result<Self> {
        let nodes = Self {
            remote: RemoteLocations::default(),
            rows: Mutex::default(),
            membership: Mutex::default(),
            wanted: Arc::default(),
            ports: PrimaryPorts::default(),
            access: AccessStates::new(changes),
            listening: OnceLock::new(),
        };
        for row in records.nodes()? {
            nodes.remote.add(row.location.as_str());
            lock(&nodes.rows).insert(row.location.clone(), row);
        }
        Ok(nodes)
    }

    /// Whether a location is on another machine.
    pub fn has(&self, location: &LocationCode) -> bool {
        self.remote.has(location.as_str())
    }

    /// The locations on other machines, ordered by code.
    pub fn locations(&self) -> Vec<LocationCode> {
        lock(&self.rows).keys().cloned().collect()
    }

    /// Ends the streams of a location that are for what is not wanted there any more, or for another epoch of it.
    fn end_unwanted_streams(&self, location: &str, state: &WantedState) {
        let Some(listening) = self.listening.get() else { return };
        listening.server.end_streams(|node, target| {
            let is_wanted = state
                .pools
                .get(&target.pool)
                .is_some_and(|pool| pool.organization == target.organization && pool.epoch == target.epoch);
            node.location() == location && !is_wanted
        });
    }

    fn listening(&self) -> Result<&ListeningLink> {
        self.listening.get().ok_or_else(|| {
            Error::new(Code::Unsupported, "this server does not listen for other machines")
                .hint("start it with torso server --node-listen 0.0.0.0:8081 --node-address HOST:8081")
        })
    }
}

impl Hosted {
    /// Listens for the machines of locations, which reach it at `address` (`HOST:PORT`).
    pub fn listen_for_nodes(&self, listener: TcpListener, address: String) -> Result<()> {
        let shared = &self.shared;
        let authority = Arc::new(Authority::open(&shared.dir.join(AUTHORITY_DIR))?);
        let handler = Arc::new(NodeHandler::new(shared));
        let server = Arc::new(LinkServer::start(listener, Arc::clone(&authority), handler)?);
        let wanted = Arc::clone(&shared.nodes.wanted);
        shared.nodes.remote.on_change(move || wanted.mark_changed());
        let ways = PlaneWays(Arc::downgrade(shared));
        shared.nodes.remote.set_ways(Arc::new(ways));
        let (plane, wanted, listening) = (
            Arc::downgrade(shared),
            Arc::clone(&shared.nodes.wanted),
            Arc::downgrade(&server),
        );
        std::thread::Builder::new()
            .name("nodes".to_owned())
            .spawn(move || follow_changes(&plane, &wanted, &listening))
            .map_err(|error| Error::io(error, "cannot start a thread"))?;
        let (changes, announcing) = (shared.nodes.access.changes.clone(), Arc::downgrade(&server));
        std::thread::Builder::new()
            .name("node-access".to_owned())
            .spawn(move || announce_changes(&changes, &announcing))
            .map_err(|error| Error::io(error, "cannot start a thread"))?;
        let _ = shared.nodes.listening.set(ListeningLink {
            server,
            authority,
            address,
        });
        Ok(())
    }

    /// The state of each location on another machine, ordered by code.
    #[must_use]
    pub fn node_statuses(&self) -> Vec<NodeStatus> {
        self.shared.node_statuses()
    }

    /// The locations of other machines that cannot be reached, because the server does not listen for them.
    #[must_use]
    pub fn unreachable_nodes(&self) -> Vec<LocationCode> {
        if self.shared.nodes.listening.get().is_some() {
            return Vec::new();
        }
        lock(&self.shared.nodes.rows).keys().cloned().collect()
    }
}

/// Reads what is wanted whenever that may be another thing, for as long as the plane is there. So streams for what is not wanted any
/// more end whether or not their machine asks, and machines that wait for news get them.
fn follow_changes(plane: &Weak<Shared>, wanted: &WantedStates, server: &Weak<LinkServer>) {
    let mut seen = 0;
    loop {
        seen = wanted.await_change(seen);
        let (Some(shared), Some(server)) = (plane.upgrade(), server.upgrade()) else {
            return;
        };
        let (mut pools, mut is_whole) = (BTreeSet::new(), true);
        for location in shared.nodes.locations() {
            match shared.wanted_at(location.as_str()) {
                Ok((_, state)) => {
                    is_whole &= !state.is_partial;
                    pools.extend(state.pools.into_keys());
                }
                Err(error) => {
                    is_whole = false;
                    tracing::warn!(%location, cause = error.full_message(), "what is wanted elsewhere cannot be read");
                }
            }
        }
        // What is not known stays as it is.
        if is_whole {
            shared.nodes.ports.retain(|pool| pools.contains(pool));
        }
        server.notify();
    }
}

impl Shared {
    /// The state of each location on another machine, ordered by code.
    pub(super) fn node_statuses(&self) -> Vec<NodeStatus> {
        let rows: Vec<NodeRow> = lock(&self.nodes.rows).values().cloned().collect();
        rows.into_iter().map(|row| self.node_status(row)).collect()
    }

    fn node_status(&self, row: NodeRow) -> NodeStatus {
        let last = self.nodes.remote.last_report(row.location.as_str());
        let state = match (&row.node, &last) {
            (None, _) => NodeState::Waiting,
            (Some(_), Some(last)) if last.is_current() => NodeState::Connected,
            (Some(_), _) => NodeState::Away,
        };
        let report = last.as_ref().map(|last| &last.report);
        let contact = self.nodes.access.last_contact(row.location.as_str());
        let clients = row.node.as_ref().and_then(|machine| machine.clients.as_ref());
        NodeStatus {
            url: clients.map(|clients| clients.url.clone()),
            keys_confirmed_at: contact.as_ref().map(|contact| contact.at),
            max_key_age_seconds: contact.as_ref().map(|contact| contact.max_key_age.as_secs()),
            state,
            advertise: row.node.as_ref().map(|machine| machine.advertise.clone()),
            joined_at: row.node.as_ref().map(|machine| machine.joined_at),
            last_contact_at: last.as_ref().map(|last| last.received_at),
            version: report.map(|report| report.version.clone()),
            engine_version: report.map(|report| report.engine_version.clone()),
            free_bytes: report.and_then(|report| report.free_bytes),
            instances: report.map(|report| u64::try_from(report.instances.len()).unwrap_or(u64::MAX)),
            up_to_date: report.map(|report| report.generation == self.nodes.wanted.generation(row.location.as_str())),
            location: row.location,
        }
    }
}
