//! Requests with an `Idempotency-Key`: each change is made once, however often it is requested, also when the server ends between
//! the change and its answer.

use crate::support::World;
use crate::support::server::Server;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use torso::control::endpoints::{ENDPOINTS, Method, Operation};

/// A request with a key; the status, and the answer without the request's id.
fn keyed(server: &Server, key: &str, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
    let mut request = server.request(method, path).header("idempotency-key", key);
    if let Some(body) = body {
        request = request.body(body.to_string());
    }
    let response = request.send().unwrap();
    let status = response.status().as_u16();
    let mut answer: Value = serde_json::from_str(&response.text().unwrap()).unwrap();
    if let Some(members) = answer.as_object_mut() {
        members.remove("request_id");
    }
    (status, answer)
}

fn start(world: &World) -> Server {
    Server::start(world, &["--owner", "alice", "--locations", "ams,lhr"])
}

/// The number of items in a list.
fn count(server: &Server, path: &str, key: &str) -> usize {
    server.ok("GET", path, None)[key].as_array().unwrap().len()
}

#[test]
fn idempotency_key_is_known_to_every_endpoint_that_changes_something() {
    let world = World::new();
    let server = start(&world);
    for (at, endpoint) in ENDPOINTS.iter().enumerate() {
        // A piece of an upload says where it begins; it needs no memory. Who ends all sessions has ended the one that asks.
        let others = [Operation::PutChunk, Operation::InvalidateSessions];
        if endpoint.method == Method::Get || endpoint.public || others.contains(&endpoint.operation) {
            continue;
        }
        let path = endpoint.path.replace(['{', '}'], "");
        let path = if endpoint.scoped { format!("/v1{path}") } else { path };
        let method = endpoint.method.name();
        let (key, body) = (format!("key-{at}"), json!({ "name": "nobody-has-this" }));
        let first = keyed(&server, &key, method, &path, Some(&body));
        let second = keyed(&server, &key, method, &path, Some(&body));
        assert_eq!(first, second, "{endpoint:?}");
        let other = keyed(&server, &key, method, &format!("{path}?other=1"), Some(&body));
        assert_eq!(
            (other.0, &other.1["code"]),
            (409, &json!("idempotency_key_reused")),
            "{endpoint:?}: {other:?}"
        );
    }
}

#[test]
fn idempotency_key_gives_a_second_request_the_first_answer() {
    let world = World::new();
    let server = start(&world);
    let new = json!({ "name": "app", "group": "default" });
    let (status, made) = keyed(&server, "one", "POST", "/v1/databases", Some(&new));
    assert_eq!(status, 200, "{made}");
    assert_eq!(keyed(&server, "one", "POST", "/v1/databases", Some(&new)), (200, made));
    // A failure that will not go away is an answer, too.
    let (status, refused) = keyed(&server, "two", "POST", "/v1/databases", Some(&new));
    assert_eq!((status, &refused["code"]), (409, &json!("database_exists")));
    server.ok("DELETE", "/v1/databases/app", None);
    assert_eq!(
        keyed(&server, "two", "POST", "/v1/databases", Some(&new)),
        (409, refused)
    );
    // Another body is another request.
    let other = json!({ "name": "other", "group": "default" });
    let (status, refused) = keyed(&server, "one", "POST", "/v1/databases", Some(&other));
    assert_eq!((status, &refused["code"]), (409, &json!("idempotency_key_reused")));
    assert!(refused["hint"].is_string(), "{refused}");
    assert_eq!(count(&server, "/v1/databases", "databases"), 0);
    for bad in ["", "a b", &"x".repeat(256)] {
        let (status, refused) = keyed(&server, bad, "POST", "/v1/databases", Some(&new));
        assert_eq!((status, &refused["code"]), (400, &json!("invalid_value")), "{bad:?}");
    }
}

