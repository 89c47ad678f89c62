//! Instances: their state, adding and removing replicas, promotion, and how to connect.

use super::Embedded;
use super::catalog::databases::DatabaseRow;
use super::placement::instance_id;
use super::primary::{check_primary, missing};
use super::promotion;
use super::view::{CatalogView, Change, damage_state, database_not_found, not_removed_yet};
use super::write_barrier::{NoBarrier, WriteBarrier};
use crate::control::InstanceOperations;
use crate::control::compaction::Compaction;
use crate::control::database_url::DatabaseUrl;
use crate::control::names::{DatabaseName, LocationCode};
use crate::control::promotion::ForcedPromotion;
use crate::control::types::{self, Connection, Database, Instance, InstanceState, Seed, Synced, reads_blocked};
use crate::control::verification::{Verification, VerificationRequest};
use crate::engine::{Frame, InstanceRole, Running};
use crate::error::{Code, Error, Result};
use std::time::Instant;

impl InstanceOperations for Embedded {
    fn list_instances(&self, name: &DatabaseName) -> Result<Vec<Instance>> {
        let Some(view) = self.read()? else {
            return Err(database_not_found(name, std::iter::empty()));
        };
        instances(&view, &view.database(name)?)
    }

    fn add_instance(&self, name: &DatabaseName, location: &LocationCode) -> Result<Instance> {
        let change = self.change()?;
        let row = change.database(name)?;
        change.known_location(location)?;
        if row.primary == *location {
            return Err(Error::new(
                Code::PrimaryInstance,
                format!("the primary of {name} is already in {location}"),
            )
            .hint("choose another location: torso location list"));
        }
        check_primary(&change, &row)?;
        if !change.want(&row)?.replicas.contains(location) {
            change.commit(|catalog| {
                catalog.add_database_location(&row.id, location)?;
                catalog.remove_doomed(&row.id, location)?;
                catalog.add_pending(&row.id)
            })?;
            if let Some(error) = change.reach(&row.id)?.take_failure(location) {
                change.commit(|catalog| {
                    catalog.remove_database_location(&row.id, location)?;
                    catalog.add_doomed(&row.id, location)
                })?;
                change.reach(&row.id)?;
                return Err(error);
            }
        }
        let primary = self.engine.running(&change.site(&row.primary, &row))?;
        let here = self.engine.running(&change.site(location, &row))?;
        Ok(describe(&change, &row, location, here.as_ref(), primary.as_ref()))
    }

    fn remove_instance(&self, name: &DatabaseName, location: &LocationCode) -> Result<()> {
        let change = self.change()?;
        let row = change.database(name)?;
        if row.primary == *location {
            return Err(
                Error::new(Code::PrimaryInstance, format!("{location} has the primary of {name}")).hint(format!(
                    "torso db promote {name} LOCATION moves the role first; torso db destroy {name} destroys all of it"
                )),
            );
        }
        wanted_at(&change, &row, location)?;
        if change.catalog.group_locations(&row.group_uuid)?.contains(location) {
            return Err(Error::new(
                Code::Conflict,
                format!("database {name} is in {location} because its group {} is", row.group),
            )
            .hint(format!(
                "torso group locations remove {} {location} removes all of its databases there",
                row.group
            )));
        }
        change.commit(|catalog| {
            catalog.remove_database_location(&row.id, location)?;
            catalog.add_doomed(&row.id, location)
        })?;
        match change.reach(&row.id)?.take_failure(location) {
            None => Ok(()),
            Some(error) => Err(not_removed_yet(name, location, error)),
        }
    }

    fn sync_database(&self, name: &DatabaseName, location: Option<&LocationCode>) -> Result<Vec<Synced>> {
        let change = self.change()?;
        let row = change.database(name)?;
        if let Some(location) = location {
            if row.primary == *location {
                return Err(Error::new(
                    Code::PrimaryInstance,
                    format!("{location} has the primary of {name}, not a replica"),
                )
                .hint(format!("torso db replicas {name} shows its replicas")));
            }
            wanted_at(&change, &row, location)?;
        }
        let began = Instant::now();
        let mut report = match location {
            Some(location) => change.reach_at(&row.id, location)?,
            None => change.reach(&row.id)?,
        };
        let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let failure = match location {
            Some(location) => report
                .take_failure(location)
                .or_else(|| report.take_at(&row.primary))
                .or_else(|| report.take_away(location)),
            None => report.take_any(),
        };
        if let Some(error) = failure {
            return Err(error);
        }
        if let Some((at, path)) = report.kept_aside.first() {
            return Err(Error::new(
                Code::Diverged,
                format!("a program other than torso had changed the replica of {name} in {at}; it is up to date again"),
            )
            .hint(format!(
                "the changed file is now {}: look at it with torso db shell, then delete it",
                path.display()
            )));
        }
        if self.engine.running(&change.site(&row.primary, &row))?.is_none() {
            return Err(missing(&change, &row));
        }
        let mut all = Vec::new();
        for at in change.want(&row)?.replicas {
            if location.is_none_or(|location| *location == at) {
                let changed = report.copied.contains(&at);
                let duration_ms = if changed { duration_ms } else { 0 };
                all.push(Synced {
                    database: name.clone(),
                    location: at,
                    changed,
                    duration_ms,
                });
            }
        }
        Ok(all)
    }

