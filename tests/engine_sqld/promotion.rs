//! Promotions whose server is killed at each of their steps: the next one completes or undoes them, and no row is lost.
//!
//! `TORSO_PROMOTION_KILLS` says at how many steps (8 without it; more than there are means all), `TORSO_SEED` which.

use super::engine;
use crate::conformance::{at, create, db};
use crate::support::until;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use torso::control::embedded::Embedded;
use torso::control::findings::Severity;
use torso::control::types::{Connection, InstanceState};
use torso::control::{
    DatabaseOperations as _, GroupOperations as _, InstanceOperations as _, MaintenanceOperations as _,
};
use torso::engine::sqld::{Access, SqldEngine};
use torso::engine::{DatabaseLimits, Engine, LocalFiles, Orphan, Running, Site};
use torso::error::Result;

/// An engine whose server is killed at one of its changes: before or after it.
struct Dying {
    engine: SqldEngine,
    /// Moments still to be lived through; each change has two.
    moments: Arc<AtomicU32>,
}

impl Dying {
    fn moment(&self) {
        let left = self.moments.load(Ordering::Relaxed);
        assert!(left > 0, "killed");
        self.moments.store(left - 1, Ordering::Relaxed);
    }

    fn through<T>(&self, change: impl FnOnce(&SqldEngine) -> Result<T>) -> Result<T> {
        self.moment();
        let done = change(&self.engine);
        self.moment();
        done
    }
}

impl Engine for Dying {
    fn local_files(&self, _at: &Site) -> Result<&dyn LocalFiles> {
        Ok(self)
    }

    fn open_location(&self, location: &str, dir: &Path) -> Result<()> {
        self.engine.open_location(location, dir)
    }
    fn close_location(&self, dir: &Path) -> Result<()> {
        self.engine.close_location(dir)
    }
    fn has_processes(&self) -> bool {
        true
    }
    fn running(&self, at: &Site) -> Result<Option<Running>> {
        self.engine.running(at)
    }
    fn size(&self, at: &Site) -> Option<u64> {
        self.engine.size(at)
    }
    fn url(&self, at: &Site) -> String {
        self.engine.url(at)
    }
    fn start(&self, at: &Site) -> Result<()> {
        self.through(|engine| engine.start(at))
    }
    fn configure(&self, at: &Site, limits: &DatabaseLimits) -> Result<()> {
        self.through(|engine| engine.configure(at, limits))
    }
    fn create(&self, at: &Site) -> Result<()> {
        self.through(|engine| engine.create(at))
    }
    fn check_seed(&self, seed: &Path) -> Result<()> {
        self.engine.check_seed(seed)
    }
    fn copy(&self, from: &Site, to: &Site) -> Result<()> {
        self.through(|engine| engine.copy(from, to))
    }
    fn hold(&self, at: &Site) -> Result<()> {
        self.engine.hold(at)
    }
    fn release(&self, at: &Site) {
        self.engine.release(at);
    }
    fn demote(&self, from: &Site, to: &Site) -> Result<()> {
        self.engine.demote(from, to)
    }
    fn promote(&self, at: &Site) -> Result<()> {
        self.engine.promote(at)
    }
    fn block_writes(&self, at: &Site, reason: &str) -> Result<()> {
        self.through(|engine| engine.block_writes(at, reason))
    }
    fn prepare_primary(&self, at: &Site) -> Result<()> {
        self.through(|engine| engine.prepare_primary(at))
    }
    fn answers(&self, at: &Site) -> bool {
        self.engine.answers(at)
    }
    fn log_end(&self, at: &Site) -> Option<torso::engine::Frame> {
        self.engine.log_end(at)
    }
    fn fence(&self, at: &Site) -> Result<()> {
        self.through(|engine| engine.fence(at))
    }
    fn take_over(&self, moves: &[(Site, Site)]) -> Result<()> {
        self.through(|engine| engine.take_over(moves))
    }
    fn remove(&self, at: &Site) -> Result<()> {
        self.through(|engine| engine.remove(at))
    }
    fn orphans(&self, dir: &Path, known: &dyn Fn(&str) -> bool) -> Result<Vec<Orphan>> {
        self.engine.orphans(dir, known)
    }
    fn unfinished(&self, dir: &Path) -> Result<Vec<PathBuf>> {
        self.engine.unfinished(dir)
    }
}

impl LocalFiles for Dying {
    fn path(&self, at: &Site) -> PathBuf {
        self.engine.path(at)
    }

    fn adopt(&self, seed: &Path, at: &Site) -> Result<()> {
        self.through(|engine| engine.adopt(seed, at))
    }

    fn snapshot(&self, from: &Site, to: &Path) -> Result<()> {
        self.engine.snapshot(from, to)
    }

    fn open_content(&self, primary: &Site, replicas: &[Site]) -> Result<torso::engine::OpenContent> {
        self.engine.open_content(primary, replicas)
    }

    fn set_aside(&self, at: &Site) -> Result<PathBuf> {
        self.through(|engine| engine.set_aside(at))
    }
}

/// A data directory, and the engine over it.
pub(super) struct Machine {
    pub(super) engine: SqldEngine,
    pub(super) dir: tempfile::TempDir,
}

impl Machine {
    pub(super) fn new() -> Self {
        Self {
            engine: engine(),
            dir: tempfile::Builder::new().prefix("torso-promotion-").tempdir().unwrap(),
        }
    }

    pub(super) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub(super) fn plane(&self) -> Embedded {
        Embedded::over(&self.data(), Box::new(self.engine.clone())).unwrap()
    }

