//! `torso org`: organizations on a server, their members, invitations and audit log.

mod audit;
mod invites;
pub(super) mod members;
pub(super) mod preconditions;
mod role_args;

use super::answers::{self, Done, Part};
use super::committed::Committed;
use super::{DryRun, completers};
use crate::context::Context;
use crate::control::accounts::{Organization, OrganizationKind, OrganizationTotals};
use crate::control::if_allowed;
use crate::control::names::{DatabaseName, OrganizationSlug};
use crate::control::types::Database;
use crate::error::{Code, Error, Result};
use crate::ui::{Card, Cell, Layout, Table, View};
use clap::Subcommand;
use serde::Serialize;

crate::commands::schemas::document!("org list" => Organizations);
crate::commands::schemas::document!("org show" => Standing);
crate::commands::schemas::document!("org create" => Created);
crate::commands::schemas::document!("org switch" => OrganizationView);
crate::commands::schemas::document!("org destroy" => Part);
crate::commands::schemas::document!("org db-transfer" => Transferred);

/// Organizations on a server, and their members
#[derive(Subcommand)]
#[command(defer = true)]
pub(super) enum Verb {
    #[command(visible_alias = "ls")]
    List(List),
    Show(Show),
    Create(Create),
    Switch(Switch),
    #[command(visible_alias = "rm")]
    Destroy(Destroy),
    DbTransfer(Transfer),
    #[command(subcommand)]
    Members(members::Verb),
    #[command(subcommand)]
    Invites(invites::Verb),
    #[command(subcommand)]
    AuditLogs(audit::Verb),
}

pub(super) fn run(ctx: &Context, verb: Verb) -> Result<()> {
    match verb {
        Verb::List(_) => list(ctx),
        Verb::Show(args) => show(ctx, &args),
        Verb::Create(args) => create(ctx, &args),
        Verb::Switch(args) => switch(ctx, &args),
        Verb::Destroy(args) => destroy(ctx, &args),
        Verb::DbTransfer(args) => transfer(ctx, &args),
        Verb::Members(verb) => members::run(ctx, verb),
        Verb::Invites(verb) => invites::run(ctx, verb),
        Verb::AuditLogs(verb) => audit::run(ctx, &verb),
    }
}

/// An organization, and whether commands work in it.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct OrganizationView {
    #[serde(flatten)]
    organization: Organization,
    current: bool,
}

fn kind(organization: &Organization) -> &'static str {
    match organization.kind {
        OrganizationKind::Personal => "personal",
        OrganizationKind::Team => "team",
    }
}

/// List the organizations you belong to
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso org list")]
pub(super) struct List {}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
#[serde(transparent)]
struct Organizations(Vec<OrganizationView>);

fn list(ctx: &Context) -> Result<()> {
    let client = ctx.server()?;
    let chosen = client.organization().cloned();
    let all = ctx.accounts()?.list_organizations()?;
    ctx.ui.show(&Organizations(
        all.into_iter()
            .map(|organization| OrganizationView {
                current: match &chosen {
                    Some(slug) => organization.slug == *slug,
                    None => organization.kind == OrganizationKind::Personal,
                },
                organization,
            })
            .collect(),
    ))
}

impl View for Organizations {
    fn layout(&self) -> Layout {
        let mut table = Table::new(["SLUG", "NAME", "TYPE"], "No organizations.");
        for view in &self.0 {
            let slug = view.organization.slug.as_str();
            table.row(vec![
                if view.current {
                    Cell::text(slug).with_display(format!("{slug} (current)"))
                } else {
                    Cell::text(slug)
                },
                Cell::text(&view.organization.name),
                Cell::text(kind(&view.organization)),
            ]);
        }
        Layout::Table(table)
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|view| view.organization.slug.to_string()).collect()
    }
}

