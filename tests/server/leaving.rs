//! Who leaves an organization or a server keeps nothing that opens it; and what the operator does with a server that runs.

use crate::support::hrana;
use crate::support::server::Server;
use crate::support::{World, redact};
use serde_json::{Value, json};

/// Makes a user by an invitation: the user's API token.
fn invite(server: &Server, of: &str, name: &str, role: &str) -> String {
    let new = json!({ "email": format!("{name}@example.com"), "role": role });
    let invited = server.ok("POST", &format!("/v1/organizations/{of}/invites"), Some(new));
    let accept = json!({ "invitation": invited["invited"]["link"], "username": name });
    let accepted = server.ok("POST", "/v1/invitations/accept", Some(accept));
    accepted["token"].as_str().unwrap().to_owned()
}

fn ask(server: &Server, token: &str, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
    let url = format!("{}{path}", server.url().trim_end_matches('/'));
    let mut request = Server::client()
        .request(method.parse().unwrap(), url)
        .bearer_auth(token);
    if let Some(body) = body {
        request = request.body(body.to_string());
    }
    let answer = request.send().unwrap();
    (answer.status().as_u16(), answer.json().unwrap())
}

fn mint(server: &Server, token: &str, path: &str) -> (String, String) {
    let (status, minted) = ask(server, token, "POST", path, None);
    assert_eq!(status, 200, "{minted}");
    let text = |key: &str| minted[key].as_str().unwrap().to_owned();
    (text("jwt"), text("id"))
}

fn writes(server: &Server, jwt: &str) -> bool {
    let request = Server::client().post(format!("{}db/app-team/v2/pipeline", server.url()));
    hrana::execute(
        request.bearer_auth(jwt),
        ["create table if not exists t (x)", "insert into t values (1)"],
    )
    .is_ok()
}

/// A server with the organization `team`, its database `app`, and its member `bob`: bob's API token.
fn team(world: &World) -> (Server, String) {
    let server = Server::start(world, &["--owner", "alice", "--locations", "ams"]);
    server.ok("POST", "/v1/organizations", Some(json!({ "name": "team" })));
    server.ok(
        "POST",
        "/v1/organizations/team/databases",
        Some(json!({ "name": "app" })),
    );
    let bob = invite(&server, "team", "bob", "member");
    (server, bob)
}

const APP: &str = "/v1/organizations/team/databases/app/auth/tokens";

#[test]
fn removed_member_loses_the_tokens_that_he_made() {
    let world = World::new();
    let (server, bob) = team(&world);
    let (his, his_id) = mint(&server, &bob, APP);
    let (of_group, of_group_id) = mint(&server, &bob, "/v1/organizations/team/groups/default/auth/tokens");
    let (hers, _) = mint(&server, &server.token, APP);
    let ci = json!({ "organization": "team" });
    let (_, ci) = ask(&server, &bob, "POST", "/v1/auth/api-tokens/ci", Some(ci));
    assert!(writes(&server, &his) && writes(&server, &of_group) && writes(&server, &hers));

    // Lists say who made a token; those who manage members see all API tokens of the organization.
    let listed = server.ok("GET", APP, None);
    let by = |id: &str| {
        let tokens = listed["tokens"].as_array().unwrap();
        tokens.iter().find(|token| token["id"] == id).unwrap()["created_by"].clone()
    };
    assert_eq!((by(&his_id), by(&of_group_id)), (json!("bob"), json!("bob")));
    let owners = |token: &str| -> Vec<Value> {
        let (_, listed) = ask(&server, token, "GET", "/v1/organizations/team/api-tokens", None);
        let tokens = listed["tokens"].as_array().unwrap();
        tokens
            .iter()
            .map(|token| json!([token["name"], token["owner"]["username"]]))
            .collect()
    };
    assert_eq!(owners(&server.token), [json!(["ci", "bob"])]);
    assert_eq!(owners(&bob), [json!(["ci", "bob"])]);
    ask(
        &server,
        &server.token,
        "POST",
        "/v1/auth/api-tokens/own",
        Some(json!({ "organization": "team" })),
    );
    assert_eq!(owners(&bob), [json!(["ci", "bob"])]);
    assert_eq!(owners(&server.token).len(), 2);

    let ended = server.ok("DELETE", "/v1/organizations/team/members/bob", None);
    assert_eq!(
        (&ended["member"], &ended["tokens_ended"]),
        (&json!("bob"), &json!(true))
    );
    let mut named: Vec<Value> = ended["tokens"]
        .as_array()
        .unwrap()
        .iter()
        .map(|token| json!([token["kind"], token["id"]]))
        .collect();
    named.sort_by_key(Value::to_string);
    assert_eq!(
        named,
        [
            json!(["api", ci["id"]]),
            json!(["database", his_id]),
            json!(["group", of_group_id])
        ]
    );
    assert!(!writes(&server, &his) && !writes(&server, &of_group) && writes(&server, &hers));
    assert_eq!(
        ask(&server, ci["token"].as_str().unwrap(), "GET", "/v1/auth/validate", None).0,
        401
    );
    assert_eq!(ask(&server, &bob, "GET", APP, None).0, 404);
    // He is still a user, of his own.
    assert_eq!(ask(&server, &bob, "GET", "/v1/databases", None).0, 200);
}

