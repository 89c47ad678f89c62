//! Copies of databases, one after the other, for the backup of a group or of the whole server: each where that costs its users
//! least, and none that is in an earlier backup as it is.

use crate::backup::{BackupId, BackupSubject, DatabaseSubject, IncludedDatabase, Manifest, Repository};
use crate::control::embedded::Placed;
use crate::control::hosted::Engines;
use crate::control::names::LocationCode;
use crate::engine::{Engine, InstanceRole, Position, Site, disk};
use crate::error::{Code, Error, Result};
use jiff::Timestamp;
use std::collections::HashMap;
use std::path::Path;

/// What is copied, and what became of it so far.
pub(super) struct DatabaseCopies<'a> {
    engines: &'a Engines,
    repository: &'a Repository,
    check: &'a dyn Fn() -> Result<()>,
    /// Where a copy lies on its way.
    staging: &'a Path,
    /// The last backup of each database that one of a group or of the server refers to.
    earlier: HashMap<String, BackupId>,
    pub included: Vec<IncludedDatabase>,
    /// Databases that were copied now.
    pub copied: usize,
    pub stored_bytes: u64,
    pub failures: Vec<FailedCopy>,
}

/// A database that could not be copied: an earlier backup of it is included, or none.
#[derive(Debug)]
pub struct FailedCopy {
    pub database_id: String,
    pub name: String,
    pub error: Error,
}

impl<'a> DatabaseCopies<'a> {
    /// Begins. `check` is called now and then, and may stop the work.
    pub fn begin(
        engines: &'a Engines,
        repository: &'a Repository,
        server: &str,
        staging: &'a Path,
        check: &'a dyn Fn() -> Result<()>,
    ) -> Result<Self> {
        Ok(Self {
            engines,
            repository,
            check,
            staging,
            earlier: earlier_backups(repository, server)?,
            included: Vec::new(),
            copied: 0,
            stored_bytes: 0,
            failures: Vec::new(),
        })
    }

    /// Includes a database of an organization. One that cannot be copied is included as it last was, if it ever was.
    ///
    /// # Errors
    ///
    /// Those after which nothing of the rest would work either.
    pub fn include(&mut self, organization: &str, placed: &Placed) -> Result<()> {
        (self.check)()?;
        let backup = match self.back_up(placed) {
            Ok(backup) => backup,
            Err(error) if matches!(error.code(), Code::BackupStorage | Code::Interrupted | Code::DiskFull) => {
                return Err(error);
            }
            Err(error) => {
                self.failures.push(FailedCopy {
                    database_id: placed.id.to_string(),
                    name: placed.name.to_string(),
                    error,
                });
                match self.earlier.get(placed.id.as_str()) {
                    Some(earlier) => earlier.clone(),
                    None => return Ok(()),
                }
            }
        };
        self.included.push(IncludedDatabase {
            organization: organization.to_owned(),
            id: placed.id.to_string(),
            name: placed.name.to_string(),
            backup,
        });
        Ok(())
    }

    /// Backs up a database, unless its last backup has what it has.
    fn back_up(&mut self, placed: &Placed) -> Result<BackupId> {
        let engine = self.engines.open_here();
        let reference = reference_site(engine.as_ref(), placed)?;
        let position = position_of(engine.as_ref(), &reference.1)?;
        if let Some(earlier) = self.earlier.get(placed.id.as_str())
            && self.is_at(placed, earlier, &position)?
        {
            return Ok(earlier.clone());
        }
        let created_at = Timestamp::now();
        let copy = self.staging.join("database");
        let location = export_anywhere(engine.as_ref(), placed, reference, &position, &copy)?;
        let subject = BackupSubject::Database(DatabaseSubject {
            id: placed.id.to_string(),
            name: placed.name.to_string(),
            group: placed.group.to_string(),
            location: Some(location),
            position: to_text(&position),
            expires: true,
        });
        let stored = self
            .repository
            .store(subject, created_at, &[&copy], &mut |_, _| (self.check)());
        disk::remove(&copy)?;
        let manifest = stored?;
        self.copied += 1;
        self.stored_bytes += manifest.stored_bytes();
        Ok(manifest.id)
    }

