//! Real object storage that speaks the protocol of S3: SeaweedFS, from PyPI, with a bucket `torso`.

use super::sqld::free_port;
use super::{World, installed};
use nix::sys::signal::Signal;
use std::fs::File;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The bucket that is there.
pub const BUCKET: &str = "torso";
const KEY: &str = "tests";
const SECRET: &str = "a-secret-of-tests";

/// Object storage that runs; killed when it is dropped.
pub struct ObjectStorage {
    process: Child,
    ports: [u16; 4],
    folder: tempfile::TempDir,
}

impl ObjectStorage {
    /// Starts it, and waits until the bucket is there.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let identity = serde_json::json!({"identities": [{
            "name": "tests",
            "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }]});
        std::fs::write(folder.path().join("s3.json"), identity.to_string()).unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        let ports = std::array::from_fn(|_| port_pair());
        let process = spawn(&folder, ports);
        let storage = Self { process, ports, folder };
        storage.wait_for_bucket();
        storage
    }

    /// Kills it, as an outage does.
    pub fn stop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again with what it had.
    pub fn restart(&mut self) {
        self.process = spawn(&self.folder, self.ports);
        self.wait_for_bucket();
    }

    /// Has it stop answering without closing a connection, or go on.
    pub fn signal(&self, signal: Signal) {
        let pid = nix::unistd::Pid::from_raw(self.process.id().try_into().unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
    }

    /// Gives a world's commands the address and the keys.
    pub fn give_to(&self, world: &mut World) {
        world.set("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", self.ports[3]));
        world.set("AWS_ACCESS_KEY_ID", KEY);
        world.set("AWS_SECRET_ACCESS_KEY", SECRET);
    }

    /// The same keys as a file has them.
    pub fn credentials(&self) -> String {
        format!("[default]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n")
    }

    fn wait_for_bucket(&self) {
        let bucket = format!("http://127.0.0.1:{}/buckets/{BUCKET}/", self.ports[2]);
        let begun = Instant::now();
        let client = super::server::Server::client();
        let is_ready = || {
            let made = client
                .post(&bucket)
                .send()
                // It is there from an earlier start, or from the last look.
                .is_ok_and(|answer| answer.status().is_success() || answer.status().as_u16() == 409);
            // It answers seconds before it has a volume that can be written to, which only writing finds out.
            let is_written = || {
                let written = client.put(format!("{bucket}ready")).body("ready").send();
                written.is_ok_and(|answer| answer.status().is_success())
            };
            // Without a signature it refuses, once it is there.
            let storage = client.get(format!("http://127.0.0.1:{}/", self.ports[3])).send();
            made && is_written() && storage.is_ok_and(|answer| answer.status().as_u16() == 403)
        };
        while !is_ready() {
            let log = || std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "it does not start:\n{}",
                log()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for ObjectStorage {
    fn drop(&mut self) {
        // It may have been killed already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A free port whose neighbour for gRPC, 10,000 above, is free as well.
fn port_pair() -> u16 {
    loop {
        let port = free_port();
        if TcpListener::bind(("127.0.0.1", port + 10_000)).is_ok() {
            return port;
        }
    }
}

fn spawn(folder: &tempfile::TempDir, [master, volume, filer, s3]: [u16; 4]) -> Child {
    let log = File::create(folder.path().join("log")).unwrap();
    Command::new(installed::python().with_file_name("weed"))
        .args(["server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3"])
        .arg(format!("-dir={}", folder.path().join("data").display()))
        .arg(format!("-s3.config={}", folder.path().join("s3.json").display()))
        .arg(format!("-master.port={master}"))
        .arg(format!("-volume.port={volume}"))
        .arg(format!("-filer.port={filer}"))
        .arg(format!("-s3.port={s3}"))
        .args([
            "-master.volumeSizeLimitMB=64",
            "-volume.max=50",
            "-master.telemetry=false",
        ])
        // What else it would serve, on ports that all of them would share.
        .args(["-s3.port.iceberg=0", "-s3.port.lance=0"])
        .env("HOME", folder.path())
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}
