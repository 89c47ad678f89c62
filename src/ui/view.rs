//! What a verb answers: one serializable value, and beside it how a person sees it.
//!
//! A [`View`] is drawn as a table, JSON, JSON lines, CSV or bare names by [`super::Ui::show`]. Commands say what the
//! columns are and never draw. `comfy_table` is used here and nowhere else outside the shell.

use super::text;
use comfy_table::{Attribute, CellAlignment, ColumnConstraint, ContentArrangement, Width, presets};
use jiff::Timestamp;
use serde::Serialize;
use unicode_width::UnicodeWidthStr;

/// A verb's answer. Its serialization is the machine's form: a bare array for a list, an object for a single thing.
pub trait View: Serialize {
    /// The person's form, and the columns of CSV.
    fn layout(&self) -> Layout;
    /// The bare names, one a line, for `--output name`.
    fn names(&self) -> Vec<String>;
}

/// How a person sees an answer.
pub enum Layout {
    Table(Table),
    Card(Card),
    /// A sentence; CSV is the value's own members.
    Said(String),
}

/// Cells around a column's content, with its border and without.
const BORDER: usize = 3;
const PADDING: usize = 2;

/// Words that are longer (URLs) are broken where there is no room for them.
const LONGEST_WORD: usize = 24;

/// Rows under titles.
pub struct Table {
    titles: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
    /// Said on stderr in place of an empty table.
    empty: String,
}

/// A column of a table without borders.
pub(super) struct PlainColumn {
    /// In terminal cells.
    width: usize,
    right: bool,
}

/// Labelled values, one a line, perhaps with tables below.
#[derive(Default)]
pub struct Card {
    fields: Vec<(&'static str, Cell)>,
    tables: Vec<(&'static str, Table)>,
}

/// One value: as a machine reads it (CSV) and as a person does.
pub struct Cell {
    plain: String,
    human: Option<String>,
    right: bool,
}

impl Cell {
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            plain: text.into(),
            human: None,
            right: false,
        }
    }

    /// A value that may be absent: empty for machines, `-` for people.
    pub fn maybe<T>(value: Option<T>, cell: impl FnOnce(T) -> Self) -> Self {
        value.map_or_else(|| Self::text("").with_display("-"), cell)
    }

    pub fn number(value: impl std::fmt::Display) -> Self {
        Self {
            plain: value.to_string(),
            human: None,
            right: true,
        }
    }

    pub fn size(bytes: u64) -> Self {
        Self::number(bytes).with_display(text::size(bytes))
    }

    pub fn time(at: Timestamp) -> Self {
        Self::text(at.to_string()).with_display(text::time(at))
    }

    /// A time whose distance from now is what matters.
    pub fn age(at: Timestamp) -> Self {
        Self::text(at.to_string()).with_display(text::age(at, Timestamp::now()))
    }

    /// Milliseconds.
    pub fn span(ms: u64) -> Self {
        Self::number(ms).with_display(text::span(ms))
    }

    pub fn yes_no(value: bool) -> Self {
        Self::text(value.to_string()).with_display(if value { "yes" } else { "no" })
    }

    /// Several values: space-separated for machines, comma-separated for people.
    pub fn list<T: std::fmt::Display>(items: &[T]) -> Self {
        let items: Vec<String> = items.iter().map(T::to_string).collect();
        Self::text(items.join(" ")).with_display(if items.is_empty() { "-".into() } else { items.join(", ") })
    }

    /// What a person sees instead.
    #[must_use]
    pub fn with_display(mut self, human: impl Into<String>) -> Self {
        self.human = Some(human.into());
        self
    }

    /// As a machine reads it.
    pub(super) fn plain(&self) -> &str {
        &self.plain
    }

    /// As a person sees it; `raw` leaves control characters as they are.
    pub(super) fn display(&self, raw: bool) -> std::borrow::Cow<'_, str> {
        let text = self.human.as_deref().unwrap_or(&self.plain);
        if raw { text.into() } else { text::visible(text) }
    }
}

/// How a table is drawn: decided once by [`super::Ui`].
#[derive(Clone, Copy)]
pub(super) struct Drawing {
    /// Borders and fitting to the screen, rather than aligned columns.
    pub terminal: bool,
    pub color: bool,
    /// Show control characters as they are.
    pub raw: bool,
    pub width: Option<u16>,
}

impl Table {
    pub fn new(titles: impl Into<Vec<&'static str>>, empty: impl Into<String>) -> Self {
        Self {
            titles: titles.into(),
            rows: Vec::new(),
            empty: empty.into(),
        }
    }

