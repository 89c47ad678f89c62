//! Primaries at a location of another machine: made, followed, moved, away and lost.

use super::query;
use super::remote::{Machines, REMOTE};
use crate::conformance::{Subject as _, at, create, db, request, rows, write};
use crate::support::until;
use std::sync::atomic::Ordering;
use std::time::Duration;
use torso::control::MaintenanceOperations as _;
use torso::control::findings::Severity;
use torso::control::promotion::ForcedPromotion;
use torso::control::types::{ConfigurationPatch, DatabaseFilter, InstanceState, Seed};
use torso::engine::Engine as _;
use torso::engine::sqld::Access;
use torso::error::Code;

#[test]
fn remote_primary_is_made_followed_limited_and_deleted() {
    let machines = Machines::connected();
    let plane = machines.plane();
    create(&*plane, "app", REMOTE);
    write(&machines, "app", "create table t (x); insert into t values (1)");
    plane.add_instance(&db("app"), &at("ams")).unwrap();
    assert_eq!(rows(&machines, "app", "ams"), 1);
    write(&machines, "app", "insert into t values (2)");
    plane.sync_database(&db("app"), None).unwrap();
    assert_eq!(rows(&machines, "app", "ams"), 2);
    // What needs its files takes them of the replica here.
    let copy = torso::control::types::CreateDatabase {
        seed: Some(Seed::Database { name: db("app") }),
        location: Some(at("fra")),
        ..request("copy")
    };
    plane.create_database(&copy).unwrap();
    assert_eq!(rows(&machines, "copy", "fra"), 2);
    // Content that is here cannot be brought there.
    let there = torso::control::types::CreateDatabase {
        location: Some(at(REMOTE)),
        ..copy
    };
    let there = torso::control::types::CreateDatabase {
        name: db("other"),
        ..there
    };
    let error = plane.create_database(&there).unwrap_err();
    assert_eq!(error.code(), Code::Unsupported, "{error}");
    assert!(
        error.message().contains(REMOTE) && error.hint_text().is_some(),
        "{error}"
    );
    // Its settings are in force there when that is answered.
    let block = |is_on: bool| ConfigurationPatch {
        block_writes: Some(is_on),
        ..ConfigurationPatch::default()
    };
    let writing = plane.connection(&db("app"), None).unwrap();
    plane.update_configuration(&db("app"), &block(true)).unwrap();
    let refused = machines.try_run(&writing, "insert into t values (3)");
    assert!(refused.is_err(), "{refused:?}");
    plane.update_configuration(&db("app"), &block(false)).unwrap();
    write(&machines, "app", "insert into t values (3)");
    plane.delete_database(&db("app")).unwrap();
    let instances = || machines.shared.node.report().unwrap().instances;
    until("nothing is left there", || instances().is_empty());
    let findings = machines.shared.embedded().check(false).unwrap();
    assert!(
        findings.iter().all(|finding| finding.severity == Severity::Ok),
        "{findings:?}"
    );
}

