//! The output of a child: in a file that is rotated and capped, with its last lines in memory for errors.

use crate::engine::disk::{self, with_suffix};
use crate::error::Result;
use crate::sync::lock;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead as _, BufReader, PipeReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// Bytes of the file before it is rotated to `.1`. Twice that much is kept.
const LIMIT: u64 = 4 << 20;

/// Bytes of the longest line; a longer one is cut.
const LONGEST_LINE: u64 = 4096;

/// Lines in memory.
const LINES: usize = 8;

pub(super) struct Log {
    path: PathBuf,
    limit: u64,
    inner: Mutex<Inner>,
}

struct Inner {
    file: File,
    size: u64,
    last: VecDeque<String>,
}

impl Log {
    /// Opens a log; an existing one is continued.
    pub fn open(path: PathBuf) -> Result<Self> {
        Self::with_limit(path, LIMIT)
    }

    pub(super) fn with_limit(path: PathBuf, limit: u64) -> Result<Self> {
        let mut file = disk::private_file(&path)?;
        let size = file.seek(SeekFrom::End(0)).unwrap_or(0);
        Ok(Self {
            path,
            limit,
            inner: Mutex::new(Inner {
                file,
                size,
                last: VecDeque::new(),
            }),
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Copies lines until the writer is gone. If the disk is full, lines are lost, but the writer is never blocked.
    pub fn fill(&self, reader: PipeReader) {
        let mut reader = BufReader::new(reader);
        let mut line = Vec::new();
        loop {
            line.clear();
            match (&mut reader).take(LONGEST_LINE).read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => self.add(&line),
            }
        }
    }

    pub(super) fn add(&self, line: &[u8]) {
        let text = plain(&String::from_utf8_lossy(line));
        if text.is_empty() {
            return;
        }
        let mut inner = lock(&self.inner);
        if inner.size + text.len() as u64 >= self.limit
            && disk::rename(&self.path, &with_suffix(&self.path, ".1")).is_ok()
            && let Ok(file) = disk::private_file(&self.path)
        {
            inner.file = file;
            inner.size = 0;
        }
        if writeln!(inner.file, "{text}").is_ok() {
            inner.size += text.len() as u64 + 1;
        }
        if inner.last.len() == LINES {
            inner.last.pop_front();
        }
        inner.last.push_back(text);
    }

    pub fn last_lines(&self) -> Vec<String> {
        lock(&self.inner).last.iter().cloned().collect()
    }
}

/// A line without colours and other control characters.
fn plain(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut chars = line.trim_end().chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            // An escape sequence ends with its first letter.
            for c in chars.by_ref() {
                if c.is_ascii_alphabetic() {
                    break;
                }
            }
        } else if !c.is_control() || c == '\t' {
            text.push(c);
        }
    }
    text
}
