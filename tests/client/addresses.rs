//! The addresses that a server names: of the network, encrypted where the server is, and the only ones that a token goes to.

use super::{TOKEN, stand_in, world};
use crate::support::stub::{Answer, Stub};
use crate::support::{World, redact};
use serde_json::json;

/// A stand-in whose databases are at `url`.
fn naming(url: &str) -> Stub {
    let url = url.to_owned();
    Stub::start(move |request| match stand_in::answer(request) {
        Answer::Json(200, mut body) => {
            for pointer in ["/database", "/databases/0", "/instances/0", "/instances/1", "/instance"] {
                if let Some(found) = body.pointer_mut(pointer) {
                    found["url"] = json!(url);
                }
            }
            Answer::Json(200, body)
        }
        other => other,
    })
}

const VERBS: &[&[&str]] = &[
    &["db", "shell", "app", "create table planted(a)"],
    &["db", "shell", "app", "select * from secret"],
    &["db", "shell", "app", "--location", "lhr", "select * from secret"],
    &["db", "dump", "app", "--output-file", "-"],
    &["db", "inspect", "app", "--check"],
    &["db", "export", "app", "--overwrite"],
    &["db", "copy", "app", "local:app"],
    &["db", "show", "app", "--path"],
    &["db", "show", "app"],
    &["db", "replicas", "app"],
    &["db", "import", "rows.csv", "app"],
    &["location", "list", "--latency"],
];

#[test]
fn server_that_names_a_file_does_not_lead_there() {
    for form in ["file://", "file:", "FILE://", ""] {
        let aside = World::new();
        let file = aside.path("secret.db");
        rusqlite::Connection::open(&file)
            .unwrap()
            .execute_batch("create table secret(a); insert into secret values ('hush')")
            .unwrap();
        let before = std::fs::read(&file).unwrap();
        let stub = naming(&format!("{form}{}", file.display()));
        let world = world(&stub);
        world.write("rows.csv", "a\n1\n");
        for verb in VERBS {
            let run = world.torso(*verb);
            assert!(!run.stdout.contains("hush"), "{}", run.report());
            assert!(run.code() != 0 || verb[0] == "location", "{}", run.report());
        }
        // The list warns, and goes on without what cannot be reached.
        let run = world.torso(["db", "list"]).success();
        assert!(
            run.stderr.contains("app") && !run.stdout.contains("secret"),
            "{}",
            run.report()
        );
        assert!(std::fs::read(&file).unwrap() == before);
    }
}

#[test]
fn server_that_names_credentials_or_more_is_refused() {
    let mut reports = String::new();
    for url in [
        "https://me:hush@h.example/",
        "https://h.example/?authToken=hush",
        "https://h.example/#hush",
    ] {
        let stub = naming(url);
        let world = world(&stub);
        let run = world.torso(["db", "show", "app", "--json"]).fails(7, "unavailable");
        reports += &redact::report(&world, &run);
    }
    // No part of the address is quoted.
    insta::assert_snapshot!(reports, @r#"
    $ torso db show app --json
    -- stderr --
    {"error":{"code":"unavailable","message":"the server's answer about a database is not in the format of the Platform API: a database's url has a user name or a password","hint":"is the address right? torso context list shows it","retryable":true}}
    -- exit 7 --
    $ torso db show app --json
    -- stderr --
    {"error":{"code":"unavailable","message":"the server's answer about a database is not in the format of the Platform API: a database's url contains more than an address","hint":"is the address right? torso context list shows it","retryable":true}}
    -- exit 7 --
    $ torso db show app --json
    -- stderr --
    {"error":{"code":"unavailable","message":"the server's answer about a database is not in the format of the Platform API: a database's url contains more than an address","hint":"is the address right? torso context list shows it","retryable":true}}
    -- exit 7 --
    "#);
}

/// A database may be on another host than the API, which is asked with the database's own token; the API's token stays.
#[test]
fn token_of_a_database_goes_to_the_named_host_only() {
    let elsewhere = Stub::start(|_| Answer::Json(200, json!({})));
    let target = elsewhere.url();
    let database = Stub::start(move |_| {
        Answer::With(
            307,
            Box::leak(format!("location: {target}/v3/cursor\r\n").into_boxed_str()),
            Vec::new(),
        )
    });
    let stub = naming(&database.url());
    let world = world(&stub);
    let run = world.torso(["db", "shell", "app", "select 1"]);
    assert_ne!(run.code(), 0, "{}", run.report());
    assert_eq!(elsewhere.lines(), Vec::<String>::new());
    let asked = database.requests();
    assert!(!asked.is_empty());
    for request in asked {
        assert_eq!(request.header("authorization"), Some("Bearer header.claims.signature"));
        assert!(!request.path.contains("header.claims"), "{}", request.path);
    }
    for request in stub.requests() {
        assert_eq!(request.header("authorization"), Some(&*format!("Bearer {TOKEN}")));
    }
}

/// The API's answers may send elsewhere too.
#[test]
fn token_of_an_api_follows_no_redirect() {
    let elsewhere = Stub::start(|_| Answer::Json(200, json!({ "databases": [] })));
    let target = elsewhere.url();
    let stub = Stub::start(move |_| {
        Answer::With(
            302,
            Box::leak(format!("location: {target}/v1/databases\r\n").into_boxed_str()),
            Vec::new(),
        )
    });
    let world = world(&stub);
    for line in [
        "db list",
        "db show app",
        "auth status",
        "api GET /v1/databases",
        "doctor",
    ] {
        world.torso(line.split(' '));
    }
    assert_eq!(elsewhere.lines(), Vec::<String>::new());
}
