//! Calls that meet: what comes of both is what one after the other could have left.

use super::{World, at, db, request, slug};
use crate::conformance::{create, refused};
use torso::control::accounts::MemberRole;
use torso::control::gateway_plane::GatewayPlane as _;
use torso::control::hosted::Caller;
use torso::control::types::ConfigurationPatch;
use torso::error::Code;

#[test]
fn organization_that_is_being_deleted_gets_nothing_new() {
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
fn hostnames_lead_to_what_there_is_under_concurrent_changes() {
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

#[test]
fn organization_and_user_are_created_without_their_first_group() {
    let world = World::new();
    let owner = world.owner();
    world.hosted.accounts(&owner).create_organization("team").unwrap();
    let invite = world
        .hosted
        .accounts(&owner)
        .create_invite(&slug("team"), "bob@example.com", "member".parse().unwrap())
        .unwrap();
    let link = invite.link.unwrap();
    let text = link.expose().split_once("invite=").unwrap().1;
    // Nothing can be made on disk for a while.
    let (dir, aside) = (
        world.dir.path().join("data/organizations"),
        world.dir.path().join("aside"),
    );
    std::fs::rename(&dir, &aside).unwrap();
    std::fs::write(&dir, "in the way").unwrap();
    let (_, token) = world.hosted.accept_invite(text, &"bob".parse().unwrap(), None).unwrap();
    world.hosted.accounts(&owner).create_organization("other").unwrap();
    std::fs::remove_file(&dir).unwrap();
    std::fs::rename(&aside, &dir).unwrap();
    let bob = world.caller(token.expose());
    for (caller, organization) in [(&bob, "bob"), (&owner, "other")] {
        let plane = world.hosted.plane(caller, Some(&slug(organization))).unwrap();
        assert_eq!(
            plane.create_database(&request("app")).unwrap().group.as_str(),
            "default"
        );
    }
}

#[test]
fn organization_keeps_an_owner_when_two_leave_at_the_same_time() {
    let world = World::new();
    let owner = world.owner();
    world.hosted.accounts(&owner).create_organization("team").unwrap();
    let bob = world.caller(&world.user("team", "bob", "owner"));
    let team = slug("team");
    let demote = |by: &Caller, whom: &str| {
        let accounts = world.hosted.accounts(by);
        accounts.update_member(&team, &whom.parse().unwrap(), MemberRole::Member)
    };
    for _ in 0..30 {
        std::thread::scope(|scope| {
            scope.spawn(|| demote(&owner, "bob").is_ok());
            scope.spawn(|| demote(&bob, "alice").is_ok());
        });
        let accounts = world.hosted.accounts(&owner);
        let members = accounts.list_members(&team).unwrap();
        let owners: Vec<_> = members
            .iter()
            .filter(|member| member.role == MemberRole::Owner)
            .collect();
        assert_eq!(owners.len(), 1, "{members:?}");
        let (by, other) = if owners[0].username.as_str() == "alice" {
            (&owner, "bob")
        } else {
            (&bob, "alice")
        };
        world
            .hosted
            .accounts(by)
            .update_member(&team, &other.parse().unwrap(), MemberRole::Owner)
            .unwrap();
    }
}
