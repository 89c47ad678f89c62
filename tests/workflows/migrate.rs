//! `torso db migrate`: on files and on a server, interrupted and repeated, by many at once, and over many databases.

use crate::support::server::Server;
use crate::support::{Run, World, until};
use serde_json::Value;
use std::process::Stdio;
use std::time::Duration;

/// A world with the database `app`, and with migrations in its work folder.
fn world(migrations: &[(&str, &str)]) -> World {
    let world = World::new();
    world.ok(["db", "create", "app", "--location", "ams"]);
    write(&world, migrations);
    world
}

fn write(world: &World, migrations: &[(&str, &str)]) {
    std::fs::create_dir_all(world.work().join("migrations")).unwrap();
    for (name, text) in migrations {
        world.write(&format!("migrations/{name}"), text);
    }
}

fn fails(world: &World, line: &[&str], exit: i32, code: &str) -> Value {
    let mut command = world.torso_command(line);
    command.arg("--json");
    Run::of(command).fails(exit, code).error()
}

#[test]
fn migrate_applies_what_is_missing_and_says_so() {
    let world = world(&[
        ("0001_t.sql", "create table t(a);\n"),
        ("0002_u.sql", "create table u(a);\n"),
    ]);
    let plan = world.ok(["db", "migrate", "app", "--dry-run", "--output", "name"]);
    assert_eq!(
        plan,
        "apply migrations/0001_t.sql (1 statement)\napply migrations/0002_u.sql (1 statement)\n"
    );
    assert_eq!(world.query("app", "select count(*) from sqlite_schema"), "0");
    let first = world.json(["db", "migrate", "app", "--to", "1"]);
    assert_eq!((&first["version"], &first["left"]), (&"0001".into(), &1.into()));
    assert_eq!(
        world.ok(["db", "migrate", "app"]),
        "Database app: applied 1 migration; at 0002_u.\n"
    );
    assert_eq!(
        world.ok(["db", "migrate", "app"]),
        "Database app: nothing to apply; at 0002_u.\n"
    );
    // A replica gets it too.
    world.ok(["db", "replicate", "app", "lhr"]);
    write(&world, &[("0003_v.sql", "create table v(a);")]);
    world.ok(["db", "migrate", "app"]);
    let replica = world.ok(["db", "shell", "app", "--location", "lhr", ".tables"]);
    assert!(replica.contains('v'), "{replica}");
}

#[test]
fn migrate_that_fails_names_file_and_line_and_keeps_what_came_before() {
    let world = world(&[
        ("1_t.sql", "create table t(a unique);"),
        ("2_u.sql", "create table u(a);\n\ninsert into w values (1);"),
    ]);
    let mut command = world.torso_command(["db", "migrate", "app", "--json"]);
    command.stdin(Stdio::null());
    let run = Run::of(command);
    assert_eq!(run.code(), 8, "{}", run.report());
    let answer = run.json();
    assert_eq!((&answer["version"], &answer["left"]), (&"1".into(), &1.into()));
    assert_eq!(answer["error"]["message"], "migrations/2_u.sql:3: no such table: w");
    assert_eq!(run.error()["code"], "partial");
    let error = fails(&world, &["db", "migrate", "app"], 1, "sql_error");
    assert_eq!(error["message"], "migrations/2_u.sql:3: no such table: w");
    assert_eq!(
        world.query(
            "app",
            "select group_concat(name) from sqlite_schema where name in ('t', 'u')"
        ),
        "t"
    );
    write(
        &world,
        &[("2_u.sql", "create table u(a);"), ("1_t.sql", "create table t(a);")],
    );
    let error = fails(&world, &["db", "migrate", "app"], 5, "migration_conflict");
    assert!(
        error["message"].as_str().unwrap().contains("1_t.sql was edited"),
        "{error}"
    );
}

#[test]
fn migrate_refuses_what_it_cannot_do_and_says_what_to_type() {
    let world = world(&[("1_t.sql", "create table t(a);")]);
    fails(&world, &["db", "migrate", "none"], 3, "database_not_found");
    fails(&world, &["db", "migrate", "app", "--dir", "none"], 3, "file_not_found");
    fails(&world, &["db", "migrate", "app", "--to", "7"], 1, "invalid_value");
    fails(&world, &["db", "migrate", "--match", "none-*"], 3, "database_not_found");
    fails(&world, &["db", "migrate"], 2, "usage");
    world.ok(["db", "config", "set", "app", "block-writes", "on"]);
    fails(&world, &["db", "migrate", "app"], 5, "blocked");
}

#[test]
fn migrate_by_many_at_once_applies_each_migration_once() {
    let world = world(&[
        ("1_t.sql", "create table t(a);"),
        ("2_t.sql", "insert into t values (1);"),
        ("3_t.sql", "insert into t select a + 1 from t;"),
    ]);
    let runs: Vec<_> = (0..16)
        .map(|_| {
            let mut command = world.torso_command(["db", "migrate", "app", "--quiet"]);
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
        })
        .collect();
    for mut run in runs {
        assert!(run.wait().unwrap().success());
    }
    assert_eq!(world.query("app", "select group_concat(a) from t"), "1,2");
    assert_eq!(world.query("app", "select count(*) from _torso_migrations"), "3");
}

