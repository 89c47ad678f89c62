//! `torso db exec`: SQL on one database and on many, their results, failures and where the work goes on.

use crate::support::server::Server;
use crate::support::{Run, World};
use serde_json::{Value, json};

/// A world with databases `tenant-0` and so on, each with a table `t` that has its number.
fn world(count: usize) -> World {
    let world = World::new();
    make_tenants(&world, count);
    world
}

fn make_tenants(world: &World, count: usize) {
    for number in 0..count {
        let name = format!("tenant-{number}");
        world.ok(["db", "create", &name]);
        world.ok([
            "db",
            "shell",
            &name,
            &format!("create table t(a unique); insert into t values ({number})"),
        ]);
    }
}

fn lines(run: &Run) -> Vec<Value> {
    let mut lines: Vec<Value> = run
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    lines.sort_by_key(|line| line["database"].to_string());
    lines
}

fn run(world: &World, line: &[&str]) -> Run {
    world.torso(line.iter().chain(&["--output", "jsonl"]))
}

#[test]
fn exec_answers_with_a_line_for_each_database() {
    let world = world(3);
    let answer = run(
        &world,
        &["db", "exec", "--match", "tenant-*", "select a, a + 1 as b from t"],
    )
    .success();
    for (number, line) in lines(&answer).iter().enumerate() {
        assert_eq!(line["database"], format!("tenant-{number}"));
        assert_eq!(
            line["results"],
            json!([{"columns": ["a", "b"], "rows": [[number, number + 1]]}])
        );
        assert_eq!(line["status"], "done");
    }
    let names = world.ok([
        "db",
        "exec",
        "tenant-0",
        "tenant-2",
        "delete from t",
        "--output",
        "name",
        "--parallel",
        "1",
    ]);
    assert_eq!(names, "tenant-0\ntenant-2\n");
    let csv = world.ok(["db", "exec", "tenant-1", "update t set a = 7", "--output", "csv"]);
    assert!(csv.starts_with("database,status,time,result\ntenant-1,done,"), "{csv}");
    assert!(csv.ends_with(",1 change\n"), "{csv}");
    let table = world.ok(["db", "exec", "tenant-1", "select a from t"]);
    assert!(table.starts_with("DATABASE  STATUS   TIME"), "{table}");
    let document = world.json(["db", "exec", "--match", "tenant-*", "select 1"]);
    assert_eq!(document.as_array().unwrap().len(), 3);
}

#[test]
fn exec_of_a_file_takes_parameters_and_is_whole_or_nothing() {
    let world = world(2);
    world.write("fix.sql", "insert into t values (:a);\ninsert into t values (0);\n");
    let line = [
        "db",
        "exec",
        "tenant-0",
        "tenant-1",
        "-f",
        "fix.sql",
        "--param",
        "a:=5",
        "--parallel",
        "1",
    ];
    let failed = run(&world, &[&line[..], &["--transaction"]].concat());
    assert_eq!(failed.code(), 1, "{}", failed.report());
    let answer = lines(&failed);
    assert_eq!(answer.len(), 1);
    assert_eq!(
        answer[0]["error"]["message"],
        "fix.sql:2: UNIQUE constraint failed: t.a"
    );
    assert_eq!(world.query("tenant-0", "select count(*) from t"), "1");
    // Without a transaction what came first stays, and --continue goes on.
    let went_on = run(&world, &[&line[..], &["--continue"]].concat());
    assert_eq!(went_on.code(), 8, "{}", went_on.report());
    let statuses: Vec<_> = lines(&went_on).iter().map(|line| line["status"].clone()).collect();
    assert_eq!(statuses, ["failed", "done"]);
    assert_eq!(world.query("tenant-0", "select count(*) from t"), "2");
    assert_eq!(
        world.query("tenant-1", "select group_concat(typeof(a)) from t"),
        "integer,integer,integer"
    );
}

#[test]
fn exec_goes_on_where_its_state_says() {
    let world = world(6);
    world.ok(["db", "shell", "tenant-3", "drop table t"]);
    let line = [
        "db",
        "exec",
        "--match",
        "tenant-*",
        "update t set a = a + 10",
        "--parallel",
        "1",
        "--resume",
        "state",
    ];
    let stopped = run(&world, &line);
    assert_eq!(stopped.code(), 8, "{}", stopped.report());
    assert_eq!(lines(&stopped).len(), 4);
    assert!(
        stopped.error()["hint"].as_str().unwrap().contains("--resume state"),
        "{}",
        stopped.report()
    );
    world.ok(["db", "shell", "tenant-3", "create table t(a); insert into t values (3)"]);
    assert_eq!(lines(&run(&world, &line).success()).len(), 3);
    let all = run(&world, &["db", "exec", "--match", "tenant-*", "select a from t"]).success();
    let values: Vec<_> = lines(&all)
        .iter()
        .map(|line| line["results"][0]["rows"][0][0].as_i64().unwrap())
        .collect();
    assert_eq!(values, [10, 11, 12, 13, 14, 15]);
    let other = [
        "db",
        "exec",
        "--match",
        "tenant-*",
        "update t set a = 0",
        "--resume",
        "state",
    ];
    run(&world, &other).fails(5, "conflict");
}

