//! A stream: one connection on the server, kept across requests by its baton.
//!
//! It follows the server's `base_url`, opens a new stream where the old one expired and sets the session's pragmas again,
//! falls back to Hrana 2, and knows whether a transaction is open. A statement inside a transaction is sent on the
//! condition that there still is one, so it can never run outside.

use super::address::Address;
use super::binary;
use super::complaint::Complaint;
use super::decode::malformed;
use super::refusal::{Refusal, transaction_lost};
use super::transport::{Call, Cancel, Fault, Http, Reply};
use super::vigil::{Vigil, Watched};
use super::wire::{
    Answer, Batch, BatchResult, Condition, CursorBody, Description, PipelineBody, PipelineReply, Request, Response,
    UNBOUND, WireError, json, single,
};
use crate::error::{Code, Error};
use crate::secret::Renewal;
use crate::sql::{Failure, Phase};
use bytes::Bytes;
use rusqlite::ffi;
use std::sync::Arc;
use std::time::{Duration, Instant};
use url::Url;

type Result<T, E = Failure> = std::result::Result<T, E>;

/// What a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Api {
    V3,
    /// No cursor, and no question whether a transaction is open.
    V2,
}

/// The endpoint of results that arrive row by row.
const CURSOR: &str = "cursor";

pub(super) struct Link {
    address: Address,
    renewal: Option<Renewal>,
    /// When the token in use was had.
    had: Instant,
    http: Option<Http>,
    patience: Duration,
    api: Api,
    /// Cursors are asked for in protobuf, as long as the server knows of it.
    binary: bool,
    /// Where the stream is: the address, or where the server sent us.
    base: Url,
    baton: Option<String>,
    /// How many streams have been opened.
    opened: u64,
    in_transaction: bool,
    /// An answer went missing: whether a transaction is open has to be asked.
    doubt: bool,
    /// A transaction was lost while nobody was looking: why.
    lost: Option<String>,
    /// The session's settings: the name, and the statement that made it.
    pragmas: Vec<(String, String)>,
    /// Settings are being made on a new stream.
    replaying: bool,
    /// When the server last heard of us.
    touched: Instant,
    /// Looks after the stream while rows of a transaction are read.
    vigil: Arc<Vigil>,
}

/// Why a request had no answer to read.
pub(super) enum Denied {
    /// The server would not have the statement, and ended the stream over it.
    Refused(WireError),
    Failed(Failure),
}

impl Denied {
    pub(super) fn failure(self) -> Failure {
        match self {
            Self::Refused(error) => Refusal::new(&error, "").failure(Phase::Prepare, 0),
            Self::Failed(failure) => failure,
        }
    }
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

impl Link {
    pub(super) fn new(address: Address, patience: Duration) -> Self {
        Self {
            base: address.base.clone(),
            address,
            renewal: None,
            had: Instant::now(),
            http: None,
            patience,
            api: Api::V3,
            binary: true,
            baton: None,
            opened: 0,
            in_transaction: false,
            doubt: false,
            lost: None,
            pragmas: Vec::new(),
            replaying: false,
            touched: Instant::now(),
            vigil: Arc::default(),
        }
    }

    /// Where further tokens come from.
    pub(super) fn renew_by(&mut self, renewal: Option<Renewal>) {
        self.renewal = renewal;
    }

    /// Takes the next token, if there is a place where it comes from. The stream goes on: it is the database's, not the
    /// token's.
    fn renew(&mut self) -> Option<crate::error::Result<()>> {
        let renewal = self.renewal.as_ref()?;
        let next = renewal.ask().and_then(|token| {
            if let Some(http) = &mut self.http {
                http.authorize(&token)?;
            }
            self.address.token = Some(token);
            Ok(())
        });
        self.had = Instant::now();
        Some(next)
    }

    pub(super) fn vigil(&self) -> Arc<Vigil> {
        Arc::clone(&self.vigil)
    }

    /// Has the stream looked after while the rows of a cursor are read, where a transaction would be lost with it.
    pub(super) fn begin_vigil(&self) {
        if let (true, Some(baton), Ok(url)) = (self.in_transaction, &self.baton, self.url("pipeline", false)) {
            self.vigil.begin(Watched {
                address: self.address.clone(),
                url,
                baton: baton.clone(),
                touched: self.touched,
            });
        }
    }

    /// How long each part of an answer may take from now on.
    pub(super) fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    pub(super) fn api(&self) -> Api {
        self.api
    }

    pub(super) fn is_open(&self) -> bool {
        self.baton.is_some()
    }

    /// Which stream is open, as a number that grows.
    pub(super) fn opened(&self) -> u64 {
        self.opened
    }