    fn promote_instance(&self, name: &DatabaseName, location: &LocationCode) -> Result<Database> {
        self.promote_instance_behind(name, location, &NoBarrier)
    }

    fn force_promotion(&self, name: &DatabaseName, request: &ForcedPromotion) -> Result<Database> {
        self.force_promotion_behind(name, request, &NoBarrier)
    }

    fn compact_database(&self, name: &DatabaseName, dry_run: bool) -> Result<Compaction> {
        self.compact_behind(name, dry_run, &NoBarrier)
    }

    fn restore_backup(&self, name: &DatabaseName, _backup: &str, content: Option<&Seed>) -> Result<Database> {
        self.restore_from(name, content)
    }

    fn verify_database(&self, name: &DatabaseName, request: VerificationRequest) -> Result<Verification> {
        self.verify_behind(name, request, &NoBarrier)
    }

    fn connection(&self, name: &DatabaseName, location: Option<&LocationCode>) -> Result<Connection> {
        let Some(view) = self.read()? else {
            return Err(database_not_found(name, std::iter::empty()));
        };
        let row = view.database(name)?;
        let named = location;
        let location = location.unwrap_or(&row.primary);
        wanted_at(&view, &row, location)?;
        if row.block_reads {
            return Err(reads_blocked(name));
        }
        let is_primary = row.primary == *location;
        if is_primary {
            check_primary(&view, &row)?;
        }
        let usable = usable(&view, &row, location)?;
        if !usable {
            // Another process is working on the instance, or died while it did; taking the lock waits for it, or finishes
            // its work. A replica that is only behind can be read all the same, so a failure is ignored for it.
            let attempt = self.change().and_then(|change| change.reach(&row.id));
            match (attempt, self.engine.running(&view.site(location, &row))?) {
                (_, None) if is_primary => return Err(missing(&view, &row)),
                (Err(error), None) => return Err(error),
                (Ok(mut report), None) => {
                    return Err(report.take_at(location).unwrap_or_else(|| missing(&view, &row)));
                }
                (Err(error), Some(Running { role, .. })) if is_primary && role != InstanceRole::Primary => {
                    return Err(error);
                }
                (Ok(mut report), Some(Running { role, .. })) if is_primary && role != InstanceRole::Primary => {
                    return Err(report.take_at(location).unwrap_or_else(|| {
                        Error::new(Code::DatabaseBusy, format!("a promotion of {name} is not complete"))
                            .hint("close the applications that have it open, then try again")
                    }));
                }
                (_, Some(_)) => {}
            }
        }
        let read_only_reason = if !is_primary {
            Some(format!(
                "this is the replica in {location}; the primary is in {}: torso db shell {name}",
                row.primary
            ))
        } else if row.block_writes {
            Some(format!(
                "writes to {name} are blocked; torso db config set {name} block-writes off lifts it"
            ))
        } else {
            None
        };
        let site = view.site(location, &row);
        // Who names no location is led to the primary, also after it has moved.
        let url = match named {
            None => self.engine.stable_url(&site),
            Some(_) => self.engine.url(&site),
        };
        Ok(Connection {
            database: row.name.clone(),
            location: location.clone(),
            role: if is_primary {
                types::Role::Primary
            } else {
                types::Role::Replica
            },
            url: DatabaseUrl::of_engine(url),
            token: None,
            renewal: None,
            read_only: read_only_reason.is_some(),
            read_only_reason,
            delete_protection: row.delete_protection,
            size_limit: (row.size_limit > 0).then_some(row.size_limit.unsigned_abs()),
        })
    }
}

