//! `torso context`: which control plane commands work in.

use super::DryRun;
use super::answers::{self, Done};
use super::completers;
use super::token_input::TokenInput;
use crate::context::Context as Surroundings;
use crate::control::names::{ContextName, OrganizationSlug};
use crate::control::{ApiTokenOperations as _, OrganizationOperations as _};
use crate::error::{Code, Error, Result};
use crate::net::is_loopback;
use crate::settings::contexts::{NamedContext, ServerSettings};
use crate::settings::keys::SettingKey;
use crate::settings::server_url::parse_server_url;
use crate::ui::{Card, Cell, Layout, Table, View};
use clap::Subcommand;
use serde::Serialize;

crate::commands::schemas::document!("context list" => Contexts);
crate::commands::schemas::document!("context show", "context add", "context use" => ContextView);
crate::commands::schemas::document!("context remove" => Removed);

/// Where commands run: here, a server or Turso Cloud
#[derive(Subcommand)]
#[command(defer = true)]
pub(super) enum Verb {
    #[command(visible_alias = "ls")]
    List(List),
    Show(Show),
    Add(Add),
    Use(Use),
    #[command(visible_alias = "rm")]
    Remove(Remove),
}

pub(super) fn run(ctx: &Surroundings, verb: Verb) -> Result<()> {
    match verb {
        Verb::List(_) => list(ctx),
        Verb::Show(args) => show(ctx, args),
        Verb::Add(args) => add(ctx, args),
        Verb::Use(args) => choose(ctx, &args),
        Verb::Remove(args) => remove(ctx, &args),
    }
}

/// A context, as answered. Its token is never part of an answer.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct ContextView {
    /// None for the server that the environment names.
    name: Option<ContextName>,
    kind: &'static str,
    url: Option<String>,
    has_token: bool,
    /// The organization chosen in it; none for your own.
    organization: Option<OrganizationSlug>,
    current: bool,
    /// The variable that names the server, where it is no context.
    #[serde(skip_serializing_if = "Option::is_none")]
    variable: Option<&'static str>,
}

fn context_view(context: NamedContext, current: Option<&str>) -> ContextView {
    ContextView {
        kind: if context.url.is_some() { "server" } else { "embedded" },
        current: Some(context.name.as_str()) == current,
        name: Some(context.name),
        url: context.url,
        has_token: context.has_token,
        organization: context.organization,
        variable: None,
    }
}

/// The server that the environment names, in which commands work whatever the contexts are.
fn environment_server(ctx: &Surroundings) -> Result<Option<ContextView>> {
    let Some((_, variable)) = ctx.settings.environment_server() else {
        return Ok(None);
    };
    let server = ctx.settings.server()?;
    Ok(server.map(|server| ContextView {
        name: None,
        kind: "server",
        url: Some(server.url.to_string()),
        has_token: server.token.is_some(),
        organization: server.organization,
        current: true,
        variable: Some(variable),
    }))
}

impl ContextView {
    fn title(&self) -> &str {
        match (&self.name, self.variable) {
            (Some(name), _) => name.as_str(),
            (None, variable) => variable.unwrap_or_default(),
        }
    }
}

/// List contexts
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso context list")]
pub(super) struct List {}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
#[serde(transparent)]
struct Contexts(Vec<ContextView>);

fn list(ctx: &Surroundings) -> Result<()> {
    let current = ctx.settings.current_context()?;
    let contexts = ctx.settings.contexts()?.into_iter();
    let mut all: Vec<ContextView> = contexts
        .map(|context| context_view(context, current.as_deref()))
        .collect();
    all.extend(environment_server(ctx)?);
    ctx.ui.show(&Contexts(all))
}

impl View for Contexts {
    fn layout(&self) -> Layout {
        let mut table = Table::new(["NAME", "KIND", "URL", "TOKEN"], "No contexts.");
        for context in &self.0 {
            let name = context.title();
            table.row(vec![
                if context.current {
                    Cell::text(name).with_display(format!("{name} (current)"))
                } else {
                    Cell::text(name)
                },
                Cell::text(context.kind),
                Cell::maybe(context.url.as_ref(), Cell::text),
                Cell::yes_no(context.has_token),
            ]);
        }
        Layout::Table(table)
    }

    fn names(&self) -> Vec<String> {
        let names = self.0.iter().filter_map(|context| context.name.as_ref());
        names.map(ToString::to_string).collect()
    }
}

/// Show a context; without a name, the current one
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso context show")]
pub(super) struct Show {
    /// Name of the context
    #[arg(value_name = "NAME", add = completers::contexts())]
    name: Option<ContextName>,
}

impl View for ContextView {
    fn layout(&self) -> Layout {
        Layout::Card(
            Card::default()
                .field("Name", Cell::text(self.title()))
                .field("Kind", Cell::text(self.kind))
                .field_if("URL", self.url.as_ref(), Cell::text)
                .field_if("Token", self.url.as_ref().map(|_| self.has_token), Cell::yes_no)
                .field_if("Organization", self.organization.as_ref(), |slug| {
                    Cell::text(slug.as_str())
                })
                .field("Current", Cell::yes_no(self.current)),
        )
    }

    fn names(&self) -> Vec<String> {
        self.name.iter().map(ToString::to_string).collect()
    }
}

fn show(ctx: &Surroundings, args: Show) -> Result<()> {
    let current = ctx.settings.current_context()?;
    let name = match (args.name, &current) {
        (Some(name), _) => name,
        (None, Some(current)) => current.parse()?,
        (None, None) => {
            if let Some(sentence) = ctx.settings.overruled_context()? {
                ctx.ui.warn(sentence);
            }
            return match environment_server(ctx)? {
                Some(server) => ctx.ui.show(&server),
                None => Err(Error::new(Code::Internal, "no context and no server is in effect")),
            };
        }
    };
    ctx.ui
        .show(&context_view(ctx.settings.context(&name)?, current.as_deref()))
}

