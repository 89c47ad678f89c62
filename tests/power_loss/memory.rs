//! The memory of a traced program, and what the paths in it mean.

use nix::libc;
use nix::unistd::Pid;
use std::ffi::OsString;
use std::fs::File;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// No page is smaller, and a path may end before a page that is not there.
const PAGE: u64 = 4096;

pub struct Memory(Option<File>);

impl Memory {
    pub fn of(pid: Pid) -> Self {
        Self(File::open(format!("/proc/{pid}/mem")).ok())
    }

    pub fn read(&self, at: u64, length: u64) -> Option<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(length).ok()?];
        self.0.as_ref()?.read_exact_at(&mut bytes, at).ok()?;
        Some(bytes)
    }

    /// The data of a vector of buffers.
    pub fn gather(&self, at: u64, count: u64) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        for buffer in self.read(at, count * 16)?.chunks(16) {
            let (start, length) = buffer.split_at(8);
            let number = |bytes: &[u8]| u64::from_ne_bytes(bytes.try_into().unwrap());
            bytes.extend(self.read(number(start), number(length))?);
        }
        Some(bytes)
    }

    pub fn path(&self, mut at: u64) -> Option<PathBuf> {
        let mut bytes = Vec::new();
        loop {
            let piece = self.read(at, PAGE - at % PAGE)?;
            if let Some(end) = piece.iter().position(|byte| *byte == 0) {
                bytes.extend_from_slice(&piece[..end]);
                return Some(OsString::from_vec(bytes).into());
            }
            at += piece.len() as u64;
            bytes.extend(piece);
        }
    }
}

/// The name that a path of a program means, without links on the way to it.
pub fn resolve(pid: Pid, folder: u64, path: &Path) -> Option<PathBuf> {
    let path = if path.is_absolute() {
        path.to_owned()
    } else if folder as i32 == libc::AT_FDCWD {
        std::fs::read_link(format!("/proc/{pid}/cwd")).ok()?.join(path)
    } else {
        std::fs::read_link(format!("/proc/{pid}/fd/{folder}")).ok()?.join(path)
    };
    let name = path.file_name()?;
    Some(path.parent()?.canonicalize().ok()?.join(name))
}
