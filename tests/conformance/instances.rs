//! Instances: replicas, syncing, promotion.

use super::{Check, Subject, at, create, db, refused, rows, write};
use torso::control::types::{InstanceState, Role};
use torso::error::Code;

pub const CHECKS: &[Check] = &[
    ("replica life", life),
    ("replicas take no writes", read_only),
    ("a replica that is behind", behind),
    ("syncing one of two", one_of_two),
    ("the state of locations", location_status),
    ("promotion", promotion),
    ("what is refused", refusals),
];

fn read_only(world: &dyn Subject) {
    let plane = world.plane();
    create(&*plane, "app", "ams");
    plane.add_instance(&db("app"), &at("lhr")).unwrap();
    let connection = plane.connection(&db("app"), Some(&at("lhr"))).unwrap();
    assert_eq!((connection.role, connection.read_only), (Role::Replica, true));
    let reason = connection.read_only_reason.unwrap();
    assert!(
        reason.contains("ams") && reason.contains("torso db shell app"),
        "{reason}"
    );
}

fn life(world: &dyn Subject) {
    let plane = world.plane();
    create(&*plane, "app", "ams");
    write(world, "app", "CREATE TABLE t (x); INSERT INTO t VALUES (1)");
    let replica = plane.add_instance(&db("app"), &at("lhr")).unwrap();
    assert_eq!(
        (replica.role, replica.state, replica.lag_ms),
        (Role::Replica, InstanceState::Ready, Some(0))
    );
    assert!(replica.synced_at.is_some() && replica.size_bytes.is_some());
    let again = plane.add_instance(&db("app"), &at("lhr")).unwrap();
    assert_eq!(again.uuid, replica.uuid);
    let all = world.plane().list_instances(&db("app")).unwrap();
    assert_eq!(all.len(), 2);
    assert_eq!(
        (all[0].role, all[0].name.as_str(), all[0].state),
        (Role::Primary, "ams", InstanceState::Ready)
    );
    assert_eq!(
        (all[1].role, all[1].name.as_str(), all[1].state),
        (Role::Replica, "lhr", InstanceState::Ready)
    );
    assert_ne!(all[0].uuid, all[1].uuid);
    let connection = plane.connection(&db("app"), Some(&at("lhr"))).unwrap();
    assert_eq!(connection.role, Role::Replica);
    plane.remove_instance(&db("app"), &at("lhr")).unwrap();
    assert_eq!(plane.list_instances(&db("app")).unwrap().len(), 1);
    refused(
        plane.remove_instance(&db("app"), &at("lhr")),
        Code::InstanceNotFound,
        "lhr",
    );
}

fn behind(world: &dyn Subject) {
    let plane = world.plane();
    create(&*plane, "app", "ams");
    write(world, "app", "CREATE TABLE t (x)");
    plane.add_instance(&db("app"), &at("lhr")).unwrap();
    for round in 1..=5 {
        write(world, "app", "INSERT INTO t VALUES (1)");
        let replica = &plane.list_instances(&db("app")).unwrap()[1];
        assert_eq!(replica.state, InstanceState::Behind);
        assert!(replica.lag_ms.unwrap() > 0);
        let synced = plane.sync_database(&db("app"), None).unwrap();
        assert_eq!(
            (synced.len(), synced[0].changed, synced[0].location.clone()),
            (1, true, at("lhr"))
        );
        assert_eq!(plane.list_instances(&db("app")).unwrap()[1].lag_ms, Some(0));
        let synced = plane.sync_database(&db("app"), None).unwrap();
        assert!(!synced[0].changed);
        assert_eq!(rows(world, "app", "lhr"), round);
    }
    // Connecting to a replica that is behind refreshes it.
    write(world, "app", "INSERT INTO t VALUES (1)");
    assert_eq!(rows(world, "app", "lhr"), 6);
}

fn one_of_two(world: &dyn Subject) {
    let plane = world.plane();
    create(&*plane, "app", "ams");
    write(world, "app", "CREATE TABLE t (x)");
    plane.add_instance(&db("app"), &at("lhr")).unwrap();
    plane.add_instance(&db("app"), &at("fra")).unwrap();
    write(world, "app", "INSERT INTO t VALUES (1)");
    let synced = plane.sync_database(&db("app"), Some(&at("fra"))).unwrap();
    assert_eq!(
        (synced.len(), synced[0].changed, synced[0].location.clone()),
        (1, true, at("fra"))
    );
    let states: Vec<_> = plane
        .list_instances(&db("app"))
        .unwrap()
        .iter()
        .map(|one| one.state)
        .collect();
    assert_eq!(
        states,
        [InstanceState::Ready, InstanceState::Ready, InstanceState::Behind]
    );
    let synced = plane.sync_database(&db("app"), None).unwrap();
    assert_eq!(synced.iter().map(|one| one.changed).collect::<Vec<_>>(), [false, true]);
}

