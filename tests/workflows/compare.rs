//! Databases beside each other and over time: `db diff`, `db schema` and `wait`.

use crate::support::World;
use crate::support::server::Server;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const SCHEMA: &str = "create table member (id integer primary key, name text, secret blob);
    create table pair (a, b, v, primary key (a, b)) without rowid;
    create view everybody as select name from member;
    create index by_name on member (name);
    create trigger no_empty before insert on member when new.name = '' begin select raise(abort, 'empty'); end;
    create virtual table words using fts5(text);";

const ROWS: &str = "insert into member values (1, 'ann', x'00ff'), (2, 'bob', null), (9007199254740993, 'zoe', null);
    insert into pair values ('x', 1, 1.5), ('y', 2, 2.5); insert into words values ('to be');";

/// A context of files, and one of a server, each with `app`.
fn world() -> (World, Server) {
    let world = World::new();
    let server = Server::start(&world, &["--owner", "alice", "--locations", "ams,lhr"]);
    let mut world = world;
    world.set("TORSO_DATA_DIR", world.path("data-of-user"));
    world.write("token", &server.token);
    world.ok(["context", "add", "prod", "--url", server.url(), "--token-file", "token"]);
    for context in ["local", "prod"] {
        world.ok(["--context", context, "db", "create", "app", "--location", "ams"]);
        world.ok(["--context", context, "db", "shell", "app", SCHEMA]);
        world.ok(["--context", context, "db", "shell", "app", ROWS]);
    }
    (world, server)
}

fn table<'a>(diff: &'a Value, name: &str) -> &'a Value {
    let tables = diff["tables"].as_array().unwrap();
    tables.iter().find(|table| table["name"] == name).unwrap()
}

#[test]
fn diff_across_control_planes_tells_schema_and_rows_and_exits_by_them() {
    let (world, _server) = world();
    let ends = ["db", "diff", "local:app", "prod:app"];
    let same = world.torso(ends).success();
    assert!(same.stdout.contains("are the same: "), "{}", same.report());
    assert_eq!(world.json(ends)["same"], true);
    assert_eq!(world.ok([ends.as_slice(), &["--output", "jsonl"]].concat()), "");

    // As many rows as before, and others.
    let change = "update member set name = 'it''s' where id = 2; delete from pair where a = 'x';
        insert into pair values ('z', 3, null); update member set secret = x'00fe' where id = 1";
    world.ok(["--context", "prod", "db", "shell", "app", change]);
    let quick = world.torso([ends.as_slice(), &["--quick"]].concat()).success();
    assert!(
        quick.stdout.contains("same schema and numbers of rows"),
        "{}",
        quick.report()
    );
    let listed = [ends.as_slice(), &["--rows", "member", "--rows", "pair", "--json"]].concat();
    let run = world.torso(listed);
    let diff: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(
        (run.code(), &run.error()["code"]),
        (5, &json!("differs")),
        "{}",
        run.report()
    );
    assert_eq!(diff["same"], false);
    assert_eq!(
        table(&diff, "pair"),
        &json!({ "name": "pair", "source_rows": 2, "target_rows": 2, "only_source": 1, "only_target": 1, "changed": 0 })
    );
    assert_eq!(table(&diff, "member")["changed"], 2);
    assert_eq!(table(&diff, "words")["changed"], 0);
    let item = |row: &str, difference: &str, column: Value, source: Value, target: Value, object: &str| json!({ "object": object, "row": row, "difference": difference, "column": column, "source": source, "target": target });
    let null = Value::Null;
    assert_eq!(
        diff["differences"],
        json!([
            item(
                "1",
                "changed",
                json!("secret"),
                json!("x'00ff'"),
                json!("x'00fe'"),
                "member"
            ),
            item(
                "2",
                "changed",
                json!("name"),
                json!("'bob'"),
                json!("'it''s'"),
                "member"
            ),
            item(
                "x,1",
                "only_source",
                null.clone(),
                json!("a='x', b=1, v=1.5"),
                null.clone(),
                "pair"
            ),
            item(
                "z,3",
                "only_target",
                null.clone(),
                null.clone(),
                json!("a='z', b=3, v=NULL"),
                "pair"
            ),
        ])
    );

    world.ok([
        "--context",
        "prod",
        "db",
        "shell",
        "app",
        "drop view everybody; create table more (x)",
    ]);
    let run = world.torso([ends.as_slice(), &["--output", "jsonl"]].concat());
    let schema: Vec<Value> = run
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(run.code(), 5, "{}", run.report());
    let told: Vec<_> = schema
        .iter()
        .map(|item| (item["object"].as_str().unwrap(), item["difference"].as_str().unwrap()))
        .collect();
    assert_eq!(
        told,
        [
            ("view everybody", "only_source"),
            ("table more", "only_target"),
            ("member", "rows"),
            ("pair", "rows"),
        ]
    );
    let text = world.torso([ends.as_slice(), &["--rows", "member"]].concat());
    assert!(
        text.stdout.contains("member [2]: name 'bob' | 'it''s'\n")
            && text.stdout.contains("view everybody: only in local:app"),
        "{}",
        text.report()
    );
    let csv = world.torso([ends.as_slice(), &["--rows", "member", "--output", "csv"]].concat());
    assert!(
        csv.stdout.contains("member,2,changed,name,'bob','it''s'\n"),
        "{}",
        csv.report()
    );
    for (args, exit, code) in [
        (&["db", "diff", "app", "none", "--json"], 3, "database_not_found"),
        (&["db", "diff", "app", "nowhere:app", "--json"], 3, "context_not_found"),
        (&["db", "diff", "app", "--json", "app:"], 2, "invalid_name"),
    ] {
        world.torso(args).fails(exit, code);
    }
    let unknown = [ends.as_slice(), &["--rows", "nothing", "--json"]].concat();
    let refused = world.torso(unknown).fails(3, "table_not_found");
    assert_eq!(refused.stdout, "", "{}", refused.report());
}

