//! Replicas that are not equal to their primary.

use super::promotion::Machine;
use crate::conformance::db;
use crate::support::until;
use std::path::PathBuf;
use torso::control::InstanceOperations as _;
use torso::control::types::InstanceState;
use torso::control::verification::VerificationRequest;

/// The file of the only database with 60 rows at a location.
fn replica_file(machine: &Machine, location: &str) -> PathBuf {
    let mut found = Vec::new();
    for pool in std::fs::read_dir(machine.data().join("locations").join(location))
        .unwrap()
        .flatten()
    {
        for id in std::fs::read_dir(pool.path().join("sqld/dbs")).unwrap().flatten() {
            let file = id.path().join("data");
            let connection = rusqlite::Connection::open(&file).unwrap();
            let rows = connection.query_row("select count(*) from t", [], |row| row.get::<_, i64>(0));
            if rows.is_ok_and(|rows| rows >= 60) {
                found.push(file);
            }
        }
    }
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

#[test]
fn verification_names_what_differs_and_repairs_it() {
    let machine = Machine::new();
    machine.world();
    machine
        .write("app", "insert into t select value from json_each('[' || rtrim(replace(hex(zeroblob(58)), '00', '1,'), ',') || ']')")
        .unwrap();
    until("replicas follow", || {
        machine.count("app", "fra") == 60 && machine.count("app", "lhr") == 60
    });
    let file = replica_file(&machine, "fra");
    let other = rusqlite::Connection::open(&file).unwrap();
    other
        .execute_batch("update t set x = 77 where rowid between 20 and 30")
        .unwrap();
    drop(other);
    let plane = machine.plane();
    let verified = plane
        .verify_database(&db("app"), VerificationRequest::default())
        .unwrap();
    let differing: Vec<_> = verified.differing().collect();
    assert_eq!(differing.len(), 1, "{verified:?}");
    assert_eq!(differing[0].location.as_str(), "fra");
    let difference = differing[0].difference.as_ref().unwrap();
    assert_eq!(difference.table, "t");
    let keys = (difference.first_key.as_deref(), difference.last_key.as_deref());
    assert_eq!(keys, (Some("20"), Some("30")));
    let state = || {
        let all = plane.list_instances(&db("app")).unwrap();
        let fra = all.iter().find(|instance| instance.location.as_str() == "fra");
        fra.unwrap().state
    };
    assert_eq!(state(), InstanceState::Diverged);
    let repaired = plane
        .verify_database(
            &db("app"),
            VerificationRequest {
                repair: true,
                deep: false,
            },
        )
        .unwrap();
    assert!(
        repaired.instances.iter().any(|instance| instance.repaired),
        "{repaired:?}"
    );
    assert_eq!(repaired.differing().count(), 0, "{repaired:?}");
    assert_ne!(state(), InstanceState::Diverged);
    let again = plane
        .verify_database(&db("app"), VerificationRequest::default())
        .unwrap();
    assert_eq!(again.differing().count(), 0, "{again:?}");
    assert_eq!(again.hash, verified.hash);
    machine.write("app", "insert into t values (61)").unwrap();
    until("the replica follows again", || machine.count("app", "fra") == 61);
}
