//! Starting, ending and starting again, and the files in `docs/deploy` that say how services are to be run.

use super::{Deployment, until};
use crate::support::server::Server;
use crate::support::{World, crate_root, sqld, world::TORSO};
use serde_json::json;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

#[test]
fn shutdown_is_orderly_and_the_next_start_serves_everything() {
    let mut server = Deployment::new();
    assert!(server.token.starts_with("torso_"));
    let database = server.database("app");
    database
        .sql(&["CREATE TABLE t(x)", "INSERT INTO t VALUES (42)"])
        .unwrap();
    // A connection that is open and idle must not hold the end up.
    let _idle = std::net::TcpStream::connect(server.server().address()).unwrap();
    let (status, took) = server.end(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(status, Some(0), "{}", server.log());
    assert!(took < Duration::from_secs(10), "it took {took:?}");
    server.start();
    assert!(
        server.server().started.get("token").is_none(),
        "the token is shown once"
    );
    assert_eq!(database.value("SELECT x FROM t").unwrap(), "42");
    assert_eq!(database.at("iad").value("SELECT x FROM t").unwrap(), "42");
    let log = server.log();
    for entry in [
        format!("server started version=\"{}\"", env!("CARGO_PKG_VERSION")),
        format!("url={}", server.server().url()),
        format!("data={}", server.server().started["data_dir"].as_str().unwrap()),
        "server is shutting down cause=\"SIGTERM\"".to_owned(),
    ] {
        assert!(log.contains(&entry), "{entry}\n{log}");
    }
    assert!(!log.contains(&server.token), "the log holds the owner's token");
    assert!(
        !server.log().contains(&database.token),
        "the log holds a database's token"
    );
}

#[test]
fn operator_sets_quotas_and_issues_a_token() {
    let mut server = Deployment::new();
    server.end(nix::sys::signal::Signal::SIGTERM);
    server.args.extend(
        [
            "--quota",
            "databases=1",
            "--quota",
            "alice/groups=1",
            "--issue-token",
            "alice",
        ]
        .map(str::to_owned),
    );
    server.start();
    let issued = server.server().token.clone();
    assert!(issued.starts_with("torso_") && issued != server.token);
    assert_eq!(server.server().started["user"], "alice");
    // The old one still works.
    let created = Server::client()
        .post(format!("{}v1/databases", server.server().url()))
        .bearer_auth(&server.token)
        .json(&json!({ "name": "one", "group": "default" }))
        .send()
        .unwrap();
    assert_eq!(created.status(), 200);
    let mut errors = Vec::new();
    for (path, body) in [
        ("/v1/databases", json!({ "name": "two", "group": "default" })),
        ("/v1/groups", json!({ "name": "second", "location": "ams" })),
    ] {
        let (status, answer) = server.server().ask("POST", path, Some(body));
        assert_eq!((status, &answer["code"]), (409, &json!("quota_exceeded")), "{answer}");
        errors.push(answer["error"].as_str().unwrap().to_owned());
    }
    insta::assert_snapshot!(errors.join("\n"), @"
    organization alice has reached its limit of 1 databases: it has 1
    organization alice has reached its limit of 1 groups: it has 1
    ");
}

#[test]
fn start_that_leaves_out_used_locations_warns_of_them() {
    let mut server = Deployment::new();
    server.database("app");
    assert!(!server.log().contains("warning"), "{}", server.log());
    server.end(nix::sys::signal::Signal::SIGTERM);
    let at = server.args.iter().position(|arg| arg == "--locations").unwrap();
    server.args[at + 1] = "ams,lhr".to_owned();
    server.start();
    let log = server.log();
    assert!(
        log.contains("organization alice uses locations that --locations leaves out (iad)"),
        "{log}"
    );
}

#[test]
fn start_with_tls_and_the_location_local_warns_of_the_official_cli() {
    for (args, warned) in [
        (&["--tls", "self-signed", "--locations", "local,lhr"][..], true),
        (&["--tls", "self-signed"], true),
        (&["--url", "https://db.example.com", "--locations", "local"], true),
        (&["--tls", "self-signed", "--locations", "lhr"], false),
        (&["--locations", "local,lhr"], false),
    ] {
        let world = World::new();
        drop(Server::start(&world, args));
        let log = std::fs::read_to_string(world.work().join("server.log")).unwrap();
        assert_eq!(
            log.contains("the official Turso CLI speaks plain HTTP"),
            warned,
            "{args:?}: {log}"
        );
    }
}

#[test]
fn health_check_of_the_container_fails_until_the_server_is_ready() {
    let text = std::fs::read_to_string(crate_root().join("docs/deploy/Dockerfile")).unwrap();
    let line = text.lines().find(|line| line.starts_with("HEALTHCHECK ")).unwrap();
    let check = line.split_once(" CMD ").unwrap().1;
    let world = World::new();
    let server = Server::start(&world, &["--locations", "ams"]);
    server.wait_ready();
    let run = |url: &str| {
        let script = check
            .replace("http://127.0.0.1:8080", url)
            .replace("/data/config", world.path("health").to_str().unwrap());
        let mut command = world.command("sh");
        let path = format!("{}:/usr/bin:/bin", Path::new(TORSO).parent().unwrap().display());
        command.args(["-c", &script]).env("PATH", path);
        command.status().unwrap().success()
    };
    assert!(check.contains("http://127.0.0.1:8080"));
    let url = server.url().trim_end_matches('/').to_owned();
    assert!(run(&url));
    drop(server);
    assert!(!run(&url));
}

/// The words of a command line without quotes, as systemd splits them.
fn words(line: &str) -> Vec<String> {
    line.split_ascii_whitespace().map(str::to_owned).collect()
}

/// Runs a documented command line with directories and address of this test's own.
fn serves(mut words: Vec<String>, ready: &str) {
    let mut world = World::new();
    world.set("TORSO_SQLD", sqld::program());
    for flag in ["--data-dir", "--config-dir"] {
        let at = words.iter().position(|word| word == flag).unwrap();
        words[at + 1] = world.path(flag.trim_start_matches('-')).display().to_string();
    }
    let at = words.iter().position(|word| word == "--listen").unwrap();
    let host = words[at + 1].rsplit_once(':').unwrap().0.to_owned();
    words[at + 1] = format!("{host}:0");
    assert_eq!(words[0], "server");
    let out = world.path("out");
    let mut process = world
        .torso_command(&words)
        .arg("--json")
        .stdout(std::fs::File::create(&out).unwrap())
        .stderr(std::fs::File::create(world.path("log")).unwrap())
        .spawn()
        .unwrap();
    let started = until(
        ready,
        || std::fs::read_to_string(&out).unwrap_or_default(),
        |text| serde_json::from_str::<serde_json::Value>(text).is_ok(),
    );
    let started: serde_json::Value = serde_json::from_str(&started.0).unwrap();
    let address = started["listen"].as_str().unwrap().replace("0.0.0.0", "127.0.0.1");
    let health = Server::client().get(format!("http://{address}/health")).send();
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(i32::try_from(process.id()).unwrap()),
        nix::sys::signal::Signal::SIGTERM,
    )
    .unwrap();
    assert_eq!(process.wait().unwrap().code(), Some(0));
    assert_eq!(health.unwrap().status(), 200);
}

#[test]
fn systemd_unit_is_sound_and_its_command_runs() {
    let text = std::fs::read_to_string(crate_root().join("docs/deploy/torso.service")).unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart=/usr/local/bin/torso "))
        .unwrap();
    serves(words(line), "the unit's command");

    let node = std::fs::read_to_string(crate_root().join("docs/deploy/torso-node.service")).unwrap();
    for (name, text) in [("torso.service", text), ("torso-node.service", node)] {
        verify_unit(name, &text);
    }
}

/// systemd's own judgement of a unit, with this test's program and user.
fn verify_unit(name: &str, text: &str) {
    let world = World::new();
    let unit = text
        .replace("/usr/local/bin/torso", TORSO)
        .replace("User=torso", "User=root");
    let path = world.write(name, unit);
    let verified = Command::new("systemd-analyze")
        .args(["verify", "--man=no", path.to_str().unwrap()])
        .output()
        .expect("systemd-analyze is needed: tests/all.sh installs it");
    let said = String::from_utf8_lossy(&verified.stderr);
    let about: Vec<&str> = said.lines().filter(|line| line.contains(name)).collect();
    assert!(verified.status.success() && about.is_empty(), "{said}");
}

#[test]
fn compose_file_is_sound_and_its_command_runs() {
    let text = std::fs::read_to_string(crate_root().join("docs/deploy/compose.yaml")).unwrap();
    let list = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("command: "))
        .unwrap();
    serves(serde_json::from_str(list).unwrap(), "the compose file's command");
    let dockerfile = std::fs::read_to_string(crate_root().join("docs/deploy/Dockerfile")).unwrap();
    assert!(
        Path::new(&crate_root().join("Cargo.lock")).exists() && dockerfile.contains("cargo build --release --locked")
    );
    assert!(dockerfile.contains(&format!("FROM rust:{}", env!("CARGO_PKG_RUST_VERSION"))));
}

