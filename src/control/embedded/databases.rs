//! Databases: creating, listing, renaming, configuring, destroying.

use super::catalog::Catalog;
use super::catalog::databases::{DatabaseOrigin, DatabaseRow};
use super::catalog::locations::GroupRow;
use super::elsewhere::{check_seedable, doom_primary, readable_site};
use super::placement::placed;
use super::view::{Change, database_not_found};
use super::{Embedded, listing, staging};
use crate::control::names::{DEFAULT_GROUP, DatabaseId, DatabaseName};
use crate::control::sizes::Size;
use crate::control::types::{
    Configuration, ConfigurationPatch, CreateDatabase, Database, DatabaseFilter, Isolation, Parent, Seed,
    protected_by_group,
};
use crate::control::{DatabaseOperations, DatabaseVisitor, MaintenanceOperations as _, builtin_locations};
use crate::engine::{Position, disk};
use crate::error::{Code, Error, Result};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::path::Path;

/// A database that is to be made.
pub struct New<'a> {
    pub id: DatabaseId,
    pub request: &'a CreateDatabase,
    /// Nobody may write to it yet.
    pub block_writes: bool,
}

impl DatabaseOperations for Embedded {
    fn visit_databases(&self, filter: &DatabaseFilter, visit: &mut DatabaseVisitor<'_>) -> Result<()> {
        listing::visit(self, filter, visit)
    }

    fn create_database(&self, request: &CreateDatabase) -> Result<Database> {
        let new = New {
            id: DatabaseId::generate(),
            request,
            block_writes: false,
        };
        create(self, new)
    }

    fn get_database(&self, name: &DatabaseName) -> Result<Database> {
        let Some(view) = self.read()? else {
            return Err(database_not_found(name, std::iter::empty()));
        };
        self.with_last_backup(view.to_database(view.database(name)?)?)
    }

    fn rename_database(&self, name: &DatabaseName, to: &DatabaseName) -> Result<Database> {
        let change = self.change()?;
        let mut row = change.database(name)?;
        if name != to {
            if change.catalog.database(to)?.is_some() {
                return Err(exists(to));
            }
            row.name = to.clone();
            change.commit(|catalog| catalog.update_database(&row))?;
        }
        change.to_database(row)
    }

    fn delete_database(&self, name: &DatabaseName) -> Result<()> {
        let change = self.change()?;
        let row = change.database(name)?;
        remove(&change, row)
    }

    fn delete_expired_database(&self, name: &DatabaseName) -> Result<bool> {
        delete_expired(self, |change| change.catalog.database(name))
    }

    fn get_configuration(&self, name: &DatabaseName) -> Result<Configuration> {
        let Some(view) = self.read()? else {
            return Err(database_not_found(name, std::iter::empty()));
        };
        Ok(configuration(&view.database(name)?))
    }

    fn update_configuration(&self, name: &DatabaseName, patch: &ConfigurationPatch) -> Result<Configuration> {
        let size_limit = patch.size_limit.as_deref().map(parse_size).transpose()?;
        let change = self.change()?;
        let before = change.database(name)?;
        if patch.allow_attach == Some(true) && !before.allow_attach {
            return Err(
                Error::new(Code::Unsupported, "databases cannot be attached to each other here")
                    .hint("leave out allow_attach, and keep what belongs together in one database"),
            );
        }
        let mut row = before.clone();
        row.size_limit = size_limit.unwrap_or(row.size_limit);
        row.allow_attach = patch.allow_attach.unwrap_or(row.allow_attach);
        row.block_reads = patch.block_reads.unwrap_or(row.block_reads);
        row.block_writes = patch.block_writes.unwrap_or(row.block_writes);
        row.delete_protection = patch.delete_protection.unwrap_or(row.delete_protection);
        row.expires_at = patch.expires_at.map_or(row.expires_at, Into::into);
        if let Some(at) = patch.branched_at {
            row.parent.as_mut().ok_or_else(|| no_branch(name))?.branched_at = at;
        }
        if row == before {
            return Ok(configuration(&row));
        }
        // Only an engine that enforces limits has to do something.
        let enforced = self.engine.running(&change.site(&row.primary, &row)).map_or_else(
            |_| self.engine.has_processes(),
            |running| running.is_some_and(|running| running.limits.is_some()),
        );
        change.commit(|catalog| {
            catalog.update_database(&row)?;
            if enforced { catalog.add_pending(&row.id) } else { Ok(()) }
        })?;
        if enforced && let Some(error) = change.reach(&row.id)?.take_at(&row.primary) {
            return Err(Error::new(
                Code::Partial,
                format!("the settings of {name} are changed, but are not in force yet"),
            )
            .caused_by(error)
            .hint("every further command tries again; torso doctor shows what is pending"));
        }
        Ok(configuration(&row))
    }
}

