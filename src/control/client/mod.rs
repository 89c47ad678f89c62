//! A control plane elsewhere, asked over HTTP: `torso server`, Turso Cloud, or anything that speaks the Platform API.
//!
//! [`Client`] is the mirror image of a server over `endpoints`: a method here is a request there. It implements
//! [`super::ControlPlane`] and [`super::Accounts`] in a file for each noun. A request is a `call` that `http` sends, again where
//! `attempts` says; `api_error` makes errors of refusals, and `wire` fills in what a server
//! leaves out. `upload`, `export` and `staging` move files. What only torso's own server can do fails with `unsupported`
//! elsewhere.

mod api_error;
mod api_tokens;
mod attempts;
mod call;
mod connection;
mod databases;
mod export;
mod failed_call;
mod fleet;
mod groups;
mod http;
mod instances;
mod invites;
mod latency;
mod locations;
mod maintenance;
mod members;
mod nodes;
mod operator;
mod organizations;
mod staging;
mod tokens;
mod transfers;
mod upload;
mod usage;
mod wire;

pub use call::RetryPolicy;
pub use export::Exported;

use super::endpoints::{LIST_PAGE, Method, Operation};
use super::names::{DatabaseName, GroupName, OrganizationSlug};
use super::tokens::Authorization;
use crate::error::{Code, Error, Result};
use crate::secret::Secret;
use api_error::CallSubject;
use call::ApiCall;
use fleet::FleetConnections;
use http::ApiTransport;
use serde_json::Value;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// A server, asked by one user about one organization.
pub struct Client {
    http: ApiTransport,
    /// None: the personal organization of the token's user.
    organization: Option<OrganizationSlug>,
    /// See [`Client::take_skipped`].
    skipped: RefCell<Vec<String>>,
    /// Database tokens made by this process, so that one command asks for one only. Never written anywhere.
    minted: RefCell<HashMap<(DatabaseName, Authorization), Secret>>,
    /// Set for work on many databases.
    fleet: Option<Arc<FleetConnections>>,
    /// The directory for notes of uploads under way; without it, an upload that was killed begins again.
    notes: Option<PathBuf>,
}

/// The address of Turso Cloud.
pub const TURSO_CLOUD: &str = "https://api.turso.tech";

impl Client {
    /// Sends nothing yet.
    #[must_use]
    pub fn new(
        base: Url,
        token: Option<Secret>,
        organization: Option<OrganizationSlug>,
        patience: RetryPolicy,
    ) -> Self {
        Self {
            http: ApiTransport::new(base, token, patience),
            organization,
            skipped: RefCell::default(),
            minted: RefCell::default(),
            fleet: None,
            notes: None,
        }
    }

    /// Keeps notes of uploads under way in a private directory, so that the same command resumes an upload that was killed.
    #[must_use]
    pub fn noting_uploads(mut self, dir: Option<PathBuf>) -> Self {
        self.notes = dir;
        self
    }

