//! `torso db destroy`: whole databases, or one replica of one.

use super::find;
use crate::commands::answers::{self, Done, Part};
use crate::commands::{DryRun, complete};
use crate::context::Context;
use crate::control::names::{DatabaseName, LocationCode};
use crate::error::{Code, Error, Result};
use crate::ui::{Cell, Layout, Table, View};
use serde::Serialize;

/// Destroy databases with all their replicas, or with --location one replica
///
/// On a terminal the name is asked for; elsewhere --yes is needed. Delete protection wins over --yes.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  torso db destroy app
  torso db destroy old-1 old-2 --yes --if-exists
  torso db destroy app --location lhr")]
pub(crate) struct Args {
    /// Names of the databases
    #[arg(value_name = "NAME", required = true, add = complete::databases())]
    names: Vec<DatabaseName>,
    /// Destroy only the replica at a location
    #[arg(long, alias = "instance", value_name = "CODE", add = complete::locations())]
    location: Option<LocationCode>,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// Succeed when there is no such database
    #[arg(long)]
    if_exists: bool,
    #[command(flatten)]
    dry: DryRun,
}

pub(super) fn run(ctx: &Context, args: &Args) -> Result<()> {
    match &args.location {
        Some(location) => match args.names.as_slice() {
            [name] => replica(ctx, args, name, location),
            _ => Err(Error::new(Code::Usage, "--location takes one database")),
        },
        None => databases(ctx, args),
    }
}

#[derive(Serialize)]
#[serde(transparent)]
struct Destroyed(Vec<Part>);

fn databases(ctx: &Context, args: &Args) -> Result<()> {
    let mut names = args.names.clone();
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    let mut found = Vec::new();
    let mut parts = Vec::new();
    let mut errors = Vec::new();
    for name in names {
        match find(ctx, &name) {
            Ok(database) => found.push(database),
            Err(error) if args.if_exists && error.code() == Code::DatabaseNotFound => parts.push(Part {
                name: name.to_string(),
                done: false,
                error: None,
            }),
            Err(error) => {
                parts.push(Part {
                    name: name.to_string(),
                    done: false,
                    error: Some((&error).into()),
                });
                errors.push(error);
            }
        }
    }
    if args.dry.dry_run {
        if let Some(error) = errors.into_iter().next() {
            return Err(error);
        }
        let step = |database: &crate::control::types::Database| {
            let replicas = database.locations.len().saturating_sub(1);
            format!(
                "destroy database {} at {} and {replicas} replicas",
                database.name, database.primary
            )
        };
        return answers::plan(ctx, found.iter().map(step).collect());
    }
    for database in found {
        let name = database.name;
        // Said before asking: a question whose answer cannot help is an insult.
        let outcome = if database.delete_protection {
            Err(Error::new(
                Code::DeleteProtected,
                format!("database {name} is protected from deletion"),
            )
            .hint(format!("torso db config set {name} delete-protection off")))
        } else {
            ctx.ui
                .confirm(args.yes, &format!("destroy database {name}"), name.as_str())
                .and_then(|()| ctx.control()?.delete_database(&name).map(drop))
        };
        parts.push(Part {
            name: name.to_string(),
            done: outcome.is_ok(),
            error: outcome.as_ref().err().map(Into::into),
        });
        errors.extend(outcome.err());
    }
    let failed = errors.len();
    let all = parts.len();
    if failed == 0 {
        return ctx.ui.show(&Destroyed(parts));
    }
    if failed == all && all == 1 {
        return Err(errors.remove(0));
    }
    ctx.ui.show(&Destroyed(parts))?;
    if failed == all && errors.iter().all(|error| error.code() == errors[0].code()) {
        return Err(errors.remove(0));
    }
    Err(Error::new(
        Code::Partial,
        format!("{failed} of {all} databases were not destroyed"),
    ))
}

impl View for Destroyed {
    fn layout(&self) -> Layout {
        let told = |part: &Part| match (&part.error, part.done) {
            (Some(problem), _) => problem.message.clone(),
            (None, true) => "destroyed".into(),
            (None, false) => "was not there".into(),
        };
        if let [part] = self.0.as_slice()
            && part.error.is_none()
        {
            return Layout::Said(if part.done {
                format!("Destroyed database {}.", part.name)
            } else {
                format!("There is no database {}.", part.name)
            });
        }
        let mut table = Table::new(["NAME", "RESULT"], "");
        for part in &self.0 {
            table.row(vec![Cell::text(&part.name), Cell::text(told(part))]);
        }
        Layout::Table(table)
    }

    fn names(&self) -> Vec<String> {
        self.0
            .iter()
            .filter(|part| part.done)
            .map(|part| part.name.clone())
            .collect()
    }
}

#[derive(Serialize)]
struct Removed {
    name: DatabaseName,
    location: LocationCode,
    removed: bool,
}

fn replica(ctx: &Context, args: &Args, name: &DatabaseName, location: &LocationCode) -> Result<()> {
    let answer = |removed: bool, sentence: String| {
        let thing = Removed {
            name: name.clone(),
            location: location.clone(),
            removed,
        };
        ctx.ui.show(&Done::new(thing, name, sentence))
    };
    let nothing = |error: Error| {
        let fine = args.if_exists && matches!(error.code(), Code::InstanceNotFound | Code::DatabaseNotFound);
        if fine {
            answer(false, format!("Database {name} has no replica at {location}."))
        } else {
            Err(error)
        }
    };
    let database = match find(ctx, name) {
        Ok(database) => database,
        Err(error) => return nothing(error),
    };
    if !database.locations.contains(location) {
        return nothing(super::show::no_instance(name, location));
    }
    if database.primary == *location {
        return Err(Error::new(
            Code::PrimaryInstance,
            format!("{location} holds the primary of database {name}"),
        )
        .hint(format!(
            "promote another location first, or destroy the whole: torso db destroy {name}"
        )));
    }
    if args.dry.dry_run {
        return answers::plan(
            ctx,
            vec![format!("destroy the replica of database {name} at {location}")],
        );
    }
    ctx.ui.confirm(
        args.yes,
        &format!("destroy the replica of database {name} at {location}"),
        name.as_str(),
    )?;
    match ctx.control()?.remove_instance(name, location) {
        Ok(()) => answer(true, format!("Destroyed the replica of database {name} at {location}.")),
        Err(error) => nothing(error),
    }
}
