//! `torso auth`: who you are on a server, and the tokens that say so.

mod accept;
mod browser;
mod tokens;

use super::DryRun;
use super::answers::{self, Done};
use super::committed::Committed;
use super::token_input::{self, TokenInput};
use crate::context::Context;
use crate::control::ApiTokenOperations as _;
use crate::control::client::Client;
use crate::control::names::{ContextName, OrganizationSlug, Username};
use crate::error::{Code, Error, Result};
use crate::secret::Secret;
use crate::settings::contexts::{LOCAL, ServerSettings};
use crate::ui::{Card, Cell, Layout, View, text};
use clap::Subcommand;
use jiff::Timestamp;
use serde::Serialize;

crate::commands::schemas::document!("auth login", "auth accept" => LoggedIn);
crate::commands::schemas::document!("auth logout" => LoggedOut);
crate::commands::schemas::document!("auth status" => Standing);
crate::commands::schemas::document!("auth whoami", "auth token" => String);

/// Log in to a server; make and revoke API tokens
#[derive(Subcommand)]
#[command(defer = true)]
pub(super) enum Verb {
    Login(Login),
    Accept(accept::Accept),
    Logout(Logout),
    Whoami(Whoami),
    Status(Status),
    Token(Token),
    #[command(subcommand)]
    ApiTokens(tokens::Verb),
}

pub(super) fn run(ctx: &Context, verb: Verb) -> Result<()> {
    match verb {
        Verb::Login(args) => login(ctx, &args),
        Verb::Accept(args) => accept::run(ctx, &args),
        Verb::Logout(args) => logout(ctx, &args),
        Verb::Whoami(_) => whoami(ctx),
        Verb::Status(_) => status(ctx),
        Verb::Token(_) => show_token(ctx),
        Verb::ApiTokens(verb) => tokens::run(ctx, verb),
    }
}

/// Log in to the server of the current context
///
/// torso asks for the token, or reads it with --token-stdin or --token-file. For Turso Cloud it opens a browser, which sends
/// the token back; --headless prints the address to open elsewhere.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  torso auth login --context prod
  pass show torso | torso auth login --token-stdin")]
