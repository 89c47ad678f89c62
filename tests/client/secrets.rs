//! The token: where it goes, and where it does not.

use super::{TOKEN, stand_in, world};
use crate::support::stub::{Answer, Stub};
use crate::support::{Run, World, tree};
use serde_json::json;

/// No run may show the token, and no file but one may hold it.
#[track_caller]
fn unseen(world: &World, runs: &[Run]) {
    for run in runs {
        assert!(
            !run.stdout.contains(TOKEN) && !run.stderr.contains(TOKEN),
            "{}",
            run.report()
        );
    }
    for path in tree::list(world.root()).into_keys() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name == "token" || name == "credentials.toml" {
            continue;
        }
        let held = std::fs::read(world.root().join(&path)).unwrap_or_default();
        let found = held.windows(TOKEN.len()).any(|part| part == TOKEN.as_bytes());
        assert!(!found, "{} holds the token", path.display());
    }
}

#[test]
fn token_is_shown_nowhere() {
    let stub = stand_in::start();
    let world = world(&stub);
    let mut runs = Vec::new();
    for line in [
        "auth status",
        "auth whoami",
        "context list",
        "context show there",
        "config show --origin",
        "config list",
        "db list",
        "db show app",
        "db show nosuch",
        "db tokens list app",
        "doctor",
        "api GET /v1/user",
        "api GET /v1/nothing",
        "db list --dry-run",
    ] {
        for form in ["table", "json"] {
            runs.push(world.torso(line.split(' ').chain(["--output", form])));
        }
    }
    unseen(&world, &runs);
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(world.path("config/credentials.toml"))
            .unwrap()
            .permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn token_that_a_server_repeats_is_not_printed() {
    let stub = Stub::start(|request| {
        let bearer = request.header("authorization").unwrap_or_default().to_owned();
        match request.path.contains("groups") {
            true => Answer::With(500, "", bearer.into_bytes()),
            false => Answer::Json(400, json!({ "error": format!("bad token: {bearer}"), "hint": bearer })),
        }
    });
    let world = world(&stub);
    let runs = ["db list", "db show app", "group list", "auth status"].map(|line| world.torso(line.split(' ')));
    unseen(&world, &runs);
}

#[test]
fn token_is_forgotten_on_logout() {
    let stub = stand_in::start();
    let world = world(&stub);
    assert_eq!(world.ok(["auth", "token"]).trim_end(), TOKEN);
    world.ok(["auth", "logout"]);
    let kept = std::fs::read_to_string(world.path("config/credentials.toml")).unwrap();
    assert!(!kept.contains(TOKEN), "{kept}");
    world.torso(["auth", "token", "--json"]).fails(4, "unauthenticated");
    world.torso(["db", "list", "--json"]).fails(4, "unauthenticated");
    let again = world.json(["auth", "logout"]);
    assert_eq!(again["logged_out"], false);
}

/// A token for Turso Cloud in the environment is not meant for a server of one's own.
#[test]
fn token_for_another_service_is_not_sent() {
    let stub = stand_in::start();
    let mut world = World::new();
    world.ok(["context", "add", "there", "--url", &stub.url()]);
    world.set("TORSO_CONTEXT", "there");
    world.set("TURSO_API_TOKEN", TOKEN);
    world.torso(["db", "list", "--json"]).fails(4, "unauthenticated");
    assert_eq!(stub.requests()[0].header("authorization"), None);
    world.set("TORSO_TOKEN", TOKEN);
    assert_eq!(world.databases(), ["app"]);
}

/// The token of a loopback server does not go through a proxy; other servers are asked through it.
#[test]
fn proxy_is_not_asked_for_loopback_servers() {
    let proxy = Stub::start(|_| Answer::Json(200, json!({ "databases": [] })));
    let stub = stand_in::start();
    let mut world = world(&stub);
    world.set("http_proxy", proxy.url());
    world.set("HTTP_PROXY", proxy.url());
    assert_eq!(world.databases(), ["app"]);
    assert_eq!(proxy.lines(), Vec::<String>::new());
    world.set("TORSO_API_URL", "http://server.example.invalid");
    world.ok(["db", "list"]);
    assert_eq!(proxy.lines(), ["GET http://server.example.invalid/v1/databases"]);
}
