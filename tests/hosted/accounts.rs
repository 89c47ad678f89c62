//! Users, organizations, members, API tokens, and what the audit log tells of them.

use super::{World, at, db, origin, request, slug};
use torso::control::gateway_plane::GatewayPlane as _;
use torso::control::types::CreateDatabase;
use torso::error::Code;

#[test]
fn first_start_makes_an_owner_and_a_group() {
    let world = World::new();
    let owner = world.owner();
    let accounts = world.hosted.accounts(&owner);
    assert_eq!(accounts.current_user().unwrap().username.as_str(), "alice");
    let all = accounts.list_organizations().unwrap();
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].slug, slug("alice"));
    let plane = world.hosted.plane(&owner, None).unwrap();
    assert_eq!(plane.list_groups().unwrap()[0].name.as_str(), "default");
    let made = plane
        .create_database(&CreateDatabase {
            location: Some(at("ams")),
            ..request("app")
        })
        .unwrap();
    assert_eq!(made.hostname, "127.0.0.1:8080/db/app-alice");
    let route = world.hosted.route("app-alice").unwrap();
    assert_eq!((&route.id, route.is_default), (&made.id, true));
    let minted = plane.create_database_token(&db("app"), &Default::default()).unwrap();
    let grant = world.hosted.authorize(minted.jwt.expose(), &route).unwrap();
    assert_eq!(Some(grant.token_id), minted.id);
    let error = world.hosted.authenticate("torso_nothing", &origin()).unwrap_err();
    assert_eq!(error.code(), Code::Unauthenticated);
}

#[test]
fn organization_has_members_with_roles() {
    let world = World::new();
    let owner = world.owner();
    let made = world.hosted.accounts(&owner).create_organization("My Team").unwrap();
    assert_eq!(made.slug, slug("my-team"));
    let bob = world.caller(&world.user("my-team", "bob", "viewer"));
    let members = world.hosted.accounts(&bob).list_members(&slug("my-team")).unwrap();
    assert_eq!(members.len(), 2);
    let plane = world.hosted.plane(&bob, Some(&slug("my-team"))).unwrap();
    assert_eq!(
        plane.create_database(&request("app")).unwrap_err().code(),
        Code::Forbidden
    );
    let log = world
        .hosted
        .accounts(&owner)
        .audit_log(&slug("my-team"), 1, 10)
        .unwrap();
    assert_eq!(log.audit_logs[0].code, "db-create");
    assert_eq!(log.audit_logs[0].author, "bob");
    assert_eq!(log.audit_logs[0].data["result"], "forbidden");
}
