//! Hostnames: the names of databases in hostnames and paths, and the map from labels to databases. It is in memory, so
//! that the gateway needs no file.
//!
//! A database's label is `<database>-<organization>`; that of one of its instances has `--<location>` behind it. Two
//! databases can have the same label (`a-b` of `c`, and `a` of `b-c`): the second one is refused.

use super::change_counter::ChangeCounter;
use crate::control::embedded::Placed;
use crate::control::gateway_plane::{Route, label};
use crate::control::names::{DatabaseId, LocationCode, OrganizationSlug};
use crate::engine::Site;
use crate::error::{Code, Error, Result};
use crate::sync::{self, lock};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};

/// The map.
#[derive(Default)]
pub(super) struct Hostnames {
    changes: ChangeCounter,
    routes: RwLock<HashMap<String, Arc<Route>>>,
    /// The labels of each database by its id, and the labels reserved for databases that are being made.
    known: Mutex<HostnameTable>,
}

#[derive(Default)]
struct HostnameTable {
    by_id: HashMap<DatabaseId, (String, Vec<String>)>,
    reserved: HashMap<String, u64>,
    reservations: u64,
}

/// A reservation of labels; dropping it ends it.
pub(super) struct HostnameReservation<'a> {
    hostnames: &'a Hostnames,
    number: u64,
}

impl Drop for HostnameReservation<'_> {
    fn drop(&mut self) {
        self.hostnames
            .known()
            .reserved
            .retain(|_, number| *number != self.number);
    }
}

impl Hostnames {
    /// An empty map, whose changes are counted.
    pub fn new(changes: ChangeCounter) -> Self {
        Self {
            changes,
            ..Self::default()
        }
    }

    fn known(&self) -> MutexGuard<'_, HostnameTable> {
        lock(&self.known)
    }

    pub fn route(&self, label: &str) -> Option<Arc<Route>> {
        let routes = sync::read(&self.routes);
        routes.get(label).cloned()
    }

    /// The route of a database, or of its instance at a location.
    pub fn route_at(&self, id: &DatabaseId, location: Option<&LocationCode>) -> Option<Arc<Route>> {
        let labels = self.known().by_id.get(id)?.1.clone();
        let mut routes = labels.iter().filter_map(|label| self.route(label));
        match location {
            None => routes.find(|route| route.is_default),
            Some(location) => routes.find(|route| !route.is_default && route.location == *location),
        }
    }

    /// The routes of a database's replicas.
    pub fn replicas(&self, id: &DatabaseId) -> Vec<Arc<Route>> {
        let labels = self.known().by_id.get(id).map(|(_, labels)| labels.clone());
        let routes = labels.iter().flatten().filter_map(|label| self.route(label));
        routes.filter(|route| !route.is_primary && !route.is_default).collect()
    }

    /// The label of the database with an id.
    pub fn label_of(&self, id: &str) -> Option<String> {
        let id: DatabaseId = id.parse().ok()?;
        self.known().by_id.get(&id)?.1.first().cloned()
    }

    /// The routes of all instances, in the order of their labels.
    pub fn instances(&self) -> Vec<Arc<Route>> {
        let mut all: Vec<_> = {
            let routes = sync::read(&self.routes);
            routes.values().filter(|route| !route.is_default).cloned().collect()
        };
        all.sort_by(|one, other| one.label.cmp(&other.label));
        all
    }

    /// The pools of an organization's databases.
    pub fn pools(&self, organization_id: &str) -> BTreeSet<String> {
        let routes = sync::read(&self.routes);
        routes
            .values()
            .filter(|route| route.organization_id == organization_id)
            .filter_map(|route| route.site.pool.clone())
            .collect()
    }

    /// Reserves labels until the result is dropped. Fails if another database than `own` has one of them.
    pub fn reserve(&self, wanted: Vec<String>, own: Option<&DatabaseId>) -> Result<HostnameReservation<'_>> {
        let mut known = self.known();
        {
            let routes = sync::read(&self.routes);
            for label in &wanted {
                let foreign = routes.get(label).is_some_and(|route| Some(&route.id) != own);
                if foreign || known.reserved.contains_key(label) {
                    return Err(Error::new(
                        Code::HostnameTaken,
                        format!("another database is reached by the name {label} already"),
                    )
                    .hint("choose another name for the database"));
                }
            }
        }
        known.reservations += 1;
        let number = known.reservations;
        known.reserved.extend(wanted.into_iter().map(|label| (label, number)));
        Ok(HostnameReservation {
            hostnames: self,
            number,
        })
    }

    /// Sets the labels of one database.
    pub fn set(&self, organization: (&str, &OrganizationSlug), placed: &Placed) {
        let new = routes(organization, placed);
        let labels = new.iter().map(|route| route.label.clone()).collect();
        let mut known = self.known();
        let old = known
            .by_id
            .insert(placed.id.clone(), (organization.0.to_owned(), labels));
        let mut routes = sync::write(&self.routes);
        let old = old.map(|(_, labels)| labels).unwrap_or_default();
        let before: Vec<_> = old.iter().filter_map(|label| routes.remove(label)).collect();
        if !before.iter().map(|route| &**route).eq(&new) {
            self.changes.mark_changed();
        }
        routes.extend(new.into_iter().map(|route| (route.label.clone(), Arc::new(route))));
    }

    /// Removes the labels of a database.
    pub fn remove(&self, id: &DatabaseId) {
        let mut known = self.known();
        let old = known.by_id.remove(id);
        if old.is_some() {
            self.changes.mark_changed();
        }
        let mut routes = sync::write(&self.routes);
        for label in old.into_iter().flat_map(|(_, labels)| labels) {
            routes.remove(&label);
        }
    }

    /// Sets the labels of all databases of an organization, and removes all others that it had.
    pub fn set_all(&self, organization: (&str, &OrganizationSlug), all: &[Placed]) {
        let gone: Vec<DatabaseId> = self
            .known()
            .by_id
            .iter()
            .filter(|(id, (of, _))| of == organization.0 && all.iter().all(|placed| placed.id != **id))
            .map(|(id, _)| id.clone())
            .collect();
        for id in &gone {
            self.remove(id);
        }
        for placed in all {
            self.set(organization, placed);
        }
    }
}

/// All routes to a database.
fn routes((organization_id, organization): (&str, &OrganizationSlug), placed: &Placed) -> Vec<Route> {
    let Some((primary_location, primary_site)) = placed.sites.first() else {
        return Vec::new();
    };
    let route = |location: &LocationCode, site: &Site, is_default: bool| Route {
        label: label(&placed.name, organization, (!is_default).then_some(location)),
        organization: organization.clone(),
        organization_id: organization_id.to_owned(),
        database: placed.name.clone(),
        id: placed.id.clone(),
        group: placed.group.clone(),
        group_uuid: placed.group_uuid.clone(),
        is_primary: location == primary_location,
        has_replicas: placed.sites.len() > 1,
        is_default,
        location: location.clone(),
        primary_location: primary_location.clone(),
        block_reads: placed.block_reads,
        block_writes: placed.block_writes,
        instance: site.instance(),
        site: site.clone(),
        primary_site: primary_site.clone(),
    };
    let default = route(primary_location, primary_site, true);
    let instances = placed.sites.iter().map(|(location, site)| route(location, site, false));
    std::iter::once(default).chain(instances).collect()
}
