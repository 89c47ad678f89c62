//! Replicas at a location of another machine, whose engine has nothing but what the server says. Here both are in one process, and
//! the way between them is a thread that can be cut.

use super::{engine, number, query, query_at};
use crate::conformance::{Subject, at, conformance, create, db, group, rows, write};
use crate::support::until;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread::JoinHandle;
use std::time::Duration;
use torso::control::ControlPlane;
use torso::control::MaintenanceOperations as _;
use torso::control::embedded::Embedded;
use torso::control::findings::Severity;
use torso::control::types::{Connection, InstanceState};
use torso::engine::remote::{
    DatabaseSites, NodeEngine, NodeReport, PlacedEngine, PrimarySource, PrimaryWays, RemoteLocations, WantedPrimary,
    WantedSource, WantedState,
};
use torso::engine::sqld::{Access, SqldEngine};
use torso::engine::{DatabaseLimits, Site};
use torso::error::Code;

/// The location of the other machine.
pub const REMOTE: &str = "lhr";

/// How long callers wait for a replica, where that is to come about on a busy machine too.
const LONG: Duration = Duration::from_secs(60);

/// A server, and a machine with a location.
pub struct Machines {
    pub shared: Arc<SharedMachines>,
    way: Option<JoinHandle<()>>,
}

pub struct SharedMachines {
    server: Mutex<SqldEngine>,
    pub remote: RemoteLocations,
    pub node: NodeEngine,
    pub dir: tempfile::TempDir,
    pub is_connected: AtomicBool,
    is_over: AtomicBool,
}

impl SharedMachines {
    fn placed(&self) -> PlacedEngine {
        PlacedEngine::new(self.server.lock().unwrap().clone(), self.remote.clone())
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub fn embedded(&self) -> Embedded {
        Embedded::over(&self.data(), Box::new(self.placed())).unwrap()
    }

    /// What the catalog wants.
    fn wanted(&self) -> Vec<DatabaseSites> {
        let (_, placements) = self.embedded().wanted_placements().unwrap().unwrap_or_default();
        let sites = placements.into_iter().map(|placed| {
            let source = match placed.is_empty {
                true => PrimarySource::Empty,
                false => PrimarySource::Existing,
            };
            let sites = |sites: Vec<Site>, limits, source| {
                let mut sites = sites.into_iter();
                DatabaseSites {
                    organization: "o1".to_owned(),
                    primary: sites.next().unwrap(),
                    replicas: sites.collect(),
                    retained: Vec::new(),
                    wanted: WantedPrimary {
                        limits,
                        block: None,
                        source,
                    },
                }
            };
            let now = placed.sites.into_iter().map(|(_, site)| site).collect();
            let now = DatabaseSites {
                retained: placed.retained,
                ..sites(now, placed.limits.clone(), source)
            };
            let before = placed.moving.map(|[primary, successor]| {
                let limits = DatabaseLimits {
                    block_writes: true,
                    ..placed.limits
                };
                sites(vec![primary, successor], limits, PrimarySource::Existing)
            });
            std::iter::once(now).chain(before)
        });
        sites.flatten().collect()
    }

    /// What the other machine is to run.
    fn wanted_there(&self, databases: &[DatabaseSites]) -> torso::error::Result<WantedState> {
        let server = self.server.lock().unwrap().clone();
        let keys = |primary: &Site| match primary.location.as_str() {
            REMOTE => Ok(self.remote.keys_of(primary)),
            _ => server.replica_keys(primary.pool.as_deref().unwrap()).map(Some),
        };
        let mut wanted = WantedState {
            token_key: server.token_key(),
            ..WantedState::of(REMOTE, databases, &keys)?
        };
        self.remote.add_orders(REMOTE, &mut wanted);
        Ok(wanted)
    }

    /// What is said both ways in a moment.
    fn exchange(&self) {
        let server = self.server.lock().unwrap().clone();
        let databases = self.wanted();
        let Ok(wanted) = self.wanted_there(&databases) else {
            return;
        };
        let port = |pool: &str, _: &_| {
            let of_pool = |database: &&DatabaseSites| database.primary.pool.as_deref() == Some(pool);
            let primary = &databases.iter().find(of_pool).unwrap().primary;
            server.log_address(primary).map(|address| address.port())
        };
        self.node.take_wanted(&wanted).unwrap();
        let Ok(_) = self.node.apply(WantedSource::Server, &port, &|| {}) else {
            return;
        };
        let answer = self
            .placed()
            .receive_report(REMOTE, self.node.report().unwrap(), &databases);
        self.node.note_answer(Some(&answer), &|_| true);
    }
}

/// The way to primaries on the other machine.
struct WayThere(Weak<SharedMachines>);

impl PrimaryWays for WayThere {
    fn log_port(&self, primary: &Site) -> torso::error::Result<u16> {
        let machines = self.0.upgrade().unwrap();
        if !machines.is_connected.load(Ordering::SeqCst) {
            return Err(torso::error::Error::new(Code::Unavailable, "no way"));
        }
        let node = &machines.node;
        let there = node.site(primary.pool.as_deref().unwrap(), &primary.instance());
        node.engine().log_address(&there).map(|address| address.port())
    }

