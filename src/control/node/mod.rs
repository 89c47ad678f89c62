//! A machine that is a location of a server. It fetches what is wanted there, has its engine make that so, and reports what there is.
//!
//! ```text
//! <data>/node.lock           held for life
//! <data>/server.json         which server it belongs to, and where others reach this machine
//! <data>/identity.pem        who it is (see `link`)
//! <data>/wanted.json         what was wanted last: it goes on with that while the server is away
//! <data>/access.json         who may open what, as the server said last: clients are served by that, for a while
//! <data>/replicas/<pool>/    the directories of processes, as on a server
//! ```
//!
//! What is wanted is always the whole state, so a machine that was away for long makes up for everything at once.

mod access_requests;
mod clients;
mod known_access;
mod primary_streams;
mod settings;

pub use clients::{NodePlane, ServeSettings};
pub use settings::NodeSettings;

use crate::control::embedded::lock::Lock;
use crate::engine::disk;
use crate::engine::json_file::{read_json, write_json};
use crate::engine::remote::{NodeEngine, ReportAnswer, WantedPool, WantedSource, WantedState};
use crate::engine::sqld::SqldEngine;
use crate::error::{Code, Error, Result};
use crate::link::{self, ForwardedPort, LinkClient, NodeIdentity, StreamPurpose, StreamTarget};
use crate::secret::Secret;
use crate::sync::{lock, wait};
use primary_streams::{PrimaryStreams, check_stream};
use serde::Deserialize as _;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// The lock file of a node's directory.
const LOCK: &str = "node.lock";

/// The file with what was wanted last.
const WANTED: &str = "wanted.json";

/// How long a request for what is wanted waits for news.
const WAIT: Duration = Duration::from_secs(50);

/// The same while not all of it is done, which is then tried again.
const RETRY: Duration = Duration::from_secs(5);

/// How often the state of the machine is reported.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// The same while somebody waits for it.
const HURRY: Duration = Duration::from_millis(25);

/// How often files that were set aside are looked for.
const COMPARE_EVERY: Duration = Duration::from_secs(10);

/// The pause after a request that failed.
const PAUSE: Duration = Duration::from_secs(1);

/// A node's data directory, which one process uses at a time.
pub struct NodeDirectory {
    dir: PathBuf,
    _lock: Lock,
}

impl NodeDirectory {
    /// Takes a directory, which is made where it is missing. Fails while another node uses it.
    pub fn open(dir: &Path) -> Result<Self> {
        disk::private_dir(dir)?;
        let path = dir.join(LOCK);
        match Lock::try_acquire(&path)? {
            Some(lock) => Ok(Self {
                dir: dir.to_owned(),
                _lock: lock,
            }),
            None => {
                let who = Lock::holder(&path).ok().flatten().unwrap_or_default();
                Err(Error::new(
                    Code::Conflict,
                    format!("another node (process {who}) uses the data directory {}", dir.display()),
                )
                .hint("stop it first, or give this one another directory: --data DIR"))
            }
        }
    }

    /// Makes this machine a location of the server at `settings.server`, for which a one-time token is. What there is of another
    /// location stays where it is, and is not touched.
    pub fn join(&self, settings: &NodeSettings, fingerprint: &str, token: &Secret) -> Result<String> {
        if let Some(identity) = NodeIdentity::load(&self.dir)? {
            return Err(Error::new(
                Code::Conflict,
                format!(
                    "this machine is location {} already, by {}",
                    identity.name().location(),
                    self.dir.display()
                ),
            )
            .hint("start it without --join; to join anew, give it another directory: --data DIR"));
        }
        settings.store(&self.dir)?;
        let details = json!({ "advertise": settings.advertise });
        let joined = link::join(&self.dir, &settings.server, fingerprint, token, details)?;
        Ok(joined.node.location().to_owned())
    }

