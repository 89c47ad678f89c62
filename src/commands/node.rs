//! `torso node`: makes this machine a location of a server, and runs it.

use super::server::{Endpoint, ListenerArgs, refuse_eavesdroppers};
use super::server_values;
use super::token_input::TokenInput;
use crate::context::Context;
use crate::control::gateway_plane::Public;
use crate::control::hosted::{EngineSettings, SqldEngine, join_token_fingerprint};
use crate::control::node::{NodeDirectory, NodeSettings, RunningNode, ServeSettings};
use crate::control::server_configuration::LogLevel;
use crate::error::{Code, Error, Result};
use crate::server::{self, LogFormat, ServerConfig};
use crate::ui::{Card, Cell, Layout, View};
use serde::Serialize;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

crate::commands::schemas::document!("node" => Started);

/// Be a location of a server on another machine
///
/// Runs the replicas that the server wants in this machine's location, until Ctrl-C or SIGTERM. They follow their primaries
/// over one encrypted connection to the server, which this machine makes. The first start joins, with the token of
/// torso location add LOCATION --node. While the server is away, replicas keep what they have. With --listen, clients near this
/// machine are served here, with the tokens of the server.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  torso node --join db.example.com:8081 --token-stdin --advertise 192.0.2.8
  torso node --listen 192.0.2.8:8443 --tls self-signed")]
pub(super) struct Args {
    /// Join the server that listens for nodes at HOST:PORT
    #[arg(long, value_name = "HOST:PORT", value_parser = server_values::host_and_port, requires = "advertise")]
    join: Option<String>,
    #[command(flatten)]
    token: TokenInput,
    /// Where others reach this machine
    #[arg(long, value_name = "HOST[:PORT]", requires = "join", value_parser = server_values::advertised_host)]
    advertise: Option<String>,
    /// Serve the replicas here to clients
    #[arg(long, value_name = "ADDRESS", help_heading = "Clients", value_parser = server_values::listen_address)]
    listen: Option<SocketAddr>,
    #[command(flatten)]
    network: ListenerArgs,
    /// Refuse clients when keys are so old
    ///
    /// While the server cannot be reached, this machine does not hear of revoked tokens. It serves clients by what it knows until that is
    /// so old, and then answers 503 until it reaches its server.
    #[arg(long, value_name = "TIME", help_heading = "Clients", value_parser = server_values::max_key_age, default_value = "24h", requires = "listen")]
    max_key_age: Duration,
    /// For each address; 0: any
    #[arg(
        long,
        hide_short_help = true,
        help_heading = "Clients",
        value_name = "N",
        default_value_t = 1024,
        requires = "listen"
    )]
    connections_per_address: u32,
    /// Longest time of a statement
    #[arg(long, hide_short_help = true, help_heading = "Clients", value_name = "TIME", value_parser = server_values::statement_timeout, default_value = "5m")]
    statement_timeout: Duration,
    /// Directory [default: node in the data directory]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Format of the log on standard error
    #[arg(long, hide_short_help = true, value_enum, value_name = "FORMAT", default_value_t)]
    log: LogFormat,
    /// Lowest level to log
    #[arg(long, hide_short_help = true, value_enum, value_name = "LEVEL", default_value_t)]
    log_level: LogLevel,
    /// Run where database processes cannot be confined
    #[arg(long, hide_short_help = true)]
    unconfined: bool,
    /// Path of the sqld program (overrides the search)
    #[arg(long, hide_short_help = true, value_name = "PATH")]
    sqld: Option<PathBuf>,
}

pub(super) fn run(ctx: &Context, args: &Args) -> Result<()> {
    let dir = match &args.data {
        Some(dir) => dir.clone(),
        None => ctx.settings.data_dir()?.0.join("node"),
    };
    let settings = EngineSettings {
        unconfined: args.unconfined,
        statement_timeout: Some(args.statement_timeout),
        ..EngineSettings::default()
    };
    // What the engine refuses is refused before a token is used.
    let sqld = super::server::open_engine(ctx, args.sqld.as_deref(), &settings)?;
    let directory = NodeDirectory::open(&dir)?;
    let endpoint = match args.listen {
        Some(listen) => {
            refuse_eavesdroppers(&args.network, listen)?;
            Some(Endpoint::open(&args.network, listen, &dir)?)
        }
        None if args.network.is_used() => {
            return Err(
                Error::new(Code::Usage, "nobody is served without an address to listen on")
                    .hint("add --listen ADDRESS:PORT"),
            );
        }
        None => None,
    };
    server::start_log(args.log, args.log_level);
    if let (Some(server), Some(advertise)) = (&args.join, &args.advertise) {
        join(args, &directory, server, advertise)?;
    } else if args.token.has_source() {
        return Err(Error::new(Code::Usage, "a token is only for joining")
            .hint("add --join HOST:PORT --advertise HOST, or leave the token out"));
    }
    let Some(endpoint) = endpoint else {
        return run_alone(ctx, directory, sqld, dir);
    };
    let serve = ServeSettings {
        public: Public {
            base: endpoint.url.clone(),
            domain: args.network.domain.clone(),
        },
        max_key_age: args.max_key_age,
    };
    let config = ServerConfig {
        prefix: endpoint.url.path().trim_end_matches('/').to_owned(),
        listener: endpoint.listener,
        tls: endpoint.tls,
        domain: args.network.domain.clone(),
        trusted_proxies: args.network.trusted_proxies.clone(),
        requests_per_second: 0,
        connections_per_address: args.connections_per_address,
        statement_timeout: args.statement_timeout,
        data_dir: dir.clone(),
        ends_with_terminal: false,
    };
    let opened = move || directory.start(sqld, Some(serve))?.into_serving();
    server::run_node(config, opened, |serving| {
        let started = Started {
            url: Some(endpoint.url.to_string()),
            certificate_authority: endpoint.certificate_authority,
            ..Started::new(&serving.node, dir)
        };
        ctx.ui.show(&started)
    })
}

/// Runs the location without serving clients.
fn run_alone(ctx: &Context, directory: NodeDirectory, sqld: SqldEngine, dir: PathBuf) -> Result<()> {
    let signals = server::StopSignals::new()?;
    let node = directory.start(sqld, None)?;
    ctx.ui.show(&Started::new(&node, dir))?;
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
    /// Where clients are served.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    /// What clients are to trust, where the certificate is of torso's own making.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_authority: Option<PathBuf>,
}

impl Started {
    fn new(node: &RunningNode, data_dir: PathBuf) -> Self {
        Self {
            location: node.location.clone(),
            server: node.server.clone(),
            data_dir,
            url: None,
            certificate_authority: None,
        }
    }
}

impl View for Started {
    fn layout(&self) -> Layout {
        Layout::Card(
            Card::default()
                .field("location", Cell::text(&self.location))
                .field("server", Cell::text(&self.server))
                .field_if("url", self.url.as_ref(), Cell::text)
                .field("data", Cell::text(self.data_dir.display().to_string()))
                .field_if("authority", self.certificate_authority.as_ref(), |file| {
                    Cell::text(file.display().to_string())
                }),
        )
    }

    fn names(&self) -> Vec<String> {
        vec![self.location.clone()]
    }
}
