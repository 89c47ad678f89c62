//! Plans for files against states, without a control plane; then the same against a real one.

use super::*;
use crate::control::ControlPlane;
use crate::control::embedded::Embedded;
use crate::control::types::{CreateDatabase, NewGroup, Seed};
use crate::control::{DatabaseOperations as _, GroupOperations as _, InstanceOperations as _};
use crate::error::{Code, Error};
use std::path::Path;

fn declared(text: &str) -> DeclaredState {
    parse(Path::new("torso.toml"), text).unwrap()
}

fn steps(plan: &ApplyPlan) -> Vec<String> {
    let removals = plan.removals.iter().map(|step| format!("- {step}"));
    plan.steps.iter().map(Step::to_string).chain(removals).collect()
}

/// The steps from what a plane has to a file's state.
fn steps_from(plane: &dyn ControlPlane, text: &str) -> Result<Vec<String>, Error> {
    let declared = declared(text);
    let current = CurrentState::read(plane, &declared)?;
    plan(&declared, &current).map(|plan| steps(&plan))
}

/// A plane with group `shop` at ams and lhr, a database `shop-eu` in it, and `other` in `default` at nrt.
fn plane() -> (tempfile::TempDir, Embedded) {
    let dir = tempfile::tempdir().unwrap();
    let plane = Embedded::open(dir.path()).unwrap();
    let new = |name: &str, location: &str| NewGroup {
        name: name.parse().unwrap(),
        location: location.parse().unwrap(),
    };
    plane.create_group(&new("shop", "ams")).unwrap();
    plane.create_group(&new("default", "nrt")).unwrap();
    plane
        .add_group_location(&"shop".parse().unwrap(), &"lhr".parse().unwrap())
        .unwrap();
    for (name, group, location) in [("shop-eu", "shop", "ams"), ("other", "default", "nrt")] {
        let request = CreateDatabase {
            name: name.parse().unwrap(),
            group: Some(group.parse().unwrap()),
            location: Some(location.parse().unwrap()),
            seed: None,
            size_limit: None,
            expires_at: None,
        };
        plane.create_database(&request).unwrap();
    }
    (dir, plane)
}

#[test]
fn plan_of_an_empty_plane_creates_everything_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let plane = Embedded::open(dir.path()).unwrap();
    let text = "[groups.shop]\nlocations = [\"ams\", \"lhr\"]\ndelete_protection = true\n\
        [databases.a-copy]\nseed = { database = \"base\" }\n\
        [databases.base]\ngroup = \"shop\"\nreplicas = [\"lhr\", \"nrt\"]\nsize_limit = \"1mb\"\nblock_writes = true\n\
        delete_protection = false\nseed = { dump = \"x.sql\" }\n";
    assert_eq!(
        steps_from(&plane, text).unwrap(),
        [
            "create group shop at ams",
            "add location lhr to group shop",
            "set delete_protection true of group shop",
            "create database base in group shop at ams from x.sql",
            "replicate database base to nrt",
            "set block_writes true of database base",
            "create database a-copy from database base",
        ]
    );
}

#[test]
fn plan_of_what_is_there_is_empty() {
    let (_dir, plane) = plane();
    for text in [
        "",
        "[groups.shop]\nlocations = [\"ams\", \"lhr\"]\n[databases.shop-eu]\nreplicas = []\nlocation = \"ams\"\n",
        "[databases.shop-eu]\ngroup = \"shop\"\nsize_limit = \"0\"\nblock_reads = false\n[databases.other]\n",
        "[scope]\ndatabases = [\"shop-*\"]\n[databases.shop-eu]\nseed = { file = \"gone.db\" }\n",
    ] {
        assert_eq!(steps_from(&plane, text).unwrap(), [""; 0], "{text}");
    }
}

