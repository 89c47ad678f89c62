//! The audit log: what callers did in an organization, and what was refused.

use super::Shared;
use super::caller::Caller;
use crate::control::accounts::AuditEntry;
use crate::error::{Error, Kind};
use crate::sync::lock;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::Ordering;

/// What the audit log is to say about a call.
#[derive(Debug, Clone)]
pub(super) struct NewAuditEntry {
    pub code: &'static str,
    pub message: String,
    pub data: serde_json::Value,
    /// What a person causes many times without knowing it: the first of a day is enough.
    daily: bool,
}

/// When entries that are written once a day were last written: by organization, author and message.
pub(super) type DailyEntries = Mutex<HashMap<(String, String, String), Timestamp>>;

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// The code of an entry about a call that failed before it was known what it would do.
pub(super) const REFUSED: &str = "refused";

/// How messages begin, and how those of calls that were not done do.
const VERBS: &[(&str, &str)] = &[
    ("added", "add"),
    ("began", "begin"),
    ("changed", "change"),
    ("checked", "check"),
    ("created", "create"),
    ("deleted", "delete"),
    ("ended", "end"),
    ("exported", "export"),
    ("invalidated", "invalidate"),
    ("invited", "invite"),
    ("moved", "move"),
    ("promoted", "promote"),
    ("removed", "remove"),
    ("renamed", "rename"),
    ("replicated", "replicate"),
    ("revoked", "revoke"),
    ("sent", "send"),
    ("synced", "sync"),
    ("took", "take"),
];

/// The message of a call that was refused or failed: `refused: create database app (forbidden)`.
fn not_done(message: &str, error: &Error) -> String {
    let (first, rest) = message.split_once(' ').unwrap_or((message, ""));
    let verb = VERBS
        .iter()
        .find(|(past, _)| *past == first)
        .map_or(first, |(_, verb)| verb);
    let outcome = match error.kind() {
        Kind::Forbidden | Kind::Unauthenticated => "refused",
        _ => "failed",
    };
    format!("{outcome}: {verb} {rest} ({})", error.code().name())
}

impl NewAuditEntry {
    pub fn new(code: &'static str, message: impl Into<String>, data: serde_json::Value) -> Self {
        Self {
            code,
            message: message.into(),
            data,
            daily: false,
        }
    }

    /// The same, written for the first of a day only if it succeeded.
    pub fn once_a_day(self) -> Self {
        Self { daily: true, ..self }
    }
}

impl Shared {
    /// Writes an entry into the audit log of an organization. A failure is ignored: the call itself has taken effect.
    pub(super) fn note(&self, organization: &str, caller: &Caller, entry: NewAuditEntry, error: Option<&Error>) {
        let is_daily = entry.daily && error.is_none();
        let message = match error {
            Some(error) if entry.code != REFUSED => not_done(&entry.message, error),
            None if is_daily => format!("{}; one entry a day", entry.message),
            _ => entry.message,
        };
        let line = AuditEntry {
            code: entry.code.to_owned(),
            message,
            origin: caller.origin.client.clone(),
            author: caller.session.username.as_str().to_owned(),
            created_at: Timestamp::now(),
            data: entry.data,
        };
        caller.noted.store(true, Ordering::SeqCst);
        if is_daily && self.is_noted_today(organization, &line) {
            return;
        }
        let result = error.map_or("ok", |error| error.code().name());
        let _ = self
            .records()
            .audit(organization, &line, result, &caller.origin.request_id);
    }

    /// Whether an equal entry was written within a day; else this one counts as written.
    fn is_noted_today(&self, organization: &str, line: &AuditEntry) -> bool {
        let mut daily = lock(&self.daily_entries);
        let is_recent = |at: &Timestamp| {
            let age = line.created_at.duration_since(*at);
            !age.is_negative() && age < DAY
        };
        daily.retain(|_, at| is_recent(at));
        let key = (organization.to_owned(), line.author.clone(), line.message.clone());
        let is_noted = daily.contains_key(&key);
        if !is_noted {
            daily.insert(key, line.created_at);
        }
        is_noted
    }

    /// See [`super::Hosted::note_refusal`].
    pub(super) fn note_refusal(&self, caller: &Caller, organization: Option<&str>, what: &str, error: &Error) {
        if caller.noted.load(Ordering::SeqCst) {
            return;
        }
        let session = &caller.session;
        let found = {
            let records = self.records();
            let named = organization.and_then(|text| match records.organization(text) {
                Ok(None) => records.organization_by_id(text).ok().flatten(),
                row => row.ok().flatten(),
            });
            let own = named.filter(|row| {
                records
                    .member(&row.id, &session.user_id)
                    .is_ok_and(|member| member.is_some())
            });
            own.or_else(|| records.organization(session.username.as_str()).ok().flatten())
        };
        if let Some(row) = found {
            self.note(
                &row.id,
                caller,
                NewAuditEntry::new(REFUSED, what, json!({})),
                Some(error),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    #[test]
    fn audit_message_of_a_call_that_was_not_done_says_so() {
        let refused = Error::new(Code::Forbidden, "no");
        let message = not_done("created database app", &refused);
        assert_eq!(message, "refused: create database app (forbidden)");
        let failed = Error::new(Code::DatabaseExists, "no");
        let message = not_done("renamed database a to b", &failed);
        assert_eq!(message, "failed: rename database a to b (database_exists)");
    }
}
