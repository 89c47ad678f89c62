//! The gateway's metrics.

use super::endpoints::EndpointKind;
use crate::server::metrics_text::MetricKind::{Counter, Gauge};
use crate::server::metrics_text::MetricsText;
use axum::http::StatusCode;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

const KINDS: [(EndpointKind, &str); 7] = [
    (EndpointKind::Probe, "probe"),
    (EndpointKind::Dump, "dump"),
    (EndpointKind::Call, "call"),
    (EndpointKind::Cursor, "cursor"),
    (EndpointKind::Sync, "sync"),
    (EndpointKind::Proxy, "proxy"),
    (EndpointKind::Socket, "socket"),
];

const OUTCOMES: [&str; 3] = ["ok", "refused", "failed"];

#[derive(Default)]
pub(super) struct Counters {
    requests: [[AtomicU64; OUTCOMES.len()]; KINDS.len()],
    /// Requests and messages that were refused because of their SQL.
    sql_refused: AtomicU64,
    bytes_synced: AtomicU64,
    /// Reads that ran in a stream that was open already.
    shared_reads: AtomicU64,
    sockets: AtomicI64,
}

impl Counters {
    pub fn count_answer(&self, kind: EndpointKind, status: StatusCode) {
        let outcome = match status.as_u16() {
            500.. => 2,
            400.. => 1,
            _ => 0,
        };
        if let Some(at) = KINDS.iter().position(|(known, _)| *known == kind) {
            self.requests[at][outcome].fetch_add(1, Ordering::Relaxed);
        }
    }

    pub fn count_refused_sql(&self) {
        self.sql_refused.fetch_add(1, Ordering::Relaxed);
    }

    pub fn count_synced(&self, bytes: u64) {
        self.bytes_synced.fetch_add(bytes, Ordering::Relaxed);
    }

    pub fn count_shared_read(&self) {
        self.shared_reads.fetch_add(1, Ordering::Relaxed);
    }

    pub fn count_sockets(&self, change: i64) {
        self.sockets.fetch_add(change, Ordering::Relaxed);
    }

    pub fn open_sockets(&self) -> i64 {
        self.sockets.load(Ordering::Relaxed)
    }

    /// Writes all of them, and how many streams are open.
    pub fn write(&self, text: &mut MetricsText, streams: usize) {
        let name = "torso_gateway_requests_total";
        text.begin(name, Counter, "Requests to databases, by kind and outcome.");
        for ((_, kind), outcomes) in KINDS.iter().zip(&self.requests) {
            for (outcome, count) in OUTCOMES.iter().zip(outcomes) {
                text.push(
                    name,
                    &[("kind", kind), ("outcome", outcome)],
                    count.load(Ordering::Relaxed),
                );
            }
        }
        for (name, kind, help, value) in [
            (
                "torso_gateway_sql_refused_total",
                Counter,
                "Requests and messages refused for their SQL.",
                self.sql_refused.load(Ordering::Relaxed),
            ),
            (
                "torso_gateway_bytes_synced_total",
                Counter,
                "Bytes of logs sent to replicas outside.",
                self.bytes_synced.load(Ordering::Relaxed),
            ),
            (
                "torso_gateway_shared_reads_total",
                Counter,
                "Reads that ran in a stream that was open already.",
                self.shared_reads.load(Ordering::Relaxed),
            ),
            (
                "torso_gateway_sockets",
                Gauge,
                "Open sockets of databases.",
                u64::try_from(self.sockets.load(Ordering::Relaxed)).unwrap_or(0),
            ),
            (
                "torso_gateway_streams",
                Gauge,
                "Open streams of databases.",
                u64::try_from(streams).unwrap_or(u64::MAX),
            ),
        ] {
            text.single(name, kind, help, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gateway_counters_are_written_as_metrics() {
        let counters = Counters::default();
        counters.count_answer(EndpointKind::Call, StatusCode::OK);
        counters.count_answer(EndpointKind::Call, StatusCode::BAD_REQUEST);
        counters.count_answer(EndpointKind::Sync, StatusCode::BAD_GATEWAY);
        counters.count_synced(7);
        counters.count_sockets(1);
        let mut text = MetricsText::default();
        counters.write(&mut text, 3);
        let text = text.into_string();
        for line in [
            "torso_gateway_requests_total{kind=\"call\",outcome=\"ok\"} 1",
            "torso_gateway_requests_total{kind=\"call\",outcome=\"refused\"} 1",
            "torso_gateway_requests_total{kind=\"sync\",outcome=\"failed\"} 1",
            "torso_gateway_bytes_synced_total 7",
            "torso_gateway_sockets 1",
            "torso_gateway_streams 3",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
