//! What variables of the environment change, and that commands tell the truth about it.

use crate::support::{World, redact};

/// A world with a context `prod`, of a server that nobody asks.
fn world() -> World {
    let world = World::new();
    world.ok(["context", "add", "prod", "--url", "https://prod.example.invalid"]);
    world
}

#[test]
fn context_commands_with_a_server_in_the_environment_name_it() {
    let mut world = world();
    assert_eq!(world.json(["context", "show"])["name"], "local");
    world.set("TORSO_API_URL", "https://other.example.invalid/base\n");
    let shown = world.json(["context", "show"]);
    assert_eq!(
        (&shown["name"], &shown["kind"], &shown["current"], &shown["variable"]),
        (
            &serde_json::Value::Null,
            &"server".into(),
            &true.into(),
            &"TORSO_API_URL".into()
        )
    );
    assert_eq!(shown["url"], "https://other.example.invalid/base");
    let all = world.json(["context", "list"]);
    let current: Vec<_> = all
        .as_array()
        .unwrap()
        .iter()
        .filter(|context| context["current"] == true)
        .collect();
    assert_eq!(current.len(), 1);
    assert_eq!(current[0]["url"], shown["url"]);
    insta::assert_snapshot!(world.ok(["context", "list"]), @"
    NAME                     KIND      URL                                 TOKEN
    local                    embedded  -                                   no
    prod                     server    https://prod.example.invalid/       no
    TORSO_API_URL (current)  server    https://other.example.invalid/base  no
    ");
    assert_eq!(world.ok(["context", "list", "--output", "name"]), "local\nprod\n");
    let config = world.json(["config", "show", "--origin"]);
    assert_eq!(config["context"]["value"], serde_json::Value::Null);
    assert_eq!(config["server"]["value"], shown["url"]);
    assert_eq!(config["server"]["source"], "environment TORSO_API_URL");
    // The setting is made, and what it does not change is said.
    let run = world.torso(["context", "use", "prod"]);
    insta::assert_snapshot!(redact::report(&world, &run), @"
    $ torso context use prod
    The settings now say context prod, but the TORSO_API_URL variable names a server, which takes precedence here.
    -- stderr --
    -- exit 0 --
    ");
    assert_eq!(world.json(["context", "use", "prod"])["current"], false);
    // A flag wins over all.
    assert_eq!(world.json(["--context", "local", "context", "show"])["name"], "local");
    world.unset("TORSO_API_URL");
    assert_eq!(world.json(["context", "show"])["name"], "prod");
    assert_eq!(
        world.json(["config", "show"])["server"],
        "https://prod.example.invalid/"
    );
}

#[test]
fn context_use_says_which_context_commands_work_in_now() {
    let mut world = world();
    // The first time nothing was set before; the next times another context was.
    for name in ["prod", "local", "prod", "prod"] {
        assert_eq!(
            world.ok(["context", "use", name]),
            format!("Commands now work in context {name}.\n")
        );
        assert_eq!(world.json(["context", "show"])["name"], name);
        assert_eq!(world.json(["context", "use", name])["current"], true);
    }
    world.write(".torso.toml", "context = \"prod\"\n");
    let run = world.torso(["context", "use", "local"]);
    insta::assert_snapshot!(redact::report(&world, &run), @"
    $ torso context use local
    The settings now say context local, but the project file [world]/work/.torso.toml says prod, which takes precedence here.
    -- stderr --
    -- exit 0 --
    ");
    world.set("TORSO_CONTEXT", "prod");
    let run = world.torso(["context", "use", "local"]);
    insta::assert_snapshot!(redact::report(&world, &run), @"
    $ torso context use local
    The settings now say context local, but the environment TORSO_CONTEXT says prod, which takes precedence here.
    -- stderr --
    -- exit 0 --
    ");
}

#[test]
fn context_that_loses_to_a_server_in_the_environment_is_named() {
    let mut world = world();
    world.set("TORSO_API_URL", "http://127.0.0.1:9");
    let report = |world: &World, args: &[&str]| redact::report(world, &world.torso(args));
    insta::assert_snapshot!(report(&world, &["db", "list"]), @"
    $ torso db list
    -- stderr --
    error: cannot connect to http://127.0.0.1:9
      caused by: Connection refused (os error 111)
    hint: is the server running, and is the address right? torso context list shows it
    -- exit 7 --
    ");
    world.set("TORSO_CONTEXT", "prod");
    insta::assert_snapshot!(report(&world, &["db", "list"]), @"
    $ torso db list
    -- stderr --
    warning: the TORSO_API_URL variable names the server, so context prod (environment TORSO_CONTEXT) is not used; --context prod would be
    error: cannot connect to http://127.0.0.1:9
      caused by: Connection refused (os error 111)
    hint: is the server running, and is the address right? torso context list shows it
    -- exit 7 --
    ");
    insta::assert_snapshot!(report(&world, &["context", "show"]), @"
    $ torso context show
    Name:    TORSO_API_URL
    Kind:    server
    URL:     http://127.0.0.1:9/
    Token:   no
    Current: yes
    -- stderr --
    warning: the TORSO_API_URL variable names the server, so context prod (environment TORSO_CONTEXT) is not used; --context prod would be
    -- exit 0 --
    ");
    world.unset("TORSO_CONTEXT");
    world.write(".torso.toml", "context = \"prod\"\n");
    insta::assert_snapshot!(report(&world, &["db", "list"]), @"
    $ torso db list
    -- stderr --
    warning: the TORSO_API_URL variable names the server, so context prod (project file [world]/work/.torso.toml) is not used; --context prod would be
    error: cannot connect to http://127.0.0.1:9
      caused by: Connection refused (os error 111)
    hint: is the server running, and is the address right? torso context list shows it
    -- exit 7 --
    ");
}

#[test]
fn secrets_and_names_of_the_environment_may_end_with_a_line_end() {
    let mut world = world();
    world.set("TORSO_CONTEXT", " prod\r\n");
    assert_eq!(world.json(["context", "show"])["name"], "prod");
    world.set("TORSO_CONTEXT", "\n");
    assert_eq!(world.json(["context", "show"])["name"], "local");
}

#[test]
fn shell_with_json_tells_failures_as_documents() {
    let world = World::with_app("create table t (x unique); insert into t values (1)");
    let error = |args: &[&str], code: i32| {
        let run = world.torso(args);
        assert_eq!(run.code(), code, "{}", run.report());
        let lines: Vec<&str> = run.stderr.lines().collect();
        assert_eq!(lines.len(), 1, "{}", run.report());
        run.error()
    };
    let shell = |sql: &str, code: i32| error(&["db", "shell", "app", "--json", sql], code);
    insta::assert_snapshot!(shell("select nope from t", 1), @r#"{"code":"sql_error","message":"no such column: nope","hint":null,"retryable":false}"#);
    assert_eq!(shell("insert into t values (1)", 19)["code"], "sql_error");
    assert_eq!(shell(".nothing", 1)["code"], "sql_error");
    assert_eq!(
        error(&["db", "shell", "absent", "--json", "select 1"], 3)["code"],
        "database_not_found"
    );
    assert_eq!(
        error(&["db", "shell", "app", "--json", "--nothing"], 1)["code"],
        "invalid_value"
    );
    for form in [&["--output", "json"][..], &["--output=jsonl"]] {
        let args = [&["db", "shell", "app", "select nope"], form].concat();
        assert_eq!(error(&args, 1)["code"], "sql_error");
    }
    let script = world.torso_with_input(["db", "shell", "app", "--json"], "select 1;\nselect nope;\n");
    assert_eq!((script.code(), script.stdout.as_str()), (1, "[{\"1\":1}]\n"));
    insta::assert_snapshot!(script.error(), @r#"{"code":"sql_error","message":"line 2: no such column: nope","hint":null,"retryable":false}"#);
    // With the flag of sqlite3 its sentences stay.
    let classic = world.torso(["db", "shell", "app", "-json", "select nope"]);
    insta::assert_snapshot!(redact::report(&world, &classic), @r#"
    $ torso db shell app -json "select nope"
    -- stderr --
    Error: in prepare, no such column: nope
      select nope
             ^--- error here
    -- exit 1 --
    "#);
}

#[test]
fn output_to_standard_output_is_the_file_itself() {
    let world = World::with_app("create table t (x); insert into t values (1)");
    let mut command = world.torso_command(["db", "export", "app", "--output-file", "-"]);
    let output = command.output().unwrap();
    assert!(output.status.success());
    let copy = world.write("copy.db", &output.stdout);
    assert_eq!(
        world.ok(["db", "shell", copy.to_str().unwrap(), "select * from t"]),
        "1\n"
    );
    let dumped = world.ok(["db", "dump", "app", "--output-file", "-"]);
    assert_eq!(dumped, world.ok(["db", "dump", "app"]));
    assert!(!world.work().join("-").exists());
    let said = world
        .terminal(&["db", "export", "app", "--output-file", "-"])
        .exp_eof()
        .unwrap();
    insta::assert_snapshot!(said, @"
    [1m[31merror[0m: a SQLite file cannot be shown on a terminal
    [1m[36mhint[0m: write it to a file: --output-file PATH
    ");
}

#[test]
fn replica_that_was_synced_under_fast_writes_tells_how_far_it_is_behind() {
    let world = World::with_app("create table t (x); insert into t values (1)");
    let path = world.ok(["db", "show", "app", "--path"]);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let writer = rusqlite::Connection::open(path.trim()).unwrap();
            writer.execute_batch("pragma synchronous = off").unwrap();
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                // Another writer may be copying.
                let _ = writer.execute("insert into t values (2)", []);
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
        });
        world.ok(["db", "replicate", "app", "lhr"]);
        world.ok(["db", "sync", "app"]);
        let instances = world.json(["db", "replicas", "app"]);
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(instances[1]["type"], "replica");
        assert!(instances[1]["lag_ms"].is_u64(), "{instances}");
    });
}
