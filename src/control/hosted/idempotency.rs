//! Requests with idempotency keys: one that is sent again, or arrives twice, takes effect once.
//!
//! | a server that ends | leaves | the same request, sent again |
//! |---|---|---|
//! | before the change is committed | nothing that says it was made | makes the change |
//! | after that, before the answer is stored | a mark, written in the transaction of the change itself | gets an answer that is made again |
//! | later | the answer | gets that answer |
//!
//! Marks are in each organization's catalog and in `accounts.db`, answers in `accounts.db`. An answer may hold a token, so it is
//! sealed with the client's key, of which only a hash is stored. Failures that may be over in a moment are not stored: whoever
//! sends the request again wants another try. That requests with the same key wait for each other is left to the server.

use super::Hosted;
use super::store::AccountStore;
use super::{Caller, Shared, secrets};
use crate::control::idempotency::{IdempotencyKey, RequestMark};
use crate::control::names::OrganizationSlug;
use crate::error::{Code, Error, Result};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac::{HMAC_SHA256, Key, sign};
use serde_json::{Value, json};
use std::ops::Deref;
use std::sync::MutexGuard;

/// Bytes of the longest answer that is stored. A longer one is made again.
const LONGEST_ANSWER: usize = 64 << 10;

/// What is remembered of an account, in requests and in bytes of answers.
const KEPT: i64 = 10_000;
const KEPT_BYTES: i64 = 16 << 20;

/// One in so many requests removes what is old. So a little more than the bounds may be there at times.
const SWEEP_ONE_IN: u8 = 64;

/// A request that has a key.
#[derive(Debug, Clone)]
pub struct KeyedRequest {
    account: String,
    mark: RequestMark,
    /// A hash of what is requested.
    fingerprint: [u8; 32],
    /// Opens the answer.
    secret: [u8; 32],
}

impl KeyedRequest {
    #[must_use]
    pub fn mark(&self) -> RequestMark {
        self.mark
    }
}

/// What the request is that a change is made for.
#[derive(Debug, Clone, Copy)]
pub struct CallRequest {
    pub(super) mark: RequestMark,
    /// An earlier request with the same key has made the change, and its answer was lost.
    pub resumes: bool,
}

/// What is to be done with a request.
pub enum RequestStart {
    /// It was answered before.
    Answered(Result<Value>),
    Perform(CallRequest),
}

impl Hosted {
    /// A request of a caller, or of whoever has an invitation.
    #[must_use]
    pub fn keyed_request(
        &self,
        account: RequestAccount<'_>,
        key: &IdempotencyKey,
        fingerprint: [u8; 32],
    ) -> KeyedRequest {
        let account = match account {
            RequestAccount::Caller(caller) => caller.session.user_id.clone(),
            // Nobody has to know the invitation afterwards.
            RequestAccount::Invitation(text) => crate::checksum::sha256_of(text.as_bytes()),
        };
        let text = format!("{account}\0{}", key.as_str());
        let hmac = Key::new(HMAC_SHA256, &self.shared.answer_secret);
        let mut secret = [0; 32];
        secret.copy_from_slice(sign(&hmac, text.as_bytes()).as_ref());
        KeyedRequest {
            mark: RequestMark(secrets::hash(&text)),
            account,
            fingerprint,
            secret,
        }
    }

    /// Records that a request begins, unless it was answered before. Fails with `idempotency_key_reused` if the key named
    /// another request. `organization` is the one that the request is about.
    pub fn begin_request(
        &self,
        request: &KeyedRequest,
        caller: Option<&Caller>,
        organization: Option<&OrganizationSlug>,
    ) -> Result<RequestStart> {
        let earlier = {
            let records = self.shared.records();
            let earlier = records.idempotent_request(&request.mark)?;
            if earlier.is_none() {
                records.write_lazily(|| {
                    records.insert_idempotent_request(&request.mark, &request.account, &request.fingerprint)?;
                    if fastrand::u8(..SWEEP_ONE_IN) == 0 {
                        records.sweep_idempotent_requests(&request.account, KEPT, KEPT_BYTES)?;
                    }
                    Ok(())
                })?;
            }
            earlier
        };
        let mut resumes = false;
        if let Some(row) = earlier {
            if row.fingerprint != request.fingerprint {
                return Err(Error::new(
                    Code::IdempotencyKeyReused,
                    "the Idempotency-Key was used for another request",
                )
                .hint("send a new key with every new request, and the same one only with the same request"));
            }
            if let Some(answer) = row.answer.and_then(|sealed| open(&request.secret, sealed)) {
                return Ok(RequestStart::Answered(answer));
            }
            resumes = row.applied;
        }
        // The record of a begun request may be lost in a power failure; a mark is as safe as its change.
        resumes = resumes || caller.is_some_and(|caller| self.shared.has_mark(caller, organization, &request.mark));
        Ok(RequestStart::Perform(CallRequest {
            mark: request.mark,
            resumes,
        }))
    }