    /// Returns a function that makes the same client on another thread: a client itself stays on its own.
    pub fn again(&self) -> impl Fn() -> Self + Send + Sync + 'static {
        let (http, organization) = (self.http.again(), self.organization.clone());
        move || Self {
            http: http(),
            organization: organization.clone(),
            skipped: RefCell::default(),
            minted: RefCell::default(),
            fleet: None,
            notes: None,
        }
    }

    /// The same with another policy.
    #[must_use]
    pub fn with_policy(&self, policy: RetryPolicy) -> Self {
        Self {
            http: self.http.with_policy(policy),
            organization: self.organization.clone(),
            skipped: RefCell::default(),
            minted: RefCell::default(),
            fleet: None,
            notes: None,
        }
    }

    /// The same without retries, for a caller that retries by itself.
    fn trying_once(&self) -> Self {
        self.with_policy(RetryPolicy {
            tries: 1,
            ..self.http.patience
        })
    }

    /// Warnings about items that were left out of lists since the last call: one that torso cannot read, such as a name that
    /// only another program allows, must not hide all others.
    pub fn take_skipped(&self) -> Vec<String> {
        self.skipped.take()
    }

    /// Reads every item of a list, and leaves out those that cannot be read. An item without a name is an error: the server
    /// does not speak the Platform API.
    fn all<T>(&self, items: Vec<Value>, noun: &str, name: &str, read: impl Fn(Value) -> Result<T>) -> Result<Vec<T>> {
        let mut all = Vec::with_capacity(items.len());
        for item in items {
            let label = item[name].as_str().unwrap_or_default().to_owned();
            match read(item) {
                Ok(item) => all.push(item),
                Err(error) if label.is_empty() => return Err(error),
                Err(_) => {
                    let sentence =
                        format!("left out the {noun} {label:?}: torso cannot read the server's answer about it");
                    let mut skipped = self.skipped.borrow_mut();
                    // The same list may be asked for more than once in a command.
                    if !skipped.contains(&sentence) {
                        skipped.push(sentence);
                    }
                }
            }
        }
        Ok(all)
    }

    /// Asks for a page of a list, where the server knows pages, and returns its items, and whether the server has others.
    fn ask_for_page(
        &self,
        mut call: ApiCall<'_>,
        after: Option<&impl ToString>,
        limit: usize,
        member: &str,
    ) -> Result<(Vec<Value>, bool)> {
        if self.http.is_torso() {
            call = call.query("limit", limit.min(LIST_PAGE));
            if let Some(after) = after {
                call = call.query("cursor", after.to_string());
            }
        }
        let reply = self.http.ask(&call)?;
        let has_more = reply["pagination"]["next"].is_string();
        Ok((wire::list(reply, member)?, has_more))
    }

    /// The server's address, for messages.
    #[must_use]
    pub fn address(&self) -> String {
        self.http.display_url()
    }

    #[must_use]
    pub fn has_token(&self) -> bool {
        self.http.has_token()
    }

    /// The organization asked about; none for the personal one.
    #[must_use]
    pub fn organization(&self) -> Option<&OrganizationSlug> {
        self.organization.as_ref()
    }

    /// Sends any request, and returns the answer as the server gave it. `path` begins with a slash; `{org}` in it stands for
    /// the client's organization.
    pub fn request(&self, method: Method, path: &str, body: Option<Value>) -> Result<Vec<u8>> {
        let path = match (path.contains("{org}"), &self.organization) {
            (false, _) => path.to_owned(),
            (true, Some(organization)) => path.replace("{org}", organization.as_str()),
            (true, None) => {
                return Err(
                    Error::new(Code::Usage, "the path contains {org}, but no organization is selected")
                        .hint("add --org NAME, or choose one: torso org switch NAME"),
                );
            }
        };
        let about = CallSubject::new(format!("{} {path}", method.name()), Code::PathNotFound, Code::Conflict);
        let mut call = ApiCall::new(method, path, about);
        call.body = body;
        self.http.fetch(&call)
    }

    /// The round-trip time to an address, over a connection that is open: the shortest of a few. Asked without a token.
    pub fn latency(&self, url: &Url) -> Result<Duration> {
        latency::latency(url)
    }

    /// A call of an operation in the client's organization. `parameters` are those of its path, in order.
    fn call<'a>(&self, operation: Operation, parameters: &[&dyn Display], about: CallSubject<'a>) -> ApiCall<'a> {
        ApiCall::new(operation.method(), self.path(operation, parameters), about)
    }

    /// A call of an operation in any organization.
    fn call_in<'a>(
        &self,
        organization: &OrganizationSlug,
        operation: Operation,
        parameters: &[&dyn Display],
        about: CallSubject<'a>,
    ) -> ApiCall<'a> {
        let path = operation.path(Some(organization), parameters);
        ApiCall::new(operation.method(), path, about)
    }

    /// The path of an operation in the client's organization.
    fn path(&self, operation: Operation, parameters: &[&dyn Display]) -> String {
        operation.path(self.organization.as_ref(), parameters)
    }
}

fn about_database(name: &DatabaseName) -> CallSubject<'static> {
    CallSubject::new(format!("database {name}"), Code::DatabaseNotFound, Code::DatabaseExists)
        .hint("torso db list shows the databases")
}

fn about_group(name: &GroupName) -> CallSubject<'static> {
    CallSubject::new(format!("group {name}"), Code::GroupNotFound, Code::GroupExists)
        .hint("torso group list shows the groups")
}

fn about(what: &str) -> CallSubject<'static> {
    CallSubject::new(what, Code::PathNotFound, Code::Conflict)
}

/// Whether the server does not know a request that only torso's own servers answer.
fn is_unsupported(error: &Error) -> bool {
    error.code() == Code::Unsupported
}

fn about_organization(slug: &OrganizationSlug) -> CallSubject<'static> {
    CallSubject::new(
        format!("organization {slug}"),
        Code::OrganizationNotFound,
        Code::OrganizationExists,
    )
    .hint("torso org list shows your organizations")
}