    /// Runs the location with an engine, which ends with what this returns. `serve` says how clients are served, if they are.
    pub fn start(self, engine: SqldEngine, serve: Option<ServeSettings>) -> Result<RunningNode> {
        let not_joined = || {
            Error::new(
                Code::Usage,
                format!(
                    "{} has no identity of a node: this machine has not joined a server",
                    self.dir.display()
                ),
            )
            .hint("torso location add LOCATION --node on the server prints the command that joins")
        };
        let identity = NodeIdentity::load(&self.dir)?.ok_or_else(not_joined)?;
        let settings = NodeSettings::load(&self.dir)?.ok_or_else(not_joined)?;
        let location = identity.name().location().to_owned();
        let link = LinkClient::start(&settings.server, identity)?;
        let engine = Arc::new(NodeEngine::new(engine, &location, self.dir.join("replicas")));
        link.serve_streams(Arc::new(PrimaryStreams(Arc::clone(&engine))))?;
        let node = Arc::new(Node {
            engine,
            link,
            report_due: Mutex::default(),
            report_signal: Condvar::default(),
            ports: Mutex::default(),
            dir: self.dir.clone(),
            location: location.clone(),
        });
        tracing::info!(%location, server = settings.server, data = %self.dir.display(), "node started");
        for (name, work) in [
            ("wanted", Node::follow_wanted as fn(&Node)),
            ("report", Node::report_state),
            ("compare", Node::compare_files),
        ] {
            let node = Arc::clone(&node);
            std::thread::Builder::new()
                .name(name.to_owned())
                .spawn(move || work(&node))
                .map_err(|error| Error::io(error, "cannot start a thread"))?;
        }
        let clients = access_requests::start(&node, serve)?;
        Ok(RunningNode {
            node,
            clients,
            location,
            server: settings.server,
            _directory: self,
        })
    }
}

/// A node at work.
pub struct RunningNode {
    node: Arc<Node>,
    /// None where it serves no clients.
    clients: Option<Arc<NodePlane>>,
    pub location: String,
    pub server: String,
    _directory: NodeDirectory,
}

/// A node at work that serves clients.
pub struct ServingNode {
    pub plane: Arc<NodePlane>,
    pub node: RunningNode,
}

impl RunningNode {
    /// The node, with the plane of its gateway. Fails where it was started without one.
    pub fn into_serving(self) -> Result<ServingNode> {
        let plane = self.clients.clone();
        let plane = plane.ok_or_else(|| Error::new(Code::Internal, "this machine serves no clients"))?;
        Ok(ServingNode { plane, node: self })
    }

    /// Ends the processes, within 10 seconds, for good.
    pub fn shutdown(&self) {
        self.node.engine.engine().shutdown();
    }
}

struct Node {
    engine: Arc<NodeEngine>,
    link: LinkClient,
    /// Something has changed since the last report, which is not waited with.
    report_due: Mutex<bool>,
    report_signal: Condvar,
    /// The ports that lead to primaries, by pool.
    ports: Mutex<BTreeMap<String, ForwardedPort>>,
    dir: PathBuf,
    location: String,
}

impl Node {
    /// Fetches what is wanted, and has it made so, for as long as the process lives.
    fn follow_wanted(&self) {
        let mut state = self.stored_state();
        // What it has is served and follows; only the server's word removes anything.
        let mut source = WantedSource::File;
        self.apply(&state, source);
        let mut is_done = false;
        // The first request asks for the whole state, whatever this machine has of it.
        let mut known = 0;
        loop {
            let wait = if is_done { WAIT } else { RETRY };
            let request = json!({ "generation": known });
            match self.link.request_within("wanted", &request, wait) {
                Ok(Some(answer)) => match WantedState::deserialize(&answer) {
                    Ok(wanted) => {
                        (state, source, known) = (wanted.clone(), WantedSource::Server, wanted.generation);
                        if let Err(cause) = write_json(&self.dir.join(WANTED), &state) {
                            tracing::warn!(%cause, "what is wanted cannot be stored");
                        }
                        is_done = self.apply(&state, source);
                    }
                    Err(cause) => {
                        tracing::error!(%cause, "what is wanted cannot be understood: install the server's version of torso");
                        std::thread::sleep(RETRY);
                    }
                },
                Ok(None) if !is_done => is_done = self.apply(&state, source),
                Ok(None) => {}
                // The link logs why it is not connected; what the server refuses is only said here.
                Err(error) if error.code() == Code::Unavailable => std::thread::sleep(PAUSE),
                Err(error) => {
                    tracing::error!(location = %self.location, cause = error.full_message(), hint = error.hint_text(), "the server refuses this machine");
                    std::thread::sleep(RETRY);
                }
            }
        }
    }

