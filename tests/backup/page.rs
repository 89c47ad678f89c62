//! A whole server comes back on an empty machine, by the commands of `docs/backup.md`, word for word but for names of machines.

use super::KEY;
use super::server::serve;
use crate::docs::pages::{Block, Page};
use crate::support::object_storage::ObjectStorage;
use crate::support::{Run, World, crate_root, sqld, until, world::TORSO};
use std::path::Path;

/// The commands of a section, in order.
fn commands_of(heading: &str) -> Vec<String> {
    let path = crate_root().join("docs/backup.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let begin = text.find(&format!("\n## {heading}\n")).unwrap() + 1;
    let section = &text[begin..];
    let end = section.find("\n## ").unwrap_or(section.len());
    let page = Page {
        path,
        text: section[..end].to_owned(),
    };
    let followed = |block: &Block| block.marker.as_deref() == Some("run: whole server");
    page.blocks()
        .into_iter()
        .filter(followed)
        .map(|block| block.text)
        .collect()
}

/// A machine: torso is on its path, with libSQL server, the keys of the object storage, and the key of the backups.
fn machine(storage: &ObjectStorage) -> World {
    let mut world = World::new();
    let bin = world.path("bin");
    std::fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink(TORSO, bin.join("torso")).unwrap();
    world.set("PATH", format!("{}:/usr/bin:/bin", bin.display()));
    world.set("TORSO_SQLD", sqld::program());
    storage.give_to(&mut world);
    world.write("backup.key", KEY);
    world
}

/// A command of the page, with the names that this machine has.
fn translate(world: &World, text: &str) -> String {
    let key = world.work().join("backup.key");
    text.replace("s3://backups/torso", "s3://torso/page")
        .replace("/etc/torso/backup.key", key.to_str().unwrap())
        .replace("/var/lib/torso", world.data_dir().to_str().unwrap())
}

fn follow(world: &World, text: &str) -> Run {
    let mut shell = world.command("sh");
    shell.args(["-euc", &translate(world, text)]);
    Run::of(shell).success()
}

/// The options of the `torso server` of the page.
fn server_options(world: &World, text: &str) -> Vec<String> {
    let line = translate(world, text);
    let options = line.trim().strip_prefix("torso server ").unwrap();
    options.split(' ').map(str::to_owned).collect()
}

#[test]
fn backup_page_brings_a_server_back_on_an_empty_machine() {
    let storage = ObjectStorage::start();
    let mut lost = machine(&storage);
    let of_server = commands_of("The whole server");
    let [start, schedules, by_hand] = &of_server[..] else {
        panic!("{of_server:?}");
    };
    let options = server_options(&lost, start);
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let server = serve(&mut lost, &options);
    let token = server.token.clone();
    lost.ok(["org", "create", "acme"]);
    lost.ok(["--org", "acme", "db", "create", "app", "--location", "ams"]);
    lost.ok(["--org", "acme", "db", "replicate", "app", "lhr"]);
    lost.ok([
        "--org",
        "acme",
        "db",
        "shell",
        "app",
        "create table t (x); insert into t values ('kept')",
    ]);
    let database_token = lost
        .ok(["--org", "acme", "db", "tokens", "create", "app"])
        .trim()
        .to_owned();
    follow(&lost, schedules);
    follow(&lost, by_hand);
    drop(server);
    drop(lost);

    let mut empty = machine(&storage);
    let of_restore = commands_of("Restore the server onto an empty machine");
    let [restore] = &of_restore[..] else {
        panic!("{of_restore:?}");
    };
    follow(&empty, restore);
    empty.set("TORSO_TOKEN", &token);
    let options = server_options(&empty, start);
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let _server = serve(&mut empty, &options);
    let url = empty.json(["--org", "acme", "db", "show", "app"])["url"]
        .as_str()
        .unwrap()
        .to_owned();
    let mut open = empty.torso_command(["db", "shell", &url, "select x from t", "--output", "list"]);
    open.env("TORSO_DATABASE_TOKEN", database_token);
    assert_eq!(Run::of(open).success().stdout, "kept\n");
    until("the replica is made again", || {
        let line = [
            "--org",
            "acme",
            "db",
            "shell",
            "app",
            "--location",
            "lhr",
            "select x from t",
            "--output",
            "list",
        ];
        empty.torso(line).stdout == "kept\n"
    });
    // What was set of the schedules is part of it.
    let listed = empty.json(["server", "schedules", "list"]);
    assert_eq!(listed[1]["organization"], "acme", "{listed}");
    assert!(is_private(&empty.data_dir().join("server/keys/database-tokens.pem")));
}

fn is_private(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o77 == 0
}
