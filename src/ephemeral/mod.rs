//! Databases that live as long as one command, and their end whatever becomes of torso.
//!
//! A record per run in the data directory says which database belongs to it, and a lock on that record is held as long as the
//! run's torso lives. The next command destroys what a run without its torso left behind, after ending the run's processes.
//! Making the database and starting the command are `commands/run`'s.

mod processes;

pub use processes::end_processes;

use crate::control::ControlPlane;
use crate::control::names::DatabaseName;
use crate::error::{Code, Error, Result};
use crate::settings::Settings;
use crate::settings::contexts::{LOCAL, ServerSettings};
use crate::settings::files::create_private_dir;
use crate::temporary_files::TemporaryFile;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{Read as _, Write as _};
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

/// A run whose torso lives. Dropping it without [`RunLease::end`] leaves the run to the next command.
#[derive(Debug)]
pub struct RunLease {
    record: RunRecord,
    path: PathBuf,
    /// Holds the lock.
    _file: File,
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
            path,
            _file: file,
        })
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
        destroy(plane, &self.record.database)?;
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
    let record: RunRecord = serde_json::from_str(&text).ok()?;
    (record.plane == here).then_some(LeftRun {
        record,
        path,
        _file: file,
    })
}

/// None where there is nothing to destroy.
fn reap_one(left: &LeftRun, plane: &dyn ControlPlane) -> Option<(DatabaseName, Option<Error>)> {
    end_processes(&left.record.id);
    let done = destroy(plane, &left.record.database).and_then(|existed| remove(&left.path).map(|()| existed));
    let error = match done {
        Ok(false) => return None,
        Ok(true) => None,
        Err(error) => Some(error),
    };
    Some((left.record.database.clone(), error))
}

/// Destroys the database; false if it does not exist.
fn destroy(plane: &dyn ControlPlane, name: &DatabaseName) -> Result<bool> {
    match plane.delete_database(name) {
        Ok(_) => Ok(true),
        Err(error) if error.code() == Code::DatabaseNotFound => Ok(false),
        Err(error) => Err(error),
    }
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
