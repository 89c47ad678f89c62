//! The start of a server: its plane is opened, quotas and tokens of the command line are set, and the command says how to
//! reach it.

use crate::commands::quota::Quota;
use crate::context::Context;
use crate::control::hosted::{CallOrigin, Hosted, HostedOptions};
use crate::control::names::Username;
use crate::error::Result;
use crate::secret::Secret;
use crate::ui::{Card, Cell, Layout, View};
use serde::Serialize;
use std::net::SocketAddr;
use std::path::PathBuf;

crate::commands::schemas::document!("server" => Started);

/// API tokens that were made while the plane was opened.
pub(super) struct Tokens {
    /// The owner's, at the first start.
    first: Option<Secret>,
    /// One that was asked for; or what could not be done of what the command line says besides.
    issued: Result<Option<Secret>>,
}

/// Opens the plane, sets quotas, and makes the token that was asked for.
pub(super) fn open(
    options: HostedOptions,
    quotas: Vec<Quota>,
    issue_token: Option<Username>,
) -> Result<(Hosted, Tokens)> {
    let (hosted, first) = Hosted::open(options)?;
    let issue = || {
        for quota in quotas {
            hosted.set_quota(&quota.name, quota.organization.as_ref(), quota.value)?;
        }
        // At the first start there is nobody else, and nothing lost yet.
        issue_token
            .filter(|_| first.is_none())
            .map(|user| hosted.issue_token(&user))
            .transpose()
    };
    let issued = issue();
    Ok((hosted, Tokens { first, issued }))
}

/// What is known of a start before the plane is open.
pub(super) struct Start {
    pub url: String,
    pub listen: SocketAddr,
    pub data_dir: PathBuf,
    pub certificate_authority: Option<PathBuf>,
    pub token_requested_for: Option<Username>,
}

impl Start {
    /// Shows how to reach the server, and its tokens.
    pub(super) fn report(self, ctx: &Context, hosted: &Hosted, tokens: Tokens) -> Result<()> {
        let is_first = tokens.first.is_some();
        // The owner's token is shown whatever else went wrong: it is stored nowhere.
        let (issued, failure) = match tokens.issued {
            Ok(issued) => (issued, None),
            Err(error) if is_first => (None, Some(error)),
            Err(error) => return Err(error),
        };
        let token = tokens.first.or(issued);
        let bearer = token
            .as_ref()
            .map(|token| hosted.authenticate(token.expose(), &CallOrigin::default()))
            .transpose()?
            .map(|caller| caller.username().clone());
        let (owner, user) = if is_first { (bearer, None) } else { (None, bearer) };
        let requested = self.token_requested_for;
        if is_first && let Some(requested) = requested.filter(|requested| Some(requested) != owner.as_ref()) {
            ctx.ui.warn(format!(
                "this is the server's first start, so there is no user {requested} whose token could be lost"
            ));
        }
        for warning in hosted.warnings()? {
            ctx.ui.warn(warning);
        }
        let started = Started {
            url: self.url,
            listen: self.listen,
            data_dir: self.data_dir,
            owner,
            user,
            token,
            certificate_authority: self.certificate_authority,
        };
        ctx.ui.show(&started)?;
        explain_next_steps(ctx, &started);
        failure.map_or(Ok(()), Err)
    }
}

/// The answer of the command: how to reach the server.
#[cfg_attr(test, derive(schemars::JsonSchema))]
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

/// Says what to do with the certificate and the token.
fn explain_next_steps(ctx: &Context, started: &Started) {
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