/// Show an organization, its plan and its usage (default: the current one)
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso org show team")]
pub(super) struct Show {
    /// Name of the organization
    #[arg(value_name = "NAME", add = completers::organizations())]
    name: Option<OrganizationSlug>,
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct Standing {
    #[serde(flatten)]
    organization: Organization,
    current: bool,
    plan: Option<String>,
    usage: Option<OrganizationTotals>,
}

fn show(ctx: &Context, args: &Show) -> Result<()> {
    let current = ctx.organization()?;
    let slug = args.name.clone().unwrap_or_else(|| current.clone());
    let accounts = ctx.accounts()?;
    let organization = accounts.get_organization(&slug)?;
    // Looking at these may need more than looking at the organization.
    let plan = accounts.subscription(&slug).ok().map(|subscription| subscription.plan);
    let usage = accounts.organization_usage(&slug).ok().map(|found| found.usage);
    ctx.ui.show(&Standing {
        current: organization.slug == current,
        organization,
        plan,
        usage,
    })
}

impl View for Standing {
    fn layout(&self) -> Layout {
        let organization = &self.organization;
        Layout::Card(
            Card::default()
                .field("Slug", Cell::text(organization.slug.as_str()))
                .field("Name", Cell::text(&organization.name))
                .field("Type", Cell::text(kind(organization)))
                .field("Current", Cell::yes_no(self.current))
                .field_if("Plan", self.plan.as_ref(), Cell::text)
                .field_if("Databases", self.usage, |usage| Cell::number(usage.databases))
                .field_if("Groups", self.usage, |usage| Cell::number(usage.groups))
                .field_if("Locations", self.usage, |usage| Cell::number(usage.locations))
                .field_if("Rows read", self.usage, |usage| Cell::number(usage.used.rows_read))
                .field_if("Rows written", self.usage, |usage| {
                    Cell::number(usage.used.rows_written)
                })
                .field_if("Storage", self.usage, |usage| Cell::size(usage.used.storage_bytes)),
        )
    }

