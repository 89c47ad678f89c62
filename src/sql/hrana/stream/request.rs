//! Sending a request on a stream: which version and encoding, and what to do about every way in which it can fail.

use super::{Api, HranaStream, interrupted};
use crate::error::{Code, Error};
use crate::hrana::entry::protocol_error;
use crate::hrana::messages::{
    Answer, Batch, BatchResult, CursorBody, HranaError, PipelineBody, PipelineReply, Request, Response, json,
};
use crate::hrana::protobuf;
use crate::sql::hrana::address::display_url;
use crate::sql::hrana::error_body::ErrorBody;
use crate::sql::hrana::server_error::{ENDED, ServerError};
use crate::sql::hrana::transport::{Cancel, HttpCall, HttpReply, RequestFailure};
use crate::sql::{Failure, Phase};
use bytes::Bytes;
use std::time::{Duration, Instant};
use url::Url;

type Result<T, E = Failure> = std::result::Result<T, E>;

/// The endpoint whose results arrive row by row.
const CURSOR: &str = "cursor";

/// Why a request has no answer.
pub(in crate::sql::hrana) enum Denied {
    /// The server's parser refused the statement, and the server ended the stream.
    Refused(HranaError),
    Failed(Failure),
}

impl Denied {
    pub(super) fn failure(self) -> Failure {
        match self {
            Self::Refused(error) => ServerError::new(&error, "").failure(Phase::Prepare, 0),
            Self::Failed(failure) => failure,
        }
    }
}

/// What was done already so that a request may be sent again. Each is done once.
struct Recovered {
    renewed: bool,
    reopened: bool,
}

