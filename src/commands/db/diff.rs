//! `torso db diff`: what differs between two databases of any contexts. The comparison is `shell/compare`'s.
//!
//! Differences of rows are written to a temporary file as they are found, and printed when all is compared: memory stays flat,
//! and a comparison that fails prints nothing.

use super::endpoint::{Endpoint, QualifiedName};
use super::{near_miss, reach};
use crate::commands::answers::counted;
use crate::commands::completers;
use crate::context::Context;
use crate::error::{Code, Error, Result};
use crate::shell::compare::{
    Depth, Difference, DifferenceKind, DifferenceSink, TableComparison, compare, exact_literal,
};
use crate::shell::interrupt;
use crate::sql::text::value_to_text;
use crate::sql::{self, Target, Value};
use crate::ui::{Cell, Layout, OutputFormat, Table, View};
use serde::Serialize;
use std::io::{self, Read as _, Seek as _, Write as _};
use tempfile::SpooledTempFile;

crate::commands::schemas::document!("db diff" => DiffDocument<'_>);

/// Differences that are kept in memory, in bytes.
const IN_MEMORY: usize = 1 << 20;

/// Compare two databases: schema, and rows by primary key
///
/// Exit code 0: they are the same. 5: they differ. Any other: they could not be compared. Each is read in one state.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  torso db diff app app-test
  torso db diff app prod:app --rows member")]
pub(crate) struct Args {
    /// Database to compare, or CONTEXT:DATABASE
    #[arg(value_name = "A", add = completers::databases())]
    source: Endpoint,
    /// Database to compare it with, or CONTEXT:DATABASE
    #[arg(value_name = "B", add = completers::databases())]
    target: Endpoint,
    /// Also list the rows of this table that differ (repeatable)
    #[arg(long, value_name = "TABLE")]
    rows: Vec<String>,
    /// Compare schema and numbers of rows only
    #[arg(long, conflicts_with = "rows")]
    quick: bool,
}

/// One difference, as it is answered.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct Item<'a> {
    /// The table, or the kind and the name of another object.
    object: &'a str,
    /// The key of a row.
    row: Option<&'a str>,
    /// `only_source`, `only_target`, `changed`, `sql`, `primary_key` or `rows`.
    difference: &'static str,
    column: Option<&'a str>,
    /// Values are SQL literals.
    source: Option<String>,
    target: Option<String>,
}

/// A table that both have, as it is answered.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct ComparedTable {
    name: String,
    source_rows: u64,
    target_rows: u64,
    /// Not counted with --quick.
    #[serde(skip_serializing_if = "Option::is_none")]
    only_source: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    only_target: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<u64>,
}

/// The whole answer, which is written piece by piece: how many differences there are is not known before.
#[cfg(test)]
#[derive(schemars::JsonSchema)]
#[allow(dead_code)] // only its schema is wanted
struct DiffDocument<'a> {
    same: bool,
    source: QualifiedName,
    target: QualifiedName,
    tables: Vec<ComparedTable>,
    differences: Vec<Item<'a>>,
}

impl ComparedTable {
    fn differs(&self) -> bool {
        self.source_rows != self.target_rows
            || [self.only_source, self.only_target, self.changed]
                .iter()
                .any(|count| count.is_some_and(|count| count > 0))
    }
}

/// Gathers what is found: tables in memory, differences in a file.
struct Findings<'a> {
    rows_of: &'a [String],
    depth: Depth,
    format: OutputFormat,
    names: [String; 2],
    spool: SpooledTempFile,
    /// Differences in the file.
    listed: u64,
    differs: bool,
    tables: Vec<ComparedTable>,
    /// Names of what differs, for `--output name`.
    objects: Vec<String>,
}

impl Findings<'_> {
    fn name(&mut self, object: &str) {
        if self.objects.last().is_none_or(|last| last != object) {
            self.objects.push(object.to_owned());
        }
    }

    fn write(&mut self, item: &Item<'_>) -> io::Result<()> {
        let first = self.listed == 0;
        self.listed += 1;
        let spool = &mut self.spool;
        match self.format {
            OutputFormat::Json => {
                spool.write_all(if first { b"\n    " } else { b",\n    " })?;
                Ok(serde_json::to_writer(spool, item)?)
            }
            OutputFormat::Jsonl => {
                serde_json::to_writer(&mut *spool, item)?;
                spool.write_all(b"\n")
            }
            OutputFormat::Csv => {
                let mut csv = csv::Writer::from_writer(spool);
                let empty = String::new();
                csv.write_record([
                    item.object,
                    item.row.unwrap_or_default(),
                    item.difference,
                    item.column.unwrap_or_default(),
                    item.source.as_ref().unwrap_or(&empty),
                    item.target.as_ref().unwrap_or(&empty),
                ])?;
                csv.flush()
            }
            OutputFormat::Name => Ok(()),
            OutputFormat::Table => writeln!(spool, "{}", sentence(item, &self.names)),
        }
    }
}

