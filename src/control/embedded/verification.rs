//! Comparing the replicas of a database with its primary, and copying again what differs.

use super::Embedded;
use super::catalog::databases::DatabaseRow;
use super::placement::placed;
use super::primary::check_primary;
use super::view::Change;
use super::write_barrier::{HeldWrites, WriteBarrier};
use crate::control::names::{DatabaseName, LocationCode};
use crate::control::types::Role;
use crate::control::verification::{TableDifference, Verification, VerifiedInstance};
use crate::engine::{ContentComparison, ContentDifference, OpenContent};
use crate::error::{Error, Result};

impl Embedded {
    /// Compares all instances of a database at one position. `barrier` holds back what clients write until all are open; the
    /// comparison itself delays nobody. With `repair`, replicas that differ are copied again.
    pub fn verify_behind(&self, name: &DatabaseName, repair: bool, barrier: &dyn WriteBarrier) -> Result<Verification> {
        let (locations, first) = self.compare_instances(name, barrier)?;
        // What was in flight between a log and a file is no difference.
        let (locations, report) = match first.replicas.iter().any(Option::is_some) {
            true => self.compare_instances(name, barrier)?,
            false => (locations, first),
        };
        let mut verified = describe(name, &locations, &report);
        self.note_verified(&verified)?;
        let differing: Vec<LocationCode> = verified.differing().map(|instance| instance.location.clone()).collect();
        if !repair || differing.is_empty() {
            return Ok(verified);
        }
        {
            let change = self.change()?;
            let row = change.database(name)?;
            for location in &differing {
                self.engine
                    .copy_again(&change.site(&row.primary, &row), &change.site(location, &row))?;
            }
        }
        let (locations, report) = self.compare_instances(name, barrier)?;
        let after = describe(name, &locations, &report);
        for instance in &mut verified.instances {
            let now = after.instances.iter().find(|now| now.location == instance.location);
            instance.repaired = !instance.is_equal && now.is_some_and(|now| now.is_equal);
        }
        self.note_verified(&verified)?;
        Ok(verified)
    }

    /// Has the engine remember which replicas are not what their primary is.
    fn note_verified(&self, verified: &Verification) -> Result<()> {
        let Some(view) = self.read()? else { return Ok(()) };
        let row = view.database(&verified.database)?;
        for instance in verified
            .instances
            .iter()
            .filter(|instance| instance.role == Role::Replica)
        {
            let site = view.site(&instance.location, &row);
            self.engine.note_compared(&site, instance.is_equal || instance.repaired);
        }
        Ok(())
    }

    /// Compares once. Returns the locations, the primary's first, and what was found.
    fn compare_instances(
        &self,
        name: &DatabaseName,
        barrier: &dyn WriteBarrier,
    ) -> Result<(Vec<LocationCode>, ContentComparison)> {
        let (locations, open) = {
            let change = self.change()?;
            let row = change.database(name)?;
            open_instances(&change, &row, barrier)?
        };
        Ok((locations, open()?))
    }
}

fn open_instances(
    change: &Change<'_>,
    row: &DatabaseRow,
    barrier: &dyn WriteBarrier,
) -> Result<(Vec<LocationCode>, OpenContent)> {
    check_primary(change, row)?;
    if let Some((location, error)) = change.reach(&row.id)?.failures.into_iter().next() {
        return Err(Error::new(
            error.code(),
            format!("the replica of {} in {location} cannot be compared", row.name),
        )
        .caused_by(error)
        .hint("torso doctor has details"));
    }
    // What is on another machine cannot be read together with what is on this one.
    let is_here = |location: &LocationCode| change.plane.engine.local_files(&change.site(location, row)).is_ok();
    let replicas: Vec<LocationCode> = change.want(row)?.replicas.into_iter().filter(is_here).collect();
    let sites: Vec<_> = replicas.iter().map(|location| change.site(location, row)).collect();
    let ids = [row.id.clone()];
    let mut held = HeldWrites::hold(barrier, &ids);
    let primary = change.site(&row.primary, row);
    let files = change.plane.engine.local_files(&primary);
    let open = files.and_then(|files| files.open_content(&primary, &sites));
    held.now.extend(placed(change, row.clone()));
    drop(held);
    let locations = std::iter::once(row.primary.clone()).chain(replicas).collect();
    Ok((locations, open?))
}

fn describe(name: &DatabaseName, locations: &[LocationCode], report: &ContentComparison) -> Verification {
    let differences = std::iter::once(&None).chain(&report.replicas);
    let instances = locations.iter().zip(differences).enumerate();
    Verification {
        database: name.clone(),
        tables: report.tables,
        rows: report.rows,
        hash: report.hash.clone(),
        instances: instances
            .map(|(n, (location, difference))| VerifiedInstance {
                location: location.clone(),
                role: if n == 0 { Role::Primary } else { Role::Replica },
                is_equal: difference.is_none(),
                difference: difference.clone().map(table_difference),
                repaired: false,
            })
            .collect(),
    }
}

fn table_difference(difference: ContentDifference) -> TableDifference {
    let (first_key, last_key) = difference.keys.unzip();
    TableDifference {
        table: difference.table,
        first_key,
        last_key,
    }
}
