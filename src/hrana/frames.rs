//! Cuts the arriving bytes of a cursor's answer into frames: lines of JSON, or protobuf messages with their lengths before
//! them. What is in a frame is left to `json` and `protobuf`.

use crate::error::Result;
use crate::hrana::entry::protocol_error;
use crate::hrana::protobuf::varint::read_varint;
use bytes::Bytes;

/// Bytes of the longest frame that is accepted: far above the largest row that a server sends.
const LONGEST: usize = 1 << 30;

/// Cuts arriving bytes into frames.
#[derive(Default)]
pub struct FrameReader {
    length_delimited: bool,
    /// The bytes so far of a frame whose end has not arrived.
    begun: Vec<u8>,
    chunk: Bytes,
}

impl FrameReader {
    pub fn new(length_delimited: bool) -> Self {
        Self {
            length_delimited,
            ..Self::default()
        }
    }

    /// Adds arrived bytes. Call it when [`FrameReader::next`] returns none.
    pub fn feed(&mut self, chunk: Bytes) {
        self.chunk = chunk;
    }

    /// Passes the next whole frame to `take`; none if more bytes have to arrive first.
    pub fn next<T>(&mut self, take: impl FnOnce(&[u8]) -> Result<T>) -> Result<Option<T>> {
        let Some((skip, end, after)) = self.bounds()? else {
            if self.begun.len() + self.chunk.len() > LONGEST {
                return Err(protocol_error("a line has no end"));
            }
            self.begun.extend_from_slice(&self.chunk);
            self.chunk = Bytes::new();
            return Ok(None);
        };
        // All of the earlier bytes belong to this frame; its rest is in the chunk.
        let old = self.begun.len();
        let fresh = self.chunk.split_to(after - old);
        if old == 0 {
            return take(&fresh[skip..end]).map(Some);
        }
        self.begun.extend_from_slice(&fresh);
        let taken = take(&self.begun[skip..end]);
        self.begun.clear();
        taken.map(Some)
    }

    /// The start and end of the next frame in the arrived bytes, and the start of the frame after it.
    fn bounds(&self) -> Result<Option<(usize, usize, usize)>> {
        let old = self.begun.len();
        if !self.length_delimited {
            return Ok(memchr::memchr(b'\n', &self.chunk).map(|end| (0, old + end, old + end + 1)));
        }
        // A length has ten bytes at most, of which some may have arrived earlier.
        let mut joined = [0; 10];
        let head = if old == 0 {
            &self.chunk[..]
        } else {
            let earlier = old.min(joined.len());
            let fresh = self.chunk.len().min(joined.len() - earlier);
            joined[..earlier].copy_from_slice(&self.begun[..earlier]);
            joined[earlier..earlier + fresh].copy_from_slice(&self.chunk[..fresh]);
            &joined[..earlier + fresh]
        };
        let Some((length, rest)) = read_varint(head) else {
            return if head.len() < joined.len() {
                Ok(None)
            } else {
                Err(protocol_error("a message has no length"))
            };
        };
        let skip = head.len() - rest.len();
        match usize::try_from(length).ok().filter(|&length| length <= LONGEST) {
            None => Err(protocol_error("a message is too long")),
            Some(length) if skip + length > old + self.chunk.len() => Ok(None),
            Some(length) => Ok(Some((skip, skip + length, skip + length))),
        }
    }

    /// The bytes left at the end of the answer: a last line without a line end, or nothing.
    pub fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.begun)
    }
}
