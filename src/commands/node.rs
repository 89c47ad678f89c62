//! `torso node`: makes this machine a location of a server, and runs it.

use super::server_values;
use super::token_input::TokenInput;
use crate::context::Context;
use crate::control::hosted::{EngineSettings, join_token_fingerprint};
use crate::control::node::{NodeDirectory, NodeSettings};
use crate::control::server_configuration::LogLevel;
use crate::error::{Code, Error, Result};
use crate::server::{self, LogFormat};
use crate::ui::{Card, Cell, Layout, View};
use serde::Serialize;
use std::path::PathBuf;

crate::commands::schemas::document!("node" => Started);

/// Be a location of a server on another machine
///
/// Runs the replicas that the server wants in this machine's location, until Ctrl-C or SIGTERM. They follow their primaries
/// over one encrypted connection to the server, which this machine makes. The first start joins, with the token of
/// torso location add LOCATION --node. While the server is away, replicas keep what they have.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  torso node --join db.example.com:8081 --token-stdin --advertise 192.0.2.8
  torso node")]
pub(super) struct Args {
    /// Join the server that listens for nodes at HOST:PORT
    #[arg(long, value_name = "HOST:PORT", value_parser = server_values::host_and_port, requires = "advertise")]
    join: Option<String>,
    #[command(flatten)]
    token: TokenInput,
    /// Where others reach this machine
    #[arg(long, value_name = "HOST[:PORT]", requires = "join", value_parser = server_values::advertised_host)]
    advertise: Option<String>,
    /// Directory [default: node in the data directory]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Format of the log on standard error
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    log: LogFormat,
    /// Lowest level to log
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t)]
    log_level: LogLevel,
    /// Run where database processes cannot be confined
    #[arg(long)]
    unconfined: bool,
    /// Path of the sqld program (overrides the search)
    #[arg(long, value_name = "PATH")]
    sqld: Option<PathBuf>,
}

pub(super) fn run(ctx: &Context, args: &Args) -> Result<()> {
    let dir = match &args.data {
        Some(dir) => dir.clone(),
        None => ctx.settings.data_dir()?.0.join("node"),
    };
    let settings = EngineSettings {
        unconfined: args.unconfined,
        ..EngineSettings::default()
    };
    // What the engine refuses is refused before a token is used.
    let sqld = super::server::open_engine(ctx, args.sqld.as_deref(), &settings)?;
    let directory = NodeDirectory::open(&dir)?;
    server::start_log(args.log, args.log_level);
    if let (Some(server), Some(advertise)) = (&args.join, &args.advertise) {
        join(args, &directory, server, advertise)?;
    } else if args.token.has_source() {
        return Err(Error::new(Code::Usage, "a token is only for joining")
            .hint("add --join HOST:PORT --advertise HOST, or leave the token out"));
    }
    let signals = server::StopSignals::new()?;
    let node = directory.start(sqld)?;
    ctx.ui.show(&Started {
        location: node.location.clone(),
        server: node.server.clone(),
        data_dir: dir,
    })?;
    let cause = signals.wait();
    tracing::info!(cause, "node is shutting down");
    node.shutdown();
    tracing::info!("node stopped");
    Ok(())
}

fn join(args: &Args, directory: &NodeDirectory, server: &str, advertise: &str) -> Result<()> {
    let again = "torso location add LOCATION --node on the server prints a command with one";
    let token = args.token.read()?.ok_or_else(|| {
        Error::new(Code::Usage, "joining needs a one-time token").hint(format!("add --token-stdin: {again}"))
    })?;
    let fingerprint = join_token_fingerprint(token.expose())
        .ok_or_else(|| Error::new(Code::InvalidValue, "that is no token for joining").hint(again))?;
    let settings = NodeSettings {
        server: server.to_owned(),
        advertise: advertise.to_owned(),
    };
    let location = directory.join(&settings, fingerprint, &token)?;
    tracing::info!(%location, server, "joined");
    Ok(())
}

/// The answer of the command.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct Started {
    location: String,
    server: String,
    data_dir: PathBuf,
}

impl View for Started {
    fn layout(&self) -> Layout {
        Layout::Card(
            Card::default()
                .field("location", Cell::text(&self.location))
                .field("server", Cell::text(&self.server))
                .field("data", Cell::text(self.data_dir.display().to_string())),
        )
    }

    fn names(&self) -> Vec<String> {
        vec![self.location.clone()]
    }
}
