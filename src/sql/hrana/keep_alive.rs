//! Keeps the stream of a transaction alive while a cursor is read slowly: a long result, or one shown in a pager.
//! libSQL server counts a stream as idle from the moment a cursor begins on it (measured with 0.24.1-pre.42), and drops
//! an idle stream, with its transaction, after ten seconds. So another thread sends empty pipelines on it meanwhile.
//! They are empty because a request that needs the database would wait for the cursor to end, and the cursor for it.

use super::address::Address;
use super::transport::{Cancel, HttpCall, HttpClient};
use super::{IDLE, PING_PATIENCE};
use crate::hrana::messages::{PipelineBody, PipelineReply, json};
use crate::sync::lock;
use std::sync::Mutex;
use std::time::Instant;
use url::Url;

/// A stream that is kept alive.
pub(super) struct Watched {
    pub address: Address,
    /// The URL of its pipelines.
    pub url: Url,
    pub baton: String,
    /// When something was last sent on it.
    pub last_sent: Instant,
}

#[derive(Default)]
pub(super) struct KeepAlive(Mutex<Option<Watched>>);

impl KeepAlive {
    pub(super) fn begin(&self, stream: Watched) {
        *lock(&self.0) = Some(stream);
    }

    /// Ends it, after a request that is under way. Returns the stream's latest baton, if one was kept alive.
    pub(super) fn end(&self) -> Option<String> {
        lock(&self.0).take().map(|stream| stream.baton)
    }

    /// Sends an empty pipeline if the stream has been idle for too long. `http` is filled on first use.
    pub(super) fn ping(&self, http: &mut Option<HttpClient>) {
        let mut watched = lock(&self.0);
        let Some(stream) = watched.as_mut().filter(|stream| stream.last_sent.elapsed() >= IDLE) else {
            return;
        };
        stream.last_sent = Instant::now();
        if http.is_none() {
            *http = HttpClient::new(&stream.address).ok();
        }
        let Some(http) = http else { return };
        let cancel = Cancel::default();
        let call = HttpCall {
            cancel: &cancel,
            patience: PING_PATIENCE,
        };
        let body = json(&PipelineBody {
            baton: Some(&stream.baton),
            requests: &[],
        });
        // The next statement runs into the same problem and reports it.
        let Ok(mut reply) = http.send(call, &stream.url, Some(("application/json", body.into())), false) else {
            return;
        };
        let Ok(text) = http.whole(call, &mut reply) else { return };
        if reply.status == 200
            && let Ok(PipelineReply { baton: Some(baton), .. }) = serde_json::from_slice(&text)
        {
            stream.baton = baton;
        }
    }
}
