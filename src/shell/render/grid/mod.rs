//! The modes that align columns: box, table, markdown, column. All rows are held, because widths depend on them.
//!
//! Rows are kept as bytes one after the other, each cell led by its length and two flags, in chunks that are given back
//! while they are written, a row whole in one of them. Most cells are one line of ASCII: those are copied without a second look.

mod frame;

use super::{Escape, Mode, Out, Style, stream, text, wrap};
use crate::sql::{Column, ValueRef};
use frame::{BOX, BlankLine, COLUMN, GridFrame, MARKDOWN, Rules, TABLE, pad};
use std::io;

const CHUNK: usize = 1024 * 1024;

/// The cell is one line of ASCII without control characters: its width is its length.
const PLAIN: usize = 1;
const NUMBER: usize = 2;
const NULL: usize = 4;
const FLAG_BITS: u32 = 3;

/// A result on its way into a table.
pub struct Grid {
    /// The first line of each name, as shown.
    names: Vec<Vec<u8>>,
    /// Cells of the widest value so far.
    widths: Vec<usize>,
    /// Where each column wraps; 0 is never.
    limits: Vec<usize>,
    chunks: Vec<Vec<u8>>,
    rows: u64,
    /// Rows that are written already, and the frame once there is one around them.
    written: u64,
    frame: Option<&'static GridFrame>,
    /// Whether a row takes several lines: then rules are drawn between all rows.
    several_lines: bool,
    scratch: Vec<u8>,
    visible: Vec<u8>,
}

impl Grid {
    pub fn new(style: &Style, columns: &[Column]) -> Self {
        let requested = |index: usize| style.widths.get(index).map_or(0, |width| width.unsigned_abs() as usize);
        let limit = |index: usize| {
            if requested(index) == 0 {
                style.wrap.unsigned_abs() as usize
            } else {
                requested(index)
            }
        };
        let limits: Vec<usize> = (0..columns.len()).map(limit).collect();
        let mut scratch = Vec::new();
        let names: Vec<Vec<u8>> = columns
            .iter()
            .zip(&limits)
            .map(|(column, &limit)| {
                let name = text::visible(column.name.as_bytes(), style.escape, &mut scratch);
                let mut visible = Vec::new();
                wrap::push_expanded(&mut visible, wrap::line(name, limit, style.word_wrap).visible, limit);
                visible
            })
            .collect();
        let widths = names
            .iter()
            .enumerate()
            .map(|(index, name)| requested(index).max(wrap::width(name, 0)))
            .collect();
        Self {
            names,
            widths,
            limits,
            chunks: Vec::new(),
            rows: 0,
            written: 0,
            frame: None,
            several_lines: false,
            scratch,
            visible: Vec::new(),
        }
    }

