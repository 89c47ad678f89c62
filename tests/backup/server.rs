//! Backups of databases on a server, and of a server as a whole.

use super::KEY;
use crate::support::object_storage::ObjectStorage;
use crate::support::server::Server;
use crate::support::sqld;
use crate::support::{Run, World, golden, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The verbs whose documents are recorded here: they need a server's data directory.
pub const ANSWERS: &[(&str, &str)] = &[
    ("server-backup", "server backup"),
    ("server-backups", "server backups"),
    ("server-restore", "server restore"),
];

/// A world whose commands work on a server in it.
pub fn serve(world: &mut World, more: &[&str]) -> Server {
    let mut args = vec!["--owner", "alice", "--locations", "ams,lhr"];
    args.extend(more);
    let server = Server::start(world, &args);
    world.set("TORSO_API_URL", server.url());
    if !server.token.is_empty() {
        world.set("TORSO_TOKEN", &server.token);
    }
    server.wait_ready();
    server
}

pub fn make_app(world: &World) {
    world.ok(["db", "create", "app", "--location", "ams"]);
    world.ok([
        "db",
        "shell",
        "app",
        "create table t (x, y); insert into t values (1, 'one'), (2, randomblob(50000))",
    ]);
}

pub fn sqld_program() -> String {
    sqld::program().to_str().unwrap().to_owned()
}

/// What a data directory's own commands need, without the server of the world.
pub fn on_machine(world: &World, args: &[&str]) -> Run {
    let mut command = world.torso_command(args);
    command.env_remove("TORSO_API_URL").env_remove("TORSO_TOKEN");
    Run::of(command)
}

fn metrics(server: &Server) -> BTreeMap<String, f64> {
    let text = server.request("GET", "/metrics").send().unwrap().text().unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
        .collect()
}

#[test]
fn backup_of_a_database_on_a_server_is_restored_in_place_and_as_new() {
    let mut world = World::new();
    let _server = serve(&mut world, &[]);
    make_app(&world);
    world.ok(["db", "replicate", "app", "lhr"]);
    let shown = world.json(["db", "show", "app"]);
    let token = world.ok(["db", "tokens", "create", "app"]).trim().to_owned();
    let backup = world.json(["db", "backup", "app", "--to", "backups"]);
    // The replica that has everything was copied.
    until("the replica is copied", || {
        world.json(["db", "backup", "app", "--to", "backups", "--force"])["location"] == "lhr"
    });
    let again = world.json(["db", "backup", "app", "--to", "backups", "--location", "lhr"]);
    assert_eq!(again["created"], false, "{again}");
    world.ok(["db", "shell", "app", "delete from t"]);
    let id = backup["id"].as_str().unwrap();
    world.ok([
        "db", "restore", "app", "--from", id, "--in", "backups", "--as", "earlier",
    ]);
    assert_eq!(
        world.query("earlier", "select count(*), sum(length(y)) from t"),
        "2|50003"
    );
    let restored = world.json(["db", "restore", "app", "--from", id, "--in", "backups", "--yes"]);
    for key in ["DbId", "url", "Hostname", "regions"] {
        assert_eq!(restored[key], shown[key], "{key}");
    }
    world.torso(["db", "diff", "app", "earlier"]).success();
    let mut command = world.torso_command(["db", "shell", shown["url"].as_str().unwrap(), "select count(*) from t"]);
    command.env("TORSO_DATABASE_TOKEN", token);
    assert_eq!(Run::of(command).success().stdout, "2\n");
    // Who may only look can do neither.
    let minted = world.json(["auth", "api-tokens", "mint", "look", "--read-only"]);
    world.set("TORSO_TOKEN", minted["value"].as_str().unwrap());
    let restore = ["db", "restore", "app", "--from", id, "--in", "backups", "--json"];
    world.torso(restore.iter().chain(&["--yes"])).fails(4, "forbidden");
    world
        .torso(restore.iter().chain(&["--as", "new"]))
        .fails(4, "forbidden");
}

/// Content that the place has lost is stored again, though nothing has changed.
#[test]
fn backup_whose_content_was_lost_is_made_again() {
    let mut world = World::new();
    let _server = serve(&mut world, &[]);
    make_app(&world);
    let sqld = sqld_program();
    let backup = || {
        let line = ["server", "backup", "--to", "backups", "--sqld", &sqld, "--json"];
        on_machine(&world, &line).success().json()
    };
    assert_eq!(backup()["copied"], 1);
    let own = world.json(["db", "backup", "app", "--to", "own"]);
    assert_eq!((&backup()["copied"], &own["created"]), (&json!(0), &json!(true)));
    let mut files = Vec::new();
    for place in ["backups", "own"] {
        collect(&world.work().join(place).join("databases"), &mut files);
    }
    files.retain(|file| file.ends_with("content"));
    assert_eq!(files.len(), 2, "{files:?}");
    std::fs::remove_file(&files[0]).unwrap();
    std::fs::File::options()
        .write(true)
        .open(&files[1])
        .unwrap()
        .set_len(10)
        .unwrap();
    let empty = World::new();
    let place = world.work().join("backups");
    let restored = on_machine(&empty, &["server", "restore", "--in", place.to_str().unwrap()]);
    assert!(
        restored.stderr.contains("database app: the backup is damaged"),
        "{}",
        restored.report()
    );
    assert_eq!(backup()["copied"], 1);
    assert_eq!(world.json(["db", "backup", "app", "--to", "own"])["created"], true);
}

/// A backup that somebody asked for is not one that goes with those of the server.
#[test]
fn backup_of_a_database_is_its_own_where_the_server_has_one() {
    let mut world = World::new();
    let _server = serve(&mut world, &[]);
    make_app(&world);
    let line = [
        "server",
        "backup",
        "--to",
        "backups",
        "--sqld",
        &sqld_program(),
        "--json",
    ];
    let of_server = on_machine(&world, &line).success().json();
    assert_eq!(of_server["copied"], 1, "{of_server}");
    let own = world.json(["db", "backup", "app", "--to", "backups"]);
    assert_eq!(own["created"], true, "{own}");
    let again = world.json(["db", "backup", "app", "--to", "backups"]);
    assert_eq!(
        (&again["created"], &again["id"]),
        (&json!(false), &own["id"]),
        "{again}"
    );
}

#[test]
fn server_restored_onto_an_empty_machine_is_the_same_server() {
    let storage = ObjectStorage::start();
    let mut world = World::new();
    storage.give_to(&mut world);
    let server = serve(&mut world, &[]);
    let token = server.token.clone();
    make_app(&world);
    world.ok(["group", "create", "wide", "--location", "ams"]);
    world.ok(["group", "locations", "add", "wide", "lhr"]);
    world.ok(["db", "create", "spread", "--group", "wide"]);
    world.ok([
        "db",
        "shell",
        "spread",
        "create table s (z); insert into s values ('everywhere')",
    ]);
    world.ok(["org", "create", "acme"]);
    world.ok(["--org", "acme", "db", "create", "theirs"]);
    world.ok([
        "--org",
        "acme",
        "db",
        "shell",
        "theirs",
        "create table a (b); insert into a values (7)",
    ]);
    world.ok(["db", "config", "set", "app", "size-limit", "64mb"]);
    let database_token = world.ok(["db", "tokens", "create", "app"]).trim().to_owned();
    let revoked = world.json(["db", "tokens", "create", "app"]);
    world.ok([
        "db",
        "tokens",
        "revoke",
        "app",
        revoked["id"].as_str().unwrap(),
        "--yes",
    ]);
    let before: Vec<Value> = [
        &["db", "list"][..],
        &["group", "list"],
        &["org", "list"],
        &["db", "tokens", "list", "app"],
    ]
    .iter()
    .map(|line| world.json(*line))
    .collect();
    let key = world.write("backup.key", KEY);
    let sqld = sqld_program();
    let to = ["--key-file", key.to_str().unwrap()];
    let backup = |world: &World| {
        let mut line = vec![
            "server",
            "backup",
            "--to",
            "s3://torso/server",
            "--sqld",
            &sqld,
            "--json",
        ];
        line.extend(to);
        on_machine(world, &line).success().json()
    };
    let first = backup(&world);
    assert_eq!(
        (&first["databases"], &first["copied"]),
        (&json!(3), &json!(3)),
        "{first}"
    );
    world.ok(["db", "shell", "app", "insert into t values (3, 'three')"]);
    let mut second = backup(&world);
    assert_eq!(
        (&second["databases"], &second["copied"]),
        (&json!(3), &json!(1)),
        "{second}"
    );
    second["server"] = "[server]".into();
    golden::check(&world, "server-backup", second.take());
    // What is written after the backup is not in it.
    world.ok(["db", "shell", "app", "insert into t values (4, 'four')"]);
    drop(server);

    let mut empty = World::new();
    storage.give_to(&mut empty);
    let from = ["--in", "s3://torso/server"];
    let mut list = vec!["server", "backups", "--json"];
    list.extend(from);
    let mut listed = on_machine(&empty, &list).success().json();
    for backup in listed.as_array_mut().unwrap() {
        backup["server"] = "[server]".into();
    }
    golden::check(&empty, "server-backups", listed);
    let mut line = vec!["server", "restore", "--json"];
    line.extend(from);
    on_machine(&empty, &line).fails(1, "backup_key");
    let key = empty.write("backup.key", KEY);
    line.extend(["--key-file", key.to_str().unwrap()]);
    let restored = on_machine(&empty, &line).success().json();
    assert_eq!(
        (&restored["organizations"], &restored["databases"]),
        (&json!(2), &json!(3))
    );
    golden::check(&empty, "server-restore", restored);
    on_machine(&empty, &line).fails(5, "conflict");

    empty.set("TORSO_TOKEN", &token);
    let server = serve(&mut empty, &[]);
    for (line, before) in [
        &["db", "list"][..],
        &["group", "list"],
        &["org", "list"],
        &["db", "tokens", "list", "app"],
    ]
    .iter()
    .zip(&before)
    {
        let pick = |value: &Value| -> Vec<Value> {
            let keys = [
                "Name",
                "name",
                "DbId",
                "uuid",
                "group",
                "locations",
                "regions",
                "slug",
                "id",
                "revoked_at",
            ];
            let items = value.as_array().unwrap().iter();
            items
                .map(|item| keys.iter().map(|key| item[key].clone()).collect())
                .collect()
        };
        assert_eq!(pick(&empty.json(*line)), pick(before), "{line:?}");
    }
    assert_eq!(empty.query("app", "select count(*) from t"), "3");
    assert_eq!(empty.query("spread", "select z from s"), "everywhere");
    assert_eq!(
        empty.ok(["--org", "acme", "db", "shell", "theirs", "select b from a"]),
        "7\n"
    );
    assert_eq!(
        empty.json(["db", "config", "show", "app"])["size_limit"],
        json!(64 << 20)
    );
    let url = empty.json(["db", "show", "app"])["url"].as_str().unwrap().to_owned();
    let open = |token: &str| {
        let mut command = empty.torso_command(["db", "shell", &url, "select count(*) from t"]);
        command.env("TORSO_DATABASE_TOKEN", token);
        Run::of(command)
    };
    assert_eq!(open(&database_token).success().stdout, "3\n");
    assert_ne!(open(revoked["jwt"].as_str().unwrap()).code(), 0);
    until("the replicas are made again", || {
        let replicas = empty.json(["db", "replicas", "spread"]);
        replicas.as_array().unwrap().iter().all(|one| one["state"] == "ready") && replicas[1]["name"] == "lhr"
    });
    empty.ok(["db", "shell", "app", "insert into t values (5, 'five')"]);
    let findings = empty.torso(["doctor", "--json"]).stdout;
    assert!(findings.contains("copied_directory"), "{findings}");
    drop(server);
}

#[test]
#[allow(clippy::print_stdout)] // The figures are part of the proof; `--nocapture` shows them.
fn server_backs_itself_up_and_an_outage_of_the_storage_slows_no_query() {
    let mut storage = ObjectStorage::start();
    let mut world = World::new();
    storage.give_to(&mut world);
    let server = serve(
        &mut world,
        &[
            "--backup-to",
            "s3://torso/nightly",
            "--backup-every",
            "1s",
            "--backup-keep",
            "1d",
        ],
    );
    make_app(&world);
    let has = |name: &str, value: f64| metrics(&server).get(name) == Some(&value);
    until("the database is backed up", || has("torso_backup_databases", 1.0));
    let shown = world.json(["db", "show", "app"]);
    assert_eq!(shown["last_backup"]["to"], "the server's backups", "{shown}");
    assert!(world.torso(["doctor", "--json"]).stdout.contains("\"server_backups\""));
    // Of one day, one is kept.
    let count = || {
        let listed = on_machine(&world, &["server", "backups", "--in", "s3://torso/nightly", "--json"]);
        listed.success().json().as_array().unwrap().len()
    };
    until("old ones are deleted", || count() <= 2);

    let token = world.ok(["db", "tokens", "create", "app"]).trim().to_owned();
    let url = format!(
        "{}/v2/pipeline",
        shown["url"].as_str().unwrap().replace("libsql://", "http://")
    );
    let client = Server::client();
    // The median and the longest of the times that writes take, for a while.
    let times = |seconds: f64| {
        let (end, mut times) = (Instant::now() + Duration::from_secs_f64(seconds), Vec::new());
        while Instant::now() < end || times.len() < 20 {
            let begun = Instant::now();
            let body = json!({"requests": [
                {"type": "execute", "stmt": {"sql": "insert into t values (9, 'nine')"}}, {"type": "close"}
            ]});
            let request = client.post(&url).bearer_auth(&token).body(body.to_string());
            assert_eq!(request.send().unwrap().status().as_u16(), 200);
            times.push(begun.elapsed());
        }
        times.sort();
        (times[times.len() / 2], times[times.len() - 1])
    };
    let seconds = std::env::var("TORSO_OUTAGE_SECONDS").map_or(3.0, |seconds| seconds.parse().unwrap());
    let usual = times(seconds);
    storage.signal(Signal::SIGSTOP);
    let hung = times(seconds);
    storage.signal(Signal::SIGCONT);
    storage.stop();
    until("the outage is in the metrics", || has("torso_backup_failing", 1.0));
    let away = times(seconds);
    println!("median and longest write: {usual:?}, storage that hangs {hung:?}, that is away {away:?}");
    for (median, longest) in [hung, away] {
        assert!(median < usual.0 * 2 + Duration::from_millis(20), "{usual:?} {median:?}");
        assert!(longest < Duration::from_secs(2), "{usual:?} {longest:?}");
    }
    let findings = world.torso(["doctor", "--json"]).stdout;
    assert!(
        findings.contains("backups of the server fail") || findings.contains("no backup of the server"),
        "{findings}"
    );
    let log = || std::fs::read_to_string(world.work().join("server.log")).unwrap();
    assert!(log().contains("a backup failed"), "{}", log());
    storage.restart();
    until("it goes on", || has("torso_backup_failing", 0.0));
    assert!(metrics(&server)["torso_backup_failures_total"] >= 1.0);
}

#[test]
fn server_backup_that_was_changed_restores_nothing() {
    let mut world = World::new();
    let server = serve(&mut world, &[]);
    make_app(&world);
    let sqld = sqld_program();
    on_machine(&world, &["server", "backup", "--to", "backups", "--sqld", &sqld]).success();
    drop(server);
    // It does not have to run, and what has not changed is not copied again.
    let again = on_machine(
        &world,
        &["server", "backup", "--to", "backups", "--sqld", &sqld, "--json"],
    );
    assert_eq!(again.success().json()["databases"], 1);
    let mut empty = World::new();
    let backups = world.work().join("backups");
    empty.set("TORSO_BACKUP_TO", &backups);
    let mut files = Vec::new();
    collect(&backups, &mut files);
    let newest = files
        .iter()
        .filter(|file| !file.starts_with(backups.join("databases")))
        .max();
    let newest_folder = newest.unwrap().parent().unwrap().to_owned();
    files.retain(|file| file.starts_with(backups.join("databases")) || file.starts_with(&newest_folder));
    assert!(files.len() >= 5, "{files:?}");
    for file in files {
        let whole = std::fs::read(&file).unwrap();
        let mut flipped = whole.clone();
        let at = flipped.len() / 2;
        flipped[at] ^= 8;
        std::fs::write(&file, flipped).unwrap();
        on_machine(&empty, &["server", "restore", "--json"]).fails(1, "backup_damaged");
        let left: Vec<_> = std::fs::read_dir(empty.data_dir())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left, ["restore.lock"], "{file:?}");
        std::fs::write(&file, whole).unwrap();
    }
    // The rest of a server whose one database is damaged is restored when that is asked for.
    let content = files_of(&backups.join("databases"), "content");
    let whole = std::fs::read(&content).unwrap();
    std::fs::write(&content, &whole[..10]).unwrap();
    let rest = on_machine(&empty, &["server", "restore", "--skip-damaged", "--json"]);
    assert_eq!(rest.code(), 8, "{}", rest.stderr);
    let rest: serde_json::Value = serde_json::from_str(&rest.stdout).unwrap();
    assert_eq!(
        (&rest["databases"], &rest["lost"][0]["name"]),
        (&0.into(), &"app".into()),
        "{rest}"
    );
}

/// The only file of a name below a directory.
fn files_of(dir: &std::path::Path, name: &str) -> std::path::PathBuf {
    let mut files = Vec::new();
    collect(dir, &mut files);
    files.retain(|file| file.file_name().is_some_and(|found| found == name));
    assert_eq!(files.len(), 1, "{files:?}");
    files.remove(0)
}

fn collect(dir: &std::path::Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.push(path);
        }
    }
}