    /// Whether an earlier backup has the content that a database has at a position, and has it whole.
    fn is_at(&self, placed: &Placed, earlier: &BackupId, position: &Position) -> Result<bool> {
        let manifest = match self.repository.get(placed.id.as_str(), earlier) {
            Ok(manifest) => manifest,
            // It was deleted, or is damaged: then another one is needed.
            Err(error) if error.code() != Code::BackupStorage => return Ok(false),
            Err(error) => return Err(error),
        };
        let known = manifest.database().and_then(|database| database.position.as_deref());
        let known = known.and_then(|text| serde_json::from_str::<Position>(text).ok());
        Ok(known.is_some_and(|known| known == *position) && self.repository.has_contents(&manifest)?)
    }
}

/// The last backup of each database that the last backups of a server and of its groups refer to.
fn earlier_backups(repository: &Repository, server: &str) -> Result<HashMap<String, BackupId>> {
    let last_of_server = repository.backups_of_server(server)?.into_iter().next();
    let mut earlier: HashMap<String, BackupId> = HashMap::new();
    let of_groups = repository.backups_of_groups(server)?;
    for database in last_of_server.iter().chain(&of_groups).flat_map(Manifest::included) {
        let known = earlier
            .entry(database.id.clone())
            .or_insert_with(|| database.backup.clone());
        // Ids in order are in order of time.
        if *known < database.backup {
            *known = database.backup.clone();
        }
    }
    Ok(earlier)
}

/// What a backup has to have: the primary, or, where that is on another machine, a replica here. A location of another machine has no
/// directory here.
fn reference_site<'p>(engine: &dyn Engine, placed: &'p Placed) -> Result<&'p (LocationCode, Site)> {
    let Some(primary) = placed.sites.first() else {
        return Err(Error::new(
            Code::Internal,
            format!("database {} has no primary", placed.name),
        ));
    };
    if primary.1.external || primary.1.dir.is_dir() {
        return Ok(primary);
    }
    let mut replicas = placed.sites.iter().skip(1);
    let is_here = |(_, site): &&(LocationCode, Site)| matches!(engine.running(site), Ok(Some(_)));
    replicas.find(is_here).ok_or_else(|| {
        let (name, location) = (&placed.name, &primary.0);
        Error::new(
            Code::Unavailable,
            format!(
                "the primary of database {name} is not on this machine, but in {location}, and neither is a replica"
            ),
        )
        .hint(format!(
            "torso db replicate {name} LOCATION makes one here, which backups are made of"
        ))
    })
}

/// The state of an instance's content.
fn position_of(engine: &dyn Engine, primary: &Site) -> Result<Position> {
    match engine.running(primary)? {
        Some(running) => match running.damage {
            Some(damage) => Err(engine.damage_error(&damage, primary)),
            None => Ok(running.position),
        },
        None => Err(Error::new(
            Code::DatabaseDamaged,
            format!("the primary of database {} is missing", primary.database_name()),
        )
        .hint("torso doctor says what to do")),
    }
}

/// None where it would equal no other.
fn to_text(position: &Position) -> Option<String> {
    (!position.uncertain)
        .then(|| serde_json::to_string(position).ok())
        .flatten()
}

/// Copies a database at a replica that is where the primary is, else at what the backup has to have. A replica that cannot be copied all the same, such
/// as one whose process has not made its file again since the start, is passed over. Returns the location of what was copied.
fn export_anywhere(
    engine: &dyn Engine,
    placed: &Placed,
    reference: &(LocationCode, Site),
    position: &Position,
    to: &Path,
) -> Result<String> {
    let is_current = |site: &Site| {
        let running = engine.running(site).ok().flatten();
        let has_file = engine.local_files(site).is_ok_and(|files| files.path(site).is_file());
        running.filter(|_| has_file).is_some_and(|running| {
            running.damage.is_none()
                && matches!(&running.role, InstanceRole::Replica { position: own, altered: false, .. } if own == position)
        })
    };
    let export = |site: &Site| {
        disk::remove(to)?;
        engine.local_files(site)?.export(site, to)
    };
    for (location, site) in placed.sites.iter().skip(1).filter(|(_, site)| is_current(site)) {
        match export(site) {
            Ok(()) => return Ok(location.to_string()),
            Err(error) if matches!(error.code(), Code::DiskFull | Code::Interrupted) => return Err(error),
            Err(error) => {
                let (database, cause) = (&placed.name, error.full_message());
                tracing::debug!(%database, %location, %cause, "a replica cannot be copied for a backup; the primary is");
            }
        }
    }
    let (location, site) = reference;
    export(site)?;
    Ok(location.to_string())
}
