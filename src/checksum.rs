//! Checksums of files.

use ring::digest::{Context, SHA256, digest};
use std::io::Read;

/// Bytes read at once.
const PIECE: usize = 1 << 16;

/// The SHA-256, in hexadecimal, of everything that is left to read.
pub fn sha256(from: &mut impl Read) -> std::io::Result<String> {
    let mut context = Context::new(&SHA256);
    let mut piece = vec![0; PIECE];
    loop {
        match from.read(&mut piece)? {
            0 => return Ok(hex(context.finish().as_ref())),
            read => context.update(&piece[..read]),
        }
    }
}

/// The SHA-256, in hexadecimal, of bytes in memory.
#[must_use]
pub fn sha256_of(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

/// The SHA-256 of bytes in memory.
#[must_use]
pub fn sha256_bytes(bytes: &[u8]) -> [u8; 32] {
    let mut sum = [0; 32];
    sum.copy_from_slice(digest(&SHA256, bytes).as_ref());
    sum
}

/// Bytes in hexadecimal, in lower case.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_of_a_known_text_is_its_sha256() {
        assert_eq!(
            sha256(&mut b"abc".as_slice()).unwrap(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(sha256_of(b"abc"), sha256(&mut b"abc".as_slice()).unwrap());
    }
}
