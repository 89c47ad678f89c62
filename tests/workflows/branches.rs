//! Branches and databases that end: `db branch`, `--expires-in`, `db list --expired` and `gc`.

use crate::support::World;
use crate::support::server::Server;
use crate::support::stub::{Answer, Stub};
use serde_json::{Value, json};

/// A world whose databases are files, and one whose databases are on a server, each with `app`.
fn planes() -> Vec<(World, Option<Server>)> {
    let mut served = World::new();
    let server = Server::start(&served, &["--owner", "alice", "--locations", "ams,lhr"]);
    served.set("TORSO_API_URL", server.url());
    served.set("TORSO_TOKEN", &server.token);
    served.set("TORSO_DATA_DIR", served.path("data-of-user"));
    let worlds = vec![(World::new(), None), (served, Some(server))];
    for (world, _) in &worlds {
        world.ok(["db", "create", "app", "--location", "ams"]);
        world.ok(["db", "shell", "app", "create table t (x); insert into t values (1)"]);
    }
    worlds
}

fn names(value: &Value) -> Vec<&str> {
    let all = value.as_array().unwrap().iter();
    all.map(|one| one["Name"].as_str().or(one["name"].as_str()).unwrap())
        .collect()
}

#[test]
fn branch_that_is_reset_keeps_its_url_and_takes_its_source_s_content() {
    for (world, server) in planes() {
        let made = world.json(["db", "branch", "app", "test", "--expires-in", "3d"]);
        assert_eq!(made["created"], true, "{made}");
        let token = server
            .as_ref()
            .map(|_| world.ok(["db", "tokens", "create", "test"]).trim().to_owned());
        world.ok(["db", "shell", "test", "delete from t; create table mine (y)"]);
        world.ok(["db", "shell", "app", "insert into t values (2)"]);

        let refused = world.torso(["db", "branch", "app", "test", "--json"]);
        refused.fails(5, "database_exists");
        let kept = world.json(["db", "branch", "app", "test", "--if-not-exists"]);
        assert_eq!((&kept["created"], &kept["DbId"]), (&json!(false), &made["DbId"]));
        world
            .torso(["db", "branch", "app", "test", "--reset", "--json"])
            .fails(6, "unconfirmed");
        assert_eq!(world.query("test", "select count(*) from t"), "0");

        let reset = world.json(["db", "branch", "app", "test", "--reset", "--yes", "--expires-in", "9d"]);
        assert_eq!((&reset["created"], &reset["reset"]), (&json!(false), &json!(true)));
        for key in ["DbId", "url", "Name"] {
            assert_eq!(reset[key], made[key], "{key}");
        }
        assert!(reset["expires_at"].as_str() > made["expires_at"].as_str(), "{reset}");
        let branched_at = |answer: &Value| answer["parent"]["branched_at"].as_str().unwrap().to_owned();
        assert!(branched_at(&reset) > branched_at(&made), "{reset}");
        assert_eq!(branched_at(&world.json(["db", "show", "test"])), branched_at(&reset));
        assert_eq!(world.query("test", "select sum(x) from t"), "3");
        world.torso(["db", "diff", "app", "test"]).success();
        if let Some(token) = token {
            let mut command =
                world.torso_command(["db", "shell", made["url"].as_str().unwrap(), "select sum(x) from t"]);
            command.env("TORSO_DATABASE_TOKEN", token);
            assert_eq!(crate::support::Run::of(command).success().stdout, "3\n");
        }
        // One that is not there is made, so that a script has one line for both.
        let again = world.json(["db", "branch", "app", "new", "--reset"]);
        assert_eq!(again["created"], true, "{again}");
        // A database that is no branch of the source keeps its content.
        world.ok(["db", "create", "precious"]);
        world
            .torso(["db", "branch", "app", "precious", "--reset", "--yes", "--json"])
            .fails(5, "conflict");
        world.ok(["db", "config", "set", "test", "delete-protection", "on"]);
        world
            .torso(["db", "branch", "app", "test", "--reset", "--yes", "--json"])
            .fails(5, "delete_protected");
    }
}

#[test]
fn gc_destroys_what_has_expired_and_nothing_else() {
    for (world, _server) in planes() {
        world.ok(["db", "create", "late", "--expires-in", "1w"]);
        for name in ["old", "kept", "renewed"] {
            world.ok(["db", "branch", "app", name, "--expires-in", "1ms"]);
        }
        world.ok(["db", "config", "set", "kept", "delete-protection", "on"]);
        world.ok(["db", "config", "set", "renewed", "expires-in", "3d"]);
        assert!(world.json(["db", "show", "late"])["expires_at"].is_string());
        assert_eq!(names(&world.json(["db", "list", "--expired"])), ["kept", "old"]);
        let everything = ["app", "kept", "late", "old", "renewed"];
        let refused = world.torso(["gc", "--json"]).fails(6, "unconfirmed");
        assert_eq!(
            refused.error()["message"],
            "cannot destroy expired database old without confirmation: this is not a terminal"
        );
        let plan = world.json(["gc", "--dry-run"]);
        assert_eq!(
            plan["steps"],
            json!([
                "keep database kept: it is protected from deletion",
                "destroy database old"
            ])
        );
        assert_eq!(names(&world.json(["db", "list"])), everything);

        let done = world.json(["gc", "--yes"]);
        assert_eq!(names(&done), ["kept", "old"], "{done}");
        assert_eq!(done[0]["error"]["code"], "delete_protected");
        assert_eq!(done[1]["destroyed"], true);
        assert_eq!(names(&world.json(["db", "list"])), ["app", "kept", "late", "renewed"]);

        world.ok(["db", "config", "set", "kept", "delete-protection", "off"]);
        world.ok(["db", "config", "set", "late", "expires-in", "never"]);
        assert!(world.json(["db", "show", "late"]).get("expires_at").is_none());
        assert_eq!(world.ok(["gc", "--yes", "--output", "name"]), "kept\n");
        assert_eq!(world.json(["gc"]), json!([]));
        world
            .torso(["db", "create", "x", "--expires-in", "0s", "--json"])
            .fails(1, "invalid_value");
        let negative = world.torso(["db", "create", "x", "--expires-in", "-1d", "--json"]);
        let message = negative.error()["message"].to_string();
        assert!(message.contains("it begins with -"), "{message}");
        negative.fails(1, "invalid_value");
        world
            .torso(["db", "create", "x", "--expires-in", "soon", "--json"])
            .fails(1, "invalid_value");
        world
            .torso(["db", "create", "x", "--expires-in", "9999999w", "--json"])
            .fails(1, "invalid_value");
    }
}

