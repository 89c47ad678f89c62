//! Building what a new database starts with, from a file, a dump or a CSV table.
//!
//! The file is built in the control plane's staging area and handed over whole, so that an error at any point leaves no
//! half-made database.

use super::csv;
use super::input::{self, Input};
use super::sniff::{Kind, Sample};
use crate::commands::completers;
use crate::commands::interruption::check_interrupted;
use crate::context::Context;
use crate::control::Staging;
use crate::control::names::DatabaseName;
use crate::control::types::Seed;
use crate::declared::DeclaredSeed;
use crate::error::{Code, Error, Result};
use crate::shell::import::strict::empty_file;
use crate::shell::interrupt;
use crate::sql::{self, Session, Target, copy, query, script};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// What a new database starts with.
#[derive(clap::Args, Default)]
#[command(next_help_heading = "Content")]
pub(crate) struct Source {
    /// Copy a SQLite file; - is stdin
    #[arg(long, value_name = "PATH", group = "source")]
    from_file: Option<PathBuf>,
    /// Run an SQL script, such as a dump; - is stdin
    #[arg(long, value_name = "PATH", group = "source")]
    from_dump: Option<PathBuf>,
    /// Make one table from a CSV file; - is stdin
    #[arg(long, value_name = "PATH", group = "source")]
    from_csv: Option<PathBuf>,
    #[command(flatten)]
    csv: csv::CsvFormat,
    /// Copy another database
    #[arg(long, value_name = "NAME", group = "source", add = completers::databases())]
    from_db: Option<DatabaseName>,
    /// The file, where it was opened to tell what it is.
    #[arg(skip)]
    opened: Option<Input>,
}

impl Source {
    /// Another database.
    pub fn branch(of: DatabaseName) -> Self {
        Self {
            from_db: Some(of),
            ..Self::default()
        }
    }

    /// An SQL script; `-` is stdin.
    pub fn of_script(path: PathBuf) -> Self {
        Self {
            from_dump: Some(path),
            ..Self::default()
        }
    }

    /// A SQLite file.
    pub fn of_database(path: PathBuf) -> Self {
        Self {
            from_file: Some(path),
            ..Self::default()
        }
    }

    /// What a file of declared state names.
    pub fn of_declared(seed: Option<&DeclaredSeed>) -> Self {
        let (mut from_file, mut from_csv) = (None, None);
        match seed {
            None => {}
            Some(DeclaredSeed::Database(name)) => return Self::branch(name.clone()),
            Some(DeclaredSeed::Dump(path)) => return Self::of_script(path.clone()),
            Some(DeclaredSeed::File(path)) => from_file = Some(path.clone()),
            Some(DeclaredSeed::Csv(path)) => from_csv = Some(path.clone()),
        }
        Self {
            from_file,
            from_csv,
            ..Self::default()
        }
    }

    /// What a file holds.
    pub fn of_file(input: Input, kind: Kind, csv: csv::CsvFormat) -> Self {
        let path = input.label().to_owned();
        let (mut from_file, mut from_dump, mut from_csv) = (None, None, None);
        match kind {
            Kind::Database => from_file = Some(path),
            Kind::Script => from_dump = Some(path),
            Kind::Csv | Kind::Json => from_csv = Some(path),
        }
        Self {
            from_file,
            from_dump,
            from_csv,
            csv,
            from_db: None,
            opened: Some(input),
        }
    }

    /// The database that the new one branches from.
    pub fn original(&self) -> Option<&DatabaseName> {
        self.from_db.as_ref()
    }

    /// An error about what was uploaded, with the name of the file that it came from.
    pub fn name_in(&self, error: Error) -> Error {
        let named = [&self.from_file, &self.from_dump, &self.from_csv];
        match named.into_iter().find_map(Option::as_deref) {
            Some(path) => error.map_text(|text| text.replace("the uploaded file", &path.display().to_string())),
            None => error,
        }
    }

