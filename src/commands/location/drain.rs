//! `torso location drain`: moves everything away from a location, so that its machine can be replaced.

use crate::commands::answers::{self, Done};
use crate::commands::{DryRun, completers, preconditions};
use crate::context::Context;
use crate::control::ControlPlane;
use crate::control::names::{DatabaseName, GroupName, LocationCode};
use crate::control::types::{Database, DatabaseFilter, Group};
use crate::error::{Code, Error, Result};
use serde::Serialize;
use std::fmt;

crate::commands::schemas::document!("location drain" => Drained);

/// Move everything away from a location
///
/// Primaries go first: to --to, or to where they have a replica. Then the replicas there are removed. What fails leaves the rest as it
/// is; the same command goes on from there. On a server it is for the databases of the organization in use.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  torso location drain lhr --dry-run\n  torso location drain lhr --to ams")]
pub(in crate::commands) struct Drain {
    /// Code of the location
    #[arg(value_name = "CODE", add = completers::locations())]
    code: LocationCode,
    /// Where primaries go
    #[arg(long, value_name = "LOCATION", add = completers::locations())]
    to: Option<LocationCode>,
    #[command(flatten)]
    dry: DryRun,
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct Drained {
    location: LocationCode,
    /// What was done, in this order.
    steps: Vec<String>,
}

/// One change.
enum Step {
    AddGroupLocation(GroupName, LocationCode),
    PromoteGroup(GroupName, LocationCode),
    AddReplica(DatabaseName, LocationCode),
    Promote(DatabaseName, LocationCode),
    RemoveGroupLocation(GroupName, LocationCode),
    RemoveReplica(DatabaseName, LocationCode),
}

impl fmt::Display for Step {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddGroupLocation(group, at) => write!(to, "replicate group {group} to {at}"),
            Self::PromoteGroup(group, at) => write!(to, "move the primaries of group {group} to {at}"),
            Self::AddReplica(database, at) => write!(to, "replicate database {database} to {at}"),
            Self::Promote(database, at) => write!(to, "move the primary of database {database} to {at}"),
            Self::RemoveGroupLocation(group, at) => write!(to, "remove the replicas of group {group} at {at}"),
            Self::RemoveReplica(database, at) => write!(to, "remove the replica of database {database} at {at}"),
        }
    }
}

impl Step {
    fn take(&self, plane: &dyn ControlPlane) -> Result<()> {
        match self {
            Self::AddGroupLocation(group, at) => plane.add_group_location(group, at).map(drop),
            Self::PromoteGroup(group, at) => plane.promote_group(group, at).map(drop),
            Self::AddReplica(database, at) => plane.add_instance(database, at).map(drop),
            Self::Promote(database, at) => plane.promote_instance(database, at).map(drop),
            Self::RemoveGroupLocation(group, at) => plane.remove_group_location(group, at).map(drop),
            Self::RemoveReplica(database, at) => plane.remove_instance(database, at),
        }
    }
}

pub(super) fn drain(ctx: &Context, args: &Drain) -> Result<()> {
    let code = &args.code;
    preconditions::check_location(ctx, code)?;
    if let Some(to) = &args.to {
        preconditions::check_location(ctx, to)?;
        if to == code {
            return Err(Error::new(Code::Usage, format!("{code} cannot be drained to itself"))
                .hint("name another location: torso location list"));
        }
    }
    let plane = ctx.control()?;
    let moves = plan_moves(plane, args)?;
    if args.dry.dry_run {
        let (groups, replicas) = (plan_group_removals(plane, code)?, plan_removals(plane, code, &moves)?);
        let all = moves.iter().chain(&groups).chain(&replicas);
        return answers::plan(ctx, all.map(Step::to_string).collect());
    }
    let mut steps = Vec::new();
    let mut take = |all: Vec<Step>| {
        all.into_iter().try_for_each(|step| {
            step.take(plane)?;
            steps.push(step.to_string());
            Ok::<(), Error>(())
        })
    };
    // Each is looked for when what comes before it is done.
    let taken = take(moves)
        .and_then(|()| take(plan_group_removals(plane, code)?))
        .and_then(|()| take(plan_removals(plane, code, &[])?));
    if let Err(error) = taken {
        return Err(match steps.is_empty() {
            true => error,
            false => Error::new(
                Code::Partial,
                format!(
                    "{code} is not empty yet: {}; done before: {}",
                    error.message(),
                    steps.join(", ")
                ),
            )
            .hint("run it again when what is in its way is gone"),
        });
    }
    let sentence = match steps.len() {
        0 => format!("There is nothing at {code}."),
        _ => format!("Nothing is at {code} any more: {}.", steps.join(", then ")),
    };
    let drained = Drained {
        location: code.clone(),
        steps,
    };
    ctx.ui.show(&Done::new(drained, code, sentence))
}

