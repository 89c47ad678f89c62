//! Building what a new database starts with, from a file, a dump or a CSV table.
//!
//! The file is built in the control plane's staging area and handed over whole, so that an error at any point leaves no
//! half-made database.

use super::csv;
use super::sniff::{Kind, Sample, open_input};
use crate::commands::complete;
use crate::context::Context;
use crate::control::Staging;
use crate::control::names::DatabaseName;
use crate::control::types::Seed;
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
    /// Copy a SQLite file
    #[arg(long, value_name = "PATH", group = "source")]
    from_file: Option<PathBuf>,
    /// Run an SQL script, such as a dump; - is stdin
    #[arg(long, value_name = "PATH", group = "source")]
    from_dump: Option<PathBuf>,
    /// Make one table from a CSV file
    #[arg(long, value_name = "PATH", group = "source")]
    from_csv: Option<PathBuf>,
    #[command(flatten)]
    csv: csv::Form,
    /// Copy another database
    #[arg(long, value_name = "NAME", group = "source", add = complete::databases())]
    from_db: Option<DatabaseName>,
}

impl Source {
    /// Another database.
    pub fn branch(of: DatabaseName) -> Self {
        Self {
            from_db: Some(of),
            ..Self::default()
        }
    }

    /// What the file at `path` holds.
    pub fn of_file(path: PathBuf, kind: Kind, csv: csv::Form) -> Self {
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
        }
    }

    /// The database that the new one branches from.
    pub fn original(&self) -> Option<&DatabaseName> {
        self.from_db.as_ref()
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
        if self.from_file.is_none() && self.from_dump.is_none() && self.from_csv.is_none() {
            return Ok(Built {
                seed: None,
                imported: None,
                _staging: None,
            });
        }
        interrupt::install();
        let staging = ctx.control()?.staging()?;
        let mut imported = None;
        // A file is what it is, whatever the option that named it.
        let (from_file, from_dump) = match (&self.from_file, &self.from_dump) {
            (Some(path), _) if is_script(path)? => (None, Some(path)),
            (_, Some(path)) if path != Path::new("-") && Kind::of(path).ok() == Some(Kind::Database) => {
                (Some(path), None)
            }
            (file, dump) => (file.as_ref(), dump.as_ref()),
        };
        if let Some(path) = from_file {
            let mut progress = ctx.ui.progress("Copying");
            copy::copy_file(path, &staging.path, &mut |done, all| {
                progress.at(done, all);
                not_interrupted()
            })?;
        }
        if let Some(path) = from_dump {
            fill(&staging, |session| load_script(ctx, path, session))?;
        }
        if let Some(path) = &self.from_csv {
            imported = Some(fill(&staging, |session| csv::import(ctx, path, &self.csv, session))?);
        }
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
    let mut session = sql::open(&Target::file(&staging.path))?;
    interrupt::on_interrupt(session.interrupter());
    for pragma in ["locking_mode = EXCLUSIVE", "journal_mode = MEMORY", "synchronous = OFF"] {
        query::rows(session.as_mut(), &format!("PRAGMA {pragma}"))?;
    }
    let result = fill(session.as_mut()).map_err(|error| match not_interrupted() {
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

fn load_script(ctx: &Context, path: &Path, session: &mut dyn Session) -> Result<u64> {
    if path == Path::new("-") {
        return script::run(session, &mut std::io::stdin().lock(), "stdin", &mut |_| {
            not_interrupted()
        });
    }
    let (file, size) = open_input(path)?;
    let mut progress = ctx.ui.progress("Loading");
    script::run(
        session,
        &mut BufReader::with_capacity(1 << 18, file),
        &path.to_string_lossy(),
        &mut |read| {
            progress.at(read, size);
            not_interrupted()
        },
    )
}

/// Whether a file begins as SQL does.
fn is_script(path: &Path) -> Result<bool> {
    let (file, _) = open_input(path)?;
    Ok(Sample::of(path, file)?.is_sql())
}

/// Stops long work after Ctrl-C.
pub(super) fn not_interrupted() -> Result<()> {
    if interrupt::pressed() {
        Err(Error::new(Code::Interrupted, "interrupted"))
    } else {
        Ok(())
    }
}