#[test]
fn idempotency_key_belongs_to_one_account() {
    let world = World::new();
    let mut server = start(&world);
    server.ok("POST", "/v1/organizations", Some(json!({ "name": "team" })));
    let invite = server.ok(
        "POST",
        "/v1/organizations/team/invites",
        Some(json!({ "email": "bob@example.com", "role": "admin" })),
    );
    let link = invite["invited"]["link"].as_str().unwrap();
    let accept = json!({ "invitation": link, "username": "bob" });
    let (status, bob) = keyed(&server, "in", "POST", "/v1/invitations/accept", Some(&accept));
    assert_eq!(status, 200, "{bob}");
    assert_eq!(
        keyed(&server, "in", "POST", "/v1/invitations/accept", Some(&accept)),
        (200, bob.clone())
    );
    let new = json!({ "name": "app", "group": "default" });
    assert_eq!(keyed(&server, "same", "POST", "/v1/databases", Some(&new)).0, 200);
    server.token = bob["token"].as_str().unwrap().to_owned();
    let (status, made) = keyed(&server, "same", "POST", "/v1/databases", Some(&new));
    assert_eq!((status, &made["username"]), (200, &json!("bob")), "{made}");
}

#[test]
fn idempotency_key_in_requests_at_the_same_time_makes_one_change() {
    let world = World::new();
    let server = start(&world);
    server.ok(
        "POST",
        "/v1/databases",
        Some(json!({ "name": "app", "group": "default" })),
    );
    let answers: Vec<(u16, Value)> = std::thread::scope(|scope| {
        let one = || {
            keyed(
                &server,
                "together",
                "POST",
                "/v1/databases/app/auth/tokens?name=web",
                None,
            )
        };
        let threads: Vec<_> = (0..12).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(answers[0].0, 200, "{:?}", answers[0]);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(count(&server, "/v1/databases/app/auth/tokens", "tokens"), 1);
}

/// A change: its key, method and path, and body.
type Change = (&'static str, &'static str, &'static str, Value);

/// One of each kind, in an order in which all can be made.
fn changes() -> Vec<Change> {
    let database = |name: &str| json!({ "name": name, "group": "default" });
    vec![
        ("create", "POST", "/v1/databases", database("app")),
        (
            "branch",
            "POST",
            "/v1/databases",
            json!({ "name": "copy", "group": "default", "seed": { "type": "database", "name": "app" } }),
        ),
        (
            "ending",
            "POST",
            "/v1/databases/expiring",
            json!({ "name": "short", "group": "default", "expires_at": "2999-01-01T00:00:00Z" }),
        ),
        ("create-old", "POST", "/v1/databases", database("old")),
        ("rename", "POST", "/v1/databases/old/rename", json!({ "name": "new" })),
        ("create-gone", "POST", "/v1/databases", database("gone")),
        ("delete", "DELETE", "/v1/databases/gone", Value::Null),
        ("create-again", "POST", "/v1/databases", database("gone")),
        (
            "configure",
            "PATCH",
            "/v1/databases/app/configuration",
            json!({ "size_limit": "1gb" }),
        ),
        (
            "replicate",
            "POST",
            "/v1/databases/app/instances",
            json!({ "location": "lhr" }),
        ),
        (
            "replicate-new",
            "POST",
            "/v1/databases/new/instances",
            json!({ "location": "lhr" }),
        ),
        ("unreplicate", "DELETE", "/v1/databases/new/instances/lhr", Value::Null),
        ("group", "POST", "/v1/groups", json!({ "name": "g", "location": "ams" })),
        (
            "group-old",
            "POST",
            "/v1/groups",
            json!({ "name": "h", "location": "ams" }),
        ),
        ("group-rename", "POST", "/v1/groups/h/rename", json!({ "name": "i" })),
        (
            "group-gone",
            "POST",
            "/v1/groups",
            json!({ "name": "j", "location": "ams" }),
        ),
        ("group-delete", "DELETE", "/v1/groups/j", Value::Null),
        ("group-location", "POST", "/v1/groups/g/locations/lhr", Value::Null),
        ("rotate", "POST", "/v1/databases/app/auth/rotate", Value::Null),
        ("token", "POST", "/v1/databases/app/auth/tokens?name=web", Value::Null),
        ("group-token", "POST", "/v1/groups/g/auth/tokens?name=web", Value::Null),
        ("api-token", "POST", "/v1/auth/api-tokens/ci", Value::Null),
        ("api-token-gone", "POST", "/v1/auth/api-tokens/gone", Value::Null),
        ("api-token-revoke", "DELETE", "/v1/auth/api-tokens/gone", Value::Null),
        (
            "organization",
            "POST",
            "/v1/organizations",
            json!({ "name": "Team One" }),
        ),
        (
            "organization-gone",
            "POST",
            "/v1/organizations",
            json!({ "name": "gone" }),
        ),
        ("organization-delete", "DELETE", "/v1/organizations/gone", Value::Null),
        (
            "invite",
            "POST",
            "/v1/organizations/team-one/invites",
            json!({ "email": "bob@example.com" }),
        ),
        (
            "invite-gone",
            "POST",
            "/v1/organizations/team-one/invites",
            json!({ "email": "eve@example.com" }),
        ),
        (
            "invite-delete",
            "DELETE",
            "/v1/organizations/team-one/invites/eve@example.com",
            Value::Null,
        ),
        (
            "transfer",
            "POST",
            "/v1/databases/moved/transfer",
            json!({ "organization": "team-one" }),
        ),
        (
            "quota",
            "PUT",
            "/v1/server/quotas",
            json!({ "name": "databases", "value": 100 }),
        ),
        ("check", "POST", "/v1/check", Value::Null),
    ]
}

/// Changes that made what was renamed or removed since: that is the answer, and it is not made again.
const GONE: [&str; 7] = [
    "create-old",
    "replicate-new",
    "group-old",
    "group-gone",
    "api-token-gone",
    "organization-gone",
    "invite-gone",
];

/// What there is, without what a repeated request may change: the text of a secret.
fn state(server: &Server) -> Vec<Value> {
    let mut all: Vec<Value> = [
        "/v1/databases",
        "/v1/databases/app/instances",
        "/v1/databases/new/instances",
        "/v1/databases/app/configuration",
        "/v1/groups",
        "/v1/databases/app/auth/tokens",
        "/v1/groups/g/auth/tokens",
        "/v1/organizations",
        "/v1/organizations/team-one/databases",
        "/v1/server/quotas",
    ]
    .iter()
    .map(|path| server.ok("GET", path, None))
    .collect();
    for (path, list, name) in [
        ("/v1/auth/api-tokens", "tokens", "name"),
        ("/v1/organizations/team-one/invites", "invites", "email"),
    ] {
        let items = server.ok("GET", path, None);
        all.extend(items[list].as_array().unwrap().iter().map(|item| item[name].clone()));
    }
    let text = |value: &Value| {
        // Sizes and states of replicas follow by themselves, and a token that was made again is as old as that.
        let volatile = [
            "size_bytes",
            "state",
            "lag_frames",
            "lag_ms",
            "created_at",
            "synced_at",
            "last_synced_at",
            "status",
        ];
        // A server that was started again may listen elsewhere.
        let here = value.to_string().replace(server.address(), "[server]");
        strip(serde_json::from_str(&here).unwrap(), &volatile)
    };
    all.iter().map(text).collect()
}

fn strip(value: Value, members: &[&str]) -> Value {
    match value {
        Value::Object(all) => all
            .into_iter()
            .filter(|(key, _)| !members.contains(&key.as_str()))
            .map(|(key, value)| (key, strip(value, members)))
            .collect(),
        Value::Array(all) => all.into_iter().map(|value| strip(value, members)).collect(),
        other => other,
    }
}

/// The state that a server leaves which is killed after a change and before its answer is stored: the answers are taken out.
#[test]
fn idempotency_key_survives_a_server_that_ends_before_it_answers() {
    let world = World::new();
    let server = start(&world);
    server.wait_ready();
    let moved = json!({ "name": "moved", "group": "default" });
    server.ok("POST", "/v1/databases", Some(moved));
    for (key, method, path, body) in changes() {
        let body = (!body.is_null()).then_some(body);
        let (status, answer) = keyed(&server, key, method, path, body.as_ref());
        assert_eq!(status, 200, "{key}: {answer}");
    }
    let before = state(&server);
    let owner = server.token.clone();
    server.end(Signal::SIGKILL);
    let accounts = rusqlite::Connection::open(world.data_dir().join("server/accounts.db")).unwrap();
    let lost = accounts
        .execute("UPDATE idempotent_requests SET answer = NULL", [])
        .unwrap();
    assert_eq!(lost, changes().len());
    drop(accounts);
    let mut server = start(&world);
    server.token = owner;
    server.wait_ready();
    let mut made = Vec::new();
    for (key, method, path, body) in changes() {
        let body = (!body.is_null()).then_some(body);
        let (status, answer) = keyed(&server, key, method, path, body.as_ref());
        let expected = if GONE.contains(&key) { 404 } else { 200 };
        assert_eq!(status, expected, "{key}: {answer}");
        made.push((key, answer));
    }
    assert_eq!(state(&server), before);
    // What was made again works.
    let answer = |wanted: &str| &made.iter().find(|(key, _)| *key == wanted).unwrap().1;
    for token in ["token", "group-token"] {
        assert!(answer(token)["jwt"].is_string());
    }
    let opened = Server::client()
        .post(format!("{}db/app-alice/v2/pipeline", server.url()))
        .bearer_auth(answer("token")["jwt"].as_str().unwrap())
        .json(&json!({ "requests": [{ "type": "execute", "stmt": { "sql": "select 1" } }] }))
        .send()
        .unwrap();
    assert_eq!(opened.status(), 200);
    let link = answer("invite")["invited"]["link"].as_str().unwrap().to_owned();
    let accept = json!({ "invitation": link, "username": "bob" });
    assert_eq!(
        keyed(&server, "accept", "POST", "/v1/invitations/accept", Some(&accept)).0,
        200
    );
    server.token = answer("api-token")["token"].as_str().unwrap().to_owned();
    server.ok("GET", "/v1/databases", None);
}

#[test]
fn idempotency_key_of_an_invitation_survives_the_end_of_the_server() {
    let world = World::new();
    let server = start(&world);
    server.ok("POST", "/v1/organizations", Some(json!({ "name": "team" })));
    let new = json!({ "email": "bob@example.com" });
    let invite = server.ok("POST", "/v1/organizations/team/invites", Some(new));
    let accept = json!({ "invitation": invite["invited"]["link"], "username": "bob" });
    let (status, lost) = keyed(&server, "in", "POST", "/v1/invitations/accept", Some(&accept));
    assert_eq!(status, 200, "{lost}");
    server.end(Signal::SIGKILL);
    let accounts = rusqlite::Connection::open(world.data_dir().join("server/accounts.db")).unwrap();
    accounts
        .execute("UPDATE idempotent_requests SET answer = NULL", [])
        .unwrap();
    drop(accounts);
    let mut server = start(&world);
    let (status, bob) = keyed(&server, "in", "POST", "/v1/invitations/accept", Some(&accept));
    assert_eq!(status, 200, "{bob}");
    server.token = lost["token"].as_str().unwrap().to_owned();
    assert_eq!(server.ask("GET", "/v1/user", None).0, 401);
    server.token = bob["token"].as_str().unwrap().to_owned();
    assert_eq!(server.ok("GET", "/v1/user", None)["user"]["username"], "bob");
    assert_eq!(count(&server, "/v1/auth/api-tokens", "tokens"), 1);
}
