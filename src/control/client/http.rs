//! Sends requests to a server, one at a time, with what every call must have: a deadline, an answer of bounded size, and a token
//! that goes to no other host and into no message.
//!
//! Retries are in `attempts`. What a refusal means is left to `api_error`; what is asked for and what the answer says, to the callers.

use super::api_error::{self, CallSubject};
use super::call::{ApiCall, PROBE, RetryPolicy};
use super::failed_call::FailedCall;
use crate::control::endpoints::Method;
use crate::control::idempotency::{HEADER, IdempotencyKey};
use crate::error::{Code, Error, Result};
use crate::net::{self, innermost, is_loopback, use_ring};
use crate::secret::Secret;
use jiff::Timestamp;
use reqwest::blocking::{Client, Response};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use serde_json::Value;
use std::cell::{Cell, OnceCell};
use std::io::Read as _;
use std::time::{Duration, Instant};
use url::Url;

/// Bytes of the longest answer that is read into memory.
const WHOLE: u64 = 64 << 20;

/// A server's address and how it is asked. The HTTP client is made when first needed.
pub(super) struct ApiTransport {
    base: Url,
    token: Option<Secret>,
    pub(super) patience: RetryPolicy,
    client: OnceCell<Client>,
    /// Whether the server makes a change with a key once; none until it has answered.
    pub(super) knows_keys: Cell<Option<bool>>,
}

impl ApiTransport {
    pub fn new(base: Url, token: Option<Secret>, patience: RetryPolicy) -> Self {
        Self {
            base,
            token,
            patience,
            client: OnceCell::new(),
            knows_keys: Cell::default(),
        }
    }

