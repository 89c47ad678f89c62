//! Counters of requests, in Prometheus' text format.

use crate::sync::lock;
use std::collections::BTreeMap;
use std::fmt::Write as _;
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

    /// All metrics. `ready` is whether all databases were started, `damaged` how many are not served because their files are
    /// missing or damaged.
    pub fn text(&self, ready: bool, damaged: usize) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = self.write(&mut text, ready, damaged);
        text
    }

    fn write(&self, text: &mut String, ready: bool, damaged: usize) -> std::fmt::Result {
        let head = |name: &str, kind: &str, help: &str, text: &mut String| {
            writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}")
        };
        head("torso_ready", "gauge", "Whether the server has started.", text)?;
        writeln!(text, "torso_ready {}", u8::from(ready))?;
        let help = "Databases that are not served because their files are missing or damaged.";
        head("torso_damaged_databases", "gauge", help, text)?;
        writeln!(text, "torso_damaged_databases {damaged}")?;
        head("torso_uptime_seconds", "gauge", "Time since the start.", text)?;
        writeln!(text, "torso_uptime_seconds {}", self.start.elapsed().as_secs())?;
        head("torso_requests_under_way", "gauge", "Requests being answered.", text)?;
        writeln!(
            text,
            "torso_requests_under_way {}",
            self.under_way.load(Ordering::Relaxed)
        )?;
        head("torso_requests_total", "counter", "Requests answered.", text)?;
        for ((part, method, status), count) in &*lock(&self.requests) {
            writeln!(
                text,
                "torso_requests_total{{part=\"{part}\",method=\"{method}\",status=\"{status}\"}} {count}"
            )?;
        }
        head(
            "torso_request_seconds",
            "histogram",
            "How long answers took to begin.",
            text,
        )?;
        for (part, durations) in &*lock(&self.durations) {
            for (class, bound) in durations.classes.iter().zip(BOUNDS) {
                writeln!(
                    text,
                    "torso_request_seconds_bucket{{part=\"{part}\",le=\"{bound}\"}} {class}"
                )?;
            }
            let count = durations.count;
            writeln!(
                text,
                "torso_request_seconds_bucket{{part=\"{part}\",le=\"+Inf\"}} {count}"
            )?;
            writeln!(text, "torso_request_seconds_sum{{part=\"{part}\"}} {}", durations.sum)?;
            writeln!(text, "torso_request_seconds_count{{part=\"{part}\"}} {count}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_what_they_were() {
        let metrics = Metrics::default();
        for status in [200, 200, 404] {
            metrics.begin();
            metrics.end("api", "GET", status, Duration::from_millis(2));
        }
        metrics.begin();
        metrics.end("api", "INVENTED", 405, Duration::from_secs(60));
        let text = metrics.text(true, 2);
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
