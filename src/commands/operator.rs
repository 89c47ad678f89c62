//! `torso server users` and `torso server quotas`: what the operator of a server does with one that runs. Schedules of backups have a
//! file of their own.

use super::DryRun;
use super::answers::{self, Done};
use super::org::members::tokens_sentence;
use super::quota::Quota;
use super::{schedules, server_config};
use crate::context::Context;
use crate::control::accounts::{EndedAccess, QuotaSetting, ServerOrganization, ServerUser};
use crate::control::names::Username;
use crate::error::{Code, Error, Result};
use crate::ui::{Cell, Layout, Table, View};
use clap::Subcommand;
use serde::Serialize;

crate::commands::schemas::document!("server orgs list" => Organizations);
crate::commands::schemas::document!("server users list" => Listed);
crate::commands::schemas::document!("server users disable", "server users remove" => Ended);
crate::commands::schemas::document!("server quotas list", "server quotas set" => Set);

/// Manage the server of the current context
#[derive(Subcommand)]
#[command(defer = true)]
pub(super) enum Verb {
    /// List, disable and remove users of a running server
    #[command(subcommand)]
    Users(Users),
    /// List all organizations of a running server
    #[command(subcommand)]
    Orgs(Orgs),
    /// List and set quotas of a running server
    #[command(subcommand)]
    Quotas(Quotas),
    /// Show and change settings of a running server
    #[command(subcommand)]
    Config(server_config::Verb),
    /// List, set and remove schedules of backups of a running server
    #[command(subcommand)]
    Schedules(schedules::Verb),
}

#[derive(Subcommand)]
#[command(defer = true)]
pub(super) enum Users {
    #[command(visible_alias = "ls")]
    List(ListUsers),
    Disable(Disable),
    #[command(visible_alias = "rm")]
    Remove(Remove),
}

#[derive(Subcommand)]
#[command(defer = true)]
pub(super) enum Orgs {
    #[command(visible_alias = "ls")]
    List(ListOrganizations),
}

#[derive(Subcommand)]
#[command(defer = true)]
pub(super) enum Quotas {
    #[command(visible_alias = "ls")]
    List(ListQuotas),
    Set(SetQuotas),
}

pub(super) fn run(ctx: &Context, verb: &Verb) -> Result<()> {
    match verb {
        Verb::Users(Users::List(_)) => ctx.ui.show(&Listed(ctx.accounts()?.list_users()?)),
        Verb::Users(Users::Disable(args)) => disable(ctx, args),
        Verb::Users(Users::Remove(args)) => remove(ctx, args),
        Verb::Orgs(Orgs::List(_)) => ctx
            .ui
            .show(&Organizations(ctx.accounts()?.list_server_organizations()?)),
        Verb::Quotas(Quotas::List(_)) => ctx.ui.show(&Set(ctx.accounts()?.list_quotas()?)),
        Verb::Quotas(Quotas::Set(args)) => set_quotas(ctx, args),
        Verb::Config(verb) => server_config::run(ctx, verb),
        Verb::Schedules(verb) => schedules::run(ctx, verb),
    }
}

/// List the users of the server
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso server users list")]
pub(super) struct ListUsers {}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
#[serde(transparent)]
struct Listed(Vec<ServerUser>);

impl View for Listed {
    fn layout(&self) -> Layout {
        let header = ["USER", "EMAIL", "ORGANIZATIONS", "API TOKENS", "LAST USED", "CREATED"];
        let mut table = Table::new(header, "No users.");
        for user in &self.0 {
            table.row(vec![
                Cell::text(user.username.as_str()),
                Cell::maybe(Some(&user.email).filter(|text| !text.is_empty()), Cell::text),
                Cell::list(&user.organizations),
                Cell::text(user.api_tokens.to_string()),
                Cell::maybe(user.last_used_at, Cell::age),
                Cell::time(user.created_at),
            ]);
        }
        Layout::Table(table)
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|user| user.username.to_string()).collect()
    }
}

/// List all organizations of the server, whoever is a member
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso server orgs list")]
pub(super) struct ListOrganizations {}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
#[serde(transparent)]
struct Organizations(Vec<ServerOrganization>);

impl View for Organizations {
    fn layout(&self) -> Layout {
        let header = [
            "ORGANIZATION",
            "OWNERS",
            "MEMBERS",
            "DATABASES",
            "STORAGE",
            "OVER QUOTA",
            "CREATED",
        ];
        let mut table = Table::new(header, "No organizations.");
        for organization in &self.0 {
            table.row(vec![
                Cell::text(organization.slug.as_str()),
                Cell::list(&organization.owners),
                Cell::number(organization.members),
                Cell::number(organization.databases),
                Cell::size(organization.storage_bytes),
                Cell::yes_no(organization.over_quota),
                Cell::time(organization.created_at),
            ]);
        }
        Layout::Table(table)
    }

    fn names(&self) -> Vec<String> {
        self.0
            .iter()
            .map(|organization| organization.slug.to_string())
            .collect()
    }
}