    /// Returns a function that makes the same on another thread.
    pub fn again(&self) -> impl Fn() -> Self + Send + Sync + 'static {
        let (base, token, patience) = (self.base.clone(), self.token.clone(), self.patience);
        move || Self::new(base.clone(), token.clone(), patience)
    }

    /// The same with another policy.
    pub fn with_policy(&self, policy: RetryPolicy) -> Self {
        Self::new(self.base.clone(), self.token.clone(), policy)
    }

    /// The same with [`RetryPolicy::IN_PASSING`].
    pub fn in_passing(&self) -> Self {
        self.with_policy(RetryPolicy::IN_PASSING)
    }

    /// The server's address, for messages.
    pub fn display_url(&self) -> String {
        display_url(&self.base)
    }

    /// The server's address.
    pub fn base(&self) -> &Url {
        &self.base
    }

    pub fn has_token(&self) -> bool {
        self.token.is_some()
    }

    pub(super) fn client(&self) -> Result<&Client> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = build(&self.base, self.patience.connect)?;
        Ok(self.client.get_or_init(|| client))
    }

    /// The address of a path on this server.
    pub fn url(&self, path: &str, query: &[(&'static str, String)]) -> Result<Url> {
        let text = format!("{}{path}", self.base.as_str().trim_end_matches('/'));
        let mut url = Url::parse(&text).map_err(|error| {
            Error::new(Code::InvalidValue, format!("{path:?} is not a path on a server")).caused_by(error)
        })?;
        if url.origin() != self.base.origin() {
            return Err(Error::new(
                Code::InvalidValue,
                format!("{path:?} leaves the server {}", self.display_url()),
            ));
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }

    /// Sends a call and reads the answer; null where it is empty.
    pub fn ask(&self, call: &ApiCall<'_>) -> Result<Value> {
        let body = self.fetch(call)?;
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body).map_err(|error| self.unknown_answer(&call.about).caused_by(error))
    }

    /// The error for an answer that is not in the Platform API's form.
    pub fn unknown_answer(&self, about: &CallSubject<'_>) -> Error {
        Error::new(
            Code::Unavailable,
            format!(
                "the answer of {} about {} is not in the format of the Platform API",
                self.display_url(),
                about.what
            ),
        )
        .hint("is the address right? torso context list shows it")
    }

    /// Sends a call and reads the answer's bytes.
    pub fn fetch(&self, call: &ApiCall<'_>) -> Result<Vec<u8>> {
        let deadline = self.patience.deadline(self.patience.call);
        match self.repeating(call, deadline, |response| self.whole(response, deadline)) {
            // It was done by an earlier try, whose answer was lost.
            Err(error) if error.lost && is_done(call, error.error.code()) => Ok(b"{}".to_vec()),
            done => done.map_err(|error| error.error),
        }
    }

    /// Sends a call and returns the answer unread, for a body too large for memory. `patience` is for reading it, too.
    pub fn stream(&self, call: &ApiCall<'_>, patience: Duration) -> Result<Response> {
        self.repeating(call, self.patience.deadline(patience), Ok)
            .map_err(|error| error.error)
    }

    /// Sends bytes, without retries: only the caller knows where to go on after a failure. With `token` they go to another
    /// host, which never gets this server's token.
    pub fn put(
        &self,
        url: &Url,
        token: Option<&Secret>,
        bytes: Vec<u8>,
        about: &CallSubject<'_>,
    ) -> std::result::Result<Value, FailedCall> {
        let deadline = self.patience.deadline(self.patience.call);
        let client = match token {
            Some(_) => &build(url, self.patience.connect).map_err(FailedCall::forever)?,
            None => self.client().map_err(FailedCall::forever)?,
        };
        let mut request = client
            .put(url.clone())
            .timeout(deadline.saturating_duration_since(Instant::now()))
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(HEADER, IdempotencyKey::generate().as_str())
            .body(bytes);
        if let Some(token) = token.or(self.token.as_ref()) {
            request = request.header(AUTHORIZATION, bearer(token).map_err(FailedCall::forever)?);
        }
        let response = request.send().map_err(|error| self.failed(url, error))?;
        let status = response.status().as_u16();
        let pause = retry_after(response.headers());
        let body = self.whole(response, deadline)?;
        if matches!(status, 200 | 201) {
            return Ok(serde_json::from_slice(&body).unwrap_or(Value::Null));
        }
        Err(FailedCall {
            again: matches!(status, 408 | 429 | 500..=599),
            unsent: false,
            pause,
            error: self.refused(status, &body, about),
        })
    }

    /// One try of a call.
    pub(super) fn once(
        &self,
        call: &ApiCall<'_>,
        url: &Url,
        deadline: Instant,
    ) -> std::result::Result<Response, FailedCall> {
        let client = self.client().map_err(FailedCall::forever)?;
        let left = deadline.saturating_duration_since(Instant::now());
        // A change that the server makes once may be asked for again while it is being made, should the network be silent.
        let limit = match (&call.key, self.knows_keys.get()) {
            (Some(_), Some(true)) => left.min(PROBE.max(left / 2)),
            _ => left,
        };
        let mut request = match call.method {
            Method::Get => client.get(url.clone()),
            Method::Post => client.post(url.clone()),
            Method::Put => client.put(url.clone()),
            Method::Patch => client.patch(url.clone()),
            Method::Delete => client.delete(url.clone()),
        }
        .timeout(limit)
        .header(ACCEPT, "application/json");
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, bearer(token).map_err(FailedCall::forever)?);
        }
        if let Some(key) = &call.key {
            request = request.header(HEADER, key.as_str());
        }
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        let response = request.send().map_err(|error| {
            let again = limit < left && error.is_timeout() && !error.is_connect();
            let failed = self.failed(url, error);
            FailedCall {
                again: failed.again || again,
                ..failed
            }
        })?;
        self.note_keys(&response);
        let status = response.status().as_u16();
        match status {
            200..=299 => Ok(response),
            300..=399 => Err(FailedCall::forever(redirected(url, &response))),
            _ => {
                let pause = retry_after(response.headers());
                // With 429 nothing was done; a server that failed may have done it.
                let body = self.whole(response, deadline)?;
                Err(FailedCall {
                    again: matches!(status, 429 | 502..=504),
                    unsent: status == 429,
                    pause,
                    error: self.refused(status, &body, &call.about),
                })
            }
        }
    }

    fn refused(&self, status: u16, body: &[u8], about: &CallSubject<'_>) -> Error {
        api_error::of(status, body, about, &self.display_url(), self.token.as_ref())
    }

    /// The bytes of an answer, unless it is too large or too slow.
    fn whole(&self, response: Response, deadline: Instant) -> std::result::Result<Vec<u8>, FailedCall> {
        let mut body = Vec::new();
        let mut reader = response.take(WHOLE + 1);
        let mut piece = vec![0; 64 << 10];
        loop {
            if Instant::now() >= deadline {
                return Err(FailedCall::forever(self.late()));
            }
            match reader.read(&mut piece) {
                Ok(0) => return Ok(body),
                Ok(read) => body.extend_from_slice(&piece[..read]),
                Err(error) if error.kind() == std::io::ErrorKind::TimedOut => {
                    return Err(FailedCall {
                        again: Instant::now() < deadline,
                        ..FailedCall::forever(self.late())
                    });
                }
                Err(_) => {
                    return Err(FailedCall {
                        again: true,
                        unsent: false,
                        pause: None,
                        error: Error::new(
                            Code::Unavailable,
                            format!(
                                "{} closed the connection before its answer was complete",
                                self.display_url()
                            ),
                        )
                        .hint("try again in a moment"),
                    });
                }
            }
            if body.len() as u64 > WHOLE {
                return Err(FailedCall::forever(
                    Error::new(
                        Code::Unavailable,
                        format!("{} sent an answer of more than {} MB", self.display_url(), WHOLE >> 20),
                    )
                    .hint("is the address right? torso context list shows it"),
                ));
            }
        }
    }

    fn late(&self) -> Error {
        let limit = match self.patience.until.filter(|until| *until <= Instant::now()) {
            Some(_) => "in time".to_owned(),
            None => format!("within {} s", self.patience.call.as_secs_f32()),
        };
        Error::new(Code::Timeout, format!("{} did not answer {limit}", self.display_url()))
            .hint("try again in a moment")
    }

    fn failed(&self, url: &Url, error: reqwest::Error) -> FailedCall {
        let host = display_url(url);
        if error.is_connect() {
            let cause = innermost(&error);
            let usual = "is the server running, and is the address right? torso context list shows it";
            return FailedCall {
                // A server that was silent for that long will not be there in a second either.
                again: !error.is_timeout() && !cause.contains("certificate"),
                unsent: true,
                pause: None,
                error: Error::new(Code::Unavailable, format!("cannot connect to {host}"))
                    .hint(net::connect_hint(&cause, usual))
                    .caused_by(cause),
            };
        }
        if error.is_timeout() {
            return FailedCall::forever(self.late());
        }
        FailedCall {
            again: true,
            unsent: false,
            pause: None,
            error: Error::new(Code::Unavailable, format!("{host} closed the connection"))
                .caused_by(innermost(&error))
                .hint("try again in a moment"),
        }
    }
}

