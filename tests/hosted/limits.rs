//! What is held: quotas, names that are free, one server over a directory, secrets that are not told.

use super::{World, at, db, options, origin, request, slug};
use crate::conformance::{create, refused};
use torso::control::DatabaseOperations as _;
use torso::control::accounts::{MemberRole, NewApiToken};
use torso::control::embedded::Embedded;
use torso::control::gateway_plane::GatewayPlane as _;
use torso::control::gateway_plane::Public;
use torso::control::hosted::Hosted;
use torso::control::tokens::NewToken;
use torso::control::types::{CreateDatabase, DatabaseFilter, NewGroup};
use torso::error::Code;

#[test]
fn quotas_are_enforced_and_reported() {
    let world = World::new();
    let owner = world.owner();
    let plane = world.hosted.plane(&owner, None).unwrap();
    for (quota, value) in [("databases", 2), ("groups", 2), ("locations", 2)] {
        world.hosted.set_quota(quota, None, value).unwrap();
    }
    create(&*plane, "a", "local");
    create(&*plane, "b", "ams");
    refused(plane.create_database(&request("c")), Code::QuotaExceeded, "2 databases");
    refused(plane.create_database(&request("b")), Code::DatabaseExists, "b");
    refused(
        plane.add_instance(&db("a"), &at("lhr")),
        Code::QuotaExceeded,
        "2 locations",
    );
    plane.add_instance(&db("a"), &at("ams")).unwrap();
    let group = |name: &str| NewGroup {
        name: name.parse().unwrap(),
        location: at("ams"),
    };
    plane.create_group(&group("one")).unwrap();
    refused(plane.create_group(&group("two")), Code::QuotaExceeded, "2 groups");
    world.hosted.set_quota("databases", Some(&slug("alice")), 3).unwrap();
    create(&*plane, "c", "ams");
    world.hosted.set_quota("storage", None, 1).unwrap();
    world.hosted.set_quota("databases", Some(&slug("alice")), 0).unwrap();
    refused(plane.create_database(&request("d")), Code::QuotaExceeded, "bytes");
    assert_eq!(
        world.hosted.set_quota("wishes", None, 3).unwrap_err().code(),
        Code::SettingNotFound
    );
    let plans = world.hosted.accounts(&owner).list_plans().unwrap();
    assert_eq!((plans[0].quotas.groups, plans[0].quotas.rows_read), (2, 0));
}

#[test]
fn hostname_of_a_database_is_unique() {
    let world = World::new();
    let owner = world.owner();
    for name in ["b-c", "c"] {
        world.hosted.accounts(&owner).create_organization(name).unwrap();
    }
    let first = world.hosted.plane(&owner, Some(&slug("b-c"))).unwrap();
    let second = world.hosted.plane(&owner, Some(&slug("c"))).unwrap();
    let made = create(&*first, "a", "ams");
    refused(second.create_database(&request("a-b")), Code::HostnameTaken, "a-b-c");
    create(&*second, "x", "ams");
    refused(
        second.rename_database(&db("x"), &db("a-b")),
        Code::HostnameTaken,
        "a-b-c",
    );
    assert_eq!(world.hosted.route("a-b-c").unwrap().id, made.id);
    first.rename_database(&db("a"), &db("z")).unwrap();
    second.rename_database(&db("x"), &db("a-b")).unwrap();
    assert_ne!(world.hosted.route("a-b-c").unwrap().id, made.id);
    let error = world.hosted.accounts(&owner).create_organization("alice").unwrap_err();
    assert_eq!(error.code(), Code::OrganizationExists);
}

#[test]
fn hostname_of_a_database_is_in_the_domain() {
    let world = World::with(|options| {
        options.public = Public {
            base: "https://example.com:8443".parse().unwrap(),
            domain: Some("db.example.com".to_owned()),
        };
    });
    let owner = world.owner();
    let plane = world.hosted.plane(&owner, None).unwrap();
    assert_eq!(create(&*plane, "app", "ams").hostname, "app-alice.db.example.com:8443");
    let long = "x".repeat(64);
    let made = create(&*plane, &long, "ams");
    assert_eq!(made.hostname, format!("example.com:8443/db/{long}-alice"));
}

