//! Moves to another organization that come to no end by themselves: the server ended, or something failed.

use super::{World, at, db, options, request, slug};
use crate::conformance::{create, refused};
use crate::support::until;
use rusqlite::Connection;
use torso::control::ControlPlane;
use torso::control::gateway_plane::GatewayPlane as _;
use torso::control::hosted::{Caller, Hosted};
use torso::control::names::GroupName;
use torso::control::types::{ConfigurationPatch, CreateDatabase, GroupConfigurationPatch, NewGroup};
use torso::error::Code;

/// What a move leaves that was cut short before the former database was deleted, as its file has it.
fn cut_short(world: World, database: &str, copy: &str, to: &str) -> World {
    let World { hosted, owner, dir } = world;
    hosted.shutdown();
    drop(hosted);
    let accounts = rusqlite::Connection::open(dir.path().join("data").join("accounts.db")).unwrap();
    let sql = "INSERT INTO moves SELECT ?1, a.id, t.id, ?2, 0 FROM organizations a, organizations t
               WHERE a.slug = 'alice' AND t.slug = ?3";
    assert_eq!(accounts.execute(sql, [database, copy, to]).unwrap(), 1);
    drop(accounts);
    let (hosted, _) = Hosted::open(options(dir.path())).unwrap();
    until("a start is over", || hosted.check_ready().is_ok());
    let world = World {
        hosted: hosted.into(),
        owner,
        dir,
    };
    let accounts = rusqlite::Connection::open(world.dir.path().join("data").join("accounts.db")).unwrap();
    let left: i64 = accounts
        .query_row("SELECT count(*) FROM moves", [], |row| row.get(0))
        .unwrap();
    assert_eq!(left, 0);
    world
}

#[test]
fn transfer_that_was_cut_short_is_undone_at_the_next_start() {
    let world = World::new();
    let (former, copy, other) = {
        let owner = world.owner();
        world.hosted.accounts(&owner).create_organization("team").unwrap();
        let plane = world.hosted.plane(&owner, None).unwrap();
        let team = world.hosted.plane(&owner, Some(&slug("team"))).unwrap();
        let former = create(&*plane, "app", "ams").id;
        let block = ConfigurationPatch {
            block_writes: Some(true),
            ..ConfigurationPatch::default()
        };
        plane.update_configuration(&db("app"), &block).unwrap();
        // One that was there before, of another name, is nobody's copy.
        (
            former,
            create(&*team, "app", "ams").id,
            create(&*team, "other", "ams").id,
        )
    };
    let world = cut_short(world, former.as_str(), copy.as_str(), "team");
    let owner = world.owner();
    let plane = world.hosted.plane(&owner, None).unwrap();
    let team = world.hosted.plane(&owner, Some(&slug("team"))).unwrap();
    let now = plane.get_database(&db("app")).unwrap();
    assert_eq!((now.id.clone(), now.block_writes), (former, false));
    refused(team.get_database(&db("app")), Code::DatabaseNotFound, "app");
    assert_eq!(team.get_database(&db("other")).unwrap().id, other);
    assert_eq!(
        world.hosted.route("app-alice").map(|route| route.block_writes),
        Some(false)
    );
    assert!(world.hosted.route("app-team").is_none());
    // Nothing is in the way of another try.
    plane.transfer_database(&db("app"), &slug("team")).unwrap();
    assert_eq!(team.get_database(&db("app")).unwrap().primary, at("ams"));
}

#[test]
fn transfer_is_complete_once_the_former_database_is_gone() {
    let world = World::new();
    let (former, copy) = {
        let owner = world.owner();
        world.hosted.accounts(&owner).create_organization("team").unwrap();
        let plane = world.hosted.plane(&owner, None).unwrap();
        let team = world.hosted.plane(&owner, Some(&slug("team"))).unwrap();
        let former = create(&*plane, "app", "ams").id;
        let copy = create(&*team, "app", "ams").id;
        plane.delete_database(&db("app")).unwrap();
        (former, copy)
    };
    let world = cut_short(world, former.as_str(), copy.as_str(), "team");
    let owner = world.owner();
    let team = world.hosted.plane(&owner, Some(&slug("team"))).unwrap();
    assert_eq!(team.get_database(&db("app")).unwrap().id, copy);
    assert!(world.hosted.route("app-team").is_some());
}

