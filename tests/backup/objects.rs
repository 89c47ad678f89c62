//! Backups in object storage.

use super::KEY;
use crate::support::World;
use crate::support::object_storage::ObjectStorage;
use serde_json::json;

fn world(storage: &ObjectStorage) -> World {
    let mut world = World::with_app("create table t (x, y); insert into t values (1, randomblob(9000000)), (2, 'two')");
    storage.give_to(&mut world);
    world.set("TORSO_BACKUP_TO", "s3://torso/some/prefix");
    world
}

#[test]
fn object_storage_gives_back_what_was_backed_up() {
    let storage = ObjectStorage::start();
    let mut world = world(&storage);
    let key = world.write("backup.key", KEY);
    // More than one part each, and the second encrypted.
    let plain = world.json(["db", "backup", "app"]);
    let sealed = world.json(["db", "backup", "app", "--key-file", key.to_str().unwrap(), "--force"]);
    assert_eq!(plain["to"], "s3://torso/some/prefix");
    assert!(plain["stored_bytes"].as_u64().unwrap() > 8 << 20, "{plain}");
    let again = world.json(["db", "backup", "app"]);
    assert_eq!((&again["created"], &again["id"]), (&json!(false), &plain["id"]));
    assert_eq!(world.json(["db", "backups", "app"]).as_array().unwrap().len(), 2);
    world.ok(["db", "shell", "app", "delete from t"]);
    for (backup, name) in [(&plain, "one"), (&sealed, "two")] {
        let mut line = vec![
            "db",
            "restore",
            "app",
            "--from",
            backup["id"].as_str().unwrap(),
            "--as",
            name,
        ];
        if backup["encrypted"] == true {
            line.extend(["--key-file", key.to_str().unwrap()]);
        }
        world.ok(line);
        assert_eq!(world.query(name, "select count(*), sum(length(y)) from t"), "2|9000003");
    }
    world.torso(["db", "diff", "one", "two"]).success();
    // The keys may stand in a file.
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        world.unset(name);
    }
    let file = world.write("credentials", storage.credentials());
    world.set("AWS_SHARED_CREDENTIALS_FILE", file);
    assert_eq!(world.json(["db", "backups", "app"]).as_array().unwrap().len(), 2);
}

#[test]
fn object_storage_that_refuses_or_is_away_is_one_clear_error() {
    let mut storage = ObjectStorage::start();
    let mut world = world(&storage);
    let backup = |world: &World| {
        world
            .torso(["db", "backup", "app", "--json"])
            .fails(7, "backup_storage")
    };
    world.set("AWS_SECRET_ACCESS_KEY", "wrong");
    let refused = backup(&world).error();
    assert!(
        refused["message"].as_str().unwrap().contains("access is denied"),
        "{refused}"
    );
    assert!(!refused["message"].as_str().unwrap().contains('<'), "{refused}");
    storage.give_to(&mut world);
    world.set("TORSO_BACKUP_TO", "s3://another-bucket");
    let absent = backup(&world).error();
    assert!(
        absent["message"].as_str().unwrap().contains("no bucket another-bucket"),
        "{absent}"
    );
    world.set("TORSO_BACKUP_TO", "s3://torso/some/prefix");
    storage.stop();
    let begun = std::time::Instant::now();
    let away = backup(&world).error();
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
    assert!(away["hint"].as_str().unwrap().contains("AWS_ENDPOINT_URL"), "{away}");
    assert_eq!(away["retryable"], true);
    // Nobody has lost anything by it.
    assert_eq!(world.query("app", "select count(*) from t"), "2");
    storage.restart();
    world.ok(["db", "backup", "app"]);
}
