//! Backups of databases that are files, in a directory.

use super::KEY;
use crate::support::state::State;
use crate::support::{Run, World, until};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// A world with a database `app` of a few tables, and a variable that says where its backups are.
fn world() -> World {
    let mut world = World::with_app(
        "create table t (x integer primary key, y text); insert into t values (1, 'one'), (2, 'two');
         create table blobs (b blob); insert into blobs values (randomblob(100000)), (null); create index i on t (y);",
    );
    let backups = world.path("backups");
    world.set("TORSO_BACKUP_TO", &backups);
    world
}

fn id_of(backup: &Value) -> &str {
    backup["id"].as_str().unwrap()
}

/// The files below a directory that are called so.
fn files_called(dir: &Path, name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_called(&path, name));
        } else if path.file_name().unwrap() == name {
            found.push(path);
        }
    }
    found
}

#[test]
fn backups_that_are_checked_say_which_are_damaged() {
    let world = world();
    let whole = world.json(["db", "backup", "app"]);
    world.ok(["db", "shell", "app", "insert into t values (3, 'three')"]);
    let rotten = world.json(["db", "backup", "app"]);
    world.ok(["db", "shell", "app", "insert into t values (4, 'four')"]);
    let cut = world.json(["db", "backup", "app"]);
    let content = |backup: &Value| {
        let all = files_called(&world.path("backups"), "content");
        let is_of = |path: &&PathBuf| path.parent().unwrap().ends_with(id_of(backup));
        all.iter().find(is_of).unwrap().clone()
    };
    let mut bytes = std::fs::read(content(&rotten)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(content(&rotten), bytes).unwrap();
    std::fs::write(content(&cut), "short").unwrap();
    let state = |listed: &Value, backup: &Value| {
        let all = listed.as_array().unwrap();
        let row = all.iter().find(|row| row["id"] == backup["id"]).unwrap();
        assert_eq!(row["database"], "app");
        assert_eq!(row["state"] == "damaged", row["error"].is_string(), "{row}");
        row["state"].as_str().unwrap().to_owned()
    };
    let listed = world.json(["db", "backups", "app"]);
    assert_eq!(state(&listed, &whole), "ok");
    // Its size is right.
    assert_eq!(state(&listed, &rotten), "ok");
    assert_eq!(state(&listed, &cut), "damaged");
    let run = world.torso(["db", "backups", "app", "--check", "--json"]);
    assert_eq!(run.code(), 1, "{}", run.report());
    assert_eq!(run.error()["code"], "backup_damaged");
    let listed = run.json();
    assert_eq!(state(&listed, &whole), "ok");
    assert_eq!(state(&listed, &rotten), "damaged");
    assert_eq!(state(&listed, &cut), "damaged");
    for backup in [rotten, cut] {
        std::fs::remove_dir_all(content(&backup).parent().unwrap()).unwrap();
    }
    world.ok(["db", "backups", "--check"]);
}

#[test]
fn backup_is_restored_in_place_and_as_a_new_database() {
    let world = world();
    let before = State::of(&world);
    let shown = world.json(["db", "show", "app"]);
    let backup = world.json(["db", "backup", "app"]);
    assert_eq!(
        (&backup["created"], &backup["encrypted"]),
        (&json!(true), &json!(false))
    );
    world.ok(["db", "shell", "app", "delete from t; create table later (z)"]);
    world
        .torso(["db", "restore", "app", "--from", id_of(&backup), "--json"])
        .fails(6, "unconfirmed");
    assert_eq!(world.query("app", "select count(*) from t"), "0");

    let new = world.json(["db", "restore", "app", "--from", id_of(&backup), "--as", "earlier"]);
    assert_eq!((&new["created"], &new["Name"]), (&json!(true), &json!("earlier")));
    assert_ne!(new["DbId"], shown["DbId"]);
    assert_eq!(world.query("earlier", "select y from t where x = 2"), "two");
    assert_eq!(world.query("app", "select count(*) from t"), "0");

    let restored = world.json(["db", "restore", "app", "--from", id_of(&backup), "--yes"]);
    assert_eq!(restored["created"], false);
    for key in ["DbId", "url", "Name", "group", "primaryRegion"] {
        assert_eq!(restored[key], shown[key], "{key}");
    }
    assert_eq!(restored["backup"], backup["id"]);
    world.torso(["db", "diff", "app", "earlier"]).success();
    world.ok(["db", "destroy", "earlier", "--yes"]);
    assert_eq!(State::of(&world), before);
}

#[test]
fn backup_restored_in_place_reaches_the_replicas() {
    let world = world();
    world.ok(["db", "replicate", "app", "lhr"]);
    let backup = world.json(["db", "backup", "app"]);
    world.ok(["db", "shell", "app", "delete from t"]);
    world.ok(["db", "sync", "app"]);
    world.ok(["db", "restore", "app", "--from", id_of(&backup), "--yes"]);
    let replica = [
        "db",
        "shell",
        "app",
        "--location",
        "lhr",
        "select count(*) from t",
        "--output",
        "list",
    ];
    assert_eq!(world.ok(replica), "2\n");
}

#[test]
fn backup_of_a_database_that_was_destroyed_brings_it_back() {
    let world = world();
    let before = State::of(&world);
    let backup = world.json(["db", "backup", "app"]);
    world.ok(["db", "destroy", "app", "--yes"]);
    let listed = world.json(["db", "backups", "app"]);
    assert_eq!(listed[0]["id"], backup["id"]);
    world.ok(["db", "restore", "app", "--from", id_of(&backup), "--location", "ams"]);
    assert_eq!(State::of(&world), before);
}

#[test]
fn backup_is_not_made_again_while_nothing_changes() {
    let world = world();
    let first = world.json(["db", "backup", "app"]);
    let second = world.json(["db", "backup", "app"]);
    assert_eq!((&second["created"], &second["id"]), (&json!(false), &first["id"]));
    // The files change, and what is in them does not.
    world.ok([
        "db",
        "shell",
        "app",
        "begin; insert into t values (9, ''); rollback; pragma wal_checkpoint(truncate)",
    ]);
    assert_eq!(world.json(["db", "backup", "app"])["id"], first["id"]);
    let forced = world.json(["db", "backup", "app", "--force"]);
    assert_eq!(forced["created"], true);
    world.ok(["db", "shell", "app", "update t set y = 'eins' where x = 1"]);
    let changed = world.json(["db", "backup", "app"]);
    assert_eq!(changed["created"], true);
    let listed = world.json(["db", "backups", "app"]);
    let ids: Vec<_> = listed.as_array().unwrap().iter().map(id_of).collect();
    assert_eq!(ids.len(), 3, "{listed}");
    assert!(
        ids.contains(&id_of(&changed)) && ids.contains(&id_of(&forced)),
        "{listed}"
    );
}

#[test]
fn backup_of_a_renamed_database_is_still_its_own() {
    let world = world();
    let backup = world.json(["db", "backup", "app"]);
    world.ok(["db", "rename", "app", "renamed"]);
    assert_eq!(world.json(["db", "backups", "renamed"])[0]["id"], backup["id"]);
    world.ok(["db", "restore", "renamed", "--from", id_of(&backup), "--yes"]);
    world.ok(["db", "create", "other"]);
    let refused = world.torso(["db", "restore", "other", "--from", id_of(&backup), "--yes", "--json"]);
    refused.fails(5, "conflict");
}

#[test]
fn backup_with_a_key_is_read_only_with_it() {
    let mut world = world();
    let key = world.write("backup.key", KEY);
    let backup = world.json(["db", "backup", "app", "--key-file", key.to_str().unwrap()]);
    assert_eq!(backup["encrypted"], true);
    let restore = [
        "db",
        "restore",
        "app",
        "--from",
        id_of(&backup),
        "--as",
        "again",
        "--json",
    ];
    world.torso(restore).fails(1, "backup_key");
    world.set("TORSO_BACKUP_KEY", "x");
    world.torso(restore).fails(1, "backup_key");
    world.set("TORSO_BACKUP_KEY", KEY.replace('W', "V"));
    world.torso(restore).fails(1, "backup_key");
    assert_eq!(world.databases(), ["app"]);
    world.set("TORSO_BACKUP_KEY", KEY);
    world.ok(restore);
    world.torso(["db", "diff", "app", "again"]).success();
    // The variable with the file's name is as good, and an unencrypted backup is not taken with a key.
    world.unset("TORSO_BACKUP_KEY");
    let plain = world.json(["db", "backup", "app"]);
    world.set("TORSO_BACKUP_KEY_FILE", &key);
    assert_eq!(world.json(["db", "backup", "app"])["id"], backup["id"]);
    world
        .torso(["db", "restore", "app", "--from", id_of(&plain), "--yes", "--json"])
        .fails(1, "backup_key");
}

#[test]
fn backup_that_was_changed_is_found_out_before_anything_is_touched() {
    let world = world();
    let backup = world.json(["db", "backup", "app"]);
    world.ok(["db", "shell", "app", "delete from t"]);
    let before = State::of(&world);
    for name in ["content", "manifest"] {
        let found = files_called(&world.path("backups"), name);
        let [file] = &found[..] else {
            panic!("there is not one {name}");
        };
        let whole = std::fs::read(file).unwrap();
        for at in [0, whole.len() / 2, whole.len() - 1] {
            let mut flipped = whole.clone();
            flipped[at] ^= 4;
            std::fs::write(file, flipped).unwrap();
            for target in [&["--yes"][..], &["--as", "new"]] {
                let line = ["db", "restore", "app", "--from", id_of(&backup), "--json"];
                world.torso(line.iter().chain(target)).fails(1, "backup_damaged");
            }
        }
        std::fs::write(file, whole).unwrap();
    }
    assert_eq!(State::of(&world), before);
    let listed = world.json(["db", "backups", "app"]);
    assert_eq!(listed[0]["state"], "ok");
    world.ok(["db", "restore", "app", "--from", id_of(&backup), "--yes"]);
    assert_eq!(world.query("app", "select count(*) from t"), "2");
}

#[test]
fn backup_of_a_database_in_use_is_one_moment_of_it() {
    let world = world();
    world.ok(["db", "shell", "app", "create table a (x); create table b (x)"]);
    let path = world.ok(["db", "show", "app", "--path"]).trim().to_owned();
    let writer = std::thread::spawn(move || {
        let connection = rusqlite::Connection::open(path).unwrap();
        connection.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
        for number in 0..400 {
            // Both or neither.
            let both = format!("begin; insert into a values ({number}); insert into b values ({number}); commit");
            connection.execute_batch(&both).unwrap();
        }
    });
    let mut ids = Vec::new();
    while !writer.is_finished() || ids.is_empty() {
        ids.push(id_of(&world.json(["db", "backup", "app"])).to_owned());
    }
    writer.join().unwrap();
    ids.dedup();
    for (turn, id) in ids.iter().enumerate() {
        let name = format!("copy-{turn}");
        world.ok(["db", "restore", "app", "--from", id, "--as", &name]);
        let counts =
            "select (select count(*) from a) = (select count(*) from b) and (select count(*) = max(x) + 1 from a)";
        let found = world.query(&name, counts);
        assert!(["1", ""].contains(&found.as_str()), "{found}");
        assert_eq!(world.query(&name, "pragma integrity_check"), "ok");
    }
    let last = world.json(["db", "backup", "app"]);
    world.ok(["db", "restore", "app", "--from", id_of(&last), "--as", "last"]);
    assert_eq!(world.query("last", "select count(*) from a"), "400");
}

#[test]
fn backup_that_is_killed_is_not_listed() {
    let world = world();
    world.ok([
        "db",
        "shell",
        "app",
        "insert into blobs select randomblob(1000000) from t, t, t",
    ]);
    let (mut killed, mut random) = (0, fastrand::Rng::with_seed(9));
    for _ in 0..20 {
        let mut child = world.torso_command(["db", "backup", "app", "--force"]).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(random.u64(5..400)));
        killed += usize::from(child.kill().is_ok());
        child.wait().unwrap();
    }
    assert!(killed > 0);
    let listed = world.json(["db", "backups"]);
    for backup in listed.as_array().unwrap() {
        assert_eq!(backup["state"], "ok", "{backup}");
        world.ok(["db", "restore", "app", "--from", id_of(backup), "--yes"]);
    }
    world.ok(["db", "backup", "app", "--force"]);
    assert_eq!(
        world
            .ok(["doctor"])
            .lines()
            .filter(|line| line.contains("error"))
            .count(),
        0
    );
}

