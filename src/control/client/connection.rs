//! How a command reaches a database on a server.

use super::Client;
use crate::control::names::{DatabaseName, LocationCode};
use crate::control::tokens::Authorization;
use crate::control::types::{Connection, Instance, Role, not_writable, reads_blocked};
use crate::control::{DatabaseOperations as _, InstanceOperations as _, LocationOperations as _};
use crate::error::{Code, Error, Result};

impl Client {
    /// See [`ControlPlane::connection`]. With `to_write`, a caller who may only read is refused.
    pub(super) fn connect(
        &self,
        name: &DatabaseName,
        location: Option<&LocationCode>,
        to_write: bool,
    ) -> Result<Connection> {
        let listed = self.listed(name).cloned();
        let is_listed = listed.is_some();
        let database = listed.map_or_else(|| self.get_database(name), Ok)?;
        let (location, role, url) = match location {
            None => (database.primary.clone(), Role::Primary, database.url.clone()),
            Some(location) => {
                let instance = self.instance_at(name, location)?;
                (instance.location, instance.role, instance.url)
            }
        };
        if database.block_reads {
            return Err(reads_blocked(name));
        }
        url.check_for_token(self.http.base())?;
        let mut read_only_reason = if database.block_writes {
            Some(format!(
                "writes to {name} are blocked; torso db config set {name} block-writes off lifts it"
            ))
        } else {
            None
        };
        // Only for the message when a write is refused: it is the server that enforces it.
        let limit = if is_listed {
            None
        } else {
            self.get_configuration(name).ok()
        };
        let size_limit = limit
            .and_then(|found| found.size_limit.parse().ok())
            .filter(|bytes| *bytes > 0);
        if to_write && let Some(why) = &read_only_reason {
            return Err(not_writable(name, why));
        }
        let mut authorization = if read_only_reason.is_some() {
            Authorization::ReadOnly
        } else {
            Authorization::FullAccess
        };
        let token = match self.token_for(&database, authorization) {
            // A caller who may not write may still be allowed to read.
            Err(error)
                if !to_write && error.code() == Code::Forbidden && authorization == Authorization::FullAccess =>
            {
                authorization = Authorization::ReadOnly;
                let token = self.token_for(&database, authorization)?;
                read_only_reason = Some(format!("you may only read {name}: torso auth status shows who you are"));
                token
            }
            minted => minted?,
        };
        Ok(Connection {
            database: name.clone(),
            location,
            role,
            url,
            token: Some(token),
            renewal: Some(self.renewal(name, authorization)),
            read_only: read_only_reason.is_some(),
            read_only_reason,
            delete_protection: database.delete_protection,
            size_limit,
        })
    }

    /// The instance at a location, refreshed if it is behind.
    fn instance_at(&self, name: &DatabaseName, location: &LocationCode) -> Result<Instance> {
        let instances = self.list_instances(name)?;
        let Some(instance) = instances.into_iter().find(|instance| instance.location == *location) else {
            self.get_location(location)?;
            return Err(Error::new(
                Code::InstanceNotFound,
                format!("database {name} has no instance at {location}"),
            )
            .hint(format!("torso db replicas {name} shows where it is")));
        };
        if instance.state.is_behind() {
            match self.sync_database(name, Some(location)) {
                // A server without such a request refreshes its replicas by itself, and so does one for whoever may only read.
                Err(error) if super::is_unsupported(&error) || error.code() == Code::Forbidden => {}
                // Its primary is lost, or hangs. The replica answers all the same, as it is.
                Err(error) if matches!(error.code(), Code::DatabaseDamaged | Code::Unavailable | Code::Timeout) => {}
                synced => drop(synced?),
            }
        }
        Ok(instance)
    }
}