    fn is_carrying(&self, _: &Site) -> bool {
        true
    }
}

impl Machines {
    /// The other machine was not heard of yet.
    fn away() -> Self {
        Self::with_patience(LONG)
    }

    /// The same, where callers wait for it for so long.
    fn with_patience(patience: Duration) -> Self {
        let dir = tempfile::Builder::new().prefix("torso-machines-").tempdir().unwrap();
        let shared = Arc::new(SharedMachines {
            server: Mutex::new(engine()),
            remote: RemoteLocations::with_patience(patience),
            node: NodeEngine::new(engine(), REMOTE, dir.path().join("node")),
            dir,
            is_connected: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
        });
        shared.remote.add(REMOTE);
        shared.remote.set_ways(Arc::new(WayThere(Arc::downgrade(&shared))));
        let on_way = Arc::clone(&shared);
        let way = std::thread::spawn(move || {
            while !on_way.is_over.load(Ordering::SeqCst) {
                if on_way.is_connected.load(Ordering::SeqCst) {
                    on_way.exchange();
                }
                std::thread::sleep(Duration::from_millis(30));
            }
        });
        Self { shared, way: Some(way) }
    }

    pub fn connected() -> Self {
        let machines = Self::away();
        machines.connect();
        machines
    }

    /// Has the other machine heard of.
    pub fn connect(&self) {
        self.shared.is_connected.store(true, Ordering::SeqCst);
        until("the machine is heard of", || {
            self.shared.remote.last_report(REMOTE).is_some()
        });
    }

    /// Another server process over the same data.
    fn restart_server(&self) {
        let mut server = self.shared.server.lock().unwrap();
        server.shutdown();
        *server = engine();
        drop(server);
        assert!(self.shared.embedded().reconcile_all().unwrap().is_empty());
    }

    pub fn state_there(&self, name: &str) -> InstanceState {
        let all = self.plane().list_instances(&db(name)).unwrap();
        all.iter()
            .find(|instance| instance.location == at(REMOTE))
            .unwrap()
            .state
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        let ended = self.way.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}

impl Subject for Machines {
    fn plane(&self) -> Box<dyn ControlPlane> {
        Box::new(self.shared.embedded())
    }

    fn execute(&self, to: &Connection, sql: &str) {
        self.run(to, sql);
    }

    fn number(&self, to: &Connection, sql: &str) -> i64 {
        number(&self.run(to, sql))
    }
}

impl Machines {
    fn run(&self, to: &Connection, sql: &str) -> Vec<serde_json::Value> {
        self.try_run(to, sql).unwrap()
    }

