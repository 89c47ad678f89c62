//! `torso db export|dump`: a database out of torso's hands, as a file or as SQL.

use super::{near_miss, reach};
use crate::commands::answers::Done;
use crate::commands::completers;
use crate::commands::interruption::check_interrupted;
use crate::commands::own_files::check_not_own;
use crate::context::Context;
use crate::control::client::Client;
use crate::control::if_allowed;
use crate::control::names::{DatabaseName, LocationCode};
use crate::control::types::{Connection, Database};
use crate::error::{Code, Error, Result};
use crate::shell::{dump, interrupt};
use crate::sql::{self, companions, copy};
use crate::temporary_files::TemporaryFile;
use crate::ui::output_file::check_replaceable;
use serde::Serialize;
use std::fs::File;
use std::io::{IsTerminal as _, Write};
use std::path::{Path, PathBuf};

crate::commands::schemas::document!("db export", "db dump" => Exported);

/// Write a consistent copy of a database to a file
///
/// The copy is one complete SQLite file, even if applications write meanwhile.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso db export app --output-file backup.db")]
pub(crate) struct Export {
    #[command(flatten)]
    source: Source,
    /// File to write; - is standard output [default: NAME.db]
    #[arg(long, value_name = "PATH")]
    output_file: Option<PathBuf>,
    /// Replace an existing file
    #[arg(long)]
    overwrite: bool,
}

/// Which instance of which database is read.
#[derive(clap::Args)]
struct Source {
    /// Name of the database [default: the project's]
    #[arg(value_name = "NAME", add = completers::databases())]
    name: Option<DatabaseName>,
    /// Read the instance at this location, not the primary
    #[arg(long, alias = "instance", value_name = "CODE", add = completers::locations())]
    location: Option<LocationCode>,
}

/// The answer: what was written, of which instance.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct Exported {
    name: DatabaseName,
    /// None where the token in use may export the database and not see where its primary is.
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<LocationCode>,
    path: PathBuf,
    size_bytes: u64,
}

impl Exported {
    /// `done` is what was done, capitalized: `Exported`.
    fn show(self, ctx: &Context, done: &str) -> Result<()> {
        let sentence = format!("{done} database {} to {}.", self.name, self.path.display());
        let name = self.name.clone();
        ctx.ui.show(&Done::new(self, name, sentence))
    }
}

pub(super) fn export(ctx: &Context, args: Export) -> Result<()> {
    let name = ctx.database(args.source.name)?;
    let original = Original::find(ctx, &name, args.source.location.as_ref())?;
    let path = args.output_file.unwrap_or_else(|| format!("{name}.db").into());
    if path == Path::new(STDOUT) {
        return original.write_to_stdout(ctx);
    }
    let mut output = Output::begin(ctx, &path, args.overwrite)?;
    original
        .write(ctx, &mut output)
        .map_err(|error| output.name_in(error, &path))?;
    if args.overwrite || path.symlink_metadata().is_err() {
        companions::remove_companions(&path)?;
    }
    let exported = output.finish(name, original.location(), path, args.overwrite)?;
    exported.show(ctx, "Exported")
}

/// The path that stands for standard output.
const STDOUT: &str = "-";

/// What is copied.
enum Original<'a> {
    File {
        name: DatabaseName,
        path: PathBuf,
        location: LocationCode,
    },
    Server {
        server: &'a Client,
        name: DatabaseName,
        /// None where the token in use may not see it.
        database: Option<Box<Database>>,
        /// A location other than that of its primary.
        other: Option<LocationCode>,
    },
}

