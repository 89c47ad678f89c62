//! Servers that misbehave: each gives one clear error in time, with the right exit code.

use super::world;
use crate::support::stub::{Answer, Request, Stub};
use crate::support::{Run, redact};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

fn list(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> (Run, Stub) {
    let stub = Stub::start(answer);
    let world = world(&stub);
    (world.torso(["db", "list", "--json", "--timeout", "20s"]), stub)
}

/// What an answer is called, and the answer.
type Case = (&'static str, fn() -> Answer);

#[test]
fn answer_that_is_invalid_is_one_clear_error() {
    let cases: [Case; 12] = [
        ("nothing", || Answer::Raw(Vec::new())),
        ("no HTTP", || Answer::Raw(b"SSH-2.0-OpenSSH_9.9\r\n".to_vec())),
        ("truncated", || {
            Answer::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"databases\":[".to_vec())
        }),
        ("no JSON", || Answer::With(200, "", b"<html>".to_vec())),
        ("not UTF-8", || Answer::With(200, "", b"{\"a\":\"\xff\"}".to_vec())),
        ("another shape", || Answer::Json(200, json!({ "databases": "many" }))),
        ("a name that is none", || {
            Answer::Json(200, json!({ "databases": [{ "name of it": "../../etc" }] }))
        }),
        ("too much", || Answer::Endless(1 << 40)),
        ("a page", || Answer::With(404, "", b"<html>".to_vec())),
        ("an error that is no text", || {
            Answer::Json(400, json!({ "error": { "deep": [1] } }))
        }),
        ("a foreign code", || {
            Answer::Json(409, json!({ "error": "x", "code": "??" }))
        }),
        ("forbidden", || Answer::Json(403, json!({ "error": "not you" }))),
    ];
    let mut reports = String::new();
    for (name, answer) in cases {
        let (run, _stub) = list(move |_| answer());
        reports += &format!("{name}\n{}", redact::plain(&run.report()));
    }
    insta::assert_snapshot!(reports, @r#"
    nothing
    $ torso db list --json --timeout 20s
    -- stderr --
    {"error":{"code":"unavailable","message":"http://127.0.0.1:[port] closed the connection: connection closed before message completed","hint":"try again in a moment","retryable":true}}
    -- exit 7 --
    no HTTP
    $ torso db list --json --timeout 20s
    -- stderr --
    {"error":{"code":"unavailable","message":"http://127.0.0.1:[port] closed the connection: invalid HTTP version parsed","hint":"try again in a moment","retryable":true}}
    -- exit 7 --
    truncated
    $ torso db list --json --timeout 20s
    -- stderr --
    {"error":{"code":"unavailable","message":"http://127.0.0.1:[port] closed the connection before its answer was complete","hint":"try again in a moment","retryable":true}}
    -- exit 7 --
    no JSON
    $ torso db list --json --timeout 20s
    -- stderr --
    {"error":{"code":"unavailable","message":"the answer of http://127.0.0.1:[port] about the databases is not in the format of the Platform API: expected value at line 1 column 1","hint":"is the address right? torso context list shows it","retryable":true}}
    -- exit 7 --
    not UTF-8
    $ torso db list --json --timeout 20s
    -- stderr --
    {"error":{"code":"unavailable","message":"the answer of http://127.0.0.1:[port] about the databases is not in the format of the Platform API: invalid unicode code point at line 1 column 7","hint":"is the address right? torso context list shows it","retryable":true}}
    -- exit 7 --
    another shape
    $ torso db list --json --timeout 20s
    -- stderr --
    {"error":{"code":"unavailable","message":"the server's answer about databases is not in the format of the Platform API: it is not a list","hint":"is the address right? torso context list shows it","retryable":true}}
    -- exit 7 --
    a name that is none
    $ torso db list --json --timeout 20s
    -- stderr --
    {"error":{"code":"unavailable","message":"the server's answer about a database is not in the format of the Platform API: missing field `Name`","hint":"is the address right? torso context list shows it","retryable":true}}
    -- exit 7 --
    too much
    $ torso db list --json --timeout 20s
    -- stderr --
    {"error":{"code":"unavailable","message":"http://127.0.0.1:[port] sent an answer of more than 64 MB","hint":"is the address right? torso context list shows it","retryable":true}}
    -- exit 7 --
    a page
    $ torso db list --json --timeout 20s
    -- stderr --
    {"error":{"code":"path_not_found","message":"there is no Platform API at http://127.0.0.1:[port]","hint":"is the address right? torso context list shows it","retryable":false}}
    -- exit 3 --
    an error that is no text
    $ torso db list --json --timeout 20s
    -- stderr --
    {"error":{"code":"invalid_value","message":"the databases: {\"deep\":[1]}","hint":null,"retryable":false}}
    -- exit 1 --
    a foreign code
    $ torso db list --json --timeout 20s
    -- stderr --
    {"error":{"code":"conflict","message":"the databases: x","hint":null,"retryable":false}}
    -- exit 5 --
    forbidden
    $ torso db list --json --timeout 20s
    -- stderr --
    {"error":{"code":"forbidden","message":"the databases: not you","hint":"torso auth status shows who you are; ask an owner for the permission","retryable":false}}
    -- exit 4 --
    "#);
}

#[test]
fn redirect_is_not_followed() {
    let elsewhere = Stub::start(|_| Answer::Json(200, json!({ "databases": [] })));
    let to = elsewhere.url();
    let (run, _stub) = list(move |_| {
        Answer::Raw(format!("HTTP/1.1 307 X\r\nlocation: {to}/v1/databases\r\ncontent-length: 0\r\n\r\n").into())
    });
    insta::assert_snapshot!(redact::plain(&run.report()), @r#"
    $ torso db list --json --timeout 20s
    -- stderr --
    {"error":{"code":"unavailable","message":"http://127.0.0.1:[port] redirects to http://127.0.0.1:[port]; torso does not follow redirects","hint":"if that is the server, use its address: torso context add NAME --url http://127.0.0.1:[port]","retryable":true}}
    -- exit 7 --
    "#);
    assert_eq!(elsewhere.lines(), Vec::<String>::new());
}

/// Fails a few times, then answers.
fn flaky(failures: usize, failure: fn() -> Answer) -> impl Fn(&Request) -> Answer + Send + Sync {
    let asked = AtomicUsize::new(0);
    move |_| {
        if asked.fetch_add(1, Ordering::SeqCst) < failures {
            failure()
        } else {
            Answer::Json(200, json!({ "databases": [] }))
        }
    }
}

#[test]
fn request_that_may_be_repeated_is_repeated() {
    for failure in [
        || Answer::With(503, "", Vec::new()),
        || Answer::With(429, "retry-after: 0\r\n", Vec::new()),
        || Answer::Raw(Vec::new()),
    ] as [fn() -> Answer; 3]
    {
        let (run, stub) = list(flaky(2, failure));
        run.success();
        assert_eq!(stub.lines().len(), 3);
    }
    let (run, stub) = list(|_| Answer::With(503, "", Vec::new()));
    run.fails(7, "unavailable");
    assert_eq!(stub.lines().len(), 4);
}

#[test]
fn retry_after_of_a_server_is_respected() {
    let started = Instant::now();
    let (run, _stub) = list(flaky(1, || Answer::With(503, "retry-after: 1\r\n", Vec::new())));
    run.success();
    assert!(started.elapsed() >= Duration::from_secs(1));
    let (run, stub) = list(|_| Answer::With(429, "retry-after: 3600\r\n", Vec::new()));
    insta::assert_snapshot!(redact::plain(&run.report()), @r#"
    $ torso db list --json --timeout 20s
    -- stderr --
    {"error":{"code":"rate_limited","message":"http://127.0.0.1:[port] answered 429 about the databases","hint":"the server asks to wait; try again in [duration]","retryable":true}}
    -- exit 7 --
    "#);
    assert_eq!(stub.lines().len(), 1);
}

#[test]
fn request_that_may_not_be_repeated_is_sent_once() {
    let stub = Stub::start(|request| match request.method.as_str() {
        "POST" => Answer::Raw(Vec::new()),
        _ => Answer::Json(404, json!({ "error": "no", "code": "group_not_found" })),
    });
    let world = world(&stub);
    let run = world.torso(["group", "create", "g", "--location", "ams", "--json"]);
    insta::assert_snapshot!(redact::report(&world, &run), @r#"
    $ torso group create g --location ams --json
    -- stderr --
    {"error":{"code":"unavailable","message":"http://127.0.0.1:[port] closed the connection: connection closed before message completed","hint":"the change may have been made: check before you try again","retryable":true}}
    -- exit 7 --
    "#);
    let posts = stub.lines().iter().filter(|line| line.starts_with("POST")).count();
    assert_eq!(posts, 1);
}

/// A server need not answer what is asked before a change for the sake of a clear error.
#[test]
fn precondition_that_is_not_answered_does_not_refuse_a_change() {
    for (status, answer) in [
        (403, json!({ "error": "no" })),
        (404, json!({ "error": "no" })),
        (404, json!({ "error": "no", "code": "path_not_found" })),
        (405, json!({ "error": "no", "code": "method_not_allowed" })),
        (501, json!({ "error": "no" })),
        (200, json!({ "locations": "everywhere" })),
    ] {
        let stub = Stub::start(move |request| match (request.method.as_str(), request.path.as_str()) {
            ("POST", "/v1/groups") => Answer::Json(
                200,
                json!({ "group": { "name": "g", "uuid": "0eb771dd-6906-41ee-8553-eaa7715aeaf2", "locations": ["ams"],
                    "primary": "ams", "delete_protection": false, "version": "", "archived": false } }),
            ),
            ("GET", path) if path.starts_with("/v1/locations") => Answer::Json(status, answer.clone()),
            _ => Answer::Json(404, json!({ "error": "no" })),
        });
        let world = world(&stub);
        let run = world.torso(["group", "create", "g", "--location", "ams", "--json"]);
        assert_eq!(run.success().json()["created"], true, "{status}");
    }
}

/// A server may stop offering a location, which keeps what it has.
#[test]
fn location_that_is_not_offered_any_more_may_be_declared() {
    let stub = Stub::start(|request| match request.line().as_str() {
        "GET /v1/locations" => Answer::Json(200, json!({ "locations": { "ams": "Amsterdam" } })),
        _ => super::stand_in::answer(request),
    });
    let world = world(&stub);
    world.write("torso.toml", "[groups.default]\nlocations = [\"ams\", \"lhr\"]\n");
    let run = world.torso(["apply", "--check"]).success();
    assert_eq!(run.stdout, "Everything is as torso.toml declares.\n");
}

#[test]
fn server_that_is_silent_times_out() {
    let stub = Stub::start(|_| Answer::Silence(Duration::from_secs(30)));
    let world = world(&stub);
    let started = Instant::now();
    world
        .torso(["db", "list", "--json", "--timeout", "1s"])
        .fails(7, "timeout");
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn server_that_does_not_listen_exits_7() {
    let port = crate::support::sqld::free_port();
    let mut world = crate::support::World::new();
    world.set("TORSO_API_URL", format!("http://127.0.0.1:{port}"));
    let mut reports = redact::report(&world, &world.torso(["db", "list", "--json"]));
    for url in ["nonsense", "ftp://h", "http://me:secret@h", "http://"] {
        world.set("TORSO_API_URL", url);
        let run = world.torso(["db", "list", "--json"]);
        reports += &format!(
            "TORSO_API_URL, {} characters\n{}",
            url.len(),
            redact::report(&world, &run)
        );
    }
    insta::assert_snapshot!(reports, @r#"
    $ torso db list --json
    -- stderr --
    {"error":{"code":"unavailable","message":"cannot connect to http://127.0.0.1:[port]: Connection refused (os error 111)","hint":"is the server running, and is the address right? torso context list shows it","retryable":true}}
    -- exit 7 --
    TORSO_API_URL, 8 characters
    $ torso db list --json
    -- stderr --
    {"error":{"code":"invalid_settings","message":"the variable TORSO_API_URL is not a server's address: relative URL without a base","hint":"write it like https://torso.example.com, without a user name","retryable":false}}
    -- exit 1 --
    TORSO_API_URL, 7 characters
    $ torso db list --json
    -- stderr --
    {"error":{"code":"invalid_settings","message":"the variable TORSO_API_URL is not a server's address: it does not begin with https:// or http://","hint":"write it like https://torso.example.com, without a user name","retryable":false}}
    -- exit 1 --
    TORSO_API_URL, 18 characters
    $ torso db list --json
    -- stderr --
    {"error":{"code":"invalid_settings","message":"the variable TORSO_API_URL is not a server's address: it holds a user name or password; pass the token with --token-stdin or --token-file","hint":"write it like https://torso.example.com, without a user name","retryable":false}}
    -- exit 1 --
    TORSO_API_URL, 7 characters
    $ torso db list --json
    -- stderr --
    {"error":{"code":"invalid_settings","message":"the variable TORSO_API_URL is not a server's address: empty host","hint":"write it like https://torso.example.com, without a user name","retryable":false}}
    -- exit 1 --
    "#);
}

#[test]
fn list_in_pages_is_read_to_its_end_and_not_for_ever() {
    let page = |name: &str, next: Value| {
        json!({ "databases": [{ "Name": name, "DbId": "0eb771dd-6906-41ee-8553-eaa7715aeaf2",
            "Hostname": "h", "group": "g", "primaryRegion": "ams", "regions": [] }],
            "pagination": { "next": next } })
    };
    let (run, stub) = list(move |request| {
        Answer::Json(
            200,
            if request.path.contains("cursor=two") {
                page("a", json!("two"))
            } else {
                page("b", json!("two"))
            },
        )
    });
    let names: Vec<Value> = run
        .success()
        .json()
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["Name"].clone())
        .collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(stub.lines().len(), 2);
}

#[test]
fn server_text_does_not_steer_a_terminal() {
    let stub = Stub::start(|_| Answer::Json(400, json!({ "error": "red \u{1b}[31m\u{202e} alert" })));
    let world = world(&stub);
    let mut session = world.terminal(&["db", "list", "--color", "never"]);
    insta::assert_snapshot!(redact::text(&world, &session.exp_eof().unwrap()), @r"error: the databases: red \u{1b}[31m\u{202e} alert");
}

/// What only torso's own server can do is one clear refusal elsewhere.
#[test]
fn unsupported_feature_of_another_server_is_one_error() {
    let stub = Stub::start(|request| match (request.method.as_str(), request.path.as_str()) {
        ("GET", path) if path.starts_with("/v1/databases/app/auth") => {
            Answer::Json(404, json!({ "error": "not found" }))
        }
        ("GET", "/v1/databases/app") => super::stand_in::answer(request),
        ("GET", path) if path.starts_with("/v1/databases?") => super::stand_in::answer(request),
        ("GET", path) if path.starts_with("/v1/locations") || path.starts_with("/v1/groups") => {
            super::stand_in::answer(request)
        }
        _ => Answer::Json(404, json!({ "error": "not found" })),
    });
    let world = world(&stub);
    for line in [
        "db tokens list app",
        "db rename app other",
        "db sync app",
        "db promote app lhr",
        "db promote app --force --yes",
        "db verify app",
        "db compact app",
        "db replicate app lhr",
        "group rename default other",
        "group promote default lhr",
        "location add x --name X",
        "location remove ams",
    ] {
        let run = world.torso(line.split(' ').chain(["--json"]));
        let run = run.fails(1, "unsupported");
        assert!(run.error()["hint"].is_string(), "{line}: {}", run.stderr);
    }
}

/// One thing with a name that only another program allows does not hide all others.
#[test]
fn names_that_are_invalid_are_left_out_with_a_warning() {
    let stub = Stub::start(|_| {
        let id = "0eb771dd-6906-11ee-8553-eaa7715aeaf2";
        let database = |name: &str| json!({ "Name": name, "DbId": id, "group": "default", "primaryRegion": "ams" });
        Answer::Json(200, json!({ "databases": [database("../../etc"), database("app")] }))
    });
    let world = world(&stub);
    let run = world.torso(["db", "list", "--output", "name"]).success();
    assert_eq!(run.stdout, "app\n");
    assert_eq!(
        run.stderr,
        "warning: left out the database \"../../etc\": torso cannot read the server's answer about it\n"
    );
}
