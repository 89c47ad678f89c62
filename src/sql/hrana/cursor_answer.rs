//! The answer of a cursor as it arrives: what has been read of it, and how far. What its entries mean for a statement is
//! for `statement` to say.

use crate::hrana::entry::{CursorEntry, RowBuffer, protocol_error};
use crate::hrana::frames::FrameReader;
use crate::hrana::json;
use crate::hrana::messages::CursorHead;
use crate::hrana::protobuf;
use crate::sql::{Column, Failure};

/// How far the reading of an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CursorPosition {
    Head,
    Begin,
    Rows,
    End,
}

/// What a statement did, as its last entry says.
pub(super) struct StepCounts {
    pub changes: u64,
    pub last_insert_rowid: Option<i64>,
}

/// What has been read of an answer.
pub(super) struct CursorAnswer {
    /// It is protobuf, not JSON.
    binary: bool,
    pub frames: FrameReader,
    /// The row that was decoded last.
    pub row: RowBuffer,
    pub position: CursorPosition,
    pub columns: Vec<Column>,
    /// The columns were passed on.
    pub is_described: bool,
    /// Of the statement, once it has ended.
    pub counts: Option<StepCounts>,
}

impl CursorAnswer {
    pub(super) fn new(binary: bool) -> Self {
        Self {
            binary,
            frames: FrameReader::new(binary),
            row: RowBuffer::default(),
            position: CursorPosition::Head,
            columns: Vec::new(),
            is_described: false,
            counts: None,
        }
    }

    /// Decodes the head, if it has arrived whole.
    pub(super) fn next_head(&mut self) -> Result<Option<CursorHead>, Failure> {
        let binary = self.binary;
        let head = self.frames.next(|frame| {
            if binary {
                protobuf::cursor::decode_head(frame)
            } else {
                serde_json::from_slice(frame).map_err(protocol_error)
            }
        });
        head.map_err(Failure::Connection)
    }

    /// Decodes the next entry, if it has arrived whole.
    pub(super) fn next_entry(&mut self) -> Result<Option<CursorEntry>, Failure> {
        let (binary, row) = (self.binary, &mut self.row);
        let entry = self.frames.next(|frame| {
            if binary {
                protobuf::cursor::decode_entry(frame, row)
            } else {
                json::cursor::decode_entry(frame, row)
            }
        });
        entry.map_err(Failure::Connection)
    }
}