impl<'a> Original<'a> {
    fn find(ctx: &'a Context, name: &DatabaseName, location: Option<&LocationCode>) -> Result<Self> {
        let Some(server) = ctx.server_if_any()? else {
            let connection = connect(ctx, name, location)?;
            let path = reach::file(&connection)
                .ok_or_else(|| Error::new(Code::Internal, format!("database {name} is not a file on this machine")))?;
            return Ok(Self::File {
                name: name.clone(),
                path,
                location: connection.location,
            });
        };
        let database = if_allowed(super::find(ctx, name))?;
        let is_primary = |code: &LocationCode| database.as_ref().is_some_and(|database| database.primary == *code);
        let other = location.filter(|code| !is_primary(code));
        if let (Some(other), Some(database)) = (other, &database)
            && !database.locations.contains(other)
        {
            return Err(super::show::no_instance(name, other));
        }
        Ok(Self::Server {
            server,
            name: name.clone(),
            database: database.map(Box::new),
            other: other.cloned(),
        })
    }

    fn location(&self) -> Option<LocationCode> {
        match self {
            Self::File { location, .. } => Some(location.clone()),
            Self::Server { database, other, .. } => {
                let primary = database.as_ref().map(|database| database.primary.clone());
                other.clone().or(primary)
            }
        }
    }

    fn name(&self) -> &DatabaseName {
        match self {
            Self::File { name, .. } | Self::Server { name, .. } => name,
        }
    }

    /// Writes a consistent copy. A server that hands out no files is read as SQL, and the file made of that.
    fn write(&self, ctx: &Context, output: &mut Output) -> Result<()> {
        interrupt::install();
        let mut progress = ctx.ui.progress(format!("Exporting {}", self.name()));
        let mut tell = |done: u64, all: u64| {
            progress.at(done, all);
            check_interrupted()
        };
        let (server, name, other) = match self {
            Self::File { path, .. } => return copy::copy_file(path, output.temporary(), &mut tell),
            Self::Server {
                server, name, other, ..
            } => (server, name, other),
        };
        match server.export(name, other.as_ref(), output.0.as_file_mut(), &mut tell) {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Code::Unsupported => match other {
                Some(other) => Err(Error::new(
                    Code::Unsupported,
                    format!(
                        "the server writes no copies, and database {name} is read from its primary, not from {other}"
                    ),
                )
                .hint(format!(
                    "torso db dump {name} --location {other} writes the replica as SQL"
                ))),
                None => {
                    drop(progress);
                    super::copy::rebuild(ctx, name, output.temporary())
                }
            },
            Err(error) => Err(error),
        }
    }

    /// Writes the copy to standard output. Its pages come in no order, so it is whole before its first byte is written.
    fn write_to_stdout(&self, ctx: &Context) -> Result<()> {
        if std::io::stdout().is_terminal() {
            return Err(Error::new(Code::Usage, "a SQLite file cannot be shown on a terminal")
                .hint("write it to a file: --output-file PATH"));
        }
        let mut output = Output::temporary_file()?;
        self.write(ctx, &mut output)?;
        let mut file = File::open(output.temporary()).map_err(|error| Error::io(error, "cannot read the copy"))?;
        ctx.ui.answer(|out| std::io::copy(&mut file, out).map(drop))
    }
}

/// Dump a database as SQL
#[derive(clap::Args)]
#[command(after_help = "Examples:
  torso db dump app > app.sql
  torso db dump app | torso db create copy --from-dump -")]
pub(crate) struct Dump {
    #[command(flatten)]
    source: Source,
    /// File to write [default: standard output]
    #[arg(long, value_name = "PATH")]
    output_file: Option<PathBuf>,
    /// Replace an existing file
    #[arg(long)]
    overwrite: bool,
}

