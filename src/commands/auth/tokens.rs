//! `torso auth api-tokens`: tokens for programs that act as you.

use crate::commands::DryRun;
use crate::commands::answers::{self, Done};
use crate::commands::completers;
use crate::commands::org::preconditions::check_new_api_token;
use crate::commands::paging::{self, Limit};
use crate::context::Context;
use crate::control::accounts::{ApiToken, NewApiToken};
use crate::control::names::{GroupName, TokenName};
use crate::control::tokens::Expiration;
use crate::error::{Code, Error, Result};
use crate::secret::Secret;
use crate::ui::{Cell, Layout, Table, View};
use clap::Subcommand;
use serde::Serialize;

crate::commands::schemas::document!("auth api-tokens list" => Tokens);
crate::commands::schemas::document!("auth api-tokens mint" => Minted);
crate::commands::schemas::document!("auth api-tokens revoke" => Revoked);

/// Create, list and revoke API tokens, for programs that act as you
#[derive(Subcommand)]
#[command(defer = true)]
pub(in crate::commands) enum Verb {
    #[command(visible_alias = "ls")]
    List(List),
    #[command(visible_alias = "create")]
    Mint(Mint),
    #[command(visible_alias = "rm")]
    Revoke(Revoke),
}

pub(super) fn run(ctx: &Context, verb: Verb) -> Result<()> {
    match verb {
        Verb::List(args) => list(ctx, args),
        Verb::Mint(args) => mint(ctx, &args),
        Verb::Revoke(args) => revoke(ctx, &args),
    }
}

/// List your API tokens (the secrets are not stored)
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso auth api-tokens list")]
pub(in crate::commands) struct List {
    #[command(flatten)]
    limit: Limit,
    /// Only names that come after it: of the next page
    #[arg(long, value_name = "NAME")]
    after: Option<TokenName>,
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
#[serde(transparent)]
struct Tokens(Vec<ApiToken>);

fn list(ctx: &Context, args: List) -> Result<()> {
    let accounts = ctx.accounts()?;
    paging::print(
        ctx,
        (&args.limit, args.after),
        |after, limit| accounts.list_api_tokens_after(after, limit),
        |_| true,
        |token| Ok(token.name.clone()),
        Tokens,
    )
}

impl View for Tokens {
    fn layout(&self) -> Layout {
        let mut table = Table::new(
            [
                "NAME",
                "ORGANIZATION",
                "GROUP",
                "SCOPES",
                "CREATED",
                "LAST USED",
                "EXPIRES",
            ],
            "No API tokens. Make one: torso auth api-tokens mint NAME",
        );
        for token in &self.0 {
            table.row(vec![
                Cell::text(token.name.as_str()),
                Cell::maybe(token.organization.as_ref(), |slug| Cell::text(slug.as_str())),
                Cell::maybe(token.group.as_ref(), |name| Cell::text(name.as_str())),
                Cell::list(&token.scopes),
                Cell::maybe(token.created_at, Cell::time),
                Cell::maybe(token.last_used_at, Cell::age),
                Cell::maybe(token.expires_at, Cell::time),
            ]);
        }
        Layout::Table(table)
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|token| token.name.to_string()).collect()
    }
}

/// Create an API token and print it once
///
/// Without --scope it may do all that you may. --org restricts it to an organization, --group to one group there. With --group,
/// name what it may do: --scope, --read-only or --full-access.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  torso auth api-tokens mint ci --expiration 90d > token.txt
  torso auth api-tokens mint deploy --org team --scope db:create")]
pub(in crate::commands) struct Mint {
    /// Name of the token
    #[arg(value_name = "NAME")]
    name: TokenName,
    /// How long it is valid, such as 90d
    #[arg(long, short, value_name = "DURATION", default_value = "never")]
    expiration: Expiration,
    /// Only for this group of the organization in --org
    #[arg(long, value_name = "NAME", requires = "permissions", add = completers::groups())]
    group: Option<GroupName>,
    /// Limit it to this scope; repeatable
    #[arg(long, value_name = "SCOPE", group = "permissions", value_parser = SCOPES)]
    scope: Vec<String>,
    /// Limit it to reading
    #[arg(long, group = "permissions", conflicts_with_all = ["scope", "full_access"])]
    read_only: bool,
    /// Allow all that you may do
    #[arg(long, group = "permissions", conflicts_with = "scope")]
    full_access: bool,
    #[command(flatten)]
    dry: DryRun,
}

