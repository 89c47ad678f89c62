//! Calls that meet: what comes of both is what one after the other could have left.

use super::{World, at, db, request, slug};
use crate::conformance::{create, refused};
use torso::control::types::ConfigurationPatch;
use torso::error::Code;

#[test]
fn nothing_is_made_in_an_organization_that_is_being_deleted() {
    let world = World::new();
    let owner = world.owner();
    for round in 0..25 {
        let name = format!("team{round}");
        world.hosted.accounts(&owner).create_organization(&name).unwrap();
        let team = world.hosted.plane(&owner, Some(&slug(&name))).unwrap();
        let (made, deleted) = std::thread::scope(|scope| {
            let made = scope.spawn(|| {
                let plane = world.hosted.plane(&owner, Some(&slug(&name)))?;
                plane.create_database(&request("app"))
            });
            let deleted = scope.spawn(|| world.hosted.accounts(&owner).delete_organization(&slug(&name)));
            (made.join().unwrap(), deleted.join().unwrap())
        });
        assert!(made.is_ok() != deleted.is_ok(), "{made:?} {deleted:?}");
        let label = format!("app-{name}");
        assert_eq!(world.hosted.route(&label).is_some(), made.is_ok());
        // One that was asked for before.
        if deleted.is_ok() {
            refused(
                team.create_database(&request("late")),
                Code::OrganizationNotFound,
                &name,
            );
        }
    }
}

#[test]
fn labels_lead_to_what_there_is_whoever_changes_what_at_the_same_time() {
    let world = World::new();
    let owner = world.owner();
    let plane = || world.hosted.plane(&owner, None).unwrap();
    create(&*plane(), "app", "ams");
    for round in 0..30 {
        let patch = ConfigurationPatch {
            block_writes: Some(round % 2 == 0),
            ..ConfigurationPatch::default()
        };
        std::thread::scope(|scope| {
            scope.spawn(|| plane().update_configuration(&db("app"), &patch).unwrap());
            scope.spawn(|| match round % 2 {
                0 => drop(plane().add_instance(&db("app"), &at("lhr")).unwrap()),
                _ => plane().remove_instance(&db("app"), &at("lhr")).unwrap(),
            });
        });
        assert_eq!(world.hosted.route("app-alice--lhr").is_some(), round % 2 == 0);
        assert_eq!(world.hosted.route("app-alice").unwrap().block_writes, round % 2 == 0);
    }
}
