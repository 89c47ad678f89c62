//! `torso server`: runs a control plane for many, with its databases, on this machine.

mod backups;
mod network;
mod start;

use super::quota::Quota;
use super::server_values::{
    VerifyInterval, host_and_port, listen_address, memory_per_process, statement_timeout, verify_interval,
};
use super::{engine, operator};
use crate::context::Context;
use crate::control::gateway_plane::Public;
use crate::control::hosted::{Confinement, EngineSettings, Engines, HostedOptions, SqldEngine};
use crate::control::names::{LocationCode, Username};
use crate::control::server_configuration::LogLevel;
use crate::error::{Error, Result};
use crate::server::{self, LogFormat, ServerConfig};
use clap::Subcommand;
pub(super) use network::{Endpoint, ListenerArgs, bind, refuse_eavesdroppers};
use start::Start;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Serve databases to many over the network
///
/// Serves the Platform API and the databases until Ctrl-C or SIGTERM. The first start creates the owner and an organization,
/// and prints the owner's API token once. All data is in the directory `server` below the data directory. torso server
/// starts libSQL server (sqld) for the databases; install it once with torso engine install.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:
  torso server --locations ams,lhr
  torso server --domain db.example.com --tls-cert cert.pem --tls-key key.pem
  torso server --listen 192.0.2.7:8443 --tls self-signed",
    args_conflicts_with_subcommands = true
)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// Locations, the default first; saved for later starts
    #[arg(long, value_name = "CODES", value_delimiter = ',')]
    locations: Option<Vec<LocationCode>>,
    /// Address and port, or a port
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080", value_parser = listen_address)]
    listen: SocketAddr,
    #[command(flatten)]
    network: ListenerArgs,
    /// Name of the owner at the first start [default: admin]
    #[arg(long, help_heading = "Users", value_name = "USER")]
    owner: Option<Username>,
    /// Requests/s of each token; 0: any
    #[arg(long, help_heading = "Limits", value_name = "COUNT", default_value_t = 100)]
    rate_limit: u32,
    /// For each address; 0: any
    ///
    /// Connections from this machine are not counted. Behind a proxy on another machine all clients have its address: use 0.
    #[arg(long, help_heading = "Limits", value_name = "N", default_value_t = 1024)]
    connections_per_address: u32,
    /// Quota, such as databases=50; saved
    ///
    /// A limit for each organization. The names are databases, storage, groups, locations, rows_read, rows_written and
    /// bytes_synced; 0 is unlimited. acme/databases=200 sets the limit of one organization. Repeatable; saved for later
    /// starts.
    #[arg(long = "quota", help_heading = "Limits", value_name = "[ORG/]NAME=VALUE", value_parser = super::quota::parse_quota)]
    quotas: Vec<Quota>,
    /// Print a new API token for USER, who lost all theirs
    #[arg(long, help_heading = "Users", value_name = "USER")]
    issue_token: Option<Username>,
    /// Format on standard error
    #[arg(
        long,
        help_heading = "Log and engine",
        value_enum,
        value_name = "FORMAT",
        default_value_t
    )]
    log: LogFormat,
    /// Lowest level to log
    ///
    /// --quiet is the same as warn.
    #[arg(
        long,
        help_heading = "Log and engine",
        value_enum,
        value_name = "LEVEL",
        default_value_t
    )]
    log_level: LogLevel,
    /// Longest time of a statement
    ///
    /// The client gets 504 and the code TIMEOUT. A statement that cannot be stopped is ended with its process, which is
    /// restarted.
    #[arg(long, help_heading = "Limits", value_name = "TIME", value_parser = statement_timeout, default_value = "5m")]
    statement_timeout: Duration,
    /// For a database process [default: a quarter]
    ///
    /// A quarter of the machine's memory by default. Two thirds of it are for statements: one that needs more fails with
    /// SQLITE_NOMEM. A process that takes more than all of it is restarted.
    #[arg(long, help_heading = "Limits", value_name = "SIZE", value_parser = memory_per_process)]
    memory_per_process: Option<u64>,
    /// Run where database processes cannot be confined
    ///
    /// Without this flag the server does not start on systems that cannot restrict database processes to their own files.
    #[arg(long, help_heading = "Log and engine")]
    unconfined: bool,
    /// Path of the sqld program (overrides the search)
    #[arg(long, help_heading = "Log and engine", value_name = "PATH")]
    sqld: Option<PathBuf>,
    /// How often to compare replicas [default: never]
    ///
    /// torso db verify of every database, one after the other, with pauses. Remembered; torso server config set verify-every changes
    /// it while the server runs.
    #[arg(long, help_heading = "Log and engine", value_name = "TIME", value_parser = verify_interval)]
    verify_every: Option<VerifyInterval>,
    /// Listen for the machines of locations
    ///
    /// They connect with certificates of the server's own, which they get when they join: torso location add --node.
    #[arg(long, help_heading = "Other machines", value_name = "ADDRESS", value_parser = listen_address)]
    node_listen: Option<SocketAddr>,
    /// Where they reach it, if not there
    #[arg(long, help_heading = "Other machines", value_name = "HOST:PORT", requires = "node_listen", value_parser = host_and_port)]
    node_address: Option<String>,
    #[command(flatten)]
    backups: backups::Scheduled,
}

