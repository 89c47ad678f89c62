//! `torso server schedules`: when a server that runs makes backups, of all it has and of single groups, and which it keeps.

use super::DryRun;
use super::answers::{self, Done};
use super::server_values::backup_interval;
use crate::backup::Retention;
use crate::context::Context;
use crate::control::accounts::{BackupSchedule, BackupScheduleChange, ScheduledGroup};
use crate::error::{Code, Error, Result};
use crate::ui::{Cell, Layout, Table, View, text};
use clap::Subcommand;
use serde::Serialize;
use std::time::Duration;

crate::commands::schemas::document!("server schedules list" => Listed);
crate::commands::schemas::document!("server schedules set" => BackupSchedule);
crate::commands::schemas::document!("server schedules remove" => Removed);

#[derive(Subcommand)]
#[command(defer = true)]
pub(super) enum Verb {
    #[command(visible_alias = "ls")]
    List(List),
    Set(Set),
    #[command(visible_alias = "rm")]
    Remove(Remove),
}

pub(super) fn run(ctx: &Context, verb: &Verb) -> Result<()> {
    match verb {
        Verb::List(_) => ctx.ui.show(&Listed(ctx.accounts()?.list_backup_schedules()?)),
        Verb::Set(args) => set(ctx, args),
        Verb::Remove(args) => remove(ctx, args),
    }
}

/// List schedules of backups: that of the whole server, and those of groups
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso server schedules list")]
pub(super) struct List {}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
#[serde(transparent)]
struct Listed(Vec<BackupSchedule>);

/// What a schedule is of.
fn subject(schedule: &BackupSchedule) -> String {
    match (&schedule.organization, &schedule.group) {
        (Some(organization), Some(group)) => format!("{organization}/{group}"),
        _ => "server".to_owned(),
    }
}

impl View for Listed {
    fn layout(&self) -> Layout {
        let header = ["OF", "EVERY", "KEEP", "LAST BACKUP", "STATE"];
        let mut table = Table::new(header, "No backups: start the server with --backup-to DESTINATION.");
        for schedule in &self.0 {
            table.row(vec![
                Cell::text(subject(schedule)),
                Cell::text(text::span(schedule.every_seconds.saturating_mul(1000))),
                Cell::text(&schedule.keep),
                Cell::maybe(schedule.last_backup_at, Cell::age),
                Cell::text(if schedule.failing { "failing" } else { "ok" }),
            ]);
        }
        Layout::Table(table)
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(subject).collect()
    }
}

/// Set when backups are made of the server, or of one group, and which are kept
///
/// A group with a schedule of its own is part of the server's backups all the same. What is not given stays as it is; a new
/// schedule begins as the server's is.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  torso server schedules set --every 6h
  torso server schedules set acme/default --every 15m --keep 24h,7d")]
pub(super) struct Set {
    /// The group [default: the whole server]
    #[arg(value_name = "ORG/GROUP")]
    group: Option<ScheduledGroup>,
    /// How often
    #[arg(long, value_name = "TIME", value_parser = backup_interval)]
    every: Option<Duration>,
    /// Keep so many of hours, days, weeks, months, years
    #[arg(long, value_name = "COUNTS")]
    keep: Option<Retention>,
    #[command(flatten)]
    dry: DryRun,
}

fn set(ctx: &Context, args: &Set) -> Result<()> {
    if args.every.is_none() && args.keep.is_none() {
        return Err(Error::new(Code::Usage, "it is not said what to set")
            .hint("add --every TIME, such as 6h, or --keep COUNTS, such as 7d,4w"));
    }
    let (organization, group) = args
        .group
        .clone()
        .map(|group| (group.organization, group.group))
        .unzip();
    let change = BackupScheduleChange {
        organization,
        group,
        every_seconds: args.every.map(|every| every.as_secs()),
        keep: args.keep.map(|keep| keep.to_string()),
    };
    let what = match &args.group {
        None => "The server".to_owned(),
        Some(group) => format!("Group {group}"),
    };
    if args.dry.dry_run {
        ctx.accounts()?;
        let every = args
            .every
            .map(|every| format!("back up every {}", text::span(every.as_millis() as u64)));
        let keep = args.keep.map(|keep| format!("keep {keep}"));
        let steps = every.into_iter().chain(keep).map(|step| format!("{what}: {step}"));
        return answers::plan(ctx, steps.collect());
    }
    let set = ctx.accounts()?.set_backup_schedule(&change)?;
    let name = subject(&set);
    let every = text::span(set.every_seconds.saturating_mul(1000));
    let sentence = format!("{what} is backed up every {every}; kept are {}.", set.keep);
    ctx.ui.show(&Done::new(set, name, sentence))
}

/// Remove a group's own schedule; its backups stay
///
/// From then on it is backed up with the server alone.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso server schedules remove acme/default")]
pub(super) struct Remove {
    /// The group
    #[arg(value_name = "ORG/GROUP")]
    group: ScheduledGroup,
    /// Succeed when there is no such schedule
    #[arg(long)]
    if_exists: bool,
    #[command(flatten)]
    dry: DryRun,
}

/// The answer to a removal.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct Removed {
    organization: String,
    group: String,
    /// Whether something was changed.
    done: bool,
}

fn remove(ctx: &Context, args: &Remove) -> Result<()> {
    let group = &args.group;
    if args.dry.dry_run {
        let schedules = ctx.accounts()?.list_backup_schedules()?;
        let is_there = schedules.iter().any(|schedule| subject(schedule) == group.to_string());
        let step = format!("remove the schedule of group {group}");
        let missing = Error::new(
            Code::SettingNotFound,
            format!("group {group} has no schedule of its own"),
        )
        .hint("torso server schedules list shows them");
        return answers::plan_for_existing(ctx, step, is_there, args.if_exists, missing);
    }
    let done = match ctx.accounts()?.remove_backup_schedule(group) {
        Ok(()) => true,
        Err(error) if args.if_exists && error.code() == Code::SettingNotFound => false,
        Err(error) => return Err(error),
    };
    let sentence = match done {
        true => format!("Group {group} is backed up with the server alone; its backups stay."),
        false => format!("Group {group} has no schedule of its own."),
    };
    let removed = Removed {
        organization: group.organization.to_string(),
        group: group.group.to_string(),
        done,
    };
    ctx.ui.show(&Done::new(removed, group, sentence))
}
