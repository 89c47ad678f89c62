//! The shell through a server's gateway: what that lets nobody ask of a process, the shell does itself.

use super::Deployment;
use crate::support::World;
use nix::sys::signal::Signal;
use std::io::Read as _;
use std::process::Stdio;

#[test]
fn shell_does_itself_what_a_gateway_refuses() {
    let server = Deployment::new();
    let database = server.database("app");
    database
        .sql(&[
            "CREATE TABLE t(a, b)",
            "INSERT INTO t VALUES (1, 'one'), (-9e999, x'00ff'), (NULL, 2.5)",
        ])
        .unwrap();
    let mut world = World::new();
    world.set("TORSO_DATABASE_TOKEN", &database.token);
    let url = database.url.as_str();
    let shell = |database: &str, commands: &[&str]| world.ok([&["db", "shell", database], commands].concat());
    shell(url, &[".clone ./copy.db"]);
    for sum in [".sha3sum", ".sha3sum --schema --sha3-256", ".sha3sum t"] {
        assert_eq!(shell(url, &[sum]), shell("./copy.db", &[sum]), "{sum}");
    }
    // Infinities have their sign, on the way that results take there too.
    let negative = "SELECT a, count(*) FROM t WHERE a < 0";
    assert_eq!(shell(url, &[negative]), "-Inf|1\n");
    let told = shell(url, &[".dbinfo"]);
    assert!(told.contains("number of tables:    1\n"), "{told}");
    assert!(told.contains("text encoding:       1 (utf8)\n"), "{told}");
    assert_eq!(shell(url, &[".trace stdout", "SELECT 1"]), "SELECT 1;\n1\n");
}

/// Starts a command, and kills the server once its answer has begun: its exit code and what it said.
fn run_cut_off(server: &mut Deployment, world: &World, args: &[&str]) -> (Option<i32>, String) {
    let mut command = world.torso_command(args);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut begin = vec![0; 1 << 16];
    child.stdout.as_mut().unwrap().read_exact(&mut begin).unwrap();
    server.end(Signal::SIGKILL);
    let ended = child.wait_with_output().unwrap();
    server.start();
    (ended.status.code(), String::from_utf8(ended.stderr).unwrap())
}

#[test]
fn dump_that_is_cut_off_exits_7_and_says_so_whichever_command_writes_it() {
    let mut server = Deployment::new();
    let database = server.database("app");
    database
        .sql(&[
            "CREATE TABLE t(a, b)",
            "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 40000)
             INSERT INTO t SELECT n, hex(zeroblob(400)) FROM c",
        ])
        .unwrap();
    let world = world_of(&server);
    for args in [
        &["db", "dump", "app"][..],
        &["db", "shell", "app", ".dump"],
        &["db", "shell", "app", "--json", ".dump"],
    ] {
        let (code, said) = run_cut_off(&mut server, &world, args);
        assert_eq!(code, Some(7), "{args:?} {said}");
        assert!(said.contains("the dump is cut off: "), "{args:?} {said}");
        assert!(said.contains("run the dump again"), "{args:?} {said}");
        assert!(!said.contains("not run"), "{args:?} {said}");
    }
}

/// Another writer waits until the server ends the transaction that keeps it waiting.
#[test]
fn transaction_that_a_server_ended_is_one_error_in_scripts_and_arguments() {
    let server = Deployment::new();
    let database = server.database("app");
    database.sql(&["CREATE TABLE t(a)"]).unwrap();
    let mut world = World::new();
    world.set("TORSO_DATABASE_TOKEN", &database.token);
    let wait = "SELECT 'waits'; -- until it is over\n";
    let mut said = Vec::new();
    for is_script in [true, false] {
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                std::thread::sleep(std::time::Duration::from_millis(1500));
                super::until(
                    "another writer writes",
                    || database.sql(&["INSERT INTO t VALUES (2)"]),
                    Result::is_ok,
                );
            });
            let pause = ".shell sleep 12";
            let begin = "BEGIN; INSERT INTO t VALUES (1);";
            let run = if is_script {
                let script = format!("{begin}\n{pause}\n{wait}SELECT count(*) FROM t;\n");
                world.torso_with_input(["db", "shell", &database.url], &script)
            } else {
                world.torso(["db", "shell", &database.url, begin, pause, "SELECT count(*) FROM t"])
            };
            writer.join().unwrap();
            assert_eq!(run.code(), 7, "{}", run.report());
            said.push(run.stderr);
        });
    }
    assert!(
        said[0].starts_with("Error: transaction lost: the server ended it, because"),
        "{}",
        said[0]
    );
    assert_eq!(said[0], said[1]);
    assert_eq!(database.value("SELECT count(*) FROM t WHERE a = 1").unwrap(), "0");
}

