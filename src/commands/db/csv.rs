//! CSV tables into databases: which table, which separator, and what to say about it. Reading and checking is
//! `shell::import::strict`'s.

use super::input::Input;
use super::sniff::{Kind, Sample};
use crate::commands::interruption::check_interrupted;
use crate::context::Context;
use crate::error::{Code, Error, Result};
use crate::shell::import::{self, strict};
use crate::shell::interrupt;
use crate::shell::render::Style;
use crate::sql::Session;
use crate::sql::query;
use crate::sqltext::quote::{identifier, literal};
use serde::Serialize;
use std::ops::ControlFlow;

/// How a CSV file is read.
///
/// The first line names the columns. A column is declared INTEGER or REAL when every value in it is written just as SQLite
/// would write it back, else TEXT, so nothing is lost: `007` and `NA` stay as they are.
#[derive(clap::Args, Default)]
pub(crate) struct CsvFormat {
    /// Its table's name [default: file name]
    #[arg(long, visible_alias = "table", value_name = "NAME")]
    csv_table_name: Option<String>,
    /// Character between CSV columns, or tab [default: what separates the first rows]
    #[arg(long, hide_short_help = true, value_name = "CHAR")]
    csv_separator: Option<Separator>,
    /// Text that stands for NULL, unless in quotes
    #[arg(long, visible_alias = "null", hide_short_help = true, value_name = "TEXT")]
    csv_null: Option<String>,
    /// Only these columns, by name; town=city renames one
    #[arg(long, visible_alias = "columns", hide_short_help = true, value_name = "LIST")]
    csv_columns: Option<strict::ColumnList>,
    /// Types of a new table's columns: a list, or NAME=TYPE
    #[arg(long, visible_alias = "types", hide_short_help = true, value_name = "LIST")]
    csv_types: Option<strict::TypeList>,
}

/// A separator of columns.
#[derive(Debug, Clone, Copy)]
struct Separator(u8);

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

impl CsvFormat {
    /// The options that say how a file is read, other than its table.
    fn options(&self) -> Vec<&'static str> {
        let all = [
            ("--csv-separator", self.csv_separator.is_some()),
            ("--csv-null", self.csv_null.is_some()),
            ("--csv-columns", self.csv_columns.is_some()),
            ("--csv-types", self.csv_types.is_some()),
        ];
        all.into_iter()
            .filter(|(_, is_set)| *is_set)
            .map(|(name, _)| name)
            .collect()
    }

    /// What is said of a CSV file means nothing without one.
    pub fn refuse_without_csv(&self) -> Result<()> {
        let table = self.csv_table_name.as_ref().map(|_| "--csv-table-name");
        match table.into_iter().chain(self.options()).next() {
            None => Ok(()),
            Some(option) => Err(Error::new(
                Code::Usage,
                format!("{option} is for a CSV file, and there is none to import"),
            )
            .hint("leave it out, or give a CSV file")),
        }
    }

    /// Values in JSON have types and names of their own.
    fn refuse_for_json(&self, input: &Input) -> Result<()> {
        match self.options().first() {
            None => Ok(()),
            Some(option) => Err(Error::new(
                Code::Usage,
                format!("{option} is for CSV, and {} is JSON", input.label().display()),
            )
            .hint("leave it out")),
        }
    }

    /// The table for a file's rows: the one named, else the file's own name without its extension.
    fn table(&self, input: &Input) -> Result<String> {
        let table = match (&self.csv_table_name, input.name()) {
            (Some(name), _) => name.clone(),
            (None, Some(path)) => path
                .file_stem()
                .map(|stem| stem.to_string_lossy().into_owned())
                .unwrap_or_default(),
            (None, None) => {
                return Err(
                    Error::new(Code::Usage, "what comes from standard input has no name for its table")
                        .hint("name one with --csv-table-name"),
                );
            }
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Serialize)]
pub(crate) struct Imported {
    pub table: String,
    pub rows: u64,
    /// Whether the table is new.
    pub table_created: bool,
    pub columns: Vec<Column>,
}

