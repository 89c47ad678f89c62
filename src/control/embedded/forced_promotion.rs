//! Promotion without the primary, which is dead or lost. The replica that has the most of the primary's log becomes the primary;
//! the rest is as in `promotion`, but that the former primary's files are kept. Whatever of it comes back has an older epoch.

use super::Embedded;
use super::catalog::databases::DatabaseRow;
use super::instances::wanted_at;
use super::promotion;
use super::view::{CatalogView, Change};
use super::write_barrier::{HeldWrites, WriteBarrier};
use crate::control::names::{DatabaseName, LocationCode};
use crate::control::promotion::{ForcedPromotion, PromotionLoss, PromotionReport};
use crate::control::types::Database;
use crate::engine::{Frame, SeenLog};
use crate::error::{Code, Error, Result};
use std::collections::BTreeSet;
use std::time::Instant;

/// The replica that is to be promoted, and what is lost with that.
struct Choice {
    location: LocationCode,
    loss: PromotionLoss,
}

impl Embedded {
    /// Promotes a replica without the primary, while `barrier` holds back what clients write.
    pub fn force_promotion_behind(
        &self,
        name: &DatabaseName,
        request: &ForcedPromotion,
        barrier: &dyn WriteBarrier,
    ) -> Result<Database> {
        let began = Instant::now();
        if !self.engine.has_processes() {
            return Err(Error::new(
                Code::Unsupported,
                "a file cannot be promoted without its primary",
            )
            .hint(format!(
                "take what a replica has: torso db export {name} --location LOCATION, torso db destroy {name}, torso db create \
                 {name} --from-file {name}.db"
            )));
        }
        let change = self.change()?;
        let row = change.database(name)?;
        if !request.dry_run {
            promotion::complete_without_primary(&change, &row)?;
        }
        let choice = choose(&change, &row, request)?;
        let mut report = PromotionReport {
            from: row.primary.clone(),
            to: choice.location.clone(),
            outage_ms: 0,
            pending: Vec::new(),
            loss: Some(choice.loss),
        };
        if !request.dry_run {
            force(&change, &row, &choice.location, barrier, &mut report, began)?;
        }
        Ok(Database {
            promotion: Some(report),
            ..change.to_database(change.database(name)?)?
        })
    }
}

/// Chooses the replica, or checks the one that was named.
fn choose(view: &CatalogView<'_>, row: &DatabaseRow, request: &ForcedPromotion) -> Result<Choice> {
    let (name, named) = (&row.name, request.location.as_ref());
    if let Some(location) = named {
        wanted_at(view, row, location)?;
        view.primary_location(location)?;
        if row.primary == *location {
            return Err(Error::new(
                Code::PrimaryInstance,
                format!("the primary of {name} is in {location} already"),
            )
            .hint(format!("torso db replicas {name} shows its replicas")));
        }
    }
    check_lost(view, row, request)?;
    let engine = &view.plane.engine;
    let mut candidates: Vec<(LocationCode, Frame)> = Vec::new();
    let mut seen: Option<SeenLog> = None;
    for location in view.want(row)?.replicas {
        let at = view.site(&location, row);
        candidates.extend(engine.log_end(&at).map(|end| (location.clone(), end)));
        seen = [seen, engine.last_seen_primary(&at)]
            .into_iter()
            .flatten()
            .max_by_key(|seen| seen.at);
    }
    let on_disk = engine.log_end(&view.site(&row.primary, row));
    let primary = on_disk.or(seen.map(|seen| seen.frame));
    let best = candidates
        .iter()
        .max_by_key(|(_, end)| (primary.is_some_and(|primary| primary.log == end.log), end.count))
        .ok_or_else(|| {
            Error::new(
                Code::Unavailable,
                format!("no replica of {name} has files that could become the primary's"),
            )
            .hint("torso doctor has details; put the primary's files back")
        })?;
    let chosen = match named {
        None => best,
        Some(named) => candidates
            .iter()
            .find(|(location, _)| location == named)
            .ok_or_else(|| {
                Error::new(
                    Code::Unavailable,
                    format!("the replica of {name} in {named} has no files"),
                )
                .hint(format!("torso db promote {name} {} --force", best.0))
            })?,
    };
    if chosen.1 != best.1 {
        return Err(Error::new(
            Code::Conflict,
            format!("the replica of {name} in {} has more than that in {}", best.0, chosen.0),
        )
        .hint(format!("torso db promote {name} {} --force", best.0)));
    }
    let frames = primary
        .filter(|primary| primary.log == chosen.1.log)
        .map(|primary| primary.count.saturating_sub(chosen.1.count));
    Ok(Choice {
        location: chosen.0.clone(),
        loss: PromotionLoss {
            frames,
            is_exact: on_disk.is_some() && frames.is_some(),
            seen_at: seen.map(|seen| seen.at).filter(|_| on_disk.is_none()),
        },
    })
}

/// Fails while the primary runs, or may run.
fn check_lost(view: &CatalogView<'_>, row: &DatabaseRow, request: &ForcedPromotion) -> Result<()> {
    let (name, named) = (&row.name, request.location.as_ref());
    let engine = &view.plane.engine;
    let primary = view.site(&row.primary, row);
    if engine.answers(&primary) {
        let to = named.map_or("LOCATION", LocationCode::as_str);
        return Err(
            Error::new(Code::Conflict, format!("the primary of {name} in {} runs", row.primary)).hint(format!(
                "torso db promote {name} {to} moves it without --force, and loses nothing"
            )),
        );
    }
    if engine.local_files(&primary).is_err() && !request.old_machine_is_off {
        return Err(Error::new(
            Code::Conflict,
            format!(
                "the primary of {name} is on another machine, {}, which may still run",
                row.primary
            ),
        )
        .hint(format!(
            "switch that machine off, then torso db promote {name} --force --old-machine-is-off; or bring it back"
        )));
    }
    Ok(())
}

/// Makes the chosen replica the primary.
fn force(
    change: &Change<'_>,
    row: &DatabaseRow,
    location: &LocationCode,
    barrier: &dyn WriteBarrier,
    report: &mut PromotionReport,
    began: Instant,
) -> Result<()> {
    change.plane.engine.fence(&change.site(&row.primary, row))?;
    let ids = [row.id.clone()];
    let mut held = HeldWrites::hold(barrier, &ids);
    let switched = promotion::switch_without_primary(change, row, location);
    held.now = promotion::placements(change, &ids).unwrap_or_default();
    drop(held);
    report.outage_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    switched?;
    let failures = change.reach(&row.id)?.failures.into_iter();
    let pending: BTreeSet<LocationCode> = failures.map(|(at, _)| at).collect();
    report.pending = pending.into_iter().collect();
    Ok(())
}