    pub fn row(&mut self, cells: Vec<Cell>) {
        debug_assert_eq!(cells.len(), self.titles.len());
        self.rows.push(cells);
    }

    /// What to say when there are no rows.
    pub(super) fn empty_note(&self) -> Option<&str> {
        self.rows.is_empty().then_some(self.empty.as_str())
    }

    pub(super) fn draw(&self, how: Drawing) -> String {
        if self.rows.is_empty() {
            String::new()
        } else if !how.terminal {
            self.draw_plain(how)
        } else if how
            .width
            .is_some_and(|width| self.least_width(how) > usize::from(width))
        {
            self.draw_records(how)
        } else {
            self.draw_boxed(how)
        }
    }

    /// Cells that a column needs at least, so that nothing in it is broken but between words. A number is not broken
    /// before its unit, nor what stands first: a name in pieces cannot be copied.
    fn least(&self, column: usize, how: Drawing) -> usize {
        let longest = |text: &str, whole: bool| {
            if whole {
                text.width()
            } else {
                let words = text.split_whitespace().map(UnicodeWidthStr::width);
                words.max().unwrap_or(0).min(LONGEST_WORD)
            }
        };
        let cells = self.rows.iter().map(|row| &row[column]);
        let cells = cells.map(|cell| longest(&cell.display(how.raw), column == 0 || cell.right));
        cells.chain([longest(self.titles[column], false)]).max().unwrap_or(0)
    }

    /// Cells that the table needs with its borders.
    fn least_width(&self, how: Drawing) -> usize {
        let columns = (0..self.titles.len()).map(|column| self.least(column, how) + BORDER);
        columns.sum::<usize>() + 1
    }

    /// The rows one below the other, for a screen that the table does not fit on.
    fn draw_records(&self, how: Drawing) -> String {
        let width = self.titles.iter().map(|title| title.width()).max().unwrap_or(0) + 1;
        let mut out = String::new();
        for row in &self.rows {
            if !out.is_empty() {
                out.push('\n');
            }
            for (title, cell) in self.titles.iter().zip(row) {
                push_labelled(&mut out, title, width, &cell.display(how.raw));
            }
        }
        out
    }

    fn draw_boxed(&self, how: Drawing) -> String {
        let mut table = comfy_table::Table::new();
        table
            .load_style(presets::UTF8_FULL_CONDENSED)
            .set_content_arrangement(ContentArrangement::Dynamic);
        if let Some(width) = how.width {
            table.set_width(width);
        }
        if how.color {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        table.set_header(self.titles.iter().map(|title| {
            let cell = comfy_table::Cell::new(title);
            if how.color {
                cell.add_attribute(Attribute::Bold)
            } else {
                cell
            }
        }));
        for row in &self.rows {
            table.add_row(row.iter().map(|cell| comfy_table::Cell::new(cell.display(how.raw))));
        }
        for i in (0..self.titles.len()).filter(|i| self.right(*i)) {
            if let Some(column) = table.column_mut(i) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        for i in 0..self.titles.len() {
            let least = self.least(i, how) + PADDING;
            if let (Some(column), Ok(least)) = (table.column_mut(i), u16::try_from(least)) {
                column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(least)));
            }
        }
        format!("{table}\n")
    }

    fn draw_plain(&self, how: Drawing) -> String {
        let columns = self.plain_columns(how);
        self.draw_plain_rows(how, &columns, true)
    }

    /// The widths and sides of columns that these rows need.
    pub(super) fn plain_columns(&self, how: Drawing) -> Vec<PlainColumn> {
        (0..self.titles.len())
            .map(|i| PlainColumn {
                width: self
                    .rows
                    .iter()
                    .map(|row| row[i].display(how.raw).width())
                    .chain([self.titles[i].width()])
                    .max()
                    .unwrap_or(0),
                right: self.right(i),
            })
            .collect()
    }

    /// The rows in columns. What is wider than its column moves the rest of its line.
    pub(super) fn draw_plain_rows(&self, how: Drawing, columns: &[PlainColumn], titles: bool) -> String {
        let mut out = String::new();
        let mut line = |texts: &[&str]| {
            let start = out.len();
            for (i, text) in texts.iter().enumerate() {
                let pad = std::iter::repeat_n(' ', columns[i].width.saturating_sub(text.width()));
                if i > 0 {
                    out.push_str("  ");
                }
                if columns[i].right {
                    out.extend(pad);
                    out.push_str(text);
                } else {
                    out.push_str(text);
                    out.extend(pad);
                }
            }
            out.truncate(start + out[start..].trim_end().len());
            out.push('\n');
        };
        if titles {
            line(&self.titles);
        }
        for row in &self.rows {
            let texts: Vec<_> = row.iter().map(|cell| cell.display(how.raw)).collect();
            line(&texts.iter().map(AsRef::as_ref).collect::<Vec<&str>>());
        }
        out
    }