#[test]
fn backup_s_age_is_in_db_show() {
    let world = world();
    assert_eq!(world.json(["db", "show", "app"]).get("last_backup"), None);
    let backup = world.json(["db", "backup", "app"]);
    let shown = world.json(["db", "show", "app"]);
    assert_eq!(shown["last_backup"]["id"], backup["id"]);
    let card = world.ok(["db", "show", "app"]);
    assert!(card.contains("Last backup"), "{card}");
    // A backup of nothing new is the last one, too.
    let at = |shown: &Value| shown["last_backup"]["at"].as_str().unwrap().to_owned();
    world.ok(["db", "backup", "app"]);
    assert!(at(&world.json(["db", "show", "app"])) > at(&shown));
    // What is known of databases that are gone goes with the next note.
    world.ok(["db", "destroy", "app", "--yes"]);
    world.ok(["db", "create", "other"]);
    world.ok(["db", "backup", "other"]);
    assert_eq!(std::fs::read_dir(world.data_dir().join("backups")).unwrap().count(), 1);
}

#[test]
fn restore_that_is_not_possible_says_why() {
    let mut world = world();
    let nothing = "20261130-031500-4f3a9c1b";
    let restore = |world: &World, more: &[&str]| -> Run {
        let line = ["db", "restore", "app", "--json", "--yes"];
        world.torso(line.iter().chain(more))
    };
    restore(&world, &["--from", nothing]).fails(3, "backup_not_found");
    let backup = world.json(["db", "backup", "app"]);
    let id = id_of(&backup);
    restore(&world, &["--from", nothing]).fails(3, "backup_not_found");
    restore(&world, &["--from", "../../etc"]).fails(1, "invalid_value");
    restore(&world, &["--from", id, "--as", "app"]).fails(5, "database_exists");
    restore(&world, &["--from", id, "--location", "lhr"]).fails(2, "usage");
    world.ok(["db", "config", "set", "app", "delete-protection", "on"]);
    restore(&world, &["--from", id]).fails(5, "delete_protected");
    world.unset("TORSO_BACKUP_TO");
    restore(&world, &["--from", id]).fails(2, "usage");
    world.torso(["db", "backup", "app", "--json"]).fails(2, "usage");
    world
        .torso(["db", "backup", "app", "--to", "ftp://x/y", "--json"])
        .fails(1, "invalid_value");
    world
        .torso(["db", "backup", "nowhere", "--to", "b", "--json"])
        .fails(3, "database_not_found");
}