#[test]
fn data_directory_is_for_one_server_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let (hosted, _) = Hosted::open(options(dir.path())).unwrap();
    let pid = std::process::id().to_string();
    let error = Hosted::open(options(dir.path())).err().unwrap();
    assert_eq!(error.code(), Code::Conflict);
    assert!(error.message().contains(&pid), "{error}");
    let embedded = Embedded::open(&dir.path().join("data")).unwrap();
    refused(
        embedded.list_databases(&DatabaseFilter::default()),
        Code::Conflict,
        &pid,
    );
    refused(embedded.create_database(&request("app")), Code::Conflict, &pid);
    drop(hosted);
    assert_eq!(embedded.list_databases(&DatabaseFilter::default()).unwrap(), []);
}

#[test]
fn secrets_are_readable_nowhere() {
    let world = World::new();
    let owner = world.owner();
    let accounts = world.hosted.accounts(&owner);
    accounts.create_organization("team").unwrap();
    let plane = world.hosted.plane(&owner, Some(&slug("team"))).unwrap();
    plane.create_database(&request("app")).unwrap();
    let jwt = plane.create_database_token(&db("app"), &NewToken::default()).unwrap();
    let minted = accounts
        .create_api_token(&"ci".parse().unwrap(), &NewApiToken::default())
        .unwrap();
    let invite = accounts
        .create_invite(&slug("team"), "bob@example.com", MemberRole::Member)
        .unwrap();
    let link = invite.link.clone().unwrap();
    let text = link.expose().split_once("invite=").unwrap().1.to_owned();
    let secrets = [
        world.owner.clone(),
        jwt.jwt.expose().to_owned(),
        minted.value.expose().to_owned(),
        text.clone(),
    ];
    let mut told = format!(
        "{owner:?} {jwt:?} {minted:?} {invite:?} {:?} {:?} {:?}",
        accounts.list_api_tokens().unwrap(),
        accounts.list_invites(&slug("team")).unwrap(),
        accounts.audit_log(&slug("alice"), 1, 100).unwrap(),
    );
    told += &format!("{:?}", accounts.audit_log(&slug("team"), 1, 100).unwrap());
    told += &format!("{:?}", plane.list_database_tokens(&db("app")).unwrap());
    for secret in &secrets {
        let error = world.hosted.authenticate(&format!("{secret}x"), &origin()).unwrap_err();
        told += &format!("{error:?}");
        told += &format!("{:?}", plane.revoke_database_token(&db("app"), secret).unwrap_err());
    }
    for secret in &secrets {
        assert!(!told.contains(secret.as_str()), "{told}");
    }
    // Nor in any file.
    fn files(dir: &std::path::Path, all: &mut Vec<u8>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                files(&path, all);
            } else {
                all.extend(std::fs::read(&path).unwrap());
            }
        }
    }
    let mut written = Vec::new();
    files(&world.dir.path().join("data"), &mut written);
    for secret in &secrets {
        assert!(memchr::memmem::find(&written, secret.as_bytes()).is_none());
    }
    // An invitation is used once.
    world
        .hosted
        .accept_invite(&text, &"bob".parse().unwrap(), None)
        .unwrap();
    let error = world
        .hosted
        .accept_invite(&text, &"eve".parse().unwrap(), None)
        .unwrap_err();
    assert_eq!(error.code(), Code::InviteNotFound);
    assert!(!format!("{error:?}").contains(&text));
}