/// Whether the failure of a call that was sent again says that it is done: what is to be deleted is missing, or the token is ended.
fn is_done(call: &ApiCall<'_>, code: Code) -> bool {
    call.method == Method::Delete && code == call.about.missing || call.ends_token && code == Code::Unauthenticated
}

/// An HTTP client for one server.
pub(super) fn build(to: &Url, connect: Duration) -> Result<Client> {
    use_ring();
    let mut builder = Client::builder()
        .user_agent(concat!("torso/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(connect)
        .timeout(None)
        .tcp_keepalive(Duration::from_secs(15))
        .redirect(reqwest::redirect::Policy::none());
    if to.scheme() == "http" {
        // The system's certificates take longer to read than a request to this machine.
        builder = builder.tls_certs_only([]);
    }
    if is_loopback(to) {
        builder = builder.no_proxy();
    }
    builder
        .build()
        .map_err(|error| Error::new(Code::Internal, "cannot set up HTTP").caused_by(error))
}

fn bearer(token: &Secret) -> Result<HeaderValue> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose())).map_err(|_| {
        Error::new(
            Code::InvalidValue,
            "the token contains invalid characters; was it copied completely?",
        )
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn redirected(url: &Url, response: &Response) -> Error {
    let to = response
        .headers()
        .get(reqwest::header::LOCATION)
        .and_then(|location| location.to_str().ok())
        .and_then(|location| url.join(location).ok());
    let error = Error::new(
        Code::Unavailable,
        match &to {
            Some(to) => format!(
                "{} redirects to {}; torso does not follow redirects",
                display_url(url),
                display_url(to)
            ),
            None => format!(
                "{} redirects to another address; torso does not follow redirects",
                display_url(url)
            ),
        },
    );
    match to {
        Some(to) => error.hint(format!(
            "if that is the server, use its address: torso context add NAME --url {}",
            display_url(&to)
        )),
        None => error.hint("is the address right? torso context list shows it"),
    }
}

/// An address without its path, query and credentials, which may be secret.
pub(super) fn display_url(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
    format!("{}://{host}{port}", url.scheme())
}

/// `Retry-After`, which is in seconds or a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    let seconds = at.as_second() - Timestamp::now().as_second();
    Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http(base: &str) -> ApiTransport {
        ApiTransport::new(Url::parse(base).unwrap(), None, RetryPolicy::USUAL)
    }

    #[test]
    fn http_path_that_leads_to_another_server_is_refused() {
        let url = |base: &str, path: &str| http(base).url(path, &[]).map(|url| url.to_string());
        assert_eq!(url("http://h:1", "/v1/x").unwrap(), "http://h:1/v1/x");
        assert_eq!(url("http://h:1/p/", "/v1/x").unwrap(), "http://h:1/p/v1/x");
        assert!(url("http://h", "@other/v1").is_err());
        assert!(url("http://h", ".other/v1").is_err());
    }

    #[test]
    fn http_url_of_this_machine_is_recognised() {
        for (url, here) in [
            ("http://127.0.0.1:8080", true),
            ("http://localhost", true),
            ("http://[::1]:1", true),
            ("http://app.localhost", true),
            ("http://192.168.0.1", false),
            ("https://localhost.example.com", false),
        ] {
            assert_eq!(is_loopback(&Url::parse(url).unwrap()), here, "{url}");
        }
    }

    #[test]
    fn retry_after_is_read_in_seconds_and_as_a_date() {
        let requested = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            retry_after(&headers)
        };
        assert_eq!(requested("3"), Some(Duration::from_secs(3)));
        assert_eq!(requested("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        assert_eq!(requested("soon"), None);
    }
}
