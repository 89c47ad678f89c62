//! The last line of a dump, by which a reader can tell that the dump is complete.
//!
//! Written by `shell::dump`; checked by [`script`](super::script) on the way, and by [`verify`] before anything is run.

use crate::error::{Code, Error, Result};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

/// The beginning of the line.
pub const MARK: &str = "-- torso: ";

/// The line's content; the line is an SQL comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trailer {
    pub rows: u64,
    /// [`Checksum`] of all bytes before the line.
    pub checksum: u64,
}

impl std::fmt::Display for Trailer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{MARK}{} rows, fnv1a64 {:016x}", self.rows, self.checksum)
    }
}

impl std::str::FromStr for Trailer {
    type Err = ();

    fn from_str(line: &str) -> std::result::Result<Self, ()> {
        let rest = line.trim_end().strip_prefix(MARK).ok_or(())?;
        let (rows, checksum) = rest.split_once(" rows, fnv1a64 ").ok_or(())?;
        // A line cut off within the number would still parse as one.
        if checksum.len() != 16 {
            return Err(());
        }
        Ok(Self {
            rows: rows.parse().map_err(drop)?,
            checksum: u64::from_str_radix(checksum, 16).map_err(drop)?,
        })
    }
}

/// FNV-1a, 64 bits: detects a dump that was cut off or damaged by accident, not one that was forged.
#[derive(Debug, Clone)]
pub struct Checksum(u64);

impl Default for Checksum {
    fn default() -> Self {
        Self::new()
    }
}

impl Checksum {
    #[must_use]
    pub fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    pub fn update(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |sum, &byte| {
            (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    }

    #[must_use]
    pub fn value(&self) -> u64 {
        self.0
    }
}

/// Longer than any trailer.
const LONGEST: u64 = 128;

/// Checks all of `file` against its trailer, if it has one, and rewinds it. A file that is not a regular one cannot be
/// read twice and is not checked.
pub fn verify(file: &mut File, name: &str) -> Result<()> {
    let doing = |error| Error::io(error, format!("cannot read {name}"));
    let metadata = file.metadata().map_err(doing)?;
    if !metadata.is_file() {
        return Ok(());
    }
    let start = metadata.len().saturating_sub(LONGEST);
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(start)).map_err(doing)?;
    file.take(LONGEST).read_to_end(&mut tail).map_err(doing)?;
    let end = tail.trim_ascii_end().len();
    let line = memchr::memrchr(b'\n', &tail[..end]).map_or(0, |at| at + 1);
    let last = &tail[line..end];
    if last.starts_with(MARK.trim_end().as_bytes()) {
        let mut left = start + line as u64;
        let mut checksum = Checksum::new();
        let mut buffer = vec![0; 1 << 18];
        file.rewind().map_err(doing)?;
        while left > 0 {
            let wanted = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
            let got = file.read(&mut buffer[..wanted]).map_err(doing)?;
            if got == 0 {
                break;
            }
            checksum.update(&buffer[..got]);
            left -= got as u64;
        }
        compare(last, &checksum, name)?;
    }
    file.rewind().map_err(doing)
}

/// Checks a `line`, which begins with [`MARK`], against the checksum of what came before it.
pub fn compare(line: &[u8], checksum: &Checksum, name: &str) -> Result<()> {
    let trailer: Option<Trailer> = std::str::from_utf8(line).ok().and_then(|line| line.parse().ok());
    if trailer.is_some_and(|trailer| trailer.checksum == checksum.value()) {
        return Ok(());
    }
    let what = match trailer {
        Some(_) => "the dump was altered or damaged: its checksum does not fit",
        None => "the dump is cut off within its last line",
    };
    Err(Error::new(Code::InvalidFile, format!("{name}: {what}"))
        .hint("make the dump again, or remove its last line to load it as it is"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn verified(content: &[u8]) -> Result<Vec<u8>> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        verify(&mut file, "x.sql")?;
        let mut again = Vec::new();
        file.read_to_end(&mut again).unwrap();
        Ok(again)
    }

    #[test]
    fn trailer_detects_any_changed_byte_before_anything_runs() {
        let body = "BEGIN TRANSACTION;\nCREATE TABLE t(a);\nCOMMIT;\n";
        let mut checksum = Checksum::new();
        checksum.update(body.as_bytes());
        let whole = format!(
            "{body}{}\n",
            Trailer {
                rows: 0,
                checksum: checksum.value()
            }
        )
        .into_bytes();
        assert_eq!(verified(&whole).unwrap(), whole);
        // But for the line end before the trailer, without which that is not a line.
        for at in 0..body.len() - 1 {
            let mut altered = whole.clone();
            altered[at] ^= 1;
            let error = verified(&altered).unwrap_err();
            assert_eq!(error.code(), Code::InvalidFile, "byte {at}");
        }
        for cut in body.len() + MARK.len()..whole.len() - 1 {
            assert!(verified(&whole[..cut]).is_err(), "cut at {cut}");
        }
        assert_eq!(verified(body.as_bytes()).unwrap(), body.as_bytes());
        assert_eq!(verified(b"").unwrap(), b"");
    }
}
