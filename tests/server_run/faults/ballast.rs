//! A disk that can be filled up: a small file system in memory where this system lets one be mounted, and else a limit on the size of
//! files of the database processes.

use crate::server_run::Deployment;
use crate::support::World;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Bytes of the small file system.
const SIZE: &str = "size=512m";

/// The disk of a server's data directory.
pub struct Disk {
    mounted: Option<PathBuf>,
}

impl Disk {
    /// A disk for the data directory of a world that has none yet.
    pub fn new(world: &World) -> Self {
        let dir = world.data_dir();
        std::fs::create_dir_all(&dir).unwrap();
        let is_mounted = run(Command::new("mount")
            .args(["-t", "tmpfs", "-o", SIZE, "tmpfs"])
            .arg(&dir));
        Self {
            mounted: is_mounted.then_some(dir),
        }
    }

    /// What is filled, for the figures.
    pub fn kind(&self) -> &'static str {
        if self.mounted.is_some() {
            "file system"
        } else {
            "limit on files"
        }
    }

    pub fn fill(&self, server: &Deployment) {
        match &self.mounted {
            Some(dir) => {
                let mut ballast = std::fs::File::create(ballast(dir)).unwrap();
                // Down to the last byte.
                for size in [1 << 20, 1 << 12, 1] {
                    while ballast.write_all(&vec![0; size]).is_ok() {}
                }
            }
            None => limit_files(server, "4096"),
        }
    }

    pub fn free(&self, server: &Deployment) {
        match &self.mounted {
            Some(dir) => std::fs::remove_file(ballast(dir)).unwrap(),
            None => limit_files(server, "unlimited"),
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Some(dir) = &self.mounted {
            run(Command::new("umount").arg("-l").arg(dir));
        }
    }
}

fn ballast(dir: &Path) -> PathBuf {
    dir.join("ballast")
}

/// Sets the largest file that the database processes may write.
fn limit_files(server: &Deployment, bytes: &str) {
    for pid in ["ams", "lhr", "iad"]
        .into_iter()
        .flat_map(|location| server.processes_in(location))
    {
        run(Command::new("prlimit")
            .arg(format!("--pid={pid}"))
            .arg(format!("--fsize={bytes}:unlimited")));
    }
}

fn run(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
