//! torso as its user has it, against a server process with real databases behind its gateway: the shell, copies between
//! control planes, exports and dumps, joining by invitation, and that no token is found where it does not belong.

use crate::support::hrana;
use crate::support::server::Server;
use crate::support::state::files;
use crate::support::{Run, World, redact, tree};
use serde_json::Value;
use std::time::{Duration, Instant};

/// A server at `ams` and `lhr`, and a user's world with it as the current context.
struct Pair {
    user: World,
    server: Server,
    /// The server's own.
    home: World,
}

impl Pair {
    fn new() -> Self {
        let home = World::new();
        let server = Server::start(&home, &["--locations", "ams,lhr", "--owner", "alice"]);
        let user = World::new();
        user.write("token", &server.token);
        user.ok(["context", "add", "prod", "--url", server.url(), "--token-file", "token"]);
        user.ok(["context", "use", "prod"]);
        Self { user, server, home }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.home.work().join("server.log")).unwrap()
    }
}

fn words(line: &str) -> impl Iterator<Item = &str> + Clone {
    line.split(' ')
}

const MANY: &str = "create table t (id integer primary key, x text, b blob);
    with recursive n(i) as (select 1 union all select i + 1 from n limit 5000)
    insert into t select i, 'row ' || i, randomblob(40) from n;
    create index tx on t(x); create view v as select count(*) as n from t;
    create trigger tr after delete on t begin insert into t(x) values('gone'); end";

