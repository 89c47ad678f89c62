//! Comparing the replicas of a database with its primary, and copying again what differs.

use super::Embedded;
use super::catalog::databases::DatabaseRow;
use super::placement::placed;
use super::primary::check_primary;
use super::view::Change;
use super::write_barrier::{HeldWrites, WriteBarrier};
use crate::control::names::{DatabaseName, LocationCode};
use crate::control::types::Role;
use crate::control::verification::{TableDifference, Verification, VerificationRequest, VerifiedInstance};
use crate::engine::{ComparisonDepth, ContentComparison, ContentDifference, OpenContent};
use crate::error::{Error, Result};

impl Embedded {
    /// Compares all instances of a database at one position. `barrier` holds back what clients write until all are open; the
    /// comparison itself delays nobody.
    pub fn verify_behind(
        &self,
        name: &DatabaseName,
        request: VerificationRequest,
        barrier: &dyn WriteBarrier,
    ) -> Result<Verification> {
        let depth = if request.deep {
            ComparisonDepth::Structure
        } else {
            ComparisonDepth::Rows
        };
        let first = self.compare_instances(name, depth, barrier)?;
        // What was in flight between a log and a file is no difference.
        let differs = first.differing().next().is_some();
        let mut verified = if differs {
            self.compare_instances(name, depth, barrier)?
        } else {
            first
        };
        self.note_verified(&verified)?;
        let differing: Vec<LocationCode> = verified.differing().map(|instance| instance.location.clone()).collect();
        // From a damaged primary nothing is copied.
        if !request.repair || differing.is_empty() || verified.damaged_primary().is_some() {
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
        let after = self.compare_instances(name, depth, barrier)?;
        for instance in &mut verified.instances {
            let now = after.instances.iter().find(|now| now.location == instance.location);
            instance.repaired = !instance.is_equal && now.is_some_and(|now| now.is_equal);
        }
        self.note_verified(&verified)?;
        Ok(verified)
    }

    /// Has the engine remember which replicas are not what their primary is.
    fn note_verified(&self, verified: &Verification) -> Result<()> {
        if verified.damaged_primary().is_some() {
            return Ok(());
        }
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

    /// Compares once.
    fn compare_instances(
        &self,
        name: &DatabaseName,
        depth: ComparisonDepth,
        barrier: &dyn WriteBarrier,
    ) -> Result<Verification> {
        let (opened, open) = {
            let change = self.change()?;
            let row = change.database(name)?;
            open_instances(&change, &row, barrier)?
        };
        Ok(describe(name, opened, &open(depth)?))
    }
}

/// The instances that are compared, and those that are not.
struct OpenedInstances {
    /// The primary's location first.
    locations: Vec<LocationCode>,
    /// On other machines.
    elsewhere: Vec<LocationCode>,
}

fn open_instances(
    change: &Change<'_>,
    row: &DatabaseRow,
    barrier: &dyn WriteBarrier,
) -> Result<(OpenedInstances, OpenContent)> {
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
    let (replicas, elsewhere): (Vec<LocationCode>, _) = change.want(row)?.replicas.into_iter().partition(is_here);
    let sites: Vec<_> = replicas.iter().map(|location| change.site(location, row)).collect();
    let ids = [row.id.clone()];
    let mut held = HeldWrites::hold(barrier, &ids);
    let primary = change.site(&row.primary, row);
    let files = change.plane.engine.local_files(&primary);
    let open = files.and_then(|files| files.open_content(&primary, &sites));
    held.now.extend(placed(change, row.clone()));
    drop(held);
    let locations = std::iter::once(row.primary.clone()).chain(replicas).collect();
    Ok((OpenedInstances { locations, elsewhere }, open?))
}

fn describe(name: &DatabaseName, opened: OpenedInstances, report: &ContentComparison) -> Verification {
    let differences = std::iter::once(&None).chain(&report.replicas);
    let instances = opened.locations.into_iter().zip(differences).enumerate();
    Verification {
        database: name.clone(),
        tables: report.tables,
        rows: report.rows,
        hash: report.hash.clone(),
        instances: instances
            .map(|(n, (location, difference))| {
                let damage = report.damage.get(n).cloned().flatten();
                VerifiedInstance {
                    location,
                    role: if n == 0 { Role::Primary } else { Role::Replica },
                    is_equal: difference.is_none() && damage.is_none(),
                    difference: difference.clone().map(table_difference),
                    damage,
                    repaired: false,
                }
            })
            .collect(),
        not_compared: opened.elsewhere,
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
