//! The line that ends a dump and tells whether it is whole.

/// The last line of a dump made with [`Options::trailer`](super::Options::trailer): an SQL comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trailer {
    pub rows: u64,
    /// [`Checksum`] of all bytes before the line.
    pub checksum: u64,
}

impl std::fmt::Display for Trailer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "-- torso: {} rows, fnv1a64 {:016x}", self.rows, self.checksum)
    }
}

impl std::str::FromStr for Trailer {
    type Err = ();

    fn from_str(line: &str) -> std::result::Result<Self, ()> {
        let rest = line.trim_end().strip_prefix("-- torso: ").ok_or(())?;
        let (rows, checksum) = rest.split_once(" rows, fnv1a64 ").ok_or(())?;
        Ok(Self {
            rows: rows.parse().map_err(drop)?,
            checksum: u64::from_str_radix(checksum, 16).map_err(drop)?,
        })
    }
}

/// FNV-1a of 64 bits: tells a dump that was cut off or damaged by accident, not one that was forged.
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