    /// What was wanted when this machine last heard of it; nothing where that cannot be read.
    fn stored_state(&self) -> WantedState {
        let stored = read_json(&self.dir.join(WANTED)).unwrap_or_else(|error| {
            tracing::error!(
                cause = error.full_message(),
                "what was wanted last cannot be read; replicas stay as they are until the server says what is wanted"
            );
            None
        });
        stored.unwrap_or_default()
    }

    /// Makes what there is what is wanted; returns whether all of it could be done.
    fn apply(&self, wanted: &WantedState, source: WantedSource) -> bool {
        lock(&self.ports).retain(|pool, _| wanted.pools.contains_key(pool));
        let port = |name: &str, pool: &WantedPool| self.port(name, pool);
        let applied = self.engine.take_wanted(wanted).and_then(|()| {
            // Before anything else: what is not wanted any more takes no further row.
            self.link
                .end_streams(|target| check_stream(wanted, &self.location, target).is_err());
            self.engine.apply(source, &port, &|| self.report_soon())
        });
        let applied = match applied {
            Ok(applied) => applied,
            Err(error) => {
                tracing::error!(cause = error.full_message(), "what is wanted cannot be done");
                return false;
            }
        };
        for one in &applied.unreached {
            tracing::warn!(
                instance = one.instance,
                cause = one.error.full_message(),
                "a database does not run"
            );
        }
        self.report_soon();
        let (generation, pools) = (wanted.generation, wanted.pools.len());
        let (failures, retained) = (applied.unreached.len(), applied.retained);
        tracing::info!(generation, pools, failures, retained, "applied what is wanted");
        applied.is_complete()
    }

    /// The port that leads to the primary of a pool.
    fn port(&self, name: &str, pool: &WantedPool) -> Result<u16> {
        let target = StreamTarget {
            organization: pool.organization.clone(),
            pool: name.to_owned(),
            location: self.location.clone(),
            epoch: pool.epoch,
            purpose: StreamPurpose::Log,
        };
        let mut ports = lock(&self.ports);
        if let Some(port) = ports.get(name) {
            port.repoint(target);
            return Ok(port.address().port());
        }
        let port = self.link.forward(target, None)?;
        let number = port.address().port();
        ports.insert(name.to_owned(), port);
        Ok(number)
    }

    /// Compares files of former primaries that were set aside, for as long as the process lives.
    fn compare_files(&self) {
        loop {
            std::thread::sleep(COMPARE_EVERY);
            if let Err(error) = self.engine.compare_set_aside() {
                tracing::warn!(
                    cause = error.full_message(),
                    "files that were set aside cannot be compared now"
                );
            }
        }
    }

    /// Has the next report be sent at once.
    fn report_soon(&self) {
        *lock(&self.report_due) = true;
        self.report_signal.notify_all();
    }

    /// Waits until the next report is due: after a while, or at once after what is wanted was made so.
    fn await_report_time(&self, pause: Duration) {
        let began = Instant::now();
        let mut is_due = lock(&self.report_due);
        while !*is_due && began.elapsed() < pause {
            let left = pause.saturating_sub(began.elapsed());
            is_due = wait(&self.report_signal, is_due, left);
        }
        *is_due = false;
    }

    /// Reports what there is, for as long as the process lives.
    fn report_state(&self) {
        let mut pause = REPORT_EVERY;
        loop {
            self.await_report_time(pause);
            let report = match self.engine.report() {
                Ok(report) => json!(report),
                Err(error) => {
                    tracing::warn!(cause = error.full_message(), "the state of this machine cannot be read");
                    continue;
                }
            };
            let answer = self.link.request("report", &report);
            let answer = answer.ok().and_then(|answer| ReportAnswer::deserialize(answer).ok());
            let is_hurry = answer.as_ref().is_some_and(|answer| answer.is_hurry);
            pause = if is_hurry { HURRY } else { REPORT_EVERY };
            let is_reached = |pool: &str| lock(&self.ports).get(pool).is_some_and(ForwardedPort::is_carrying);
            self.engine.note_answer(answer.as_ref(), &is_reached);
        }
    }
}