/// Migrations that each need what the one before made, so that one applied twice or not at all fails.
fn chain(world: &World, length: usize) {
    std::fs::create_dir_all(world.work().join("migrations")).unwrap();
    world.write(
        "migrations/0000_start.sql",
        "create table steps(step integer primary key);",
    );
    for step in 1..length {
        let text = format!(
            "create table t{step}(a);\n\
             with recursive n(x) as (select 1 union all select x + 1 from n limit 2000) insert into t{step} select x from n;\n\
             insert into steps values ({step});\n"
        );
        world.write(&format!("migrations/{step:04}_step.sql"), text);
    }
}

#[test]
fn migrate_that_is_killed_anywhere_reaches_the_end_when_repeated() {
    let world = world(&[]);
    chain(&world, 30);
    let mut kills = 0;
    let mut random = 7_u64;
    for _ in 0..40 {
        let mut command = world.torso_command(["db", "migrate", "app", "--quiet"]);
        let mut run = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        std::thread::sleep(Duration::from_micros(2_000 + random % 15_000));
        kills += usize::from(run.try_wait().unwrap().is_none());
        let _ = run.kill();
        run.wait().unwrap();
        // What is recorded is there, and nothing else.
        let recorded = "select count(*) - 1 from _torso_migrations";
        let run = world.torso(["db", "shell", "app", &format!("{recorded}; select count(*) from steps")]);
        if run.code() == 0 {
            let counts: Vec<_> = run.stdout.lines().collect();
            assert_eq!(counts[0], counts[1], "{}", run.report());
        }
    }
    assert!(kills > 0);
    world.ok(["db", "migrate", "app"]);
    assert_eq!(world.query("app", "select count(*) from steps"), "29");
    assert_eq!(world.query("app", "pragma integrity_check"), "ok");
}

#[test]
fn migrate_works_on_a_server_as_on_files() {
    let mut world = World::new();
    let server = Server::start(&world, &["--owner", "alice"]);
    let token = server.token.clone();
    world.set("TORSO_API_URL", server.url());
    world.set("TORSO_TOKEN", &token);
    for name in ["app", "tenant-1", "tenant-2"] {
        world.ok(["db", "create", name]);
    }
    write(
        &world,
        &[
            (
                "1_t.sql",
                "create table t(a unique);\ninsert into t values (1);\ncreate index i on t(a);",
            ),
            (
                "2_u.sql",
                "create table u(a);\ncreate trigger r after insert on u begin insert into t values (new.a); end;\ninsert into u values (2);",
            ),
        ],
    );
    let plan = world.ok(["db", "migrate", "app", "--dry-run", "--output", "name"]);
    assert!(plan.contains("apply migrations/1_t.sql (3 statements)"), "{plan}");
    assert_eq!(world.json(["db", "migrate", "app"])["version"], "2");
    assert_eq!(world.query("app", "select group_concat(a) from t"), "1,2");
    assert_eq!(world.json(["db", "migrate", "app"])["applied"], serde_json::json!([]));
    // A failing one is undone on the server too.
    write(
        &world,
        &[(
            "3_v.sql",
            "create table v(a);\ninsert into t values (9);\ninsert into t values (1);",
        )],
    );
    let error = fails(&world, &["db", "migrate", "app"], 1, "sql_error");
    assert_eq!(error["message"], "migrations/3_v.sql:3: UNIQUE constraint failed: t.a");
    assert_eq!(
        world.query(
            "app",
            "select count(*) from t where a = 9 or (select count(*) from sqlite_schema where name = 'v')"
        ),
        "0"
    );
    write(&world, &[("3_v.sql", "create table v(a);")]);
    let lines = world.ok(["db", "migrate", "--match", "tenant-*", "--output", "jsonl"]);
    for line in lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        assert_eq!((&line["status"], &line["version"]), (&"done".into(), &"3".into()));
    }
    assert_eq!(lines.lines().count(), 2);
    migrate_a_table_that_others_refer_to(&world);
    // A server that is gone in the middle leaves nothing half done.
    chain_on(&world);
    let mut command = world.torso_command(["db", "migrate", "tenant-1", "--dir", "chain", "--quiet"]);
    let mut run = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until("it has begun", || {
        let run = world.torso(["db", "shell", "tenant-1", "select count(*) from steps"]);
        run.code() == 0 && run.stdout.trim() != "0"
    });
    let _ = run.kill();
    run.wait().unwrap();
    world.torso(["db", "migrate", "tenant-1", "--dir", "chain"]).success();
    let (steps, recorded) = ("select count(*) from steps", "select count(*) from _torso_migrations");
    assert_eq!(world.query("tenant-1", steps), "39");
    assert_eq!(world.query("tenant-1", recorded), "40");
}