#[test]
fn shell_works_through_the_gateway() {
    let pair = Pair::new();
    let user = &pair.user;
    user.ok(words("db create app --location ams"));
    let script = "create table t (x);\nbegin;\ninsert into t values (1);\ninsert into t\n values (2);\ncommit;\n\
        begin;\ninsert into t values (3);\nrollback;\nselect sum(x) from t;\n";
    let run = user.torso_with_input(["db", "shell", "app"], script).success();
    assert_eq!(run.stdout, "3\n", "{}", run.report());
    // What another session sees of a transaction that its session left open: nothing.
    user.torso_with_input(["db", "shell", "app"], "begin;\ninsert into t values (9);\n");
    assert_eq!(user.query("app", "select count(*) from t"), "2");

    user.ok(words("db replicate app lhr"));
    assert_eq!(
        user.ok(["db", "shell", "app", "--location", "lhr", "select sum(x) from t"]),
        "3\n"
    );
    let failed = user.torso(["db", "shell", "app", "select 1 fro t"]);
    insta::assert_snapshot!(redact::report(user, &failed), @r#"
    $ torso db shell app "select 1 fro t"
    -- stderr --
    Error: in prepare, near "t": syntax error
      select 1 fro t
                   ^--- error here
    -- exit 1 --
    "#);

    let instances = user.json(words("db replicas app"));
    for instance in instances.as_array().unwrap() {
        assert_eq!(instance["state"], "ready", "{instances}");
        assert!(
            instance["position"].as_u64().is_some_and(|frames| frames > 0),
            "{instances}"
        );
    }
    assert_eq!(instances[1]["lag_frames"], 0, "{instances}");
    assert_eq!(instances[1]["lag_ms"], 0, "{instances}");
    assert_eq!(instances[0]["position"], instances[1]["position"]);
    let inspected = user.json(words("db inspect app --check"));
    assert_eq!(inspected["integrity"], serde_json::json!(["ok"]), "{inspected}");
    let queries = user.json(words("db inspect app --queries"));
    assert!(queries.to_string().contains("select sum(x)"), "{queries}");
}

/// The count and the hash of all rows and of the schema, at the end of a dump.
fn sum(world: &World, context: &str, name: &str) -> String {
    let dump = world.ok(["--context", context, "db", "dump", name]);
    let last = dump.lines().last().unwrap().to_owned();
    assert!(last.contains("5000 rows, fnv1a64 "), "{last}");
    last
}

#[test]
fn copy_between_control_planes_is_the_same() {
    let pair = Pair::new();
    let user = &pair.user;
    user.ok(words("--context local db create here"));
    user.ok(["--context", "local", "db", "shell", "here", MANY]);
    let original = sum(user, "local", "here");
    let there = user.json(words("db copy local:here prod:there"));
    assert_eq!(there["rows"], 5000, "{there}");
    user.ok(words("db copy prod:there local:back"));
    user.ok(words("db copy prod:there prod:twin"));
    for (context, name) in [("prod", "there"), ("local", "back"), ("prod", "twin")] {
        assert_eq!(sum(user, context, name), original, "{context}:{name}");
    }

    // One that is there is not touched, unless it is said that it may be.
    user.ok(["db", "shell", "twin", "delete from t where id > 10"]);
    user.torso(words("db copy local:here prod:twin --json"))
        .fails(5, "database_exists");
    assert_eq!(user.query("twin", "select count(*) > 4000 from t"), "1");
    user.ok(words("db copy local:here prod:twin --overwrite --yes"));
    assert_eq!(sum(user, "prod", "twin"), original);

    // Out of the server as files.
    user.ok(words("db export there --output-file there.db"));
    let file = rusqlite::Connection::open(user.work().join("there.db")).unwrap();
    assert_eq!(
        file.query_row("select n from v", [], |row| row.get::<_, i64>(0)),
        Ok(5000)
    );
    let dump = user.ok(words("db dump there"));
    user.write("there.sql", dump);
    user.ok(words("--context local db create again --from-dump there.sql"));
    assert_eq!(sum(user, "local", "again"), original);
}

/// Statements that fail, each in another way, with SQLite's exit code.
const FAILING: [(&str, i32); 13] = [
    ("insert into nothing values (1)", 1),
    ("insert into t(nothing) values (1)", 1),
    ("insert into t values (1)", 1),
    ("insert inot t values (1)", 1),
    ("create table t (x)", 1),
    ("drop table nothing", 1),
    ("insert into t values (2, null, 1)", 19),
    ("insert into t values (2, 'a', 1)", 19),
    ("insert into t values (1, 'b', 1)", 19),
    ("insert into t values (3, 'c', 10)", 19),
    ("update t set y = 2", 19),
    ("insert into t values ('k', 'c', 1)", 20),
    ("insert into t values (9, abs(-9223372036854775807 - 1), 1)", 1),
];

#[test]
fn failing_statement_exits_alike_on_files_at_a_primary_and_at_a_replica() {
    let pair = Pair::new();
    let user = &pair.user;
    let schema = "create table t (x integer primary key, y not null unique, z check (z < 9));
        insert into t values (1, 'a', 1);
        create trigger tr before update on t begin select raise(abort, 'raised!'); end";
    user.ok(words("--context local db create app"));
    user.ok(["--context", "local", "db", "shell", "app", schema]);
    user.ok(words("db create app --location ams"));
    user.ok(["db", "shell", "app", schema]);
    user.ok(words("db replicate app lhr"));
    let places: [&[&str]; 3] = [
        &["--context", "local", "db", "shell", "app"],
        &["db", "shell", "app", "--location", "ams"],
        &["db", "shell", "app", "--location", "lhr"],
    ];
    for (sql, code) in FAILING {
        for place in places {
            let run = user.torso(place.iter().copied().chain([sql]));
            assert_eq!(run.code(), code, "{}", run.report());
        }
    }
    let rows = words("db shell app --location lhr").chain(["select count(*) from t"]);
    assert_eq!(user.ok(rows).trim(), "1");
}

#[test]
fn copy_over_a_database_on_a_server_keeps_all_but_its_content() {
    let pair = Pair::new();
    let user = &pair.user;
    user.ok(words("db create app --location ams"));
    user.ok(["db", "shell", "app", "create table old (x); insert into old values (1)"]);
    user.ok(words("db replicate app lhr"));
    user.ok(words("db config set app size-limit 64mb"));
    user.ok(words("--context local db create here"));
    user.ok(["--context", "local", "db", "shell", "here", MANY]);
    let sum = |context: &str, name: &str| user.ok(["--context", context, "db", "shell", name, ".sha3sum"]);
    let token = user.ok(words("db tokens create app"));
    let before = user.json(words("db show app"));
    let ask = |sql: &'static str| {
        let request = Server::client().post(format!("{}db/app-alice/v2/pipeline", pair.server.url()));
        hrana::execute(request.bearer_auth(token.trim()), [sql])
    };
    ask("insert into old values (2)").unwrap();
    // What an application is writing is waited for, and then refused; nothing has changed.
    let mut writer = user.terminal(&["db", "shell", "app"]);
    writer
        .send_line("begin immediate; insert into old values (3);")
        .unwrap();
    writer.send_line("select 'wrote', count(*) from old;").unwrap();
    writer.exp_string("wrote").unwrap();
    let overwrite = words("db copy local:here app --overwrite --yes --json");
    let refused = user.torso(overwrite.clone());
    if refused.code() != 0 {
        refused.fails(7, "database_busy");
        assert_eq!(user.query("app", "select count(*) from old"), "2");
        writer.send_line("rollback;").unwrap();
        writer.send_line("select 'undone', count(*) from old;").unwrap();
        writer.exp_string("undone").unwrap();
        user.torso(overwrite).success();
    }
    assert_eq!(sum("prod", "app"), sum("local", "here"));
    let after = user.json(words("db show app"));
    for key in ["DbId", "url", "Hostname", "regions", "configuration", "group", "parent"] {
        assert_eq!(before[key], after[key], "{key}");
    }
    assert_eq!(user.databases(), ["app"]);
    // The token of before opens it, and the replica has what is new.
    ask("insert into t(x) values ('by the old token')").unwrap();
    let replica = user.ok(words("db shell app --location lhr").chain(["select count(*) from t"]));
    assert_eq!(replica.trim(), "5001");
    // What does not fit leaves what was there.
    user.ok(words("db config set app size-limit 1mb"));
    let large = "insert into t(x, b) select 'large', zeroblob(100000) from t limit 40";
    user.ok(["--context", "local", "db", "shell", "here", large]);
    let refused = user.torso(words("db copy local:here app --overwrite --yes --json"));
    assert_ne!(refused.code(), 0, "{}", refused.report());
    assert_eq!(user.query("app", "select count(*) from t"), "5001");
    user.ok(words("db config set app delete-protection on"));
    user.torso(words("db copy local:here app --overwrite --yes --json"))
        .fails(5, "delete_protected");
}

