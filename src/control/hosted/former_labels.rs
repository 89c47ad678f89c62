//! Addresses that databases had. After a rename the former address leads to the database for a week, so that applications have
//! time to change over; after a move to another organization, where the tokens are others, it says where the database is. A
//! database that is made at such an address takes it over at once.

use super::Shared;
use super::store::FormerLabelRow;
use crate::control::embedded::Placed;
use crate::control::gateway_plane::Route;
use crate::control::names::{DatabaseId, LocationCode, OrganizationSlug};
use crate::error::{Code, Error, Result};
use crate::sync;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, RwLock};

/// How long a former address counts.
const KEPT: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The former labels, in memory.
#[derive(Default)]
pub(super) struct FormerLabels(RwLock<HashMap<String, FormerLabelRow>>);

impl FormerLabels {
    pub fn new(rows: Vec<FormerLabelRow>) -> Self {
        Self(RwLock::new(
            rows.into_iter().map(|row| (row.label.clone(), row)).collect(),
        ))
    }

    fn get(&self, label: &str) -> Option<FormerLabelRow> {
        let rows = sync::read(&self.0);
        rows.get(label).filter(|row| row.until > Timestamp::now()).cloned()
    }

    /// The former labels of instances at a location, and their databases. Those of databases that were moved lead nowhere.
    pub fn at(&self, location: &LocationCode) -> BTreeMap<String, DatabaseId> {
        let (rows, now) = (sync::read(&self.0), Timestamp::now());
        rows.values()
            .filter(|row| row.until > now && row.moved_from.is_none() && row.location.as_ref() == Some(location))
            .map(|row| (row.label.clone(), row.database_id.clone()))
            .collect()
    }
}

impl Shared {
    /// Where a label leads: to the database that has it, else to the one that had it before it was renamed.
    pub(super) fn route(&self, label: &str) -> Option<Arc<Route>> {
        if let Some(route) = self.hostnames.route(label) {
            return Some(route);
        }
        let former = self
            .former_labels
            .get(label)
            .filter(|former| former.moved_from.is_none())?;
        self.hostnames.route_at(&former.database_id, former.location.as_ref())
    }

    /// The public URL of a database that had a label before it moved to another organization, for the bearer of a token of
    /// the organization that it was in.
    pub(super) fn moved_to(&self, label: &str, token: &str) -> Option<String> {
        let former = self.former_labels.get(label)?;
        let organization = self.token_authority.verifier.organization_of(token)?;
        if former.moved_from.as_deref() != Some(organization.as_str()) {
            return None;
        }
        let route = self.hostnames.route_at(&former.database_id, former.location.as_ref());
        let route = route.or_else(|| self.hostnames.route_at(&former.database_id, None))?;
        Some(self.public.url(&route.label))
    }

    /// Keeps the labels that a database had in an organization. `moved_from` is the organization's id if it was moved, and
    /// `id` its id now.
    pub(super) fn keep_labels(
        &self,
        placed: &Placed,
        organization: &OrganizationSlug,
        id: &DatabaseId,
        moved_from: Option<&str>,
    ) -> Result<()> {
        let now = Timestamp::now();
        let until = now
            .checked_add(KEPT)
            .map_err(|error| Error::new(Code::Internal, "cannot read the clock").caused_by(error))?;
        let locations = placed.sites.iter().map(|(location, _)| Some(location));
        let rows: Vec<FormerLabelRow> = std::iter::once(None)
            .chain(locations)
            .map(|location: Option<&LocationCode>| FormerLabelRow {
                label: crate::control::gateway_plane::label(&placed.name, organization, location),
                database_id: id.clone(),
                location: location.cloned(),
                moved_from: moved_from.map(str::to_owned),
                until,
            })
            .collect();
        {
            let records = self.records();
            records.write(|| rows.iter().try_for_each(|row| records.insert_former_label(row, now)))?;
        }
        let mut all = sync::write(&self.former_labels.0);
        all.retain(|_, row| row.until > now);
        all.extend(rows.into_iter().map(|row| (row.label.clone(), row)));
        drop(all);
        self.nodes.access.changes.mark_changed();
        Ok(())
    }
}