/// Two organizations, and a way to have their catalogs refuse something.
struct Two {
    world: World,
    caller: Caller,
}

impl Two {
    fn new() -> Self {
        let world = World::new();
        let caller = world.owner();
        world.hosted.accounts(&caller).create_organization("team").unwrap();
        Self { world, caller }
    }

    fn plane(&self, organization: &str) -> Box<dyn ControlPlane + '_> {
        self.world
            .hosted
            .plane(&self.caller, Some(&slug(organization)))
            .unwrap()
    }

    fn accounts(&self) -> Connection {
        Connection::open(self.world.dir.path().join("data/accounts.db")).unwrap()
    }

    fn catalog(&self, organization: &str) -> Connection {
        let id: String = self
            .accounts()
            .query_row("SELECT id FROM organizations WHERE slug = ?1", [organization], |row| {
                row.get(0)
            })
            .unwrap();
        let dir = self.world.dir.path().join("data/organizations").join(id);
        Connection::open(dir.join("catalog.db")).unwrap()
    }

    /// From now on a catalog refuses a change of databases, such as `INSERT`, when something is so.
    fn refuse(&self, organization: &str, change: &str, when: &str) {
        let name = change.to_lowercase();
        let sql = format!(
            "CREATE TRIGGER refuse_{name} BEFORE {change} ON databases WHEN {when} BEGIN SELECT RAISE(ABORT, 'no'); END"
        );
        self.catalog(organization).execute_batch(&sql).unwrap();
    }

    fn allow(&self, organization: &str, change: &str) {
        let name = change.to_lowercase();
        let sql = format!("DROP TRIGGER refuse_{name}");
        self.catalog(organization).execute_batch(&sql).unwrap();
    }

    fn moves(&self) -> (i64, i64) {
        let count = |table: &str| {
            let sql = format!("SELECT count(*) FROM {table}");
            self.accounts().query_row(&sql, [], |row| row.get(0)).unwrap()
        };
        (count("moves"), count("group_moves"))
    }

    fn group(&self, organization: &str, name: &str, databases: &[&str]) {
        let plane = self.plane(organization);
        let group = NewGroup {
            name: name.parse().unwrap(),
            location: at("ams"),
        };
        plane.create_group(&group).unwrap();
        for database in databases {
            plane
                .create_database(&CreateDatabase {
                    group: Some(name.parse().unwrap()),
                    ..request(database)
                })
                .unwrap();
        }
    }

    /// Databases with their groups.
    fn databases(&self, organization: &str) -> Vec<(String, String)> {
        let all = self.plane(organization).list_databases(&Default::default()).unwrap();
        let named = all
            .into_iter()
            .map(|database| (database.group.to_string(), database.name.to_string()));
        named.collect()
    }

    fn groups(&self, organization: &str) -> Vec<String> {
        let all = self.plane(organization).list_groups().unwrap();
        all.into_iter().map(|group| group.name.to_string()).collect()
    }
}

fn of(group: &str, names: &[&str]) -> Vec<(String, String)> {
    names
        .iter()
        .map(|name| (group.to_owned(), (*name).to_owned()))
        .collect()
}

#[test]
fn transfer_that_cannot_be_undone_at_once_is_undone_later() {
    let it = Two::new();
    let former = create(&*it.plane("alice"), "app", "ams").id;
    it.refuse("team", "INSERT", "true");
    it.refuse("alice", "UPDATE", "NOT new.block_writes");
    let error = it
        .plane("alice")
        .transfer_database(&db("app"), &slug("team"))
        .unwrap_err();
    assert_eq!(error.code(), Code::Partial, "{error}");
    assert!(it.plane("alice").get_database(&db("app")).unwrap().block_writes);
    // Another try has to undo the first one, and cannot either.
    refused(
        it.plane("alice").transfer_database(&db("app"), &slug("team")),
        Code::DatabaseBusy,
        "earlier move",
    );
    assert_eq!(it.moves(), (1, 0));
    it.allow("alice", "UPDATE");
    until("the keeper undoes it", || it.moves() == (0, 0));
    let now = it.plane("alice").get_database(&db("app")).unwrap();
    assert_eq!((now.id, now.block_writes), (former, false));
    it.allow("team", "INSERT");
    it.plane("alice").transfer_database(&db("app"), &slug("team")).unwrap();
    assert!(!it.plane("team").get_database(&db("app")).unwrap().block_writes);
}