impl HranaStream {
    /// Sends a request to an endpoint. `body` makes it from the baton; its second argument says whether it is to be
    /// protobuf.
    fn post(
        &mut self,
        cancel: &Cancel,
        patience: Duration,
        endpoint: &str,
        body: &dyn Fn(Option<&str>, bool) -> Vec<u8>,
    ) -> Result<HttpReply, Denied> {
        let call = HttpCall { cancel, patience };
        let waits_for_replica = std::mem::take(&mut self.waits_for_replica);
        let mut recovered = Recovered {
            renewed: self.renew_if_due(),
            reopened: false,
        };
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
                protobuf::cursor::CONTENT_TYPE
            } else {
                "application/json"
            };
            let sent = self
                .http()
                .map_err(Denied::Failed)?
                .send(call, &url, Some((kind, content)), waits_for_replica);
            let mut reply = match sent {
                Ok(reply) => reply,
                Err(failure) => return Err(Denied::Failed(self.convert_failure(failure))),
            };
            if reply.status == 200 {
                self.last_sent = Instant::now();
                return Ok(reply);
            }
            let text = match self.http().map_err(Denied::Failed)?.whole(call, &mut reply) {
                Ok(text) => text,
                Err(failure) => return Err(Denied::Failed(self.convert_failure(failure))),
            };
            if binary && matches!(reply.status, 404 | 405 | 415) {
                // Perhaps only protobuf is unknown here; if anything else is wrong, JSON gets the same answer.
                self.binary = false;
                continue;
            }
            let refused = ErrorBody::read(&text, reply.binary, self.address.token.as_ref());
            if !self.recover(call, &url, endpoint, reply.status, &refused, &mut recovered)? {
                return Err(self.denied(reply.status, refused, &url));
            }
        }
    }

    /// Renews a token that will soon end. Returns whether there is a new one.
    fn renew_if_due(&mut self) -> bool {
        let is_due = self
            .renewal
            .as_ref()
            .is_some_and(|renewal| self.token_since.elapsed() >= renewal.after);
        // If that fails, the present token may still be good.
        is_due && self.renew().is_some_and(|renewed| renewed.is_ok())
    }

    /// Removes the cause for which a request was refused, if that is possible. Returns whether it can be sent again.
    fn recover(
        &mut self,
        call: HttpCall<'_>,
        url: &Url,
        endpoint: &str,
        status: u16,
        refused: &ErrorBody,
        recovered: &mut Recovered,
    ) -> Result<bool, Denied> {
        // The token was revoked, or this machine was suspended past its end. Nothing has been run.
        if status == 401
            && !recovered.renewed
            && let Some(next) = self.renew()
        {
            next.map_err(|error| Denied::Failed(Failure::Connection(error)))?;
            recovered.renewed = true;
            return Ok(true);
        }
        if status == 400 && refused.is_expiry() {
            self.baton = None;
            if self.in_transaction {
                return Err(Denied::Failed(self.gone(ENDED)));
            }
            if !recovered.reopened {
                recovered.reopened = true;
                return Ok(true);
            }
        }
        if status == 404 && refused.message.is_empty() && self.api == Api::V3 && !self.in_transaction {
            self.api = self.probe(call).map_err(Denied::Failed)?;
            if self.api == Api::V2 {
                if endpoint == CURSOR {
                    return Err(Denied::Failed(no_such_endpoint(url)));
                }
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Finds the version of a server that answered 404 to version 3.
    fn probe(&mut self, call: HttpCall<'_>) -> Result<Api> {
        let base = self.base.clone();
        for (path, api) in [("v3", Api::V3), ("v2", Api::V2)] {
            let url = base.join(path).map_err(|error| {
                Failure::Connection(Error::new(Code::Internal, "cannot make a URL").caused_by(error))
            })?;
            match self.http()?.send(call, &url, None, false) {
                Ok(reply) if reply.status == 200 => return Ok(api),
                Ok(_) => {}
                Err(failure) => return Err(self.convert_failure(failure)),
            }
        }
        Err(no_such_endpoint(&base))
    }

    /// The error for a status other than 200. After a 500, the stream may be gone.
    fn denied(&mut self, status: u16, refused: ErrorBody, url: &Url) -> Denied {
        let from = display_url(url);
        let with = |code: Code, what: &str| {
            let mut message = format!("{from} {what} (HTTP {status})");
            if !refused.message.is_empty() {
                message.push_str(": ");
                message.push_str(&refused.message);
            }
            Error::new(code, message)
        };
        let error = match status {
            // Nothing was run.
            400 if refused.code.as_deref() == Some("NO_REPLICA") => Error::new(Code::Unsupported, refused.message),
            400 if refused.code.is_some() => {
                return Denied::Failed(ServerError::new(&refused.into_wire(), "").failure(Phase::Step, 0));
            }
            401 => {
                with(Code::Unauthenticated, "wants a valid token").hint("give one in the URL, ?authToken=…, or log in")
            }
            403 if refused.code.as_deref() == Some("BLOCKED") => Error::new(Code::Blocked, refused.message),
            403 => with(Code::Forbidden, "does not allow that"),
            404 => with(Code::DatabaseNotFound, "has no such database"),
            504 if refused.code.as_deref() == Some("NOT_REPLICATED") => {
                // What was sent is done, and its stream is not known any more.
                self.baton = None;
                self.set_transaction(false);
                Error::new(Code::Timeout, refused.message)
            }
            408 | 504 => with(Code::Timeout, "took too long"),
            413 => with(Code::TooLarge, "takes no request of this size")
                .hint("a proxy before the server may take less than it: nginx needs client_max_body_size 32m"),
            429 => with(Code::Unavailable, "is busy").hint("try again in a few seconds"),
            300..=399 => with(Code::Unavailable, "is somewhere else").hint("use the URL it redirects to"),
            500 if refused.message.starts_with("SQL string ") => {
                self.baton = None;
                if self.in_transaction {
                    self.lose("the server ended it over a statement that it could not read");
                }
                return Denied::Refused(refused.into_wire());
            }
            500 if refused.message.contains("utf-8") => {
                self.uncertain = true;
                with(Code::SqlError, "cannot send a text that is not valid UTF-8")
                    .hint("ask for hex(column) or cast(column as blob)")
            }
            // A proxy's own page, or its few words.
            502 | 503 if refused.message.is_empty() || (status == 502 && refused.code.is_none()) => {
                self.uncertain = true;
                Error::new(
                    Code::Unavailable,
                    format!("the server behind {from} does not answer (HTTP {status})"),
                )
                .hint("try again in a moment")
            }
            _ => {
                self.uncertain = true;
                with(Code::Unavailable, "failed")
            }
        };
        Denied::Failed(Failure::Connection(error))
    }

    /// The error of a request without an answer. Unless it was never sent, it may have been carried out.
    pub(in crate::sql::hrana) fn convert_failure(&mut self, failure: RequestFailure) -> Failure {
        match failure {
            RequestFailure::Unsent(error) => Failure::Connection(error),
            RequestFailure::Interrupted => {
                self.uncertain = true;
                interrupted()
            }
            RequestFailure::Broken(error) => {
                self.uncertain = true;
                Failure::Connection(error)
            }
        }
    }

    /// Sends a pipeline; returns one answer for each request.
    pub(in crate::sql::hrana) fn ask(&mut self, cancel: &Cancel, requests: &[Request<'_>]) -> Result<Vec<Answer>> {
        let patience = self.patience;
        self.ask_within(cancel, patience, requests.len(), &|baton| {
            json(&PipelineBody { baton, requests })
        })
    }

    /// As [`HranaStream::ask`], with a body made by the caller for `count` requests.
    pub(in crate::sql::hrana) fn ask_within(
        &mut self,
        cancel: &Cancel,
        patience: Duration,
        count: usize,
        body: &dyn Fn(Option<&str>) -> Vec<u8>,
    ) -> Result<Vec<Answer>> {
        let mut reply = self
            .post(cancel, patience, "pipeline", &|baton, _| body(baton))
            .map_err(Denied::failure)?;
        let call = HttpCall { cancel, patience };
        let text = match self.http()?.whole(call, &mut reply) {
            Ok(text) => text,
            Err(failure) => return Err(self.convert_failure(failure)),
        };
        let answer: PipelineReply = serde_json::from_slice(&text).map_err(|error| {
            self.uncertain = true;
            Failure::Connection(protocol_error(error))
        })?;
        if answer.results.len() != count {
            self.uncertain = true;
            let text = format!("{} answers to {count} requests", answer.results.len());
            return Err(Failure::Connection(protocol_error(text)));
        }
        self.follow(answer.baton, answer.base_url.as_deref())?;
        if self.baton.is_none() && self.in_transaction {
            self.lose(ENDED);
        }
        Ok(answer.results)
    }

    /// Opens a cursor over one step.
    pub(in crate::sql::hrana) fn cursor(&mut self, cancel: &Cancel, batch: &Batch<'_>) -> Result<HttpReply, Denied> {
        let patience = self.patience;
        self.post(cancel, patience, CURSOR, &|baton, binary| {
            if binary {
                protobuf::cursor::cursor_body(baton, batch)
            } else {
                json(&CursorBody { baton, batch })
            }
        })
    }

    /// The next piece of a cursor's answer.
    pub(in crate::sql::hrana) fn chunk(&mut self, cancel: &Cancel, reply: &mut HttpReply) -> Result<Option<Bytes>> {
        let patience = self.patience;
        match self.http()?.chunk(HttpCall { cancel, patience }, reply) {
            Ok(chunk) => Ok(chunk),
            Err(failure) => Err(self.convert_failure(failure)),
        }
    }
}

/// The result of a batch; an error for any other answer.
pub(in crate::sql::hrana) fn batch_result(answer: Answer) -> Result<BatchResult> {
    match answer {
        Answer::Ok {
            response: Response::Batch { result },
        } if result.step_results.len() == result.step_errors.len() => Ok(result),
        Answer::Error { error } => Err(ServerError::new(&error, "").failure(Phase::Prepare, 0)),
        Answer::Ok { .. } => Err(Failure::Connection(protocol_error("a batch has no result"))),
    }
}

fn no_such_endpoint(url: &Url) -> Failure {
    Failure::Connection(
        Error::new(
            Code::Unavailable,
            format!("{} is not a libSQL server", display_url(url)),
        )
        .hint("is the path in the URL right?"),
    )
}
