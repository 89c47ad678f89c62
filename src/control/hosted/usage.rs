//! Usage of databases. Processes have counters, which begin again with the process; they are read now and then, and the
//! differences are added up by day, so that totals never decrease. Spans of time are whole days (UTC).

use super::organization::OrganizationPlane;
use super::permission::PermissionTarget;
use super::store::Reading;
use super::{Engines, Shared};
use crate::control::accounts::{OrganizationTotals, OrganizationUsage};
use crate::control::embedded::Placed;
use crate::control::gateway_plane::Route;
use crate::control::names::DatabaseName;
use crate::control::tokens::{DatabaseUsage, InstanceUsage, QueryUsage, Span, Usage};
use crate::control::{DatabaseOperations as _, GroupOperations as _, InstanceOperations as _, UsageOperations};
use crate::error::Result;
use crate::sync::lock;
use jiff::Timestamp;
use jiff::tz::Offset;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

/// What the gateway has counted since that was last stored.
#[derive(Default)]
pub(super) struct Traffic {
    /// By label.
    used: Mutex<HashMap<String, (Arc<Route>, u64)>>,
    /// Held from reading a counter until it is stored: an older value stored after a newer one would look like a
    /// counter that began anew.
    reading: Mutex<()>,
}

impl UsageOperations for OrganizationPlane<'_> {
    fn database_usage(&self, name: &DatabaseName, span: Span) -> Result<DatabaseUsage> {
        self.read_database(name, |plane| {
            let placed = plane.placement(name)?;
            self.shared.write_usage()?;
            self.shared.read_counters(&placed)?;
            let instances = plane.list_instances(name)?;
            let (from, to) = days(span);
            let used = self.shared.records().usage(placed.id.as_str(), &from, &to)?;
            let mut total = Usage::default();
            let mut all = Vec::new();
            for instance in &instances {
                let mut usage = used.get(instance.location.as_str()).copied().unwrap_or_default();
                usage.storage_bytes = instance.size_bytes.unwrap_or(0);
                all.push(InstanceUsage {
                    uuid: instance.uuid.clone(),
                    usage,
                });
            }
            // Also of instances that do not exist any more.
            for usage in used.values() {
                total += *usage;
            }
            // Storage is that of the primary: replicas are only copies.
            total.storage_bytes = instances.first().and_then(|primary| primary.size_bytes).unwrap_or(0);
            Ok(DatabaseUsage {
                uuid: placed.id.as_str().to_owned(),
                instances: all,
                usage: total,
                total,
            })
        })
    }

    fn top_queries(&self, name: &DatabaseName) -> Result<Vec<QueryUsage>> {
        self.read_database(name, |plane| {
            let placed = plane.placement(name)?;
            let engine = self.shared.sqld()?;
            let mut all: Vec<QueryUsage> = Vec::new();
            let here = placed
                .sites
                .iter()
                .filter(|(location, _)| !self.shared.nodes.has(location));
            for (_, site) in here {
                for query in engine.usage(site)?.top_queries {
                    match all.iter_mut().find(|known| known.query == query.query) {
                        Some(known) => {
                            known.rows_read += query.rows_read;
                            known.rows_written += query.rows_written;
                        }
                        None => all.push(QueryUsage {
                            query: query.query,
                            rows_read: query.rows_read,
                            rows_written: query.rows_written,
                        }),
                    }
                }
            }
            all.sort_by_key(|query| std::cmp::Reverse(query.rows_read + query.rows_written));
            Ok(all)
        })
    }
}

impl Traffic {
    pub fn add(&self, route: &Arc<Route>, bytes_synced: u64) {
        let mut all = lock(&self.used);
        match all.get_mut(&route.label) {
            Some((_, bytes)) => *bytes += bytes_synced,
            None => {
                all.insert(route.label.clone(), (Arc::clone(route), bytes_synced));
            }
        }
    }

    /// The organizations whose databases were used since that was last stored.
    pub fn organizations(&self) -> HashSet<String> {
        let used = lock(&self.used);
        used.values().map(|(route, _)| route.organization_id.clone()).collect()
    }

