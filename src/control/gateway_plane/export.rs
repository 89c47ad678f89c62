//! Copies of databases as files.

use crate::control::Staging;
use std::fs::File;

/// A copy of a database; dropping it removes the file.
pub struct Export {
    pub file: File,
    /// Bytes.
    pub size: u64,
    /// Its file name.
    pub name: String,
    _staging: Staging,
}

impl Export {
    pub(crate) fn new(file: File, size: u64, name: String, staging: Staging) -> Self {
        Self {
            file,
            size,
            name,
            _staging: staging,
        }
    }
}
