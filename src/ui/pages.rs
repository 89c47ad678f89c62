//! A list that is printed a page at a time, in every form: what [`Ui::show`](super::Ui::show) prints of the whole, without anybody
//! having it. Only the columns of a table are as wide as its first page needs.

use super::view::PlainColumn;
use super::{Layout, OutputFormat, Ui, View, write_csv};
use crate::error::Result;

/// A list under way.
pub struct PagedList<'u> {
    ui: &'u Ui,
    /// Of a table without borders.
    columns: Vec<PlainColumn>,
    is_begun: bool,
}

impl Ui {
    /// Begins a list whose pages are views of lists.
    #[must_use]
    pub fn paged_list(&self) -> PagedList<'_> {
        PagedList {
            ui: self,
            columns: Vec::new(),
            is_begun: false,
        }
    }
}

impl PagedList<'_> {
    /// Prints the next page, which is not empty.
    pub fn push<V: View>(&mut self, page: &V) -> Result<()> {
        let is_first = !std::mem::replace(&mut self.is_begun, true);
        let (ui, columns) = (self.ui, &mut self.columns);
        match ui.format() {
            OutputFormat::Json => {
                let items = serde_json::to_string_pretty(page).map_err(unwritable)?;
                let items = items.strip_prefix("[\n").and_then(|items| items.strip_suffix("\n]"));
                let begin = if is_first { "[\n" } else { ",\n" };
                ui.answer(|out| write!(out, "{begin}{}", items.unwrap_or_default()))
            }
            OutputFormat::Csv => match page.layout() {
                Layout::Table(table) => {
                    let header = usize::from(!is_first);
                    ui.answer(|out| write_csv(out, table.records().skip(header)))
                }
                Layout::Card(_) | Layout::Said(_) => ui.show(page),
            },
            OutputFormat::Table => match page.layout() {
                Layout::Table(table) if !ui.drawing().terminal => {
                    if is_first {
                        *columns = table.plain_columns(ui.drawing());
                    }
                    let rows = table.draw_plain_rows(ui.drawing(), columns, is_first);
                    ui.answer(|out| out.write_all(rows.as_bytes()))
                }
                // A person sees the titles again with each page.
                Layout::Table(_) | Layout::Card(_) | Layout::Said(_) => ui.show(page),
            },
            OutputFormat::Jsonl | OutputFormat::Name => ui.show(page),
        }
    }

    /// Ends the list. `empty` is the view of an empty list, which is shown where there was no page.
    pub fn finish<V: View>(self, empty: &V) -> Result<()> {
        match (self.is_begun, self.ui.format()) {
            (false, _) => self.ui.show(empty),
            (true, OutputFormat::Json) => self.ui.answer(|out| out.write_all(b"\n]\n")),
            (true, _) => Ok(()),
        }
    }
}

fn unwritable(error: serde_json::Error) -> crate::error::Error {
    crate::error::Error::io(error.into(), "cannot write the answer")
}
