//! `torso db import`: a file into a new database, or a CSV table into one that is there.

use super::create::Made;
use super::csv;
use super::input::Input;
use super::seed::Source;
use super::sniff::Kind;
use super::{create, reach};
use crate::commands::answers::{self, Done};
use crate::commands::committed::Committed;
use crate::commands::{completers, default_location, preconditions};
use crate::context::Context;
use crate::control::names::DatabaseName;
use crate::control::types::Database;
use crate::error::{Code, Error, Result, shell_word};
use crate::shell::interrupt;
use crate::sql;
use crate::sql::transaction::enforce_foreign_keys;
use crate::ui::text;
use serde::Serialize;
use std::path::{Path, PathBuf};

crate::commands::schemas::document!("db import" => Answer);

/// Import a SQLite file, a dump, a CSV table or JSON
///
/// torso detects the file type from content and extension, and decodes gzip and UTF-16. It creates the database if there is none of
/// that name. A CSV table can also go into an existing database: in one transaction, and replicas are updated.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  torso db import old.sqlite app
  torso db import airports.csv app
  torso db import planes.csv app --table aircraft")]
pub(crate) struct Args {
    /// File to import; - is stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Name of the database [default: the file's name]
    #[arg(value_name = "NAME", add = completers::databases())]
    name: Option<DatabaseName>,
    #[command(flatten)]
    form: csv::CsvFormat,
    #[command(flatten)]
    wanted: create::Wanted,
}

/// The answer, whatever was imported into whichever database.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct Answer {
    database: DatabaseName,
    /// Whether the database is new.
    created: bool,
    /// The table that was filled; none of a SQLite file or a script, and where nothing was imported.
    table: Option<String>,
    rows: Option<u64>,
    table_created: Option<bool>,
    columns: Option<Vec<csv::Column>>,
    location_source: Option<default_location::Source>,
    location_reason: Option<String>,
    #[serde(flatten)]
    details: Database,
}

impl Answer {
    fn of(made: Made) -> Self {
        let (location_source, location_reason) = made.choice.map(|choice| (choice.source, choice.reason)).unzip();
        let mut answer = Self {
            database: made.database.name.clone(),
            created: made.created,
            table: None,
            rows: None,
            table_created: None,
            columns: None,
            location_source,
            location_reason,
            details: made.database,
        };
        if let Some(imported) = made.imported {
            answer.table = Some(imported.table);
            answer.rows = Some(imported.rows);
            answer.table_created = Some(imported.table_created);
            answer.columns = Some(imported.columns);
        }
        answer
    }
}

pub(super) fn run(ctx: &Context, args: Args) -> Result<()> {
    let name = match args.name {
        Some(name) => name,
        None => name_of(&args.file)?,
    };
    if args.wanted.if_not_exists
        && let Some(database) = create::existing(ctx, &name)?
    {
        return show(ctx, Made::there_already(database));
    }
    let input = Input::open(&args.file)?;
    let kind = Kind::of(&input)?;
    let Some(former) = create::existing(ctx, &name)? else {
        let source = Source::of_file(input, kind, args.form);
        return match create::make(ctx, Some(name), &args.wanted, &source)? {
            Some(made) => {
                made.print_choice(ctx);
                show(ctx, made)
            }
            None => Ok(()),
        };
    };
    check_joins(kind, &name, &args.file)?;
    preconditions::check_writable(&former)?;
    if args.wanted.dry.dry_run {
        return answers::plan(
            ctx,
            vec![format!("import {} into database {name}", args.file.display())],
        );
    }
    let plane = ctx.control()?;
    let connection = plane.connection_to_write(&name)?;
    let mut session = sql::open(&reach::target(&connection)?)?;
    enforce_foreign_keys(session.as_mut())?;
    interrupt::install();
    interrupt::on_interrupt(session.interrupter());
    let imported = csv::import(ctx, &input, &args.form, session.as_mut()).map_err(|error| {
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
    let made = Made {
        database: former,
        created: false,
        choice: None,
        imported: Some(imported),
    };
    let made = Committed::new(ctx, made).refresh_replicas(ctx, &name).follow_up(
        "the answer shows the database as it was before",
        |made| {
            made.database = super::find(ctx, &name)?;
            Ok(())
        },
    );
    show(ctx, made.into_result())
}

/// Refuses kinds of files that become no table of a database that is there.
fn check_joins(kind: Kind, name: &DatabaseName, file: &Path) -> Result<()> {
    let path = shell_word(file);
    let hint = match kind {
        Kind::Csv | Kind::Json => return Ok(()),
        Kind::Database => format!("a SQLite file becomes a database of its own: torso db import {path} NAME"),
        Kind::Script => format!("run the script in it: torso db shell {name} -bail -f {path}"),
    };
    Err(Error::new(Code::DatabaseExists, format!("database {name} exists already")).hint(hint))
}

fn show(ctx: &Context, made: Made) -> Result<()> {
    let sentence = match &made.imported {
        Some(imported) if !made.created => format!(
            "Imported {} into table {} of database {}.",
            create::counted_rows(imported),
            imported.table,
            made.database.name
        ),
        _ => made.sentence(),
    };
    let name = made.database.name.clone();
    ctx.ui.show(&Done::new(Answer::of(made), name, sentence))
}

/// The database's name that a file suggests.
fn name_of(file: &Path) -> Result<DatabaseName> {
    if file == Path::new("-") {
        return Err(
            Error::new(Code::Usage, "a database made from standard input needs a name")
                .hint("name it: torso db import - NAME"),
        );
    }
    let is_compressed = file.extension().is_some_and(|extension| extension == "gz");
    let inner = is_compressed.then(|| file.with_extension(""));
    let stem = inner
        .as_deref()
        .unwrap_or(file)
        .file_stem()
        .map(|stem| stem.to_string_lossy().to_lowercase())
        .unwrap_or_default();
    stem.parse().map_err(|_| {
        Error::new(
            Code::Usage,
            format!("the file's name, {stem:?}, is not a valid database name"),
        )
        .hint(format!("give a name: torso db import {} NAME", shell_word(file)))
    })
}