#[test]
fn plan_changes_what_differs_and_removes_what_is_not_named() {
    let (_dir, plane) = plane();
    plane
        .add_instance(&"other".parse().unwrap(), &"syd".parse().unwrap())
        .unwrap();
    let text = "[scope]\ngroups = [\"shop\"]\n\
        [groups.shop]\nlocations = [\"lhr\"]\n\
        [databases.other]\nlocation = \"fra\"\nreplicas = [\"nrt\"]\nsize_limit = \"1kb\"\ndelete_protection = true\n";
    assert_eq!(
        steps_from(&plane, text).unwrap(),
        [
            "make lhr the primary location of group shop",
            "replicate database other to fra",
            "make fra the primary of database other",
            "set size_limit 1024, delete_protection true of database other",
            "- remove location ams from group shop",
            "- remove the replica of database other at syd",
            "- destroy database shop-eu",
        ]
    );
}

#[test]
fn plan_that_cannot_be_made_names_the_line() {
    let (_dir, plane) = plane();
    for (text, message, code) in [
        (
            "\n[groups.new]\n",
            "torso.toml:2: groups.new is not there yet",
            Code::InvalidFile,
        ),
        (
            "[databases.other]\ngroup = \"shop\"\n",
            "torso.toml:1: databases.other.group is shop",
            Code::Conflict,
        ),
        (
            "[databases.x]\nreplicas = [\"ams\"]",
            "torso.toml:1: databases.x.replicas need",
            Code::InvalidFile,
        ),
        (
            "[databases.x]\nseed = { database = \"y\" }",
            "torso.toml:1: databases.x.seed.database: there is no",
            Code::DatabaseNotFound,
        ),
        (
            "[databases.x]\nseed = { database = \"y\" }\n[databases.y]\nseed = { database = \"x\" }",
            "torso.toml:1: databases.x.seed: these databases start with each other",
            Code::InvalidFile,
        ),
    ] {
        let error = steps_from(&plane, text).unwrap_err();
        assert!(error.message().starts_with(message), "{error}");
        assert_eq!(error.code(), code);
    }
}

#[test]
fn plan_for_a_seed_that_is_there_does_not_wait_for_it() {
    let (_dir, plane) = plane();
    let request = CreateDatabase {
        name: "a".parse().unwrap(),
        group: None,
        location: None,
        seed: Some(Seed::Database {
            name: "other".parse().unwrap(),
        }),
        size_limit: None,
        expires_at: None,
    };
    plane.create_database(&request).unwrap();
    let text = "[databases.a]\nseed = { database = \"b\" }\n[databases.b]\nseed = { database = \"a\" }\n";
    let text = steps_from(&plane, text).unwrap();
    assert_eq!(text, ["create database b from database a"]);
}

#[test]
fn plan_of_a_database_with_an_end_gives_moves_and_takes_it() {
    let (_dir, plane) = plane();
    let text = "[databases.short]\nlocation = \"ams\"\nexpires_at = 2999-01-31T00:00:00Z\n";
    assert_eq!(
        steps_from(&plane, text).unwrap(),
        ["create database short at ams, which expires at 2999-01-31T00:00:00Z"]
    );
    let request = CreateDatabase {
        name: "short".parse().unwrap(),
        group: None,
        location: Some("ams".parse().unwrap()),
        seed: None,
        size_limit: None,
        expires_at: Some("2999-01-31T00:00:00Z".parse().unwrap()),
    };
    plane.create_database(&request).unwrap();
    assert_eq!(steps_from(&plane, text).unwrap(), [""; 0]);
    let later = text.replace("2999-01", "2999-02").replace("31T", "28T");
    assert_eq!(
        steps_from(&plane, &later).unwrap(),
        ["set expires_at 2999-02-28T00:00:00Z of database short"]
    );
    let never = "[databases.short]\nexpires_at = \"never\"\n";
    assert_eq!(
        steps_from(&plane, never).unwrap(),
        ["set expires_at never of database short"]
    );
    let silent = "[databases.short]\nlocation = \"ams\"\n";
    assert_eq!(steps_from(&plane, silent).unwrap(), [""; 0]);
    let over = "[databases.gone]\nlocation = \"ams\"\nexpires_at = 2020-01-31T00:00:00Z\n";
    let error = steps_from(&plane, over).unwrap_err();
    assert_eq!(error.code(), Code::InvalidFile);
    assert!(error.message().contains("databases.gone.expires_at is over"), "{error}");
}