    pub(super) fn idle(&self) -> Duration {
        self.touched.elapsed()
    }

    /// All the time that was spent waiting for the server.
    pub(super) fn waited(&self) -> Duration {
        self.http.as_ref().map_or(Duration::ZERO, Http::waited)
    }

    /// Whether a transaction is open, as far as is known.
    pub(super) fn in_transaction(&self) -> bool {
        self.in_transaction
    }

    pub(super) fn in_doubt(&self) -> bool {
        self.doubt
    }

    pub(super) fn set_transaction(&mut self, open: bool) {
        self.in_transaction = open;
        self.doubt = false;
    }

    /// A condition for statements inside a transaction: not outside it.
    pub(super) fn condition(&self) -> Option<Condition> {
        (self.in_transaction && self.api == Api::V3).then(Condition::in_transaction)
    }

    /// A setting that has to be made again on a new stream.
    pub(super) fn remember_pragma(&mut self, name: String, sql: &str) {
        self.pragmas.retain(|(known, _)| *known != name);
        self.pragmas.push((name, sql.to_owned()));
    }

    /// Notes that the transaction is gone, to be told at the next statement.
    pub(super) fn lose(&mut self, why: &str) {
        self.set_transaction(false);
        self.lost = Some(why.to_owned());
    }

    /// The loss of a transaction that nobody has been told of yet.
    pub(super) fn take_loss(&mut self) -> Option<Failure> {
        self.lost.take().map(|why| Failure::Connection(transaction_lost(&why)))
    }

    /// Leaves a stream on which a statement was stopped to the server, which may be busy with it for longer than anybody
    /// wants to wait. Not where a transaction is open on it.
    pub(super) fn leave_behind(&mut self) {
        if !self.in_transaction {
            self.baton = None;
            self.doubt = false;
        }
    }

    /// The failure of a statement that was not run because its transaction is gone.
    pub(super) fn gone(&mut self, why: &str) -> Failure {
        self.set_transaction(false);
        Failure::Connection(transaction_lost(why))
    }

