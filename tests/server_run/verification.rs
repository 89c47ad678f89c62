//! Comparisons of replicas with their primaries that a server makes by itself.

use super::{Database, Deployment, until, until_or};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// The value of a metric of the only database; none while it is absent.
fn metric(server: &Deployment, name: &str) -> Option<u64> {
    let text = server.metrics();
    let line = text
        .lines()
        .find(|line| line.starts_with(&format!("{name}{{database=")))?;
    line.rsplit_once(' ')?.1.parse().ok()
}

fn configure(server: &Deployment, seconds: u64) -> Value {
    let body = json!({ "verify_every_seconds": seconds });
    let answer = server.ok("PATCH", "/v1/server/configuration", Some(body));
    answer["configuration"]["verify_every_seconds"].clone()
}

/// Changes a row in the file of a replica, behind everybody's back.
fn tamper(server: &Deployment, location: &str) {
    let pools = server.pools_in(location).into_iter();
    let databases = pools.filter_map(|pool| std::fs::read_dir(pool.join("sqld/dbs")).ok());
    let mut changed = 0;
    for database in databases.flatten().flatten() {
        let Ok(file) = rusqlite::Connection::open(database.path().join("data")) else {
            continue;
        };
        file.busy_timeout(super::PATIENCE).unwrap();
        // The tiny database of the canary has no such table.
        changed += file.execute("update t set x = 77 where x = 2", []).unwrap_or(0);
    }
    assert_eq!(changed, 1);
}

fn doctor(server: &Deployment) -> Vec<String> {
    let findings: Value = serde_json::from_str(&server.world.torso(["doctor", "--json"]).stdout).unwrap_or_default();
    let all = findings.as_array().or_else(|| findings["findings"].as_array());
    let codes = all.into_iter().flatten().filter_map(|finding| finding["code"].as_str());
    codes.map(str::to_owned).collect()
}

fn fill(database: &Database) {
    let statements = ["CREATE TABLE t(x)", "INSERT INTO t VALUES (1), (2), (3)"];
    database.sql(&statements).unwrap();
}

#[test]
fn verification_in_the_background_finds_a_replica_that_differs() {
    let mut server = Deployment::new();
    let database = server.database("app");
    fill(&database);
    server.log_in();
    assert_eq!(metric(&server, "torso_verify_last_seconds"), None);
    assert_eq!(configure(&server, 1), 1);
    until(
        "the replicas are compared",
        || metric(&server, "torso_verify_last_seconds"),
        Option::is_some,
    );
    assert_eq!(metric(&server, "torso_differing_replicas"), Some(0));
    assert!(doctor(&server).contains(&"verified_replicas".to_owned()));

    tamper(&server, "lhr");
    until_or(
        "the replica that differs is found",
        || metric(&server, "torso_differing_replicas"),
        |differing| *differing == Some(1),
        |_| format!("{}\n{}", server.metrics(), server.log()),
    );
    let log = server.log();
    let line = log
        .lines()
        .find(|line| line.contains("a replica differs from its primary"));
    assert!(line.is_some_and(|line| line.contains("location=lhr")), "{log}");
    assert!(doctor(&server).contains(&"replica_differs".to_owned()));
    server.world.ok(["db", "verify", "app", "--repair"]);
    assert_eq!(metric(&server, "torso_differing_replicas"), Some(0));

    server.end(Signal::SIGTERM);
    server.start();
    let kept = server.ok("GET", "/v1/server/configuration", None);
    assert_eq!(kept["configuration"]["verify_every_seconds"], 1);
    assert_eq!(configure(&server, 0), Value::Null);
    let too_long = json!({ "verify_every_seconds": 999_999_999_999_u64 });
    let (status, error) = server.server().ask("PATCH", "/v1/server/configuration", Some(too_long));
    assert_eq!((status, &error["code"]), (400, &json!("invalid_value")), "{error}");
}