#[test]
fn operator_changes_locations_and_the_log_of_a_running_server() {
    let mut server = Deployment::new();
    let ask = |server: &Deployment, body: serde_json::Value| {
        let answer = server.server().ok("PATCH", "/v1/server/configuration", Some(body));
        answer["configuration"].clone()
    };
    let logs = |server: &Deployment| {
        server.server().ok("GET", "/v1/databases", None);
        server.log().matches("/v1/databases").count()
    };
    let quiet = ask(&server, json!({ "log_level": "warn" }));
    assert_eq!(quiet["log_level"], "warn");
    let before = logs(&server);
    assert_eq!(logs(&server), before, "{}", server.log());
    ask(&server, json!({ "log_level": "info" }));
    until("requests are logged again", || logs(&server), |count| *count > before);

    let offered = ask(&server, json!({ "locations": ["ams", "nrt"] }));
    assert_eq!(offered["locations"], json!(["ams", "nrt"]));
    let listed = server.server().ok("GET", "/v1/locations", None);
    let listed: Vec<&String> = listed["locations"].as_object().unwrap().keys().collect();
    assert_eq!(listed, ["ams", "nrt"]);
    let unknown = json!({ "locations": ["xyz"] });
    let (status, error) = server.server().ask("PATCH", "/v1/server/configuration", Some(unknown));
    assert_eq!((status, &error["code"]), (404, &json!("location_not_found")));
    server.end(nix::sys::signal::Signal::SIGTERM);
    let position = server.args.iter().position(|arg| arg == "--locations").unwrap();
    server.args.drain(position..position + 2);
    server.start();
    let kept = server.server().ok("GET", "/v1/server/configuration", None);
    assert_eq!(kept["configuration"]["locations"], json!(["ams", "nrt"]));
    assert_eq!(kept["configuration"]["log_level"], "info");
}
