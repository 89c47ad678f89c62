//! What a cursor's answer consists of, whichever encoding it has: entries, and the memory that a row's values are read into.
//!
//! A row is decoded into memory that the next row reuses, so a result of any size takes the space of its largest row.

use crate::error::{Code, Error};
use crate::hrana::messages::{Col, HranaError};
use rusqlite::types::ValueRef;
use std::fmt;
use std::ops::Range;

/// A frame, decoded.
#[derive(Debug)]
pub enum CursorEntry {
    /// A statement begins; its columns.
    Begin(Vec<Col>),
    /// A row: it is in the [`RowBuffer`].
    Row,
    End {
        changes: u64,
        last_insert_rowid: Option<i64>,
    },
    /// The statement failed.
    Refused(HranaError),
    /// The whole batch failed.
    Failed(HranaError),
    /// Anything else, which is ignored.
    Other,
}

/// A row, in memory that the next row reuses.
#[derive(Default)]
pub struct RowBuffer {
    pub cells: Vec<RowCell>,
    /// The texts and blobs of the cells.
    pub bytes: Vec<u8>,
    /// How many infinite reals have no sign.
    pub signless: u64,
}

#[derive(Clone)]
pub enum RowCell {
    Null,
    Integer(i64),
    Real(f64),
    Text(Range<usize>),
    Blob(Range<usize>),
}

impl RowBuffer {
    pub fn width(&self) -> usize {
        self.cells.len()
    }

    pub fn values(&self) -> impl Iterator<Item = ValueRef<'_>> {
        self.values_from(0)
    }

    /// The values from index `from` on.
    pub fn values_from(&self, from: usize) -> impl Iterator<Item = ValueRef<'_>> {
        self.cells.iter().skip(from).map(|cell| match cell {
            RowCell::Null => ValueRef::Null,
            RowCell::Integer(integer) => ValueRef::Integer(*integer),
            RowCell::Real(real) => ValueRef::Real(*real),
            RowCell::Text(range) => ValueRef::Text(&self.bytes[range.clone()]),
            RowCell::Blob(range) => ValueRef::Blob(&self.bytes[range.clone()]),
        })
    }

    pub fn push(&mut self, value: ValueRef<'_>) {
        let cell = match value {
            ValueRef::Null => RowCell::Null,
            ValueRef::Integer(integer) => RowCell::Integer(integer),
            ValueRef::Real(real) => RowCell::Real(real),
            ValueRef::Text(text) => RowCell::Text(self.store(text)),
            ValueRef::Blob(blob) => RowCell::Blob(self.store(blob)),
        };
        self.cells.push(cell);
    }

    /// Bytes of texts and blobs.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    pub fn clear(&mut self) {
        self.cells.clear();
        self.bytes.clear();
    }

    /// Appends the bytes of a cell, and returns where they are.
    pub fn store(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len()
    }
}

/// The error for an answer that does not follow the protocol.
pub fn protocol_error(what: impl fmt::Display) -> Error {
    // Without `serde_json`'s line and column, which mean nothing to the user.
    let what = what.to_string();
    let what = what.split(" at line ").next().unwrap_or_default();
    Error::new(
        Code::Unavailable,
        format!("the server's answer is not valid Hrana: {what}"),
    )
    .hint("is the URL that of a libSQL server?")
}