/// Manage a server
#[derive(Subcommand)]
enum Verb {
    #[command(flatten)]
    Operator(operator::Verb),
    Backup(backups::Backup),
    Backups(backups::Backups),
    Restore(backups::Restore),
}

impl Args {
    /// Whether it serves, and does nothing to a server that runs.
    pub(super) fn serves(&self) -> bool {
        self.verb.is_none()
    }
}

/// A certificate of torso's own making.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Tls {
    /// torso makes a certificate authority at the first start, and a certificate at each
    SelfSigned,
}

pub(super) fn run(ctx: &Context, args: Args) -> Result<()> {
    match &args.verb {
        None => {}
        Some(Verb::Operator(verb)) => return operator::run(ctx, verb),
        Some(Verb::Backup(args)) => return backups::back_up(ctx, args),
        Some(Verb::Backups(args)) => return backups::list(ctx, args),
        Some(Verb::Restore(args)) => return backups::restore(ctx, args),
    }
    let plan = args.backups.plan()?;
    refuse_eavesdroppers(&args.network, args.listen)?;
    let (data_dir, _) = ctx.settings.data_dir()?;
    let data_dir = data_dir.join("server");
    // What the engine refuses is refused before anything is made or listened to.
    let settings = EngineSettings {
        unconfined: args.unconfined,
        memory: args.memory_per_process,
        statement_timeout: Some(args.statement_timeout),
        ..EngineSettings::default()
    };
    let sqld = open_engine(ctx, args.sqld.as_deref(), &settings)?;
    let endpoint = Endpoint::open(&args.network, args.listen, &data_dir)?;
    let nodes = network::NodeListener::open(&args)?;
    start_log(ctx, &args, sqld.confinement());
    let options = HostedOptions {
        data_dir: data_dir.clone(),
        engine: Engines::Sqld(sqld),
        locations: args.locations,
        owner: args.owner,
        public: Public {
            base: endpoint.url.clone(),
            domain: args.network.domain.clone(),
        },
    };
    let (quotas, issue_token) = (args.quotas, args.issue_token.clone());
    let start = Start {
        url: endpoint.url.to_string(),
        listen: endpoint.listen,
        data_dir: data_dir.clone(),
        certificate_authority: endpoint.certificate_authority,
        token_requested_for: args.issue_token,
    };
    server::run(
        ServerConfig {
            listener: endpoint.listener,
            tls: endpoint.tls,
            domain: args.network.domain,
            prefix: endpoint.url.path().trim_end_matches('/').to_owned(),
            trusted_proxies: args.network.trusted_proxies,
            requests_per_second: args.rate_limit,
            connections_per_address: args.connections_per_address,
            statement_timeout: args.statement_timeout,
            data_dir,
            ends_with_terminal: false,
        },
        move || start::open(options, quotas, issue_token),
        |hosted, tokens| {
            if let Some(plan) = plan {
                args.backups.start(hosted, plan)?;
            }
            nodes.start(ctx, hosted)?;
            hosted.start_verification(args.verify_every.map(|VerifyInterval(every)| every))?;
            start.report(ctx, hosted, tokens)
        },
    )
}

/// The program that serves databases, checked. `flag` names one.
pub(super) fn open_engine(ctx: &Context, flag: Option<&Path>, settings: &EngineSettings) -> Result<SqldEngine> {
    let sqld = engine::find(ctx, flag)?;
    let torso = std::env::current_exe().map_err(|error| Error::io(error, "cannot find torso's own program"))?;
    SqldEngine::with_settings(&sqld.path, &torso, settings)
}

fn start_log(ctx: &Context, args: &Args, confinement: Confinement) {
    let level = if ctx.ui.is_quiet() {
        LogLevel::Warn
    } else {
        args.log_level
    };
    server::start_log(args.log, level);
    log_confinement(confinement);
}

fn log_confinement(confinement: Confinement) {
    let level = confinement.name();
    match confinement {
        Confinement::Full => tracing::info!(%level, "database processes are confined to their own files and ports"),
        Confinement::FilesOnly => {
            tracing::warn!(%level, "database processes are confined to their own files, and not to their ports: the kernel is old");
        }
        Confinement::None => {
            tracing::warn!(%level, "database processes are not confined: they can read every file that this user can");
        }
    }
}