#[test]
fn transfer_that_cannot_be_completed_at_once_is_completed_later() {
    let it = Two::new();
    create(&*it.plane("alice"), "app", "ams");
    it.refuse("team", "UPDATE", "NOT new.block_writes");
    let error = it
        .plane("alice")
        .transfer_database(&db("app"), &slug("team"))
        .unwrap_err();
    assert_eq!(error.code(), Code::Partial, "{error}");
    refused(
        it.plane("alice").get_database(&db("app")),
        Code::DatabaseNotFound,
        "app",
    );
    assert!(it.plane("team").get_database(&db("app")).unwrap().block_writes);
    it.allow("team", "UPDATE");
    until("the keeper finishes it", || it.moves() == (0, 0));
    assert!(!it.plane("team").get_database(&db("app")).unwrap().block_writes);
    let route = it.world.hosted.route("app-team").unwrap();
    assert!(!route.block_writes);
}

#[test]
fn group_transfer_keeps_no_unused_copy_of_a_protected_group() {
    let it = Two::new();
    create(&*it.plane("alice"), "app", "ams");
    let plane = it.plane("alice");
    let limit = ConfigurationPatch {
        size_limit: Some("10mb".to_owned()),
        ..ConfigurationPatch::default()
    };
    plane.update_configuration(&db("app"), &limit).unwrap();
    let default: GroupName = "default".parse().unwrap();
    let protect = GroupConfigurationPatch {
        delete_protection: Some(true),
        ..Default::default()
    };
    it.plane("team").update_group_configuration(&default, &protect).unwrap();
    // The copy is made, and then does not get its settings.
    it.refuse("team", "UPDATE", "true");
    assert!(plane.transfer_database(&db("app"), &slug("team")).is_err());
    assert_eq!((it.moves(), it.databases("team")), ((0, 0), vec![]));
    assert!(!plane.get_database(&db("app")).unwrap().block_writes);
    it.allow("team", "UPDATE");
    plane.transfer_database(&db("app"), &slug("team")).unwrap();
    assert_eq!(it.databases("team"), of("default", &["app"]));
}

#[test]
fn transfer_keeps_blocked_writes_blocked_and_protected_groups_in_place() {
    let it = Two::new();
    let plane = it.plane("alice");
    it.group("alice", "eu", &["a"]);
    let block = ConfigurationPatch {
        block_writes: Some(true),
        ..ConfigurationPatch::default()
    };
    plane.update_configuration(&db("a"), &block).unwrap();
    let eu: GroupName = "eu".parse().unwrap();
    let protect = |on| GroupConfigurationPatch {
        delete_protection: Some(on),
        ..Default::default()
    };
    plane.update_group_configuration(&eu, &protect(true)).unwrap();
    refused(
        plane.transfer_database(&db("a"), &slug("team")),
        Code::DeleteProtected,
        "eu",
    );
    plane.update_group_configuration(&eu, &protect(false)).unwrap();
    plane.transfer_database(&db("a"), &slug("team")).unwrap();
    assert!(it.plane("team").get_database(&db("a")).unwrap().block_writes);
    assert!(it.world.hosted.route("a-team").unwrap().block_writes);
}

