//! The SHA3 hash of statements and their answers, as `sqlite3`'s `sha3_query` makes it.

use super::ValueRef;
use sha3::digest::DynDigest;
use sha3::{Sha3_224, Sha3_256, Sha3_384, Sha3_512};
use std::fmt::Write as _;

/// A hash being computed over each statement's text and then its rows.
pub struct Digest(Box<dyn DynDigest>);

impl Digest {
    /// A SHA3 hash of that many bits; none for a size that does not exist.
    #[must_use]
    pub fn new(bits: u32) -> Option<Self> {
        Some(Self(match bits {
            224 => Box::<Sha3_224>::default(),
            256 => Box::<Sha3_256>::default(),
            384 => Box::<Sha3_384>::default(),
            512 => Box::<Sha3_512>::default(),
            _ => return None,
        }))
    }

    /// Adds raw bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn sized(&mut self, kind: char, bytes: &[u8]) {
        self.bytes(format!("{kind}{}:", bytes.len()).as_bytes());
        self.bytes(bytes);
    }

    /// Adds a statement, whose rows follow.
    pub fn statement(&mut self, sql: &str) {
        self.sized('S', sql.as_bytes());
    }

    /// Begins a row, whose values follow.
    pub fn row(&mut self) {
        self.bytes(b"R");
    }

    pub fn value(&mut self, value: ValueRef<'_>) {
        match value {
            ValueRef::Null => self.bytes(b"N"),
            ValueRef::Integer(number) => {
                self.bytes(b"I");
                self.bytes(&number.to_be_bytes());
            }
            ValueRef::Real(number) => {
                self.bytes(b"F");
                self.bytes(&number.to_bits().to_be_bytes());
            }
            ValueRef::Text(bytes) => self.sized('T', bytes),
            ValueRef::Blob(bytes) => self.sized('B', bytes),
        }
    }

    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.0.finalize().into_vec()
    }

    /// The hash in hexadecimal.
    #[must_use]
    pub fn hex(self) -> String {
        self.finish().iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }
}
