//! What the rules of every noun use: the catalog, and the conversion of its rows into the engine's sites and the types
//! of the API. [`CatalogView`] is for reading; [`Change`] is the same with the lock held.

use super::Embedded;
use super::catalog::Catalog;
use super::catalog::databases::DatabaseRow;
use super::catalog::former_instances::FormerInstance;
use super::catalog::locations::{GroupRow, LocationRow};
use super::lock::Lock;
use super::reconcile::{self, ReconcileReport, WantedDatabase};
use crate::change_outcome::note_lasting_change;
use crate::control::builtin_locations;
use crate::control::database_url::DatabaseUrl;
use crate::control::names::{DatabaseId, DatabaseName, GroupName, LocationCode};
use crate::control::types::{Database, Group, InstanceState, Isolation};
use crate::engine::{Damage, DatabaseLimits, Site};
use crate::error::{Code, Error, Result};
use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

/// How similar a name must be to what was typed to be suggested (Jaro-Winkler, 0 to 1).
const LIKENESS: f64 = 0.75;

/// The catalog, and the directories of locations.
pub struct CatalogView<'a> {
    pub plane: &'a Embedded,
    pub catalog: &'a Catalog,
    /// The locations in the catalog.
    pub locations: BTreeMap<LocationCode, LocationRow>,
}

impl<'a> CatalogView<'a> {
    pub fn new(plane: &'a Embedded, catalog: &'a Catalog) -> Result<Self> {
        let locations = catalog
            .locations()?
            .into_iter()
            .map(|row| (row.code.clone(), row))
            .collect();
        Ok(Self {
            plane,
            catalog,
            locations,
        })
    }

    /// The site of an instance.
    pub fn site(&self, location: &LocationCode, row: &DatabaseRow) -> Site {
        Site {
            pool: Some(pool(row)),
            database: Some(row.name.to_string()),
            group: Some(row.group.to_string()),
            epoch: row.epoch,
            ..self.remains(location, &row.id)
        }
    }

    /// The site of an instance of an earlier epoch; its database may have left the catalog.
    pub fn former_site(&self, id: &DatabaseId, row: Option<&DatabaseRow>, former: &FormerInstance) -> Site {
        Site {
            pool: Some(former.pool.clone()),
            database: row.map(|row| row.name.to_string()),
            group: row.map(|row| row.group.to_string()),
            epoch: former.epoch,
            ..self.remains(&former.location, id)
        }
    }

    /// The site of an instance whose database may have left the catalog.
    pub fn remains(&self, location: &LocationCode, id: &DatabaseId) -> Site {
        let dir = self.locations.get(location).and_then(|row| row.dir.clone());
        Site {
            location: location.as_str().to_owned(),
            external: dir.is_some(),
            dir: dir.unwrap_or_else(|| self.plane.dir.join("locations").join(location.as_str())),
            pool: None,
            id: id.as_str().to_owned(),
            epoch: 1,
            database: None,
            group: None,
        }
    }

    /// The directories where instances can be, each with its location.
    pub fn directories(&self) -> BTreeMap<PathBuf, Option<LocationCode>> {
        let mut dirs: BTreeMap<PathBuf, Option<LocationCode>> = BTreeMap::new();
        if let Ok(entries) = std::fs::read_dir(self.plane.dir.join("locations")) {
            for entry in entries.flatten() {
                let code = entry.file_name().to_str().and_then(|name| name.parse().ok());
                dirs.insert(entry.path(), code);
            }
        }
        for row in self.locations.values() {
            if let Some(dir) = &row.dir {
                dirs.insert(dir.clone(), Some(row.code.clone()));
            }
        }
        dirs
    }

