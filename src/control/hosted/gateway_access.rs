//! The plane as a gateway asks it: for all databases, except those instances that are on other machines.

use super::{Engines, Hosted, Shared};
use crate::control::gateway_plane::{
    ActivitySource, ClockReading, Endpoint, Export, GatewayPlane, Grant, LogPosition, PendingWrite, PrimaryAccess,
    Route,
};
use crate::control::names::DatabaseId;
use crate::control::tokens::Authorization;
use crate::error::{Code, Error, Result};
use crate::secret::Secret;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use url::Url;

impl GatewayPlane for Hosted {
    fn route(&self, label: &str) -> Option<Arc<Route>> {
        self.shared.route(label)
    }

    fn route_of_token(&self, token: &str) -> Option<Arc<Route>> {
        let id = self.shared.token_authority.verifier.database_of(token)?;
        self.shared.hostnames.route_at(&id, None)
    }

    fn moved_to(&self, label: &str, token: &str) -> Option<String> {
        self.shared.moved_to(label, token)
    }

    fn export_route(&self, route: &Route) -> Result<Export> {
        self.shared.export_route(route)
    }

    fn authorize_label(&self, label: &str, token: &str) -> Result<(Arc<Route>, Grant)> {
        let route = self.route(label);
        let grant = self
            .shared
            .token_authority
            .verifier
            .authorize(token, route.as_deref())
            .map_err(|error| match self.shared.token_authority.verifier.database_of(token) {
                Some(id) if self.shared.hostnames.route_at(&id, None).is_none() => {
                    Error::new(Code::DatabaseNotFound, "the database of this token no longer exists")
                        .hint("torso db list")
                }
                _ => error,
            })?;
        let route = route.ok_or_else(|| Error::new(Code::Internal, "a token was accepted for no database"))?;
        Ok((route, grant))
    }

    fn authorize(&self, token: &str, route: &Route) -> Result<Grant> {
        self.shared.token_authority.verifier.authorize(token, Some(route))
    }

    fn stream_secret(&self) -> &[u8; 32] {
        &self.shared.stream_secret
    }

    fn is_over_quota(&self, route: &Route) -> bool {
        self.shared.is_over_quota(&route.organization_id)
    }

    fn endpoint(&self, route: &Route) -> Result<Endpoint> {
        if route.is_primary {
            return self.primary_endpoint(route);
        }
        if self.shared.nodes.has(&route.location) {
            return Err(self.shared.served_elsewhere(route));
        }
        self.shared.sqld()?.endpoint(&route.site)
    }

    fn primary_access(&self, route: &Route) -> Result<PrimaryAccess> {
        self.primary_endpoint(route).map(PrimaryAccess::Here)
    }

    fn suspect(&self, route: &Route) {
        if let Engines::Sqld(engine) = &self.shared.engine {
            engine.suspect(&route.site);
        }
    }

    fn domain(&self) -> Option<&str> {
        self.shared.public.domain.as_deref()
    }

    fn check_file(&self, route: &Route) {
        if let Engines::Sqld(engine) = &self.shared.engine {
            let _ = engine.check_file(&route.primary_site);
        }
    }

    fn data_dir(&self) -> &Path {
        &self.shared.dir
    }

    fn internal_token(&self, route: &Route, authorization: Authorization) -> Result<Secret> {
        let engine = self.shared.sqld()?;
        self.shared
            .token_authority
            .internal
            .internal(engine, &route.instance, authorization, ClockReading::now())
    }

    fn forget_internal_token(&self, route: &Route, authorization: Authorization, refused: &str) {
        self.shared
            .token_authority
            .internal
            .forget_internal(&route.instance, authorization, refused);
    }

    fn enter_write(&self, route: &Route, in_transaction: bool) -> Result<Option<PendingWrite>> {
        Ok(self.shared.write_gate.enter(&route.id, in_transaction))
    }

    fn count(&self, route: &Arc<Route>, bytes_synced: u64) {
        self.shared.traffic.add(route, bytes_synced);
    }

    fn asks_elsewhere(&self) -> bool {
        false
    }

    fn written_position(&self, route: &Route) -> Option<LogPosition> {
        self.shared.written_position(route)
    }

    fn has_position(&self, route: &Route, wanted: &LogPosition, _since: Instant) -> bool {
        let Ok(engine) = self.shared.sqld() else { return false };
        // The primary's first: what comes after that is not asked for.
        let primary = engine.frame(&route.primary_site);
        let own = engine.frame(&route.site);
        own.is_some_and(|own| wanted.is_reached(route.site.epoch, own, primary))
    }

    fn replicas(&self, id: &DatabaseId) -> Vec<Arc<Route>> {
        // Those on other machines serve no clients here.
        let mut replicas = self.shared.hostnames.replicas(id);
        replicas.retain(|route| !self.shared.nodes.has(&route.location));
        replicas
    }

    fn follow(&self, route: &Route) {
        if let Ok(engine) = self.shared.sqld() {
            engine.ask_replica(&route.site);
        }
    }

    fn set_activity_source(&self, source: Box<dyn ActivitySource>) {
        let _ = self.shared.activity.set(source);
    }

    fn open_token(&self) -> Option<&str> {
        self.sole_database()?.open_token.as_ref().map(Secret::expose)
    }

    fn url(&self) -> &Url {
        &self.shared.public.base
    }
}

impl Hosted {
    /// Where the primary of a route's database takes SQL, also through the link.
    fn primary_endpoint(&self, route: &Route) -> Result<Endpoint> {
        if self.shared.nodes.remote.has(&route.primary_site.location) {
            return self.shared.endpoint_elsewhere(&route.primary_site);
        }
        self.shared.sqld()?.endpoint(&route.primary_site)
    }
}

impl Shared {
    /// The error for a request to an instance on another machine.
    fn served_elsewhere(&self, route: &Route) -> Error {
        let (database, location) = (&route.database, &route.location);
        match self.node_address(location) {
            Some(address) => Error::new(
                Code::Unsupported,
                format!(
                    "the replica of {database} in {location} is on another machine, which serves it at {}",
                    address.url(&route.label)
                ),
            ),
            None => Error::new(
                Code::Unsupported,
                format!("the replica of {database} in {location} is on another machine, where clients are not served"),
            )
            .hint(format!("use the database's own address: torso db show {database}")),
        }
    }

    /// Where the log of a route's database ends at its primary; none while that is not known.
    pub(super) fn written_position(&self, route: &Route) -> Option<LogPosition> {
        let frame = self.sqld().ok()?.frame(&route.primary_site)?;
        Some(LogPosition::new(route.primary_site.epoch, frame))
    }
}
