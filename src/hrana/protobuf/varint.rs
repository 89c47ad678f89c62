//! The variable-length integers of Protocol Buffers: seven bits a byte, the lowest first. They are written here and not by
//! a library because frames are cut by them before a whole message has arrived.

/// Appends a varint.
pub fn push_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        #[allow(clippy::cast_possible_truncation)] // Only the lowest bits are meant.
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    #[allow(clippy::cast_possible_truncation)] // Below 128.
    out.push(number as u8);
}

/// The varint at the start of `bytes`, and the bytes after it.
pub fn read_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    // Fast path: nearly all are lengths and small integers of one byte.
    if let [byte @ 0..0x80, rest @ ..] = bytes {
        return Some((u64::from(*byte), rest));
    }
    let mut number = 0;
    for (at, &byte) in bytes.iter().enumerate().take(10) {
        number |= u64::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            return (at < 9 || byte < 2).then_some((number, &bytes[at + 1..]));
        }
    }
    None
}
