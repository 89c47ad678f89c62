//! What a gateway asks of its plane: where a label leads, what a token opens, how to reach a process. All of it is answered from
//! memory, if nothing else is said.
//!
//! A server's plane implements it for all databases (`hosted`), and a machine that is a location for its own replicas (`node`).

mod access_state;
mod export;
mod internal_tokens;
mod log_position;
mod public;
mod route;
mod token_verifier;
mod write_gate;

pub use crate::engine::process::Listener;
pub use crate::engine::sqld::Endpoint;
pub use access_state::{AccessRequest, AccessState, InstanceAccess, PositionAnswer, PositionRequest};
pub use export::Export;
pub use internal_tokens::{ClockReading, InternalTokens};
pub use log_position::LogPosition;
pub use public::Public;
pub use route::{Route, label};
pub use token_verifier::{AccessClaim, Claims, Grant, ISSUER, TokenVerifier};
pub use write_gate::{PendingWrite, WriteGate};

use crate::control::names::{DatabaseId, LocationCode};
use crate::control::tokens::Authorization;
use crate::control::types::DatabaseActivity;
use crate::error::Result;
use crate::secret::Secret;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use url::Url;

/// Who knows how databases are used now.
pub trait ActivitySource: Send + Sync {
    /// How applications use a database; none where they do not.
    fn activity(&self, id: &DatabaseId) -> Option<DatabaseActivity>;

    /// Open streams and sockets of clients at an instance of a database.
    fn connections(&self, id: &DatabaseId, location: &LocationCode) -> u64;
}

/// The way to the primary of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrimaryAccess {
    /// Its process is on this machine.
    Here(Endpoint),
    /// It is on another machine, which the processes of this one reach by themselves.
    Elsewhere,
}

/// What a gateway asks of its plane.
pub trait GatewayPlane: Send + Sync {
    /// The database or instance that a label leads to, also for a while after the database was renamed.
    fn route(&self, label: &str) -> Option<Arc<Route>>;

    /// The database that a token is for, whatever address it was sent to. None for a token that is not valid, or is for a
    /// whole group.
    fn route_of_token(&self, token: &str) -> Option<Arc<Route>>;

    /// The public URL of a database that had a label before it moved to another organization, for the bearer of a token of
    /// that organization.
    fn moved_to(&self, label: &str, token: &str) -> Option<String>;

    /// The routes of a database's replicas whose positions are known here.
    fn replicas(&self, id: &DatabaseId) -> Vec<Arc<Route>>;

    /// Returns where a label leads, and what the bearer of a database token may do there. Fails with `unauthenticated` if
    /// the token opens nothing there, and with `database_not_found` if the database that it is for is no more; with the same
    /// error whether or not the label leads anywhere.
    fn authorize_label(&self, label: &str, token: &str) -> Result<(Arc<Route>, Grant)>;

    /// What the bearer of a database token may do with a route's database. `unauthenticated` if nothing.
    fn authorize(&self, token: &str, route: &Route) -> Result<Grant>;

    /// The token of every request, where none has to bring one.
    fn open_token(&self) -> Option<&str>;

    /// A consistent copy of a route's database, as a SQLite file. Whether the asker may read it is the caller's to check. Blocks.
    fn export_route(&self, route: &Route) -> Result<Export>;

    /// A secret by which the gateway recognizes what it gave out.
    fn stream_secret(&self) -> &[u8; 32];

    /// Whether the route's organization stores more than it may: then nothing is added to its databases.
    fn is_over_quota(&self, route: &Route) -> bool;

    /// Where the route's instance takes SQL. `unavailable` while it does not.
    fn endpoint(&self, route: &Route) -> Result<Endpoint>;

    /// The way to its primary. `unavailable` while there is none.
    fn primary_access(&self, route: &Route) -> Result<PrimaryAccess>;

    /// Has the content of the route's instance read soon, because a statement has failed there as on a damaged file.
    fn suspect(&self, route: &Route);

    /// Looks at the file of the route's primary, because a statement has failed as on one that was lost. What is found is done
    /// something about, and told by the next answer.
    fn check_file(&self, route: &Route);

    /// The token for the instance's process, valid for some minutes at least. It must not leave the machine.
    fn internal_token(&self, route: &Route, authorization: Authorization) -> Result<Secret>;

    /// Has a new token made in place of one that a process has refused.
    fn forget_internal_token(&self, route: &Route, authorization: Authorization, refused: &str);

    /// Lets a write to a route's database pass; none while its primary is being moved. The result is held until the write has
    /// been answered. Fails with `unavailable` where there is no way to the primary: nothing was written then.
    fn enter_write(&self, route: &Route, in_transaction: bool) -> Result<Option<PendingWrite>>;

    /// Counts a use of an instance, and bytes of its log that were sent to embedded replicas of clients.
    fn count(&self, route: &Arc<Route>, bytes_synced: u64);

    /// Whether [`GatewayPlane::written_position`] asks another machine, and so blocks.
    fn asks_elsewhere(&self) -> bool;

    /// Where the log of a route's database ends at its primary; none while that is not known. What was acknowledged before is
    /// before that.
    fn written_position(&self, route: &Route) -> Option<LogPosition>;

    /// Whether a read at a route's instance sees everything up to a position. What is known of the primary was asked after `since`.
    fn has_position(&self, route: &Route, wanted: &LogPosition, since: Instant) -> bool;

    /// Has the process of a route's replica follow its primary, if it does not yet, and finds out what is needed to know whether it has a
    /// position. Blocks until that is done.
    fn follow(&self, route: &Route);

    /// Has databases say how they are used now. Only the first source is asked.
    fn set_activity_source(&self, source: Box<dyn ActivitySource>);

    /// Where clients reach this machine.
    fn url(&self) -> &Url;

    /// The domain that the hosts of all databases are below; none where they are below paths of one host.
    fn domain(&self) -> Option<&str>;

    /// The directory that everything of this machine's is below.
    fn data_dir(&self) -> &Path;
}
