//! `torso server`: runs a control plane for many, with its databases, on this machine.

use super::quota::Quota;
use super::server_values::{domain, listen_address, memory_per_process, network, public_url, statement_timeout};
use super::{engine, operator};
use crate::context::Context;
use crate::control::hosted::{
    CallOrigin, Confinement, EngineSettings, Engines, Hosted, HostedOptions, Public, SqldEngine,
};
use crate::control::names::{LocationCode, Username};
use crate::error::{Code, Error, Result};
use crate::secret::Secret;
use crate::server::tls::{self, Identity};
use crate::server::{self, LogFormat, LogLevel, ServerConfig};
use crate::ui::{Card, Cell, Layout, View};
use ipnet::IpNet;
use serde::Serialize;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;
use url::{Host, Url};

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
    verb: Option<operator::Verb>,
    /// Locations, the default first; remembered
    #[arg(long, value_name = "CODES", value_delimiter = ',')]
    locations: Option<Vec<LocationCode>>,
    /// Address and port, or a port
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080", value_parser = listen_address)]
    listen: SocketAddr,
    /// Give each database the host name LABEL.DOMAIN
    #[arg(long, value_name = "DOMAIN", value_parser = domain)]
    domain: Option<String>,
    /// Public URL, if not that of --listen (proxy)
    #[arg(long, value_name = "URL", value_parser = public_url)]
    url: Option<Url>,
    /// Proxy whose X-Forwarded-For or Forwarded is believed
    #[arg(long = "trusted-proxy", value_name = "CIDR", value_parser = network)]
    trusted_proxies: Vec<IpNet>,
    /// Use a certificate that clients must trust
    #[arg(long, help_heading = "TLS", value_enum, value_name = "KIND", conflicts_with_all = ["tls_cert", "tls_key"])]
    tls: Option<Tls>,
    /// PEM certificate chain; reloaded when the file changes
    #[arg(long, help_heading = "TLS", value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// PEM private key of that certificate
    #[arg(long, help_heading = "TLS", value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Allow other machines without TLS: tokens can be read
    #[arg(long, help_heading = "TLS")]
    insecure: bool,
    /// Name of the owner at the first start [default: admin]
    #[arg(long, help_heading = "Users", value_name = "USER")]
    owner: Option<Username>,
    /// Requests/s of a token; 0: any
    #[arg(long, help_heading = "Limits", value_name = "COUNT", default_value_t = 100)]
    rate_limit: u32,
    /// Of one address; 0: any
    ///
    /// Connections from this machine are not counted. Behind a proxy on another machine all clients have its address: use 0.
    #[arg(long, help_heading = "Limits", value_name = "N", default_value_t = 1024)]
    connections_per_address: u32,
    /// Limit, such as databases=50; remembered
    ///
    /// A limit of each organization. The names are databases, storage, groups, locations, rows_read, rows_written and
    /// bytes_synced; 0 is unlimited. acme/databases=200 sets the limit of one organization. Repeatable; remembered for later
    /// starts.
    #[arg(long = "quota", help_heading = "Limits", value_name = "[ORG/]NAME=VALUE", value_parser = super::quota::parse_quota)]
    quotas: Vec<Quota>,
    /// Print a new API token for USER, who lost all others
    #[arg(long, help_heading = "Users", value_name = "USER")]
    issue_token: Option<Username>,
    /// Log on standard error
    #[arg(
        long,
        help_heading = "Log and engine",
        value_enum,
        value_name = "FORM",
        default_value_t
    )]
    log: LogFormat,
    /// What to log
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
    /// End statements that take longer
    ///
    /// The client gets 504 and the code TIMEOUT. A statement that cannot be stopped is ended with its process, which is
    /// restarted.
    #[arg(long, help_heading = "Limits", value_name = "TIME", value_parser = statement_timeout, default_value = "5m")]
    statement_timeout: Duration,
    /// Of a database process [default: a quarter]
    ///
    /// A quarter of the machine's memory by default. Two thirds of it are for statements: one that needs more fails with SQLITE_NOMEM. A process that takes more than all of
    /// it is started again.
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
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Tls {
    /// torso makes a certificate authority at the first start, and a certificate at each
    SelfSigned,
}