#[test]
fn member_who_leaves_loses_tokens_also_after_a_restart() {
    let world = World::new();
    let (server, bob) = team(&world);
    let (his, his_id) = mint(&server, &bob, APP);
    let (status, ended) = ask(&server, &bob, "DELETE", "/v1/organizations/team/members/bob", None);
    assert_eq!((status, &ended["tokens"][0]["id"]), (200, &json!(his_id)));
    assert!(!writes(&server, &his));
    server.end(nix::sys::signal::Signal::SIGTERM);
    let server = Server::start(&world, &[]);
    server_is_ready(&server);
    assert!(!writes(&server, &his));
}

fn server_is_ready(server: &Server) {
    crate::support::until("the server is ready", || {
        Server::client()
            .get(format!("{}ready", server.url()))
            .send()
            .is_ok_and(|answer| answer.status() == 200)
    });
}

#[test]
fn tokens_of_a_removed_member_are_kept_on_request() {
    let world = World::new();
    let (server, bob) = team(&world);
    let (his, his_id) = mint(&server, &bob, APP);
    let ended = server.ok("DELETE", "/v1/organizations/team/members/bob?keep_tokens=true", None);
    assert_eq!(ended["tokens_ended"], false);
    assert_eq!(
        ended["tokens"],
        json!([{ "kind": "database", "id": his_id, "name": null, "organization": "team" }])
    );
    assert!(writes(&server, &his));
    // Another member's tokens are none of his, also with the command.
    let eve = invite(&server, "team", "eve", "member");
    let (hers, hers_id) = mint(&server, &eve, APP);
    let context = ["context", "add", "prod", "--url", server.url(), "--token-stdin"];
    world.torso_with_input(context, &server.token).success();
    world.ok(["context", "use", "prod"]);
    let tokens = world.ok(["--org", "team", "db", "tokens", "list", "app"]);
    assert!(tokens.contains("BY") && tokens.contains("eve"), "{tokens}");
    let said = world.ok(["--org", "team", "org", "members", "remove", "eve", "--yes"]);
    insta::assert_snapshot!(said.replace(&hers_id, "[id]"), @"Removed eve from organization team. Ended, of eve: database token [id].");
    assert!(!writes(&server, &hers) && writes(&server, &his));
}

