//! `torso engine`: finding and installing the program.

use crate::support::World;
use crate::support::sqld::program;

#[test]
fn the_program_is_found_in_the_promised_order() {
    let mut world = World::new();
    let told = world.torso(["engine", "status"]);
    assert_eq!(told.code(), 3);
    assert!(told.stderr.contains("torso engine install"), "{}", told.stderr);
    // Installed: npm is asked, and what it brings is checked.
    let installed = world.json(["engine", "install"]);
    assert_eq!(
        (installed["version"].as_str(), installed["tested"].as_bool()),
        (Some("0.24.32"), Some(true))
    );
    let again = world.json(["engine", "install"]);
    assert_eq!(again, installed);
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