#[test]
fn restore_of_a_database_in_use_is_refused() {
    let world = world();
    let backup = world.json(["db", "backup", "app"]);
    let path = world.ok(["db", "show", "app", "--path"]).trim().to_owned();
    let connection = rusqlite::Connection::open(path).unwrap();
    connection
        .execute_batch("begin; select * from t; insert into t values (3, 'three')")
        .unwrap();
    let line = ["db", "restore", "app", "--from", id_of(&backup), "--yes", "--json"];
    world.torso(line).fails(7, "database_busy");
    connection.execute_batch("commit").unwrap();
    drop(connection);
    assert_eq!(world.query("app", "select count(*) from t"), "3");
    until("the database is free", || world.torso(line).status.success());
    assert_eq!(world.query("app", "select count(*) from t"), "2");
}

#[test]
fn restore_over_a_file_that_is_lost_sets_aside_what_is_left() {
    let world = world();
    world.ok(["db", "replicate", "app", "lhr"]);
    let backup = world.json(["db", "backup", "app"]);
    let shown = world.json(["db", "show", "app"]);
    let file = PathBuf::from(world.ok(["db", "show", "app", "--path"]).trim());
    let file = std::fs::canonicalize(file).unwrap();
    let restore = ["db", "restore", "app", "--from", id_of(&backup), "--yes"];
    let losses: [(&str, &dyn Fn()); 3] = [
        ("missing", &|| std::fs::remove_file(&file).unwrap()),
        ("empty", &|| std::fs::write(&file, "").unwrap()),
        ("no database", &|| std::fs::write(&file, vec![b'x'; 5000]).unwrap()),
    ];
    for (loss, lose) in losses {
        lose();
        // The log of another database in its place would be taken for its own.
        std::fs::write(file.with_extension("db-wal"), "a log that is left").unwrap();
        let restored = world.json(restore);
        assert_eq!(
            (&restored["DbId"], &restored["url"]),
            (&shown["DbId"], &shown["url"]),
            "{loss}"
        );
        assert_eq!(world.query("app", "select count(*) from t"), "2", "{loss}");
        let replica = ["db", "shell", "app", "--location", "lhr", "select count(*) from t"];
        assert_eq!(world.ok(replica).trim(), "2", "{loss}");
    }
    let kept = std::fs::read_dir(file.parent().unwrap()).unwrap().flatten();
    let kept: Vec<_> = kept.map(|entry| entry.path()).filter(|path| *path != file).collect();
    let has = |content: &[u8]| {
        kept.iter()
            .any(|path| std::fs::read(path).unwrap_or_default().starts_with(content))
    };
    assert!(has(b"xxxx") && has(b"a log that is left"), "{kept:?}");
}
