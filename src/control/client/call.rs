//! A request as callers describe it, and how long it may take. `http` sends it.

use super::api_error::CallSubject;
use crate::control::endpoints::Method;
use crate::control::idempotency::IdempotencyKey;
use serde_json::Value;
use std::time::{Duration, Instant};

/// How long a call may take.
#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    /// To make a connection.
    pub connect: Duration,
    /// For the whole call, with its retries and the pauses between them.
    pub call: Duration,
    /// How often it is tried at most.
    pub tries: u32,
    /// Whether the user has interrupted the command, so that waiting must end.
    pub stopped: fn() -> bool,
    /// When all calls must have ended, whatever time each may take.
    pub until: Option<Instant>,
    /// Whether its changes are what the command is to do, so that an early end speaks of them.
    pub is_of_command: bool,
}

/// Tries of a change whose answer was lost, at a server that makes it once: some half a minute, with the pauses, in which a server
/// may start again.
pub(super) const TRIES_FOR_THE_ANSWER: u32 = 12;

/// How long it may take a server to say whether it knows keys.
pub(super) const PROBE: Duration = Duration::from_secs(5);

/// How often a wait looks for an interrupt.
pub(super) const POLL: Duration = Duration::from_millis(100);

const NEVER: fn() -> bool = || false;

impl RetryPolicy {
    /// For commands. A mutation returns when its result can be used, which may take the server a while.
    pub const USUAL: Self = Self {
        connect: Duration::from_secs(10),
        call: Duration::from_secs(300),
        tries: 4,
        stopped: NEVER,
        until: None,
        is_of_command: true,
    };
    /// For clearing up what a run leaves: nobody waits long for a server that is silent, because the next command does it again.
    pub const CLEARING: Self = Self {
        connect: Duration::from_secs(4),
        call: Duration::from_secs(5),
        tries: 3,
        stopped: NEVER,
        until: None,
        is_of_command: false,
    };
    /// For what is worth a try and no wait, such as cleaning up after an error.
    pub(super) const IN_PASSING: Self = Self {
        connect: Duration::from_secs(2),
        call: Duration::from_secs(3),
        tries: 1,
        stopped: NEVER,
        until: None,
        is_of_command: true,
    };
    /// For a person who waits at the Tab key.
    pub const HURRIED: Self = Self {
        connect: Duration::from_millis(100),
        call: Duration::from_millis(180),
        tries: 1,
        stopped: NEVER,
        until: None,
        is_of_command: true,
    };

    /// When a call that begins now must have ended, if it may take that time.
    pub fn deadline(&self, limit: Duration) -> Instant {
        let end = Instant::now() + limit;
        self.until.map_or(end, |until| until.min(end))
    }
}

/// A request to a server.
pub(super) struct ApiCall<'a> {
    pub method: Method,
    /// Below the server's address, with a slash in front; already escaped.
    pub path: String,
    pub query: Vec<(&'static str, String)>,
    pub body: Option<Value>,
    /// What it is about, for error messages.
    pub about: CallSubject<'a>,
    /// Whether it may be sent again to any server: it is idempotent.
    pub repeatable: bool,
    /// Whether it may end the token that it is sent with.
    pub ends_token: bool,
    /// Names a change, so that a server that knows keys makes it once however often it is sent.
    pub key: Option<IdempotencyKey>,
}

impl<'a> ApiCall<'a> {
    pub fn new(method: Method, path: impl Into<String>, about: CallSubject<'a>) -> Self {
        Self {
            method,
            path: path.into(),
            query: Vec::new(),
            body: None,
            about,
            repeatable: !matches!(method, Method::Post),
            ends_token: false,
            key: (method != Method::Get).then(IdempotencyKey::generate),
        }
    }

    #[must_use]
    pub fn query(mut self, key: &'static str, value: impl ToString) -> Self {
        self.query.push((key, value.to_string()));
        self
    }

    #[must_use]
    pub fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    /// Marks a call that may end the token that it is sent with.
    #[must_use]
    pub fn ending_token(mut self) -> Self {
        self.ends_token = true;
        self
    }

    /// Marks a POST as idempotent.
    #[must_use]
    pub fn repeatable(mut self) -> Self {
        self.repeatable = true;
        self
    }
}
