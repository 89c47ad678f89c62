//! The fields of protobuf messages, read one by one and written. Every occurrence of a field is read, also of one that a
//! decoder would overwrite with a later one.

use super::varint::{push_varint, read_varint};

/// The bytes are not a valid message.
#[derive(Debug, PartialEq, Eq)]
pub struct MalformedProtobuf;

/// A field as it is in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RawField<'a> {
    /// A number of variable length.
    Number(u64),
    /// A number of four or eight bytes.
    Fixed(u64),
    /// A text, bytes, or a message.
    Bytes(&'a [u8]),
}

/// Reads the fields of a message, in their order.
#[derive(Clone, Copy)]
pub struct FieldReader<'a>(&'a [u8]);

impl<'a> FieldReader<'a> {
    #[must_use]
    pub fn new(message: &'a [u8]) -> Self {
        Self(message)
    }

    /// Returns the next field and its number; none at the end.
    ///
    /// # Errors
    ///
    /// Where the bytes are no field. Groups, which no message of Hrana has, are none.
    pub fn next_field(&mut self) -> Result<Option<(u32, RawField<'a>)>, MalformedProtobuf> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let key = u32::try_from(self.number()?).map_err(|_| MalformedProtobuf)?;
        let (number, kind) = (key >> 3, key & 7);
        if number == 0 {
            return Err(MalformedProtobuf);
        }
        let field = match kind {
            0 => RawField::Number(self.number()?),
            1 => RawField::Fixed(self.fixed(8)?),
            2 => {
                let length = usize::try_from(self.number()?).map_err(|_| MalformedProtobuf)?;
                RawField::Bytes(self.take(length)?)
            }
            5 => RawField::Fixed(self.fixed(4)?),
            _ => return Err(MalformedProtobuf),
        };
        Ok(Some((number, field)))
    }

    /// Returns the bytes that were not read yet.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// Returns the last occurrence of a field, up to where the bytes are no message.
    #[must_use]
    pub fn last(mut self, wanted: u32) -> Option<RawField<'a>> {
        let mut last = None;
        while let Ok(Some((number, field))) = self.next_field() {
            if number == wanted {
                last = Some(field);
            }
        }
        last
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], MalformedProtobuf> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(MalformedProtobuf)?;
        self.0 = rest;
        Ok(taken)
    }

    fn fixed(&mut self, length: usize) -> Result<u64, MalformedProtobuf> {
        let bytes = self.take(length)?;
        Ok(bytes
            .iter()
            .rev()
            .fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    fn number(&mut self) -> Result<u64, MalformedProtobuf> {
        let (number, rest) = read_varint(self.0).ok_or(MalformedProtobuf)?;
        self.0 = rest;
        Ok(number)
    }
}

impl RawField<'_> {
    /// The number in it, however it is written; none for bytes.
    #[must_use]
    pub fn number(self) -> Option<u64> {
        match self {
            Self::Number(number) | Self::Fixed(number) => Some(number),
            Self::Bytes(_) => None,
        }
    }
}

/// Appends a field of bytes, or of a message.
pub fn put(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    push_varint(out, u64::from(number << 3 | 2));
    push_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a field with a message that `write` makes.
pub fn put_message(out: &mut Vec<u8>, number: u32, write: impl FnOnce(&mut Vec<u8>)) {
    let mut message = Vec::new();
    write(&mut message);
    put(out, number, &message);
}

/// Appends a field with a number.
pub fn put_number(out: &mut Vec<u8>, number: u32, value: u64) {
    push_varint(out, u64::from(number << 3));
    push_varint(out, value);
}

/// Returns a message of one field of bytes, or of a message.
#[must_use]
pub fn field(number: u32, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, number, bytes);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protobuf_numbers_are_read_as_they_are_written() {
        let mut out = Vec::new();
        put_number(&mut out, 1, 300);
        put(&mut out, 2, &[7; 200]);
        let fields = FieldReader::new(&out);
        assert_eq!(fields.last(1), Some(RawField::Number(300)));
        assert_eq!(fields.last(2), Some(RawField::Bytes(&[7; 200])));
        assert_eq!(
            FieldReader::new(&[0x09, 1, 0, 0, 0, 0, 0, 0, 0]).last(1),
            Some(RawField::Fixed(1))
        );
    }
}