    /// Refuses an unknown location.
    pub fn known_location(&self, code: &LocationCode) -> Result<()> {
        if code.as_str() == builtin_locations::LOCAL
            || builtin_locations::find(code.as_str()).is_some()
            || self.locations.contains_key(code)
        {
            return Ok(());
        }
        let builtin = builtin_locations::BUILTIN_LOCATIONS.iter().map(|place| place.code);
        let added = self.locations.keys().map(LocationCode::as_str);
        Err(location_not_found(code, builtin.chain(added)))
    }

    /// Refuses an unknown location, and one that can only have replicas.
    pub fn primary_location(&self, code: &LocationCode) -> Result<()> {
        self.known_location(code)?;
        self.plane.engine.check_primary_location(code.as_str())
    }

    pub fn database(&self, name: &DatabaseName) -> Result<DatabaseRow> {
        if let Some(row) = self.catalog.database(name)? {
            return Ok(row);
        }
        let near = self.catalog.database_names_near(name)?;
        Err(database_not_found(name, near.iter().map(String::as_str)))
    }

    pub fn group(&self, name: &GroupName) -> Result<GroupRow> {
        if let Some(row) = self.catalog.group(name)? {
            return Ok(row);
        }
        let all = self.catalog.groups()?;
        Err(group_not_found(name, all.iter().map(|row| row.name.as_str())))
    }

    /// The wanted state of a database.
    pub fn want(&self, row: &DatabaseRow) -> Result<WantedDatabase> {
        let mut replicas: std::collections::BTreeSet<_> =
            self.catalog.group_locations(&row.group_uuid)?.into_iter().collect();
        replicas.extend(self.catalog.database_locations(&row.id)?);
        replicas.remove(&row.primary);
        Ok(WantedDatabase {
            primary: row.primary.clone(),
            replicas,
            origin: row.origin,
            limits: DatabaseLimits {
                max_size: (row.size_limit > 0).then_some(row.size_limit.unsigned_abs()),
                allow_attach: row.allow_attach,
                block_reads: row.block_reads,
                block_writes: row.block_writes,
                over_quota: self.plane.over_quota.load(Ordering::SeqCst),
            },
        })
    }

    /// A row as the API's type.
    pub fn to_database(&self, row: DatabaseRow) -> Result<Database> {
        let replicas = self.want(&row)?.replicas;
        Ok(self.assemble(row, replicas))
    }

    /// A row and the locations of its replicas, in order, as the API's type.
    pub fn assemble(&self, row: DatabaseRow, replicas: impl IntoIterator<Item = LocationCode>) -> Database {
        let site = self.site(&row.primary, &row);
        Database {
            url: DatabaseUrl::of_engine(self.plane.engine.stable_url(&site)),
            size_bytes: self.plane.engine.size(&site),
            // What is not made yet is not missing.
            state: match (row.origin, self.plane.engine.examine(&site)) {
                (None, Ok(Some(damage))) => Some(damage_state(&damage)),
                _ => None,
            },
            activity: None,
            promotion: None,
            locations: std::iter::once(row.primary.clone()).chain(replicas).collect(),
            name: row.name,
            id: row.id,
            hostname: String::new(),
            group: row.group,
            primary: row.primary,
            block_reads: row.block_reads,
            block_writes: row.block_writes,
            delete_protection: row.delete_protection,
            isolation: row.isolated.then_some(Isolation::Database),
            parent: row.parent,
            created_at: Some(row.created_at),
            expires_at: row.expires_at,
            last_backup: None,
        }
    }

    pub fn to_group(&self, row: GroupRow) -> Result<Group> {
        let added = self.catalog.group_locations(&row.uuid)?;
        Ok(Group {
            locations: std::iter::once(row.primary.clone()).chain(added).collect(),
            name: row.name,
            uuid: row.uuid,
            primary: row.primary,
            delete_protection: row.delete_protection,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            archived: false,
            promotion: None,
        })
    }
}

/// The pool of a database: neither a group nor a database has an id of the other.
pub fn pool(row: &DatabaseRow) -> String {
    let shared = if row.isolated {
        row.id.as_str()
    } else {
        row.group_uuid.as_str()
    };
    format!("{shared}-{}", row.primary)
}