    pub fn try_run(&self, to: &Connection, sql: &str) -> Result<Vec<serde_json::Value>, String> {
        let minute = Duration::from_secs(60);
        if to.location == at(REMOTE) {
            let placed = self.shared.embedded().placement(&to.database).unwrap();
            let (_, site) = placed
                .sites
                .iter()
                .find(|(location, _)| *location == at(REMOTE))
                .unwrap();
            let engine = self.shared.node.engine();
            let there = self.shared.node.site(site.pool.as_deref().unwrap(), &site.instance());
            let token = engine.token(&site.instance(), Access::ReadWrite, minute).unwrap();
            return query(&engine.endpoint(&there).unwrap(), token.expose(), sql);
        }
        let url = url::Url::parse(&to.url).unwrap();
        let host = url.host_str().unwrap();
        let instance = host.split('.').next().unwrap();
        let address = ([127, 0, 0, 1], url.port().unwrap()).into();
        let token = self
            .shared
            .server
            .lock()
            .unwrap()
            .token(instance, Access::ReadWrite, minute)
            .unwrap();
        query_at(address, host, token.expose(), sql)
    }
}

#[test]
fn control_plane_with_a_location_on_another_machine_conforms() {
    conformance(
        Machines::connected,
        &[
            // Replicas follow by themselves, so none is ever left behind for a look at it.
            "a replica that is behind",
            "syncing one of two",
        ],
    );
}

#[test]
fn remote_location_that_is_away_blocks_nobody_and_catches_up() {
    let machines = Machines::away();
    let plane = machines.plane();
    create(&*plane, "one", "ams");
    plane.add_group_location(&group("default"), &at(REMOTE)).unwrap();
    create(&*plane, "two", "ams");
    write(&machines, "two", "create table t (x); insert into t values (1)");
    plane.add_instance(&db("two"), &at("fra")).unwrap();
    assert_eq!(machines.state_there("two"), InstanceState::Down);
    let error = plane.sync_database(&db("two"), Some(&at(REMOTE))).unwrap_err();
    assert_eq!(error.code(), Code::Unavailable, "{error}");
    assert!(error.message().contains(REMOTE), "{error}");
    plane.delete_database(&db("one")).unwrap();
    machines.connect();
    until("it has what it lacked", || {
        machines.state_there("two") == InstanceState::Ready
    });
    assert_eq!(rows(&machines, "two", REMOTE), 1);
    plane.remove_group_location(&group("default"), &at(REMOTE)).unwrap();
    until("nothing is left there", || {
        machines.shared.remote.last_report(REMOTE).unwrap().instances == 0
    });
    assert_eq!(rows(&machines, "two", "fra"), 1);
}

#[test]
fn remote_copy_of_an_earlier_epoch_stays_until_the_new_one_has_everything() {
    let machines = Machines::connected();
    let plane = machines.plane();
    create(&*plane, "app", "ams");
    write(&machines, "app", "create table t (x); insert into t values (1)");
    plane.add_instance(&db("app"), &at("iad")).unwrap();
    plane.add_instance(&db("app"), &at(REMOTE)).unwrap();
    let shared = &machines.shared;
    let instances = || {
        let report = shared.node.report().unwrap();
        report.instances.into_keys().collect::<Vec<_>>()
    };
    let [before] = <[String; 1]>::try_from(instances()).unwrap();
    shared.is_connected.store(false, Ordering::SeqCst);
    plane.promote_instance(&db("app"), &at("iad")).unwrap();
    // It hears of the new epoch, and has no way to the new primary.
    let wanted = shared.wanted_there(&shared.wanted()).unwrap();
    let no_way = |_: &str, _: &_| Err(torso::error::Error::new(Code::Unavailable, "no way"));
    shared.node.take_wanted(&wanted).unwrap();
    let applied = shared.node.apply(WantedSource::Server, &no_way, &|| {}).unwrap();
    assert_eq!(applied.retained, 1, "{applied:?}");
    assert!(instances().contains(&before));
    // A state of a file removes nothing, whatever it lacks.
    let nothing = WantedState::default();
    shared.node.take_wanted(&nothing).unwrap();
    let applied = shared.node.apply(WantedSource::File, &no_way, &|| {}).unwrap();
    assert!(applied.retained > 0 && instances().contains(&before), "{applied:?}");
    machines.connect();
    until("only the new one is left", || {
        let all = instances();
        all.len() == 1 && all[0] != before
    });
    assert_eq!(rows(&machines, "app", REMOTE), 1);
}

#[test]
fn remote_location_that_is_slow_blocks_nobody() {
    let machines = Machines::with_patience(Duration::ZERO);
    // It is heard of, and does nothing.
    let hear = || {
        drop(
            machines
                .shared
                .placed()
                .receive_report(REMOTE, NodeReport::default(), &[]),
        )
    };
    let plane = machines.plane();
    create(&*plane, "one", "ams");
    hear();
    plane.add_group_location(&group("default"), &at(REMOTE)).unwrap();
    create(&*plane, "two", "ams");
    hear();
    let error = plane.sync_database(&db("two"), Some(&at(REMOTE))).unwrap_err();
    assert_eq!(error.code(), Code::Unavailable, "{error}");
    // Nothing of that is pending, also for another process.
    drop(plane);
    let findings = machines.shared.embedded().check(false).unwrap();
    assert!(
        findings.iter().all(|finding| finding.code != "pending_work"),
        "{findings:?}"
    );
    // No word that it is mended.
    let findings = machines.shared.embedded().check(true).unwrap();
    let missing = findings.iter().filter(|finding| finding.code == "missing_replica");
    let missing: Vec<_> = missing.map(|finding| (finding.severity, &finding.message)).collect();
    assert_eq!(missing.len(), 2, "{findings:?}");
    assert!(
        missing.iter().all(|(severity, _)| *severity == Severity::Warning),
        "{missing:?}"
    );
}

#[test]
fn remote_replica_follows_a_server_that_was_started_again() {
    let machines = Machines::connected();
    let plane = machines.plane();
    create(&*plane, "app", "ams");
    write(&machines, "app", "create table t (x); insert into t values (1)");
    plane.add_instance(&db("app"), &at(REMOTE)).unwrap();
    assert_eq!(rows(&machines, "app", REMOTE), 1);
    drop(plane);
    machines.restart_server();
    machines.plane().sync_database(&db("app"), None).unwrap();
    write(&machines, "app", "insert into t values (2)");
    until("it follows", || machines.state_there("app") == InstanceState::Ready);
    assert_eq!(rows(&machines, "app", REMOTE), 2);
}
