//! Results that fit a person's terminal.
//!
//! In the modes that align columns, [`Screen`] looks at the first rows of a result and chooses: as it is; with long cells
//! shortened (`…`); or, where there are too many columns for that, one value a line. Drawing is `render`'s, and scripts never
//! come here.

use crate::shell::render::text::visible;
use crate::shell::render::{Escape, Mode, Renderer, Style};
use crate::sql::number;
use crate::sql::{Column, Sink, ValueRef};
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// Rows looked at before the layout is chosen, and how long the first of them waits for the others. Those that follow are
/// shown as they come: a result may be of any size, or have no end.
const SAMPLE: usize = 1000;
const WAIT: Duration = Duration::from_millis(200);
/// A cell shortened further than this tells nothing.
const NARROWEST: usize = 8;
/// Bytes of a blob that are shown.
const BLOB: usize = 16;

/// Makes `style` what a person's session starts with: results in boxes.
pub fn prepare(style: &mut Style) {
    style.preset("box");
    style.wrap = 0;
    style.headers = true;
}

/// Dresses `style` up for a terminal: numbers to the right, NULL told apart from an empty text, and, unless `raw`, nothing
/// that could take the terminal over.
pub fn dress(style: &mut Style, colour: bool, raw: bool) {
    style.numbers_right = true;
    style.live = true;
    if !raw {
        style.escape = Escape::Symbol;
    }
    // What is likely to be copied into a file stays as it would be there.
    if matches!(
        style.mode,
        Mode::Box | Mode::Table | Mode::Column | Mode::Line | Mode::Vertical | Mode::List
    ) {
        style.dim_null = colour;
        if style.null.is_empty() {
            "NULL".clone_into(&mut style.null);
        }
    }
}

/// The layouts to choose from for one result.
#[derive(Debug, Clone)]
pub struct Fit {
    aligned: Style,
    vertical: Style,
    columns: usize,
}

impl Fit {
    /// The layouts for `style` on a terminal of `columns` cells; none where the style leaves no choice: a mode that does not
    /// align, or widths or wrapping that the user set.
    #[must_use]
    pub fn new(style: &Style, columns: usize) -> Option<Self> {
        let chosen = style.widths.iter().any(|width| *width != 0) || style.quote;
        // 60 comes with the modes; anything else was asked for.
        if !style.mode.holds_rows() || chosen || !matches!(style.wrap, 0 | 60) {
            return None;
        }
        let aligned = Style {
            wrap: 0,
            ..style.clone()
        };
        let vertical = Style {
            mode: Mode::Vertical,
            ..style.clone()
        };
        Some(Self {
            aligned,
            vertical,
            columns,
        })
    }

    /// Cells that `count` columns need besides their contents.
    fn frame(&self, count: usize) -> usize {
        match self.aligned.mode {
            Mode::Column => 2 * count.saturating_sub(1),
            _ => 3 * count + 1,
        }
    }
}

/// A value kept until the layout is chosen.
enum Cell {
    Null,
    Integer(i64),
    Real(f64),
    Text(Vec<u8>),
}

impl Cell {
    fn of(value: ValueRef<'_>, escape: Escape) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(number) => Self::Integer(number),
            ValueRef::Real(number) => Self::Real(number),
            // As wide as it is shown, not as it is stored.
            ValueRef::Text(text) => Self::Text(visible(text, escape, &mut Vec::new()).to_vec()),
            ValueRef::Blob(bytes) => Self::Text(blob(bytes)),
        }
    }

    fn value(&self) -> ValueRef<'_> {
        match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Real(number) => ValueRef::Real(*number),
            Self::Text(text) => ValueRef::Text(text),
        }
    }

    /// The widest of its lines, in cells.
    fn width(&self, null: &str) -> usize {
        let mut digits = Vec::new();
        match self {
            Self::Null => return null.width(),
            Self::Integer(number) => number::push_integer(&mut digits, *number),
            Self::Real(number) => number::push_rounded(&mut digits, *number),
            Self::Text(text) => {
                return String::from_utf8_lossy(text)
                    .lines()
                    .map(UnicodeWidthStr::width)
                    .max()
                    .unwrap_or(0);
            }
        }
        digits.len()
    }
}

/// A blob as it can be typed again, if it is short; else its start and its length.
fn blob(bytes: &[u8]) -> Vec<u8> {
    use std::fmt::Write;
    let mut text = String::from("x'");
    for byte in bytes.iter().take(BLOB) {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    if bytes.len() > BLOB {
        let _ = write!(text, "…' ({} bytes)", bytes.len());
    } else {
        text.push('\'');
    }
    text.into_bytes()
}

/// A result on its way to a terminal.
pub struct Screen<'a> {
    fit: &'a Fit,
    /// Until the layout is chosen.
    out: Option<&'a mut dyn Write>,
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
    /// When the first row came.
    since: Option<Instant>,
    renderer: Option<Renderer<'a>>,
    /// Cells that each column may take; empty where nothing is shortened.
    limits: Vec<usize>,
    shortened: bool,
}

impl<'a> Screen<'a> {
    pub fn new(fit: &'a Fit, out: &'a mut dyn Write) -> Self {
        Self {
            fit,
            out: Some(out),
            columns: Vec::new(),
            rows: Vec::new(),
            since: None,
            renderer: None,
            limits: Vec::new(),
            shortened: false,
        }
    }

    /// Writes what is still to come. Returns whether cells were shortened.
    ///
    /// # Errors
    /// Where the result cannot be written.
    pub fn finish(mut self) -> io::Result<bool> {
        // No row follows, so nothing is left to stop.
        let _ = self.choose(false)?;
        match self.renderer {
            Some(renderer) => renderer.finish()?,
            None => return Ok(false),
        }
        Ok(self.shortened)
    }

