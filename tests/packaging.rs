//! What a release is made of: archives, checksums, the formula for Homebrew, the Debian package and the workflow that makes them.

use crate::support::world::TORSO;
use crate::support::{Run, World, crate_root, yaml};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use toml_edit::DocumentMut;

const TARGET: &str = "x86_64-unknown-linux-gnu";
const VERSION: &str = env!("CARGO_PKG_VERSION");

fn toml(file: &str) -> DocumentMut {
    std::fs::read_to_string(crate_root().join(file))
        .unwrap()
        .parse()
        .unwrap()
}

fn workflow() -> Value {
    yaml::content(&crate_root().join(".github/workflows/release.yml"))
}

/// The script of a step of the workflow that makes releases.
fn script(job: &str, step: &str) -> String {
    let workflow = workflow();
    let steps = workflow["jobs"][job]["steps"].as_array().unwrap();
    let step = steps.iter().find(|candidate| candidate["name"] == step);
    step.unwrap_or_else(|| panic!("there is no step {step:?}"))["run"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// Runs a script in the work folder of a world, as a step of a job for `TARGET`.
fn run_step(world: &World, script: &str, tag: &str) -> Run {
    let mut command = world.command("bash");
    command.args(["-e", "-c", script]).env("TARGET", TARGET);
    command
        .env("GITHUB_REF_NAME", tag)
        .env("GITHUB_REPOSITORY_OWNER", "acme");
    Run::of(command)
}

/// A world whose work folder has what the checkout of a release has, as links.
fn checkout() -> World {
    let world = World::new();
    for name in [
        "docs",
        "completions",
        "Cargo.toml",
        "LICENSE",
        "README.md",
        "CHANGELOG.md",
    ] {
        std::os::unix::fs::symlink(crate_root().join(name), world.work().join(name)).unwrap();
    }
    let built = world.work().join(format!("target/{TARGET}/release"));
    std::fs::create_dir_all(&built).unwrap();
    std::os::unix::fs::symlink(TORSO, built.join("torso")).unwrap();
    world
}

#[test]
fn release_of_another_version_than_its_tag_is_refused() {
    let world = checkout();
    let compare = script("build", "Compare the tag with the version");
    assert_eq!(run_step(&world, &compare, &format!("v{VERSION}")).code(), 0);
    assert_eq!(run_step(&world, &compare, "v9.9.9").code(), 1);
}

#[test]
fn release_archive_has_the_program_its_pages_and_a_right_checksum() {
    let mut world = checkout();
    run_step(&world, &script("build", "Archive"), "v1").success();
    let folder = world.work().join("release");
    // The source, as the workflow takes it from git.
    let mut git = std::process::Command::new("git");
    git.args(["rev-parse", "--absolute-git-dir"]).current_dir(crate_root());
    world.set("GIT_DIR", Run::of(git).success().stdout.trim());
    let tag = format!("v{VERSION}");
    run_step(&world, &script("publish", "Source, formula and checksums"), &tag).success();

    let mut sums = world.command("sha256sum");
    sums.args(["--check", "--strict", "SHA256SUMS"]).current_dir(&folder);
    let checked = Run::of(sums).success().stdout;
    let archive = format!("torso-{VERSION}-{TARGET}");
    for name in [
        format!("{archive}.tar.gz"),
        format!("torso-{VERSION}.tar.gz"),
        "torso.rb".to_owned(),
    ] {
        assert!(checked.contains(&format!("{name}: OK")), "{checked}");
    }
    let mut tar = world.command("tar");
    tar.args(["-xzf", &format!("{archive}.tar.gz")]).current_dir(&folder);
    Run::of(tar).success();
    let unpacked = folder.join(archive);
    let run = version(&world, &unpacked);
    assert_eq!(run.success().stdout, format!("torso {VERSION}\n"));
    for file in ["man/torso-db.1", "completions/torso.bash", "LICENSE"] {
        assert!(unpacked.join(file).is_file(), "there is no {file}");
    }
    check_formula(&world, &folder);
}

fn version(world: &World, unpacked: &Path) -> Run {
    let mut command = world.command(unpacked.join("torso"));
    command.arg("--version");
    Run::of(command)
}

/// The formula of a release installs the program and passes its own test.
fn check_formula(world: &World, folder: &Path) {
    let mut ruby = world.command("ruby");
    ruby.arg(crate_root().join("tests/peers/formula.rb"))
        .arg(folder.join("torso.rb"))
        .arg(crate_root())
        .arg(world.path("prefix"))
        .arg(TORSO);
    let fields = Run::of(ruby).success().stdout;
    let source = format!("torso-{VERSION}.tar.gz");
    let mut sum = world.command("sha256sum");
    sum.arg(folder.join(&source));
    let sum = Run::of(sum).success().stdout[..64].to_owned();
    let url = format!("https://github.com/acme/torso/releases/download/v{VERSION}/{source}");
    for field in [format!("url={url}\n"), format!("sha256={sum}\n")] {
        assert!(fields.contains(&field), "{field:?} is not in {fields}");
    }
    for file in ["bin/torso", "share/man/man1/torso-db.1", "etc/bash_completion.d/torso"] {
        assert!(world.path("prefix").join(file).is_file(), "there is no {file}");
    }
}

#[test]
fn release_is_built_for_the_platforms_whose_dependencies_are_checked() {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let workflow = workflow();
    let matrix = workflow["jobs"]["build"]["strategy"]["matrix"]["include"]
        .as_array()
        .unwrap();
    let built: BTreeSet<_> = matrix.iter().map(|row| text(&row["target"])).collect();
    let deny = toml("deny.toml");
    let checked = deny["graph"]["targets"].as_array().unwrap();
    let checked: BTreeSet<_> = checked
        .iter()
        .map(|target| target.as_str().unwrap().to_owned())
        .collect();
    assert_eq!(built, checked);
    // The compiler is the one that the crate asks for.
    let install = script("build", "Install Rust");
    let wanted = toml("Cargo.toml")["package"]["rust-version"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(install.contains(&format!("{wanted}.0 ")), "{install}");
}

#[test]
fn debian_package_has_only_files_that_exist_and_the_version() {
    let manifest = toml("Cargo.toml");
    let assets = manifest["package"]["metadata"]["deb"]["assets"].as_array().unwrap();
    for asset in assets {
        let path = asset.as_array().unwrap().get(0).unwrap().as_str().unwrap();
        // What is built is not here.
        if path.starts_with("target/") {
            continue;
        }
        let (folder, pattern) = path.rsplit_once('/').unwrap_or(("", path));
        let end = pattern.trim_start_matches('*');
        let mut names = std::fs::read_dir(crate_root().join(folder)).unwrap();
        let found = names.any(|entry| entry.unwrap().file_name().to_str().unwrap().ends_with(end));
        assert!(found, "there is no {path}");
    }
    assert!(assets.len() > 5);
    let changes = std::fs::read_to_string(crate_root().join("docs/packaging/changelog")).unwrap();
    assert!(changes.starts_with(&format!("torso ({VERSION}-1) ")), "{changes}");
}
