//! `torso org invites`: people who are asked to join an organization.

use super::preconditions;
use super::role_args::RoleArgs;
use crate::commands::DryRun;
use crate::commands::answers::{self, Done};
use crate::context::Context;
use crate::control::accounts::Invite;
use crate::control::names::OrganizationSlug;
use crate::error::{Code, Error, Result};
use crate::ui::{Cell, Layout, Table, View};
use clap::Subcommand;
use serde::Serialize;

crate::commands::schemas::document!("org invites list" => Invites);
crate::commands::schemas::document!("org invites create" => Invited);
crate::commands::schemas::document!("org invites remove" => Removed);

/// Invite people to the current organization
#[derive(Subcommand)]
#[command(defer = true)]
pub(in crate::commands) enum Verb {
    #[command(visible_alias = "ls")]
    List(List),
    Create(Create),
    #[command(visible_alias = "rm")]
    Remove(Remove),
}

pub(super) fn run(ctx: &Context, verb: Verb) -> Result<()> {
    match verb {
        Verb::List(_) => list(ctx),
        Verb::Create(args) => create(ctx, &args),
        Verb::Remove(args) => remove(ctx, &args),
    }
}

/// List invitations
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso org invites list --org team")]
pub(in crate::commands) struct List {}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
#[serde(transparent)]
struct Invites(Vec<Invite>);

fn list(ctx: &Context) -> Result<()> {
    ctx.ui
        .show(&Invites(ctx.accounts()?.list_invites(&ctx.organization()?)?))
}

impl View for Invites {
    fn layout(&self) -> Layout {
        let mut table = Table::new(["EMAIL", "ROLE", "ACCEPTED", "CREATED"], "No invitations.");
        for invite in &self.0 {
            table.row(vec![
                Cell::text(&invite.email),
                Cell::text(invite.role.name()),
                Cell::yes_no(invite.accepted),
                Cell::time(invite.created_at),
            ]);
        }
        Layout::Table(table)
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|invite| invite.email.clone()).collect()
    }
}

/// Invite a person by mail address
///
/// The server sends no mail. It prints a link once; send the link to the person yourself.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso org invites create bob@example.com --role admin --org team")]
pub(in crate::commands) struct Create {
    /// Mail address of the person
    #[arg(value_name = "EMAIL")]
    email: String,
    #[command(flatten)]
    role: RoleArgs,
    #[command(flatten)]
    dry: DryRun,
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct Invited {
    organization: OrganizationSlug,
    #[serde(flatten)]
    invite: Invite,
}

pub(super) fn create(ctx: &Context, args: &Create) -> Result<()> {
    check(&args.email)?;
    let organization = ctx.organization()?;
    if args.dry.dry_run {
        preconditions::check_team(ctx, &organization)?;
        let (email, role) = (&args.email, args.role.role());
        return answers::plan(
            ctx,
            vec![format!("invite {email} to organization {organization} as {role}")],
        );
    }
    let invite = ctx
        .accounts()?
        .create_invite(&organization, &args.email, args.role.role())?;
    let sentence = match &invite.link {
        Some(link) => format!(
            "Invited {} to organization {organization}. Hand over this link, which is shown only once:\n{link}\n\
             It opens in a browser. Or in a terminal:\n  torso context add NAME --url {server}\n  \
             torso auth accept --context NAME --username USER '{link}'",
            args.email,
            link = link.expose(),
            server = link.expose().split("/signup?").next().unwrap_or_default(),
        ),
        None => format!("Invited {} to organization {organization}.", args.email),
    };
    ctx.ui
        .show(&Done::new(Invited { organization, invite }, &args.email, sentence))
}

/// What cannot be an address; whether it is one, only a mail would tell.
fn check(email: &str) -> Result<()> {
    let fine = email.split_once('@').is_some_and(|(name, host)| {
        !name.is_empty() && !host.is_empty() && !email.chars().any(|c| c.is_control() || c.is_whitespace())
    });
    if fine {
        return Ok(());
    }
    Err(
        Error::new(Code::InvalidValue, format!("{email:?} is not a mail address"))
            .hint("write it like bob@example.com"),
    )
}

/// Withdraw an invitation
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso org invites remove bob@example.com --org team")]
pub(in crate::commands) struct Remove {
    /// Mail address of the person
    #[arg(value_name = "EMAIL")]
    email: String,
    /// Succeed if there is no such invitation
    #[arg(long)]
    if_exists: bool,
    #[command(flatten)]
    dry: DryRun,
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct Removed {
    organization: OrganizationSlug,
    email: String,
    removed: bool,
}

fn remove(ctx: &Context, args: &Remove) -> Result<()> {
    check(&args.email)?;
    let organization = ctx.organization()?;
    if args.dry.dry_run {
        let step = format!("withdraw the invitation of {}", args.email);
        let invites = ctx.accounts()?.list_invites(&organization)?;
        let is_there = invites.iter().any(|invite| invite.email == args.email);
        let missing = Error::new(Code::InviteNotFound, format!("{} is not invited", args.email))
            .hint("torso org invites list shows the invitations");
        return answers::plan_for_existing(ctx, step, is_there, args.if_exists, missing);
    }
    let removed = match ctx.accounts()?.delete_invite(&organization, &args.email) {
        Ok(()) => true,
        Err(error) if args.if_exists && error.code() == Code::InviteNotFound => false,
        Err(error) => return Err(error),
    };
    let sentence = if removed {
        format!("Withdrew the invitation of {}.", args.email)
    } else {
        format!("{} is not invited.", args.email)
    };
    let thing = Removed {
        organization,
        email: args.email.clone(),
        removed,
    };
    ctx.ui.show(&Done::new(thing, &args.email, sentence))
}