#[test]
fn copy_that_is_killed_leaves_nothing() {
    let pair = Pair::new();
    let user = &pair.user;
    user.ok(words("--context local db create here"));
    let large = MANY.replace("limit 5000", "limit 200000");
    user.ok(["--context", "local", "db", "shell", "here", &large]);
    let whole = Instant::now();
    user.ok(words("db copy local:here prod:first"));
    let whole = whole.elapsed();
    let before = files(user);
    let mut cut = 0;
    for step in 1..=6 {
        let name = format!("cut{step}");
        let mut child = user
            .torso_command(["db", "copy", "local:here", &format!("prod:{name}")])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(whole * step / 7);
        child.kill().unwrap();
        child.wait().unwrap();
        // The server may be at the end of what it was told; either all is there or nothing.
        std::thread::sleep(Duration::from_millis(300));
        let found = user.databases();
        if found.contains(&name) {
            assert_eq!(user.query(&name, "select n from v"), "200000");
        } else {
            cut += 1;
        }
        assert!(found.iter().all(|found| !found.contains("-copy-")), "{found:?}");
        // The name is free, or the copy can be made anew.
        if step == 6 {
            user.ok([
                "db",
                "copy",
                "local:here",
                &format!("prod:{name}"),
                "--overwrite",
                "--yes",
            ]);
            assert_eq!(user.query(&name, "select n from v"), "200000");
        }
    }
    assert!(cut > 0, "no copy was cut short");
    assert_eq!(files(user), before, "something is left over here");
}

#[test]
fn invitation_makes_a_user() {
    let pair = Pair::new();
    let owner = &pair.user;
    owner.ok(words("org create team"));
    let told = owner.json(words("org invites create eve@example.com --org team"));
    let link = told["link"].as_str().unwrap();
    let eve = World::new();
    eve.torso(["auth", "accept", link, "--username", "eve", "--json"])
        .fails(1, "unsupported");
    eve.ok(["context", "add", "there", "--url", pair.server.url()]);
    eve.ok(words("context use there"));
    eve.write("elsewhere", "https://elsewhere.example/signup?invite=torso_invite_x");
    let run = eve.torso_with_input(
        ["auth", "accept", "-", "--username", "eve", "--json"],
        "https://elsewhere.example/?invite=x",
    );
    run.fails(5, "conflict");
    let taken = eve.torso(["auth", "accept", link, "--username", "alice", "--json"]);
    taken.fails(5, "user_exists");
    let document = eve.json(["auth", "accept", link, "--username", "eve"]);
    let expected = serde_json::json!({
        "context": "there", "url": pair.server.url(), "username": "eve", "expires_at": null
    });
    assert_eq!(document, expected);
    assert_eq!(eve.ok(words("auth whoami")), "eve\n");
    assert_eq!(eve.ok(words("--org team db list --output name")), "");
    // It works once, and a context with a token is not given another one.
    eve.torso(["auth", "accept", link, "--username", "eva", "--json"])
        .fails(5, "conflict");
    eve.ok(words("auth logout"));
    eve.torso(["auth", "accept", link, "--username", "eva", "--json"])
        .fails(3, "invite_not_found");
}

