//! `torso org members`: who belongs to an organization, and as what.

use super::preconditions;
use super::role_args::RoleArgs;
use crate::commands::DryRun;
use crate::commands::answers::{self, Done};
use crate::context::Context;
use crate::control::accounts::{EndedAccess, Member, MemberRole};
use crate::control::names::{OrganizationSlug, Username};
use crate::error::{Code, Error, Result};
use crate::ui::{Cell, Layout, Table, View};
use clap::Subcommand;
use serde::Serialize;

crate::commands::schemas::document!("org members list" => Members);
crate::commands::schemas::document!("org members add", "org members role" => Changed);
crate::commands::schemas::document!("org members remove" => Removed);

/// List, add and remove members of the current organization
#[derive(Subcommand)]
#[command(defer = true)]
pub(in crate::commands) enum Verb {
    #[command(visible_alias = "ls")]
    List(List),
    Add(Add),
    Role(Role),
    #[command(visible_alias = "rm")]
    Remove(Remove),
    #[command(hide = true)]
    Invite(super::invites::Create),
}

pub(super) fn run(ctx: &Context, verb: Verb) -> Result<()> {
    match verb {
        Verb::List(_) => list(ctx),
        Verb::Add(args) => add(ctx, &args),
        Verb::Role(args) => role(ctx, &args),
        Verb::Remove(args) => remove(ctx, &args),
        Verb::Invite(args) => super::invites::create(ctx, &args),
    }
}

/// List members
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso org members list --org team")]
pub(in crate::commands) struct List {}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
#[serde(transparent)]
struct Members(Vec<Member>);

fn list(ctx: &Context) -> Result<()> {
    ctx.ui
        .show(&Members(ctx.accounts()?.list_members(&ctx.organization()?)?))
}

impl View for Members {
    fn layout(&self) -> Layout {
        let mut table = Table::new(["USER", "ROLE", "EMAIL"], "No members.");
        for member in &self.0 {
            table.row(vec![
                Cell::text(member.username.as_str()),
                Cell::text(member.role.name()),
                Cell::maybe(Some(&member.email).filter(|text| !text.is_empty()), Cell::text),
            ]);
        }
        Layout::Table(table)
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|member| member.username.to_string()).collect()
    }
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct Changed {
    organization: OrganizationSlug,
    #[serde(flatten)]
    member: Member,
    changed: bool,
}

/// Add a user of the server as a member
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso org members add bob --role viewer --org team")]
pub(in crate::commands) struct Add {
    /// Name of the user
    #[arg(value_name = "USER")]
    user: Username,
    #[command(flatten)]
    role: RoleArgs,
    /// Succeed if the user is a member already
    #[arg(long)]
    if_not_exists: bool,
    #[command(flatten)]
    dry: DryRun,
}

fn add(ctx: &Context, args: &Add) -> Result<()> {
    let (accounts, organization) = (ctx.accounts()?, ctx.organization()?);
    if args.dry.dry_run {
        match preconditions::check_new_member(ctx, &organization, &args.user) {
            Err(error) if args.if_not_exists && error.code() == Code::MemberExists => {
                return answers::plan(ctx, Vec::new());
            }
            checked => checked?,
        }
        let step = format!(
            "add {} to organization {organization} as {}",
            args.user,
            args.role.role()
        );
        return answers::plan(ctx, vec![step]);
    }
    let (member, changed) = match accounts.add_member(&organization, &args.user, args.role.role()) {
        Ok(member) => (member, true),
        Err(error) if args.if_not_exists && error.code() == Code::MemberExists => {
            (accounts.get_member(&organization, &args.user)?, false)
        }
        Err(error) => return Err(error),
    };
    let sentence = if changed {
        format!("Added {} to organization {organization} as {}.", args.user, member.role)
    } else {
        format!(
            "{} is in organization {organization} already, as {}.",
            args.user, member.role
        )
    };
    let thing = Changed {
        organization,
        member,
        changed,
    };
    ctx.ui.show(&Done::new(thing, &args.user, sentence))
}