#[test]
fn group_transfer_in_part_is_completed_by_the_same_call() {
    let it = Two::new();
    let eu: GroupName = "eu".parse().unwrap();
    it.group("alice", "eu", &["a", "b", "c"]);
    it.refuse("team", "INSERT", "new.name = 'b'");
    let error = it.plane("alice").transfer_group(&eu, &slug("team")).unwrap_err();
    assert_eq!(error.code(), Code::Partial);
    insta::assert_snapshot!(error.hint_text().unwrap(), @"run it again to move the others: torso group transfer eu team");
    assert_eq!(it.databases("alice"), of("eu", &["b", "c"]));
    assert_eq!(it.databases("team"), of("eu", &["a"]));
    // Also under other names, and with what was added meanwhile.
    let there: GroupName = "eu-2".parse().unwrap();
    it.plane("team").rename_group(&eu, &there).unwrap();
    it.plane("alice")
        .create_database(&CreateDatabase {
            group: Some(eu.clone()),
            ..request("d")
        })
        .unwrap();
    it.allow("team", "INSERT");
    let moved = it.plane("alice").transfer_group(&eu, &slug("team")).unwrap();
    assert_eq!(moved.name, there);
    assert_eq!(it.databases("team"), of("eu-2", &["a", "b", "c", "d"]));
    assert_eq!((it.databases("alice"), it.moves()), (vec![], (0, 0)));
    assert!(!it.groups("alice").contains(&"eu".to_owned()));
}

#[test]
fn group_transfer_in_part_can_be_taken_back() {
    let it = Two::new();
    let eu: GroupName = "eu".parse().unwrap();
    it.group("alice", "eu", &["a", "b"]);
    it.refuse("team", "INSERT", "new.name = 'b'");
    it.plane("alice").transfer_group(&eu, &slug("team")).unwrap_err();
    it.plane("team").transfer_group(&eu, &slug("alice")).unwrap();
    assert_eq!(it.databases("alice"), of("eu", &["a", "b"]));
    assert_eq!((it.databases("team"), it.moves()), (vec![], (0, 0)));
    assert!(!it.groups("team").contains(&"eu".to_owned()));
}

#[test]
fn group_transfer_that_moved_nothing_leaves_nothing() {
    let it = Two::new();
    let eu: GroupName = "eu".parse().unwrap();
    it.group("alice", "eu", &["a", "b"]);
    it.refuse("team", "INSERT", "true");
    let error = it.plane("alice").transfer_group(&eu, &slug("team")).unwrap_err();
    assert_ne!(error.code(), Code::Partial);
    assert_eq!(it.databases("alice"), of("eu", &["a", "b"]));
    assert!(!it.groups("team").contains(&"eu".to_owned()));
    assert_eq!(it.moves(), (0, 0));
    // A group of the same name that is no part of it is in the way, as before.
    it.allow("team", "INSERT");
    it.group("team", "eu", &[]);
    refused(
        it.plane("alice").transfer_group(&eu, &slug("team")),
        Code::GroupExists,
        "eu",
    );
    assert_eq!(it.moves(), (0, 0));
}

#[test]
fn transfers_of_one_database_exclude_each_other() {
    let it = Two::new();
    it.world
        .hosted
        .accounts(&it.caller)
        .create_organization("other")
        .unwrap();
    for round in 0..10 {
        let name = format!("app{round}");
        create(&*it.plane("alice"), &name, "ams");
        let to = |organization: &str| it.plane("alice").transfer_database(&db(&name), &slug(organization));
        let moved = std::thread::scope(|scope| {
            let one = scope.spawn(|| to("team"));
            let two = scope.spawn(|| to("other"));
            [one.join().unwrap(), two.join().unwrap()]
        });
        let count = moved.iter().filter(|moved| moved.is_ok()).count();
        assert_eq!(count, 1, "{moved:?}");
    }
    assert_eq!(it.databases("team").len() + it.databases("other").len(), 10);
    assert_eq!((it.databases("alice"), it.moves()), (vec![], (0, 0)));
}

#[test]
fn transfer_and_deletion_exclude_each_other() {
    let it = Two::new();
    for round in 0..15 {
        let name = format!("app{round}");
        create(&*it.plane("alice"), &name, "ams");
        let (moved, deleted) = std::thread::scope(|scope| {
            let moved = scope.spawn(|| it.plane("alice").transfer_database(&db(&name), &slug("team")));
            let deleted = scope.spawn(|| it.plane("alice").delete_database(&db(&name)));
            (moved.join().unwrap(), deleted.join().unwrap())
        });
        assert!(moved.is_ok() != deleted.is_ok(), "{moved:?} {deleted:?}");
        assert_eq!(it.plane("team").get_database(&db(&name)).is_ok(), moved.is_ok());
    }
    assert_eq!((it.databases("alice"), it.moves()), (vec![], (0, 0)));
}
