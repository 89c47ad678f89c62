//! This machine as a gateway asks it: its own instances, by what its server said last. Reads are answered here; writes go to the primary
//! through the processes and the link.

use super::Node;
use super::known_access::{KnownAccess, NodeAccess};
use crate::control::gateway_plane::{
    ActivitySource, ClockReading, Endpoint, Export, GatewayPlane, Grant, InternalTokens, LogPosition, PendingWrite,
    PositionAnswer, PositionRequest, PrimaryAccess, Public, Route, WriteGate,
};
use crate::control::names::DatabaseId;
use crate::control::tokens::Authorization;
use crate::control::types::reads_blocked;
use crate::engine::sqld::SqldEngine;
use crate::error::{Code, Error, Result};
use crate::jwt::random_bytes;
use crate::secret::Secret;
use crate::sync::lock;
use serde::Deserialize as _;
use serde_json::json;
use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use url::Url;

/// How long what was asked of a primary is of use to anybody.
const REMEMBERED: Duration = Duration::from_secs(60);

/// How a machine serves clients.
#[derive(Debug, Clone)]
pub struct ServeSettings {
    pub public: Public,
    /// Once what it knows is so old, it refuses clients.
    pub max_key_age: Duration,
}

/// The plane of a machine's gateway.
pub struct NodePlane {
    node: Arc<Node>,
    access: Arc<NodeAccess>,
    public: Public,
    stream_secret: [u8; 32],
    internal: InternalTokens,
    gate: Arc<WriteGate>,
    /// Where logs ended at their primaries, by instance, and when that was asked.
    primary_positions: Mutex<HashMap<String, (Instant, LogPosition)>>,
}

impl NodePlane {
    pub(super) fn new(node: Arc<Node>, access: Arc<NodeAccess>, public: Public) -> Result<Self> {
        Ok(Self {
            node,
            access,
            public,
            // Streams end with their processes, and those with this one.
            stream_secret: random_bytes()?,
            internal: InternalTokens::default(),
            gate: Arc::default(),
            primary_positions: Mutex::default(),
        })
    }

    /// The code of the location, and the address of its server.
    #[must_use]
    pub fn location(&self) -> &str {
        &self.node.location
    }

    /// The age of what this machine knows; none where it knows nothing.
    #[must_use]
    pub fn key_age(&self) -> Option<Duration> {
        self.access.age()
    }

    /// Beyond which age it refuses clients.
    #[must_use]
    pub fn max_key_age(&self) -> Duration {
        self.access.max_age
    }

    /// Whether there is a connection to the server.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.node.link.status().connected_since.is_some()
    }

    /// How many instances it serves.
    #[must_use]
    pub fn instances(&self) -> usize {
        self.access.known().map_or(0, |known| known.state.instances.len())
    }

    /// Fails, with a reason, while clients are not served.
    pub fn check_ready(&self) -> Result<()> {
        self.access.check_age().map(drop)
    }

    /// Ends the processes, within 10 seconds, for good.
    pub fn shutdown(&self) {
        self.engine().shutdown();
    }

    fn engine(&self) -> &SqldEngine {
        self.node.engine.engine()
    }

    /// Where the log of a route's database ends at its primary, as its server says.
    fn ask_position(&self, route: &Route) -> Result<Option<LogPosition>> {
        let request = json!(PositionRequest { id: route.id.clone() });
        let answer = self.node.link.request("position", &request)?;
        let answer = PositionAnswer::deserialize(answer)
            .map_err(|cause| Error::new(Code::InvalidValue, "the server's position is none").caused_by(cause))?;
        Ok(answer.position.and_then(|text| text.parse().ok()))
    }

    /// The error for a token that opens a database here, and was sent to the address of another instance of it.
    fn misdirected(known: &KnownAccess, label: &str, token: &str) -> Option<Error> {
        let (route, instance) = known.namesake(label)?;
        known.verifier.authorize(token, Some(&route)).ok()?;
        Some(Error::new(
            Code::InstanceNotFound,
            format!(
                "this machine serves {} and no other instance of {}; the database's own address is {}",
                route.label, route.database, instance.url
            ),
        ))
    }

    /// Fails for a primary: all its statements go through the server, which so can promote another instance.
    fn check_replica(route: &Route) -> Result<()> {
        if route.is_primary {
            return Err(Self::only_at_the_server(route, "serve the primary of"));
        }
        Ok(())
    }

    /// The error of what is only done by the server.
    fn only_at_the_server(route: &Route, what: &str) -> Error {
        let (database, location) = (&route.database, &route.location);
        Error::new(
            Code::Unsupported,
            format!("location {location} is on a machine of its own, which does not {what} {database}"),
        )
        .hint(format!("use the database's own address: torso db show {database}"))
    }
}

impl GatewayPlane for NodePlane {
    fn route(&self, label: &str) -> Option<Arc<Route>> {
        self.access.known()?.route(label)
    }

    fn route_of_token(&self, token: &str) -> Option<Arc<Route>> {
        let known = self.access.known()?;
        known.route_of(&known.verifier.database_of(token)?)
    }