#[test]
fn tokens_are_written_nowhere() {
    let pair = Pair::new();
    let user = &pair.user;
    user.ok(words("db create app --location ams"));
    let database = user.ok(words("db tokens create app")).trim().to_owned();
    let url = user.ok(words("db show app --url")).trim().to_owned();
    let mut runs: Vec<Run> = vec![
        user.torso(["db", "shell", "app", "create table t (x); select nothing"]),
        user.torso_with_input(["db", "shell", "app"], "select 1;\n.databases\n.show\n"),
        user.torso(words("db tokens list app")),
        user.torso(words("org audit-logs list --json")),
        user.torso(words("db inspect app")),
        user.torso(words("doctor")),
    ];
    let mut command = user.torso_command(["db", "shell", &url, "select x from nothing"]);
    command.env("TORSO_DATABASE_TOKEN", &database);
    runs.push(Run::of(command));
    let secrets = [pair.server.token.clone(), database.clone()];
    for secret in &secrets {
        // Of a database token the part that matters is its signature.
        let secret = secret.rsplit('.').next().unwrap();
        for run in &runs {
            assert!(
                !run.stdout.contains(secret) && !run.stderr.contains(secret),
                "{}",
                run.report()
            );
        }
        assert!(!pair.log().contains(secret), "the server's log holds a token");
        for world in [user, &pair.home] {
            for path in tree::list(world.root()).into_keys() {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                // The tester's own file, and the one place that may hold it.
                if name == "token" || name == "credentials.toml" {
                    continue;
                }
                let held = std::fs::read(world.root().join(&path)).unwrap_or_default();
                let found = held.windows(secret.len()).any(|part| part == secret.as_bytes());
                assert!(!found, "{} holds a token", path.display());
            }
        }
    }
    // Nor do the processes that a server runs show any.
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        assert!(secrets.iter().all(|secret| !line.contains(secret.as_str())), "{line}");
    }
}

#[test]
fn server_that_is_away_or_refuses_the_token_is_one_error() {
    let pair = Pair::new();
    let user = &pair.user;
    user.ok(words("db create app --location ams"));
    user.write("wrong", "torso_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG");
    user.torso([
        "context",
        "add",
        "bad",
        "--url",
        pair.server.url(),
        "--token-file",
        "wrong",
        "--json",
    ])
    .fails(4, "unauthenticated");
    user.ok([
        "context",
        "add",
        "bad",
        "--url",
        pair.server.url(),
        "--token-file",
        "wrong",
        "--no-verify",
    ]);
    for line in [
        "db list",
        "db show app",
        "db create other",
        "db replicas app",
        "auth whoami",
    ] {
        user.torso(words("--context bad --json").chain(words(line)))
            .fails(4, "unauthenticated");
    }
    let Pair { user, server, .. } = pair;
    server.end(nix::sys::signal::Signal::SIGTERM);
    for line in ["db list", "db show app", "db create other", "db export app"] {
        let run = user.torso(words(line).chain(["--json"]));
        assert_eq!(run.code(), 7, "{}", run.report());
        let error: Value = run.error();
        assert!(error["hint"].is_string(), "{error}");
    }
    let run = user.torso(words("db shell app .tables"));
    assert_eq!(run.code(), 7, "{}", run.report());
}

#[test]
fn isolation_of_a_group_is_a_setting_of_servers_only() {
    let pair = Pair::new();
    let user = &pair.user;
    let shown = |line: &str| user.json(words(line));
    assert_eq!(shown("group config show default")["isolation"], "group");
    user.ok(words("db create shared"));
    let set = shown("group config set default isolation database");
    assert_eq!(
        (&set["isolation"], &set["delete_protection"]),
        (&"database".into(), &false.into())
    );
    user.ok(words("db create apart"));
    assert_eq!(shown("db show apart")["isolation"], "database");
    assert_eq!(shown("db show shared")["isolation"], Value::Null);
    // One setting leaves the other.
    user.ok(words("group config set default delete-protection on"));
    insta::assert_snapshot!(user.ok(words("group config show default")), @"
    delete-protection: on
    isolation:         database
    ");

    let wrong = user.torso(words("group config set default isolation sometimes --json"));
    wrong.fails(1, "invalid_value");
    user.ok(words("db create here --context local"));
    let local = user.torso(words(
        "group config set default isolation database --context local --json",
    ));
    local.fails(1, "unsupported");
    let local = user.json(words("group config show default --context local"));
    assert_eq!(local, serde_json::json!({ "delete_protection": false }));
}
