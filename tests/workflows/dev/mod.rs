//! `torso dev`: a file that real libSQL server processes serve, to real clients, and what is in it afterwards as the system's
//! `sqlite3` sees it.

mod kills;
mod refusals;
mod serving;

use crate::support::server::Server;
use crate::support::{World, hrana, sqld};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

#[test]
fn dev_as_a_dry_run_says_what_it_would_serve_and_makes_nothing() {
    let world = World::new();
    let line = |file: &str| {
        let mut command =
            world.torso_command(["dev", "--dry-run", "--json", "--port", "0", "--db-file", file, "--sqld"]);
        command.arg(sqld::program());
        crate::support::Run::of(command)
    };
    let plan = line("new.db").success().json();
    assert_eq!(plan["steps"][0], "make the file new.db", "{plan}");
    assert!(!world.work().join("new.db").exists());
    let _serving = Dev::start(&world, &["--db-file", "served.db"]);
    line("served.db").fails(7, "database_busy");
}

/// A running `torso dev`; killed when it is dropped.
struct Dev {
    process: Child,
    started: Value,
}

impl Dev {
    /// Starts one on a free port. What it says beside its answer is in `dev.log` in the world's work folder.
    fn start(world: &World, more: &[&str]) -> Self {
        Self::spawn(world, more).ready(world)
    }

    /// Starts one without waiting for it.
    fn spawn(world: &World, more: &[&str]) -> Self {
        let log = File::create(world.work().join("dev.log")).unwrap();
        let mut command = world.torso_command(["dev", "--port", "0", "--json", "--sqld"]);
        command
            .arg(sqld::program())
            .args(more)
            .stdout(Stdio::piped())
            .stderr(log);
        Self {
            process: command.spawn().unwrap(),
            started: Value::Null,
        }
    }

    /// Waits for its line.
    fn ready(mut self, world: &World) -> Self {
        let mut line = String::new();
        BufReader::new(self.process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        self.started = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {}", said(world)));
        self
    }

    fn url(&self) -> &str {
        self.started["url"].as_str().unwrap()
    }

    /// A request to the pipeline, without a token.
    fn pipeline(&self) -> reqwest::blocking::RequestBuilder {
        Server::client().post(format!("{}/v2/pipeline", self.url()))
    }

    #[track_caller]
    fn execute(&self, sql: &str) -> Vec<Value> {
        hrana::execute(self.pipeline(), [sql]).unwrap()
    }

    fn pid(&self) -> i32 {
        self.process.id().cast_signed()
    }

    fn signal(&self, signal: Signal) {
        nix::sys::signal::kill(Pid::from_raw(self.pid()), signal).unwrap();
    }

    /// Has it end by a signal; its exit code, none if the signal ended it.
    fn end(&mut self, signal: Signal) -> Option<i32> {
        self.signal(signal);
        self.process.wait().unwrap().code()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // An error means that it has ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What the last one said beside its answer.
fn said(world: &World) -> String {
    std::fs::read_to_string(world.work().join("dev.log")).unwrap_or_default()
}

/// What the system's `sqlite3` says to a statement on a file; its error if it refuses.
fn sqlite3(world: &World, file: &Path, sql: &str) -> Result<String, String> {
    let output = world.command("sqlite3").arg(file).arg(sql).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&output.stderr))
    }
}

/// The names in the work folder that a session leaves.
fn remains(world: &World) -> Vec<String> {
    let names = std::fs::read_dir(world.work()).unwrap().flatten();
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names
        .filter(|name| name.contains("-torso") || name.contains("-wal") || name.contains("-journal"))
        .collect()
}