impl Embedded {
    /// Promotes a replica while `barrier` holds back what clients write.
    pub fn promote_instance_behind(
        &self,
        name: &DatabaseName,
        location: &LocationCode,
        barrier: &dyn WriteBarrier,
    ) -> Result<Database> {
        let change = self.change()?;
        let row = change.database(name)?;
        wanted_at(&change, &row, location)?;
        change.primary_location(location)?;
        if !self.engine.has_processes() {
            return promote_locked(&change, &row, location);
        }
        let promotion = promotion::promote(&change, std::slice::from_ref(&row), location, barrier, |_| Ok(()))?;
        let row = change.database(name)?;
        Ok(Database {
            promotion,
            ..change.to_database(row)?
        })
    }
}

/// Describes all instances of a database, the primary's first.
pub fn instances(view: &CatalogView<'_>, row: &DatabaseRow) -> Result<Vec<Instance>> {
    let mut primary = view.plane.engine.running(&view.site(&row.primary, row)).ok().flatten();
    if let Some(running) = &mut primary {
        let damage = view.plane.engine.examine(&view.site(&row.primary, row));
        running.damage = damage.ok().flatten();
    }
    let mut all = vec![describe(view, row, &row.primary, primary.as_ref(), primary.as_ref())];
    for location in view.want(row)?.replicas {
        let here = view.plane.engine.running(&view.site(&location, row)).ok().flatten();
        all.push(describe(view, row, &location, here.as_ref(), primary.as_ref()));
    }
    if let Some((primary, replicas)) = all.split_first_mut() {
        // What the replica that has the most lacks.
        primary.at_risk_frames = replicas.iter().filter_map(|replica| replica.lag_frames).min();
    }
    Ok(all)
}

/// Describes one instance: its wanted role, its observed state.
fn describe(
    view: &CatalogView<'_>,
    row: &DatabaseRow,
    location: &LocationCode,
    here: Option<&Running>,
    primary: Option<&Running>,
) -> Instance {
    let is_primary = row.primary == *location;
    let damage = here.and_then(|running| running.damage.as_ref());
    // There is nothing to be behind of.
    let primary = primary.filter(|running| running.damage.is_none());
    let (state, synced_at, lag_ms) = match here.map(|running| &running.role) {
        // What was not heard of from another machine may be there all the same.
        None if view.plane.engine.local_files(&view.site(location, row)).is_err() => (InstanceState::Down, None, None),
        None => (InstanceState::Missing, None, None),
        Some(_) if damage.is_some() => (damage.map_or(InstanceState::Damaged, damage_state), None, None),
        Some(InstanceRole::Primary) if is_primary => (InstanceState::Ready, None, None),
        Some(InstanceRole::Replica {
            of,
            position,
            synced_at,
            altered,
        }) if !is_primary => match primary {
            _ if *altered => (InstanceState::Diverged, Some(*synced_at), None),
            Some(primary) if of == row.primary.as_str() && primary.position == *position => {
                (InstanceState::Ready, Some(*synced_at), Some(0))
            }
            Some(primary) => {
                // A position is taken before the copy, so also an uncertain one says what the copy has at least.
                let level_ago = here.and_then(|here| here.process.as_ref()?.level_ago);
                let lag = position.behind_ms(&primary.position, level_ago);
                let lag = lag.filter(|_| of == row.primary.as_str());
                let own = here.and_then(Running::frame);
                (lacking_state(own, primary.frame()), Some(*synced_at), lag)
            }
            None => (InstanceState::Behind, Some(*synced_at), None),
        },
        // A promotion was interrupted, or the file is not what it should be.
        Some(_) => (InstanceState::Behind, None, None),
    };
    let process = here.and_then(|running| running.process.as_ref());
    let state = match here {
        Some(running) if damage.is_none() && !running.serving && view.plane.engine.has_processes() => {
            InstanceState::Down
        }
        Some(_) if damage.is_none() && process.is_some_and(|process| process.is_silent) => InstanceState::Hung,
        Some(_) if process.is_some_and(|process| process.has_diverged) => InstanceState::Diverged,
        _ => state,
    };
    let has = here.and_then(Running::frame);
    let lag_frames = here
        .zip(primary.filter(|_| !is_primary))
        .and_then(|(here, primary)| here.lacking_frames(primary));
    Instance {
        uuid: instance_id(&row.id, location),
        name: location.as_str().to_owned(),
        role: if is_primary {
            types::Role::Primary
        } else {
            types::Role::Replica
        },
        location: location.clone(),
        hostname: String::new(),
        url: DatabaseUrl::of_engine(view.plane.engine.url(&view.site(location, row))),
        state,
        size_bytes: here.map(|running| running.size),
        synced_at,
        lag_ms,
        lag_frames,
        position: has.map(|frame| frame.count),
        visible_after_ms: process
            .and_then(|process| process.delay)
            .map(|delay| u64::try_from(delay.as_micros().div_ceil(1000)).unwrap_or(u64::MAX)),
        connections: None,
        at_risk_frames: None,
        restarts: process.map(|process| process.failures),
        last_error: process.and_then(|process| process.failure.clone()),
    }
}