fn location_status(world: &dyn Subject) {
    let plane = world.plane();
    assert!(plane.location_status(None).unwrap().is_empty());
    create(&*plane, "app", "ams");
    plane.add_instance(&db("app"), &at("lhr")).unwrap();
    let counts = |group: Option<&str>| -> Vec<(String, u64, u64, Option<u64>)> {
        let all = plane
            .location_status(group.map(|name| name.parse().unwrap()).as_ref())
            .unwrap();
        assert!(all.iter().all(|status| status.size_bytes > 0), "{all:?}");
        let count = |status: &torso::control::location_status::LocationStatus| {
            let ready = status.states.get("ready").copied();
            (status.location.to_string(), status.primaries, status.replicas, ready)
        };
        all.iter().map(count).collect()
    };
    let expected = [("ams".to_owned(), 1, 0, Some(1)), ("lhr".to_owned(), 0, 1, Some(1))];
    assert_eq!(counts(None), expected);
    assert_eq!(counts(Some("default")), expected);
    refused(
        plane.location_status(Some(&"nowhere".parse().unwrap())),
        Code::GroupNotFound,
        "nowhere",
    );
}

fn promotion(world: &dyn Subject) {
    let plane = world.plane();
    let made = create(&*plane, "app", "ams");
    write(world, "app", "CREATE TABLE t (x); INSERT INTO t VALUES (1)");
    plane.add_instance(&db("app"), &at("lhr")).unwrap();
    plane.add_instance(&db("app"), &at("fra")).unwrap();
    write(world, "app", "INSERT INTO t VALUES (2)");
    let promoted = plane.promote_instance(&db("app"), &at("lhr")).unwrap();
    assert_eq!(promoted.id, made.id);
    assert_eq!(promoted.locations, [at("lhr"), at("ams"), at("fra")]);
    for location in ["lhr", "ams", "fra"] {
        assert_eq!(rows(world, "app", location), 2);
    }
    write(world, "app", "INSERT INTO t VALUES (3)");
    for location in ["ams", "lhr", "fra", "ams"] {
        plane.promote_instance(&db("app"), &at(location)).unwrap();
        assert_eq!(
            plane.promote_instance(&db("app"), &at(location)).unwrap().primary,
            at(location)
        );
        write(world, "app", "INSERT INTO t VALUES (4)");
    }
    for location in ["lhr", "ams", "fra"] {
        assert_eq!(rows(world, "app", location), 7);
    }
    // Replicas of a server may pass writes on; those that are files cannot.
    let replica = plane.connection(&db("app"), Some(&at("fra"))).unwrap();
    assert!(replica.read_only || !replica.url.as_str().starts_with("file:"));
    assert!(!plane.connection(&db("app"), Some(&at("ams"))).unwrap().read_only);
}

fn refusals(world: &dyn Subject) {
    let plane = world.plane();
    create(&*plane, "app", "ams");
    let app = db("app");
    refused(plane.add_instance(&app, &at("ams")), Code::PrimaryInstance, "app");
    refused(
        plane.add_instance(&app, &at("nowhere")),
        Code::LocationNotFound,
        "nowhere",
    );
    refused(plane.remove_instance(&app, &at("ams")), Code::PrimaryInstance, "app");
    refused(plane.remove_instance(&app, &at("lhr")), Code::InstanceNotFound, "lhr");
    refused(plane.promote_instance(&app, &at("lhr")), Code::InstanceNotFound, "lhr");
    refused(
        plane.promote_instance(&app, &at("nowhere")),
        Code::LocationNotFound,
        "nowhere",
    );
    refused(
        plane.sync_database(&app, Some(&at("ams"))),
        Code::PrimaryInstance,
        "app",
    );
    refused(
        plane.sync_database(&app, Some(&at("lhr"))),
        Code::InstanceNotFound,
        "lhr",
    );
    refused(plane.connection(&app, Some(&at("lhr"))), Code::InstanceNotFound, "lhr");
    refused(
        plane.connection(&app, Some(&at("nowhere"))),
        Code::LocationNotFound,
        "nowhere",
    );
    assert_eq!(plane.sync_database(&app, None).unwrap(), []);
}