    /// A plane that is killed after so many moments, which are left in the counter if it was not.
    fn dying(&self, moments: u32) -> (Embedded, Arc<AtomicU32>) {
        let moments = Arc::new(AtomicU32::new(moments));
        let engine = Dying {
            engine: self.engine.clone(),
            moments: Arc::clone(&moments),
        };
        (Embedded::over(&self.data(), Box::new(engine)).unwrap(), moments)
    }

    /// As a server that is started after all was killed.
    fn kill_and_start(&mut self) {
        let processes: Vec<_> = self
            .engine
            .processes()
            .into_iter()
            .filter_map(|process| process.pid)
            .collect();
        for pid in processes {
            super::kill(i32::try_from(pid).unwrap());
        }
        self.engine.shutdown();
        self.engine = engine();
    }

    fn run(&self, to: &Connection, sql: &str) -> std::result::Result<Vec<serde_json::Value>, String> {
        let url = url::Url::parse(&to.url).unwrap();
        let host = url.host_str().unwrap();
        let id = host.split('.').next().unwrap();
        let address = ([127, 0, 0, 1], url.port().unwrap()).into();
        let token = self
            .engine
            .token(id, Access::ReadWrite, Duration::from_secs(60))
            .unwrap();
        super::query_at(address, host, token.expose(), sql)
    }

    pub(super) fn write(&self, name: &str, sql: &str) -> std::result::Result<Vec<serde_json::Value>, String> {
        self.run(&self.plane().connection(&db(name), None).unwrap(), sql)
    }

    pub(super) fn count(&self, name: &str, location: &str) -> i64 {
        let to = self.plane().connection(&db(name), Some(&at(location))).unwrap();
        super::number(&self.run(&to, "select count(*) from t").unwrap())
    }

    /// `app` with replicas in lhr and fra, and `other` beside it in the same processes.
    pub(super) fn world(&self) {
        let plane = self.plane();
        for name in ["app", "other"] {
            create(&plane, name, "ams");
            self.write(name, "create table t (x)").unwrap();
            self.write(name, "insert into t values (1), (2)").unwrap();
        }
        for location in ["lhr", "fra"] {
            plane
                .add_group_location(&"default".parse().unwrap(), &at(location))
                .unwrap();
        }
    }

    /// Everything is as it should be, and every row is everywhere.
    fn assert_sound(&self, what: &str) {
        let plane = self.plane();
        for (name, rows) in [("app", 2), ("other", 2)] {
            let database = plane.get_database(&db(name)).unwrap();
            assert_eq!(database.locations.len(), 3, "{what}: {database:?}");
            self.write(name, "insert into t values (3)")
                .unwrap_or_else(|error| panic!("{what}: {name} takes no writes: {error}"));
            for location in &database.locations {
                until(&format!("{what}: {name} in {location} has everything"), || {
                    self.count(name, location.as_str()) == rows + 1
                });
            }
            until(&format!("{what}: all of {name} are ready"), || {
                let all = plane.list_instances(&db(name)).unwrap();
                all.iter().all(|instance| instance.state == InstanceState::Ready)
            });
        }
        let found: Vec<_> = plane.check(false).unwrap();
        let found: Vec<_> = found
            .into_iter()
            .filter(|finding| finding.severity > Severity::Note)
            .collect();
        assert!(found.is_empty(), "{what}: {found:?}");
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.engine.shutdown();
    }
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

/// Runs a promotion that is killed at steps of the whole, and looks at what is left.
#[allow(clippy::print_stderr)] // The figures are part of the proof; `--nocapture` shows them.
fn kill_at_steps(promote: fn(&Embedded) -> Result<()>, kills: u64) {
    let steps = {
        let machine = Machine::new();
        machine.world();
        let (plane, left) = machine.dying(1000);
        promote(&plane).unwrap();
        machine.assert_sound("without a kill");
        1000 - left.load(Ordering::Relaxed)
    };
    assert!(steps > 8, "{steps}");
    let mut random = fastrand::Rng::with_seed(number("TORSO_SEED", 14));
    let mut moments: Vec<u32> = (0..steps).collect();
    random.shuffle(&mut moments);
    moments.truncate(usize::try_from(kills).unwrap());
    let (mut completed, mut undone) = (0, 0);
    for moment in moments {
        let mut machine = Machine::new();
        machine.world();
        let (plane, _) = machine.dying(moment);
        let killed = catch_unwind(AssertUnwindSafe(|| promote(&plane))).is_err();
        assert!(killed, "{moment} of {steps}");
        drop(plane);
        machine.kill_and_start();
        let failures = machine.plane().reconcile_all().unwrap();
        assert!(failures.is_empty(), "{moment} of {steps}: {failures:?}");
        let primary = machine.plane().get_database(&db("app")).unwrap().primary;
        if primary == at("lhr") {
            completed += 1
        } else {
            undone += 1
        }
        machine.assert_sound(&format!("killed at {moment} of {steps}"));
    }
    eprintln!("{steps} steps; {completed} promotions completed, {undone} undone");
}

#[test]
fn promotion_killed_at_any_step_is_completed_or_undone() {
    kill_at_steps(
        |plane| plane.promote_instance(&db("app"), &at("lhr")).map(drop),
        number("TORSO_PROMOTION_KILLS", 8),
    );
}

#[test]
fn group_promotion_killed_at_any_step_is_completed_or_undone() {
    kill_at_steps(
        |plane| plane.promote_group(&"default".parse()?, &at("lhr")).map(drop),
        number("TORSO_PROMOTION_KILLS", 4),
    );
}