#[test]
fn exec_that_is_resumed_knows_databases_that_were_renamed_or_made_anew() {
    let world = world(3);
    let line = |selection: &'static [&'static str]| {
        let mut line = vec!["db", "exec"];
        line.extend(selection);
        line.extend(["update t set a = a + 10", "--resume", "state"]);
        line
    };
    run(&world, &line(&["--match", "tenant-*"])).success();
    world.ok(["db", "rename", "tenant-0", "tenant-7"]);
    world.ok(["db", "destroy", "tenant-1", "--yes"]);
    make_tenants(&world, 2);
    let again = run(&world, &line(&["--match", "tenant-*"])).success();
    let databases: Vec<_> = lines(&again).iter().map(|line| line["database"].to_string()).collect();
    assert_eq!(databases, ["\"tenant-0\"", "\"tenant-1\""]);
    let values = ["tenant-0", "tenant-1", "tenant-2", "tenant-7"].map(|name| world.query(name, "select a from t"));
    assert_eq!(values, ["10", "11", "12", "10"]);
    // Those that are named are known as well.
    assert_eq!(lines(&run(&world, &line(&["tenant-7", "tenant-0"])).success()).len(), 0);
    assert_eq!(run(&world, &line(&["tenant-7", "none"])).code(), 3);
}

#[test]
fn exec_whose_rows_are_cut_off_warns() {
    let world = world(1);
    let many = "with recursive n(x) as (select 1 union all select x + 1 from n limit 100000) select x from n";
    let cut = run(&world, &["db", "exec", "tenant-0", many]).success();
    assert_eq!(lines(&cut)[0]["results"][0]["truncated"], true);
    assert!(
        cut.stderr.contains("the rows of 1 database are cut off"),
        "{}",
        cut.report()
    );
    let whole = run(&world, &["db", "exec", "tenant-0", "select a from t"]).success();
    assert_eq!(whole.stderr, "");
}

#[test]
fn exec_refuses_what_it_cannot_do_and_says_what_to_type() {
    let world = world(1);
    world.write("bad.sql", "select 1;\nselect 'a");
    for (line, exit, code) in [
        (&["db", "exec"][..], 2, "usage"),
        (&["db", "exec", "select 1"], 2, "usage"),
        (&["db", "exec", "none", "select 1"], 3, "database_not_found"),
        (&["db", "exec", "Not A Name", "select 1"], 2, "invalid_name"),
        (&["db", "exec", "--match", "x*", "select 1"], 3, "database_not_found"),
        (&["db", "exec", "tenant-0", "-f", "none.sql"], 3, "file_not_found"),
        (&["db", "exec", "tenant-0", "-f", "bad.sql"], 1, "invalid_file"),
        (&["db", "exec", "tenant-0", "select :a"], 1, "invalid_value"),
        (&["db", "exec", "tenant-0", "selec 1"], 1, "sql_error"),
        (&["db", "exec", "tenant-0", "attach 'x.db' as x"], 1, "sql_error"),
        (
            &["db", "exec", "tenant-0", "select 1", "--param", "a"],
            1,
            "invalid_value",
        ),
    ] {
        run(&world, line).fails(exit, code);
    }
    let plan = world.ok([
        "db",
        "exec",
        "tenant-0",
        "drop table t",
        "--dry-run",
        "--output",
        "name",
    ]);
    assert_eq!(plan, "run 1 statement on database tenant-0\n");
    world.ok(["db", "config", "set", "tenant-0", "block-writes", "on"]);
    run(&world, &["db", "exec", "tenant-0", "delete from t"]).fails(5, "blocked");
    run(&world, &["db", "exec", "tenant-0", "select * from t"]).success();
}

#[test]
fn exec_works_on_a_server_as_on_files() {
    let mut world = World::new();
    let server = Server::start(&world, &["--owner", "alice"]);
    let token = server.token.clone();
    world.set("TORSO_API_URL", server.url());
    world.set("TORSO_TOKEN", &token);
    make_tenants(&world, 12);
    let answer = run(
        &world,
        &[
            "db",
            "exec",
            "--group",
            "default",
            "insert into t values (:x); select count(*) from t",
            "--param",
            "x=new",
            "--transaction",
        ],
    )
    .success();
    let answer = lines(&answer);
    assert_eq!(answer.len(), 12);
    for line in &answer {
        assert_eq!(
            (&line["changes"], &line["results"][0]["rows"]),
            (&1.into(), &json!([[2]]))
        );
    }
    let failed = run(
        &world,
        &[
            "db",
            "exec",
            "tenant-1",
            "insert into t values ('more'); insert into t values ('new')",
            "--transaction",
        ],
    );
    let error = failed.fails(1, "sql_error").error();
    assert_eq!(error["message"], "SQL:1: UNIQUE constraint failed: t.a");
    assert_eq!(world.query("tenant-1", "select count(*) from t"), "2");
}

#[test]
fn exec_and_migrate_of_a_full_database_name_its_limit() {
    let world = World::new();
    world.ok(["db", "create", "app", "--size-limit", "64kb"]);
    let large = "create table x as select zeroblob(1000000) z";
    std::fs::create_dir(world.path("work/migrations")).unwrap();
    world.write("migrations/0001_x.sql", large);
    for line in [
        &["db", "exec", "app", large, "--json"][..],
        &["db", "migrate", "app", "--json"],
    ] {
        let run = world.torso(line).fails(5, "size_limit");
        let error = run.error();
        let hint = error["hint"].as_str().unwrap();
        assert!(
            hint.contains("torso db config set app size-limit SIZE raises it"),
            "{error}"
        );
    }
}

#[test]
fn exec_names_the_statement_that_rolls_its_transaction_back() {
    let world = World::with_app("create table t (x)");
    let script = "create table u (a unique); insert into u values (1); insert or rollback into u values (1)";
    let error = world
        .torso(["db", "exec", "app", script, "--transaction", "--json"])
        .fails(1, "sql_error")
        .error();
    assert_eq!(error["message"], "SQL:1: UNIQUE constraint failed: u.a");
    let without_sql = world.torso(["db", "exec", "app", "--json"]).fails(2, "usage").error();
    assert_eq!(without_sql["message"], "no SQL is given for database app");
}
