//! `torso server config`: what the operator changes of a server that runs.

use super::DryRun;
use super::answers::{self, Done};
use super::server_values::{VerifyInterval, verify_interval};
use crate::context::Context;
use crate::control::names::LocationCode;
use crate::control::server_configuration::{ServerConfiguration, ServerConfigurationPatch};
use crate::error::Result;
use crate::ui::{Card, Cell, Layout, View};
use clap::Subcommand;
use serde::Serialize;

crate::commands::schemas::document!("server config show" => ServerSettings);
crate::commands::schemas::document!("server config set" => ServerConfiguration);

#[derive(Subcommand)]
#[command(defer = true)]
pub(super) enum Verb {
    Show(Show),
    Set(Set),
}

pub(super) fn run(ctx: &Context, verb: &Verb) -> Result<()> {
    match verb {
        Verb::Show(_) => {
            let configuration = ctx.accounts()?.get_server_configuration()?;
            warn(ctx, &configuration);
            ctx.ui.show(&ServerSettings(configuration))
        }
        Verb::Set(args) => set(ctx, args),
    }
}

/// Show the settings that can be changed while the server runs
#[derive(clap::Args)]
#[command(after_help = "Example:\n  torso server config show")]
pub(super) struct Show {}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
#[serde(transparent)]
struct ServerSettings(ServerConfiguration);

impl View for ServerSettings {
    fn layout(&self) -> Layout {
        let locations = match &self.0.locations {
            Some(codes) => Cell::list(codes),
            None => Cell::text("all"),
        };
        let level = Cell::maybe(self.0.log_level, |level| Cell::text(level.name()));
        let seconds = self.0.verify_every_seconds;
        let verify = seconds.map_or_else(
            || Cell::text("never"),
            |seconds| Cell::span(seconds.saturating_mul(1000)),
        );
        let card = Card::default().field("locations", locations).field("log level", level);
        Layout::Card(card.field("verify every", verify))
    }

    fn names(&self) -> Vec<String> {
        ["locations", "log-level", "verify-every"].map(str::to_owned).into()
    }
}

fn warn(ctx: &Context, configuration: &ServerConfiguration) {
    for warning in &configuration.warnings {
        ctx.ui.warn(warning);
    }
}

/// Change a setting of the running server
///
/// The locations and verify-every are remembered. A location that is left out keeps what it has, and
/// gets nothing new. The level of the log is that of --log-level again after the next start.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  torso server config set locations ams,lhr,iad
  torso server config set verify-every 24h
  torso server config set log-level debug")]
pub(super) struct Set {
    /// Name of the setting
    #[arg(value_name = "KEY", value_parser = ["locations", "log-level", "verify-every"])]
    key: String,
    /// Codes with commas between them, or all; warn, info or debug; a time, or never
    #[arg(value_name = "VALUE")]
    value: String,
    #[command(flatten)]
    dry: DryRun,
}

fn set(ctx: &Context, args: &Set) -> Result<()> {
    let mut patch = ServerConfigurationPatch::default();
    match args.key.as_str() {
        "locations" => {
            let codes = args.value.split(',').filter(|code| *code != "all");
            patch.locations = Some(codes.map(str::parse).collect::<Result<Vec<LocationCode>>>()?);
        }
        "verify-every" => {
            let VerifyInterval(every) = verify_interval(&args.value)?;
            patch.verify_every_seconds = Some(every.map_or(0, |every| every.as_secs()));
        }
        _ => patch.log_level = Some(args.value.parse()?),
    }
    if args.dry.dry_run {
        ctx.accounts()?;
        let step = format!("set {} of the server to {}", args.key, args.value);
        return answers::plan(ctx, vec![step]);
    }
    let changed = ctx.accounts()?.update_server_configuration(&patch)?;
    warn(ctx, &changed);
    let sentence = format!("Set {} of the server to {}.", args.key, args.value);
    ctx.ui.show(&Done::new(changed, &args.key, sentence))
}
