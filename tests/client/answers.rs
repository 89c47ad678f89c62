//! The JSON contract of commands that need a server, and what they ask of it.

use super::{stand_in, world};
use crate::support::stub::{Answer, Stub};
use crate::support::{World, golden, in_parallel};
use std::time::{Duration, Instant};

/// What each is called, and the command line.
pub const ANSWERS: &[(&str, &str)] = &[
    ("auth-login", "auth login --token-file token"),
    ("auth-whoami", "auth whoami"),
    ("auth-status", "auth status"),
    ("auth-token", "auth token"),
    ("auth-api-tokens-list", "auth api-tokens list"),
    (
        "auth-api-tokens-mint",
        "auth api-tokens mint ci --expiration 90d --read-only --org team",
    ),
    ("auth-api-tokens-revoke", "auth api-tokens revoke ci --yes"),
    ("org-list", "org list"),
    ("org-show", "org show team"),
    ("org-create", "org create team"),
    ("org-switch", "org switch team"),
    ("org-members-list", "org members list"),
    ("org-members-add", "org members add bob --role viewer"),
    ("org-members-role", "org members role bob admin"),
    ("org-members-remove", "org members remove bob --yes"),
    ("org-invites-list", "org invites list"),
    ("org-invites-create", "org invites create eve@example.com"),
    ("org-invites-remove", "org invites remove eve@example.com"),
    ("org-audit-logs-list", "org audit-logs list"),
    ("server-users-list", "server users list"),
    ("server-users-disable", "server users disable bob --yes"),
    ("server-users-remove", "server users remove bob --yes"),
    ("server-orgs-list", "server orgs list"),
    ("server-quotas-list", "server quotas list"),
    ("server-quotas-set", "server quotas set databases=50"),
    ("server-config-show", "server config show"),
    ("server-config-set", "server config set log-level debug"),
    ("server-schedules-list", "server schedules list"),
    ("server-schedules-set", "server schedules set team/default --every 1h"),
    ("server-schedules-remove", "server schedules remove team/default"),
    ("org-db-transfer", "org db-transfer app team --yes"),
    ("group-transfer", "group transfer default team --yes"),
    ("org-destroy", "org destroy team --yes"),
    ("api", "api GET /v1/user"),
    (
        "db-tokens-create",
        "db tokens create app --expiration 7d --read-only --label web",
    ),
    ("db-tokens-list", "db tokens list app"),
    ("db-tokens-revoke", "db tokens revoke app t1 --yes"),
    ("db-tokens-invalidate", "db tokens invalidate app --grace 10m --yes"),
    ("db-usage", "db usage app"),
    ("db-usage-queries", "db usage app --queries"),
    ("db-list-server", "db list"),
    ("db-show-server", "db show app"),
    ("db-replicas-server", "db replicas app"),
    ("group-tokens-create", "group tokens create default"),
    ("group-tokens-list", "group tokens list default"),
    ("group-tokens-revoke", "group tokens revoke default t1 --yes"),
    ("group-tokens-invalidate", "group tokens invalidate default --yes"),
    ("auth-logout", "auth logout"),
];

#[test]
fn json_answers_of_a_server_are_as_recorded() {
    let stub = stand_in::start();
    let world = world(&stub);
    for (name, line) in ANSWERS {
        let mut answer = world.json(line.split(' '));
        hide_port(&stub.url(), &mut answer);
        golden::check(&world, name, answer);
    }
}

/// The server's port differs from run to run.
fn hide_port(url: &str, value: &mut serde_json::Value) {
    let text = value.to_string().replace(url, "http://[server]");
    *value = serde_json::from_str(&text).unwrap();
}

/// Those that ask no server.
const OF_THIS_MACHINE: [&str; 2] = ["auth-token", "auth-logout"];

#[test]
fn timeout_ends_every_command_whose_server_is_silent() {
    let stub = Stub::start(|_| Answer::Silence(Duration::from_secs(60)));
    in_parallel(ANSWERS, |(name, line)| {
        let world = world(&stub);
        let begun = Instant::now();
        let run = world.torso(line.split(' ').chain(["--json", "--no-input", "--timeout", "500ms"]));
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "{name}: {:?}",
            begun.elapsed()
        );
        if OF_THIS_MACHINE.contains(name) {
            run.success();
        } else {
            run.fails(7, "timeout");
        }
    });
}