#[test]
fn branch_from_git_of_an_empty_variable_is_an_error() {
    let world = World::with_app("create table t (x)");
    let refused = world.torso(["db", "branch", "app", "--from-git=", "--reset", "--yes", "--json"]);
    refused.fails(2, "usage");
    assert_eq!(world.databases(), ["app"]);
}

#[test]
fn gc_tells_what_a_killed_run_left_before_it_destroys_it() {
    let world = World::with_app("create table t (x)");
    let mut run = world
        .torso_command(["run", "--", "sh", "-c", "echo started > started; sleep 60"])
        .spawn()
        .unwrap();
    crate::support::until("the run has started", || world.work().join("started").exists());
    run.kill().unwrap();
    run.wait().unwrap();
    let plan = world.json(["gc", "--dry-run"]);
    let step = plan["steps"][0].as_str().unwrap();
    assert!(step.contains("which a torso run left"), "{plan}");
    assert_eq!(world.json(["gc", "--dry-run"]), plan);
    let done = world.json(["gc", "--yes"]);
    assert!(names(&done)[0].starts_with("run-"), "{done}");
    assert_eq!(world.databases(), ["app"]);
}

#[test]
fn branch_from_git_is_named_by_the_branch_that_is_checked_out() {
    let world = World::with_app("create table t (x)");
    let refused = world.torso(["db", "branch", "app", "--from-git", "--json"]);
    assert_eq!(
        refused.fails(3, "file_not_found").error()["hint"]
            .as_str()
            .map(|hint| hint.contains("--from-git=")),
        Some(true)
    );
    let git = |args: &[&str]| {
        let mut command = world.command("git");
        command
            .args(["-c", "user.name=a", "-c", "user.email=a@example.com"])
            .args(args);
        crate::support::Run::of(command).success();
    };
    git(&["init", "-q", "-b", "main"]);
    git(&["commit", "-q", "--allow-empty", "-m", "first"]);
    let name = |args: &[&str]| {
        let all = [&["db", "branch", "app", "--output", "name"], args].concat();
        world.ok(all).trim().to_owned()
    };
    assert_eq!(name(&["--from-git"]), "app-main");
    git(&["checkout", "-q", "-b", "Feature/Login"]);
    let derived = name(&["--from-git", "--expires-in", "3d"]);
    assert!(derived.starts_with("app-feature-login-"), "{derived}");
    assert_eq!(name(&["--from-git", "--reset", "--yes"]), derived);
    assert_eq!(name(&["--from-git=Feature/Login", "--if-not-exists"]), derived);
    git(&["checkout", "-q", "--detach"]);
    world
        .torso(["db", "branch", "app", "--from-git", "--json"])
        .fails(1, "invalid_value");
    // A database of that name which is something else is neither used nor changed.
    world.ok(["db", "create", "app-other"]);
    world
        .torso(["db", "branch", "app", "--from-git=other", "--if-not-exists", "--json"])
        .fails(5, "conflict");
}

#[test]
fn expiry_on_a_server_that_cannot_store_it_is_refused_and_nothing_is_made() {
    let stub = Stub::start(|request| match request.line().as_str() {
        line if line.starts_with("GET ") => crate::client::stand_in::answer(request),
        "POST /v1/databases/expiring" => Answer::Json(404, json!({ "error": "not found" })),
        line => panic!("{line} was asked"),
    });
    let world = crate::client::world(&stub);
    let refused = world.torso([
        "db",
        "create",
        "new",
        "--location",
        "ams",
        "--expires-in",
        "3d",
        "--json",
    ]);
    let error = refused.fails(1, "unsupported").error();
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("keep when a database expires"),
        "{error}"
    );
}

#[test]
fn branch_and_copy_replace_no_content_whose_writes_are_blocked() {
    let world = World::with_app("create table t(a); insert into t values (1)");
    world.ok(["db", "branch", "app", "twig"]);
    world.ok(["db", "shell", "twig", "insert into t values (2)"]);
    world.ok(["db", "config", "set", "twig", "block-writes", "on"]);
    for line in [
        &["db", "branch", "app", "twig", "--reset", "--yes", "--json"][..],
        &["db", "copy", "app", "twig", "--overwrite", "--yes", "--json"],
    ] {
        let run = world.torso(line).fails(5, "blocked");
        assert_eq!(run.error()["hint"], "torso db config set twig block-writes off");
        assert_eq!(world.query("twig", "select count(*) from t"), "2");
    }
    world.ok(["db", "config", "set", "twig", "block-writes", "off"]);
    world.ok(["db", "copy", "app", "twig", "--overwrite", "--yes"]);
    assert_eq!(world.query("twig", "select count(*) from t"), "1");
}
