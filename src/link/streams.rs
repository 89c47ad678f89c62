//! The byte streams that are open: each can be ended from outside, even before anybody has allowed it.

use super::{NodeName, StreamTarget};
use crate::sync::lock;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

/// All open streams of a listener.
#[derive(Default)]
pub(super) struct OpenStreams(Mutex<Table>);

#[derive(Default)]
struct Table {
    next: u64,
    open: BTreeMap<u64, OpenStream>,
}

struct OpenStream {
    node: NodeName,
    target: StreamTarget,
    ended: watch::Sender<bool>,
}

impl OpenStreams {
    /// Registers a stream. It is registered before it is checked, so that no stream slips by between its check and an end of all
    /// streams like it.
    pub fn register(self: &Arc<Self>, node: &NodeName, target: &StreamTarget) -> StreamGuard {
        let (ended, when_ended) = watch::channel(false);
        let mut table = lock(&self.0);
        table.next += 1;
        let number = table.next;
        let stream = OpenStream {
            node: node.clone(),
            target: target.clone(),
            ended,
        };
        table.open.insert(number, stream);
        StreamGuard {
            streams: Arc::clone(self),
            number,
            when_ended,
        }
    }

    /// Ends the streams that a filter chooses; returns how many.
    pub fn end(&self, filter: impl Fn(&NodeName, &StreamTarget) -> bool) -> usize {
        let table = lock(&self.0);
        let chosen = table
            .open
            .values()
            .filter(|stream| filter(&stream.node, &stream.target));
        chosen.fold(0, |count, stream| {
            stream.ended.send_replace(true);
            count + 1
        })
    }

    /// How many streams a node has.
    pub fn count(&self, node: &NodeName) -> usize {
        lock(&self.0)
            .open
            .values()
            .filter(|stream| stream.node == *node)
            .count()
    }
}

/// A stream's entry, which goes with the stream.
pub(super) struct StreamGuard {
    streams: Arc<OpenStreams>,
    number: u64,
    when_ended: watch::Receiver<bool>,
}

impl StreamGuard {
    /// Whether it has been ended.
    pub fn is_ended(&self) -> bool {
        *self.when_ended.borrow()
    }

    /// Waits until it is ended.
    pub async fn ended(&mut self) {
        // The sender is in the table for as long as this is.
        let _ = self.when_ended.wait_for(|ended| *ended).await;
    }
}

impl Drop for StreamGuard {
    fn drop(&mut self) {
        lock(&self.streams.0).open.remove(&self.number);
    }
}