#[test]
fn verification_with_repair_says_when_the_primary_may_be_the_damaged_one() {
    let server = Deployment::new();
    server.log_in();
    let database = server.database("app");
    let rows =
        "INSERT INTO t SELECT value, 'the text of row ' || value || hex(zeroblob(500)) FROM generate_series(1, 4000)";
    database
        .sql(&["CREATE TABLE t(id INTEGER PRIMARY KEY, x)", rows])
        .unwrap();
    let marker = b"the text of row 77";
    let find = |bytes: &[u8]| bytes.windows(marker.len()).position(|window| window == marker);
    let home = || {
        let pools = server.pools_in("ams").into_iter();
        let homes = pools.filter_map(|pool| std::fs::read_dir(pool.join("sqld/dbs")).ok());
        let mut files = homes.flatten().flatten().map(|home| home.path().join("data"));
        files.find(|file| std::fs::read(file).is_ok_and(|bytes| find(&bytes).is_some()))
    };
    // It is in the file itself when the log has been written back.
    let file = until_or(
        "the row is in the file",
        || {
            database
                .sql(&["INSERT INTO t VALUES ((SELECT max(id) + 1 FROM t), hex(zeroblob(500)))"])
                .unwrap();
            home()
        },
        Option::is_some,
        |_| server.replication(),
    );
    let file = file.0.unwrap();
    let at = find(&std::fs::read(&file).unwrap()).unwrap();
    let rotten = std::fs::File::options().write(true).open(&file).unwrap();
    std::os::unix::fs::FileExt::write_at(&rotten, b"T", at as u64).unwrap();
    let plain = server.world.torso(["db", "verify", "app"]);
    assert_eq!(plain.code(), 5, "{}{}", plain.stdout, plain.stderr);
    let repaired = server.world.torso(["db", "verify", "app", "--repair"]);
    assert_eq!(repaired.code(), 5, "{}{}", repaired.stdout, repaired.stderr);
    let told = repaired.stderr;
    assert!(told.contains("the primary's own file may be the damaged one"), "{told}");
    assert!(
        told.contains("torso db promote app iad") || told.contains("torso db promote app lhr"),
        "{told}"
    );
    // What it names is the cure.
    server.world.ok(["db", "promote", "app", "lhr"]);
    server.world.ok(["db", "verify", "app"]);
    assert_eq!(
        database.value("SELECT substr(x, 1, 15) FROM t WHERE id = 77").unwrap(),
        "the text of row"
    );
}

/// The rows are right, and what is found by the index is not.
#[test]
fn verification_that_is_deep_finds_an_index_that_rots_and_repairs_it() {
    let server = Deployment::new();
    server.log_in();
    let database = server.database("app");
    let schema = [
        "CREATE TABLE u(k TEXT)",
        "CREATE INDEX by_k ON u(k)",
        "INSERT INTO u VALUES ('the key of row 1'), ('the key of row 2')",
        "CREATE TABLE t(id INTEGER PRIMARY KEY, x)",
    ];
    database.sql(&schema).unwrap();
    let write = || {
        let rows = "INSERT INTO t(x) SELECT hex(zeroblob(500)) FROM generate_series(1, 500)";
        database.sql(&[rows]).unwrap();
    };
    let key = b"the key of row 2";
    // Where the key is in a leaf of an index.
    let find = |bytes: &[u8]| {
        bytes.chunks(4096).enumerate().find_map(|(n, page)| {
            let at = page.windows(key.len()).position(|window| window == key)?;
            (page[0] == 10).then_some(n * 4096 + at)
        })
    };
    let rotten = until_or(
        "the index is in a replica's file",
        || {
            write();
            let pools = server.pools_in("lhr").into_iter();
            let homes = pools.filter_map(|pool| std::fs::read_dir(pool.join("sqld/dbs")).ok());
            let mut files = homes.flatten().flatten().map(|home| home.path().join("data"));
            files.find_map(|file| {
                let bytes = std::fs::read(&file).ok()?;
                Some((find(&bytes)?, file))
            })
        },
        Option::is_some,
        |_| server.replication(),
    );
    let (at, file) = rotten.0.unwrap();
    let file = std::fs::File::options().write(true).open(&file).unwrap();
    std::os::unix::fs::FileExt::write_at(&file, b"x", at as u64 + 6).unwrap();
    let deep = ["db", "verify", "app", "--deep"];
    // Once the log does not have the page any more.
    let found = until_or(
        "it is found",
        || {
            write();
            server.world.torso(deep)
        },
        |run| run.code() == 5,
        crate::support::Run::report,
    );
    assert!(
        found.0.stdout.contains("damaged: ") && found.0.stdout.contains("by_k"),
        "{}",
        found.0.stdout
    );
    server.world.ok(["db", "verify", "app"]);
    server.world.ok(["db", "verify", "app", "--deep", "--repair"]);
    server.world.ok(deep);
}

#[test]
fn verification_that_cannot_be_made_is_told_and_tried_again() {
    let mut server = Deployment::new();
    let database = server.database("app");
    fill(&database);
    server.end(Signal::SIGTERM);
    let disk = server.location_dirs("lhr").remove(0);
    let away = disk.with_file_name("lhr-away");
    std::fs::rename(&disk, &away).unwrap();
    std::fs::write(&disk, "no directory").unwrap();
    server.args.extend(["--verify-every", "1s"].map(str::to_owned));
    server.start();
    let failing = |server: &Deployment| server.metrics().contains("\ntorso_verify_failing_databases 1\n");
    until("it is told", || failing(&server), |failing| *failing);
    assert!(
        server.log().contains("could not be compared; trying again"),
        "{}",
        server.log()
    );
    std::fs::remove_file(&disk).unwrap();
    std::fs::rename(&away, &disk).unwrap();
    until_or(
        "it is compared when the disk is back",
        || failing(&server),
        |failing| !failing,
        |_| server.log(),
    );
    assert_eq!(metric(&server, "torso_differing_replicas"), Some(0));
}