#[test]
fn operator_lists_disables_and_removes_users() {
    let world = World::new();
    let (server, bob) = team(&world);
    let (his, _) = mint(&server, &bob, APP);
    let eve = invite(&server, "team", "eve", "admin");
    let context = ["context", "add", "prod", "--url", server.url(), "--token-stdin"];
    world.torso_with_input(context, &server.token).success();
    world.ok(["context", "use", "prod"]);
    let users = world.json(["server", "users", "list"]);
    let names: Vec<&str> = users
        .as_array()
        .unwrap()
        .iter()
        .map(|user| user["username"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["alice", "bob", "eve"]);
    assert_eq!(
        (&users[0]["operator"], &users[1]["operator"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(users[1]["organizations"], json!(["bob", "team"]));
    // Also those that the operator is no member of.
    let organizations = world.json(["server", "orgs", "list"]);
    let of = |slug: &str| {
        organizations
            .as_array()
            .unwrap()
            .iter()
            .find(|one| one["slug"] == slug)
            .unwrap()
            .clone()
    };
    assert_eq!(
        (&of("bob")["owners"], &of("bob")["type"]),
        (&json!(["bob"]), &json!("personal"))
    );
    assert_eq!(of("bob")["members"], 1);
    assert!(of("team")["members"].as_u64().unwrap() > 1, "{organizations}");

    // Nobody else may, whatever the role.
    for (method, path, body) in [
        ("GET", "/v1/server/users", None),
        ("POST", "/v1/server/users/bob/disable", None),
        ("DELETE", "/v1/server/users/bob", None),
        ("GET", "/v1/server/organizations", None),
        ("GET", "/v1/server/quotas", None),
        (
            "PUT",
            "/v1/server/quotas",
            Some(json!({ "name": "databases", "value": 1 })),
        ),
        ("GET", "/v1/server/configuration", None),
        (
            "PATCH",
            "/v1/server/configuration",
            Some(json!({ "log_level": "debug" })),
        ),
        ("GET", "/v1/server/backup-schedules", None),
        (
            "PUT",
            "/v1/server/backup-schedules",
            Some(json!({ "every_seconds": 60 })),
        ),
        (
            "DELETE",
            "/v1/server/backup-schedules?organization=eve&group=default",
            None,
        ),
    ] {
        let (status, told) = ask(&server, &eve, method, path, body);
        assert_eq!((status, &told["code"]), (403, &json!("forbidden")), "{method} {path}");
    }
    let disabled = world.json(["server", "users", "disable", "bob", "--yes"]);
    assert_eq!(disabled["tokens"].as_array().unwrap().len(), 2, "{disabled}");
    assert_eq!(ask(&server, &bob, "GET", "/v1/databases", None).0, 401);
    assert!(!writes(&server, &his));
    assert_eq!(world.json(["server", "users", "list"])[1]["api_tokens"], 0);

    // What somebody still has is not removed by the way.
    ask(&server, &eve, "POST", "/v1/databases", Some(json!({ "name": "own" })));
    let kept = world
        .torso(["--json", "server", "users", "remove", "eve", "--yes"])
        .fails(5, "conflict");
    insta::assert_snapshot!(redact::report(&world, &kept), @r#"
    $ torso --json server users remove eve --yes
    -- stderr --
    {"error":{"code":"conflict","message":"the personal organization of eve still has databases: 1","hint":"torso server users disable eve ends the access and keeps them","retryable":false}}
    -- exit 5 --
    "#);
    ask(&server, &eve, "DELETE", "/v1/databases/own", None);
    world.ok(["server", "users", "remove", "eve", "--yes"]);
    assert_eq!(ask(&server, &eve, "GET", "/v1/databases", None).0, 401);
    world
        .torso(["--json", "server", "users", "remove", "eve", "--yes"])
        .fails(3, "user_not_found");
    world.ok(["server", "users", "remove", "eve", "--yes", "--if-exists"]);
    world
        .torso(["--json", "server", "users", "remove", "alice", "--yes"])
        .fails(5, "conflict");
    // The name is free again, with nothing of what it had.
    let again = invite(&server, "team", "eve", "viewer");
    assert_eq!(
        ask(&server, &again, "GET", "/v1/databases", None).1["databases"],
        json!([])
    );
    let codes = server.ok("GET", "/v1/audit-logs", None).to_string();
    assert!(
        codes.contains("user-disable") && codes.contains("user-delete"),
        "{codes}"
    );
}

#[test]
fn operator_sets_quotas_of_a_server_that_runs() {
    let world = World::new();
    let (server, bob) = team(&world);
    let (his, _) = mint(&server, &bob, APP);
    let context = ["context", "add", "prod", "--url", server.url(), "--token-stdin"];
    world.torso_with_input(context, &server.token).success();
    world.ok(["context", "use", "prod"]);
    assert_eq!(world.json(["server", "quotas", "list"]), json!([]));
    world.ok(["server", "quotas", "set", "databases=9", "team/databases=1"]);
    let second = json!({ "name": "second" });
    let (status, told) = ask(
        &server,
        &bob,
        "POST",
        "/v1/organizations/team/databases",
        Some(second.clone()),
    );
    assert_eq!((status, &told["code"]), (409, &json!("quota_exceeded")));
    world.ok(["server", "quotas", "set", "team/databases=2"]);
    assert_eq!(
        ask(&server, &bob, "POST", "/v1/organizations/team/databases", Some(second)).0,
        200
    );
    assert_eq!(
        world.json(["server", "quotas", "list"]),
        json!([
            { "organization": null, "name": "databases", "value": 9 },
            { "organization": "team", "name": "databases", "value": 2 },
        ])
    );
    // Storage is held against it at once.
    assert!(writes(&server, &his));
    world.ok(["server", "quotas", "set", "team/storage=1kb"]);
    assert!(!writes(&server, &his));
    world.ok(["server", "quotas", "set", "team/storage=1gb"]);
    assert!(writes(&server, &his));
    world
        .torso(["--json", "server", "quotas", "set", "nothing=1"])
        .fails(3, "setting_not_found");
    world
        .torso(["--json", "server", "quotas", "set", "nobody/databases=1"])
        .fails(3, "organization_not_found");
}

#[test]
fn invitation_says_how_to_accept_it_and_a_used_one_shows_no_form() {
    let world = World::new();
    let server = Server::start(&world, &["--owner", "alice", "--locations", "ams"]);
    let context = ["context", "add", "prod", "--url", server.url(), "--token-stdin"];
    world.torso_with_input(context, &server.token).success();
    world.ok(["context", "use", "prod"]);
    world.ok(["org", "create", "team"]);
    let said = world.ok(["--org", "team", "org", "invites", "create", "eve@example.com"]);
    let link = said.lines().find(|line| line.starts_with("http")).unwrap();
    // What it says to type is what a stranger can type.
    let typed = |said: &str, prefix: &str| {
        let line = said.lines().map(str::trim).find(|line| line.starts_with(prefix));
        let line = line.unwrap_or_else(|| panic!("{prefix} in {said}"));
        line.replace("NAME", "friends").replace("USER", "eve").replace('\'', "")
    };
    let (add, accept) = (typed(&said, "torso context add"), typed(&said, "torso auth accept"));
    let stranger = World::new();
    let words = |line: &str| line.split(' ').skip(1).map(str::to_owned).collect::<Vec<_>>();
    let unknown = stranger.torso(["auth", "accept", "--username", "eve", link, "--json"]);
    let hint = unknown.error()["hint"].as_str().unwrap().to_owned();
    let server_url = server.url().trim_end_matches('/');
    assert!(
        hint.contains(&format!("torso context add NAME --url {server_url}")),
        "{hint}"
    );
    let page = |link: &str| {
        let answer = Server::client().get(link).header("accept", "text/html").send().unwrap();
        assert_eq!(answer.status(), 200);
        answer.text().unwrap()
    };
    let open = page(link);
    assert!(
        open.contains("<form") && open.contains("torso auth accept --context NAME --username USER"),
        "{open}"
    );
    stranger.ok(words(&add));
    stranger.ok(words(&accept));
    assert_eq!(stranger.ok(["--context", "friends", "auth", "whoami"]), "eve\n");
    for link in [link, &format!("{}signup?invite=%3Cb%3E", server.url())] {
        let closed = page(link);
        assert!(!closed.contains("<form") && closed.contains("was used"), "{closed}");
    }
}

#[test]
fn cors_lets_browsers_read_the_request_id() {
    let world = World::new();
    let (server, _) = team(&world);
    for (path, status) in [
        ("db/app-team/version", 200),
        ("db/app-team/v2/pipeline", 405),
        ("db/nobody/version", 200),
    ] {
        let answer = Server::client().get(format!("{}{path}", server.url())).send().unwrap();
        assert_eq!(answer.status(), status, "{path}");
        let exposed = answer.headers()["access-control-expose-headers"].to_str().unwrap();
        assert!(
            exposed.contains("x-request-id") && answer.headers().contains_key("x-request-id"),
            "{path}"
        );
    }
}

#[test]
fn metrics_name_databases_for_the_operator_only() {
    let world = World::new();
    let (server, bob) = team(&world);
    let app = "/v1/organizations/team/databases/app";
    let id = server.ok("GET", app, None)["database"]["DbId"].clone();
    let id = id.as_str().unwrap();
    // Through a proxy, as from another machine.
    let metrics = |token: &str| {
        let request = Server::client().get(format!("{}metrics", server.url()));
        let answer = request.bearer_auth(token).header("x-forwarded-for", "203.0.113.9");
        let answer = answer.send().unwrap();
        (answer.status().as_u16(), answer.text().unwrap())
    };
    let named = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| line.starts_with("torso_database_info{"));
        lines.map(str::to_owned).collect()
    };
    let info = |name: &str| {
        format!(r#"torso_database_info{{database="{id}",name="{name}",organization="team",group="default"}} 1"#)
    };
    let (_, of_operator) = metrics(&server.token);
    assert_eq!(named(&of_operator), [info("app")]);
    assert!(
        of_operator.contains(r#",organization="team",group="default"} 1"#),
        "{of_operator}"
    );
    let pool = of_operator
        .lines()
        .find_map(|line| line.strip_prefix(r#"torso_pool_info{pool=""#));
    let pool = pool.unwrap().split('"').next().unwrap();
    let up = format!(r#"torso_process_up{{location="ams",role="primary",pool="{pool}"}} 1"#);
    assert!(of_operator.lines().any(|line| line == up), "{of_operator}");

    let (status, of_user) = metrics(&bob);
    assert_eq!(status, 200);
    assert!(
        of_user.contains(&format!(r#"torso_database_bytes{{database="{id}""#)),
        "{of_user}"
    );
    assert!(
        !of_user.contains("_info{database") && !of_user.contains("torso_pool_info"),
        "{of_user}"
    );
    assert_eq!(metrics("nobody").0, 401);

    server.ok("POST", &format!("{app}/rename"), Some(json!({ "name": "shop" })));
    let here = server.request("GET", "/metrics").send().unwrap().text().unwrap();
    assert_eq!(named(&here), [info("shop")]);
    server.ok("DELETE", "/v1/organizations/team/databases/shop", None);
    let here = server.request("GET", "/metrics").send().unwrap().text().unwrap();
    assert_eq!(named(&here), [] as [String; 0]);
}
