//! Rows that wait to be sent together, and the counts of those that were. How they are sent is left to `bulk` and `insert`.

use crate::hrana::entry::RowBuffer;
use crate::sql::ValueRef;

/// A batch is sent when its values take this many bytes, or when it has this many rows.
pub(super) const BYTES: usize = 512 << 10;
const ROWS: usize = 2000;
/// What was inserted.
#[derive(Default)]
pub(super) struct InsertCounts {
    pub rows: u64,
    pub changes: u64,
    pub last_insert_rowid: Option<i64>,
}

impl InsertCounts {
    pub(super) fn add(&mut self, more: &Self) {
        self.rows += more.rows;
        self.changes += more.changes;
        self.last_insert_rowid = more.last_insert_rowid.or(self.last_insert_rowid);
    }
}

/// Rows not yet sent.
pub(super) struct PendingRows {
    /// The values of all rows, one row after the other.
    values: RowBuffer,
    width: usize,
    /// The number of each row, from 0.
    numbers: Vec<u64>,
}

impl PendingRows {
    pub(super) fn new(width: usize) -> Self {
        Self {
            values: RowBuffer::default(),
            width,
            numbers: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, nth: u64, row: &[ValueRef<'_>]) {
        for &value in row {
            self.values.push(value);
        }
        self.numbers.push(nth);
    }

    pub(super) fn is_full(&self) -> bool {
        self.numbers.len() >= ROWS || self.values.size() >= BYTES
    }

    pub(super) fn clear(&mut self) {
        self.values.clear();
        self.numbers.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// The number of a row, which is given by its index among those that wait.
    pub(super) fn row_number(&self, index: usize) -> u64 {
        self.numbers[index]
    }

    /// The values from a row on, row after row.
    pub(super) fn values(&self, from: usize) -> impl Iterator<Item = ValueRef<'_>> {
        self.values.values_from(from * self.width)
    }
}
