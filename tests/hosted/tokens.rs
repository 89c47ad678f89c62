//! Database tokens: what they open, how they end, and what is not one.

use super::{World, at, db, origin, request};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::Ed25519KeyPair;
use std::time::Duration;
use torso::control::gateway_plane::{GatewayPlane as _, Route};
use torso::control::hosted::Hosted;
use torso::control::tokens::{AttachList, AttachPermissions, Authorization, Expiration, NewToken, TablePermission};
use torso::control::types::CreateDatabase;
use torso::error::{Code, Error};

fn refusal(hosted: &Hosted, token: &str, route: &Route) -> Error {
    match hosted.authorize(token, route) {
        Ok(grant) => panic!("{token} was accepted: {grant:?}"),
        Err(error) => error,
    }
}

fn two_databases(world: &World) {
    let owner = world.owner();
    let plane = world.hosted.plane(&owner, None).unwrap();
    for name in ["app", "other"] {
        plane
            .create_database(&CreateDatabase {
                location: Some(at("ams")),
                ..request(name)
            })
            .unwrap();
    }
}

#[test]
fn token_opens_what_it_is_for_and_ends_at_once() {
    let world = World::new();
    two_databases(&world);
    let owner = world.owner();
    let plane = world.hosted.plane(&owner, None).unwrap();
    let (app, other) = (
        world.hosted.route("app-alice").unwrap(),
        world.hosted.route("other-alice").unwrap(),
    );
    let new = NewToken {
        name: Some("reader".to_owned()),
        authorization: Authorization::ReadOnly,
        ..NewToken::default()
    };
    let reads = plane.create_database_token(&db("app"), &new).unwrap();
    let grant = world.hosted.authorize(reads.jwt.expose(), &app).unwrap();
    assert_eq!((grant.authorization, grant.expires_at), (Authorization::ReadOnly, None));
    assert_eq!(
        refusal(&world.hosted, reads.jwt.expose(), &other).code(),
        Code::Unauthenticated
    );
    let of_group = plane
        .create_group_token(&"default".parse().unwrap(), &NewToken::default())
        .unwrap();
    for route in [&app, &other] {
        let grant = world.hosted.authorize(of_group.jwt.expose(), route).unwrap();
        assert_eq!(grant.authorization, Authorization::FullAccess);
    }
    assert_eq!(plane.list_database_tokens(&db("app")).unwrap().len(), 2);
    assert_eq!(plane.list_group_tokens(&"default".parse().unwrap()).unwrap().len(), 1);
    let id = reads.id.unwrap();
    let error = plane.revoke_database_token(&db("other"), &id).unwrap_err();
    assert_eq!(error.code(), Code::TokenNotFound);
    assert!(world.hosted.authorize(reads.jwt.expose(), &app).is_ok());
    assert!(
        plane
            .revoke_database_token(&db("app"), &id)
            .unwrap()
            .revoked_at
            .is_some()
    );
    refusal(&world.hosted, reads.jwt.expose(), &app);
    // Rotating a database's tokens leaves its group's.
    plane.rotate_database_tokens(&db("app"), Duration::ZERO).unwrap();
    assert!(world.hosted.authorize(of_group.jwt.expose(), &app).is_ok());
    let fresh = plane.create_database_token(&db("app"), &NewToken::default()).unwrap();
    assert!(world.hosted.authorize(fresh.jwt.expose(), &app).is_ok());
    plane
        .rotate_group_tokens(&"default".parse().unwrap(), Duration::from_secs(2))
        .unwrap();
    for token in [&fresh.jwt, &of_group.jwt] {
        assert!(
            world.hosted.authorize(token.expose(), &app).is_ok(),
            "in the grace period"
        );
    }
    let later = plane.create_database_token(&db("app"), &NewToken::default()).unwrap();
    std::thread::sleep(Duration::from_millis(2100));
    for token in [&fresh.jwt, &of_group.jwt] {
        refusal(&world.hosted, token.expose(), &app);
    }
    assert!(world.hosted.authorize(later.jwt.expose(), &app).is_ok());
    // A database of the same name is another database.
    plane.delete_database(&db("app")).unwrap();
    assert!(world.hosted.route("app-alice").is_none());
    plane.create_database(&request("app")).unwrap();
    refusal(
        &world.hosted,
        later.jwt.expose(),
        &world.hosted.route("app-alice").unwrap(),
    );
}

#[test]
fn token_ends_to_the_second() {
    let world = World::new();
    two_databases(&world);
    let owner = world.owner();
    let plane = world.hosted.plane(&owner, None).unwrap();
    let new = NewToken {
        expiration: Expiration::After(Duration::from_secs(2)),
        ..NewToken::default()
    };
    let minted = plane.create_database_token(&db("app"), &new).unwrap();
    let app = world.hosted.route("app-alice").unwrap();
    assert!(world.hosted.authorize(minted.jwt.expose(), &app).is_ok());
    std::thread::sleep(Duration::from_millis(2050));
    let error = refusal(&world.hosted, minted.jwt.expose(), &app);
    insta::assert_snapshot!(error.full_message(), @"the database token has expired");
}