    /// Stores the answer of a request. If that fails, the answer is made again when the request is sent again.
    pub fn finish_request(&self, request: &KeyedRequest, answer: &Result<Value>) {
        let is_final = answer.as_ref().err().is_none_or(|error| !error.kind().retryable());
        if !is_final {
            return;
        }
        if let Some(sealed) = seal(&request.secret, answer) {
            let records = self.shared.records();
            let _ = records.write_lazily(|| records.set_answer(&request.mark, &sealed));
        }
    }
}

/// Whose key it is.
#[derive(Clone, Copy)]
pub enum RequestAccount<'a> {
    Caller(&'a Caller),
    /// The bearer of an invitation with this text.
    Invitation(&'a str),
}

impl Caller {
    /// The same caller in a request with a key.
    #[must_use]
    pub fn in_request(&self, request: CallRequest) -> Self {
        Self {
            request: Some(request),
            ..self.clone()
        }
    }

    /// Whether an earlier request with the same key has made the change.
    #[must_use]
    pub fn resumes(&self) -> bool {
        self.request.is_some_and(|request| request.resumes)
    }

    pub(super) fn mark(&self) -> Option<RequestMark> {
        self.request.map(|request| request.mark)
    }
}

impl Shared {
    /// Whether a request has changed the catalog of an organization.
    fn has_mark(&self, caller: &Caller, organization: Option<&OrganizationSlug>, mark: &RequestMark) -> bool {
        self.rights(caller, organization)
            .and_then(|(organization, _)| self.plane_of(&organization)?.has_mark(mark))
            .unwrap_or(false)
    }

    /// The records, for changes that are a request's.
    pub(super) fn records_for(&self, mark: Option<RequestMark>) -> MarkingRecords<'_> {
        let records = self.records();
        records.mark_changes(mark);
        MarkingRecords(records)
    }
}

/// The records while changes of them are a request's.
pub(super) struct MarkingRecords<'a>(MutexGuard<'a, AccountStore>);

impl Deref for MarkingRecords<'_> {
    type Target = AccountStore;
    fn deref(&self) -> &AccountStore {
        &self.0
    }
}

impl Drop for MarkingRecords<'_> {
    fn drop(&mut self) {
        self.0.mark_changes(None);
    }
}

fn cipher(secret: &[u8; 32]) -> Option<LessSafeKey> {
    UnboundKey::new(&AES_256_GCM, secret).ok().map(LessSafeKey::new)
}

/// An answer as it is stored: a random nonce, and the sealed text. None if it is too long.
fn seal(secret: &[u8; 32], answer: &Result<Value>) -> Option<Vec<u8>> {
    let document = match answer {
        Ok(value) => json!({ "value": value }),
        Err(error) => json!({
            "error": { "code": error.code().name(), "message": error.full_message(), "hint": error.hint_text() },
        }),
    };
    let mut text = document.to_string().into_bytes();
    if text.len() > LONGEST_ANSWER {
        return None;
    }
    let random = crate::jwt::random_bytes().ok()?;
    let nonce: [u8; NONCE_LEN] = random[..NONCE_LEN].try_into().ok()?;
    let key = cipher(secret)?;
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut text)
        .ok()?;
    Some([&nonce[..], &text].concat())
}

/// The answer that was stored. None for what this server cannot open, which is as good as none.
fn open(secret: &[u8; 32], mut sealed: Vec<u8>) -> Option<Result<Value>> {
    let (nonce, text) = sealed.split_at_mut_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let text = cipher(secret)?.open_in_place(nonce, Aad::empty(), text).ok()?;
    let mut document: Value = serde_json::from_slice(text).ok()?;
    let Some(error) = document.get("error") else {
        return Some(Ok(document["value"].take()));
    };
    let code = Code::ALL.iter().find(|code| error["code"] == code.name())?;
    let rebuilt = Error::new(*code, error["message"].as_str()?);
    Some(Err(match error["hint"].as_str() {
        Some(hint) => rebuilt.hint(hint),
        None => rebuilt,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_answer_is_opened_by_its_key_only() {
        let answer = json!({ "token": "s3cret" });
        let sealed = seal(&[1; 32], &Ok(answer.clone())).unwrap();
        assert!(!sealed.windows(6).any(|window| window == b"s3cret"));
        assert_eq!(open(&[1; 32], sealed.clone()).unwrap().unwrap(), answer);
        assert!(open(&[2; 32], sealed).is_none());
        assert!(open(&[1; 32], vec![0; 5]).is_none());
    }

    #[test]
    fn stored_error_keeps_code_message_and_hint() {
        let refused = Err(Error::new(Code::DatabaseExists, "no")
            .caused_by("why")
            .hint("type this"));
        let error = open(&[1; 32], seal(&[1; 32], &refused).unwrap()).unwrap().unwrap_err();
        assert_eq!(error.code(), Code::DatabaseExists);
        assert_eq!((error.message(), error.hint_text()), ("no: why", Some("type this")));
    }

    #[test]
    fn stored_answer_is_bounded_in_size() {
        let long = Ok(Value::String("x".repeat(LONGEST_ANSWER)));
        assert!(seal(&[1; 32], &long).is_none());
    }
}
