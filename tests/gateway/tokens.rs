//! Tokens: what opens a database, for how long, and that nothing else does.

use super::{Door, field, frame};
use reqwest::blocking::Response;
use std::time::Duration;
use torso::control::gateway_plane::GatewayPlane as _;
use torso::control::tokens::{Authorization, Expiration};

#[test]
fn token_opens_its_own_database_only() {
    let door = Door::new();
    let (one, two) = (door.create("one"), door.create("two"));
    door.run("one-alice", &one, "create table t (x)").fine();
    door.run("one-alice--ams", &one, "insert into t values (1)").fine();
    for token in [
        two.as_str(),
        "",
        "nonsense",
        "a.b.c",
        &one[..one.len() - 2],
        &format!("{one}x"),
    ] {
        door.run("one-alice", token, "select * from t")
            .refused(401, "UNAUTHORIZED");
        door.run("one-alice--ams", token, "select * from t")
            .refused(401, "UNAUTHORIZED");
        let answer = door.get("one-alice", "/dump", token);
        answer.refused(401, "UNAUTHORIZED");
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
    // A token of the engine's own is none outside.
    let route = door.hosted.route("one-alice").unwrap();
    let internal = door.hosted.internal_token(&route, Authorization::FullAccess).unwrap();
    door.run("one-alice", internal.expose(), "select 1")
        .refused(401, "UNAUTHORIZED");
    // Neither is that of a user.
    door.run("one-alice", &door.owner, "select 1")
        .refused(401, "UNAUTHORIZED");
}

#[test]
fn forged_token_opens_nothing() {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
    let door = Door::new();
    let token = door.create("app");
    let [head, claims, signature] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
    let none = BASE64.encode(r#"{"alg":"none","typ":"JWT"}"#);
    let hmac = BASE64.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let told = String::from_utf8(BASE64.decode(claims).unwrap()).unwrap();
    let other = BASE64.encode(told.replace("\"rw\"", "\"ro\""));
    for forged in [
        format!("{none}.{claims}."),
        format!("{none}.{claims}.{signature}"),
        format!("{hmac}.{claims}.{signature}"),
        format!("{head}.{other}.{signature}"),
        format!("{head}.{claims}.{}", BASE64.encode([0; 64])),
        format!("{head}.{claims}."),
    ] {
        door.run("app-alice", &forged, "select 1").refused(401, "UNAUTHORIZED");
    }
    door.run("app-alice", &token, "select 1").fine();
}

#[test]
fn read_only_token_reads() {
    let door = Door::new();
    let token = door.create("app");
    door.run("app-alice", &token, "create table t (x)").fine();
    let reader = door.read_only("app");
    assert_eq!(door.number("app-alice", &reader, "select count(*) from t"), 0);
    assert_eq!(door.get("app-alice", "/dump", &reader).status, 200);
    for sql in ["insert into t values (1)", "drop table t", "create table u (x)"] {
        let answer = door.run("app-alice", &reader, sql);
        assert!(
            answer.status == 403 || answer.text().contains("\"type\":\"error\""),
            "{answer:?}"
        );
    }
    assert_eq!(door.number("app-alice", &token, "select count(*) from t"), 0);
}

#[test]
fn token_ends_on_time_and_when_revoked() {
    let door = Door::new();
    let lasting = door.create("app");
    let short = door.token(
        "app",
        Authorization::FullAccess,
        Expiration::After(Duration::from_secs(2)),
    );
    door.run("app-alice", &short, "select 1").fine();
    std::thread::sleep(Duration::from_millis(2_100));
    door.run("app-alice", &short, "select 1").refused(401, "UNAUTHORIZED");
    let owner = door.owner();
    let plane = door.hosted.plane(&owner, None).unwrap();
    plane
        .rotate_database_tokens(&"app".parse().unwrap(), Duration::ZERO)
        .unwrap();
    door.run("app-alice", &lasting, "select 1").refused(401, "UNAUTHORIZED");
}

/// A call of a replica outside, by its bearer in either header.
pub(super) fn call(door: &Door, label: &str, method: &str, header: &str, token: &str, message: &[u8]) -> Response {
    door.client
        .post(door.url(label, &format!("/{method}")))
        .header("content-type", "application/grpc-web")
        .header(header, format!("Bearer {token}"))
        // What the client library makes of a URL, which is never right here.
        .header("x-namespace-bin", "MTI3")
        .body(frame(0, message))
        .send()
        .unwrap()
}

/// One statement, of a client of such a number.
pub(super) fn program(client: u8, sql: &str) -> Vec<u8> {
    let query = [field(1, sql.as_bytes()), field(2, b"")].concat();
    let client = format!("6f0f7e2a-0000-4000-8000-{client:012}");
    [field(1, client.as_bytes()), field(2, &field(1, &field(2, &query)))].concat()
}

/// The status of gRPC, wherever it is told.
pub(super) fn status(response: Response) -> String {
    let head = response
        .headers()
        .get("grpc-status")
        .map(|value| value.to_str().unwrap().to_owned());
    let body = response.bytes().unwrap();
    head.unwrap_or_else(|| {
        let text = String::from_utf8_lossy(&body).into_owned();
        let told = text.split("grpc-status:").nth(1).unwrap_or("none").trim_start();
        told.chars().take_while(char::is_ascii_digit).collect()
    })
}

#[test]
fn replicas_outside_follow_their_own_database_only() {
    let door = Door::new();
    let (one, two) = (door.create("one"), door.create("two"));
    door.run("one-alice", &one, "create table secret (x)").fine();
    let hello = "wal_log.ReplicationLog/Hello";
    let log = "wal_log.ReplicationLog/BatchLogEntries";
    let reader = door.read_only("one");
    for token in [&one, &reader] {
        assert_eq!(
            status(call(&door, "one-alice", hello, "x-authorization", token, b"")),
            "0"
        );
    }
    for method in [
        hello,
        log,
        "wal_log.ReplicationLog/Snapshot",
        "wal_log.ReplicationLog/LogEntries",
        "proxy.Proxy/Execute",
    ] {
        for token in [two.as_str(), "nonsense"] {
            let answer = call(&door, "one-alice", method, "x-authorization", token, b"");
            assert_eq!(status(answer), "16", "{method}");
        }
    }
    // What the log holds is counted as synced.
    let session = call(&door, "one-alice", hello, "x-authorization", &one, &[0x08, 1])
        .bytes()
        .unwrap();
    assert!(session.len() > 40);
    let execute = |token: &str, sql: &str| {
        let program = program(1, sql);
        let answer = call(
            &door,
            "one-alice",
            "proxy.Proxy/Execute",
            "x-authorization",
            token,
            &program,
        );
        let head = format!("{:?}", answer.headers());
        head + &String::from_utf8_lossy(&answer.bytes().unwrap())
    };
    let told = execute(&one, "insert into secret values (42)");
    assert!(told.contains("grpc-status:0"), "{told}");
    assert_eq!(door.number("one-alice", &one, "select x from secret"), 42);
    let _ = execute(&reader, "insert into secret values (43)");
    assert_eq!(door.number("one-alice", &one, "select count(*) from secret"), 1);
    // Nor through a connection of the same client's to a database that it may write to.
    let proxy = |label: &str, token: &str, sql: &str| {
        let answer = call(
            &door,
            label,
            "proxy.Proxy/Execute",
            "x-authorization",
            token,
            &program(2, sql),
        );
        answer.bytes().unwrap()
    };
    proxy("one-alice", &reader, "select 1");
    proxy("two-alice", &two, "insert into secret values (44)");
    assert_eq!(door.number("one-alice", &one, "select count(*) from secret"), 1);
    // Other encodings of the same are not let through.
    for (name, value) in [
        ("content-type", "application/grpc-web-text"),
        ("content-type", "application/grpc"),
        ("grpc-encoding", "gzip"),
    ] {
        let answer = door
            .client
            .post(door.url("one-alice", &format!("/{hello}")))
            .header(name, value)
            .header("x-authorization", format!("Bearer {one}"))
            .body(frame(0, b""))
            .send()
            .unwrap();
        assert_eq!(status(answer), "3", "{name}: {value}");
    }
}

#[test]
fn replica_outside_with_a_read_only_token_gets_a_plain_error() {
    let door = Door::new();
    let token = door.create("app");
    door.run("app-alice", &token, "create table t (x)").fine();
    let reader = door.read_only("app");
    let execute = |sql: &str| {
        call(
            &door,
            "app-alice",
            "proxy.Proxy/Execute",
            "x-authorization",
            &reader,
            &program(3, sql),
        )
    };
    let refused = execute("insert into t values (1)");
    assert_eq!(refused.headers()["grpc-status"], "7");
    let told = refused.headers()["grpc-message"].to_str().unwrap().to_owned();
    assert!(told.starts_with("the token is read-only"), "{told}");
    let route = door.hosted.route("app-alice").unwrap();
    assert!(!told.contains(route.id.as_str()), "{told}");
    assert_eq!(status(execute("select 1")), "0");
    assert_eq!(door.number("app-alice", &token, "select count(*) from t"), 0);
}
