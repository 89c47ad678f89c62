//! The steps of a copy that move content: from the control plane that has it into a file of this machine, and from there to
//! the plane that gets it. What replaces content does so in one transaction.

use super::Ends;
use crate::commands::db::endpoint::QualifiedName;
use crate::commands::db::reach;
use crate::commands::interruption::check_interrupted;
use crate::commands::preconditions;
use crate::context::Context;
use crate::control::Staging;
use crate::control::names::{DatabaseName, GroupName, LocationCode};
use crate::control::types::{CreateDatabase, Database, Seed};
use crate::error::{Code, Error, Result};
use crate::shell::{self, dump, interrupt};
use crate::sql::content::{Content, content};
use crate::sql::{self, Target, copy, query, script};
use std::fs::File;
use std::io::{BufReader, BufWriter, Seek as _, Write as _};
use std::path::Path;

/// The source's content, in a file that goes with this value.
pub(super) struct SourceContent {
    staging: Staging,
    /// What is in the file.
    pub summary: Content,
}

impl SourceContent {
    /// The file.
    pub fn path(&self) -> &Path {
        &self.staging.path
    }

    /// Reads the source's content. From here on, Ctrl-C ends the copy in order.
    pub(super) fn read(ctx: &Context, ends: &Ends<'_>, original: &Database) -> Result<Self> {
        interrupt::install();
        let staging = ends.to.control()?.staging()?;
        write_to_file(ends.from, original, None, &staging.path)?;
        let summary = read_content(ctx, &Target::file(&staging.path).restricted(true, false))?;
        Ok(Self { staging, summary })
    }

    /// Compares the copy with what was read of the source. Returns the difference, if there is one; fails if that cannot be
    /// found out.
    pub(super) fn compare(&self, ctx: &Context, ends: &Ends<'_>) -> Result<Option<Error>> {
        let connection = ends.to.control()?.connection(&ends.target.name, None)?;
        let copied = read_content(ctx, &reach::reading(&connection)?)?;
        Ok(difference(&ends.source, &self.summary, &copied))
    }
}

/// Creates the copy from the file.
pub(super) fn create_from_file(
    ends: &Ends<'_>,
    group: Option<GroupName>,
    location: Option<LocationCode>,
    content: &SourceContent,
) -> Result<Database> {
    let request = CreateDatabase {
        name: ends.target.name.clone(),
        group,
        location,
        seed: Some(Seed::DatabaseUpload {
            path: content.staging.path.clone(),
        }),
        size_limit: None,
        expires_at: None,
    };
    let mut progress = ends.from.ui.progress(format!("Copying to {}", ends.target));
    ends.to.control()?.create_database_telling(&request, &mut |done, all| {
        progress.at(done, all);
        check_interrupted()
    })
}

/// Replaces the content of a database by that of a complete file.
pub(in crate::commands::db) fn replace_by_file(to: &Context, former: &Database, content: &Path) -> Result<()> {
    let size = std::fs::metadata(content).map_or(0, |metadata| metadata.len());
    preconditions::check_room_for_replacement(to, &former.name, size)?;
    match to.server_if_any()? {
        None => replace_file(to, former, content),
        Some(_) => replace_on_server(to, former, content),
    }
}

/// Puts a complete file in the place of a database's content, on this machine.
fn replace_file(to: &Context, database: &Database, content: &Path) -> Result<()> {
    let (plane, name) = (to.control()?, &database.name);
    let connection = plane.connection_to_write(name)?;
    let file = reach::file(&connection)
        .ok_or_else(|| Error::new(Code::Unsupported, format!("database {name} is not a file")))?;
    let mut progress = to.ui.progress(format!("Copying to {name}"));
    copy::replace_content(content, &file, &mut |done, all| {
        progress.at(done, all);
        check_interrupted()
    })
}