    /// Chooses the layout, and hands on the rows kept so far. `more` may follow.
    fn choose(&mut self, more: bool) -> io::Result<ControlFlow<()>> {
        let Some(out) = self.out.take() else {
            return Ok(ControlFlow::Continue(()));
        };
        let mut columns = std::mem::take(&mut self.columns);
        let style = match limits(&columns, &self.rows, self.fit, more) {
            Some(limits) => {
                for (column, limit) in columns.iter_mut().zip(&limits) {
                    if let Some(short) = shorten(&column.name, *limit) {
                        column.name = short;
                    }
                }
                self.limits = limits;
                &self.fit.aligned
            }
            None => &self.fit.vertical,
        };
        let mut renderer = Renderer::new(style, out);
        renderer.columns(&columns)?;
        self.renderer = Some(renderer);
        for row in std::mem::take(&mut self.rows) {
            let values: Vec<ValueRef<'_>> = row.iter().map(Cell::value).collect();
            if self.pass(&values)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        if let (true, Some(renderer)) = (more, &mut self.renderer) {
            renderer.flush()?;
        }
        Ok(ControlFlow::Continue(()))
    }

    fn pass(&mut self, row: &[ValueRef<'_>]) -> io::Result<ControlFlow<()>> {
        let Some(renderer) = &mut self.renderer else {
            return Ok(ControlFlow::Continue(()));
        };
        // What changes is kept here, so that it can be lent to the renderer.
        let changed: Vec<Option<Vec<u8>>> = row
            .iter()
            .enumerate()
            .map(|(index, value)| match value {
                ValueRef::Blob(bytes) => Some(blob(bytes)),
                ValueRef::Text(text) => {
                    let limit = *self.limits.get(index)?;
                    let mut scratch = Vec::new();
                    let text = visible(text, self.fit.aligned.escape, &mut scratch);
                    shorten(&String::from_utf8_lossy(text), limit).map(String::into_bytes)
                }
                _ => None,
            })
            .collect();
        self.shortened |= row
            .iter()
            .zip(&changed)
            .any(|(value, text)| text.is_some() && matches!(value, ValueRef::Text(_)));
        let values: Vec<ValueRef<'_>> = row
            .iter()
            .zip(&changed)
            .map(|(value, text)| text.as_deref().map_or(*value, ValueRef::Text))
            .collect();
        renderer.row(&values)
    }
}

impl Sink for Screen<'_> {
    fn columns(&mut self, columns: &[Column]) -> io::Result<()> {
        self.columns = columns.to_vec();
        Ok(())
    }

    fn row(&mut self, row: &[ValueRef<'_>]) -> io::Result<ControlFlow<()>> {
        if self.out.is_none() {
            return self.pass(row);
        }
        let escape = self.fit.aligned.escape;
        self.rows
            .push(row.iter().map(|value| Cell::of(*value, escape)).collect());
        let since = *self.since.get_or_insert_with(Instant::now);
        if self.rows.len() == SAMPLE || since.elapsed() >= WAIT {
            self.choose(true)
        } else {
            Ok(ControlFlow::Continue(()))
        }
    }
}

/// How wide each column may be so that all fit: as wide as needed, but texts no wider than what is left for each. None if
/// that would leave them too narrow to read. Where `more` rows may follow they may be wider.
fn limits(columns: &[Column], rows: &[Vec<Cell>], fit: &Fit, more: bool) -> Option<Vec<usize>> {
    let mut wanted: Vec<usize> = columns.iter().map(|column| column.name.width()).collect();
    let mut least: Vec<usize> = vec![0; columns.len()];
    for row in rows {
        for (index, cell) in row.iter().enumerate().take(wanted.len()) {
            let width = cell.width(&fit.aligned.null);
            wanted[index] = wanted[index].max(width);
            // A number cut short is a wrong number.
            if !matches!(cell, Cell::Text(_)) {
                least[index] = least[index].max(width);
            }
        }
    }
    let room = fit.columns.checked_sub(fit.frame(columns.len()))?;
    if wanted.iter().sum::<usize>() <= room {
        // Rows after the sample may be wider, so the limits stay: what is left over goes to the last column.
        let spare = room - wanted.iter().sum::<usize>();
        return Some(
            wanted
                .iter()
                .map(|width| {
                    if more {
                        (*width + spare).max(NARROWEST)
                    } else {
                        usize::MAX
                    }
                })
                .collect(),
        );
    }
    let width_at = |limit: usize| -> usize {
        wanted
            .iter()
            .zip(&least)
            .map(|(wanted, least)| (*wanted).min(limit).max(*least))
            .sum()
    };
    if width_at(NARROWEST) > room {
        return None;
    }
    // The widest limit that still fits.
    let (mut low, mut high) = (NARROWEST, fit.columns);
    while low < high {
        let middle = (low + high).div_ceil(2);
        if width_at(middle) <= room {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    Some(least.iter().map(|least| low.max(*least)).collect())
}

/// `text` with each line cut to `limit` cells, the last of them `…`; none if all fit.
fn shorten(text: &str, limit: usize) -> Option<String> {
    if text.lines().all(|line| line.width() <= limit) {
        return None;
    }
    let mut short = String::with_capacity(text.len().min(4 * limit));
    for (index, line) in text.split('\n').enumerate() {
        if index > 0 {
            short.push('\n');
        }
        if line.width() <= limit {
            short.push_str(line);
            continue;
        }
        let mut used = 1;
        for sign in line.graphemes(true) {
            used += sign.width();
            if used > limit {
                break;
            }
            short.push_str(sign);
        }
        short.push('…');
    }
    Some(short)
}

#[cfg(test)]
mod tests;
