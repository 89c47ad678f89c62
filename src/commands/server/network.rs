//! Where a server listens, what clients call it, and its certificate.

use super::{Args, Tls};
use crate::commands::server_values::{domain, network, public_url};
use crate::context::Context;
use crate::control::hosted::Hosted;
use crate::error::{Code, Error, Result};
use crate::server::tls::{self, Identity};
use ipnet::IpNet;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use url::{Host, Url};

/// How clients reach a server, beside the address that it listens on.
#[derive(clap::Args)]
pub(in crate::commands) struct ListenerArgs {
    /// Give each database the host name LABEL.DOMAIN
    #[arg(long, value_name = "DOMAIN", value_parser = domain)]
    pub domain: Option<String>,
    /// Public URL, if not that of --listen (proxy)
    #[arg(long, value_name = "URL", value_parser = public_url)]
    pub url: Option<Url>,
    /// Proxy whose X-Forwarded-For or Forwarded is trusted
    #[arg(long = "trusted-proxy", value_name = "CIDR", value_parser = network)]
    pub trusted_proxies: Vec<IpNet>,
    /// Make a certificate, which clients must trust
    #[arg(long, help_heading = "TLS", value_enum, value_name = "KIND", conflicts_with_all = ["tls_cert", "tls_key"])]
    pub tls: Option<Tls>,
    /// PEM certificate chain; reloaded when the file changes
    #[arg(long, help_heading = "TLS", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// PEM private key of that certificate
    #[arg(long, help_heading = "TLS", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Allow other machines without TLS: tokens can be read
    #[arg(long, help_heading = "TLS")]
    pub insecure: bool,
}

impl ListenerArgs {
    /// Whether any is given.
    pub(in crate::commands) fn is_used(&self) -> bool {
        self.domain.is_some()
            || self.url.is_some()
            || !self.trusted_proxies.is_empty()
            || self.tls.is_some()
            || self.tls_cert.is_some()
            || self.insecure
    }
}

/// A server's side of the network.
pub(in crate::commands) struct Endpoint {
    pub listener: TcpListener,
    /// The address that it listens on, with the port that the system chose.
    pub listen: SocketAddr,
    /// The URL at which clients reach it.
    pub url: Url,
    /// None: plain HTTP.
    pub tls: Option<Identity>,
    /// What clients are to trust, where the certificate is of the server's own making.
    pub certificate_authority: Option<PathBuf>,
}

impl Endpoint {
    /// Listens, and loads or makes the certificate.
    pub(in crate::commands) fn open(args: &ListenerArgs, listen: SocketAddr, data_dir: &Path) -> Result<Self> {
        let listener = bind(listen, "--listen")?;
        let listen = listener
            .local_addr()
            .map_err(|error| Error::io(error, "cannot find out the address that the server listens on"))?;
        let url = public_base(args, listen)?;
        let (tls, certificate_authority) = identity(args, data_dir, listen, &url)?;
        Ok(Self {
            listener,
            listen,
            url,
            tls,
            certificate_authority,
        })
    }
}

/// Where a server listens for the machines of locations, if it does.
pub(super) struct NodeListener(Option<(TcpListener, String)>);

impl NodeListener {
    pub(super) fn open(args: &Args) -> Result<Self> {
        let Some(address) = args.node_listen else {
            return Ok(Self(None));
        };
        let unknown = address.ip().is_unspecified() && args.node_address.is_none();
        if unknown {
            return Err(Error::new(
                Code::Usage,
                format!("other machines do not know how to reach a server that listens on {address}"),
            )
            .hint("add --node-address HOST:PORT, or listen on one address"));
        }
        let listener = bind(address, "--node-listen")?;
        let listen = listener
            .local_addr()
            .map_err(|error| Error::io(error, "cannot find out the address that the server listens on"))?;
        let public = args.node_address.clone().unwrap_or_else(|| listen.to_string());
        Ok(Self(Some((listener, public))))
    }

    /// Has the plane answer there. Warns of locations that are out of reach without it.
    pub(super) fn start(self, ctx: &Context, hosted: &Hosted) -> Result<()> {
        if let Some((listener, address)) = self.0 {
            tracing::info!(%address, "listening for the machines of locations");
            hosted.listen_for_nodes(listener, address)?;
        }
        let unreachable: Vec<String> = hosted.unreachable_nodes().iter().map(ToString::to_string).collect();
        if !unreachable.is_empty() {
            ctx.ui.warn(format!(
                "these locations are on other machines, which cannot reach this server without --node-listen: {}",
                unreachable.join(", ")
            ));
        }
        Ok(())
    }
}

/// Fails where tokens and data would be sent so that others can read them.
pub(in crate::commands) fn refuse_eavesdroppers(args: &ListenerArgs, listen: SocketAddr) -> Result<()> {
    if listen.ip().to_canonical().is_loopback() || args.tls.is_some() || args.tls_cert.is_some() || args.insecure {
        return Ok(());
    }
    Err(Error::new(
        Code::Usage,
        format!("refusing to listen on {listen} without TLS: others on the network could read tokens and data"),
    )
    .hint("add --tls self-signed, or --tls-cert and --tls-key; behind a proxy that does TLS, add --insecure"))
}

/// Listens on an address, which the option `flag` names.
pub(in crate::commands) fn bind(address: SocketAddr, flag: &str) -> Result<TcpListener> {
    TcpListener::bind(address).map_err(|error| {
        let code = match error.kind() {
            std::io::ErrorKind::AddrInUse => Code::Conflict,
            std::io::ErrorKind::AddrNotAvailable => Code::InvalidValue,
            _ => Code::Io,
        };
        Error::new(code, format!("cannot listen on {address}"))
            .caused_by(error)
            .hint(format!("choose another one with {flag}; port 0 takes any free port"))
    })
}

/// The URL at which clients reach the server.
fn public_base(args: &ListenerArgs, listen: SocketAddr) -> Result<Url> {
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
    args: &ListenerArgs,
    data_dir: &Path,
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
