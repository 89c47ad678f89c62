//! What the programs of tutorials need: interpreters, compilers and packages, which are installed once for all tests.

use crate::support::{World, installed};
use std::path::PathBuf;

/// Gives a world what the page of that name needs. `bin` of the world is in its search path.
pub fn provide(world: &mut World, page: &str) {
    match page {
        "docs/tutorials/python.md" => provide_python(world),
        "docs/tutorials/rust.md" => provide_rust(world),
        _ => {}
    }
}

/// `python`, as it is in an environment that was activated.
fn provide_python(world: &World) {
    let program = world.path("bin/python");
    let script = format!("#!/bin/sh\nexec '{}' \"$@\"\n", installed::python().display());
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
}

/// `cargo`, with the packages compiled. The lock file makes sure that they are those.
fn provide_rust(world: &mut World) {
    let folder = installed::rust_packages();
    std::fs::copy(folder.join("Cargo.lock"), world.work().join("Cargo.lock")).unwrap();
    let home = PathBuf::from(std::env::var_os("HOME").expect("HOME is set"));
    for (name, default) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
        world.set(
            name,
            std::env::var_os(name).unwrap_or_else(|| home.join(default).into()),
        );
    }
    world.set("CARGO_TARGET_DIR", folder.join("target"));
    world.set("CARGO_NET_OFFLINE", "true");
}
