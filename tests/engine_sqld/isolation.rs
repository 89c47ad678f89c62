//! Groups whose databases have processes of their own.

use super::hosted::{Tenant, open, run};
use super::{engine, number};
use crate::conformance::{Subject as _, at, db, group, request};
use crate::hosted::{origin, slug};
use crate::support::until;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::time::{Duration, Instant};
use torso::control::ControlPlane;
use torso::control::gateway_plane::GatewayPlane as _;
use torso::control::hosted::Hosted;
use torso::control::types::{CreateDatabase, Database, GroupConfigurationPatch, Isolation, NewGroup, Seed};

const COUNT: &str = "select count(*) from t";

fn isolate(plane: &dyn ControlPlane, isolation: Isolation) {
    let patch = GroupConfigurationPatch {
        isolation: Some(isolation),
        ..GroupConfigurationPatch::default()
    };
    let configuration = plane.update_group_configuration(&group("apart"), &patch).unwrap();
    assert_eq!(configuration.isolation, Some(isolation));
}

/// Makes a database in the group, empty or with a seed.
fn make(plane: &dyn ControlPlane, name: &str, seed: Option<Seed>) -> Database {
    let new = CreateDatabase {
        group: Some(group("apart")),
        seed,
        ..request(name)
    };
    plane.create_database(&new).unwrap()
}

/// The process ids that serve a database's pool at a location: one at most.
fn pid_of_pool(hosted: &Hosted, pool: &str, location: &str) -> Option<u32> {
    let all = hosted.processes();
    let found: Vec<_> = all
        .iter()
        .filter(|status| status.label.pool == pool && status.label.location == location)
        .collect();
    assert!(found.len() <= 1, "{found:?}");
    found.first()?.pid
}

/// The process of a database of its own.
fn pid(hosted: &Hosted, database: &Database, location: &str) -> Option<u32> {
    pid_of_pool(hosted, &format!("{}-{}", database.id, database.primary), location)
}

fn kill_process(pid: u32) {
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGKILL).unwrap();
}

#[test]
fn isolated_databases_have_processes_of_their_own_and_end_alone() {
    let world = Tenant::new();
    let (hosted, plane) = (world.hosted, world.plane());
    let new = NewGroup {
        name: group("apart"),
        location: at("ams"),
    };
    let apart = plane.create_group(&new).unwrap();
    let before = make(&*plane, "before", None);
    isolate(&*plane, Isolation::Database);
    let (a, b) = (make(&*plane, "a", None), make(&*plane, "b", None));
    for database in [&before, &a, &b] {
        run(hosted, &database.url, "create table t (x); insert into t values (1)");
    }
    // One that was there stays where it was.
    let shared = format!("{}-ams", apart.uuid);
    let pids = [
        pid_of_pool(hosted, &shared, "ams"),
        pid(hosted, &a, "ams"),
        pid(hosted, &b, "ams"),
    ];
    assert!(pids.iter().all(Option::is_some), "{pids:?}");
    assert!(
        pids[0] != pids[1] && pids[1] != pids[2] && pids[0] != pids[2],
        "{pids:?}"
    );
    assert_eq!(pid(hosted, &before, "ams"), None);

    // A replica is a process of its own, too.
    plane.add_instance(&db("a"), &at("lhr")).unwrap();
    let replica = plane.connection(&db("a"), Some(&at("lhr"))).unwrap();
    until("the replica has it", || number(&run(hosted, &replica.url, COUNT)) == 1);
    assert!(pid(hosted, &a, "lhr").is_some_and(|lhr| !pids.contains(&Some(lhr))));

    kill_process(pids[1].unwrap());
    let killed = Instant::now();
    for other in [&before, &b] {
        assert_eq!(number(&run(hosted, &other.url, COUNT)), 1);
    }
    assert!(killed.elapsed() < Duration::from_secs(2), "{:?}", killed.elapsed());
    assert_eq!(pid_of_pool(hosted, &shared, "ams"), pids[0]);
    assert_eq!(pid(hosted, &b, "ams"), pids[2]);
    until("it is started again", || {
        pid(hosted, &a, "ams").is_some_and(|again| Some(again) != pids[1])
            && hosted
                .route("a-team")
                .is_some_and(|route| hosted.endpoint(&route).is_ok())
    });
    assert_eq!(number(&run(hosted, &a.url, COUNT)), 1);

    // What a database goes through leaves its process.
    let renamed = plane.rename_database(&db("b"), &db("c")).unwrap();
    assert_eq!(number(&run(hosted, &renamed.url, COUNT)), 1);
    assert_eq!(pid(hosted, &renamed, "ams"), pids[2]);
    let branch = make(&*plane, "branch", Some(Seed::Database { name: db("before") }));
    assert_eq!(number(&run(hosted, &branch.url, COUNT)), 1);
    assert!(pid(hosted, &branch, "ams").is_some());
    plane.delete_database(&db("c")).unwrap();
    assert_eq!(pid(hosted, &renamed, "ams"), None, "its process has nothing to serve");
    plane.remove_instance(&db("a"), &at("lhr")).unwrap();
    assert_eq!(pid(hosted, &a, "lhr"), None);
    assert_eq!(number(&run(hosted, &a.url, COUNT)), 1);
}

