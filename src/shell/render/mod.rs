//! Output modes: a statement's result, written as the style asks.
//!
//! A [`Style`] says how (mode, headers, separators, widths); a [`Renderer`] is one statement's result on its way out and
//! is a [`Sink`]. Streaming modes are in `stream`, those that must see all rows in `grid`; values become text in
//! [`crate::sql::number`] and `text`, display width and wrapping are `wrap`'s. Which style applies when, and where the bytes go, is left to the
//! shell. Nothing here knows whether the rows came from a file or over a network.

pub mod explain;
#[cfg(test)]
mod fuzz;
mod grid;

pub mod preset;
mod stream;
pub mod text;
mod wrap;

use crate::sql::{Column, Sink, ValueRef};
use std::io::{self, Write};
use std::ops::ControlFlow;

/// How a result is laid out. `tabs` is [`Mode::List`] with a tab, `qbox` is [`Mode::Box`] with `quote`: see
/// [`Style::preset`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Ascii,
    Box,
    Column,
    /// Only how many rows there were.
    Count,
    Csv,
    Html,
    Insert,
    Json,
    /// One JSON object a line.
    Jsonl,
    Line,
    List,
    Markdown,
    /// Nothing at all.
    Off,
    Quote,
    Table,
    Tcl,
    /// One value a line under a numbered rule for each row.
    Vertical,
}

impl Mode {
    /// Whether all rows are held before the first is written, because widths depend on them.
    #[must_use]
    pub fn holds_rows(self) -> bool {
        matches!(self, Self::Box | Self::Column | Self::Markdown | Self::Table)
    }
}

/// What to do with control characters in values. On a terminal they could move the cursor or worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Escape {
    /// As they are: pipes and files get the data.
    #[default]
    Off,
    /// ESC as `^[`.
    Ascii,
    /// ESC as `␛`.
    Symbol,
}

/// Everything that decides how a result looks. The default is what a pipe gets: `list`, no headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Style {
    pub mode: Mode,
    /// Column names first, in the modes where that is a choice.
    pub headers: bool,
    /// Between columns in list, csv, quote, ascii and tcl.
    pub column_separator: String,
    /// After each row in the same modes and in line.
    pub row_separator: String,
    /// What NULL looks like where the mode has no notation of its own.
    pub null: String,
    /// Column widths in cells, for the modes that align: 0 is as wide as needed, negative aligns right.
    pub widths: Vec<i32>,
    /// Where a column without a width of its own wraps, in cells; 0 is never, and the sign does not matter.
    pub wrap: i32,
    /// Wrap between words.
    pub word_wrap: bool,
    /// Values as SQL literals in the aligning modes.
    pub quote: bool,
    /// The table named in insert mode, unquoted.
    pub insert_table: String,
    /// Line ends inside literals of insert mode stay as they are.
    pub raw_newlines: bool,
    pub escape: Escape,
    /// Numbers aligned right in the aligning modes (classic does not, so scripts do not get it).
    pub numbers_right: bool,
    /// Terminal control sequences put around NULL, so that it differs from a text that looks the same.
    pub dim_null: bool,
    /// A result without rows is shown, too: as an empty array in json, as its header in csv.
    pub shows_empty: bool,
    /// Somebody is watching: rows of streaming modes are written as they arrive, not when a buffer is full.
    pub live: bool,
}

impl Default for Style {
    fn default() -> Self {
        Self {
            mode: Mode::List,
            headers: false,
            column_separator: "|".into(),
            row_separator: "\n".into(),
            null: String::new(),
            widths: Vec::new(),
            wrap: 0,
            word_wrap: false,
            quote: false,
            insert_table: "table".into(),
            raw_newlines: false,
            escape: Escape::Off,
            numbers_right: false,
            dim_null: false,
            shows_empty: false,
            live: false,
        }
    }
}

/// Full buffers are handed on at this size.
const BUFFER: usize = 64 * 1024;

/// The way out: a buffer that values are appended to, handed on when full.
pub(super) struct Out<'a> {
    pub(super) buffer: Vec<u8>,
    writer: &'a mut dyn Write,
}

impl<'a> Out<'a> {
    pub(super) fn new(writer: &'a mut dyn Write) -> Self {
        Self {
            buffer: Vec::with_capacity(BUFFER + BUFFER / 4),
            writer,
        }
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.writer.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    /// Hands the buffer on once it is full. Called between rows.
    pub(super) fn drain(&mut self) -> io::Result<()> {
        if self.buffer.len() >= BUFFER {
            self.flush()
        } else {
            Ok(())
        }
    }
}

enum Body {
    Stream(Box<stream::RowStream>),
    Grid(grid::Grid),
}

/// One statement's result on its way out. [`Renderer::finish`] must be called at the statement's end, also after an
/// error: what came before it is shown.
pub struct Renderer<'a> {
    style: &'a Style,
    out: Out<'a>,
    body: Option<Body>,
}

impl<'a> Renderer<'a> {
    pub fn new(style: &'a Style, writer: &'a mut dyn Write) -> Self {
        let out = Out::new(writer);
        Self { style, out, body: None }
    }

    /// Writes the rows held so far. From now on those that follow are written as they come, and never held: columns grow
    /// where one is wider.
    pub fn flush(&mut self) -> io::Result<()> {
        if let Some(Body::Grid(grid)) = &mut self.body {
            grid.flush(self.style, &mut self.out)?;
        }
        self.pass_on()
    }

    /// Hands on what is written, where somebody is watching or there is much of it.
    fn pass_on(&mut self) -> io::Result<()> {
        if self.style.live {
            self.out.flush()?;
            self.out.writer.flush()
        } else {
            self.out.drain()
        }
    }

    /// Writes what the end of a result brings: the whole table, or the bracket that closes a JSON array.
    pub fn finish(mut self) -> io::Result<()> {
        match self.body.take() {
            None => {}
            Some(Body::Stream(mut stream)) => stream.finish(self.style, &mut self.out.buffer),
            Some(Body::Grid(grid)) => grid.finish(self.style, &mut self.out)?,
        }
        self.out.flush()
    }
}

impl Sink for Renderer<'_> {
    fn columns(&mut self, columns: &[Column]) -> io::Result<()> {
        self.body = Some(if self.style.mode.holds_rows() {
            Body::Grid(grid::Grid::new(self.style, columns))
        } else {
            Body::Stream(Box::new(stream::RowStream::new(self.style, columns)))
        });
        Ok(())
    }

    fn row(&mut self, row: &[ValueRef<'_>]) -> io::Result<ControlFlow<()>> {
        match &mut self.body {
            None => {}
            Some(Body::Stream(stream)) => {
                stream.row(self.style, row, &mut self.out.buffer);
                self.pass_on()?;
            }
            Some(Body::Grid(grid)) => {
                grid.row(self.style, row);
                if grid.has_layout() {
                    grid.flow(self.style, &mut self.out)?;
                    self.pass_on()?;
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

#[cfg(test)]
mod tests;