/// A [`CatalogView`] whose holder may change things.
pub struct Change<'a> {
    view: CatalogView<'a>,
    _lock: Lock,
}

impl<'a> Change<'a> {
    pub fn new(view: CatalogView<'a>, lock: Lock) -> Self {
        Self { view, _lock: lock }
    }

    /// Commits a change of the catalog, with the mark of the request that asked for it; on disk when this returns.
    pub fn commit<T>(&self, change: impl FnOnce(&Catalog) -> Result<T>) -> Result<T> {
        let committed = self.view.catalog.write(|| {
            if let Some(mark) = self.view.plane.mark.get() {
                self.view.catalog.add_mark(&mark)?;
            }
            change(self.view.catalog)
        });
        // Whatever of it is not there yet comes with a later command: an early end must not promise that nothing was done.
        if committed.is_ok() {
            note_lasting_change();
        }
        committed
    }

    /// Part of a change that undoes what was committed before for the same request.
    pub fn unmark(&self, catalog: &Catalog) -> Result<()> {
        catalog.remove_mark(self.view.plane.mark.get())
    }

    /// Reconciles one database after a commit.
    pub fn reach(&self, id: &DatabaseId) -> Result<ReconcileReport> {
        reconcile::reconcile(&self.view, id, None)
    }

    /// The same, but leaves all replicas alone except the one at `location`.
    pub fn reach_at(&self, id: &DatabaseId, location: &LocationCode) -> Result<ReconcileReport> {
        reconcile::reconcile(&self.view, id, Some(location))
    }
}

impl<'a> Deref for Change<'a> {
    type Target = CatalogView<'a>;
    fn deref(&self) -> &CatalogView<'a> {
        &self.view
    }
}

fn not_found<'n>(code: Code, noun: &str, name: &str, list: &str, all: impl Iterator<Item = &'n str>) -> Error {
    let near = all
        .map(|known| (strsim::jaro_winkler(known, name), known))
        .filter(|(likeness, _)| *likeness >= LIKENESS)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let hint = match near {
        Some((_, known)) => format!("did you mean {known}? {list} shows what there is"),
        None => format!("{list} shows what there is"),
    };
    Error::new(code, format!("there is no {noun} {name}")).hint(hint)
}

/// The state of an instance with a damaged file.
pub fn damage_state(damage: &Damage) -> InstanceState {
    if damage.missing {
        InstanceState::Missing
    } else {
        InstanceState::Damaged
    }
}

/// The error for a replica that was removed from the catalog but not from the disk.
pub fn not_removed_yet(name: &DatabaseName, location: &LocationCode, error: Error) -> Error {
    Error::new(
        Code::Partial,
        format!("{name} is not replicated to {location} any more, but its files there could not be removed yet"),
    )
    .caused_by(error)
    .hint("every further command tries again; torso doctor shows what is pending")
}

pub fn database_not_found<'n>(name: &DatabaseName, all: impl Iterator<Item = &'n str>) -> Error {
    not_found(Code::DatabaseNotFound, "database", name.as_str(), "torso db list", all)
}

pub fn group_not_found<'n>(name: &GroupName, all: impl Iterator<Item = &'n str>) -> Error {
    not_found(Code::GroupNotFound, "group", name.as_str(), "torso group list", all)
}

pub fn location_not_found<'n>(code: &LocationCode, all: impl Iterator<Item = &'n str>) -> Error {
    const LIST: &str = "torso location list";
    let error = not_found(Code::LocationNotFound, "location", code.as_str(), LIST, all);
    match builtin_locations::find_by_name(code.as_str()) {
        Some(place) => error.hint(format!(
            "did you mean {} ({})? {LIST} shows what there is",
            place.code, place.description
        )),
        None => error,
    }
}