    /// What it is, in words; none where a database starts empty.
    pub fn described(&self) -> Option<String> {
        let Self {
            from_file,
            from_dump,
            from_csv,
            from_db,
            ..
        } = self;
        if let Some(path) = from_file {
            Some(format!("copy the database in {} into it", path.display()))
        } else if let Some(path) = from_dump {
            Some(format!("run the script {} in it", path.display()))
        } else if let Some(path) = from_csv {
            Some(format!("import the table in {} into it", path.display()))
        } else {
            from_db.as_ref().map(|name| format!("copy database {name} into it"))
        }
    }

    /// Opens the file that it names, if it names one. Reads its beginning, and fails where that is of another kind. A script on
    /// standard input is left unread.
    pub fn open(&self) -> Result<OpenedSource<'_>> {
        let mut opened = OpenedSource {
            source: self,
            newly_opened: None,
            content: FileContent::None,
        };
        if self.from_db.is_some() {
            return Ok(opened);
        }
        if self.from_csv.is_none() {
            self.csv.refuse_without_csv()?;
        }
        let named = [&self.from_file, &self.from_dump, &self.from_csv];
        let Some(path) = named.into_iter().find_map(Option::as_deref) else {
            return Ok(opened);
        };
        interrupt::install();
        if self.from_dump.is_some() && path == Path::new("-") {
            opened.content = FileContent::UnreadScript;
            return Ok(opened);
        }
        if self.opened.is_none() {
            opened.newly_opened = Some(Input::open(path)?);
        }
        let Some(input) = opened.input() else {
            return Ok(opened);
        };
        let sample = Sample::of(input)?;
        self.check_kind(input, &sample)?;
        // A file is what it is, whatever the option that named it.
        let is_script = match self.from_file {
            Some(_) => sample.is_sql(),
            None => self.from_dump.is_some() && !sample.is_database(),
        };
        opened.content = if self.from_csv.is_some() {
            if sample.is_empty() {
                return Err(empty_file(&input.label().display().to_string()));
            }
            FileContent::Table
        } else if is_script {
            FileContent::Script
        } else {
            copy::check_header(input.path()).map_err(|error| input.name_in(error))?;
            FileContent::Database
        };
        Ok(opened)
    }

    /// Fails where a file is clearly of a kind that another option takes.
    fn check_kind(&self, input: &Input, sample: &Sample) -> Result<()> {
        let takes_table = self.from_csv.is_some();
        let (what, option) = match sample.kind(input.label()) {
            Ok(Kind::Database) if takes_table && sample.is_database() => ("a SQLite database", "--from-file"),
            Ok(Kind::Script) if takes_table && sample.is_sql() => ("a script of SQL", "--from-dump"),
            Ok(Kind::Csv) if !takes_table && sample.has_table_extension() => ("a table of CSV", "--from-csv"),
            Ok(Kind::Json) if !takes_table => ("a table of JSON", "--from-csv"),
            // What is no text may be an encrypted database.
            Err(error) if self.from_dump.is_some() || sample.is_foreign() => return Err(error),
            _ => return Ok(()),
        };
        let path = input.label().display();
        Err(Error::new(Code::InvalidFile, format!("{path} is {what}")).hint(format!("use {option} {path}")))
    }
}

/// What is in the file of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FileContent {
    /// There is no file.
    None,
    /// A script on standard input.
    UnreadScript,
    Script,
    Database,
    Table,
}

/// A source whose file is open, and is what it is to be as far as its beginning tells.
pub(crate) struct OpenedSource<'a> {
    source: &'a Source,
    /// The file, unless the source had it open already.
    newly_opened: Option<Input>,
    content: FileContent,
}