    /// Keeps a row.
    pub fn row(&mut self, style: &Style, row: &[ValueRef<'_>]) {
        if self.chunks.last().is_none_or(|chunk| chunk.len() >= CHUNK) {
            let room = if self.has_layout() { 0 } else { CHUNK + CHUNK / 16 };
            self.chunks.push(Vec::with_capacity(room));
        }
        let Some(chunk) = self.chunks.last_mut() else { return };
        for (index, &value) in row.iter().enumerate().take(self.names.len()) {
            let limit = self.limits[index];
            if let ValueRef::Text(bytes) = value
                && fits(bytes, limit, style)
                && !style.quote
                && style.escape == Escape::Off
                && keep_if_plain(chunk, bytes)
            {
                self.widths[index] = bytes.len().max(self.widths[index]);
                continue;
            }
            self.scratch.clear();
            let cell = match value {
                _ if style.quote => {
                    push_quoted(&mut self.scratch, value);
                    text::visible(&self.scratch, style.escape, &mut self.visible)
                }
                ValueRef::Text(bytes) | ValueRef::Blob(bytes) => text::visible(bytes, style.escape, &mut self.visible),
                ValueRef::Null => style.null.as_bytes(),
                ValueRef::Integer(_) | ValueRef::Real(_) => {
                    stream::push_number(&mut self.scratch, value);
                    &self.scratch
                }
            };
            let plain = fits(cell, limit, style) && cell.iter().all(|byte| (0x20..0x80).contains(byte));
            let width = &mut self.widths[index];
            if plain {
                *width = cell.len().max(*width);
            } else {
                let mut rest = Some(cell);
                while let Some(text) = rest {
                    let line = wrap::line(text, limit, style.word_wrap);
                    *width = line.width.max(*width);
                    rest = line.rest;
                    self.several_lines |= rest.is_some();
                }
            }
            let flags = match value {
                ValueRef::Integer(_) | ValueRef::Real(_) => NUMBER,
                ValueRef::Null => NULL,
                ValueRef::Text(_) | ValueRef::Blob(_) => 0,
            };
            keep(chunk, cell, if plain { flags | PLAIN } else { flags });
        }
        self.rows += 1;
    }

    /// Writes the table. Without rows there is none.
    pub fn finish(mut self, style: &Style, out: &mut Out<'_>) -> io::Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        self.flush(style, out)?;
        if let Some(frame) = self.frame {
            out.buffer
                .extend_from_slice(&Rules::new(frame, &self.widths, false).below);
        }
        Ok(())
    }

    /// Whether rows are written as they come.
    pub fn has_layout(&self) -> bool {
        self.frame.is_some()
    }

    /// Writes what is above the rows, and those there are. The widths are known now.
    pub fn flush(&mut self, style: &Style, out: &mut Out<'_>) -> io::Result<()> {
        if self.frame.is_none() {
            let frame = match style.mode {
                Mode::Table => &TABLE,
                Mode::Markdown => &MARKDOWN,
                Mode::Column => &COLUMN,
                _ => &BOX,
            };
            self.frame = Some(frame);
            let rules = Rules::new(frame, &self.widths, style.mode == Mode::Column && !style.headers);
            out.buffer.extend_from_slice(&rules.above);
            if style.mode != Mode::Column || style.headers {
                self.head(style, frame, &mut out.buffer);
            }
            out.buffer.extend_from_slice(&rules.below_names);
        }
        self.flow(style, out)
    }

    /// Writes the rows held, and holds them no longer.
    pub fn flow(&mut self, style: &Style, out: &mut Out<'_>) -> io::Result<()> {
        let Some(frame) = self.frame else { return Ok(()) };
        let between = if self.several_lines {
            Rules::new(frame, &self.widths, false).between_rows
        } else {
            Vec::new()
        };
        let columns = self.names.len();
        let blank = BlankLine::new(frame, &self.widths);
        for chunk in std::mem::take(&mut self.chunks) {
            let mut cells = Vec::with_capacity(columns);
            let mut rest = chunk.as_slice();
            while let Some((cell, after)) = next_cell(rest) {
                rest = after;
                cells.push(cell);
                if cells.len() == columns {
                    if self.written > 0 {
                        out.buffer.extend_from_slice(&between);
                    }
                    self.written += 1;
                    if cells.iter().all(|cell| cell.flags & PLAIN != 0) && !style.dim_null {
                        self.line(style, &blank, &cells, &mut out.buffer);
                    } else {
                        self.lines(style, frame, &mut cells, &mut out.buffer);
                    }
                    cells.clear();
                    out.drain()?;
                }
            }
        }
        Ok(())
    }

    fn head(&self, style: &Style, frame: &GridFrame, out: &mut Vec<u8>) {
        out.extend_from_slice(frame.first.as_bytes());
        let last = self.names.len() - 1;
        for (index, name) in self.names.iter().enumerate() {
            let room = self.widths[index].saturating_sub(wrap::width(name, 0));
            let left = match style.mode {
                Mode::Column if align_right(style, index, 0) => room,
                Mode::Column => 0,
                _ => room / 2,
            };
            pad(out, left);
            out.extend_from_slice(name);
            pad(out, room - left);
            out.extend_from_slice(if index == last { frame.last } else { frame.between }.as_bytes());
        }
    }

    /// Writes a row of plain cells: one line. No cell is wider than its column.
    fn line(&self, style: &Style, blank: &BlankLine, cells: &[Cell<'_>], out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&blank.text);
        let line = &mut out[start..];
        for (index, cell) in cells.iter().enumerate() {
            let text = cell.rest.unwrap_or_default();
            let mut at = blank.columns[index];
            if align_right(style, index, cell.flags) {
                at += self.widths[index] - text.len();
            }
            line[at..at + text.len()].copy_from_slice(text);
        }
    }

    /// Writes a row: as many lines as its tallest cell.
    fn lines(&self, style: &Style, frame: &GridFrame, cells: &mut [Cell<'_>], out: &mut Vec<u8>) {
        let last = cells.len() - 1;
        loop {
            let mut more = false;
            out.extend_from_slice(frame.first.as_bytes());
            for (index, cell) in cells.iter_mut().enumerate() {
                let right = align_right(style, index, cell.flags);
                let (visible, width) = if cell.flags & PLAIN != 0 {
                    let text = cell.rest.take().unwrap_or_default();
                    (text, text.len())
                } else {
                    let text = cell.rest.take().unwrap_or_default();
                    let line = wrap::line(text, self.limits[index], style.word_wrap);
                    cell.rest = line.rest;
                    more |= line.rest.is_some();
                    (line.visible, line.width)
                };
                let room = self.widths[index].saturating_sub(width);
                if right {
                    pad(out, room);
                }
                if style.dim_null && cell.flags & NULL != 0 && !visible.is_empty() {
                    stream::push_dim(out, visible);
                } else if cell.flags & PLAIN != 0 {
                    out.extend_from_slice(visible);
                } else {
                    wrap::push_expanded(out, visible, self.limits[index]);
                }
                if !right {
                    pad(out, room);
                }
                out.extend_from_slice(if index == last { frame.last } else { frame.between }.as_bytes());
            }
            if !more {
                return;
            }
        }
    }
}

/// A column is aligned right if its width is negative, and numbers are if the style says so.
fn align_right(style: &Style, index: usize, flags: usize) -> bool {
    style.widths.get(index).is_some_and(|&width| width < 0) || style.numbers_right && flags & NUMBER != 0
}

/// A kept cell.
struct Cell<'a> {
    flags: usize,
    /// What is still to be shown of it.
    rest: Option<&'a [u8]>,
}

/// Whether a cell is not longer than its column may be. Classic looks for a better place to break as soon as a line is full, even if
/// nothing follows.
fn fits(cell: &[u8], limit: usize, style: &Style) -> bool {
    limit == 0 || cell.len() + usize::from(style.word_wrap) <= limit
}

/// All but the characters of ASCII that take one cell.
const NOT_PLAIN: [bool; 256] = {
    let mut table = [true; 256];
    let mut byte = 0x20;
    while byte < 0x80 {
        table[byte] = false;
        byte += 1;
    }
    table
};

/// Appends a short cell that is plain, as [`keep`] does; returns whether it did.
fn keep_if_plain(chunk: &mut Vec<u8>, cell: &[u8]) -> bool {
    let start = chunk.len();
    push_lead(chunk, cell.len(), PLAIN);
    let is_plain = text::push_if_plain(chunk, cell, &NOT_PLAIN);
    if !is_plain {
        chunk.truncate(start);
    }
    is_plain
}

/// Appends a cell: its length and flags, seven bits a byte, lowest first; then its bytes.
fn keep(chunk: &mut Vec<u8>, cell: &[u8], flags: usize) {
    push_lead(chunk, cell.len(), flags);
    chunk.extend_from_slice(cell);
}

fn push_lead(chunk: &mut Vec<u8>, length: usize, flags: usize) {
    let mut lead = length << FLAG_BITS | flags;
    while lead >= 0x80 {
        chunk.push(lead as u8 | 0x80);
        lead >>= 7;
    }
    chunk.push(lead as u8);
}

/// Splits the first cell off what [`keep`] wrote.
fn next_cell(bytes: &[u8]) -> Option<(Cell<'_>, &[u8])> {
    let mut lead = 0;
    let mut shift = 0;
    let mut at = 0;
    loop {
        let byte = *bytes.get(at)?;
        lead |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        at += 1;
        if byte < 0x80 {
            break;
        }
    }
    let end = at + (lead >> FLAG_BITS);
    let cell = Cell {
        flags: lead & ((1 << FLAG_BITS) - 1),
        rest: Some(bytes.get(at..end)?),
    };
    Some((cell, &bytes[end..]))
}

/// A value as an SQL literal, for people to read: reals are rounded as in text modes.
fn push_quoted(out: &mut Vec<u8>, value: ValueRef<'_>) {
    match value {
        ValueRef::Null => out.extend_from_slice(b"NULL"),
        ValueRef::Text(text) if memchr::memchr(0, text).is_some() => {
            text::push_sql_text(out, text, text::LineEnds::Raw)
        }
        ValueRef::Text(text) => text::push_doubled(out, text, b'\''),
        ValueRef::Blob(blob) => {
            out.extend_from_slice(b"x'");
            text::push_hex(out, blob);
            out.push(b'\'');
        }
        ValueRef::Integer(_) | ValueRef::Real(_) => stream::push_number(out, value),
    }
}

#[cfg(test)]
mod tests;