/// Change the role of a member
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso org members role bob admin --org team")]
pub(in crate::commands) struct Role {
    /// Name of the user
    #[arg(value_name = "USER")]
    user: Username,
    /// The new role: owner, admin, member or viewer
    #[arg(value_name = "ROLE")]
    role: MemberRole,
    #[command(flatten)]
    dry: DryRun,
}

/// Answers a dry run about a member.
fn plan(ctx: &Context, organization: &OrganizationSlug, user: &Username, step: String, if_exists: bool) -> Result<()> {
    let members = ctx.accounts()?.list_members(organization)?;
    let is_there = members.iter().any(|member| member.username == *user);
    let missing = Error::new(
        Code::UserNotFound,
        format!("{user} is no member of organization {organization}"),
    )
    .hint("torso org members list shows the members");
    answers::plan_for_existing(ctx, step, is_there, if_exists, missing)
}

fn role(ctx: &Context, args: &Role) -> Result<()> {
    let organization = ctx.organization()?;
    if args.dry.dry_run {
        if args.role < MemberRole::Owner {
            preconditions::check_other_owner(ctx, &organization, &args.user)?;
        }
        let step = format!("make {} {} in organization {organization}", args.user, args.role);
        return plan(ctx, &organization, &args.user, step, false);
    }
    let member = ctx.accounts()?.update_member(&organization, &args.user, args.role)?;
    let sentence = format!("{} is now {} in organization {organization}.", args.user, member.role);
    let thing = Changed {
        organization,
        member,
        changed: true,
    };
    ctx.ui.show(&Done::new(thing, &args.user, sentence))
}

/// Remove a member, and end the tokens that the member made
///
/// Database tokens and API tokens of the organization that the member made open nothing any more; applications that use one
/// need another. The answer names them.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  torso org members remove bob --org team --yes
  torso org members remove bob --org team --keep-tokens")]
pub(in crate::commands) struct Remove {
    /// Name of the user
    #[arg(value_name = "USER")]
    user: Username,
    /// Do not ask for confirmation
    #[arg(long, short)]
    yes: bool,
    /// Succeed if the user is not a member
    #[arg(long)]
    if_exists: bool,
    /// Leave the database tokens that the user made; the answer names them
    #[arg(long)]
    keep_tokens: bool,
    #[command(flatten)]
    dry: DryRun,
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct Removed {
    organization: OrganizationSlug,
    username: Username,
    removed: bool,
    #[serde(flatten)]
    ended: EndedAccess,
}

/// What became of the tokens that a user made, as a sentence after another; empty where there are none.
pub(in crate::commands) fn tokens_sentence(user: &Username, ended: &EndedAccess) -> String {
    if ended.tokens.is_empty() {
        return String::new();
    }
    let names: Vec<String> = ended
        .tokens
        .iter()
        .map(|token| match &token.name {
            Some(name) => format!("{} token {name} ({})", token.kind, token.id),
            None => format!("{} token {}", token.kind, token.id),
        })
        .collect();
    let what = if ended.tokens_ended { "Ended" } else { "Still open" };
    format!(" {what}, of {user}: {}.", names.join(", "))
}

fn remove(ctx: &Context, args: &Remove) -> Result<()> {
    let (user, organization) = (&args.user, ctx.organization()?);
    let doing = format!("remove {user} from organization {organization}");
    if args.dry.dry_run {
        preconditions::check_other_owner(ctx, &organization, user)?;
        return plan(ctx, &organization, user, doing, args.if_exists);
    }
    ctx.confirm(args.yes, &doing, user.as_str())?;
    let (removed, ended) = match ctx.accounts()?.remove_member(&organization, user, args.keep_tokens) {
        Ok(ended) => (true, ended),
        Err(error) if args.if_exists && error.code() == Code::UserNotFound => (false, EndedAccess::default()),
        Err(error) => return Err(error),
    };
    let sentence = if removed {
        let tokens = tokens_sentence(user, &ended);
        format!("Removed {user} from organization {organization}.{tokens}")
    } else {
        format!("{user} is not a member of organization {organization}.")
    };
    let thing = Removed {
        organization,
        username: user.clone(),
        removed,
        ended,
    };
    ctx.ui.show(&Done::new(thing, user, sentence))
}
