//! The stream of a transaction while a result arrives: a long one, or one that somebody looks at in a pager. The session is
//! busy then and says nothing, and to libSQL server a stream is idle from the moment a cursor begins on it, however long
//! that takes (measured with 0.24.1-pre.42); ten seconds later it would be gone, and the transaction with it. Reminders go
//! out beside the session until it goes on. They ask for nothing: a request that needs the database would wait for the
//! cursor, and the cursor for it.

use super::address::Address;
use super::transport::{Call, Cancel, Http};
use super::wire::{PipelineBody, PipelineReply, json};
use super::{IDLE, REMINDER};
use crate::sync::lock;
use std::sync::Mutex;
use std::time::Instant;
use url::Url;

/// A stream that is watched over.
pub(super) struct Watched {
    pub address: Address,
    /// Where its pipelines go.
    pub url: Url,
    pub baton: String,
    /// When the server last heard of it.
    pub touched: Instant,
}

#[derive(Default)]
pub(super) struct Vigil(Mutex<Option<Watched>>);

impl Vigil {
    pub(super) fn begin(&self, stream: Watched) {
        *lock(&self.0) = Some(stream);
    }

    /// Ends it: the baton that the stream is gone on with, if it was watched over. Waits for a reminder under way.
    pub(super) fn end(&self) -> Option<String> {
        lock(&self.0).take().map(|stream| stream.baton)
    }

    /// Reminds the server, where it is time. The client is made at the first need of one.
    pub(super) fn remind(&self, http: &mut Option<Http>) {
        let mut watched = lock(&self.0);
        let Some(stream) = watched.as_mut().filter(|stream| stream.touched.elapsed() >= IDLE) else {
            return;
        };
        stream.touched = Instant::now();
        if http.is_none() {
            *http = Http::new(&stream.address).ok();
        }
        let Some(http) = http else { return };
        let cancel = Cancel::default();
        let call = Call {
            cancel: &cancel,
            patience: REMINDER,
        };
        let body = json(&PipelineBody {
            baton: Some(&stream.baton),
            requests: &[],
        });
        // What goes wrong is met by the next statement, too.
        let Ok(mut reply) = http.send(call, &stream.url, Some(("application/json", body.into()))) else {
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
