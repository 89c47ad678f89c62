//! A Hrana stream: one connection on the server, kept across requests by its baton.
//!
//! It follows the server's `base_url` on the same server, opens a new stream and repeats the session's pragmas where the old one has expired,
//! falls back to Hrana 2, and knows whether a transaction is open. A statement inside a transaction is sent on the
//! condition that there still is one, so it can never run outside. How a request is sent, and what each failure of it means, is in
//! `request`.

mod request;

pub(super) use request::{Denied, batch_result};

use super::address::{Address, display_url};
use super::keep_alive::{KeepAlive, Watched};
use super::server_error::{ENDED, ServerError, transaction_lost};
use super::transport::{Cancel, HttpCall, HttpClient, HttpReply};
use crate::error::{Code, Error};
use crate::hrana::entry::protocol_error;
use crate::hrana::messages::{Answer, Condition, Description, PipelineBody, Request, Response, UNBOUND, json, single};
use crate::secret::Renewal;
use crate::sql::{Failure, Phase};
use rusqlite::ffi;
use std::sync::Arc;
use std::time::{Duration, Instant};
use url::Url;

type Result<T, E = Failure> = std::result::Result<T, E>;

/// The version of Hrana that a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Api {
    V3,
    /// Without cursors, and without a request that tells whether a transaction is open.
    V2,
}

pub(super) struct HranaStream {
    address: Address,
    renewal: Option<Renewal>,
    /// When the token in use was obtained.
    token_since: Instant,
    http: Option<HttpClient>,
    patience: Duration,
    api: Api,
    /// Cursors are in protobuf, unless the server has refused it.
    binary: bool,
    /// Where the stream is: the address, or the `base_url` that the server named.
    base: Url,
    baton: Option<String>,
    /// How many streams have been opened so far.
    opened: u64,
    in_transaction: bool,
    /// An answer was lost, so `in_transaction` may be wrong: the server has to be asked.
    uncertain: bool,
    /// Why a transaction was lost between two statements; the next statement fails with it.
    lost: Option<String>,
    /// The pragmas that a new stream needs: the name, and the statement that set it.
    pragmas: Vec<(String, String)>,
    /// The pragmas are being set on a new stream.
    replaying: bool,
    /// The next request is answered when a replica has what it writes.
    waits_for_replica: bool,
    /// When the server last received something on the stream.
    last_sent: Instant,
    /// Keeps the stream alive while rows are read in a transaction.
    keep_alive: Arc<KeepAlive>,
}

/// The user's interrupt, as SQLite reports it.
pub(super) fn interrupted() -> Failure {
    Failure::Sql {
        phase: Phase::Step,
        message: "interrupted".to_owned(),
        code: ffi::SQLITE_INTERRUPT,
        offset: None,
    }
}

impl HranaStream {
    pub(super) fn new(address: Address, patience: Duration) -> Self {
        Self {
            base: address.base.clone(),
            address,
            renewal: None,
            token_since: Instant::now(),
            http: None,
            patience,
            api: Api::V3,
            binary: true,
            baton: None,
            opened: 0,
            in_transaction: false,
            uncertain: false,
            lost: None,
            pragmas: Vec::new(),
            replaying: false,
            waits_for_replica: false,
            last_sent: Instant::now(),
            keep_alive: Arc::default(),
        }
    }

    /// Sets where the next tokens come from.
    pub(super) fn renew_by(&mut self, renewal: Option<Renewal>) {
        self.renewal = renewal;
    }

    /// Obtains the next token; none where there is no source of tokens. The stream goes on: it belongs to the database,
    /// not to the token.
    fn renew(&mut self) -> Option<crate::error::Result<()>> {
        let renewal = self.renewal.as_ref()?;
        let next = renewal.ask().and_then(|token| {
            if let Some(http) = &mut self.http {
                http.authorize(&token)?;
            }
            self.address.token = Some(token);
            Ok(())
        });
        self.token_since = Instant::now();
        Some(next)
    }

    /// Has the next request be answered when a replica has what it writes.
    pub(super) fn wait_for_replica(&mut self) {
        self.waits_for_replica = true;
    }

    pub(super) fn keep_alive(&self) -> Arc<KeepAlive> {
        Arc::clone(&self.keep_alive)
    }

