//! What package managers install for the tests, below `target`: once, until what is wanted changes.

use super::crate_root;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The folder of that name below `target`.
pub fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// The folder of that name below `target`, where `install` has brought what `wanted` describes.
fn once(name: &str, wanted: &[u8], install: impl FnOnce(&Path)) -> PathBuf {
    let folder = folder(name);
    // Two test binaries may come here at the same time.
    let lock = File::create(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    let done = folder.join("done");
    if fs::read(&done).is_ok_and(|done| done == wanted) {
        return folder;
    }
    install(&folder);
    fs::write(done, wanted).unwrap();
    folder
}

#[track_caller]
fn run(command: &mut Command, needs: &str) {
    let program = command.get_program().display().to_string();
    let run = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("cannot run {program} ({error}): install {needs}"));
    assert!(
        run.status.success(),
        "{program} cannot make what is in tests/peers ready (it needs {needs}):\n{}{}",
        String::from_utf8_lossy(&run.stdout),
        String::from_utf8_lossy(&run.stderr)
    );
}

/// Where the npm packages of `tests/peers` are.
pub fn npm() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| npm_packages("peers", &crate_root().join("tests/peers")))
}

/// Where the npm packages of `tests/peers/ci` are, with the scripts beside them.
pub fn npm_for_ci() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let source = crate_root().join("tests/peers/ci");
        let folder = npm_packages("peers-ci", &source);
        for script in ["read.mjs", "json-imports.mjs", "promql.mjs"] {
            fs::copy(source.join(script), folder.join(script)).unwrap();
        }
        folder
    })
}

/// The folder of that name, with the packages that the lock file in `wanted` names.
fn npm_packages(name: &str, wanted: &Path) -> PathBuf {
    let lockfile = fs::read(wanted.join("package-lock.json")).unwrap();
    once(name, &lockfile, |folder| {
        for file in ["package.json", "package-lock.json", ".npmrc"] {
            fs::copy(wanted.join(file), folder.join(file)).unwrap();
        }
        let mut npm = Command::new("npm");
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
        run(npm.current_dir(folder), "Node.js, which brings npm");
    })
}

/// A script of `tests/peers`, beside the npm packages: that is where Node.js looks for them.
pub fn script(name: &str) -> PathBuf {
    let script = npm().join(name);
    fs::copy(crate_root().join("tests/peers").join(name), &script).unwrap();
    script
}

/// A library to be loaded before a program, by which names below `db.test` are this machine to it.
#[cfg(target_os = "linux")]
pub fn resolver() -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let source = crate_root().join("tests/peers/resolve.c");
        once("resolver", &fs::read(&source).unwrap(), |folder| {
            let mut cc = Command::new("cc");
            cc.args(["-shared", "-fPIC", "-Wall", "-Werror", "-o"])
                .arg(folder.join("resolve.so"))
                .arg(source)
                .arg("-ldl");
            run(&mut cc, "a C compiler (on Debian: apt-get install gcc)");
        })
    });
    folder.join("resolve.so")
}

/// The engine of libSQL server as a program that tells what SQL touches.
pub fn engine() -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| cargo_build("engine"));
    folder.join("target/debug/engine")
}

/// A folder with the compiled packages of `tests/peers/rust` in `target`, and their `Cargo.lock`.
pub fn rust_packages() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = cargo_build("rust");
        fs::copy(
            crate_root().join("tests/peers/rust/Cargo.lock"),
            folder.join("Cargo.lock"),
        )
        .unwrap();
        folder
    })
}

/// The folder in which the crate of that name in `tests/peers` is built.
fn cargo_build(name: &str) -> PathBuf {
    let source = crate_root().join("tests/peers").join(name);
    let mut files: Vec<PathBuf> = ["Cargo.toml", "Cargo.lock"].map(|name| source.join(name)).into();
    files.extend(
        fs::read_dir(source.join("src"))
            .unwrap()
            .map(|entry| entry.unwrap().path()),
    );
    files.sort();
    let wanted: Vec<u8> = files.iter().flat_map(|file| fs::read(file).unwrap()).collect();
    once(name, &wanted, |folder| {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            .args(["build", "--quiet", "--locked", "--manifest-path"])
            .arg(source.join("Cargo.toml"))
            .arg("--target-dir")
            .arg(folder.join("target"));
        // The settings of the crate that is tested are not this one's.
        cargo.env_remove("CARGO_TARGET_DIR").env_remove("CARGO_MANIFEST_DIR");
        cargo.env_remove("RUSTFLAGS");
        run(
            &mut cargo,
            "cargo, cmake and a C compiler (on Debian: apt-get install cmake gcc)",
        );
    })
}

/// A Python that has the packages of `tests/peers`.
pub fn python() -> PathBuf {
    python_folder().join("environment/bin/python")
}

/// Traefik, which one of these packages brings.
pub fn traefik() -> PathBuf {
    python_folder().join("environment/bin/traefik")
}

/// The folder with the environment of that Python.
fn python_folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let requirements = crate_root().join("tests/peers/requirements.txt");
        let mut wanted = fs::read(&requirements).unwrap();
        // The packages are for one version of Python.
        if let Ok(version) = Command::new("python3").arg("--version").output() {
            wanted.extend(version.stdout);
        }
        once("python", &wanted, |folder| {
            let environment = folder.join("environment");
            let needs = "Python 3 with venv (on Debian: apt-get install python3 python3-venv)";
            run(
                Command::new("python3")
                    .args(["-m", "venv", "--clear"])
                    .arg(&environment),
                needs,
            );
            let mut pip = Command::new(environment.join("bin/python"));
            pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
                .args(["--only-binary", ":all:", "--requirement"])
                .arg(requirements);
            run(&mut pip, needs);
        })
    })
}