/// End every token that a user has or made, and keep the rest
///
/// The user comes back with a new token: torso server --issue-token USER, at a start.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso server users disable bob --yes")]
pub(super) struct Disable {
    /// Name of the user
    #[arg(value_name = "USER")]
    user: Username,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    dry: DryRun,
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct Ended {
    username: Username,
    /// Whether something was changed.
    done: bool,
    #[serde(flatten)]
    ended: EndedAccess,
}

/// Answers a dry run about a user.
fn plan(ctx: &Context, user: &Username, step: String, if_exists: bool) -> Result<()> {
    let users = ctx.accounts()?.list_users()?;
    let known = users.iter().find(|known| known.username == *user);
    if known.is_some_and(|known| known.operator) {
        return Err(Error::new(
            Code::Conflict,
            format!("{user} is the operator of the server, without whom nobody could manage it"),
        )
        .hint("end single tokens with torso auth api-tokens revoke"));
    }
    let is_there = known.is_some();
    let missing = Error::new(Code::UserNotFound, format!("there is no user {user} on this server"))
        .hint("torso server users list shows the users");
    answers::plan_for_existing(ctx, step, is_there, if_exists, missing)
}

fn disable(ctx: &Context, args: &Disable) -> Result<()> {
    let user = &args.user;
    let doing = format!("end every token of user {user}");
    if args.dry.dry_run {
        return plan(ctx, user, doing, false);
    }
    ctx.ui.confirm(args.yes, &doing, user.as_str())?;
    let ended = ctx.accounts()?.disable_user(user)?;
    let sentence = format!("Disabled user {user}.{}", tokens_sentence(user, &ended));
    let thing = Ended {
        username: user.clone(),
        done: true,
        ended,
    };
    ctx.ui.show(&Done::new(thing, user, sentence))
}

/// Remove a user with the personal organization, which must be empty, and end every token of the user
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso server users remove bob --yes")]
pub(super) struct Remove {
    /// Name of the user
    #[arg(value_name = "USER")]
    user: Username,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// Succeed when there is no such user
    #[arg(long)]
    if_exists: bool,
    #[command(flatten)]
    dry: DryRun,
}

fn remove(ctx: &Context, args: &Remove) -> Result<()> {
    let user = &args.user;
    let doing = format!("remove user {user} from the server");
    if args.dry.dry_run {
        return plan(ctx, user, doing, args.if_exists);
    }
    ctx.ui.confirm(args.yes, &doing, user.as_str())?;
    let (done, ended) = match ctx.accounts()?.remove_user(user) {
        Ok(ended) => (true, ended),
        Err(error) if args.if_exists && error.code() == Code::UserNotFound => (false, EndedAccess::default()),
        Err(error) => return Err(error),
    };
    let sentence = match done {
        true => format!("Removed user {user}.{}", tokens_sentence(user, &ended)),
        false => format!("There is no user {user}."),
    };
    let thing = Ended {
        username: user.clone(),
        done,
        ended,
    };
    ctx.ui.show(&Done::new(thing, user, sentence))
}

/// List the quotas that were set; what is not listed is unlimited
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso server quotas list")]
pub(super) struct ListQuotas {}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
#[serde(transparent)]
struct Set(Vec<QuotaSetting>);

impl View for Set {
    fn layout(&self) -> Layout {
        let mut table = Table::new(
            ["ORGANIZATION", "QUOTA", "VALUE"],
            "No quotas: everything is unlimited.",
        );
        for quota in &self.0 {
            let value = match quota.value {
                0 => "unlimited".to_owned(),
                value => value.to_string(),
            };
            table.row(vec![
                Cell::text(quota.organization.as_ref().map_or("all", |slug| slug.as_str())),
                Cell::text(&quota.name),
                Cell::text(value),
            ]);
        }
        Layout::Table(table)
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|quota| quota.name.clone()).collect()
    }
}

/// Set quotas of all organizations, or of one; they count at once
#[derive(clap::Args)]
#[command(after_help = "Examples:
  torso server quotas set databases=50 storage=10gb
  torso server quotas set acme/storage=100gb")]
pub(super) struct SetQuotas {
    /// databases, groups, locations or storage; 0 is unlimited
    #[arg(value_name = "[ORG/]NAME=VALUE", required = true, value_parser = super::quota::parse_quota)]
    quotas: Vec<Quota>,
    #[command(flatten)]
    dry: DryRun,
}

fn set_quotas(ctx: &Context, args: &SetQuotas) -> Result<()> {
    let accounts = ctx.accounts()?;
    if args.dry.dry_run {
        let steps = args.quotas.iter().map(|quota| {
            let set = quota.to_setting();
            let of = set
                .organization
                .as_ref()
                .map_or("all organizations", |slug| slug.as_str());
            format!("set the quota {} of {of} to {}", set.name, set.value)
        });
        return answers::plan(ctx, steps.collect());
    }
    let mut set = Vec::with_capacity(args.quotas.len());
    for quota in &args.quotas {
        let quota = quota.to_setting();
        accounts.set_quota(&quota).map_err(|error| match set.len() {
            0 => error,
            done => Error::new(Code::Partial, format!("{done} of {} quotas are set", args.quotas.len()))
                .caused_by(error.full_message()),
        })?;
        set.push(quota);
    }
    ctx.ui.show(&Set(set))
}
