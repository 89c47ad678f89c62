//! The control plane over server processes: the same suite as over files, and what only processes can show.

use super::{engine, number, query_at};
use crate::conformance::{Subject, at, conformance, create, db, request, rows, write};
use crate::support::{damaged_database, until};
use std::path::PathBuf;
use std::time::Duration;
use torso::control::ControlPlane;
use torso::control::embedded::Embedded;
use torso::control::types::{Connection, CreateDatabase, InstanceState, NewLocation, Role, Seed};
use torso::engine::sqld::{Access, SqldEngine};
use torso::error::Code;

struct Servers {
    engine: SqldEngine,
    dir: tempfile::TempDir,
}

impl Servers {
    fn new() -> Self {
        Self {
            engine: engine(),
            dir: tempfile::Builder::new().prefix("torso-plane-").tempdir().unwrap(),
        }
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn embedded(&self) -> Embedded {
        Embedded::over(&self.data(), Box::new(self.engine.clone())).unwrap()
    }

    /// As after a start of the machine.
    fn restart(&mut self) {
        self.engine.shutdown();
        self.engine = engine();
        assert!(self.embedded().reconcile_all().unwrap().is_empty());
    }

    fn run(&self, to: &Connection, sql: &str) -> Vec<serde_json::Value> {
        let url = url::Url::parse(&to.url).unwrap();
        let host = url.host_str().unwrap();
        let id = host.split('.').next().unwrap();
        let address = ([127, 0, 0, 1], url.port().unwrap()).into();
        let token = self
            .engine
            .token(id, Access::ReadWrite, Duration::from_secs(60))
            .unwrap();
        query_at(address, host, token.expose(), sql).unwrap()
    }
}

impl Subject for Servers {
    fn plane(&self) -> Box<dyn ControlPlane> {
        Box::new(self.embedded())
    }

    fn execute(&self, to: &Connection, sql: &str) {
        self.run(to, sql);
    }

    fn number(&self, to: &Connection, sql: &str) -> i64 {
        number(&self.run(to, sql))
    }
}

#[test]
fn control_plane_of_servers_conforms() {
    conformance(
        Servers::new,
        &[
            // Replicas follow by themselves, so none is ever left behind for a look at it.
            "a replica that is behind",
            "syncing one of two",
        ],
    );
}

#[test]
fn databases_after_a_restart_have_everything() {
    let mut world = Servers::new();
    create(&*world.plane(), "app", "ams");
    create(&*world.plane(), "other", "lhr");
    write(&world, "app", "create table t (x); insert into t values (1)");
    for location in ["lhr", "iad"] {
        world.plane().add_instance(&db("app"), &at(location)).unwrap();
    }
    world.restart();
    let all = world.plane().list_instances(&db("app")).unwrap();
    let states: Vec<_> = all
        .iter()
        .map(|instance| (instance.name.as_str(), instance.state))
        .collect();
    assert_eq!(
        states,
        ["ams", "iad", "lhr"].map(|location| (location, InstanceState::Ready))
    );
    write(&world, "app", "insert into t values (2)");
    for location in ["ams", "lhr", "iad"] {
        until("it follows", || rows(&world, "app", location) == 2);
    }
    world.plane().connection(&db("other"), None).unwrap();
}

#[test]
fn script_is_the_same_whatever_the_locations_of_its_primaries() {
    let world = Servers::new();
    let plane = world.plane();
    // One group, three primaries in different places: each is the primary where it was wanted.
    for (name, location) in [("a", "ams"), ("b", "lhr"), ("c", "iad")] {
        let made = create(&*plane, name, location);
        assert_eq!((made.group.as_str(), made.primary.as_str()), ("default", location));
        write(
            &world,
            name,
            &format!("create table t (x); insert into t values ('{name}')"),
        );
    }
    plane.add_instance(&db("a"), &at("lhr")).unwrap();
    plane.add_instance(&db("b"), &at("ams")).unwrap();
    assert_eq!(
        plane.connection(&db("b"), Some(&at("ams"))).unwrap().role,
        Role::Replica
    );
    assert_eq!(rows(&world, "a", "lhr"), 1);
    assert_eq!(rows(&world, "b", "ams"), 1);
}

#[test]
fn location_that_is_away_gets_its_removals_later() {
    let world = Servers::new();
    let plane = world.plane();
    let disk = world.dir.path().join("disk");
    plane
        .add_location(&NewLocation {
            code: at("nas"),
            description: "A disk that can be away".to_owned(),
            dir: Some(disk.clone()),
            lat: None,
            lon: None,
        })
        .unwrap();
    create(&*plane, "app", "ams");
    write(&world, "app", "create table t (x)");
    plane.add_instance(&db("app"), &at("nas")).unwrap();
    let away = world.dir.path().join("away");
    std::fs::rename(&disk, &away).unwrap();
    let error = plane.delete_database(&db("app")).unwrap_err();
    assert_eq!(error.code(), Code::Partial, "{error}");
    assert_eq!(
        plane.get_database(&db("app")).unwrap_err().code(),
        Code::DatabaseNotFound
    );
    std::fs::rename(&away, &disk).unwrap();
    // Any further change does what waits.
    create(&*plane, "next", "ams");
    let left: Vec<_> = std::fs::read_dir(&disk)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, [".torso-location"]);
}

#[test]
fn limits_of_the_catalog_are_in_force() {
    let world = Servers::new();
    let plane = world.plane();
    plane
        .create_database(&CreateDatabase {
            location: Some(at("ams")),
            size_limit: Some("1000000".to_owned()),
            ..request("app")
        })
        .unwrap();
    write(&world, "app", "create table t (x)");
    let to = plane.connection(&db("app"), None).unwrap();
    let grow = || {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            world.execute(&to, "insert into t values (zeroblob(2000000))");
        }))
    };
    assert!(grow().is_err());
    plane
        .update_configuration(
            &db("app"),
            &torso::control::types::ConfigurationPatch {
                size_limit: Some("0".to_owned()),
                ..Default::default()
            },
        )
        .unwrap();
    until("the limit is lifted", || grow().is_ok());
}

#[test]
fn seed_that_is_refused_leaves_no_database() {
    let world = Servers::new();
    let plane = world.plane();
    let staging = plane.staging().unwrap();
    damaged_database(&staging.path);
    let error = plane
        .create_database(&CreateDatabase {
            seed: Some(Seed::DatabaseUpload {
                path: staging.path.clone(),
            }),
            ..request("app")
        })
        .unwrap_err();
    assert_eq!(error.code(), Code::InvalidFile, "{error}");
    assert_eq!(
        plane.get_database(&db("app")).unwrap_err().code(),
        Code::DatabaseNotFound
    );
}