/// A difference for people, on one line.
fn sentence(item: &Item<'_>, names: &[String; 2]) -> String {
    let Item { object, row, .. } = item;
    let place = row.map_or_else(|| (*object).to_owned(), |row| format!("{object} [{row}]"));
    let value = |text: &Option<String>| text.clone().unwrap_or_default();
    let contents = |text: &Option<String>| match row {
        Some(_) => format!(": {}", value(text)),
        None => String::new(),
    };
    match item.difference {
        "only_source" => format!("{place}: only in {}{}", names[0], contents(&item.source)),
        "only_target" => format!("{place}: only in {}{}", names[1], contents(&item.target)),
        "sql" => format!("{place}: other SQL"),
        "primary_key" => format!("{place}: other primary key, rows not compared"),
        _ => format!(
            "{place}: {} {} | {}",
            item.column.unwrap_or_default(),
            value(&item.source),
            value(&item.target)
        ),
    }
}

impl DifferenceSink for Findings<'_> {
    fn difference(&mut self, difference: &Difference<'_>) -> io::Result<()> {
        self.differs = true;
        self.name(difference.object);
        if difference.row.is_some()
            && !self
                .rows_of
                .iter()
                .any(|table| table.eq_ignore_ascii_case(difference.object))
        {
            return Ok(());
        }
        let (what, column) = match difference.kind {
            DifferenceKind::OnlyHere => ("only_source", None),
            DifferenceKind::OnlyThere => ("only_target", None),
            DifferenceKind::Sql => ("sql", None),
            DifferenceKind::OtherKey => ("primary_key", None),
            DifferenceKind::Column(name) => ("changed", Some(name)),
        };
        // Statements, and rows that only one has, are texts already.
        let text = |value: &Value| match value {
            Value::Null if column.is_none() => None,
            value if column.is_none() => Some(value_to_text(value)),
            value => Some(exact_literal(value)),
        };
        self.write(&Item {
            object: difference.object,
            row: difference.row,
            difference: what,
            column,
            source: text(difference.here),
            target: text(difference.there),
        })
    }

    fn table(&mut self, table: TableComparison) -> io::Result<()> {
        let compared = |count| (self.depth == Depth::Rows).then_some(count);
        let table = ComparedTable {
            source_rows: table.rows_here,
            target_rows: table.rows_there,
            only_source: compared(table.only_here),
            only_target: compared(table.only_there),
            changed: compared(table.changed),
            name: table.name,
        };
        if table.differs() {
            self.differs = true;
            self.name(&table.name);
            // Where there is no table of the counts, they are told as a difference.
            if matches!(self.format, OutputFormat::Csv | OutputFormat::Jsonl) {
                self.write(&Item {
                    object: &table.name,
                    row: None,
                    difference: "rows",
                    column: None,
                    source: Some(table.source_rows.to_string()),
                    target: Some(table.target_rows.to_string()),
                })?;
            }
        }
        self.tables.push(table);
        Ok(())
    }
}

pub(super) fn run(ctx: &Context, args: &Args) -> Result<()> {
    let (from, to) = (args.source.elsewhere(ctx), args.target.elsewhere(ctx));
    let (from, to) = (from.as_ref().unwrap_or(ctx), to.as_ref().unwrap_or(ctx));
    let source = QualifiedName::of(from, &args.source.name)?;
    let target = QualifiedName::of(to, &args.target.name)?;
    interrupt::install();
    let here = target_of(from, &args.source)?;
    let there = target_of(to, &args.target)?;
    let mut findings = Findings {
        rows_of: &args.rows,
        depth: if args.quick { Depth::Counts } else { Depth::Rows },
        format: ctx.ui.format(),
        names: if source.context == target.context {
            [source.name.to_string(), target.name.to_string()]
        } else {
            [source.to_string(), target.to_string()]
        },
        spool: SpooledTempFile::new(IN_MEMORY),
        listed: 0,
        differs: false,
        tables: Vec::new(),
        objects: Vec::new(),
    };
    let mut session = sql::open(&here)?;
    interrupt::on_interrupt(session.interrupter());
    let depth = findings.depth;
    compare(session.as_mut(), &there, depth, &mut findings).map_err(|error| {
        match crate::commands::interruption::check_interrupted() {
            Err(interrupted) => interrupted,
            Ok(()) => error,
        }
    })?;
    drop(session);
    check_tables(&args.rows, &findings)?;
    let differs = findings.differs;
    let [one, other] = findings.names.clone();
    answer(ctx, &source, &target, findings)?;
    if differs {
        return Err(Error::new(Code::Differs, format!("databases {one} and {other} differ")));
    }
    Ok(())
}

fn target_of(ctx: &Context, end: &Endpoint) -> Result<Target> {
    let connection = ctx
        .control()?
        .connection(&end.name, None)
        .map_err(|error| near_miss(ctx, &end.name, error))?;
    reach::reading(&connection)
}