    fn http(&mut self) -> Result<&Http> {
        if self.http.is_none() {
            self.http = Some(Http::new(&self.address).map_err(Failure::Connection)?);
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

    /// Sends to an endpoint; `body` is given the baton, and told whether it is to be binary.
    fn post(
        &mut self,
        cancel: &Cancel,
        patience: Duration,
        endpoint: &str,
        body: &dyn Fn(Option<&str>, bool) -> Vec<u8>,
    ) -> Result<Reply, Denied> {
        let call = Call { cancel, patience };
        let mut reopened = false;
        let mut renewed = false;
        if self
            .renewal
            .as_ref()
            .is_some_and(|renewal| self.had.elapsed() >= renewal.after)
        {
            // Where that fails, the one that there is may still serve.
            renewed = self.renew().is_some_and(|renewed| renewed.is_ok());
        }
        loop {
            if self.baton.is_none() {
                self.base = self.address.base.clone();
                if !self.replaying {
                    self.opened += 1;
                    self.replay(cancel).map_err(Denied::Failed)?;
                }
            }
            let binary = endpoint == CURSOR && self.binary && self.api == Api::V3;
            let url = self.url(endpoint, binary).map_err(Denied::Failed)?;
            let content = Bytes::from(body(self.baton.as_deref(), binary));
            let kind = if binary {
                binary::CONTENT_TYPE
            } else {
                "application/json"
            };
            let sent = self
                .http()
                .map_err(Denied::Failed)?
                .send(call, &url, Some((kind, content)));
            let mut reply = match sent {
                Ok(reply) => reply,
                Err(fault) => return Err(Denied::Failed(self.fault(fault))),
            };
            if reply.status == 200 {
                self.touched = Instant::now();
                return Ok(reply);
            }
            let text = match self.http().map_err(Denied::Failed)?.whole(call, &mut reply) {
                Ok(text) => text,
                Err(fault) => return Err(Denied::Failed(self.fault(fault))),
            };
            if binary && matches!(reply.status, 404 | 405 | 415) {
                // Whatever is wrong is told in the other encoding too.
                self.binary = false;
                continue;
            }
            let complaint = Complaint::read(&text, reply.binary, self.address.token.as_ref());
            // It has ended before its time, or this machine slept meanwhile. Nothing has been run.
            if reply.status == 401
                && !renewed
                && let Some(next) = self.renew()
            {
                next.map_err(|error| Denied::Failed(Failure::Connection(error)))?;
                renewed = true;
                continue;
            }
            if reply.status == 400 && complaint.is_expiry() {
                self.baton = None;
                if self.in_transaction {
                    return Err(Denied::Failed(self.gone(&complaint.message)));
                }
                if !reopened {
                    reopened = true;
                    continue;
                }
            }
            if reply.status == 404 && complaint.message.is_empty() && self.api == Api::V3 && !self.in_transaction {
                self.api = self.probe(call).map_err(Denied::Failed)?;
                if self.api == Api::V2 {
                    if endpoint == CURSOR {
                        return Err(Denied::Failed(no_such_endpoint(&url)));
                    }
                    continue;
                }
            }
            return Err(self.denied(reply.status, complaint, &url));
        }
    }

    /// What the server speaks that knows nothing of version 3.
    fn probe(&mut self, call: Call<'_>) -> Result<Api> {
        let base = self.base.clone();
        for (path, api) in [("v3", Api::V3), ("v2", Api::V2)] {
            let url = base.join(path).map_err(|error| {
                Failure::Connection(Error::new(Code::Internal, "cannot make a URL").caused_by(error))
            })?;
            match self.http()?.send(call, &url, None) {
                Ok(reply) if reply.status == 200 => return Ok(api),
                Ok(_) => {}
                Err(fault) => return Err(self.fault(fault)),
            }
        }
        Err(no_such_endpoint(&base))
    }

    /// A status other than 200. A server that fails drops the stream.
    fn denied(&mut self, status: u16, complaint: Complaint, url: &Url) -> Denied {
        let from = super::address::shown(url);
        let with = |code: Code, what: &str| {
            let mut message = format!("{from} {what} (HTTP {status})");
            if !complaint.message.is_empty() {
                message.push_str(": ");
                message.push_str(&complaint.message);
            }
            Error::new(code, message)
        };
        let error = match status {
            400 if complaint.code.is_some() => {
                return Denied::Failed(Refusal::new(&complaint.into_wire(), "").failure(Phase::Step, 0));
            }
            401 => {
                with(Code::Unauthenticated, "wants a valid token").hint("give one in the URL, ?authToken=…, or log in")
            }
            403 => with(Code::Forbidden, "does not allow that"),
            404 => with(Code::DatabaseNotFound, "has no such database"),
            408 | 504 => with(Code::Timeout, "took too long"),
            429 => with(Code::Unavailable, "is busy").hint("try again in a few seconds"),
            300..=399 => with(Code::Unavailable, "is somewhere else").hint("use the URL it redirects to"),
            500 if complaint.message.starts_with("SQL string ") => {
                self.baton = None;
                if self.in_transaction {
                    self.lose("the server ended it over a statement that it could not read");
                }
                return Denied::Refused(complaint.into_wire());
            }
            500 if complaint.message.contains("utf-8") => {
                self.doubt = true;
                with(Code::Unavailable, "cannot send a text that is not valid UTF-8")
                    .hint("ask for hex(column) or cast(column as blob)")
            }
            _ => {
                self.doubt = true;
                with(Code::Unavailable, "failed")
            }
        };
        Denied::Failed(Failure::Connection(error))
    }

    /// A request that has no answer. What it did is not known, except where it was never sent.
    pub(super) fn fault(&mut self, fault: Fault) -> Failure {
        match fault {
            Fault::Unsent(error) => Failure::Connection(error),
            Fault::Interrupted => {
                self.doubt = true;
                interrupted()
            }
            Fault::Broken(error) => {
                self.doubt = true;
                Failure::Connection(error)
            }
        }
    }

    /// Takes over what an answer says of the stream.
    pub(super) fn follow(&mut self, baton: Option<String>, base_url: Option<&str>) -> Result<()> {
        self.baton = baton;
        if let Some(base_url) = base_url.filter(|url| !url.is_empty()) {
            let url = Url::parse(base_url).ok().filter(|url| {
                url.scheme() == "https" || (url.scheme() == "http" && self.address.base.scheme() == "http")
            });
            let Some(mut url) = url else {
                self.baton = None;
                return Err(Failure::Connection(malformed("its base_url cannot be used")));
            };
            if !url.path().ends_with('/') {
                url.set_path(&format!("{}/", url.path()));
            }
            self.base = url;
        }
        Ok(())
    }

    /// Sends a pipeline and reads its answers, as many as there were requests.
    pub(super) fn ask(&mut self, cancel: &Cancel, requests: &[Request<'_>]) -> Result<Vec<Answer>> {
        let patience = self.patience;
        self.ask_within(cancel, patience, requests.len(), &|baton| {
            json(&PipelineBody { baton, requests })
        })
    }

    /// As [`Link::ask`], with a body made by the caller and a patience of its own.
    pub(super) fn ask_within(
        &mut self,
        cancel: &Cancel,
        patience: Duration,
        count: usize,
        body: &dyn Fn(Option<&str>) -> Vec<u8>,
    ) -> Result<Vec<Answer>> {
        let mut reply = self
            .post(cancel, patience, "pipeline", &|baton, _| body(baton))
            .map_err(Denied::failure)?;
        let call = Call { cancel, patience };
        let text = match self.http()?.whole(call, &mut reply) {
            Ok(text) => text,
            Err(fault) => return Err(self.fault(fault)),
        };
        let answer: PipelineReply = serde_json::from_slice(&text).map_err(|error| {
            self.doubt = true;
            Failure::Connection(malformed(error))
        })?;
        if answer.results.len() != count {
            self.doubt = true;
            let text = format!("{} answers to {count} requests", answer.results.len());
            return Err(Failure::Connection(malformed(text)));
        }
        self.follow(answer.baton, answer.base_url.as_deref())?;
        if self.baton.is_none() && self.in_transaction {
            self.lose("the server closed the stream");
        }
        Ok(answer.results)
    }

    /// Opens a cursor over one step.
    pub(super) fn cursor(&mut self, cancel: &Cancel, batch: &Batch<'_>) -> Result<Reply, Denied> {
        let patience = self.patience;
        self.post(cancel, patience, CURSOR, &|baton, binary| {
            if binary {
                binary::cursor_body(baton, batch)
            } else {
                json(&CursorBody { baton, batch })
            }
        })
    }

    /// The next piece of a cursor's answer.
    pub(super) fn chunk(&mut self, cancel: &Cancel, reply: &mut Reply) -> Result<Option<Bytes>> {
        let patience = self.patience;
        match self.http()?.chunk(Call { cancel, patience }, reply) {
            Ok(chunk) => Ok(chunk),
            Err(fault) => Err(self.fault(fault)),
        }
    }

    /// Gives up a cursor.
    pub(super) fn abandon(&mut self, reply: Reply) {
        if let Some(http) = &self.http {
            http.abandon(reply);
        }
        if let Some(baton) = self.vigil.end() {
            // Without one of its own the stream is known to be gone.
            self.baton = self.baton.is_some().then_some(baton);
            self.touched = Instant::now();
        }
    }

    /// SQLite's own view of a statement; or why it will not have it.
    pub(super) fn describe(&mut self, cancel: &Cancel, sql: &str) -> Result<Result<Description, Refusal>> {
        match self.ask(cancel, &[Request::Describe { sql }])?.pop() {
            Some(Answer::Ok {
                response: Response::Describe { result },
            }) => Ok(Ok(result)),
            Some(Answer::Error { error }) => Ok(Err(Refusal::new(&error, sql))),
            _ => Err(Failure::Connection(malformed("no description"))),
        }
    }

    /// Asks whether a transaction is open. Also tells the server that the stream is still wanted.
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
                self.doubt = false;
                Ok(())
            }
            Err(failure) => {
                if was_open && !self.in_transaction && self.lost.is_none() {
                    self.lose("the server had closed its stream");
                }
                Err(failure)
            }
        }
    }