/// What is told at the start.
#[derive(Serialize)]
struct Started {
    url: String,
    listen: SocketAddr,
    data_dir: PathBuf,
    /// Of the first start.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<Username>,
    /// Whom a new token was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<Username>,
    /// Of the first start, or a new one that was asked for: not known later.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<Secret>,
    /// What clients are to trust, where the certificate is of the server's own making.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_authority: Option<PathBuf>,
}

impl View for Started {
    fn layout(&self) -> Layout {
        let mut card = Card::default()
            .field("url", Cell::text(&self.url))
            .field("data", Cell::text(self.data_dir.display().to_string()));
        if let Some(authority) = &self.certificate_authority {
            card = card.field("authority", Cell::text(authority.display().to_string()));
        }
        if let Some(owner) = &self.owner {
            card = card.field("owner", Cell::text(owner.as_str()));
        }
        if let Some(user) = &self.user {
            card = card.field("user", Cell::text(user.as_str()));
        }
        if let Some(token) = &self.token {
            card = card.field("token", Cell::text(token.expose()));
        }
        Layout::Card(card)
    }

    fn names(&self) -> Vec<String> {
        vec![self.url.to_string()]
    }
}

/// API tokens that were made at the start.
struct Tokens {
    /// The owner's, at the first start.
    first: Option<Secret>,
    /// One that was asked for; or what could not be done of what the command line says besides.
    issued: Result<Option<Secret>>,
}

pub(super) fn run(ctx: &Context, args: Args) -> Result<()> {
    if let Some(verb) = &args.verb {
        return operator::run(ctx, verb);
    }
    refuse_eavesdroppers(&args)?;
    let (data_dir, _) = ctx.settings.data_dir()?;
    let data_dir = data_dir.join("server");
    let sqld = engine::find(ctx, args.sqld.as_deref())?;
    let settings = EngineSettings {
        unconfined: args.unconfined,
        memory: args.memory_per_process,
        statement_timeout: Some(args.statement_timeout),
        ..EngineSettings::default()
    };
    let torso = std::env::current_exe().map_err(|error| Error::io(error, "cannot find torso's own program"))?;
    // What it refuses is refused before anything is made or listened to.
    let sqld = SqldEngine::with_settings(&sqld.path, &torso, &settings)?;
    let listener = bind(args.listen)?;
    let listen = listener
        .local_addr()
        .map_err(|error| Error::io(error, "cannot tell the address"))?;
    let url = base(&args, listen)?;
    let (tls, certificate_authority) = identity(&args, &data_dir, listen, &url)?;

    let level = if ctx.ui.is_quiet() {
        LogLevel::Warn
    } else {
        args.log_level
    };
    server::start_log(args.log, level);
    log_confinement(sqld.confinement());
    let public = Public {
        base: url.clone(),
        domain: args.domain.clone(),
    };
    let (locations, owner, dir) = (args.locations, args.owner, data_dir.clone());
    let logged_dir = data_dir.clone();
    let (quotas, issue_token) = (args.quotas, args.issue_token);
    let asked_for = issue_token.clone();
    let open = move || {
        let (hosted, first) = Hosted::open(HostedOptions {
            data_dir: dir,
            engine: Engines::Sqld(sqld),
            locations,
            owner,
            public,
        })?;
        let wishes = || {
            for quota in quotas {
                hosted.set_quota(&quota.name, quota.organization.as_ref(), quota.value)?;
            }
            // At the first start there is nobody else, and nothing lost yet.
            issue_token
                .filter(|_| first.is_none())
                .map(|user| hosted.issue_token(&user))
                .transpose()
        };
        let issued = wishes();
        Ok((hosted, Tokens { first, issued }))
    };
    let started = |hosted: &Hosted, tokens: Tokens| {
        let is_first = tokens.first.is_some();
        // The owner's is told whatever else went wrong: nobody will know it later.
        let (issued, failure) = match tokens.issued {
            Ok(issued) => (issued, None),
            Err(error) if is_first => (None, Some(error)),
            Err(error) => return Err(error),
        };
        let token = tokens.first.or(issued);
        let whose = token
            .as_ref()
            .map(|token| hosted.authenticate(token.expose(), &CallOrigin::default()))
            .transpose()?
            .map(|caller| caller.username().clone());
        let (owner, user) = if is_first { (whose, None) } else { (None, whose) };
        if is_first && let Some(requested) = asked_for.filter(|requested| Some(requested) != owner.as_ref()) {
            ctx.ui.warn(format!(
                "this is the server's first start, so there is no user {requested} whose token could be lost"
            ));
        }
        for warning in hosted.warnings()? {
            ctx.ui.warn(warning);
        }
        let started = Started {
            url: url.to_string(),
            listen,
            data_dir,
            owner,
            user,
            token,
            certificate_authority,
        };
        ctx.ui.show(&started)?;
        tell_next(ctx, &started);
        failure.map_or(Ok(()), Err)
    };
    server::run(
        ServerConfig {
            listener,
            tls,
            domain: args.domain,
            prefix: url.path().trim_end_matches('/').to_owned(),
            trusted_proxies: args.trusted_proxies,
            requests_per_second: args.rate_limit,
            connections_per_address: args.connections_per_address,
            statement_timeout: args.statement_timeout,
            data_dir: logged_dir,
        },
        open,
        started,
    )
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

fn tell_next(ctx: &Context, started: &Started) {
    if let Some(authority) = &started.certificate_authority {
        let authority = authority.display();
        ctx.ui.notice(format!(
            "Clients trust its certificate with NODE_EXTRA_CA_CERTS={authority} (Node.js) or SSL_CERT_FILE={authority} \
             (torso, Rust, Python, curl)."
        ));
    }
    if started.token.is_some() {
        ctx.ui.notice(format!(
            "The token is shown only now. To work on this server, type the following and paste the token:\n  \
             torso context add server --url {} --token-stdin",
            started.url
        ));
    }
}

/// Tokens and data must not be sent where others can read them.
fn refuse_eavesdroppers(args: &Args) -> Result<()> {
    if args.listen.ip().to_canonical().is_loopback() || args.tls.is_some() || args.tls_cert.is_some() || args.insecure {
        return Ok(());
    }
    Err(Error::new(
        Code::Usage,
        format!(
            "refusing to listen on {} without TLS: others on the network could read tokens and data",
            args.listen
        ),
    )
    .hint("add --tls self-signed, or --tls-cert and --tls-key; behind a proxy that does TLS, add --insecure"))
}

fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).map_err(|error| {
        let code = match error.kind() {
            std::io::ErrorKind::AddrInUse => Code::Conflict,
            std::io::ErrorKind::AddrNotAvailable => Code::InvalidValue,
            _ => Code::Io,
        };
        Error::new(code, format!("cannot listen on {address}"))
            .caused_by(error)
            .hint("choose another address with --listen; port 0 takes any free port")
    })
}

