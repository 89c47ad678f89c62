//! What each location on another machine has to know to serve clients: made of what the gateway of this machine uses, again when that
//! may have changed.

use crate::checksum::hex;
use crate::control::gateway_plane::{AccessRequest, AccessState, InstanceAccess, PositionAnswer, PositionRequest};
use crate::control::hosted::change_counter::ChangeCounter;
use crate::control::hosted::{Shared, new_id};
use crate::control::names::LocationCode;
use crate::error::{Code, Error, Result};
use crate::link::LinkServer;
use crate::sync::lock;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Mutex, Weak};
use std::time::{Duration, Instant};

/// How long what was read is used, were a change not signalled.
const OLDEST: Duration = Duration::from_secs(30);

/// What locations had to know when that was read last, and what they have said.
pub(in crate::control::hosted) struct AccessStates {
    /// Names this run: generations begin anew with each.
    run: String,
    pub changes: ChangeCounter,
    states: Mutex<BTreeMap<String, ReadAccess>>,
    contacts: Mutex<BTreeMap<String, AccessContact>>,
}

struct ReadAccess {
    /// How often it may have changed before it was read, and when that was.
    changes: u64,
    at: Instant,
    state: AccessState,
}

/// The last request of a machine that serves clients.
#[derive(Debug, Clone)]
pub(in crate::control::hosted) struct AccessContact {
    pub at: Timestamp,
    /// Beyond which age of what it knows it refuses clients.
    pub max_key_age: Duration,
}

impl AccessStates {
    pub fn new(changes: ChangeCounter) -> Self {
        Self {
            run: new_id(),
            changes,
            states: Mutex::default(),
            contacts: Mutex::default(),
        }
    }

    /// When the machine of a location has last asked; none if it serves no clients, or was not heard of since the server's start.
    pub fn last_contact(&self, location: &str) -> Option<AccessContact> {
        lock(&self.contacts).get(location).cloned()
    }

    /// Forgets the machine of a location.
    pub fn forget(&self, location: &str) {
        lock(&self.contacts).remove(location);
        lock(&self.states).remove(location);
    }
}

/// Has machines that wait for news get them, for as long as the listener is there.
pub(super) fn announce_changes(changes: &ChangeCounter, server: &Weak<LinkServer>) {
    let mut seen = 0;
    loop {
        seen = changes.await_change(seen, OLDEST);
        match server.upgrade() {
            Some(server) => server.notify(),
            None => return,
        }
    }
}

impl Shared {
    /// What a location has to know now; none if its machine has all of it.
    pub(super) fn access_at(&self, location: &str, request: &AccessRequest) -> Result<Option<AccessState>> {
        let access = &self.nodes.access;
        self.note_node_clients(location, request)?;
        if request.url.is_none() {
            access.forget(location);
            return Ok(None);
        }
        lock(&access.contacts).insert(
            location.to_owned(),
            AccessContact {
                at: Timestamp::now(),
                max_key_age: Duration::from_secs(request.max_key_age),
            },
        );
        let mut states = lock(&access.states);
        let changes = access.changes.count();
        let known = states.get(location);
        let is_current = |read: &&ReadAccess| read.changes == changes && read.at.elapsed() < OLDEST;
        if known.filter(is_current).is_none() {
            let last = known.map_or(0, |known| known.state.generation);
            let mut state = self.read_access(location, last)?;
            if known.is_none_or(|known| known.state != state) {
                state.generation = last + 1;
            }
            let read = ReadAccess {
                changes,
                at: Instant::now(),
                state,
            };
            states.insert(location.to_owned(), read);
        }
        let Some(read) = states.get(location) else {
            return Ok(None);
        };
        let is_of_run = request.run == access.run;
        let revoked_before = if is_of_run { request.revoked } else { 0 };
        let revoked = self.token_authority.verifier.ended_after(revoked_before);
        if is_of_run && request.generation == read.state.generation && revoked.is_empty() {
            return Ok(None);
        }
        Ok(Some(AccessState {
            revoked_before,
            revoked,
            ..read.state.clone()
        }))
    }

    /// All but the revoked tokens.
    fn read_access(&self, location: &str, generation: u64) -> Result<AccessState> {
        let code: LocationCode = location.parse()?;
        let here = self
            .hostnames
            .instances()
            .into_iter()
            .filter(|route| route.location == code);
        let mut instances = BTreeMap::new();
        for route in here {
            let default = self.hostnames.route_at(&route.id, None);
            let url = default
                .map(|default| self.public.url(&default.label))
                .unwrap_or_default();
            if let Some(instance) = InstanceAccess::of(&route, url) {
                instances.insert(route.instance.clone(), instance);
            }
        }
        let organizations = instances.values().map(|instance| instance.organization_id.clone());
        Ok(AccessState {
            run: self.nodes.access.run.clone(),
            generation,
            key: hex(self.token_authority.verifier.key().bytes()),
            revoked_before: 0,
            revoked: Vec::new(),
            over_quota: organizations.filter(|id| self.is_over_quota(id)).collect(),
            former_labels: self.former_labels.at(&code),
            instances,
        })
    }

    /// Where the log of a database ends now, for a location that has an instance of it.
    pub(super) fn position_for(&self, location: &str, request: &PositionRequest) -> Result<PositionAnswer> {
        let code: LocationCode = location.parse()?;
        let route = self.hostnames.route_at(&request.id, Some(&code)).ok_or_else(|| {
            Error::new(
                Code::DatabaseNotFound,
                format!("location {location} has no instance of that database"),
            )
        })?;
        let position = self.written_position(&route);
        Ok(PositionAnswer {
            position: position.map(|position| position.to_string()),
        })
    }
}
