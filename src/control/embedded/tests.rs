//! Tests that the conformance suite, which sees a plane only from outside, cannot do: being killed in the middle of an
//! operation, and races for one data directory.

use super::*;
use crate::control::findings::Severity;
use crate::control::names::DatabaseName;
use crate::control::types::{CreateDatabase, DatabaseFilter, InstanceState, Seed};
use crate::control::{
    DatabaseOperations as _, GroupOperations as _, InstanceOperations as _, MaintenanceOperations as _,
};
use crate::engine::{DatabaseLimits, LocalFiles, Orphan, Running, Site};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

fn db(text: &str) -> DatabaseName {
    text.parse().unwrap()
}

fn at(text: &str) -> LocationCode {
    text.parse().unwrap()
}

fn request(text: &str) -> CreateDatabase {
    CreateDatabase {
        name: db(text),
        group: None,
        location: Some(at("ams")),
        seed: None,
        size_limit: None,
        expires_at: None,
    }
}

/// In memory where the system has such a place: these tests wait for the disk thousands of times.
fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

/// An engine over files whose process is killed at one of its changes: before or after it.
struct Dying {
    engine: FileEngine,
    /// Changes still to be lived through; each is two moments.
    moments: Arc<AtomicU32>,
}

impl Dying {
    fn moment(&self) {
        let left = self.moments.load(Ordering::Relaxed);
        assert!(left > 0, "killed");
        self.moments.store(left - 1, Ordering::Relaxed);
    }

    fn through<T>(&self, change: impl FnOnce(&FileEngine) -> Result<T>) -> Result<T> {
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
        self.through(|engine| engine.open_location(location, dir))
    }
    fn close_location(&self, dir: &Path) -> Result<()> {
        self.through(|engine| engine.close_location(dir))
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
    fn stable_url(&self, at: &Site) -> String {
        self.engine.stable_url(at)
    }
    fn is_linked(&self, at: &Site) -> bool {
        self.engine.is_linked(at)
    }
    fn link(&self, at: &Site) -> Result<()> {
        self.through(|engine| engine.link(at))
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
        self.through(|engine| engine.hold(at))
    }
    fn release(&self, at: &Site) {
        self.engine.release(at);
    }
    fn demote(&self, from: &Site, to: &Site) -> Result<()> {
        self.through(|engine| engine.demote(from, to))
    }
    fn promote(&self, at: &Site) -> Result<()> {
        self.through(|engine| engine.promote(at))
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
        self.through(|engine| engine.snapshot(from, to))
    }

    fn set_aside(&self, at: &Site) -> Result<PathBuf> {
        self.through(|engine| engine.set_aside(at))
    }
}

/// Runs SQL in a database's primary.
fn sql(plane: &Embedded, name: &str, text: &str) {
    let url = plane.connection(&db(name), None).unwrap().url;
    catalog::open_for_test(&url).execute_batch(text).unwrap();
}

fn rows(plane: &Embedded, name: &str, location: &str) -> i64 {
    let url = plane.connection(&db(name), Some(&at(location))).unwrap().url;
    catalog::open_for_test(&url)
        .query_row("SELECT count(*) FROM t", [], |row| row.get(0))
        .unwrap()
}

/// `app` in ams with replicas in fra and lhr, one row in all and a second only in its primary.
fn world(plane: &Embedded) {
    plane.create_database(&request("app")).unwrap();
    sql(plane, "app", "CREATE TABLE t (x); INSERT INTO t VALUES (1)");
    plane
        .add_group_location(&"default".parse().unwrap(), &at("fra"))
        .unwrap();
    plane.add_instance(&db("app"), &at("lhr")).unwrap();
    sql(plane, "app", "INSERT INTO t VALUES (2)");
}

fn upload(plane: &Embedded) -> Result<()> {
    let staging = plane.staging()?;
    catalog::open_for_test(&format!("file:{}", staging.path.display()))
        .execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1), (2)")
        .unwrap();
    let seed = Some(Seed::DatabaseUpload {
        path: staging.path.clone(),
    });
    plane
        .create_database(&CreateDatabase { seed, ..request("new") })
        .map(drop)
}

fn branch(plane: &Embedded) -> Result<()> {
    let seed = Some(Seed::Database { name: db("app") });
    plane
        .create_database(&CreateDatabase { seed, ..request("new") })
        .map(drop)
}

