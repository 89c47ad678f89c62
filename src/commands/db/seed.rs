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

    /// Builds it. The staging area lives as long as the answer, and is cleared when that is dropped.
    pub fn build(&self, ctx: &Context) -> Result<Built> {
        if let Some(name) = &self.from_db {
            return Ok(Built {
                seed: Some(Seed::Database { name: name.clone() }),
                imported: None,
                _staging: None,
            });
        }
        if self.from_csv.is_none() {
            self.csv.refuse_without_csv()?;
        }
        let named = [&self.from_file, &self.from_dump, &self.from_csv];
        let Some(path) = named.into_iter().find_map(Option::as_deref) else {
            return Ok(Built {
                seed: None,
                imported: None,
                _staging: None,
            });
        };
        interrupt::install();
        if self.from_dump.is_some() && path == Path::new("-") {
            return self.stage(ctx, |staging| {
                fill(staging, load_stdin)?;
                Ok(None)
            });
        }
        let newly_opened;
        let input = match &self.opened {
            Some(input) => input,
            None => {
                newly_opened = Input::open(path)?;
                &newly_opened
            }
        };
        let sample = Sample::of(input)?;
        self.check_kind(input, &sample)?;
        // A file is what it is, whatever the option that named it.
        let is_script = match self.from_file {
            Some(_) => sample.is_sql(),
            None => self.from_dump.is_some() && !sample.is_database(),
        };
        self.stage(ctx, |staging| {
            if self.from_csv.is_some() {
                return fill(staging, |session| csv::import(ctx, input, &self.csv, session)).map(Some);
            }
            if is_script {
                fill(staging, |session| load_script(ctx, input, session))?;
            } else {
                let mut progress = ctx.ui.progress("Copying");
                copy::copy_file(input.path(), &staging.path, &mut |done, all| {
                    progress.at(done, all);
                    check_interrupted()
                })
                .map_err(|error| input.name_in(error))?;
            }
            Ok(None)
        })
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

    /// Builds it in the staging area.
    fn stage(&self, ctx: &Context, build: impl FnOnce(&Staging) -> Result<Option<csv::Imported>>) -> Result<Built> {
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
