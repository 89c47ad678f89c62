//! What the operator changes of a server that runs: the locations that it offers, and how much it logs, and how often it
//! compares replicas.

use super::start::{known, remember_locations};
use super::{Hosted, Shared};
use crate::control::names::LocationCode;
use crate::control::server_configuration::{LogLevel, ServerConfiguration, ServerConfigurationPatch};
use crate::error::{Code, Error, Result};
use crate::sync::{lock, read, write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Has the log write as much as a level says.
pub type LogSwitch = Box<dyn Fn(LogLevel) + Send + Sync>;

/// How much is logged now, and what changes it; none where there is no log.
pub(super) type SharedLogLevel = Mutex<Option<(LogLevel, LogSwitch)>>;

impl Shared {
    /// The locations that the server offers; none for all.
    pub(super) fn offered_locations(&self) -> Option<Arc<[LocationCode]>> {
        read(&self.locations).clone()
    }

    pub(super) fn configuration(&self) -> Result<ServerConfiguration> {
        Ok(ServerConfiguration {
            locations: self.offered_locations().map(|codes| codes.to_vec()),
            log_level: lock(&self.log_level).as_ref().map(|(level, _)| *level),
            verify_every_seconds: self.verify_every().map(|every| every.as_secs()),
            warnings: self.warnings()?,
        })
    }

    /// Changes settings. They count at once; that of the log is not remembered.
    pub(super) fn configure(&self, patch: &ServerConfigurationPatch) -> Result<ServerConfiguration> {
        let log = |level: LogLevel| match &mut *lock(&self.log_level) {
            Some((current, switch)) => {
                switch(level);
                *current = level;
                Ok(())
            }
            None => Err(Error::new(Code::Unsupported, "this server has no log")),
        };
        if let Some(codes) = &patch.locations {
            known(codes)?;
            let offered = {
                let records = self.records();
                remember_locations(&records, codes)?
            };
            *write(&self.locations) = offered;
            let codes: Vec<&str> = codes.iter().map(LocationCode::as_str).collect();
            tracing::info!(locations = codes.join(","), "the server offers other locations");
        }
        if let Some(seconds) = patch.verify_every_seconds {
            self.set_verify_every((seconds > 0).then(|| Duration::from_secs(seconds)))?;
            tracing::info!(
                seconds,
                "replicas are compared with their primaries as often as is set now"
            );
        }
        patch.log_level.map_or(Ok(()), log)?;
        self.configuration()
    }
}

impl Hosted {
    /// Lets the operator change how much is logged.
    pub fn set_log_switch(&self, level: LogLevel, switch: LogSwitch) {
        *lock(&self.shared.log_level) = Some((level, switch));
    }
}
