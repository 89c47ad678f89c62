//! Commands and the shell write no file in the place of one of torso's own, whatever way its path is written.

use crate::support::World;
use std::path::PathBuf;

/// A world with databases `app` and `other`, and the paths of torso's own files: what `other` is stored in, its link, the catalog.
fn world() -> (World, [PathBuf; 3]) {
    let world = World::with_app("create table t(a)");
    world.ok(["db", "create", "other", "--location", "ams"]);
    world.ok(["db", "shell", "other", "create table kept(a)"]);
    let link = PathBuf::from(world.ok(["db", "show", "other", "--path"]).trim());
    let file = link.canonicalize().unwrap();
    let catalog = world.path("data/catalog.db");
    (world, [file, link, catalog])
}

#[test]
fn own_files_are_not_replaced_by_exports_and_dumps() {
    let (world, own) = world();
    for (at, path) in own.iter().enumerate() {
        let path = path.to_str().unwrap();
        for verb in ["export", "dump"] {
            let line = ["db", verb, "app", "--output-file", path, "--overwrite", "--json"];
            let run = world.torso(line).fails(1, "invalid_file");
            let message = run.error()["message"].as_str().unwrap().to_owned();
            let named = if at < 2 {
                "database other of torso"
            } else {
                "torso's own files"
            };
            assert!(message.contains(named), "{message}");
        }
    }
    // By another way to it, and where there is no such file yet.
    let inside = world.path("data/locations/ams/../new.db");
    let inside = inside.to_str().unwrap();
    world
        .torso(["db", "export", "app", "--output-file", inside, "--json"])
        .fails(1, "invalid_file");
    std::os::unix::fs::symlink(world.path("data"), world.path("work/way")).unwrap();
    let line = [
        "db",
        "dump",
        "app",
        "--output-file",
        "way/catalog.db",
        "--overwrite",
        "--json",
    ];
    world.torso(line).fails(1, "invalid_file");
    world
        .torso(["env", "pull", "way/catalog.db", "--db", "app", "--json"])
        .fails(1, "invalid_file");
    assert_eq!(world.ok(["db", "shell", "other", ".tables"]), "kept\n");
    assert_eq!(world.ok(["db", "list", "--output", "name"]), "app\nother\n");
    world.ok(["db", "export", "app", "--output-file", "app.db", "--overwrite"]);
}

#[test]
fn own_files_in_a_directory_of_a_location_are_not_replaced() {
    let world = World::with_app("create table t(a)");
    let dir = world.path("work/far");
    std::fs::create_dir(&dir).unwrap();
    world.ok([
        "location",
        "add",
        "far",
        "--name",
        "Far",
        "--dir",
        dir.to_str().unwrap(),
    ]);
    world.ok(["db", "create", "other", "--location", "far"]);
    let link = PathBuf::from(world.ok(["db", "show", "other", "--path"]).trim());
    let file = link.canonicalize().unwrap();
    assert!(file.starts_with(dir.canonicalize().unwrap()), "{}", file.display());
    let line = [
        "db",
        "export",
        "app",
        "--output-file",
        file.to_str().unwrap(),
        "--overwrite",
        "--json",
    ];
    let run = world.torso(line).fails(1, "invalid_file");
    assert!(run.stderr.contains("database other of torso"), "{}", run.stderr);
    // Other files there are nobody's.
    let beside = dir.join("copy.db");
    for _ in 0..2 {
        world.ok([
            "db",
            "export",
            "app",
            "--output-file",
            beside.to_str().unwrap(),
            "--overwrite",
        ]);
    }
}

#[test]
fn own_files_are_not_written_by_dot_commands() {
    let (world, own) = world();
    let before: Vec<Vec<u8>> = own.iter().map(|path| std::fs::read(path).unwrap()).collect();
    for path in &own {
        for command in [".output", ".once", ".log", ".trace", ".backup", ".save", ".open --new"] {
            let script = format!("{command} {}\n", path.display());
            let run = world.torso_with_input(["db", "shell", "app", "-bail"], &script);
            assert_eq!(run.code(), 1, "{script}{}", run.report());
            assert!(run.stderr.contains("torso"), "{}", run.report());
        }
    }
    for (path, before) in own.iter().zip(before) {
        assert!(std::fs::read(path).unwrap() == before, "{}", path.display());
    }
    assert_eq!(world.ok(["db", "shell", "other", ".tables"]), "kept\n");
}