#[test]
fn isolation_is_kept_by_restarts_and_moves() {
    let dir = tempfile::Builder::new().prefix("torso-hosted-").tempdir().unwrap();
    let (hosted, token) = open(dir.path(), engine());
    let token = token.unwrap();
    let caller = hosted.authenticate(&token, &origin()).unwrap();
    hosted.accounts(&caller).create_organization("team").unwrap();
    let plane = hosted.plane(&caller, Some(&slug("team"))).unwrap();
    let new = NewGroup {
        name: group("apart"),
        location: at("ams"),
    };
    plane.create_group(&new).unwrap();
    isolate(&*plane, Isolation::Database);
    let a = make(&*plane, "a", None);
    plane.add_instance(&db("a"), &at("lhr")).unwrap();
    run(&hosted, &a.url, "create table t (x); insert into t values (1)");
    isolate(&*plane, Isolation::Group);
    let b = make(&*plane, "b", None);
    run(&hosted, &b.url, "create table t (x); insert into t values (1)");
    assert_eq!((a.isolation, b.isolation), (Some(Isolation::Database), None));
    isolate(&*plane, Isolation::Database);
    drop(plane);
    drop(hosted);

    let (hosted, _) = open(dir.path(), engine());
    let caller = hosted.authenticate(&token, &origin()).unwrap();
    let plane = hosted.plane(&caller, Some(&slug("team"))).unwrap();
    let configuration = plane.get_group_configuration(&group("apart")).unwrap();
    assert_eq!(configuration.isolation, Some(Isolation::Database));
    let both = || -> Vec<_> {
        ["a", "b"]
            .map(|name| plane.get_database(&db(name)).unwrap().isolation)
            .to_vec()
    };
    assert_eq!(both(), [Some(Isolation::Database), None]);
    for name in ["a", "b"] {
        let url = plane.get_database(&db(name)).unwrap().url;
        until("it serves", || {
            hosted
                .route(&format!("{name}-team"))
                .is_some_and(|route| hosted.endpoint(&route).is_ok())
        });
        assert_eq!(number(&run(&hosted, &url, COUNT)), 1);
    }
    assert!(pid(&hosted, &a, "ams").is_some() && pid(&hosted, &b, "ams").is_none());

    // A group that moves takes its setting along, and what moves is made under it.
    plane.transfer_group(&group("apart"), &slug("alice")).unwrap();
    let there = hosted.plane(&caller, None).unwrap();
    let configuration = there.get_group_configuration(&group("apart")).unwrap();
    assert_eq!(configuration.isolation, Some(Isolation::Database));
    for name in ["a", "b"] {
        let moved = there.get_database(&db(name)).unwrap();
        assert_eq!(moved.isolation, Some(Isolation::Database));
        assert!(pid(&hosted, &moved, "ams").is_some());
        assert_eq!(number(&run(&hosted, &moved.url, COUNT)), 1);
    }
    assert_eq!(there.get_database(&db("a")).unwrap().locations.len(), 2);
}
