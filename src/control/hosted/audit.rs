//! The audit log: what callers did in an organization, and what was refused.

use super::Shared;
use super::caller::Caller;
use crate::control::accounts::AuditEntry;
use crate::error::Error;
use jiff::Timestamp;
use serde_json::json;
use std::sync::atomic::Ordering;

/// What the audit log is to say about a call.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub code: &'static str,
    pub message: String,
    pub data: serde_json::Value,
}

impl Entry {
    pub fn new(code: &'static str, message: impl Into<String>, data: serde_json::Value) -> Self {
        Self {
            code,
            message: message.into(),
            data,
        }
    }
}

impl Shared {
    /// Writes an entry into the audit log of an organization. A failure is ignored: the call itself has taken effect.
    pub(super) fn note(&self, organization: &str, caller: &Caller, entry: Entry, error: Option<&Error>) {
        let line = AuditEntry {
            code: entry.code.to_owned(),
            message: entry.message,
            origin: caller.origin.client.clone(),
            author: caller.session.username.as_str().to_owned(),
            created_at: Timestamp::now(),
            data: entry.data,
        };
        caller.noted.store(true, Ordering::SeqCst);
        let result = error.map_or("ok", |error| error.code().name());
        let _ = self
            .records()
            .audit(organization, &line, result, &caller.origin.request_id);
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
            self.note(&row.id, caller, Entry::new("refused", what, json!({})), Some(error));
        }
    }
}