#[test]
fn diff_of_many_rows_takes_little_memory() {
    let world = World::with_app(
        "create table t (id integer primary key, x text);
         insert into t select value, hex(randomblob(2000)) from generate_series(1, 75000)",
    );
    world.ok(["db", "create", "empty"]);
    world.ok([
        "db",
        "shell",
        "empty",
        "create table t (id integer primary key, x text)",
    ]);
    let mut command = world.command("sh");
    command.args([
        "-c",
        "ulimit -v 250000; \"$TORSO\" db diff app empty --rows t --json | wc -l",
    ]);
    command.env("TORSO", crate::support::world::TORSO);
    let run = crate::support::Run::of(command).success();
    let lines: u64 = run.stdout.trim().parse().unwrap();
    assert!(lines > 75_000, "{}", run.report());
}

#[test]
fn schema_can_be_replayed_and_makes_the_same_schema() {
    let (world, _server) = world();
    for context in ["local", "prod"] {
        let script = world.ok(["--context", context, "db", "schema", "app"]);
        world.write("schema.sql", &script);
        world.ok([
            "--context",
            context,
            "db",
            "create",
            "again",
            "--from-dump",
            "schema.sql",
        ]);
        assert_eq!(world.ok(["--context", context, "db", "schema", "again"]), script);
        let objects = world.json(["--context", context, "db", "schema", "app"]);
        let kinds: Vec<_> = objects
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["type"].as_str().unwrap())
            .collect();
        assert_eq!(kinds, ["table", "table", "table", "index", "view", "trigger"]);
        let names = world.ok(["--context", context, "db", "schema", "app", "--output", "name"]);
        assert_eq!(names, "member\npair\nwords\nby_name\neverybody\nno_empty\n");
    }
    world
        .torso(["db", "schema", "none", "--json"])
        .fails(3, "database_not_found");
}

#[test]
fn wait_ends_when_the_condition_holds_or_time_is_up() {
    let (world, _server) = world();
    for context in ["local", "prod"] {
        let wait = |condition: &str, limit: &str| {
            world.torso([
                "--context",
                context,
                "wait",
                "db",
                "new",
                "--for",
                condition,
                "--timeout",
                limit,
                "--json",
            ])
        };
        assert_eq!(wait("gone", "60s").json()["condition"], "gone");
        let begun = Instant::now();
        let error = wait("ready", "3s").fails(7, "timeout").error();
        assert!(
            error["message"].as_str().unwrap().contains("there is no such database"),
            "{error}"
        );
        assert!(begun.elapsed() >= Duration::from_secs(3));
        // Another job makes it meanwhile.
        let mut command = world.torso_command(["--context", context, "wait", "db", "new", "--for", "replica=lhr"]);
        let mut waiting = command.args(["--timeout", "60s"]).spawn().unwrap();
        world.ok(["--context", context, "db", "create", "new", "--location", "ams"]);
        assert_eq!(waiting.try_wait().unwrap(), None);
        let ready = world.torso(["--context", context, "wait", "db", "new"]).success();
        assert_eq!(ready.stdout, "Database new is ready.\n");
        world.ok(["--context", context, "db", "replicate", "new", "lhr"]);
        assert!(waiting.wait().unwrap().success());
        world.ok(["--context", context, "db", "destroy", "new", "--yes"]);
        assert_eq!(wait("gone", "60s").json()["database"], "new");
    }
    world
        .torso(["wait", "db", "app", "--for", "tea", "--json"])
        .fails(1, "invalid_value");
}
