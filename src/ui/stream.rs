//! An answer whose items are printed as they come, in every form: a list that nobody has to hold.

use super::{Cell, OutputFormat, Ui};
use crate::error::{Error, Result};
use serde::Serialize;
use std::io::{self, Write as _};
use unicode_width::UnicodeWidthStr as _;

/// A list under way.
pub struct ItemStream<'u> {
    ui: &'u Ui,
    columns: &'static [StreamColumn],
    /// The width of the first column, in which names are.
    first_width: usize,
    count: usize,
}

/// A column of a list for people, and of CSV.
pub struct StreamColumn {
    pub title: &'static str,
    /// In terminal cells. The first column is as wide as its names, and the last as its text.
    pub width: usize,
}

impl Ui {
    /// Begins a list. `first_width` is the width of the longest text of the first column.
    #[must_use]
    pub fn stream(&self, columns: &'static [StreamColumn], first_width: usize) -> ItemStream<'_> {
        ItemStream {
            ui: self,
            columns,
            first_width,
            count: 0,
        }
    }
}

impl ItemStream<'_> {
    /// Prints an item: `value` for machines, `cells` for people and CSV, `name` for `--output name` where it has one.
    pub fn push(&mut self, value: &impl Serialize, cells: &[Cell], name: Option<&str>) -> Result<()> {
        let mut out = String::new();
        match self.ui.format() {
            OutputFormat::Json => {
                out.push_str(if self.count == 0 { "[\n  " } else { ",\n  " });
                out.push_str(&json(value)?);
            }
            OutputFormat::Jsonl => out = json(value)? + "\n",
            OutputFormat::Csv => {
                let header = (self.count == 0).then(|| self.header());
                let record = cells.iter().map(|cell| cell.plain().to_owned()).collect();
                return self.next(|ui| ui.answer(|out| super::write_csv(out, header.into_iter().chain([record]))));
            }
            OutputFormat::Name => {
                if let Some(name) = name {
                    out = format!("{name}\n");
                }
            }
            OutputFormat::Table => {
                if self.count == 0 {
                    let titles: Vec<_> = self.columns.iter().map(|column| column.title.to_owned()).collect();
                    self.draw(&titles, &mut out);
                }
                let raw = self.ui.raw || !self.ui.out_terminal;
                let texts: Vec<_> = cells.iter().map(|cell| cell.display(raw).into_owned()).collect();
                self.draw(&texts, &mut out);
            }
        }
        self.next(|_| print(&out))
    }

    /// Ends the list.
    pub fn finish(self) -> Result<()> {
        match (self.ui.format(), self.count) {
            (OutputFormat::Json, 0) => print("[]\n"),
            (OutputFormat::Json, _) => print("\n]\n"),
            // As of a list that is printed at once.
            (OutputFormat::Csv, 0) => self.ui.answer(|out| super::write_csv(out, [self.header()])),
            _ => Ok(()),
        }
    }

    /// The first record of CSV.
    fn header(&self) -> Vec<String> {
        let titles = self.columns.iter().map(|column| column.title);
        titles.map(|title| title.to_lowercase().replace(' ', "_")).collect()
    }

    fn next(&mut self, print: impl FnOnce(&Ui) -> Result<()>) -> Result<()> {
        print(self.ui)?;
        self.count += 1;
        Ok(())
    }

    fn draw(&self, texts: &[String], out: &mut String) {
        let start = out.len();
        for (at, (text, column)) in texts.iter().zip(self.columns).enumerate() {
            let width = if at == 0 { self.first_width } else { column.width }.max(column.title.len());
            out.push_str(text);
            out.extend(std::iter::repeat_n(' ', width.saturating_sub(text.width()) + 2));
        }
        out.truncate(start + out[start..].trim_end().len());
        out.push('\n');
    }
}

fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::io(error.into(), "cannot write the answer"))
}

fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| Error::io(error, "cannot write the answer"))
}