/// What a token may be made for.
const SCOPES: [&str; 9] = [
    "read",
    "db:create",
    "db:delete",
    "db:configure",
    "db:mint-token",
    "db:rotate-creds",
    "group:configure",
    "group:mint-token",
    "group:rotate-creds",
];

/// The answer: the one time that the token is told.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct Minted {
    #[serde(flatten)]
    token: ApiToken,
    value: Secret,
}

impl View for Minted {
    fn layout(&self) -> Layout {
        Layout::Said(self.value.expose().to_owned())
    }

    fn names(&self) -> Vec<String> {
        vec![self.token.name.to_string()]
    }
}

fn mint(ctx: &Context, args: &Mint) -> Result<()> {
    let organization = ctx.settings.organization_flag()?;
    if args.group.is_some() && organization.is_none() {
        return Err(Error::new(Code::Usage, "--group needs the organization it belongs to").hint("add --org NAME"));
    }
    let scopes = match (args.read_only, args.full_access, args.scope.is_empty()) {
        (true, _, _) => Some(vec!["read-only".to_owned()]),
        (_, true, _) => Some(vec!["full-access".to_owned()]),
        (_, _, false) => Some(args.scope.clone()),
        _ => None,
    };
    if args.dry.dry_run {
        check_new_api_token(ctx, &args.name, organization.as_ref())?;
        return answers::plan(ctx, vec![format!("create API token {}", args.name)]);
    }
    let minted = ctx.accounts()?.create_api_token(
        &args.name,
        &NewApiToken {
            organization,
            group: args.group.clone(),
            scopes,
            expiration: match args.expiration {
                Expiration::Never => None,
                after => Some(after.to_string()),
            },
        },
    )?;
    ctx.ui
        .notice("This is the only time that the token is shown; keep it in a safe place.");
    ctx.ui.show(&Minted {
        token: minted.token,
        value: minted.value,
    })
}

/// Revoke an API token, effective at once
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso auth api-tokens revoke ci --yes")]
pub(in crate::commands) struct Revoke {
    /// Name of the token
    #[arg(value_name = "NAME")]
    name: TokenName,
    /// Do not ask for confirmation
    #[arg(long, short)]
    yes: bool,
    /// Succeed if there is no such token
    #[arg(long)]
    if_exists: bool,
    #[command(flatten)]
    dry: DryRun,
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct Revoked {
    name: TokenName,
    revoked: bool,
}

fn revoke(ctx: &Context, args: &Revoke) -> Result<()> {
    let accounts = ctx.accounts()?;
    let name = &args.name;
    let doing = format!("revoke API token {name}");
    if args.dry.dry_run {
        let is_there = accounts.list_api_tokens()?.iter().any(|token| token.name == *name);
        let missing = Error::new(Code::TokenNotFound, format!("you have no API token {name}"))
            .hint("torso auth api-tokens list shows your tokens");
        return answers::plan_for_existing(ctx, doing, is_there, args.if_exists, missing);
    }
    ctx.confirm(args.yes, &doing, name.as_str())?;
    let revoked = match accounts.revoke_api_token(name) {
        Ok(()) => true,
        Err(error) if args.if_exists && error.code() == Code::TokenNotFound => false,
        Err(error) => return Err(error),
    };
    let sentence = if revoked {
        format!("Revoked API token {name}.")
    } else {
        format!("There is no API token {name}.")
    };
    let thing = Revoked {
        name: name.clone(),
        revoked,
    };
    ctx.ui.show(&Done::new(thing, name, sentence))
}