/// Puts the content of a complete file in the place of a database's on a server: in one transaction, so that applications
/// see the one or the other, and what fails leaves the former. Their connections and tokens go on.
fn replace_on_server(to: &Context, database: &Database, content: &Path) -> Result<()> {
    let name = &database.name;
    let connection = to.control()?.connection_to_write(name)?;
    let mut session = sql::open(&reach::target(&connection)?)?;
    interrupt::on_interrupt(session.interrupter());
    to.ui.notice(format!(
        "Replacing the content of {name} in one transaction: meanwhile, other writers wait or fail with SQLITE_BUSY."
    ));
    let copied = shell::copy_from(session.as_mut(), &Target::file(content).restricted(true, false))?;
    for what in copied.left_behind {
        to.ui.warn(what);
    }
    Ok(())
}

/// Writes a database's content to a file, consistent in itself: as it is at a location or, without one, at its primary.
pub(in crate::commands::db) fn write_to_file(
    from: &Context,
    database: &Database,
    location: Option<&LocationCode>,
    path: &Path,
) -> Result<()> {
    let mut progress = from.ui.progress(format!("Reading {}", database.name));
    let mut tell = |done: u64, all: u64| {
        progress.at(done, all);
        check_interrupted()
    };
    let Some(server) = from.server_if_any()? else {
        let connection = from.control()?.connection(&database.name, location)?;
        let file = reach::file(&connection)
            .ok_or_else(|| Error::new(Code::Unsupported, format!("database {} is not a file", database.name)))?;
        return copy::copy_file(&file, path, &mut tell);
    };
    let mut file = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)
        .map_err(|error| Error::io(error, format!("cannot write {}", path.display())))?;
    match server.export(&database.name, location, &mut file, &mut tell) {
        Ok(_) => file
            .sync_all()
            .map_err(|error| Error::io(error, format!("cannot write {}", path.display()))),
        // Turso Cloud: what it has as SQL makes the same database.
        Err(error) if error.code() == Code::Unsupported => {
            file.set_len(0)
                .map_err(|error| Error::io(error, format!("cannot write {}", path.display())))?;
            rebuild(from, &database.name, path)
        }
        Err(error) => Err(error),
    }
}

/// Makes a file of the same content from a dump.
pub(in crate::commands::db) fn rebuild(from: &Context, database: &DatabaseName, path: &Path) -> Result<()> {
    let doing = |error| Error::io(error, format!("cannot write a copy of {database}"));
    let connection = from.control()?.connection(database, None)?;
    let mut session = sql::open(&reach::reading(&connection)?)?;
    let mut script = tempfile::tempfile().map_err(doing)?;
    let mut writer = BufWriter::with_capacity(1 << 20, &mut script);
    let report = dump::dump(
        session.as_mut(),
        &dump::DumpOptions {
            trailer: true,
            ..dump::DumpOptions::default()
        },
        &mut writer,
    )
    .map_err(Error::from)?;
    if report.errors > 0 {
        return Err(Error::new(
            Code::InvalidFile,
            format!("not everything in database {database} could be read"),
        ));
    }
    writer.flush().map_err(doing)?;
    drop(writer);
    script.rewind().map_err(doing)?;
    let mut copy = sql::open_scratch(&Target::file(path))?;
    for pragma in ["locking_mode = EXCLUSIVE", "journal_mode = MEMORY", "synchronous = OFF"] {
        query::rows(copy.as_mut(), &format!("PRAGMA {pragma}"))?;
    }
    script::run(copy.as_mut(), &mut BufReader::new(script), "the dump", &mut |_| {
        check_interrupted()
    })?;
    drop(copy);
    File::open(path).and_then(|file| file.sync_all()).map_err(doing)
}

/// What is in a database.
pub(in crate::commands::db) fn read_content(ctx: &Context, target: &Target) -> Result<Content> {
    let mut session = sql::open(target)?;
    interrupt::on_interrupt(session.interrupter());
    let mut progress = ctx.ui.progress_of_rows("Comparing");
    content(session.as_mut(), &mut |rows| {
        progress.at(rows, 0);
        check_interrupted()
    })
}

fn difference(source: &QualifiedName, expected: &Content, found: &Content) -> Option<Error> {
    let message = || {
        format!(
            "the copy differs from {source}: it has {} rows in {} tables, and {source} had {} in {}",
            found.rows, found.tables, expected.rows, expected.tables
        )
    };
    (expected != found).then(|| Error::new(Code::Internal, message()))
}
