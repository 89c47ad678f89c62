//! A sealed world: a temporary directory with a home, settings and data of its own, and an environment in which nothing
//! of the tester's machine shows.

use super::json_schemas;
use super::run::Run;
use rexpect::session::PtySession;
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The program under test.
pub const TORSO: &str = env!("CARGO_BIN_EXE_torso");

/// A world; everything in it is gone when it is dropped.
pub struct World {
    root: tempfile::TempDir,
    environment: BTreeMap<OsString, OsString>,
}

impl World {
    pub fn new() -> Self {
        let root = tempfile::Builder::new()
            .prefix("torso-test-")
            .tempdir()
            .expect("cannot make a temporary directory");
        let mut world = Self {
            environment: BTreeMap::new(),
            root,
        };
        for folder in ["home", "work", "tmp"] {
            std::fs::create_dir(world.path(folder)).unwrap();
        }
        for (name, folder) in [
            ("HOME", "home"),
            ("TORSO_CONFIG_DIR", "config"),
            ("TORSO_DATA_DIR", "data"),
            ("TMPDIR", "tmp"),
            ("XDG_CACHE_HOME", "home/.cache"),
            ("XDG_CONFIG_HOME", "home/.config"),
            ("XDG_DATA_HOME", "home/.local/share"),
            ("XDG_STATE_HOME", "home/.local/state"),
        ] {
            let folder = world.path(folder);
            world.set(name, folder);
        }
        for (name, value) in [
            ("COLUMNS", "100"),
            ("LANG", "C.UTF-8"),
            ("LC_ALL", "C.UTF-8"),
            ("PATH", "/usr/local/bin:/usr/bin:/bin"),
            ("TERM", "xterm-256color"),
            ("TZ", "UTC"),
        ] {
            world.set(name, value);
        }
        world
    }

    /// A world with a database `app` at ams, on which SQL was run.
    pub fn with_app(sql: &str) -> Self {
        let world = Self::new();
        world.ok(["db", "create", "app", "--location", "ams"]);
        world.ok(["db", "shell", "app", sql]);
        world
    }

    /// Sets a variable for every later command.
    pub fn set(&mut self, name: &str, value: impl AsRef<OsStr>) {
        self.environment.insert(name.into(), value.as_ref().to_owned());
    }

    /// Unsets a variable for every later command.
    pub fn unset(&mut self, name: &str) {
        self.environment.remove(OsStr::new(name));
    }

    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// A path below the world's root.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.path().join(relative)
    }

    /// Where commands run.
    pub fn work(&self) -> PathBuf {
        self.path("work")
    }

    /// Where the embedded control plane keeps everything.
    pub fn data_dir(&self) -> PathBuf {
        self.path("data")
    }

    /// Writes a file below the work folder and says where it is.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.work().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Any program, in this world. Its standard input is empty.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .envs(&self.environment)
            .current_dir(self.work())
            .stdin(Stdio::null());
        command
    }

    /// The program under test, ready to be started by hand.
    pub fn torso_command<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        let mut command = self.command(TORSO);
        command.args(args);
        command
    }

    /// Runs `torso` and reports what came of it.
    pub fn torso<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Run {
        Run::of(self.torso_command(args))
    }

    /// Runs `torso` on a terminal of its own.
    pub fn terminal(&self, args: &[&str]) -> PtySession {
        const PATIENCE_MS: u64 = 20_000;
        let mut command = self.torso_command(args);
        command.stdin(Stdio::inherit());
        rexpect::session::spawn_command(command, Some(PATIENCE_MS)).expect("no terminal can be had")
    }

    /// Runs `torso` with text on its standard input.
    pub fn torso_with_input<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>, input: impl AsRef<[u8]>) -> Run {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(input.as_ref()).unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        let mut command = self.torso_command(args);
        command.stdin(File::from(std::os::fd::OwnedFd::from(file)));
        Run::of(command)
    }

    /// Runs `torso`, which must succeed; its standard output.
    pub fn ok<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> String {
        self.torso(args).success().stdout
    }

    /// Runs `torso … --json`, which must succeed and answer as the published schema says; its answer.
    pub fn json<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Value {
        let args: Vec<A> = args.into_iter().collect();
        let mut command = self.torso_command(&args);
        command.arg("--json");
        let answer = Run::of(command).success().json();
        let words: Vec<&OsStr> = args.iter().map(AsRef::as_ref).collect();
        json_schemas::check_answer(&words, &answer);
        answer
    }

    /// What a query answers, as the shell prints it for scripts: values between bars, a row a line.
    #[track_caller]
    pub fn query(&self, database: &str, sql: &str) -> String {
        self.ok(["db", "shell", database, sql]).trim_end().to_owned()
    }

    /// The names of the databases there are.
    pub fn databases(&self) -> Vec<String> {
        let names = self.ok(["db", "list", "--output", "name"]);
        names.lines().map(str::to_owned).collect()
    }
}