/// How clients reach the server.
fn base(args: &Args, listen: SocketAddr) -> Result<Url> {
    if let Some(url) = &args.url {
        return Ok(url.clone());
    }
    let scheme = if args.tls.is_some() || args.tls_cert.is_some() {
        "https"
    } else {
        "http"
    };
    let text = match &args.domain {
        Some(domain) => format!("{scheme}://{domain}:{}", listen.port()),
        None if listen.ip().is_unspecified() => {
            return Err(Error::new(
                Code::Usage,
                format!("a server that listens on {listen} needs a public address"),
            )
            .hint("add --domain DOMAIN or --url URL, or listen on one address"));
        }
        None => format!("{scheme}://{listen}"),
    };
    Url::parse(&text)
        .map_err(|error| Error::new(Code::Internal, format!("{text:?} is not an address")).caused_by(error))
}

/// The certificate, and the authority that clients are to trust where it is of our own making.
fn identity(
    args: &Args,
    data_dir: &std::path::Path,
    listen: SocketAddr,
    url: &Url,
) -> Result<(Option<Identity>, Option<PathBuf>)> {
    if let (Some(certificate), Some(key)) = (&args.tls_cert, &args.tls_key) {
        return Ok((Some(Identity::load(certificate, key)?), None));
    }
    if args.tls.is_none() {
        return Ok((None, None));
    }
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
    if let Some(domain) = &args.domain {
        names.extend([domain.clone(), format!("*.{domain}")]);
    }
    if let Some(host) = url.host() {
        names.push(match host {
            Host::Ipv6(address) => address.to_string(),
            host => host.to_string(),
        });
    }
    if !listen.ip().is_unspecified() {
        names.push(listen.ip().to_string());
    }
    names.sort();
    names.dedup();
    let made = tls::self_signed(&data_dir.join("tls"), &names)?;
    Ok((Some(made.identity), Some(made.authority)))
}