    /// Whether a column stands to the right: one with a number in it does, also where numbers are missing.
    fn right(&self, column: usize) -> bool {
        self.rows.iter().any(|row| row[column].right)
    }

    /// Header and records, for CSV. Titles become lower case with `_` for spaces.
    pub(super) fn records(&self) -> impl Iterator<Item = Vec<String>> + '_ {
        let header = self.titles.iter().map(|title| csv_title(title)).collect();
        std::iter::once(header).chain(
            self.rows
                .iter()
                .map(|row| row.iter().map(|cell| cell.plain.clone()).collect()),
        )
    }
}

/// Appends a line with a value behind its label, which is shorter than `width`.
fn push_labelled(out: &mut String, label: &str, width: usize, value: &str) {
    out.push_str(label);
    out.push(':');
    out.extend(std::iter::repeat_n(' ', width - label.width()));
    out.push_str(value);
    out.push('\n');
}

fn csv_title(title: &str) -> String {
    title.to_lowercase().replace(' ', "_")
}

impl Card {
    #[must_use]
    pub fn field(mut self, label: &'static str, cell: Cell) -> Self {
        self.fields.push((label, cell));
        self
    }

    /// A field that is shown only where there is a value.
    #[must_use]
    pub fn field_if<T>(self, label: &'static str, value: Option<T>, cell: impl FnOnce(T) -> Cell) -> Self {
        match value {
            Some(value) => self.field(label, cell(value)),
            None => self,
        }
    }

    /// A table below the fields.
    #[must_use]
    pub fn table(mut self, title: &'static str, table: Table) -> Self {
        self.tables.push((title, table));
        self
    }

    pub(super) fn draw(&self, how: Drawing) -> String {
        let width = self.fields.iter().map(|(label, _)| label.width()).max().unwrap_or(0) + 1;
        let mut out = String::new();
        for (label, cell) in &self.fields {
            push_labelled(&mut out, label, width, &cell.display(how.raw));
        }
        for (title, table) in &self.tables {
            if table.rows.is_empty() {
                continue;
            }
            out.push_str(&format!("\n{title}:\n{}", table.draw(how)));
        }
        out
    }

    pub(super) fn records(&self) -> [Vec<String>; 2] {
        [
            self.fields.iter().map(|(label, _)| csv_title(label)).collect(),
            self.fields.iter().map(|(_, cell)| cell.plain.clone()).collect(),
        ]
    }
}

/// A single thing as CSV: its members' names, and their values. Lists are joined by spaces.
pub(super) fn object_records(value: &serde_json::Value) -> [Vec<String>; 2] {
    use serde_json::Value;
    fn plain(value: &Value) -> String {
        match value {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(" "),
            other => other.to_string(),
        }
    }
    let members = value.as_object();
    let members = || members.into_iter().flatten();
    [
        members().map(|(key, _)| key.clone()).collect(),
        members().map(|(_, value)| plain(value)).collect(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(width: u16) -> String {
        let mut table = Table::new(["LOCATION", "STATE", "SIZE", "LAST SYNC"], "");
        for place in ["ams", "a-place-with-a-long-name"] {
            let size = Cell::size(388 * 1024);
            let state = Cell::text("catching up");
            table.row(vec![Cell::text(place), state, size, Cell::text("2026-11-27 07:19 UTC")]);
        }
        table.draw(Drawing {
            terminal: true,
            color: false,
            raw: false,
            width: Some(width),
        })
    }

    #[test]
    fn table_that_is_too_wide_is_broken_between_words_only() {
        let wide = drawn(90);
        assert!(
            wide.contains("│ ams                      ┆ catching up ┆ 388.0 KiB ┆ 2026-11-27 07:19 UTC │"),
            "{wide}"
        );
        let narrower = drawn(66);
        assert!(narrower.lines().all(|line| line.width() <= 66), "{narrower}");
        for whole in [
            "a-place-with-a-long-name",
            "catching",
            "388.0 KiB",
            "2026-11-27",
            "LAST",
        ] {
            assert!(narrower.contains(whole), "{whole}: {narrower}");
        }
    }

    #[test]
    fn table_rows_that_do_not_fit_are_shown_as_lists() {
        let record =
            "LOCATION:  ams\nSTATE:     catching up\nSIZE:      388.0 KiB\nLAST SYNC: 2026-11-27 07:19 UTC\n\n";
        assert!(drawn(40).starts_with(record), "{}", drawn(40));
    }
}
