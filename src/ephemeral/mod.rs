//! Databases that live as long as one command, and their end whatever becomes of torso.
//!
//! A record per run in the data directory says which database belongs to it, and a lock on that record is held as long as the
//! run's torso lives. The next command destroys what a run without its torso left behind, after ending the run's processes.
//! Making the database and starting the command are `commands/run`'s.

mod processes;

pub use processes::end_processes;

use crate::control::ControlPlane;
use crate::control::names::{DatabaseId, DatabaseName};
use crate::control::types::DatabaseFilter;
use crate::error::{Code, Error, Result};
use crate::settings::Settings;
use crate::settings::contexts::{LOCAL, ServerSettings};
use crate::settings::files::create_private_dir;
use crate::temporary_files::TemporaryFile;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How old a record must be that was never finished, before it is taken for one of a dead process.
const UNFINISHED: Duration = Duration::from_secs(60);

/// The directory of the records, in the data directory.
const DIRECTORY: &str = "runs";

/// What is known of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct RunRecord {
    /// Its processes have this in their environment.
    id: String,
    /// Its database, which may not have been created yet.
    database: DatabaseName,
    /// The control plane that has the database; see [`plane_of`].
    plane: String,
}

/// The second line of a record, once the database is there: the command may give the database another name.
#[derive(Serialize, Deserialize)]
struct CreatedLine {
    database_id: DatabaseId,
}

/// A run whose torso lives. Dropping it without [`RunLease::end`] leaves the run to the next command.
#[derive(Debug)]
pub struct RunLease {
    record: RunRecord,
    /// Known once the database is created.
    database_id: Option<DatabaseId>,
    path: PathBuf,
    /// Holds the lock.
    file: File,
}

impl RunLease {
    /// Records a run with a new name for its database, before the database is created.
    pub fn begin(settings: &Settings) -> Result<Self> {
        let directory = settings.data_dir()?.0.join(DIRECTORY);
        let doing = |error| Error::io(error, format!("cannot write {}", directory.display()));
        create_private_dir(&directory)?;
        let id = uuid::Uuid::new_v4().simple().to_string();
        let record = RunRecord {
            // 80 random bits: no two runs meet, and nobody chose such a name by hand.
            database: format!("run-{}", &id[..20]).parse()?,
            plane: plane_of(settings.server()?.as_ref()),
            id,
        };
        // Locked before it has the name by which others find it.
        let mut fresh = TemporaryFile::create_in(&directory, "unfinished-").map_err(doing)?;
        fresh.as_file().lock().map_err(doing)?;
        let text = serde_json::to_string(&record)
            .map_err(|error| Error::new(Code::Internal, format!("a run cannot be recorded: {error}")))?;
        fresh.write_all(text.as_bytes()).map_err(doing)?;
        let path = directory.join(format!("{}.json", record.id));
        let file = fresh.persist(&path, true).map_err(doing)?;
        Ok(Self {
            record,
            database_id: None,
            path,
            file,
        })
    }

    /// Records which database was created, before the command can give it another name.
    pub fn record_database(&mut self, id: &DatabaseId) -> Result<()> {
        let line = CreatedLine {
            database_id: id.clone(),
        };
        let text = serde_json::to_string(&line)
            .map_err(|error| Error::new(Code::Internal, format!("a run cannot be recorded: {error}")))?;
        self.file
            .write_all(format!("\n{text}\n").as_bytes())
            .map_err(|error| Error::io(error, format!("cannot write {}", self.path.display())))?;
        self.database_id = Some(id.clone());
        Ok(())
    }

    /// The name for the run's database.
    #[must_use]
    pub fn database(&self) -> &DatabaseName {
        &self.record.database
    }

    /// The value of `TORSO_RUN` for the run's processes.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.record.id
    }

    /// Destroys the database, if it was created, and forgets the run. On an error the record stays, and the next command
    /// tries again.
    pub fn end(self, plane: &dyn ControlPlane) -> Result<()> {
        destroy(plane, &self.record.database, self.database_id.as_ref())?;
        remove(&self.path)
    }
}

/// Destroys what runs of this control plane left behind whose torso is gone, and returns the names of those databases. What cannot
/// be destroyed now, for the reason beside its name, is left to a later command.
pub fn reap(settings: &Settings, plane: &dyn ControlPlane) -> Vec<(DatabaseName, Option<Error>)> {
    let records = left(settings);
    records.into_iter().filter_map(|left| reap_one(&left, plane)).collect()
}

/// The names of the databases that [`reap`] is about.
pub fn list_left(settings: &Settings) -> Result<Vec<DatabaseName>> {
    Ok(left(settings).into_iter().map(|left| left.record.database).collect())
}

