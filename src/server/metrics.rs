//! Counters of requests.

use super::metrics_text::MetricKind::{Counter, Gauge, Histogram};
use super::metrics_text::MetricsText;
use crate::sync::lock;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Upper bounds of the histogram's buckets, in seconds.
const BOUNDS: [f64; 9] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

pub(super) struct Metrics {
    start: Instant,
    under_way: AtomicU64,
    /// By part of the server, method and status.
    requests: Mutex<BTreeMap<(&'static str, &'static str, u16), u64>>,
    /// By part of the server.
    durations: Mutex<BTreeMap<&'static str, Durations>>,
}

#[derive(Default)]
struct Durations {
    classes: [u64; BOUNDS.len()],
    count: u64,
    sum: f64,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            under_way: AtomicU64::new(0),
            requests: Mutex::default(),
            durations: Mutex::default(),
        }
    }
}

/// A method as a label; unknown ones become one label, because clients may invent any number of them.
fn known(method: &str) -> &'static str {
    ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
        .into_iter()
        .find(|known| *known == method)
        .unwrap_or("other")
}

impl Metrics {
    pub fn begin(&self) {
        self.under_way.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request that a part of the server (`api` or `gateway`) has answered.
    pub fn end(&self, part: &'static str, method: &str, status: u16, took: Duration) {
        self.under_way.fetch_sub(1, Ordering::Relaxed);
        let mut requests = lock(&self.requests);
        *requests.entry((part, known(method), status)).or_default() += 1;
        drop(requests);
        let mut all = lock(&self.durations);
        let durations = all.entry(part).or_default();
        let seconds = took.as_secs_f64();
        durations.count += 1;
        durations.sum += seconds;
        for (class, bound) in durations.classes.iter_mut().zip(BOUNDS) {
            *class += u64::from(seconds <= bound);
        }
    }

    /// Writes all metrics. `ready` is whether all databases were started, `damaged` how many are not served because their files
    /// are missing or damaged.
    pub fn write(&self, text: &mut MetricsText, ready: bool, damaged: usize) {
        text.single("torso_ready", Gauge, "Whether the server has started.", u8::from(ready));
        let help = "Databases that are not served because their files are missing or damaged.";
        text.single("torso_damaged_databases", Gauge, help, damaged);
        let uptime = self.start.elapsed().as_secs();
        text.single("torso_uptime_seconds", Gauge, "Time since the start.", uptime);
        let under_way = self.under_way.load(Ordering::Relaxed);
        text.single("torso_requests_under_way", Gauge, "Requests being answered.", under_way);
        let name = "torso_requests_total";
        text.begin(name, Counter, "Requests answered.");
        for ((part, method, status), count) in &*lock(&self.requests) {
            text.push(name, &[("part", part), ("method", method), ("status", status)], count);
        }
        let name = "torso_request_seconds";
        text.begin(name, Histogram, "How long answers took to begin.");
        for (part, durations) in &*lock(&self.durations) {
            let bucket = format!("{name}_bucket");
            for (class, bound) in durations.classes.iter().zip(BOUNDS) {
                text.push(&bucket, &[("part", part), ("le", &bound)], class);
            }
            text.push(&bucket, &[("part", part), ("le", &"+Inf")], durations.count);
            text.push(&format!("{name}_sum"), &[("part", part)], durations.sum);
            text.push(&format!("{name}_count"), &[("part", part)], durations.count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_count_requests_by_kind() {
        let metrics = Metrics::default();
        for status in [200, 200, 404] {
            metrics.begin();
            metrics.end("api", "GET", status, Duration::from_millis(2));
        }
        metrics.begin();
        metrics.end("api", "INVENTED", 405, Duration::from_secs(60));
        let mut text = MetricsText::default();
        metrics.write(&mut text, true, 2);
        let text = text.into_string();
        for line in [
            "torso_ready 1",
            "torso_damaged_databases 2",
            "torso_requests_under_way 0",
            "torso_requests_total{part=\"api\",method=\"GET\",status=\"200\"} 2",
            "torso_requests_total{part=\"api\",method=\"other\",status=\"405\"} 1",
            "torso_request_seconds_bucket{part=\"api\",le=\"0.001\"} 0",
            "torso_request_seconds_bucket{part=\"api\",le=\"0.005\"} 3",
            "torso_request_seconds_bucket{part=\"api\",le=\"+Inf\"} 4",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