#[test]
fn tokens_end_at_once_when_revoked() {
    let world = World::new();
    let owner = world.owner();
    let accounts = world.hosted.accounts(&owner);
    let minted = accounts
        .create_api_token(&"ci".parse().unwrap(), &NewApiToken::default())
        .unwrap();
    let ci = world.caller(minted.value.expose());
    assert!(world.hosted.accounts(&ci).current_user().is_ok());
    let listed = accounts.list_api_tokens().unwrap();
    assert!(listed.iter().all(|token| token.last_used_at.is_some()), "{listed:?}");
    accounts.revoke_api_token(&"ci".parse().unwrap()).unwrap();
    let error = world.hosted.authenticate(minted.value.expose(), &origin()).unwrap_err();
    assert_eq!(error.code(), Code::Unauthenticated);
    accounts.invalidate_sessions().unwrap();
    let error = world.hosted.authenticate(&world.owner, &origin()).unwrap_err();
    assert_eq!(error.code(), Code::Unauthenticated);
    // Whoever has the machine gets in again.
    let error = world.hosted.issue_token(&"eve".parse().unwrap()).unwrap_err();
    assert_eq!(error.code(), Code::UserNotFound);
    let again = world.caller(world.hosted.issue_token(&"alice".parse().unwrap()).unwrap().expose());
    let log = world.hosted.accounts(&again).audit_log(&slug("alice"), 1, 1).unwrap();
    assert_eq!(log.audit_logs[0].origin, "server");
}

#[test]
fn transfer_moves_databases_and_groups_between_organizations() {
    let world = World::new();
    let owner = world.owner();
    world.hosted.accounts(&owner).create_organization("team").unwrap();
    let plane = world.hosted.plane(&owner, None).unwrap();
    let team = world.hosted.plane(&owner, Some(&slug("team"))).unwrap();
    let before = create(&*plane, "app", "ams");
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE | rusqlite::OpenFlags::SQLITE_OPEN_URI;
    let sql = |url: &str, sql: &str| {
        rusqlite::Connection::open_with_flags(url, flags)
            .unwrap()
            .execute_batch(sql)
            .unwrap();
    };
    sql(
        &plane.connection(&before.name, None).unwrap().url,
        "create table t (x); insert into t values (1)",
    );
    plane.add_instance(&db("app"), &at("lhr")).unwrap();
    let jwt = plane
        .create_database_token(&db("app"), &NewToken::default())
        .unwrap()
        .jwt;
    create(&*team, "taken", "ams");
    create(&*plane, "taken", "ams");
    refused(
        plane.transfer_database(&db("taken"), &slug("team")),
        Code::DatabaseExists,
        "taken",
    );
    refused(
        plane.transfer_database(&db("app"), &slug("alice")),
        Code::Conflict,
        "alice",
    );
    refused(
        plane.transfer_database(&db("app"), &slug("nobody")),
        Code::OrganizationNotFound,
        "nobody",
    );
    assert!(!plane.get_configuration(&db("app")).unwrap().block_writes);
    plane.transfer_database(&db("app"), &slug("team")).unwrap();
    refused(plane.get_database(&db("app")), Code::DatabaseNotFound, "app");
    let after = team.get_database(&db("app")).unwrap();
    assert_ne!(after.id, before.id);
    assert_eq!(
        (after.locations, after.block_writes),
        (vec![at("ams"), at("lhr")], false)
    );
    sql(
        &team.connection(&db("app"), None).unwrap().url,
        "insert into t values (2)",
    );
    assert!(world.hosted.route("app-alice").is_none());
    let route = world.hosted.route("app-team").unwrap();
    assert!(world.hosted.authorize(jwt.expose(), &route).is_err());
    // A group with what is in it.
    let group = NewGroup {
        name: "moving".parse().unwrap(),
        location: at("fra"),
    };
    plane.create_group(&group).unwrap();
    for name in ["one", "two"] {
        plane
            .create_database(&CreateDatabase {
                group: Some(group.name.clone()),
                ..request(name)
            })
            .unwrap();
    }
    let moved = plane.transfer_group(&group.name, &slug("team")).unwrap();
    assert_eq!(moved.primary, at("fra"));
    refused(plane.get_group(&group.name), Code::GroupNotFound, "moving");
    let filter = DatabaseFilter {
        group: Some(group.name),
        ..DatabaseFilter::default()
    };
    assert_eq!(team.list_databases(&filter).unwrap().len(), 2);
}
