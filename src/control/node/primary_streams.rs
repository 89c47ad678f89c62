//! The streams that a server opens to the primaries of a node: which are allowed, and where they lead.

use crate::engine::remote::{NodeEngine, WantedState};
use crate::error::{Code, Error, Result};
use crate::link::{StreamHandler, StreamPort, StreamPurpose, StreamTarget};
use std::sync::Arc;

/// Allows what is wanted here.
pub(super) struct PrimaryStreams(pub Arc<NodeEngine>);

impl StreamHandler for PrimaryStreams {
    fn authorize(&self, target: &StreamTarget) -> Result<StreamPort> {
        let wanted = self.0.wanted();
        check_stream(&wanted, self.0.location(), target)?;
        let instance = wanted
            .pools
            .get(&target.pool)
            .and_then(|pool| pool.instances.keys().next());
        let instance = instance.ok_or_else(|| Error::new(Code::Forbidden, "the pool has no databases"))?;
        let primary = self.0.site(&target.pool, instance);
        let engine = self.0.engine();
        Ok(match target.purpose {
            // The process proves itself to its replicas.
            StreamPurpose::Log => StreamPort {
                address: engine.log_address(&primary)?,
                is_right: Box::new(|| true),
            },
            StreamPurpose::Sql => {
                let listener = engine.sql_listener(&primary)?;
                StreamPort {
                    address: listener.address(),
                    is_right: Box::new(move || listener.is_listening()),
                }
            }
        })
    }
}

/// Fails unless what is wanted at a location has the primaries that a stream is for, in its epoch, and the replicas at its end.
pub(super) fn check_stream(wanted: &WantedState, location: &str, target: &StreamTarget) -> Result<()> {
    let forbidden = || {
        Error::new(
            Code::Forbidden,
            format!("location {location} has no primaries of pool {}", target.pool),
        )
    };
    let pool = wanted.pools.get(&target.pool).filter(|pool| pool.primary == location);
    let pool = pool.ok_or_else(forbidden)?;
    let is_known = match target.purpose {
        StreamPurpose::Log => pool.followers.contains(&target.location),
        StreamPurpose::Sql => target.location == location,
    };
    if pool.organization != target.organization || !is_known {
        return Err(forbidden());
    }
    target.check_epoch(pool.epoch)
}
