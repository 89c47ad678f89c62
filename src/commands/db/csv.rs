//! CSV tables into databases: which table, which separator, and what to say about it. Reading and checking is
//! `shell::import::strict`'s.

use super::seed::not_interrupted;
use crate::context::Context;
use crate::error::{Code, Error, Result};
use crate::shell::import::strict::{self, Kind};
use crate::sql::{Flow, Session};
use serde::Serialize;
use std::path::Path;

/// How a CSV file is read.
///
/// The first line names the columns. A column is declared INTEGER or REAL when every value in it is written just as SQLite
/// would write it back, else TEXT, so nothing is lost: `007` and `NA` stay as they are.
#[derive(clap::Args, Default)]
pub(crate) struct Form {
    /// Its table [default: file name]
    #[arg(long, visible_alias = "table", value_name = "NAME")]
    csv_table_name: Option<String>,
    /// Character between CSV columns, or tab
    #[arg(
        long,
        hide_short_help = true,
        value_name = "CHAR",
        default_value = ",",
        hide_default_value = true
    )]
    csv_separator: Separator,
}

/// A separator of columns.
#[derive(Debug, Clone, Copy)]
struct Separator(u8);

impl Default for Separator {
    fn default() -> Self {
        Self(b',')
    }
}

impl std::str::FromStr for Separator {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.as_bytes() {
            b"tab" | b"\\t" => Ok(Self(b'\t')),
            [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\r' | b'\n' | 0) => Ok(Self(*byte)),
            _ => Err(
                Error::new(Code::InvalidValue, format!("{text:?} cannot separate columns"))
                    .hint("use one character such as , or ; or |, or the word tab"),
            ),
        }
    }
}

impl Form {
    /// A table's name means nothing without a table.
    pub fn refuse_without_csv(&self) -> Result<()> {
        if self.csv_table_name.is_none() {
            return Ok(());
        }
        Err(Error::new(Code::Usage, "a table is named, but there is no CSV file to import").hint("add --from-csv PATH"))
    }

    /// The table for a file's rows: the one named, else the file's own name without its extension.
    fn table(&self, path: &Path) -> Result<String> {
        let table = match &self.csv_table_name {
            Some(name) => name.clone(),
            None => path
                .file_stem()
                .map(|stem| stem.to_string_lossy().into_owned())
                .unwrap_or_default(),
        };
        let refuse = |why: &str| {
            Err(
                Error::new(Code::InvalidValue, format!("{table:?} cannot be a table: {why}"))
                    .hint("name one with --csv-table-name"),
            )
        };
        if table.is_empty() {
            return refuse("it is empty");
        }
        if table.contains('\0') {
            return refuse("it holds a NUL character");
        }
        if table
            .get(..7)
            .is_some_and(|start| start.eq_ignore_ascii_case("sqlite_"))
        {
            return refuse("names that begin with sqlite_ are SQLite's own");
        }
        Ok(table)
    }
}

/// What became of a table.
#[derive(Debug, Serialize)]
pub(crate) struct Imported {
    pub table: String,
    pub rows: u64,
    /// Whether the table is new.
    pub table_created: bool,
    pub columns: Vec<Column>,
}

/// A column that was filled.
#[derive(Debug, Serialize)]
pub(crate) struct Column {
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
}

/// Imports a file into a table, new or there already, in one transaction.
pub(super) fn import(ctx: &Context, path: &Path, form: &Form, session: &mut dyn Session) -> Result<Imported> {
    let table = form.table(path)?;
    let mut file = strict::open(path)?;
    let name = path.to_string_lossy();
    let mut bar = ctx.ui.progress("Importing");
    let report = strict::import(
        session,
        &mut file,
        &mut strict::Options {
            name: &name,
            table: &table,
            separator: form.csv_separator.0,
            progress: &mut |done, all| {
                bar.at(done, all);
                if not_interrupted().is_err() {
                    Flow::Stop
                } else {
                    Flow::Continue
                }
            },
        },
    )?;
    drop(bar);
    for renamed in &report.renamed {
        ctx.ui.warn(format!(
            "column {:?} of {name} is now {:?}: names must differ",
            renamed.from, renamed.to
        ));
    }
    Ok(Imported {
        table,
        rows: report.rows,
        table_created: report.created,
        columns: report
            .columns
            .into_iter()
            .map(|(name, kind): (String, Kind)| Column {
                name,
                kind: kind.name(),
            })
            .collect(),
    })
}
