//! The ports of the server's machine that lead to primaries on other machines: to their logs for replicas here, and to where they take
//! SQL for the gateway.

use crate::control::gateway_plane::{Endpoint, Listener};
use crate::control::hosted::Shared;
use crate::engine::Site;
use crate::engine::remote::{PrimaryWays, RemoteLocations, WantedPool};
use crate::error::{Code, Error, Result};
use crate::link::{ForwardedPort, StreamPurpose, StreamTarget};
use crate::sync::lock;
use std::collections::BTreeMap;
use std::sync::{Mutex, Weak};

/// The ports that are open, by pool and purpose.
#[derive(Default)]
pub(super) struct PrimaryPorts(Mutex<BTreeMap<(String, StreamPurpose), PrimaryPort>>);

struct PrimaryPort {
    port: ForwardedPort,
    listener: Listener,
}

/// Finds them for the engine of a plane.
pub(super) struct PlaneWays(pub Weak<Shared>);

impl PrimaryWays for PlaneWays {
    fn log_port(&self, primary: &Site) -> Result<u16> {
        let shared = self.0.upgrade();
        let shared = shared.ok_or_else(|| Error::new(Code::Unavailable, "the server is stopping"))?;
        let listener = shared.port_to(primary, StreamPurpose::Log)?;
        Ok(listener.address().port())
    }

    fn is_carrying(&self, primary: &Site) -> bool {
        let Some((shared, pool)) = self.0.upgrade().zip(primary.pool.clone()) else {
            return false;
        };
        let ports = lock(&shared.nodes.ports.0);
        ports
            .get(&(pool, StreamPurpose::Log))
            .is_some_and(|port| port.port.is_carrying())
    }
}

impl PrimaryPorts {
    /// Closes the ports of pools that are not among these.
    pub fn retain(&self, is_wanted: impl Fn(&str) -> bool) {
        lock(&self.0).retain(|(pool, _), _| is_wanted(pool));
    }
}

impl Shared {
    /// The port that leads to a primary on another machine, for the epoch that is in force.
    fn port_to(&self, primary: &Site, purpose: StreamPurpose) -> Result<Listener> {
        let location = &primary.location;
        let name = primary.pool.clone().unwrap_or_default();
        let unwanted = || {
            Error::new(
                Code::Unavailable,
                format!("database {} is not in {location} any more", primary.database_name()),
            )
        };
        let target = |pool: &WantedPool| {
            (pool.primary == *location).then(|| target_of(&self.nodes.remote, &name, pool, purpose))
        };
        // Each request of a client asks: what is known is not made anew.
        let target = match self.nodes.wanted.unchanged_pool(location, &name, target) {
            Some(target) => target,
            None => self.wanted_at(location)?.1.pools.get(&name).and_then(target),
        };
        let target = target.ok_or_else(unwanted)?;
        let link = &self.nodes.listening()?.server;
        let mut ports = lock(&self.nodes.ports.0);
        if let Some(known) = ports.get(&(name.clone(), purpose)) {
            known.port.repoint(target);
            return Ok(known.listener);
        }
        let port = link.forward(location, target)?;
        let listener = Listener::of_process(std::process::id(), port.address().port())
            .ok_or_else(|| Error::new(Code::Internal, "a port of this process cannot be found"))?;
        ports.insert((name, purpose), PrimaryPort { port, listener });
        Ok(listener)
    }

    /// Where a primary on another machine takes SQL, as seen from here.
    pub(in crate::control::hosted) fn endpoint_elsewhere(&self, primary: &Site) -> Result<Endpoint> {
        self.nodes.remote.check_serving(primary)?;
        let listener = self.port_to(primary, StreamPurpose::Sql)?;
        Ok(Endpoint {
            address: listener.address(),
            listener,
            host: format!("{}.localhost", primary.instance()),
        })
    }
}

/// What a stream to a pool of another machine says that it is for.
fn target_of(remote: &RemoteLocations, name: &str, pool: &WantedPool, purpose: StreamPurpose) -> StreamTarget {
    // All replicas here have one port, whichever of their locations it is for.
    let here = pool.followers.iter().find(|location| !remote.has(location));
    let location = match purpose {
        StreamPurpose::Log => here.unwrap_or(&pool.primary),
        StreamPurpose::Sql => &pool.primary,
    };
    StreamTarget {
        organization: pool.organization.clone(),
        pool: name.to_owned(),
        location: location.clone(),
        epoch: pool.epoch,
        purpose,
    }
}