pub fn create(plane: &Embedded, new: New<'_>) -> Result<Database> {
    let request = new.request;
    let size_limit = request.size_limit.as_deref().map_or(Ok(0), parse_size)?;
    match &request.seed {
        None => place(plane, new, size_limit, None, None),
        Some(Seed::DatabaseUpload { path }) => place(plane, new, size_limit, Some(path), None),
        Some(Seed::Upload { .. } | Seed::Dump { .. }) => Err(Error::new(
            Code::Unsupported,
            format!(
                "this machine takes no uploads, so {} cannot be made from one",
                request.name
            ),
        )
        .hint("torso db create NAME --from-file FILE takes a file")),
        Some(Seed::Database { name }) => {
            // The copy is made before the lock is taken, because it may take long; so whether the name is taken is
            // checked first.
            if let Ok(existing) = plane.get_database(&request.name) {
                return Err(exists(&existing.name));
            }
            let parent = plane.get_database(name)?;
            let staging = plane.staging()?;
            {
                let Some(view) = plane.read()? else {
                    return Err(database_not_found(name, std::iter::empty()));
                };
                let row = view.database(name)?;
                let placed = placed(&view, row)?;
                let site = readable_site(plane.engine.as_ref(), &placed)?;
                plane.engine.local_files(site)?.snapshot(site, &staging.path)?;
            }
            let parent = Parent {
                id: parent.id,
                name: parent.name,
                branched_at: Timestamp::now(),
            };
            place(plane, new, size_limit, Some(&staging.path), Some(parent))
        }
    }
}

/// Commits a new database and creates it; if that fails, it is removed again.
fn place(
    plane: &Embedded,
    new: New<'_>,
    size_limit: i64,
    seed: Option<&Path>,
    parent: Option<Parent>,
) -> Result<Database> {
    let New {
        id,
        request,
        block_writes,
    } = new;
    if let Some(path) = seed {
        staging::check(plane, path)?;
        check_size_limit(request, size_limit, path)?;
    }
    let change = plane.change()?;
    if change.catalog.database(&request.name)?.is_some() {
        return Err(exists(&request.name));
    }
    let (group, new_group) = choose_group(&change, request)?;
    let primary = request.location.clone().unwrap_or_else(|| group.primary.clone());
    change.primary_location(&primary)?;
    if seed.is_some() {
        check_seedable(&change, request, &primary)?;
    }
    let row = DatabaseRow {
        id,
        name: request.name.clone(),
        group_uuid: group.uuid.clone(),
        group: group.name.clone(),
        primary,
        parent,
        size_limit,
        allow_attach: false,
        block_reads: false,
        block_writes,
        delete_protection: false,
        created_at: Timestamp::now(),
        expires_at: request.expires_at,
        origin: Some(if seed.is_some() {
            DatabaseOrigin::Seed
        } else {
            DatabaseOrigin::Empty
        }),
        isolated: group.isolation == Isolation::Database,
        epoch: 1,
    };
    if let Some(path) = seed {
        stage_seed(plane, path, &row.id)?;
    }
    let committed = change.commit(|catalog| {
        if new_group {
            catalog.insert_group(&group)?;
        }
        catalog.insert_database(&row)?;
        // A group's added locations hold replicas of all its databases. Where there are such, its primary location is one
        // more for a database whose primary is elsewhere.
        if row.primary != group.primary && !catalog.group_locations(&group.uuid)?.is_empty() {
            catalog.add_database_location(&row.id, &group.primary)?;
        }
        catalog.add_pending(&row.id)
    });
    if let Err(error) = committed {
        if seed.is_some() {
            let _ = disk::remove(&plane.seed(&row.id));
        }
        return Err(error);
    }
    if let Err(error) = make(&change, &row) {
        // The error to return is the first one; what cannot be removed now stays pending. A group that was made for the
        // database stays, empty.
        let _ = doom_with(&change, std::slice::from_ref(&row), |catalog| change.unmark(catalog));
        return Err(error);
    }
    change.to_database(row)
}

