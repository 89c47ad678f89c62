//! The JSON encoding of Hrana.

pub mod cursor;
pub mod rows;

/// Whether JSON has characters written as escapes, so that words in it may not be found by their letters.
#[must_use]
pub fn has_escapes(json: &[u8]) -> bool {
    memchr::memmem::find(json, br"\u").is_some()
}