    /// Keeps the stream alive while a cursor is read, if a transaction would be lost with it.
    pub(super) fn begin_keep_alive(&self) {
        if let (true, Some(baton), Ok(url)) = (self.in_transaction, &self.baton, self.url("pipeline", false)) {
            self.keep_alive.begin(Watched {
                address: self.address.clone(),
                url,
                baton: baton.clone(),
                last_sent: self.last_sent,
            });
        }
    }

    /// Sets the longest silence within an answer.
    pub(super) fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    pub(super) fn api(&self) -> Api {
        self.api
    }

    pub(super) fn is_open(&self) -> bool {
        self.baton.is_some()
    }

    /// The number of the stream that is open; each new one has a higher number.
    pub(super) fn opened(&self) -> u64 {
        self.opened
    }

    pub(super) fn idle(&self) -> Duration {
        self.last_sent.elapsed()
    }

    /// The total time spent waiting for the server.
    pub(super) fn waited(&self) -> Duration {
        self.http.as_ref().map_or(Duration::ZERO, HttpClient::waited)
    }

    /// Whether a transaction is open, as far as is known.
    pub(super) fn in_transaction(&self) -> bool {
        self.in_transaction
    }

    pub(super) fn is_uncertain(&self) -> bool {
        self.uncertain
    }

    pub(super) fn set_transaction(&mut self, open: bool) {
        self.in_transaction = open;
        self.uncertain = false;
    }

    /// The condition for a statement inside a transaction: that it is still open.
    pub(super) fn condition(&self) -> Option<Condition> {
        (self.in_transaction && self.api == Api::V3).then(Condition::in_transaction)
    }

    /// Keeps a pragma, to be set again on a new stream.
    pub(super) fn remember_pragma(&mut self, name: String, sql: &str) {
        self.pragmas.retain(|(known, _)| *known != name);
        self.pragmas.push((name, sql.to_owned()));
    }

    /// Notes that the transaction is lost: the next statement will fail with that.
    pub(super) fn lose(&mut self, why: &str) {
        self.set_transaction(false);
        self.lost = Some(why.to_owned());
    }

    /// The failure for a transaction that was lost since the last statement, once.
    pub(super) fn take_loss(&mut self) -> Option<Failure> {
        self.lost.take().map(|why| Failure::Connection(transaction_lost(&why)))
    }

    /// Abandons a stream on which a statement was interrupted: the server may be busy with it for long. A stream with a
    /// transaction is kept.
    pub(super) fn leave_behind(&mut self) {
        if !self.in_transaction {
            self.baton = None;
            self.uncertain = false;
        }
    }

    /// The failure of a statement that did not run because its transaction is lost.
    pub(super) fn gone(&mut self, why: &str) -> Failure {
        self.set_transaction(false);
        Failure::Connection(transaction_lost(why))
    }

    fn http(&mut self) -> Result<&HttpClient> {
        if self.http.is_none() {
            self.http = Some(HttpClient::new(&self.address).map_err(Failure::Connection)?);
        }
        self.http
            .as_ref()
            .ok_or_else(|| Failure::Connection(Error::new(Code::Internal, "no HTTP client")))
    }

    fn url(&self, endpoint: &str, binary: bool) -> Result<Url> {
        let version = match self.api {
            Api::V3 if binary => "v3-protobuf",
            Api::V3 => "v3",
            Api::V2 => "v2",
        };
        self.base
            .join(&format!("{version}/{endpoint}"))
            .map_err(|error| Failure::Connection(Error::new(Code::Internal, "cannot make a URL").caused_by(error)))
    }

    /// Applies the baton and `base_url` of an answer. A `base_url` on another server is refused: the token, and what is asked
    /// and answered, are for the one that the user or the control plane named.
    pub(super) fn follow(&mut self, baton: Option<String>, base_url: Option<&str>) -> Result<()> {
        self.baton = baton;
        if let Some(base_url) = base_url.filter(|url| !url.is_empty()) {
            let Ok(mut url) = Url::parse(base_url) else {
                self.baton = None;
                return Err(Failure::Connection(protocol_error("its base_url cannot be used")));
            };
            let plain = url.username().is_empty() && url.password().is_none() && url.query().is_none();
            if url.origin() != self.address.base.origin() || !plain {
                self.baton = None;
                return Err(Failure::Connection(
                    Error::new(
                        Code::Unavailable,
                        format!(
                            "{} redirects to {}; torso does not follow redirects",
                            display_url(&self.address.base),
                            display_url(&url)
                        ),
                    )
                    .hint("if the database is there, open it by that URL"),
                ));
            }
            if !url.path().ends_with('/') {
                url.set_path(&format!("{}/", url.path()));
            }
            self.base = url;
        }
        Ok(())
    }