impl OpenedSource<'_> {
    fn input(&self) -> Option<&Input> {
        self.source.opened.as_ref().or(self.newly_opened.as_ref())
    }

    /// The bytes of a database that is copied from a file.
    pub fn size_of_database(&self) -> Option<u64> {
        let input = self.input().filter(|_| self.content == FileContent::Database)?;
        std::fs::metadata(input.path()).ok().map(|metadata| metadata.len())
    }

    /// Builds what a database starts with. The staging area lives as long as the answer, and is cleared when that is dropped.
    pub fn build(&self, ctx: &Context) -> Result<Built> {
        let input = match (self.content, self.input()) {
            (FileContent::UnreadScript, _) => {
                return stage(ctx, |staging| fill(staging, load_stdin).map(|_| None));
            }
            (FileContent::None, _) | (_, None) => {
                let seed = |name: &DatabaseName| Seed::Database { name: name.clone() };
                return Ok(Built {
                    seed: self.source.from_db.as_ref().map(seed),
                    imported: None,
                    _staging: None,
                });
            }
            (_, Some(input)) => input,
        };
        stage(ctx, |staging| match self.content {
            FileContent::Table => fill(staging, |session| csv::import(ctx, input, &self.source.csv, session)).map(Some),
            FileContent::Database => {
                let mut progress = ctx.ui.progress("Copying");
                copy::copy_file(input.path(), &staging.path, &mut |done, all| {
                    progress.at(done, all);
                    check_interrupted()
                })
                .map_err(|error| input.name_in(error))?;
                Ok(None)
            }
            FileContent::Script | FileContent::UnreadScript | FileContent::None => {
                fill(staging, |session| load_script(ctx, input, session)).map(|_| None)
            }
        })
    }
}

/// Builds a file in the staging area.
fn stage(ctx: &Context, build: impl FnOnce(&Staging) -> Result<Option<csv::Imported>>) -> Result<Built> {
    let staging = ctx.control()?.staging()?;
    let imported = build(&staging)?;
    let seed = Seed::DatabaseUpload {
        path: staging.path.clone(),
    };
    Ok(Built {
        seed: Some(seed),
        imported,
        _staging: Some(staging),
    })
}

/// A seed that is ready, and the place it lies in until the control plane has taken it.
pub(crate) struct Built {
    pub seed: Option<Seed>,
    /// What became of a table.
    pub imported: Option<csv::Imported>,
    _staging: Option<Staging>,
}

/// Makes the staged file through a session. Nobody else sees it, so speed costs nothing: it is made durable at the end.
fn fill<T>(staging: &Staging, fill: impl FnOnce(&mut dyn Session) -> Result<T>) -> Result<T> {
    let mut session = sql::open_scratch(&Target::file(&staging.path))?;
    interrupt::on_interrupt(session.interrupter());
    for pragma in ["locking_mode = EXCLUSIVE", "journal_mode = MEMORY", "synchronous = OFF"] {
        query::rows(session.as_mut(), &format!("PRAGMA {pragma}"))?;
    }
    let result = fill(session.as_mut()).map_err(|error| match check_interrupted() {
        Err(interrupted) => interrupted,
        Ok(()) => error,
    })?;
    if std::fs::metadata(&staging.path).is_ok_and(|metadata| metadata.len() == 0) {
        // Nothing was written; an empty database is a file with a header all the same.
        query::rows(session.as_mut(), "PRAGMA user_version = 0")?;
    }
    drop(session);
    File::open(&staging.path)
        .and_then(|file| file.sync_all())
        .map_err(|error| Error::io(error, "cannot write the new database"))?;
    Ok(result)
}

fn load_stdin(session: &mut dyn Session) -> Result<u64> {
    let (mut text, _) =
        input::decode(std::io::stdin().lock()).map_err(|error| Error::io(error, "cannot read standard input"))?;
    script::run(session, &mut text, "stdin", &mut |_| check_interrupted())
}

fn load_script(ctx: &Context, input: &Input, session: &mut dyn Session) -> Result<u64> {
    let name = input.label().display();
    let file = File::open(input.path()).map_err(|error| Error::io(error, format!("cannot read {name}")))?;
    let size = file.metadata().map_or(0, |metadata| metadata.len());
    let mut progress = ctx.ui.progress("Loading");
    script::run(
        session,
        &mut BufReader::with_capacity(1 << 18, file),
        &name.to_string(),
        &mut |read| {
            progress.at(read, size);
            check_interrupted()
        },
    )
}