/// A run whose torso is gone. The lock on its record is held.
struct LeftRun {
    record: RunRecord,
    database_id: Option<DatabaseId>,
    path: PathBuf,
    _file: File,
}

/// The runs of this control plane whose torso is gone. What cannot be read is left to a later command.
fn left(settings: &Settings) -> Vec<LeftRun> {
    let Ok((data, _)) = settings.data_dir() else {
        return Vec::new();
    };
    // Almost always nothing is there, and nothing else is looked up.
    let Ok(entries) = std::fs::read_dir(data.join(DIRECTORY)) else {
        return Vec::new();
    };
    let mut records = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            records.push(path);
        } else if entry.metadata().is_ok_and(|metadata| is_old(&metadata)) {
            // Left by a process that died while it wrote a record; an error means that it is tried again.
            let _ = std::fs::remove_file(&path);
        }
    }
    if records.is_empty() {
        return Vec::new();
    }
    let Ok(server) = settings.server() else {
        return Vec::new();
    };
    let here = plane_of(server.as_ref());
    records.into_iter().filter_map(|path| left_at(path, &here)).collect()
}

fn left_at(path: PathBuf, here: &str) -> Option<LeftRun> {
    let mut file = File::open(&path).ok()?;
    // Its torso lives, or another command is at this already.
    file.try_lock().ok()?;
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    let (record, database_id) = parse_record(&text)?;
    (record.plane == here).then_some(LeftRun {
        record,
        database_id,
        path,
        _file: file,
    })
}

/// A record's line, and the id of its database where that was noted. A second line that was cut off says nothing.
fn parse_record(text: &str) -> Option<(RunRecord, Option<DatabaseId>)> {
    let mut lines = text.lines();
    let record = serde_json::from_str(lines.next()?).ok()?;
    let created: Option<CreatedLine> = lines.next().and_then(|line| serde_json::from_str(line).ok());
    Some((record, created.map(|created| created.database_id)))
}

/// None where there is nothing to destroy.
fn reap_one(left: &LeftRun, plane: &dyn ControlPlane) -> Option<(DatabaseName, Option<Error>)> {
    end_processes(&left.record.id);
    let done = destroy(plane, &left.record.database, left.database_id.as_ref());
    match done.and_then(|destroyed| remove(&left.path).map(|()| destroyed)) {
        Ok(destroyed) => Some((destroyed?, None)),
        Err(error) => Some((left.record.database.clone(), Some(error))),
    }
}

/// Destroys the database, also one that has another name by now, and returns its name; none if it does not exist.
fn destroy(plane: &dyn ControlPlane, name: &DatabaseName, id: Option<&DatabaseId>) -> Result<Option<DatabaseName>> {
    let current = match plane.get_database(name) {
        Ok(database) if id.is_none_or(|id| database.id == *id) => Some(name.clone()),
        Ok(_) => find_renamed(plane, id)?,
        Err(error) if error.code() == Code::DatabaseNotFound => find_renamed(plane, id)?,
        // A token may destroy what it may not see.
        Err(error) if error.code() == Code::Forbidden => Some(name.clone()),
        Err(error) => return Err(error),
    };
    let Some(current) = current else { return Ok(None) };
    match plane.delete_database(&current) {
        Ok(()) => Ok(Some(current)),
        Err(error) if error.code() == Code::DatabaseNotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The name of the database with an id, among all.
fn find_renamed(plane: &dyn ControlPlane, id: Option<&DatabaseId>) -> Result<Option<DatabaseName>> {
    let Some(id) = id else { return Ok(None) };
    let mut found = None;
    plane.visit_databases(&DatabaseFilter::default(), &mut |page| {
        found = page
            .into_iter()
            .find(|database| database.id == *id)
            .map(|database| database.name);
        Ok(if found.is_some() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        })
    })?;
    Ok(found)
}

fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io(error, format!("cannot remove {}", path.display())))
        }
        _ => Ok(()),
    }
}

fn is_old(metadata: &std::fs::Metadata) -> bool {
    metadata
        .modified()
        .ok()
        .and_then(|at| SystemTime::now().duration_since(at).ok())
        .is_some_and(|age| age > UNFINISHED)
}

/// Tells control planes apart: by the server's address and the organization.
fn plane_of(server: Option<&ServerSettings>) -> String {
    match server {
        None => LOCAL.to_owned(),
        Some(server) => format!(
            "{} {}",
            server.url,
            server.organization.as_ref().map_or("", |slug| slug.as_str())
        ),
    }
}