/// A world whose context is a server.
fn world_of(server: &Deployment) -> World {
    let world = World::new();
    let context = [
        "context",
        "add",
        "prod",
        "--url",
        server.server().url(),
        "--token-stdin",
    ];
    world.torso_with_input(context, &server.token).success();
    world.ok(["context", "use", "prod"]);
    world
}

#[test]
fn shell_that_waits_for_replicas_writes_what_they_have() {
    let server = Deployment::new();
    let world = world_of(&server);
    world.ok(["db", "create", "app"]);
    let shell = ["db", "shell", "app", "--wait-replica"];
    let run = |sql: &[&str]| world.torso([&shell[..], sql].concat());
    let refused = run(&["CREATE TABLE t(a)"]);
    assert_eq!(refused.code(), 1, "{}", refused.report());
    assert!(refused.stderr.contains("no replica"), "{}", refused.report());
    world.ok(["db", "replicate", "app", "lhr"]);
    let count = |location: &str| {
        let at = world.ok(["db", "shell", "app", "--location", location, "SELECT count(*) FROM t"]);
        at.trim().parse::<u32>().unwrap()
    };
    // One by one, many at once, with a result, and in a transaction.
    for (sql, rows) in [
        (&["CREATE TABLE t(a)"][..], 0),
        (&["INSERT INTO t VALUES (1)"], 1),
        (&["INSERT INTO t VALUES (2)", "INSERT INTO t VALUES (3)"], 3),
        (&["INSERT INTO t VALUES (4) RETURNING a"], 4),
        (
            &["BEGIN; INSERT INTO t VALUES (5); INSERT INTO t VALUES (6); COMMIT;"],
            6,
        ),
        (&["SELECT * FROM t WHERE a < 0", "PRAGMA table_info(t)"], 6),
    ] {
        let ran = run(sql);
        assert_eq!(ran.code(), 0, "{}", ran.report());
        assert_eq!(count("lhr"), rows, "{sql:?}");
    }
    // Elsewhere it is refused, and nothing is written.
    let own = World::new();
    own.ok(["db", "create", "app", "--location", "ams"]);
    for database in ["app", "./file.db", ":memory:"] {
        let refused = own.torso(["db", "shell", database, "--wait-replica", "CREATE TABLE t(a)"]);
        assert_eq!(refused.code(), 1, "{}", refused.report());
        assert!(
            refused.stderr.contains("--wait-replica is for databases"),
            "{}",
            refused.report()
        );
    }
    assert!(!own.work().join("file.db").exists());
}

/// The write is made; a replica that does not answer holds nobody up, and the shell says that it lags.
#[test]
fn shell_ends_while_a_replica_does_not_answer() {
    let server = Deployment::new();
    let database = server.database("app");
    database.sql(&["CREATE TABLE t(a)"]).unwrap();
    super::until(
        "the replica has the table",
        || database.at("lhr").value("SELECT count(*) FROM t"),
        |answer| answer.as_deref() == Ok("0"),
    );
    let world = world_of(&server);
    let replica = server.process_in("lhr").unwrap();
    super::signal(replica, Signal::SIGSTOP);
    let run = world.torso(["db", "shell", "app", "INSERT INTO t VALUES (1)"]);
    super::signal(replica, Signal::SIGCONT);
    let run = run.success();
    assert!(
        run.stderr
            .starts_with("A replica of database app does not have the change yet"),
        "{}",
        run.report()
    );
    assert_eq!(database.value("SELECT count(*) FROM t").unwrap(), "1");
}