/// Fails if a seed is larger than the new database may be.
fn check_size_limit(request: &CreateDatabase, size_limit: i64, seed: &Path) -> Result<()> {
    let size = std::fs::metadata(seed).map_or(0, |metadata| metadata.len());
    if size_limit > 0 && size > size_limit.unsigned_abs() {
        return Err(Error::new(
            Code::SizeLimit,
            format!(
                "{} would have {size} bytes, more than its size limit of {size_limit}",
                request.name
            ),
        )
        .hint("give a larger --size-limit"));
    }
    Ok(())
}

/// Moves a seed to where reconcile looks for it. Once the catalog has the database, its seed must exist, even after a power
/// failure.
pub fn stage_seed(plane: &Embedded, path: &Path, id: &DatabaseId) -> Result<()> {
    disk::sync_file(path)?;
    disk::rename(path, &plane.seed(id))?;
    disk::sync_dir(&plane.staging_dir())
}

/// Creates the new database with all its replicas.
fn make(change: &Change<'_>, row: &DatabaseRow) -> Result<()> {
    let mut report = change.reach(&row.id)?;
    let away = report.take_away(&row.primary);
    match report.failures.into_iter().map(|(_, error)| error).next().or(away) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// The group of a new database, and whether it is new itself.
fn choose_group(change: &Change<'_>, request: &CreateDatabase) -> Result<(GroupRow, bool)> {
    if let Some(name) = &request.group {
        let group = change.group(name).map_err(|error| {
            let hint = error.hint_text().map_or(String::new(), |hint| format!("{hint}; "));
            error.hint(format!("{hint}torso group create {name} makes it"))
        })?;
        return Ok((group, false));
    }
    let mut all = change.catalog.groups()?;
    if all.len() == 1 {
        return Ok((all.remove(0), false));
    }
    if let Some(index) = all.iter().position(|group| group.name.as_str() == DEFAULT_GROUP) {
        return Ok((all.remove(index), false));
    }
    let primary = match &request.location {
        Some(location) => location.clone(),
        None => builtin_locations::LOCAL.parse()?,
    };
    let group = GroupRow {
        uuid: uuid::Uuid::new_v4().to_string(),
        name: DEFAULT_GROUP.parse()?,
        primary,
        delete_protection: false,
        created_at: Timestamp::now(),
        isolation: Isolation::default(),
    };
    Ok((group, true))
}

/// Deletes the database with an id, whatever its name is now. False if there was none.
pub fn delete_by_id(plane: &Embedded, id: &DatabaseId) -> Result<bool> {
    let change = plane.change()?;
    match change.catalog.database_by_id(id)? {
        Some(row) => remove(&change, row).map(|()| true),
        None => Ok(false),
    }
}

/// Deletes the database with an id if it is past its end now, whatever its name is now. False if it is not, or if there is
/// none.
pub fn delete_expired_by_id(plane: &Embedded, id: &DatabaseId) -> Result<bool> {
    delete_expired(plane, |change| change.catalog.database_by_id(id))
}

fn delete_expired(plane: &Embedded, find: impl FnOnce(&Change<'_>) -> Result<Option<DatabaseRow>>) -> Result<bool> {
    let change = plane.change()?;
    let now = Timestamp::now();
    match find(&change)?.filter(|row| row.expires_at.is_some_and(|end| end <= now)) {
        Some(row) => remove(&change, row).map(|()| true),
        None => Ok(false),
    }
}

/// The same under whatever protection: of a copy that nobody was given yet.
pub fn discard(plane: &Embedded, id: &DatabaseId) -> Result<bool> {
    let change = plane.change()?;
    match change.catalog.database_by_id(id)? {
        Some(row) => doom(&change, &[row]).map(|()| true),
        None => Ok(false),
    }
}

/// Deletes a database that was copied elsewhere when it was at `position`: whether it is gone. One that has changed since,
/// or takes writes again, stays.
pub fn retire(plane: &Embedded, id: &DatabaseId, position: &Position) -> Result<bool> {
    let change = plane.change()?;
    let Some(row) = change.catalog.database_by_id(id)? else {
        return Ok(true);
    };
    // While the lock is held nobody can let writes in.
    let now = plane.engine.running(&change.site(&row.primary, &row))?;
    if !row.block_writes || now.is_none_or(|now| now.position != *position) {
        return Ok(false);
    }
    remove(&change, row).map(|()| true)
}

fn remove(change: &Change<'_>, row: DatabaseRow) -> Result<()> {
    protect(change, &row)?;
    let rows = [row];
    unused(change, &rows, || doom(change, &rows))
}

/// How many databases are locked while they are taken away. Of more, it is only checked that nobody has them open.
const HELD: usize = 64;

/// Does what takes databases away while no other program has their primaries' files open, and refuses where one has: what it
/// wrote from then on would go into nothing. A file that is missing or damaged is in nobody's use, and other engines see to
/// their clients themselves.
pub fn unused<T>(change: &Change<'_>, rows: &[DatabaseRow], work: impl FnOnce() -> Result<T>) -> Result<T> {
    let engine = &change.plane.engine;
    let mut held = Vec::new();
    let mut in_use = None;
    for row in rows {
        let site = change.site(&row.primary, row);
        match engine.hold(&site) {
            // Each takes three files, of which a process may not have very many.
            Ok(()) if held.len() == HELD => engine.release(&site),
            Ok(()) => held.push(site),
            Err(error) if error.code() == Code::DatabaseBusy => {
                in_use = Some(
                    Error::new(
                        Code::DatabaseBusy,
                        format!("database {} is open in another program", row.name),
                    )
                    .caused_by(error)
                    .hint("close the applications that have it open, then try again"),
                );
                break;
            }
            Err(_) => {}
        }
    }
    let done = in_use.map_or_else(work, Err);
    held.iter().for_each(|site| engine.release(site));
    done
}

/// Refuses to replace the content of a database that has delete protection itself. That of its group keeps the database, not what is
/// in it.
pub fn protect_content(row: &DatabaseRow) -> Result<()> {
    let name = &row.name;
    if row.delete_protection {
        return Err(Error::new(
            Code::DeleteProtected,
            format!("database {name} is protected from deletion"),
        )
        .hint(format!("torso db config set {name} delete-protection off lifts it")));
    }
    Ok(())
}

/// Refuses if the database or its group has delete protection.
pub fn protect(change: &Change<'_>, row: &DatabaseRow) -> Result<()> {
    protect_content(row)?;
    let group = change.group(&row.group)?;
    if group.delete_protection {
        return Err(protected_by_group(&row.name, &group.name));
    }
    Ok(())
}

/// Removes databases from the catalog, which frees their names at once, and deletes their files. Files that cannot be
/// deleted now stay doomed.
pub fn doom(change: &Change<'_>, rows: &[DatabaseRow]) -> Result<()> {
    doom_with(change, rows, |_| Ok(()))
}

/// The same, with further changes in the same transaction.
pub fn doom_with(change: &Change<'_>, rows: &[DatabaseRow], more: impl FnOnce(&Catalog) -> Result<()>) -> Result<()> {
    let mut wants = BTreeMap::new();
    for row in rows {
        wants.insert(row.id.clone(), change.want(row)?);
    }
    change.commit(|catalog| {
        for row in rows {
            let Some(want) = wants.get(&row.id) else { continue };
            for location in &want.replicas {
                catalog.add_doomed(&row.id, location)?;
            }
            doom_primary(change, catalog, row)?;
            catalog.delete_database(&row.id)?;
        }
        more(catalog)
    })?;
    let mut left = Vec::new();
    for row in rows {
        for (location, error) in change.reach(&row.id)?.failures {
            left.push((row.name.clone(), location, error));
        }
    }
    match left.into_iter().next() {
        None => Ok(()),
        Some((name, location, error)) => Err(Error::new(
            Code::Partial,
            format!("database {name} is destroyed, but its files in {location} could not be removed yet"),
        )
        .caused_by(error)
        .hint("every further command tries again; torso doctor shows what is pending")),
    }
}

fn configuration(row: &DatabaseRow) -> Configuration {
    Configuration {
        size_limit: row.size_limit.to_string(),
        allow_attach: row.allow_attach,
        block_reads: row.block_reads,
        block_writes: row.block_writes,
        delete_protection: row.delete_protection,
        expires_at: row.expires_at,
    }
}

/// 0 is unlimited.
fn parse_size(text: &str) -> Result<i64> {
    let size: Size = text.parse()?;
    i64::try_from(size.0).map_err(|_| {
        Error::new(Code::InvalidValue, format!("{text:?} is larger than any database"))
            .hint("use a size such as 64mb or 10gb; 0 is unlimited")
    })
}

fn no_branch(name: &DatabaseName) -> Error {
    Error::new(Code::Conflict, format!("database {name} is no branch"))
        .hint(format!("torso db show {name} shows it; torso db branch makes branches"))
}

fn exists(name: &DatabaseName) -> Error {
    Error::new(Code::DatabaseExists, format!("database {name} exists already"))
        .hint(format!("torso db show {name} shows it; choose another name"))
}
