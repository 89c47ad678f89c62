//! `torso db promote`: another primary for a database.

use super::find;
use crate::commands::answers::{self, Done};
use crate::commands::{DryRun, completers, preconditions};
use crate::context::Context;
use crate::control::if_allowed;
use crate::control::names::{DatabaseName, LocationCode};
use crate::control::promotion::{ForcedPromotion, PromotionReport};
use crate::control::types::Instance;
use crate::error::{Code, Error, Result};

crate::commands::schemas::document!("db promote" => crate::control::types::Database);

/// Make a replica the primary
///
/// torso updates the replica first, so no committed row is lost. The old primary becomes a replica. On a server, writes wait
/// for a moment, and the answer says for how long.
///
/// --force promotes a replica of a server although the primary is dead or lost: the one that has the most, if no location is named.
/// Rows that only the primary had are lost. It says before and after what is known of that. If the primary is on another machine, switch
/// that off, and say so with --old-machine-is-off.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  torso db promote app lhr
  torso db promote app lhr --dry-run
  torso db promote app --force")]
pub(crate) struct Promote {
    /// Name of the database
    #[arg(value_name = "NAME", add = completers::databases())]
    name: DatabaseName,
    /// Code of the location
    #[arg(value_name = "LOCATION", required_unless_present = "force", add = completers::locations())]
    location: Option<LocationCode>,
    /// Promote although the primary is lost (servers only)
    #[arg(long)]
    force: bool,
    /// The primary's own machine is switched off, and takes no more writes
    #[arg(long, requires = "force")]
    old_machine_is_off: bool,
    /// Do not ask for confirmation
    #[arg(long, short, requires = "force")]
    yes: bool,
    #[command(flatten)]
    dry: DryRun,
}

pub(super) fn promote(ctx: &Context, args: &Promote) -> Result<()> {
    let name = &args.name;
    let location = match &args.location {
        _ if args.force => return force(ctx, args),
        Some(location) => location,
        None => return Err(Error::new(Code::Usage, "the location is missing")),
    };
    let before = if_allowed(find(ctx, name))?;
    if let Some(before) = &before {
        preconditions::check_instance(ctx, before, location)?;
    }
    if args.dry.dry_run {
        let Some(before) = before else {
            let step = format!("make the replica of database {name} at {location} its primary");
            return answers::plan(ctx, vec![step]);
        };
        if before.primary == *location {
            return answers::plan(ctx, vec![]);
        }
        let mut steps = vec![
            format!("refresh the replica of database {name} at {location}"),
            format!("make it the primary, and {} a replica", before.primary),
        ];
        steps.extend(copying(&ctx.control()?.list_instances(name)?, location));
        return answers::plan(ctx, steps);
    }
    let database = ctx.control()?.promote_instance(name, location)?;
    let sentence = match before {
        Some(before) if before.primary == *location && database.promotion.is_none() => {
            format!("The primary of database {name} is at {location} already.")
        }
        // A file's URL is that of its primary.
        Some(before) if before.url != database.url => format!(
            "The primary of database {name} is now at {location}. Its URL is now {}",
            database.url
        ),
        _ => format!("The primary of database {name} is now at {location}."),
    };
    let sentence = with_outage(ctx, sentence, database.promotion.as_ref());
    ctx.ui.show(&Done::new(database, name, sentence))
}

/// Promotes without the primary: says what is lost, asks, and says it again.
fn force(ctx: &Context, args: &Promote) -> Result<()> {
    let (name, plane) = (&args.name, ctx.control()?);
    let ask = |dry_run| {
        let request = ForcedPromotion {
            location: args.location.clone(),
            dry_run,
            old_machine_is_off: args.old_machine_is_off,
        };
        plane.force_promotion(name, &request)
    };
    let planned = ask(true)?.promotion.ok_or_else(unexplained)?;
    let loss = planned.loss.ok_or_else(unexplained)?;
    if args.dry.dry_run {
        return answers::plan(
            ctx,
            vec![
                format!(
                    "make the replica of database {name} at {} the primary: {loss}",
                    planned.to
                ),
                format!("never let the former primary at {} take writes again", planned.from),
                "set its files aside when they are there, and report rows that only they have".to_owned(),
            ],
        );
    }
    let doing = format!(
        "promote {} for database {name} without its primary at {}; {loss}",
        planned.to, planned.from
    );
    ctx.confirm(args.yes, &doing, name.as_str())?;
    let database = ask(false)?;
    let mut sentence = format!("The primary of database {name} is now at {}.", database.primary);
    if let Some(loss) = database
        .promotion
        .as_ref()
        .and_then(|promotion| promotion.loss.as_ref())
    {
        sentence = format!("{sentence} What was lost: {loss}.");
    }
    let sentence = with_outage(ctx, sentence, database.promotion.as_ref());
    ctx.ui.show(&Done::new(database, name, sentence))
}

fn unexplained() -> Error {
    Error::new(
        Code::Unsupported,
        "the server does not say what a promotion without the primary loses",
    )
    .hint("the server has another version than this torso: update the older one")
}

/// What a promotion copies, where instances follow a replication log: the new primary begins another one.
fn copying(instances: &[Instance], location: &LocationCode) -> Option<String> {
    let primary = instances.first().filter(|primary| primary.position.is_some())?;
    let others: Vec<&str> = instances
        .iter()
        .filter(|instance| instance.location != *location)
        .map(|instance| instance.location.as_str())
        .collect();
    let size = primary.size_bytes.unwrap_or(0);
    let all = size.saturating_mul(others.len() as u64);
    Some(format!(
        "copy the database to {} again, {} in all; reads there go on",
        others.join(", "),
        crate::ui::text::size(all)
    ))
}

/// Adds to an answer what a promotion has cost, and warns of what it has left to do.
pub(crate) fn with_outage(ctx: &Context, sentence: String, promotion: Option<&PromotionReport>) -> String {
    let Some(promotion) = promotion else { return sentence };
    if !promotion.pending.is_empty() {
        let pending: Vec<&str> = promotion.pending.iter().map(LocationCode::as_str).collect();
        ctx.ui.warn(format!(
            "replicas at {} cannot be reached now; the server makes them again as soon as they can",
            pending.join(", ")
        ));
    }
    format!("{sentence} Writes waited for {} ms.", promotion.outage_ms)
}