#[test]
fn token_that_cannot_be_enforced_is_refused() {
    let world = World::new();
    two_databases(&world);
    let owner = world.owner();
    let plane = world.hosted.plane(&owner, None).unwrap();
    let mut on_tables = NewToken::default();
    on_tables.permissions.fine_grained_permissions = Some(vec![TablePermission {
        tables: Some(vec!["t".to_owned()]),
        actions: vec!["data_read".to_owned()],
    }]);
    let mut attaches = NewToken::default();
    attaches.permissions.permissions = Some(AttachPermissions {
        read_attach: AttachList {
            databases: vec!["other".to_owned()],
        },
    });
    for new in [on_tables, attaches] {
        let error = plane.create_database_token(&db("app"), &new).unwrap_err();
        assert_eq!(error.code(), Code::Unsupported);
    }
    assert_eq!(plane.list_database_tokens(&db("app")).unwrap(), []);
}

/// A JWT of these parts, signed with a key that is not the server's.
fn foreign(head: &str, claims: &str) -> String {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(head), URL_SAFE_NO_PAD.encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(pair.sign(signed.as_bytes()).as_ref());
    format!("{signed}.{signature}")
}

#[test]
fn token_that_only_looks_like_one_opens_nothing() {
    let world = World::new();
    two_databases(&world);
    let owner = world.owner();
    let plane = world.hosted.plane(&owner, None).unwrap();
    let app = world.hosted.route("app-alice").unwrap();
    let good = plane
        .create_database_token(&db("app"), &NewToken::default())
        .unwrap()
        .jwt;
    let good = good.expose();
    let parts: Vec<&str> = good.split('.').collect();
    let [head, claims, signature] = parts[..] else {
        panic!("{good}")
    };
    let text = |part: &str| String::from_utf8(URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    let mut forged = vec![
        String::new(),
        " ".to_owned(),
        "..".to_owned(),
        good.to_uppercase(),
        format!("{good}."),
        format!("{good}.{signature}"),
        format!(" {good}"),
        format!("{good}\n"),
        format!("{good}="),
        format!("{head}.{claims}"),
        format!("{head}.{claims}."),
        format!("{claims}.{head}.{signature}"),
        format!("{head}.{signature}.{claims}"),
        format!("{good}{}", "a".repeat(10_000)),
        "a".repeat(1_000_000),
        "é".repeat(50),
        "\0".to_owned(),
        foreign(&text(head), &text(claims)),
        foreign("{\"alg\":\"EdDSA\"}", &text(claims)),
        world.owner.clone(),
    ];
    for alg in ["none", "None", "HS256", "RS256", "ES256", "eddsa", ""] {
        let head = format!("{{\"typ\":\"JWT\",\"alg\":\"{alg}\"}}");
        forged.push(foreign(&head, &text(claims)));
        let head = URL_SAFE_NO_PAD.encode(head);
        forged.push(format!("{head}.{claims}."));
        forged.push(format!("{head}.{claims}.{signature}"));
    }
    for (from, to) in [
        ("\"rw\"", "\"ro\""),
        ("torso", "other"),
        ("\"id\"", "\"gid\""),
        ("}", ",\"exp\":1}"),
    ] {
        let changed = text(claims).replace(from, to);
        forged.push(format!("{head}.{}.{signature}", URL_SAFE_NO_PAD.encode(changed)));
    }
    // Cut anywhere, and with any character another one.
    forged.extend((0..good.len()).step_by(3).map(|end| good[..end].to_owned()));
    for at in 0..good.len() {
        let mut bytes = good.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        forged.push(String::from_utf8(bytes).unwrap());
    }
    assert!(forged.len() > 200);
    for token in &forged {
        let error = refusal(&world.hosted, token, &app);
        assert_eq!(error.code(), Code::Unauthenticated);
        // Nothing of it is said again.
        let told = format!("{error:?} {:?}", error.hint_text());
        assert!(
            token.len() < 40 || !told.contains(&token[..token.floor_char_boundary(30)]),
            "{told}"
        );
    }
    assert!(world.hosted.authorize(good, &app).is_ok());
}

#[test]
fn keys_and_tokens_outlive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (hosted, token) = Hosted::open(super::options(dir.path())).unwrap();
    let token = token.unwrap();
    let caller = hosted.authenticate(token.expose(), &origin()).unwrap();
    let plane = hosted.plane(&caller, None).unwrap();
    plane.create_database(&request("app")).unwrap();
    let (kept, ended) = (
        plane.create_database_token(&db("app"), &NewToken::default()).unwrap(),
        plane.create_database_token(&db("app"), &NewToken::default()).unwrap(),
    );
    plane.revoke_database_token(&db("app"), &ended.id.unwrap()).unwrap();
    drop(plane);
    drop(hosted);
    let (hosted, none) = Hosted::open(super::options(dir.path())).unwrap();
    assert!(none.is_none());
    let app = hosted.route("app-alice").unwrap();
    assert!(hosted.authorize(kept.jwt.expose(), &app).is_ok());
    refusal(&hosted, ended.jwt.expose(), &app);
}