#[test]
fn requests_are_those_of_the_platform_api() {
    let stub = stand_in::start();
    let world = world(&stub);
    let last = || stub.requests().pop().unwrap();
    world.ok([
        "db",
        "tokens",
        "create",
        "app",
        "-e",
        "1w2d30m",
        "--read-only",
        "--attach",
        "other",
    ]);
    assert_eq!(
        last().path,
        "/v1/databases/app/auth/tokens?expiration=1w2d30m&authorization=read-only"
    );
    assert_eq!(
        last().json(),
        serde_json::json!({ "permissions": { "read_attach": { "databases": ["other"] } } })
    );
    world.ok(["db", "tokens", "invalidate", "app", "--yes", "--org", "team"]);
    assert_eq!(last().path, "/v1/organizations/team/databases/app/auth/rotate");
    world.ok(["group", "tokens", "invalidate", "default", "--yes", "--grace", "10m"]);
    assert_eq!(last().path, "/v1/groups/default/auth/rotate?grace=600s");
    world.ok(["api", "GET", "/v1/databases", "-f", "group=a b&c"]);
    assert_eq!(last().path, "/v1/databases?group=a+b%26c");
    let refused = world.torso(["api", "PATCH", "/v1/nothing", "-F", "on=true", "-f", "text=5", "--json"]);
    refused.fails(3, "path_not_found");
    assert_eq!(last().json(), serde_json::json!({ "text": "5", "on": true }));
    let agent = last().header("user-agent").unwrap().to_owned();
    assert!(agent.starts_with("torso/"), "{agent}");
}

#[test]
fn environment_variables_name_a_server_and_an_organization() {
    let stub = stand_in::start();
    let mut world = World::new();
    world.set("TURSO_API_BASEURL", stub.url());
    world.torso(["db", "list", "--json"]).fails(4, "unauthenticated");
    world.set("TURSO_API_TOKEN", super::TOKEN);
    assert_eq!(world.databases(), ["app"]);
    world.set("TORSO_ORG", "team");
    assert_eq!(world.databases(), ["app"]);
    assert!(
        stub.requests()
            .pop()
            .unwrap()
            .path
            .starts_with("/v1/organizations/team/databases")
    );
    // A flag goes before the environment, and this machine has no databases yet.
    assert_eq!(world.json(["db", "list", "--context", "local"]), serde_json::json!([]));
    // Nothing can be kept for a server that has no name.
    world
        .torso_with_input(["auth", "login", "--token-stdin", "--json"], super::TOKEN)
        .fails(5, "conflict");
    world.torso(["org", "switch", "team", "--json"]).fails(5, "conflict");
}

#[test]
fn local_command_asks_no_server() {
    let stub = stand_in::start();
    let world = world(&stub);
    world.ok(["context", "list"]);
    world.ok(["config", "show"]);
    world.ok(["db", "list", "--context", "local"]);
    world.ok(["auth", "status", "--context", "local"]);
    world
        .torso(["auth", "whoami", "--context", "local", "--json"])
        .fails(1, "unsupported");
    assert_eq!(stub.lines(), Vec::<String>::new());
}

#[test]
fn context_add_checks_the_token() {
    let stub = stand_in::start();
    let world = World::new();
    let add = |token: &str, more: &[&str]| {
        let url = stub.url();
        let mut args = vec!["context", "add", "there", "--url", &url, "--token-stdin", "--json"];
        args.extend(more);
        world.torso_with_input(args, token)
    };
    add("wrong", &[]).fails(4, "unauthenticated");
    assert_eq!(world.json(["context", "list"]).as_array().unwrap().len(), 1);
    add("two words", &[]).fails(1, "invalid_value");
    add("", &[]).fails(1, "invalid_value");
    add(super::TOKEN, &["--org", "team"]).success();
    assert_eq!(world.json(["context", "show", "there"])["organization"], "team");
    add(super::TOKEN, &[]).fails(5, "context_exists");
}

#[test]
fn completion_offers_the_names_of_a_server_that_are_typed() {
    let stub = stand_in::start();
    let world = world(&stub);
    let offered = |typed: &str| {
        let mut command = world.torso_command(["--", "torso", "db", "show", typed]);
        command.env("TORSO_COMPLETE", "fish");
        let run = crate::support::Run::of(command).success();
        let names = run
            .stdout
            .lines()
            .map(|line| line.split('\t').next().unwrap().to_owned());
        names.filter(|name| !name.starts_with('-')).collect::<Vec<_>>()
    };
    assert_eq!(offered(""), ["app"]);
    assert_eq!(offered("ap"), ["app"]);
    assert_eq!(offered("b"), Vec::<String>::new());
    assert_eq!(offered("./ap"), Vec::<String>::new());
}

#[test]
fn completion_does_not_wait_for_a_slow_server() {
    let stub = crate::support::stub::Stub::start(|_| {
        crate::support::stub::Answer::Silence(std::time::Duration::from_secs(10))
    });
    let world = world(&stub);
    let started = std::time::Instant::now();
    let mut command = world.torso_command(["--", "torso", "db", "show", ""]);
    command.env("TORSO_COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", "3");
    crate::support::Run::of(command);
    let took = started.elapsed();
    assert!(took < std::time::Duration::from_millis(900), "{took:?}");
    assert_eq!(stub.lines(), ["GET /v1/databases"]);
}