    fn names(&self) -> Vec<String> {
        vec![self.organization.slug.to_string()]
    }
}

/// Create an organization; you are its owner
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso org create team --if-not-exists")]
pub(super) struct Create {
    /// Name of the organization
    #[arg(value_name = "NAME")]
    name: String,
    /// Succeed if you have one of that name already
    #[arg(long)]
    if_not_exists: bool,
    #[command(flatten)]
    dry: DryRun,
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct Created {
    #[serde(flatten)]
    organization: Organization,
    created: bool,
}

fn create(ctx: &Context, args: &Create) -> Result<()> {
    let accounts = ctx.accounts()?;
    let answer = |organization: Organization, created: bool| {
        let sentence = if created {
            format!(
                "Created organization {0}. Work in it with torso org switch {0}.",
                organization.slug
            )
        } else {
            format!("Organization {} exists already.", organization.slug)
        };
        let slug = organization.slug.clone();
        ctx.ui
            .show(&Done::new(Created { organization, created }, slug, sentence))
    };
    if args.if_not_exists {
        let there = accounts
            .list_organizations()?
            .into_iter()
            .find(|organization| organization.name == args.name || organization.slug.as_str() == args.name);
        if let Some(organization) = there {
            return answer(organization, false);
        }
    }
    if args.dry.dry_run {
        return answers::plan(ctx, vec![format!("create organization {:?}", args.name)]);
    }
    answer(accounts.create_organization(&args.name)?, true)
}

/// Use an organization from now on, in this context
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso org switch team")]
pub(super) struct Switch {
    /// Name of the organization
    #[arg(value_name = "NAME", add = completers::organizations())]
    name: OrganizationSlug,
    #[command(flatten)]
    dry: DryRun,
}

fn switch(ctx: &Context, args: &Switch) -> Result<()> {
    ctx.server()?;
    let Some(context) = ctx.settings.server()?.and_then(|server| server.context) else {
        return Err(Error::new(
            Code::Conflict,
            "the environment names the server, so there is no context to save the choice in",
        )
        .hint("set TORSO_ORG, or add --org NAME"));
    };
    let organization = ctx.accounts()?.get_organization(&args.name)?;
    if args.dry.dry_run {
        let step = format!(
            "have commands in context {context} work in organization {}",
            organization.slug
        );
        return answers::plan(ctx, vec![step]);
    }
    ctx.settings.set_organization(&context, Some(&organization.slug))?;
    if let Some(name) = crate::settings::env::text(crate::settings::env::ORG)
        && name != organization.slug.as_str()
    {
        ctx.ui
            .warn(format!("TORSO_ORG is {name:?}, and takes precedence over this choice"));
    }
    let slug = organization.slug.clone();
    let sentence = format!("Commands in context {context} now work in organization {slug}.");
    let view = OrganizationView {
        organization,
        current: true,
    };
    ctx.ui.show(&Done::new(view, slug, sentence))
}

/// Destroy an organization; fails while it has databases
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso org destroy team --yes")]
pub(super) struct Destroy {
    /// Name of the organization
    #[arg(value_name = "NAME", add = completers::organizations())]
    name: OrganizationSlug,
    /// Do not ask for confirmation
    #[arg(long, short)]
    yes: bool,
    /// Succeed if there is no such organization
    #[arg(long)]
    if_exists: bool,
    #[command(flatten)]
    dry: DryRun,
}

fn destroy(ctx: &Context, args: &Destroy) -> Result<()> {
    let accounts = ctx.accounts()?;
    let slug = &args.name;
    let answer = |done: bool, sentence: String| {
        let thing = Part {
            name: slug.to_string(),
            done,
            error: None,
        };
        ctx.ui.show(&Done::new(thing, slug, sentence))
    };
    match accounts.get_organization(slug) {
        Ok(_) => {}
        Err(error) if args.if_exists && error.code() == Code::OrganizationNotFound => {
            return answer(false, format!("There is no organization {slug}."));
        }
        Err(error) => return Err(error),
    }
    if args.dry.dry_run {
        preconditions::check_deletable(ctx, slug)?;
        return answers::plan(ctx, vec![format!("destroy organization {slug}")]);
    }
    ctx.confirm(args.yes, &format!("destroy organization {slug}"), slug.as_str())?;
    accounts.delete_organization(slug)?;
    // A choice that leads nowhere would make every later command fail.
    let _committed = Committed::new(ctx, ()).follow_up("the settings still choose the organization", |()| {
        if let Some(server) = ctx.settings.server()?
            && let Some(context) = server.context
            && ctx.settings.context(&context)?.organization.as_ref() == Some(slug)
        {
            ctx.settings.set_organization(&context, None)?;
        }
        Ok(())
    });
    answer(true, format!("Destroyed organization {slug}."))
}

/// Move a database to another organization you belong to
///
/// It gets a new address, and existing tokens for it stop working.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso org db-transfer app team --yes")]
pub(super) struct Transfer {
    /// Name of the database
    #[arg(value_name = "DATABASE", add = completers::databases())]
    database: DatabaseName,
    /// Name of the organization
    #[arg(value_name = "ORGANIZATION", add = completers::organizations())]
    to: OrganizationSlug,
    /// Do not ask for confirmation
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    dry: DryRun,
}

/// What was moved, and where it is now.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct Transferred {
    name: DatabaseName,
    organization: OrganizationSlug,
}

fn transfer(ctx: &Context, args: &Transfer) -> Result<()> {
    let (name, to) = (&args.database, &args.to);
    let plane = ctx.control()?;
    let database = if_allowed(plane.get_database(name))?;
    let doing = format!("move database {name} to organization {to}");
    if args.dry.dry_run {
        preconditions::check_transfer_target(ctx, to)?;
        database.as_ref().map_or(Ok(()), check_transferable)?;
        return answers::plan(ctx, vec![doing]);
    }
    ctx.confirm(args.yes, &doing, name.as_str())?;
    plane.transfer_database(name, to)?;
    let thing = Transferred {
        name: name.clone(),
        organization: to.clone(),
    };
    let sentence = format!("Moved database {name} to organization {to}.");
    ctx.ui.show(&Done::new(thing, name, sentence))
}

/// Fails where a database is protected: for its organization, it would be gone.
fn check_transferable(database: &Database) -> Result<()> {
    if !database.delete_protection {
        return Ok(());
    }
    let name = &database.name;
    Err(Error::new(
        Code::DeleteProtected,
        format!("database {name} is protected from deletion"),
    )
    .hint("lift the protection first"))
}