/// What drizzle-kit writes to change a table, and Prisma, Django and Alembic in much the same way.
const REBUILD: &str = "PRAGMA foreign_keys=OFF;--> statement-breakpoint
CREATE TABLE `__new_users` (`id` integer PRIMARY KEY NOT NULL, `name` text NOT NULL);--> statement-breakpoint
INSERT INTO `__new_users`(\"id\", \"name\") SELECT \"id\", \"name\" FROM `users`;--> statement-breakpoint
DROP TABLE `users`;--> statement-breakpoint
ALTER TABLE `__new_users` RENAME TO `users`;--> statement-breakpoint
PRAGMA foreign_keys=ON;
";

/// Foreign keys mean the same on every control plane, also while a table is made anew.
fn migrate_a_table_that_others_refer_to(world: &World) {
    world.ok(["db", "create", "keys"]);
    let _ = std::fs::remove_dir_all(world.work().join("migrations"));
    write(
        world,
        &[
            (
                "0000_init.sql",
                "CREATE TABLE users (id integer PRIMARY KEY, name text);
                 CREATE TABLE posts (id integer PRIMARY KEY, user_id integer NOT NULL REFERENCES users(id) ON DELETE cascade);
                 INSERT INTO users VALUES (1, 'a'), (2, 'b'); INSERT INTO posts VALUES (1, 1), (2, 1), (3, 2);",
            ),
            ("0001_new.sql", REBUILD),
        ],
    );
    world.ok(["db", "migrate", "keys"]);
    let counts = "select (select count(*) from users) || ' ' || (select count(*) from posts)";
    assert_eq!(world.query("keys", counts), "2 3");
    world.write("rebuild.sql", REBUILD);
    world.ok(["db", "exec", "keys", "-f", "rebuild.sql", "--transaction"]);
    assert_eq!(world.query("keys", counts), "2 3");
    // One that loses what others refer to is undone.
    write(
        world,
        &[(
            "0002_less.sql",
            "PRAGMA foreign_keys = off; delete from users where id = 1; pragma foreign_keys = on;",
        )],
    );
    let error = fails(world, &["db", "migrate", "keys"], 1, "sql_error");
    assert_eq!(
        error["message"],
        "migrations/0002_less.sql: it turns foreign keys off, and leaves 2 rows that refer to a row that is not there"
    );
    write(world, &[("0002_less.sql", "insert into posts values (4, 99);")]);
    let error = fails(world, &["db", "migrate", "keys"], 1, "sql_error");
    assert_eq!(
        error["message"],
        "migrations/0002_less.sql:1: FOREIGN KEY constraint failed"
    );
    let orphan = ["db", "exec", "keys", "insert into posts values (4, 99)"];
    fails(world, &orphan, 1, "sql_error");
    world.write("orphan.csv", "id,user_id\n5,99\n");
    let import = world.torso(["db", "import", "orphan.csv", "keys", "--table", "posts"]);
    assert_ne!(import.code(), 0, "{}", import.report());
    assert_eq!(world.query("keys", counts), "2 3");
    world.ok(["db", "exec", "keys", "delete from users where id = 2"]);
    assert_eq!(world.query("keys", counts), "1 2");
}

#[test]
fn migrate_keeps_rows_that_refer_to_a_rebuilt_table() {
    migrate_a_table_that_others_refer_to(&World::new());
}

/// The migrations of [`chain`], in another folder; `tenant-1` forgets those that it has.
fn chain_on(world: &World) {
    let own = World::new();
    chain(&own, 40);
    std::fs::rename(own.work().join("migrations"), world.work().join("chain")).unwrap();
    world.ok(["db", "shell", "tenant-1", "delete from _torso_migrations"]);
}

#[test]
fn migrate_of_many_stops_at_a_failure_and_goes_on() {
    let world = world(&[("1_t.sql", "create table t(a);")]);
    for number in 10..30 {
        world.ok(["db", "create", &format!("tenant-{number}"), "--location", "ams"]);
    }
    world.ok(["db", "shell", "tenant-11", "create table t(b)"]);
    let line = [
        "db",
        "migrate",
        "--match",
        "tenant-*",
        "--canary",
        "2",
        "--parallel",
        "1",
        "--resume",
        "state",
        "--json",
    ];
    let run = world.torso(line);
    assert_eq!(run.code(), 8, "{}", run.report());
    let answer = run.json();
    assert_eq!(answer.as_array().unwrap().len(), 2);
    assert!(
        run.error()["message"].as_str().unwrap().contains("18 were not begun"),
        "{}",
        run.report()
    );
    world.ok(["db", "shell", "tenant-11", "drop table t"]);
    let answer = world.torso(line).success().json();
    assert_eq!(answer.as_array().unwrap().len(), 19);
    assert_eq!(world.torso(line).success().json(), serde_json::json!([]));
    assert_eq!(world.query("tenant-29", "select count(*) from t"), "0");
    // Another directory is other work.
    write(&world, &[("2_u.sql", "create table u(a);")]);
    world.torso(line).fails(5, "conflict");
}