/// The state of a replica that is not where its primary is, by their positions.
fn lacking_state(own: Option<Frame>, primary: Option<Frame>) -> InstanceState {
    match own.zip(primary) {
        // Nothing of one log is of use in another.
        Some((own, primary)) if own.log != primary.log => InstanceState::CatchingUp,
        _ => InstanceState::Behind,
    }
}

/// Refuses if no instance of the database is wanted at a location.
pub fn wanted_at(view: &CatalogView<'_>, row: &DatabaseRow, location: &LocationCode) -> Result<()> {
    view.known_location(location)?;
    if row.primary == *location || view.want(row)?.replicas.contains(location) {
        return Ok(());
    }
    Err(Error::new(
        Code::InstanceNotFound,
        format!("database {} has no instance in {location}", row.name),
    )
    .hint(format!("torso db replicate {} {location} makes one", row.name)))
}

/// Swaps roles: the old primary is locked against everybody else, the replica is brought up to date, the catalog is
/// changed, and only then do the files change roles. If this is interrupted after the commit, the next command
/// completes it; before the commit, nothing has happened.
pub fn promote_locked(change: &Change<'_>, row: &DatabaseRow, location: &LocationCode) -> Result<Database> {
    if row.primary == *location {
        return change.to_database(row.clone());
    }
    let engine = &change.plane.engine;
    let from = change.site(&row.primary, row);
    check_primary(change, row)?;
    match engine.running(&from)? {
        Some(Running {
            role: InstanceRole::Primary,
            ..
        }) => {}
        Some(_) => {
            return Err(Error::new(
                Code::DatabaseBusy,
                format!("an earlier promotion of {} is not complete", row.name),
            )
            .hint("close the applications that have it open, then try again"));
        }
        None => return Err(missing(change, row)),
    }
    engine.hold(&from)?;
    let promoted = || {
        // The last sync, while nobody can write: what can fail, fails before the commit.
        if let Some(error) = change.reach_at(&row.id, location)?.take_failure(location) {
            return Err(error);
        }
        let mut row = row.clone();
        let former = std::mem::replace(&mut row.primary, location.clone());
        let of_group = change.catalog.group_locations(&row.group_uuid)?;
        change.commit(|catalog| {
            catalog.update_database(&row)?;
            catalog.remove_database_location(&row.id, location)?;
            if !of_group.contains(&former) {
                catalog.add_database_location(&row.id, &former)?;
            }
            catalog.add_pending(&row.id)
        })?;
        let mut report = change.reach(&row.id)?;
        match report.take_failure(location) {
            Some(error) => Err(error),
            None => change.to_database(row),
        }
    };
    let result = promoted();
    engine.release(&from);
    result
}

/// Whether an instance is in its wanted role, and a replica is up to date.
fn usable(view: &CatalogView<'_>, row: &DatabaseRow, location: &LocationCode) -> Result<bool> {
    let running = |location| view.plane.engine.running(&view.site(location, row));
    Ok(match running(location)? {
        None => false,
        Some(here) if row.primary == *location => here.role == InstanceRole::Primary,
        Some(here) => match here.role {
            InstanceRole::Replica {
                of,
                position,
                altered: false,
                ..
            } if of == row.primary.as_str() => {
                // If the primary's location is away, nothing can be fetched from it.
                running(&row.primary)
                    .ok()
                    .flatten()
                    .is_none_or(|primary| primary.position == position)
            }
            _ => false,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replica_of_another_log_is_catching_up() {
        let frame = |log, count| Some(Frame { log, count });
        for (own, primary, state) in [
            (frame(1, 4), frame(1, 5), InstanceState::Behind),
            (frame(1, 9), frame(2, 5), InstanceState::CatchingUp),
            // It has nothing yet.
            (frame(0, 0), frame(2, 5), InstanceState::CatchingUp),
            (None, frame(2, 5), InstanceState::Behind),
            (frame(1, 4), None, InstanceState::Behind),
        ] {
            assert_eq!(lacking_state(own, primary), state, "{own:?} {primary:?}");
        }
    }
}