pub(super) fn dump(ctx: &Context, args: Dump) -> Result<()> {
    let name = ctx.database(args.source.name)?;
    let connection = connect(ctx, &name, args.source.location.as_ref())?;
    let mut session = sql::open(&reach::reading(&connection)?)?;
    interrupt::install();
    interrupt::on_interrupt(session.interrupter());
    let options = dump::DumpOptions {
        trailer: true,
        // An index of words may refer to rows by numbers that no column shows.
        preserve_rowids: true,
        ..dump::DumpOptions::default()
    };
    match args.output_file.filter(|path| path != Path::new(STDOUT)) {
        None => {
            let mut damage = Ok(());
            ctx.ui.answer(|out| {
                let mut out = out;
                let report = dump::dump(session.as_mut(), &options, &mut out);
                damage = whole(&name, report)?;
                Ok(())
            })?;
            damage
        }
        Some(path) => {
            let mut output = Output::begin(ctx, &path, args.overwrite)?;
            let mut writer = std::io::BufWriter::with_capacity(1 << 20, output.0.as_file_mut());
            let report = dump::dump(session.as_mut(), &options, &mut writer);
            whole(&name, report).map_err(|error| Error::io(error, format!("cannot write {}", path.display())))??;
            writer
                .flush()
                .map_err(|error| Error::io(error, format!("cannot write {}", path.display())))?;
            drop(writer);
            let dumped = output.finish(name, Some(connection.location), path, args.overwrite)?;
            dumped.show(ctx, "Dumped")
        }
    }
}

/// Sorts out what became of a dump: a stream that cannot be written to, a database that cannot be read whole, or neither.
fn whole(
    name: &DatabaseName,
    report: std::result::Result<dump::DumpReport, sql::Failure>,
) -> std::io::Result<Result<()>> {
    match report {
        Ok(report) if report.errors == 0 => Ok(Ok(())),
        Ok(_) => Ok(Err(Error::new(
            Code::InvalidFile,
            format!("not everything in database {name} could be read, and the dump ends in ROLLBACK"),
        )
        .hint(format!("torso db inspect {name} --check lists the damage")))),
        Err(sql::Failure::Sink(error)) => Err(error),
        Err(failure) => Ok(Err(failure.into())),
    }
}

fn connect(ctx: &Context, name: &DatabaseName, location: Option<&LocationCode>) -> Result<Connection> {
    ctx.control()?
        .connection(name, location)
        .map_err(|error| near_miss(ctx, name, error))
}

/// A file that appears under its name only when it is complete.
struct Output(TemporaryFile);

impl Output {
    /// One that gets no name.
    fn temporary_file() -> Result<Self> {
        let made = TemporaryFile::create("torso-export-", "");
        made.map(Self)
            .map_err(|error| Error::io(error, "cannot make a temporary file"))
    }

    fn begin(ctx: &Context, path: &Path, overwrite: bool) -> Result<Self> {
        check_replaceable(path).map_err(|error| error.hint("--output-file - writes to standard output"))?;
        check_not_own(ctx, path)?;
        if !overwrite && path.symlink_metadata().is_ok() {
            return Err(exists(path));
        }
        let dir = match path.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir,
            _ => Path::new("."),
        };
        TemporaryFile::create_in(dir, ".torso-")
            .map(Self)
            .map_err(|error| Error::io(error, format!("cannot write {}", path.display())))
    }

    /// An error that names the file that is asked for, not the temporary one.
    fn name_in(&self, error: Error, path: &Path) -> Error {
        let temporary = self.temporary().display().to_string();
        error.map_text(|text| text.replace(&temporary, &path.display().to_string()))
    }

    fn temporary(&self) -> &Path {
        self.0.path()
    }

    /// Gives the file its name, once it is on disk.
    fn finish(
        self,
        name: DatabaseName,
        location: Option<LocationCode>,
        path: PathBuf,
        overwrite: bool,
    ) -> Result<Exported> {
        let doing = |error| Error::io(error, format!("cannot write {}", path.display()));
        self.0.as_file().sync_all().map_err(doing)?;
        let persisted = self.0.persist(&path, overwrite);
        let file = persisted.map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => exists(&path),
            _ => doing(error),
        })?;
        let size_bytes = file.metadata().map_err(doing)?.len();
        Ok(Exported {
            name,
            location,
            path,
            size_bytes,
        })
    }
}

fn exists(path: &Path) -> Error {
    Error::new(Code::FileExists, format!("{} exists already", path.display())).hint("add --overwrite to replace it")
}
