//! What the programs of tutorials need: interpreters, compilers and packages, which are installed once for all tests.

use crate::support::{World, installed, sqld};
use std::path::{Path, PathBuf};

/// Gives a world what the page of that name needs. `bin` of the world is in its search path.
pub fn provide(world: &mut World, page: &str) {
    match page {
        "docs/tutorials/python.md" => provide_python(world),
        "docs/tutorials/rust.md" => provide_rust(world),
        "docs/tutorials/go.md" => provide_go(world),
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

/// Where Debian's packages of Go are.
const GO_PACKAGES: &str = "/usr/share/gocode";

/// `go`, with its packages, and libSQL server for `torso dev`.
fn provide_go(world: &mut World) {
    let package = Path::new(GO_PACKAGES).join("src/golang.org/x/crypto/bcrypt");
    assert!(
        package.is_dir(),
        "there is no {}: apt-get install golang-go golang-golang-x-crypto-dev",
        package.display()
    );
    world.set("GOPATH", GO_PACKAGES);
    world.set("GO111MODULE", "off");
    // Go's own packages are compiled once for all runs.
    world.set("GOCACHE", installed::folder("go"));
    world.set("TORSO_SQLD", sqld::program());
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