/// Add a server as a context
///
/// torso reads the token from a file or from standard input, never from the command line, where other users could see it.
/// It checks the token with the server before it saves it. Turso Cloud is https://api.turso.tech; torso auth login logs in
/// to it with a browser.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso context add prod --url https://torso.example.com --token-file token.txt")]
pub(super) struct Add {
    /// Name of the context
    #[arg(value_name = "NAME")]
    name: ContextName,
    /// Address of the server
    #[arg(long, value_name = "URL")]
    url: String,
    #[command(flatten)]
    token_input: TokenInput,
    /// Save the token without checking it with the server
    #[arg(long)]
    no_verify: bool,
    #[command(flatten)]
    dry: DryRun,
}

fn add(ctx: &Surroundings, args: Add) -> Result<()> {
    let url = server_url(&args.url)?;
    let token = args.token_input.read()?;
    let organization = ctx.settings.organization_flag()?;
    if ctx.settings.contexts()?.iter().any(|context| context.name == args.name) {
        // Before a token goes anywhere.
        return ctx.settings.add_context(&args.name, &url, None);
    }
    if url.scheme() == "http" && !is_loopback(&url) {
        ctx.ui
            .warn("the address begins with http:, so tokens and data travel unencrypted");
    }
    if token.is_some() && !args.no_verify {
        let client = ctx.client(ServerSettings {
            context: None,
            url: url.clone(),
            token: token.clone(),
            token_origin: None,
            organization: organization.clone(),
        });
        client.validate().map_err(|error| {
            let hint = format!(
                "{}; --no-verify adds the context all the same",
                error.hint_text().unwrap_or("is the address right?")
            );
            error.hint(hint)
        })?;
        if let Some(slug) = &organization {
            client.get_organization(slug)?;
        }
    }
    if args.dry.dry_run {
        return answers::plan(ctx, vec![format!("add context {} for {url}", args.name)]);
    }
    ctx.settings.add_context(&args.name, &url, token.as_ref())?;
    if organization.is_some() {
        ctx.settings.set_organization(&args.name, organization.as_ref())?;
    }
    let context = NamedContext {
        name: args.name.clone(),
        url: Some(url.to_string()),
        has_token: token.is_some(),
        organization,
    };
    let sentence = format!("Added context {}. Work in it with torso context use {0}.", args.name);
    ctx.ui.show(&Done::new(
        context_view(context, ctx.settings.current_context()?.as_deref()),
        args.name,
        sentence,
    ))
}

/// The server's address that was given.
fn server_url(text: &str) -> Result<url::Url> {
    parse_server_url(text).map_err(|why| {
        // What may hold a password is not repeated.
        let message = if text.contains('@') {
            format!("this is not a server's address: {why}")
        } else {
            format!("{text:?} is not a server's address: {why}")
        };
        Error::new(Code::InvalidValue, message).hint("write it like https://torso.example.com")
    })
}

/// Use a context from now on
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso context use local")]
pub(super) struct Use {
    /// Name of the context
    #[arg(value_name = "NAME", add = completers::contexts())]
    name: ContextName,
    #[command(flatten)]
    dry: DryRun,
}

fn choose(ctx: &Surroundings, args: &Use) -> Result<()> {
    let context = ctx.settings.context(&args.name)?;
    if args.dry.dry_run {
        return answers::plan(ctx, vec![format!("have commands work in context {}", args.name)]);
    }
    ctx.settings.set(SettingKey::Context, Some(args.name.as_str()))?;
    let name = &args.name;
    // What else has a say, and wins.
    let winner = match (
        ctx.settings.environment_server(),
        ctx.settings.get(SettingKey::Context)?,
    ) {
        (Some((_, variable)), _) => Some(format!("the {variable} variable names a server")),
        (None, Some((other, origin))) if other != name.as_str() => Some(format!("the {origin} says {other}")),
        _ => None,
    };
    let sentence = match &winner {
        None => format!("Commands now work in context {name}."),
        Some(winner) => format!("The settings now say context {name}, but {winner}, which takes precedence here."),
    };
    let current = winner.is_none().then_some(name.as_str());
    ctx.ui.show(&Done::new(context_view(context, current), name, sentence))
}

/// Remove a context and its token; the server does not change
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso context remove prod")]
pub(super) struct Remove {
    /// Name of the context
    #[arg(value_name = "NAME", add = completers::contexts())]
    name: ContextName,
    /// Succeed if there is no such context
    #[arg(long)]
    if_exists: bool,
    #[command(flatten)]
    dry: DryRun,
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct Removed {
    name: ContextName,
    removed: bool,
}

fn remove(ctx: &Surroundings, args: &Remove) -> Result<()> {
    if args.dry.dry_run {
        return match ctx.settings.context(&args.name) {
            Ok(_) => answers::plan(ctx, vec![format!("remove context {} and its token", args.name)]),
            Err(error) if args.if_exists && error.code() == Code::ContextNotFound => answers::plan(ctx, Vec::new()),
            Err(error) => Err(error),
        };
    }
    let removed = match ctx.settings.remove_context(&args.name) {
        Ok(()) => true,
        Err(error) if args.if_exists && error.code() == Code::ContextNotFound => false,
        Err(error) => return Err(error),
    };
    let name = args.name.clone();
    let sentence = if removed {
        format!("Removed context {name}.")
    } else {
        format!("There is no context {name}.")
    };
    ctx.ui.show(&Done::new(
        Removed {
            name: name.clone(),
            removed,
        },
        name,
        sentence,
    ))
}