/// A column that was filled.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Serialize)]
pub(crate) struct Column {
    name: String,
    #[serde(rename = "type")]
    kind: String,
}

/// Imports a file into a table, new or there already, in one transaction.
pub(super) fn import(ctx: &Context, input: &Input, form: &CsvFormat, session: &mut dyn Session) -> Result<Imported> {
    let table = form.table(input)?;
    let sample = Sample::of(input)?;
    sample.check(input.label(), Code::InvalidCsv)?;
    if sample.kind(input.label())? == Kind::Json {
        form.refuse_for_json(input)?;
        return import_json(input, table, session);
    }
    let mut file = strict::open(input.path())?;
    let name = input.label().to_string_lossy();
    let selection = strict::Selection {
        columns: form.csv_columns.clone(),
        types: form.csv_types.clone(),
    };
    let separator = form
        .csv_separator
        .map_or_else(|| sample.separator(), |separator| separator.0);
    let mut bar = ctx.ui.progress("Importing");
    let report = strict::import(
        session,
        &mut file,
        &mut strict::StrictOptions {
            name: &name,
            table: &table,
            separator,
            row_end: sample.row_end(),
            null: form.csv_null.as_deref(),
            selection: &selection,
            progress: &mut |done, all| {
                bar.at(done, all);
                if check_interrupted().is_err() {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
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
    if report.columns.len() == 1
        && form.csv_columns.is_none()
        && let Some(separator) = sample.suspected_separator(separator)
    {
        ctx.ui.warn(format!(
            "{name} has become one column, whose values contain {separator:?}: --csv-separator says what separates columns"
        ));
    }
    Ok(Imported {
        table,
        rows: report.rows,
        table_created: report.created,
        columns: report
            .columns
            .into_iter()
            .map(|(name, kind)| Column { name, kind })
            .collect(),
    })
}

/// Imports objects of JSON into a table, new or there already, all or none.
fn import_json(input: &Input, table: String, session: &mut dyn Session) -> Result<Imported> {
    let count = format!("SELECT count(*) FROM {}", identifier(&table));
    let before = query::number(session, &count).ok();
    // An absolute path is never taken for an option or a program.
    let label = input.label().to_string_lossy();
    let file = std::path::absolute(input.path()).map_err(|error| Error::io(error, format!("cannot read {label}")))?;
    let file = file.to_string_lossy().into_owned();
    let words = ["--json".to_owned(), file.clone(), table.clone()];
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let refused = |why: String| Error::new(Code::InvalidFile, why.trim().replace(&file, &label));
    let options = import::ImportOptions::parse(&words, &Style::default()).map_err(|refusal| match refusal {
        import::ImportArgumentError::Usage(why) => refused(why),
        import::ImportArgumentError::Message(why) => refused(why.to_owned()),
    })?;
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut streams = import::ImportStreams {
        out: &mut out,
        err: &mut err,
        terminal: false,
    };
    let code = import::import(session, &options, &mut streams, &interrupt::pressed)?;
    if code != 0 {
        let why = String::from_utf8_lossy(&err);
        // The shell's prefix; an error of a command has its own.
        return Err(refused(why.strip_prefix("Error: ").unwrap_or(&why).to_owned()));
    }
    let columns = query::rows(
        session,
        &format!("SELECT name, type FROM pragma_table_info({})", literal(&table)),
    )?;
    let text = crate::sql::text::value_to_text;
    Ok(Imported {
        rows: query::number(session, &count)?.saturating_sub(before.unwrap_or(0)),
        table_created: before.is_none(),
        columns: columns
            .iter()
            .map(|row| Column {
                name: text(&row[0]),
                kind: text(&row[1]),
            })
            .collect(),
        table,
    })
}
