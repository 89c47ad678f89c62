//! What the gateway asks of the plane: where a label leads, what a token opens, how to reach a process. All of it is answered
//! from memory.

use super::database_tokens::ClockReading;
use super::{Endpoint, Engines, Export, Grant, Hosted, PendingWrite, Route};
use crate::control::tokens::Authorization;
use crate::error::{Code, Error, Result};
use crate::secret::Secret;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Hosted {
    /// The database or instance that a label leads to, also for a while after the database was renamed.
    #[must_use]
    pub fn route(&self, label: &str) -> Option<Arc<Route>> {
        self.shared.route(label)
    }

    /// The database that a token is for, whatever address it was sent to. None for a token that is not valid, or is for a
    /// whole group.
    #[must_use]
    pub fn route_of_token(&self, token: &str) -> Option<Arc<Route>> {
        let id = self.shared.token_authority.database_of(token)?;
        self.shared.hostnames.route_at(&id, None)
    }

    /// The public URL of a database that had a label before it moved to another organization, for the bearer of a token of
    /// that organization.
    #[must_use]
    pub fn moved_to(&self, label: &str, token: &str) -> Option<String> {
        self.shared.moved_to(label, token)
    }

    /// A consistent copy of a route's database, as a SQLite file. Whether the asker may read it is the caller's to check.
    pub fn export_route(&self, route: &Route) -> Result<Export> {
        self.shared.export_route(route)
    }

    /// Returns where a label leads, and what the bearer of a database token may do there. Fails with `unauthenticated` if
    /// the token opens nothing there, and with `database_not_found` if the database that it is for is no more; with the same
    /// error whether or not the label leads anywhere.
    pub fn authorize_label(&self, label: &str, token: &str) -> Result<(Arc<Route>, Grant)> {
        let route = self.route(label);
        let grant = self
            .shared
            .token_authority
            .authorize(token, route.as_deref())
            .map_err(|error| match self.shared.token_authority.database_of(token) {
                Some(id) if self.shared.hostnames.route_at(&id, None).is_none() => {
                    Error::new(Code::DatabaseNotFound, "the database of this token no longer exists")
                        .hint("torso db list")
                }
                _ => error,
            })?;
        let route = route.ok_or_else(|| Error::new(Code::Internal, "a token was accepted for no database"))?;
        Ok((route, grant))
    }

    /// What the bearer of a database token may do with a route's database. `unauthenticated` if nothing.
    pub fn authorize(&self, token: &str, route: &Route) -> Result<Grant> {
        self.shared.token_authority.authorize(token, Some(route))
    }

    /// A secret by which the gateway recognizes what it gave out, also before the server was started anew.
    #[must_use]
    pub fn stream_secret(&self) -> &[u8; 32] {
        &self.shared.stream_secret
    }

    /// Whether the route's organization stores more than it may: then nothing is added to its databases.
    #[must_use]
    pub fn is_over_quota(&self, route: &Route) -> bool {
        let state = self.shared.plane_pool.state(&route.organization_id);
        state.over_quota.load(Ordering::SeqCst)
    }

    /// Where the route's instance takes SQL. `unavailable` while it does not.
    pub fn endpoint(&self, route: &Route) -> Result<Endpoint> {
        if route.is_primary {
            return self.primary_endpoint(route);
        }
        if self.shared.nodes.has(&route.location) {
            let (database, location) = (&route.database, &route.location);
            return Err(Error::new(
                Code::Unsupported,
                format!("the replica of {database} in {location} is on another machine, where clients are not served"),
            )
            .hint(format!("use the database's own address: torso db show {database}")));
        }
        self.shared.sqld()?.endpoint(&route.site)
    }

    /// The same for its primary.
    pub fn primary_endpoint(&self, route: &Route) -> Result<Endpoint> {
        if self.shared.nodes.remote.has(&route.primary_site.location) {
            return self.shared.endpoint_elsewhere(&route.primary_site);
        }
        self.shared.sqld()?.endpoint(&route.primary_site)
    }

    /// Has the content of the route's instance read soon, because a statement has failed there as on a damaged file.
    pub fn suspect(&self, route: &Route) {
        if let Engines::Sqld(engine) = &self.shared.engine {
            engine.suspect(&route.site);
        }
    }

    /// The domain that the hosts of all databases are below; none where they are below paths of one host.
    #[must_use]
    pub fn domain(&self) -> Option<&str> {
        self.shared.public.domain.as_deref()
    }

    /// Looks at the file of the route's primary, because a statement has failed as on one that was lost. What is found is done
    /// something about, and told by the next answer.
    pub fn check_file(&self, route: &Route) {
        if let Engines::Sqld(engine) = &self.shared.engine {
            let _ = engine.check_file(&route.primary_site);
        }
    }

    /// The directory that everything of the server's is below.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.shared.dir
    }

    /// The token for the instance's process, valid for some minutes at least. It must not leave the server.
    pub fn internal_token(&self, route: &Route, authorization: Authorization) -> Result<Secret> {
        let engine = self.shared.sqld()?;
        self.shared
            .token_authority
            .internal(engine, &route.instance, authorization, ClockReading::now())
    }

    /// Has a new token made in place of one that a process has refused.
    pub fn forget_internal_token(&self, route: &Route, authorization: Authorization, refused: &str) {
        self.shared
            .token_authority
            .forget_internal(&route.instance, authorization, refused);
    }

    /// Lets a write to a route's database pass; none while its primary is being moved. The result is held until the write has
    /// been answered.
    #[must_use]
    pub fn enter_write(&self, route: &Route, in_transaction: bool) -> Option<PendingWrite> {
        self.shared.write_gate.enter(&route.id, in_transaction)
    }

    /// Counts a use of an instance, and bytes of its log that were sent to embedded replicas of clients.
    pub fn count(&self, route: &Arc<Route>, bytes_synced: u64) {
        self.shared.traffic.add(route, bytes_synced);
    }
}