    /// Makes the session's settings on a new stream.
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

    /// What the server calls itself.
    pub(super) fn version(&mut self, cancel: &Cancel) -> Result<String> {
        let url =
            self.address.base.join("version").map_err(|error| {
                Failure::Connection(Error::new(Code::Internal, "cannot make a URL").caused_by(error))
            })?;
        let call = Call {
            cancel,
            patience: self.patience,
        };
        let sent = self.http()?.send(call, &url, None);
        let text = sent.and_then(|mut reply| match self.http.as_ref() {
            Some(http) if reply.status == 200 => http.whole(call, &mut reply),
            _ => Ok(Vec::new()),
        });
        match text {
            Ok(text) => Ok(String::from_utf8_lossy(&text).trim().to_owned()),
            Err(fault) => Err(self.fault(fault)),
        }
    }

    /// Lets the server have its connection back. What cannot be sent at once is left to the server's own patience.
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

/// The result that a batch must have.
pub(super) fn batch_result(answer: Answer) -> Result<BatchResult> {
    match answer {
        Answer::Ok {
            response: Response::Batch { result },
        } if result.step_results.len() == result.step_errors.len() => Ok(result),
        Answer::Error { error } => Err(Refusal::new(&error, "").failure(Phase::Prepare, 0)),
        Answer::Ok { .. } => Err(Failure::Connection(malformed("a batch has no result"))),
    }
}

fn no_such_endpoint(url: &Url) -> Failure {
    Failure::Connection(
        Error::new(
            Code::Unavailable,
            format!("{} is not a libSQL server", super::address::shown(url)),
        )
        .hint("is the path in the URL right?"),
    )
}