#[test]
fn remote_primary_that_is_away_is_neither_made_nor_lost() {
    let machines = Machines::connected();
    let plane = machines.plane();
    create(&*plane, "app", REMOTE);
    write(&machines, "app", "create table t (x); insert into t values (1)");
    plane.add_instance(&db("app"), &at("ams")).unwrap();
    let shared = &machines.shared;
    shared.is_connected.store(false, Ordering::SeqCst);
    // As a server that has not heard of it since its start.
    shared.remote.remove(REMOTE);
    shared.remote.add(REMOTE);
    let new = torso::control::types::CreateDatabase {
        location: Some(at(REMOTE)),
        ..request("new")
    };
    let block = ConfigurationPatch {
        block_writes: Some(true),
        ..ConfigurationPatch::default()
    };
    for error in [
        plane.create_database(&new).unwrap_err(),
        plane.connection(&db("app"), None).unwrap_err(),
        plane.add_instance(&db("app"), &at("fra")).unwrap_err(),
        plane.update_configuration(&db("app"), &block).unwrap_err(),
    ] {
        assert!(error.full_message().contains("machine of location lhr"), "{error:?}");
    }
    assert!(plane.get_database(&db("new")).is_err());
    // What it has stays, whatever is not known of it; and what is to be so is so when it is back.
    machines.connect();
    until("its settings are in force", || {
        let report = shared.node.report().unwrap();
        let mut limits = report.instances.values().filter_map(|known| known.limits.as_ref());
        limits.any(|limits| limits.block_writes)
    });
    assert_eq!(rows(&machines, "app", REMOTE), 1);
    // It is deleted while the machine is away, and goes when that is back.
    shared.is_connected.store(false, Ordering::SeqCst);
    shared.remote.remove(REMOTE);
    shared.remote.add(REMOTE);
    plane.delete_database(&db("app")).unwrap();
    assert_eq!(shared.node.report().unwrap().instances.len(), 1);
    drop(plane);
    machines.connect();
    until("nothing is left there", || {
        // Any command goes on with what could not be done.
        let _ = machines.plane().list_databases(&DatabaseFilter::default());
        shared.node.report().unwrap().instances.is_empty()
    });
}

#[test]
fn remote_primary_on_a_lost_machine_is_replaced_only_when_that_is_off() {
    let machines = Machines::connected();
    let plane = machines.plane();
    create(&*plane, "app", REMOTE);
    write(&machines, "app", "create table t (x); insert into t values (1)");
    plane.add_instance(&db("app"), &at("ams")).unwrap();
    let shared = &machines.shared;
    let placed = shared.embedded().placement(&db("app")).unwrap();
    let (_, lost) = &placed.sites[0];
    let there = shared.node.site(lost.pool.as_deref().unwrap(), &lost.instance());
    shared.is_connected.store(false, Ordering::SeqCst);
    shared.remote.remove(REMOTE);
    shared.remote.add(REMOTE);
    let error = plane
        .force_promotion(&db("app"), &ForcedPromotion::default())
        .unwrap_err();
    assert_eq!(error.code(), Code::Conflict, "{error}");
    assert!(error.message().contains("may still run"), "{error}");
    assert!(error.hint_text().unwrap().contains("--old-machine-is-off"), "{error}");
    let off = ForcedPromotion {
        old_machine_is_off: true,
        ..ForcedPromotion::default()
    };
    let loss = plane.force_promotion(&db("app"), &off).unwrap().promotion.unwrap().loss;
    assert!(!loss.unwrap().is_exact, "what it had is not known");
    write(&machines, "app", "insert into t values (2)");
    // It was not off, and somebody there has written to it.
    let engine = shared.node.engine();
    let token = engine
        .token(&there.instance(), Access::ReadWrite, Duration::from_secs(60))
        .unwrap();
    let endpoint = engine.endpoint(&there).unwrap();
    query(&endpoint, token.expose(), "insert into t values (99)").unwrap();
    machines.connect();
    until("its files are set aside", || {
        let _ = shared.embedded().take_back_former();
        !engine.uncompared(&shared.dir.path().join("node")).unwrap().is_empty()
    });
    until("its replica has what is acknowledged now", || {
        machines.state_there("app") == InstanceState::Ready
    });
    assert_eq!(rows(&machines, "app", REMOTE), 2);
    until("they are compared", || {
        shared.node.compare_set_aside().unwrap();
        engine.uncompared(&shared.dir.path().join("node")).unwrap().is_empty()
    });
    let aside = engine.orphans(&shared.dir.path().join("node"), &|_| true).unwrap();
    let [aside] = aside.as_slice() else { panic!("{aside:?}") };
    let divergence = aside.divergence.as_deref().unwrap();
    assert!(divergence.contains(": 1 in t"), "{divergence}");
    // Of the epoch that is over nothing is served any more.
    assert!(engine.endpoint(&there).is_err());
}
