//! Atlas's `atlas.sum`: the checksums of its files, by <https://github.com/ariga/atlas> (`sql/migrate/dir.go`).

use crate::error::{Code, Error, Result};
use crate::sql::script_error::located;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::digest::{Context, SHA256};
use std::path::Path;

/// The file of checksums.
pub(super) const SUMS: &str = "atlas.sum";

/// Checks that the files, ordered by name, are those that `sums` was made of. Each line has a hash of all files up to its own.
pub(super) fn check_sums(directory: &Path, sums: &str, files: &[(String, String)]) -> Result<()> {
    let file = directory.join(SUMS).display().to_string();
    let mut lines = sums
        .lines()
        .zip(1_u64..)
        .skip(1)
        .filter(|(line, _)| !line.trim().is_empty());
    let mut hash = Context::new(&SHA256);
    for (name, text) in files {
        hash.update(name.as_bytes());
        if is_left_out(text) {
            continue;
        }
        hash.update(text.as_bytes());
        let sum = BASE64.encode(hash.clone().finish());
        let refuse = |line: u64, why: String| {
            Err(located(&file, line, &why, Code::InvalidFile)
                .hint("if the files are as they should be: atlas migrate hash"))
        };
        match lines.next() {
            None => return refuse(sums.lines().count() as u64, format!("it has no checksum of {name}")),
            Some((line, number)) => match line.rsplit_once(" h1:") {
                Some((known, expected)) if known == name && expected.trim() == sum => {}
                Some((known, _)) if known == name => {
                    return refuse(number, format!("{name} is not the file that this checksum was made of"));
                }
                _ => return refuse(number, format!("the checksum of {name} should stand here")),
            },
        }
    }
    match lines.next() {
        None => Ok(()),
        Some((line, number)) => {
            let name = line.rsplit_once(" h1:").map_or(line, |(name, _)| name);
            Err(Error::new(
                Code::InvalidFile,
                format!("{file}:{number}: there is no file {name:?}"),
            ))
        }
    }
}

/// Whether a file says that its content has no checksum.
fn is_left_out(text: &str) -> bool {
    text.lines()
        .next()
        .is_some_and(|line| line.trim_end().ends_with("atlas:sum ignore"))
}