/// Refuses names of tables that neither database has.
fn check_tables(named: &[String], findings: &Findings<'_>) -> Result<()> {
    let is_known = |name: &String| {
        let object = format!("table {name}");
        let is = |found: &str| found.eq_ignore_ascii_case(name) || found.eq_ignore_ascii_case(&object);
        findings.tables.iter().any(|table| is(&table.name)) || findings.objects.iter().any(|found| is(found))
    };
    match named.iter().find(|name| !is_known(name)) {
        None => Ok(()),
        Some(name) => {
            let tables: Vec<_> = findings.tables.iter().map(|table| table.name.as_str()).collect();
            let hint = match tables.as_slice() {
                [] => "they have no table in common".to_owned(),
                tables => format!("tables that both have: {}", tables.join(", ")),
            };
            Err(Error::new(Code::TableNotFound, format!("there is no table {name}")).hint(hint))
        }
    }
}

fn answer(ctx: &Context, source: &QualifiedName, target: &QualifiedName, mut findings: Findings<'_>) -> Result<()> {
    let doing = |error| Error::io(error, "cannot keep what differs");
    findings.spool.rewind().map_err(doing)?;
    match findings.format {
        OutputFormat::Table => return show_table(ctx, findings),
        OutputFormat::Name => return ctx.ui.show(&Names(findings.objects)),
        OutputFormat::Json | OutputFormat::Jsonl | OutputFormat::Csv => {}
    }
    ctx.ui.answer(|out| match findings.format {
        OutputFormat::Json => {
            write!(out, "{{\n  \"same\": {},\n  \"source\": ", !findings.differs)?;
            serde_json::to_writer(&mut *out, source)?;
            out.write_all(b",\n  \"target\": ")?;
            serde_json::to_writer(&mut *out, target)?;
            out.write_all(b",\n  \"tables\": ")?;
            serde_json::to_writer(&mut *out, &findings.tables)?;
            out.write_all(b",\n  \"differences\": [")?;
            io::copy(&mut findings.spool, out)?;
            out.write_all(if findings.listed == 0 { b"]\n}\n" } else { b"\n  ]\n}\n" })
        }
        OutputFormat::Csv => {
            out.write_all(b"object,row,difference,column,source,target\n")?;
            io::copy(&mut findings.spool, out).map(drop)
        }
        _ => io::copy(&mut findings.spool, out).map(drop),
    })
}

fn show_table(ctx: &Context, mut findings: Findings<'_>) -> Result<()> {
    let doing = |error| Error::io(error, "cannot read what differs");
    let mut piece = vec![0; 1 << 16];
    let mut rest = Vec::new();
    loop {
        let read = findings.spool.read(&mut piece).map_err(doing)?;
        rest.extend_from_slice(&piece[..read]);
        // Whole lines, so that no character is cut in two.
        let end = match read {
            0 => rest.len(),
            _ => rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1),
        };
        ctx.ui.script(&String::from_utf8_lossy(&rest[..end]))?;
        rest.drain(..end);
        if read == 0 {
            break;
        }
    }
    if !findings.differs {
        let rows: u64 = findings.tables.iter().map(|table| table.source_rows).sum();
        let [one, other] = &findings.names;
        let same = match findings.depth {
            Depth::Rows => "are the same",
            Depth::Counts => "have the same schema and numbers of rows",
        };
        return ctx.ui.page(&format!(
            "Databases {one} and {other} {same}: {} in {}.\n",
            counted(usize::try_from(rows).unwrap_or(usize::MAX), "row"),
            counted(findings.tables.len(), "table")
        ));
    }
    let tables: Vec<_> = findings.tables.into_iter().filter(ComparedTable::differs).collect();
    if tables.is_empty() {
        return Ok(());
    }
    ctx.ui.show(&Tables(tables))
}

/// The tables whose rows differ.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
#[serde(transparent)]
struct Tables(Vec<ComparedTable>);

impl View for Tables {
    fn layout(&self) -> Layout {
        let mut table = Table::new(
            ["TABLE", "ROWS OF A", "ROWS OF B", "ONLY IN A", "ONLY IN B", "CHANGED"],
            "",
        );
        for row in &self.0 {
            table.row(vec![
                Cell::text(&row.name),
                Cell::number(row.source_rows),
                Cell::number(row.target_rows),
                Cell::maybe(row.only_source, Cell::number),
                Cell::maybe(row.only_target, Cell::number),
                Cell::maybe(row.changed, Cell::number),
            ]);
        }
        Layout::Table(table)
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|table| table.name.clone()).collect()
    }
}

/// The names of what differs.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
#[serde(transparent)]
struct Names(Vec<String>);

impl View for Names {
    fn layout(&self) -> Layout {
        Layout::Said(self.0.join("\n"))
    }

    fn names(&self) -> Vec<String> {
        self.0.clone()
    }
}