/// The moves of all primaries that are at the location, those of whole groups first.
fn plan_moves(plane: &dyn ControlPlane, args: &Drain) -> Result<Vec<Step>> {
    let (code, to) = (&args.code, args.to.as_ref());
    let groups = plane.list_groups()?;
    let mut steps = Vec::new();
    for group in groups.iter().filter(|group| group.primary == *code) {
        let target = choose(to, &group.locations, code, &format!("group {}", group.name))?;
        if !group.locations.contains(target) {
            steps.push(Step::AddGroupLocation(group.name.clone(), target.clone()));
        }
        steps.push(Step::PromoteGroup(group.name.clone(), target.clone()));
    }
    for database in databases_at(plane, code)? {
        let group = groups.iter().find(|group| group.name == database.group);
        // Those of a group that is moved go with it.
        if database.primary != *code || group.is_some_and(|group| group.primary == *code) {
            continue;
        }
        let of_group = group.map(|group| group.primary.clone());
        let known: Vec<LocationCode> = database.locations.iter().cloned().chain(of_group).collect();
        let target = choose(to, &known, code, &format!("database {}", database.name))?;
        if !database.locations.contains(target) {
            steps.push(Step::AddReplica(database.name.clone(), target.clone()));
        }
        steps.push(Step::Promote(database.name.clone(), target.clone()));
    }
    Ok(steps)
}

/// The removals of the location from groups.
fn plan_group_removals(plane: &dyn ControlPlane, code: &LocationCode) -> Result<Vec<Step>> {
    let groups = plane.list_groups()?.into_iter();
    let there = groups.filter(|group| group.locations.contains(code));
    Ok(there
        .map(|group| Step::RemoveGroupLocation(group.name, code.clone()))
        .collect())
}

/// The removals of the replicas at the location that no group has there, and of those that will be there after some moves.
fn plan_removals(plane: &dyn ControlPlane, code: &LocationCode, moves: &[Step]) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    let groups = plane.list_groups()?;
    let has = |group: &&Group| group.locations.contains(code);
    for database in databases_at(plane, code)? {
        let group = groups.iter().find(|group| group.name == database.group);
        let is_moved = moves
            .iter()
            .any(|step| matches!(step, Step::Promote(name, _) if *name == database.name));
        if is_moved || !group.as_ref().is_some_and(has) {
            steps.push(Step::RemoveReplica(database.name.clone(), code.clone()));
        }
    }
    Ok(steps)
}

fn databases_at(plane: &dyn ControlPlane, code: &LocationCode) -> Result<Vec<Database>> {
    plane.list_databases(&DatabaseFilter {
        location: Some(code.clone()),
        ..DatabaseFilter::default()
    })
}

/// Where a primary goes.
fn choose<'l>(
    to: Option<&'l LocationCode>,
    known: &'l [LocationCode],
    code: &LocationCode,
    what: &str,
) -> Result<&'l LocationCode> {
    let other = || known.iter().find(|location| *location != code);
    to.or_else(other).ok_or_else(|| {
        Error::new(Code::Usage, format!("{what} is only at {code}"))
            .hint(format!("torso location drain {code} --to LOCATION moves it there"))
    })
}
