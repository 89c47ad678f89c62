//! A move to another organization that the server did not live to end.

use super::{World, db, options, slug};
use crate::conformance::{at, create, refused};
use crate::support::until;
use torso::control::hosted::Hosted;
use torso::control::types::ConfigurationPatch;
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
    until("a start is over", || hosted.is_ready());
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
fn it_is_undone_at_the_next_start() {
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
fn it_is_complete_once_the_former_database_is_gone() {
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