type Operation = (&'static str, fn(&Embedded) -> Result<()>);

const OPERATIONS: &[Operation] = &[
    ("create", |plane| plane.create_database(&request("new")).map(drop)),
    ("upload", upload),
    ("branch", branch),
    ("replicate", |plane| {
        plane.add_instance(&db("app"), &at("syd")).map(drop)
    }),
    ("sync", |plane| plane.sync_database(&db("app"), None).map(drop)),
    ("promote", |plane| {
        plane.promote_instance(&db("app"), &at("lhr")).map(drop)
    }),
    ("remove", |plane| plane.remove_instance(&db("app"), &at("lhr"))),
    ("add group location", |plane| {
        plane.add_group_location(&"default".parse()?, &at("syd")).map(drop)
    }),
    ("remove group location", |plane| {
        plane.remove_group_location(&"default".parse()?, &at("fra")).map(drop)
    }),
    ("promote group", |plane| {
        plane.promote_group(&"default".parse()?, &at("fra")).map(drop)
    }),
    ("destroy", |plane| plane.delete_database(&db("app")).map(drop)),
    ("destroy group", |plane| {
        plane.delete_group(&"default".parse()?).map(drop)
    }),
];

/// After a kill, a new process must find everything sound, without help and without a row lost.
fn assert_sound(dir: &Path, told: &str) {
    let plane = Embedded::open(dir).unwrap();
    let databases = plane.list_databases(&DatabaseFilter::default()).unwrap();
    let view = plane.read().unwrap().unwrap();
    assert!(!view.catalog.has_work().unwrap(), "{told}: work is left");
    for database in &databases {
        let name = database.name.as_str();
        for location in &database.locations {
            if name == "app" || database.parent.is_some() {
                assert_eq!(rows(&plane, name, location.as_str()), 2, "{told}: {name} in {location}");
            }
        }
        sql(
            &plane,
            name,
            "CREATE TABLE IF NOT EXISTS t (x); INSERT INTO t VALUES (3)",
        );
        plane.sync_database(&database.name, None).unwrap();
        let instances = plane.list_instances(&database.name).unwrap();
        assert!(
            instances.iter().all(|instance| instance.state == InstanceState::Ready),
            "{told}: {instances:?}"
        );
    }
    let found: Vec<_> = plane
        .check(false)
        .unwrap()
        .into_iter()
        .filter(|finding| finding.severity > Severity::Note)
        .collect();
    assert!(found.is_empty(), "{told}: {found:?}");
    // What a dead builder left is swept by the next one.
    drop(plane.staging().unwrap());
    assert!(staging::leftovers(&plane).unwrap().is_empty(), "{told}");
}

#[test]
fn operation_killed_at_any_change_is_completed_by_the_next_command() {
    let mut kills = 0;
    for (name, operation) in OPERATIONS {
        for moment in 0.. {
            let temporary = scratch();
            let dir = temporary.path().join("data");
            world(&Embedded::open(&dir).unwrap());
            let moments = Arc::new(AtomicU32::new(moment));
            let engine = Box::new(Dying {
                engine: FileEngine::with_links(dir.join("databases")),
                moments: moments.clone(),
            });
            let plane = Embedded {
                dir: dir.clone(),
                engine,
                catalog: OnceCell::new(),
                over_quota: Arc::default(),
                mark: Cell::default(),
            };
            let lived = catch_unwind(AssertUnwindSafe(|| operation(&plane)));
            drop(plane);
            assert_sound(&dir, &format!("{name} killed at moment {moment}"));
            match lived {
                Ok(done) => {
                    done.unwrap();
                    break;
                }
                Err(_) => kills += 1,
            }
        }
    }
    assert!(kills > 60, "{kills}");
}

/// Its primary location is one of the group's, whatever was made first: the database elsewhere, or the group's location.
#[test]
fn group_location_added_later_gives_its_databases_a_replica() {
    let dir = scratch();
    let plane = Embedded::open(dir.path()).unwrap();
    plane.create_database(&request("app")).unwrap();
    let elsewhere = CreateDatabase {
        location: Some(at("syd")),
        ..request("other")
    };
    plane.create_database(&elsewhere).unwrap();
    let locations = |name: &str| {
        let mut locations = plane.get_database(&db(name)).unwrap().locations;
        locations.sort();
        locations
    };
    assert_eq!(locations("other"), [at("syd")]);
    plane
        .add_group_location(&"default".parse().unwrap(), &at("lhr"))
        .unwrap();
    assert_eq!(locations("app"), [at("ams"), at("lhr")]);
    assert_eq!(locations("other"), [at("ams"), at("lhr"), at("syd")]);
}

#[test]
fn write_between_a_kill_and_the_next_command_survives_a_promotion() {
    for moment in 0.. {
        let dir = scratch();
        let first = Embedded::open(dir.path()).unwrap();
        world(&first);
        let file = first.get_database(&db("app")).unwrap().url;
        drop(first);
        let engine = Box::new(Dying {
            engine: FileEngine::with_links(dir.path().join("databases")),
            moments: Arc::new(AtomicU32::new(moment)),
        });
        let plane = Embedded {
            dir: dir.path().to_owned(),
            engine,
            catalog: OnceCell::new(),
            over_quota: Arc::default(),
            mark: Cell::default(),
        };
        let lived = catch_unwind(AssertUnwindSafe(|| plane.promote_instance(&db("app"), &at("lhr")))).is_ok();
        drop(plane);
        // An application that knows only the old path, and a superuser's, whom modes do not stop.
        let wrote = catalog::open_for_test(&file)
            .execute_batch("INSERT INTO t VALUES (3)")
            .is_ok();
        let plane = Embedded::open(dir.path()).unwrap();
        plane.list_databases(&DatabaseFilter::default()).unwrap();
        let _ = plane.sync_database(&db("app"), None);
        let kept = plane
            .check(false)
            .unwrap()
            .into_iter()
            .any(|finding| finding.code == "diverged_file" && finding.message.contains(".diverged-"));
        let rows = rows(&plane, "app", "lhr");
        assert!(!wrote || kept || rows == 3, "moment {moment}: the row is in neither");
        assert!(rows >= 2, "moment {moment}");
        if lived {
            break;
        }
    }
}

#[test]
fn databases_created_and_deleted_by_many_threads_at_once_are_whole() {
    let dir = scratch();
    std::thread::scope(|scope| {
        for worker in 0..16 {
            let dir = dir.path();
            scope.spawn(move || {
                for round in 0..4 {
                    let plane = Embedded::open(dir).unwrap();
                    let name = format!("w{worker}-{round}");
                    plane.create_database(&request(&name)).unwrap();
                    assert!(plane.list_databases(&DatabaseFilter::default()).unwrap().len() > round / 2);
                    if round % 2 == 1 {
                        plane.delete_database(&db(&name)).unwrap();
                    }
                }
            });
        }
    });
    let plane = Embedded::open(dir.path()).unwrap();
    assert_eq!(plane.list_databases(&DatabaseFilter::default()).unwrap().len(), 32);
    assert_eq!(std::fs::read_dir(dir.path().join("locations/ams")).unwrap().count(), 32);
}

/// What stands in the place of a primary is told, never used, and no replica is made from it.
#[test]
fn primary_replaced_by_another_kind_of_file_is_reported_and_never_used() {
    type Harm = fn(&Path);
    let harms: [(&str, InstanceState, Harm); 4] = [
        ("missing", InstanceState::Missing, |path| {
            std::fs::remove_file(path).unwrap()
        }),
        ("empty", InstanceState::Damaged, |path| {
            std::fs::write(path, "").unwrap()
        }),
        ("foreign", InstanceState::Damaged, |path| {
            std::fs::write(path, "no database\n".repeat(1000)).unwrap();
        }),
        ("directory", InstanceState::Damaged, |path| {
            std::fs::remove_file(path).unwrap();
            std::fs::create_dir(path).unwrap();
        }),
    ];
    for (what, state, harm) in harms {
        let dir = tempfile::tempdir().unwrap();
        let plane = Embedded::open(dir.path()).unwrap();
        world(&plane);
        plane.sync_database(&db("app"), None).unwrap();
        let path = PathBuf::from(plane.get_database(&db("app")).unwrap().url.trim_start_matches("file:"));
        let path = path.canonicalize().unwrap();
        for companion in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(disk::with_suffix(&path, companion));
        }
        harm(&path);
        assert_eq!(plane.get_database(&db("app")).unwrap().state, Some(state), "{what}");
        let listed = plane.list_databases(&DatabaseFilter::default()).unwrap();
        assert_eq!(listed[0].state, Some(state), "{what}");
        let instances = plane.list_instances(&db("app")).unwrap();
        assert_eq!(instances[0].state, state, "{what}");
        let findings = plane.check(false).unwrap();
        let codes = ["missing_primary", "damaged_primary"];
        let found = findings.iter().find(|finding| codes.contains(&finding.code.as_str()));
        let fix = found.and_then(|finding| finding.fix.clone()).unwrap();
        assert!(fix.contains("torso db export app --location fra"), "{what}: {fix}");
        assert!(plane.sync_database(&db("app"), None).is_err(), "{what}");
        assert!(plane.add_instance(&db("app"), &at("iad")).is_err(), "{what}");
        assert!(plane.promote_instance(&db("app"), &at("fra")).is_err(), "{what}");
        let branch = CreateDatabase {
            seed: Some(Seed::Database { name: db("app") }),
            ..request("branch")
        };
        assert!(plane.create_database(&branch).is_err(), "{what}");
        if what != "foreign" {
            // SQLite says of that one what it is.
            assert!(plane.connection(&db("app"), None).is_err(), "{what}");
        }
        assert_eq!(rows(&plane, "app", "fra"), 2, "{what}");
        assert_eq!(rows(&plane, "app", "lhr"), 2, "{what}");
        plane.delete_database(&db("app")).unwrap();
        assert!(!path.exists(), "{what}");
    }
}