    fn moved_to(&self, _label: &str, _token: &str) -> Option<String> {
        None
    }

    fn replicas(&self, id: &DatabaseId) -> Vec<Arc<Route>> {
        let route = self.access.known().and_then(|known| known.route_of(id));
        route.into_iter().filter(|route| !route.is_primary).collect()
    }

    fn authorize_label(&self, label: &str, token: &str) -> Result<(Arc<Route>, Grant)> {
        let known = self.access.check_age()?;
        let route = known.route(label);
        let granted = known.verifier.authorize(token, route.as_deref());
        let grant = granted.map_err(|error| match route {
            None => Self::misdirected(&known, label, token).unwrap_or(error),
            Some(_) => error,
        })?;
        let route = route.ok_or_else(|| Error::new(Code::Internal, "a token was accepted for no database"))?;
        Ok((route, grant))
    }

    fn authorize(&self, token: &str, route: &Route) -> Result<Grant> {
        self.access.check_age()?.verifier.authorize(token, Some(route))
    }

    fn open_token(&self) -> Option<&str> {
        None
    }

    fn export_route(&self, route: &Route) -> Result<Export> {
        Err(Self::only_at_the_server(route, "export"))
    }

    fn stream_secret(&self) -> &[u8; 32] {
        &self.stream_secret
    }

    fn is_over_quota(&self, route: &Route) -> bool {
        let known = self.access.known();
        known.is_some_and(|known| known.state.over_quota.contains(&route.organization_id))
    }

    fn endpoint(&self, route: &Route) -> Result<Endpoint> {
        Self::check_replica(route)?;
        // A replica's process knows it from its primary, a copy without one does not.
        if route.block_reads {
            return Err(reads_blocked(&route.database));
        }
        // A process that was started without its primary opens nothing, and does not say so.
        if !self.access.was_reached.load(Ordering::SeqCst) && !self.engine().serves_without_primary(&route.site) {
            let (database, location) = (&route.database, &route.location);
            return Err(Error::new(
                Code::Unavailable,
                format!("the replica of {database} in {location} is being opened"),
            )
            .hint("try again in a moment"));
        }
        self.engine().endpoint(&route.site)
    }

    fn primary_access(&self, route: &Route) -> Result<PrimaryAccess> {
        Self::check_replica(route)?;
        if self.is_connected() {
            return Ok(PrimaryAccess::Elsewhere);
        }
        let (database, location, primary) = (&route.database, &route.location, &route.primary_location);
        Err(Error::new(
            Code::Unavailable,
            format!(
                "the primary of {database} in {primary} cannot be reached from {location}; nothing was written, reads go on"
            ),
        ))
    }

    fn suspect(&self, route: &Route) {
        self.engine().suspect(&route.site);
    }

    /// Its primary is looked after by the machine that has it.
    fn check_file(&self, _route: &Route) {}

    fn internal_token(&self, route: &Route, authorization: Authorization) -> Result<Secret> {
        let now = ClockReading::now();
        self.internal
            .internal(self.engine(), &route.instance, authorization, now)
    }

    fn forget_internal_token(&self, route: &Route, authorization: Authorization, refused: &str) {
        self.internal.forget_internal(&route.instance, authorization, refused);
    }

    fn enter_write(&self, route: &Route, in_transaction: bool) -> Result<Option<PendingWrite>> {
        self.primary_access(route)?;
        Ok(self.gate.enter(&route.id, in_transaction))
    }

    /// Usage is the server's to count, and it does not count what is used elsewhere.
    fn count(&self, _route: &Arc<Route>, _bytes_synced: u64) {}

    fn asks_elsewhere(&self) -> bool {
        true
    }

    fn written_position(&self, route: &Route) -> Option<LogPosition> {
        self.ask_position(route).ok().flatten()
    }

    fn has_position(&self, route: &Route, wanted: &LogPosition, since: Instant) -> bool {
        let Some(own) = self.engine().frame(&route.site) else {
            return false;
        };
        let known = lock(&self.primary_positions).get(&route.instance).copied();
        let primary = known.filter(|(at, _)| *at >= since).map(|(_, position)| position);
        wanted.is_reached(route.site.epoch, own, primary.map(|position| position.frame()))
    }

    fn follow(&self, route: &Route) {
        self.engine().ask_replica(&route.site);
        let began = Instant::now();
        if let Ok(Some(position)) = self.ask_position(route) {
            let mut known = lock(&self.primary_positions);
            known.retain(|_, (at, _)| at.elapsed() < REMEMBERED);
            known.insert(route.instance.clone(), (began, position));
        }
    }

    /// Nobody asks a node how its databases are used.
    fn set_activity_source(&self, _source: Box<dyn ActivitySource>) {}

    fn url(&self) -> &Url {
        &self.public.base
    }

    fn domain(&self) -> Option<&str> {
        self.public.domain.as_deref()
    }

    fn data_dir(&self) -> &Path {
        &self.node.dir
    }
}
