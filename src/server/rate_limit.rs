//! The rate limit of API tokens: a token bucket for each.

use crate::error::{Code, Error, Result};
use crate::sync::lock;
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Instant;

/// The size of a bucket, in seconds of its rate.
const BURST: f64 = 10.0;

/// Buckets in memory. Beyond that, full ones are dropped: they are as good as new ones.
const REMEMBERED: usize = 10_000;

pub(super) struct Limiter {
    /// Requests a second; 0 is unlimited.
    rate: f64,
    buckets: Mutex<HashMap<String, Bucket>>,
}

struct Bucket {
    left: f64,
    at: Instant,
}

impl Limiter {
    pub fn new(per_second: u32) -> Self {
        Self {
            rate: f64::from(per_second),
            buckets: Mutex::default(),
        }
    }

    /// Takes one request from the bucket of `who`; fails with `rate_limited` if it is empty.
    pub fn take(&self, who: &str) -> Result<()> {
        self.take_at(who, Instant::now())
    }

    fn take_at(&self, who: &str, now: Instant) -> Result<()> {
        if self.rate == 0.0 {
            return Ok(());
        }
        let capacity = self.rate * BURST;
        let filled = |bucket: &Bucket| {
            let since = now.saturating_duration_since(bucket.at).as_secs_f64();
            (bucket.left + since * self.rate).min(capacity)
        };
        let mut buckets = lock(&self.buckets);
        if buckets.len() >= REMEMBERED && !buckets.contains_key(who) {
            buckets.retain(|_, bucket| filled(bucket) < capacity);
            // No bucket is full, which takes ten thousand active clients.
            if buckets.len() >= REMEMBERED {
                buckets.clear();
            }
        }
        let bucket = buckets.entry(who.to_owned()).or_insert(Bucket {
            left: capacity,
            at: now,
        });
        bucket.left = filled(bucket);
        bucket.at = now;
        if bucket.left < 1.0 {
            return Err(
                Error::new(Code::RateLimited, format!("more than {} requests a second", self.rate))
                    .hint("wait a second; the server's --rate-limit sets how many are allowed"),
            );
        }
        bucket.left -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn rate_limit_allows_a_burst_and_then_the_rate() {
        let limiter = Limiter::new(2);
        let start = Instant::now();
        for _ in 0..20 {
            limiter.take_at("a", start).unwrap();
        }
        assert_eq!(limiter.take_at("a", start).unwrap_err().code(), Code::RateLimited);
        limiter.take_at("b", start).unwrap();
        let later = start + Duration::from_millis(500);
        limiter.take_at("a", later).unwrap();
        assert!(limiter.take_at("a", later).is_err());
    }

    #[test]
    fn rate_limit_that_is_not_set_counts_nothing() {
        let limiter = Limiter::new(0);
        for _ in 0..10_000 {
            limiter.take("a").unwrap();
        }
        assert!(limiter.buckets.lock().unwrap().is_empty());
    }

    #[test]
    fn rate_limit_memory_is_bounded() {
        let limiter = Limiter::new(1);
        let now = Instant::now();
        for who in 0..3 * REMEMBERED {
            limiter.take_at(&who.to_string(), now).unwrap();
        }
        assert!(limiter.buckets.lock().unwrap().len() <= REMEMBERED);
    }
}