pub(super) struct Login {
    #[command(flatten)]
    token_input: TokenInput,
    /// Print the address to open, and ask for the token shown there
    #[arg(long, conflicts_with = "browser")]
    headless: bool,
    /// Open a browser for any server, not only Turso Cloud
    #[arg(long)]
    browser: bool,
    #[command(flatten)]
    dry: DryRun,
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct LoggedIn {
    context: ContextName,
    url: String,
    username: Username,
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    expires_at: Option<Timestamp>,
    /// Only where it could not be kept and cannot be had again.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<Secret>,
}

fn login(ctx: &Context, args: &Login) -> Result<()> {
    let server = server(ctx)?;
    let Some(context) = server.context.clone() else {
        return Err(Error::new(
            Code::Conflict,
            "the environment names the server, so there is no context to save a token in",
        )
        .hint("set TORSO_TOKEN, or add the server: torso context add NAME --url URL"));
    };
    let token = match args.token_input.read()? {
        Some(token) => token,
        None if args.headless => {
            ctx.ui.notice(format!(
                "Open this address in a browser, log in, and copy the token:\n{}",
                browser::headless(&server.url)
            ));
            token_input::ask(ctx, server.url.as_str())?
        }
        None if args.browser || server.is_turso_cloud() => browser::login(ctx, &server.url)?,
        None => token_input::ask(ctx, server.url.as_str())?,
    };
    let as_new = ServerSettings {
        token: Some(token.clone()),
        ..server.clone()
    };
    let client = ctx.client(as_new);
    let (expires_at, user) = (client.validate()?, client.current_user()?);
    if args.dry.dry_run {
        let step = format!("save the token of {} for context {context}", user.username);
        return answers::plan(ctx, vec![step]);
    }
    ctx.settings.store_token(&context, Some(&token))?;
    if let Some(crate::settings::SettingOrigin::Environment(name)) = server.token_origin {
        ctx.ui
            .warn(format!("{name} is set, and takes precedence over the saved token"));
    }
    let sentence = format!("Logged in to {} as {}.", client.address(), user.username);
    let logged_in = LoggedIn {
        url: server.url.to_string(),
        username: user.username.clone(),
        context,
        expires_at,
        token: None,
    };
    ctx.ui.show(&Done::new(logged_in, user.username, sentence))
}

/// The server of the current context.
fn server(ctx: &Context) -> Result<ServerSettings> {
    // The one error about contexts that are none.
    ctx.server()?;
    ctx.settings
        .server()?
        .ok_or_else(|| Error::new(Code::Internal, "a server without an address"))
}

/// Remove the saved token of the current context
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso auth logout --all")]
pub(super) struct Logout {
    /// Also revoke all your API tokens, everywhere
    #[arg(long, short)]
    all: bool,
    /// Do not ask for confirmation (with --all)
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    dry: DryRun,
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct LoggedOut {
    context: Option<ContextName>,
    /// False when no token was kept.
    logged_out: bool,
    /// Tokens made before this do not open anything any more.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    invalidated_before: Option<Timestamp>,
}

fn logout(ctx: &Context, args: &Logout) -> Result<()> {
    let server = server(ctx)?;
    if args.dry.dry_run {
        let mut steps = Vec::new();
        if args.all {
            steps.push(format!(
                "end every API token of {}",
                ctx.server()?.current_user()?.username
            ));
        }
        if let Some(context) = server.context.filter(|_| server.token.is_some()) {
            steps.push(format!("remove the saved token of context {context}"));
        }
        return answers::plan(ctx, steps);
    }
    let invalidated_before = if args.all {
        let client = ctx.server()?;
        let name = client.current_user()?.username;
        ctx.confirm(args.yes, &format!("end every API token of {name}"), name.as_str())?;
        Some(client.invalidate_sessions()?)
    } else {
        None
    };
    let forget = || match &server.context {
        Some(context) => ctx.settings.store_token(context, None),
        None => Ok(false),
    };
    let logged_out = if args.all {
        // The token opens nothing any more, wherever it is kept.
        Committed::new(ctx, false)
            .follow_up("the revoked token is still saved", |forgotten| {
                *forgotten = forget()?;
                Ok(())
            })
            .into_result()
    } else {
        forget()?
    };
    let sentence = match (logged_out, invalidated_before) {
        (_, Some(at)) => format!("Logged out, and ended every API token made before {}.", text::time(at)),
        (true, None) => "Logged out.".to_owned(),
        (false, None) => "No token was saved.".to_owned(),
    };
    let name = server.context.as_ref().map(ToString::to_string).unwrap_or_default();
    let thing = LoggedOut {
        context: server.context,
        logged_out,
        invalidated_before,
    };
    ctx.ui.show(&Done::new(thing, name, sentence))
}

/// Print your user name on the server
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso auth whoami")]
pub(super) struct Whoami {}

fn whoami(ctx: &Context) -> Result<()> {
    ctx.ui.value(ctx.accounts()?.current_user()?.username.as_str())
}

/// Show the current server, your user, and whether the server responds
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso auth status --context prod")]
pub(super) struct Status {}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct Standing {
    context: Option<ContextName>,
    kind: &'static str,
    url: Option<String>,
    logged_in: bool,
    username: Option<Username>,
    /// The organization that commands work in; none for your own.
    organization: Option<OrganizationSlug>,
    /// Who gives the token.
    token_source: Option<String>,
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    expires_at: Option<Timestamp>,
}

impl View for Standing {
    fn layout(&self) -> Layout {
        Layout::Card(
            Card::default()
                .field_if("Context", self.context.as_ref(), |name| Cell::text(name.as_str()))
                .field("Kind", Cell::text(self.kind))
                .field_if("URL", self.url.as_ref(), Cell::text)
                .field("Logged in", Cell::yes_no(self.logged_in))
                .field_if("User", self.username.as_ref(), |name| Cell::text(name.as_str()))
                .field_if("Organization", self.organization.as_ref(), |slug| {
                    Cell::text(slug.as_str())
                })
                .field_if("Token from", self.token_source.as_ref(), Cell::text)
                .field_if("Token expires", self.expires_at, Cell::time),
        )
    }

    fn names(&self) -> Vec<String> {
        self.username.iter().map(ToString::to_string).collect()
    }
}

fn status(ctx: &Context) -> Result<()> {
    let Some(server) = ctx.settings.server()? else {
        return ctx.ui.show(&Standing {
            context: Some(LOCAL.parse()?),
            kind: "embedded",
            url: None,
            logged_in: false,
            username: None,
            organization: None,
            token_source: None,
            expires_at: None,
        });
    };
    let found = if server.token.is_some() {
        ask(ctx.server()?)
    } else {
        Err(not_logged_in(&server))
    };
    let (username, expires_at, problem) = match found {
        Ok((username, expires_at)) => (Some(username), expires_at, None),
        Err(error) => (None, None, Some(error)),
    };
    ctx.ui.show(&Standing {
        context: server.context,
        kind: "server",
        url: Some(server.url.to_string()),
        logged_in: username.is_some(),
        username,
        organization: server.organization,
        token_source: server.token_origin.map(|origin| origin.to_string()),
        expires_at,
    })?;
    match problem {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

fn ask(client: &Client) -> Result<(Username, Option<Timestamp>)> {
    let expires_at = client.validate()?;
    Ok((client.current_user()?.username, expires_at))
}

fn not_logged_in(server: &ServerSettings) -> Error {
    Error::new(Code::Unauthenticated, format!("no token for {} is saved", server.url))
        .hint("log in with torso auth login, or set TORSO_TOKEN")
}

/// Print the API token in use
///
/// Whoever has the token can do all that you can. Pass it to programs in a file or the environment, not on a command line.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso auth token > token.txt")]
pub(super) struct Token {}

fn show_token(ctx: &Context) -> Result<()> {
    let server = server(ctx)?;
    match &server.token {
        Some(token) => ctx.ui.value(token.expose()),
        None => Err(not_logged_in(&server)),
    }
}
