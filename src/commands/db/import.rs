//! `torso db import`: a file into a new database, or a CSV table into one that is there.

use super::csv::{self, Imported};
use super::seed::Source;
use super::sniff::Kind;
use super::{create, reach, refresh_replicas};
use crate::commands::answers::{self, Done};
use crate::commands::complete;
use crate::context::Context;
use crate::control::names::DatabaseName;
use crate::error::{Code, Error, Result};
use crate::shell::interrupt;
use crate::sql;
use crate::ui::text;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Import a SQLite file, a dump, a CSV table or JSON
///
/// torso detects the file type from content and extension. It creates the database if there is none of that name. A CSV
/// table can also go into an existing database: in one transaction, and replicas are updated.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  torso db import old.sqlite app
  torso db import airports.csv app
  torso db import planes.csv app --table aircraft")]
pub(crate) struct Args {
    /// File to import
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Name of the database [default: the file's name]
    #[arg(value_name = "NAME", add = complete::databases())]
    name: Option<DatabaseName>,
    #[command(flatten)]
    form: csv::Form,
    #[command(flatten)]
    wanted: create::Wanted,
}

/// The answer of an import into a database that was there.
#[derive(Serialize)]
struct Grown {
    database: DatabaseName,
    created: bool,
    #[serde(flatten)]
    imported: Imported,
}

pub(super) fn run(ctx: &Context, args: Args) -> Result<()> {
    let kind = Kind::of(&args.file)?;
    let name = match args.name {
        Some(name) => name,
        None => name_of(&args.file)?,
    };
    if create::existing(ctx, &name)?.is_none() {
        let source = Source::of_file(args.file, kind, args.form);
        return create::make(ctx, Some(name), &args.wanted, &source);
    }
    let path = args.file.display();
    match kind {
        Kind::Csv | Kind::Json => {}
        Kind::Database => {
            return Err(
                Error::new(Code::DatabaseExists, format!("database {name} exists already")).hint(format!(
                    "a SQLite file becomes a database of its own: torso db import {path} NAME"
                )),
            );
        }
        Kind::Script => {
            return Err(
                Error::new(Code::DatabaseExists, format!("database {name} exists already"))
                    .hint(format!("run the script in it: torso db shell {name} -bail -f {path}")),
            );
        }
    }
    if args.wanted.dry.dry_run {
        return answers::plan(ctx, vec![format!("import {path} into database {name}")]);
    }
    let plane = ctx.control()?;
    let connection = plane.connection(&name, None)?;
    if connection.read_only {
        let why = connection
            .read_only_reason
            .unwrap_or_else(|| "it takes no writes now".into());
        return Err(Error::new(
            Code::Blocked,
            format!("cannot import into database {name}: {why}"),
        ));
    }
    let mut session = sql::open(&reach::target(&connection)?)?;
    interrupt::install();
    interrupt::on_interrupt(session.interrupter());
    let imported = csv::import(ctx, &args.file, &args.form, session.as_mut()).map_err(|error| {
        match connection.size_limit {
            // SQLite says "full" for a full disk and for a full allowance.
            Some(limit) if error.code() == Code::DiskFull => Error::new(
                Code::SizeLimit,
                format!(
                    "{} does not fit: database {name} may not grow beyond {}",
                    args.file.display(),
                    text::size(limit)
                ),
            )
            .hint(format!("raise the limit: torso db config set {name} size-limit SIZE")),
            _ => error,
        }
    })?;
    drop(session);
    refresh_replicas(ctx, &name)?;
    let sentence = format!(
        "Imported {} rows into table {} of database {name}.",
        imported.rows, imported.table
    );
    let grown = Grown {
        database: name.clone(),
        created: false,
        imported,
    };
    ctx.ui.show(&Done::new(grown, name, sentence))
}

/// The database's name that a file suggests.
fn name_of(file: &Path) -> Result<DatabaseName> {
    let stem = file
        .file_stem()
        .map(|stem| stem.to_string_lossy().to_lowercase())
        .unwrap_or_default();
    stem.parse().map_err(|_| {
        Error::new(
            Code::Usage,
            format!("{stem:?}, the file's name, cannot name a database"),
        )
        .hint(format!("name it yourself: torso db import {} NAME", file.display()))
    })
}