    /// Ends the reading of a cursor, finished or not.
    pub(super) fn abandon(&mut self, reply: HttpReply) {
        if let Some(http) = &self.http {
            http.abandon(reply);
        }
        if let Some(baton) = self.keep_alive.end() {
            // If the cursor's answer had no baton, the stream is closed whatever the keep-alive says.
            self.baton = self.baton.is_some().then_some(baton);
            self.last_sent = Instant::now();
        }
    }

    /// SQLite's description of a statement, or its refusal.
    pub(super) fn describe(&mut self, cancel: &Cancel, sql: &str) -> Result<Result<Description, ServerError>> {
        match self.ask(cancel, &[Request::Describe { sql }])?.pop() {
            Some(Answer::Ok {
                response: Response::Describe { result },
            }) => Ok(Ok(result)),
            Some(Answer::Error { error }) => Ok(Err(ServerError::new(&error, sql))),
            _ => Err(Failure::Connection(protocol_error("no description"))),
        }
    }

    /// Asks the server whether a transaction is open. That also keeps the stream alive.
    pub(super) fn check(&mut self, cancel: &Cancel, patience: Duration) -> Result<()> {
        if self.baton.is_none() {
            self.set_transaction(false);
            return Ok(());
        }
        let was_open = self.in_transaction;
        let request = match self.api {
            Api::V3 => Request::GetAutocommit,
            Api::V2 => single("select 1", &UNBOUND, None),
        };
        let requests = [request];
        let answer = self.ask_within(cancel, patience, 1, &|baton| {
            json(&PipelineBody {
                baton,
                requests: &requests,
            })
        });
        match answer {
            Ok(mut answers) => {
                if let Some(Answer::Ok {
                    response: Response::GetAutocommit { is_autocommit },
                }) = answers.pop()
                {
                    self.set_transaction(!is_autocommit);
                }
                self.uncertain = false;
                Ok(())
            }
            Err(failure) => {
                if was_open && !self.in_transaction && self.lost.is_none() {
                    self.lose(ENDED);
                }
                Err(failure)
            }
        }
    }

    /// Sets the session's pragmas on a new stream.
    fn replay(&mut self, cancel: &Cancel) -> Result<()> {
        if self.pragmas.is_empty() {
            return Ok(());
        }
        self.replaying = true;
        let pragmas = std::mem::take(&mut self.pragmas);
        let requests: Vec<_> = pragmas.iter().map(|(_, sql)| single(sql, &UNBOUND, None)).collect();
        let answers = self.ask(cancel, &requests);
        drop(requests);
        self.pragmas = pragmas;
        self.replaying = false;
        for answer in answers? {
            let error = match answer {
                Answer::Error { error } => Some(error),
                answer => batch_result(answer)?.step_errors.pop().flatten(),
            };
            if let Some(error) = error {
                let message = format!("a setting of this session could not be made again: {}", error.message);
                return Err(Failure::Connection(Error::new(Code::Unavailable, message)));
            }
        }
        Ok(())
    }

    /// The server's name and version.
    pub(super) fn version(&mut self, cancel: &Cancel) -> Result<String> {
        let url =
            self.address.base.join("version").map_err(|error| {
                Failure::Connection(Error::new(Code::Internal, "cannot make a URL").caused_by(error))
            })?;
        let call = HttpCall {
            cancel,
            patience: self.patience,
        };
        let sent = self.http()?.send(call, &url, None, false);
        let text = sent.and_then(|mut reply| match self.http.as_ref() {
            Some(http) if reply.status == 200 => http.whole(call, &mut reply),
            _ => Ok(Vec::new()),
        });
        match text {
            Ok(text) => Ok(String::from_utf8_lossy(&text).trim().to_owned()),
            Err(failure) => Err(self.convert_failure(failure)),
        }
    }

    /// Closes the stream. If that takes too long, the server's own timeout does it.
    pub(super) fn close(&mut self) {
        if self.baton.is_some() {
            let body = |baton: Option<&str>| {
                json(&PipelineBody {
                    baton,
                    requests: &[Request::Close],
                })
            };
            // The stream ends either way.
            let _ = self.ask_within(&Cancel::default(), Duration::from_millis(300), 1, &body);
            self.baton = None;
        }
    }
}