    fn take(&self) -> Vec<(Arc<Route>, u64)> {
        lock(&self.used).drain().map(|(_, used)| used).collect()
    }
}

fn day(time: Timestamp) -> String {
    Offset::UTC.to_datetime(time).date().to_string()
}

/// The first and the last day of a span.
fn days(span: Span) -> (String, String) {
    let now = Timestamp::now();
    let from = span
        .from
        .map_or_else(|| Offset::UTC.to_datetime(now).date().first_of_month().to_string(), day);
    (from, day(span.to.unwrap_or(now)))
}

impl Shared {
    /// Reads a database's counters and stores the differences. A process that does not answer is read the next time.
    fn read_counters(&self, placed: &Placed) -> Result<()> {
        let Engines::Sqld(engine) = &self.engine else {
            return Ok(());
        };
        for (location, site) in &placed.sites {
            let _reading = lock(&self.traffic.reading);
            let Ok(counted) = engine.usage(site) else { continue };
            let reading = Reading {
                rows_read: counted.rows_read,
                rows_written: counted.rows_written,
                bytes_synced: 0,
            };
            self.add(placed.id.as_str(), location.as_str(), reading)?;
        }
        Ok(())
    }

    fn add(&self, id: &str, location: &str, reading: Reading) -> Result<()> {
        let today = day(Timestamp::now());
        let records = self.records();
        records.write_lazily(|| records.add_reading(id, location, &today, reading))
    }

    /// Stores the usage since the last time, of databases that were used. What cannot be stored is kept for the next time.
    pub(super) fn write_usage(&self) -> Result<()> {
        let mut result = Ok(());
        for (route, bytes_synced) in self.traffic.take() {
            let written = match result {
                Ok(()) => self.write_use(&route, bytes_synced),
                failed => failed,
            };
            if written.is_err() {
                self.traffic.add(&route, bytes_synced);
            }
            result = written;
        }
        result
    }

    fn write_use(&self, route: &Route, bytes_synced: u64) -> Result<()> {
        let _reading = lock(&self.traffic.reading);
        let reading = match &self.engine {
            Engines::Sqld(engine) => engine.usage(&route.site).ok(),
            Engines::Files => None,
        };
        let records = self.records();
        let today = day(Timestamp::now());
        records.write_lazily(|| {
            let (id, location) = (route.id.as_str(), route.location.as_str());
            match reading {
                Some(counted) => records.add_reading(
                    id,
                    location,
                    &today,
                    Reading {
                        rows_read: counted.rows_read,
                        rows_written: counted.rows_written,
                        bytes_synced,
                    },
                ),
                None => records.add_bytes(id, location, &today, bytes_synced),
            }
        })
    }
}

impl OrganizationPlane<'_> {
    pub(super) fn organization_usage(&self) -> Result<OrganizationUsage> {
        self.read(PermissionTarget::Organization, |plane| {
            self.shared.write_usage()?;
            let (from, to) = days(Span::default());
            let mut totals = OrganizationTotals {
                groups: u64::try_from(plane.list_groups()?.len()).unwrap_or(u64::MAX),
                locations: u64::try_from(super::organization::locations_in_use(plane)?.len()).unwrap_or(u64::MAX),
                ..OrganizationTotals::default()
            };
            let mut databases = Vec::new();
            for database in plane.list_databases(&crate::control::types::DatabaseFilter::default())? {
                let mut usage = Usage::default();
                for of_instance in self.shared.records().usage(database.id.as_str(), &from, &to)?.values() {
                    usage += *of_instance;
                }
                usage.storage_bytes = database.size_bytes.unwrap_or(0);
                totals.databases += 1;
                totals.used += usage;
                databases.push(DatabaseUsage {
                    uuid: database.id.as_str().to_owned(),
                    instances: Vec::new(),
                    usage,
                    total: usage,
                });
            }
            Ok(OrganizationUsage {
                uuid: self.organization.id.clone(),
                usage: totals,
                databases,
            })
        })
    }
}
