//! How far away a server is.

use super::http::{build, display_url};
use crate::error::{Code, Error, Result};
use crate::net::innermost;
use reqwest::blocking::Response;
use std::time::{Duration, Instant};
use url::Url;

/// Requests that are timed; the first one also makes the connection and does not count.
const PROBES: usize = 4;

/// The shortest of a few round trips to an address, over a connection that is open. Asked without a token.
pub(super) fn latency(url: &Url) -> Result<Duration> {
    const PATIENCE: Duration = Duration::from_secs(3);
    let mut health = url.clone();
    health.set_path(&format!("{}/health", url.path().trim_end_matches('/')));
    let client = build(url, PATIENCE)?;
    let mut best: Option<Duration> = None;
    for probe in 0..PROBES {
        let started = Instant::now();
        let answer = client
            .get(health.clone())
            .timeout(PATIENCE)
            .send()
            .and_then(Response::bytes);
        if let Err(error) = answer {
            return Err(
                Error::new(Code::Unavailable, format!("{} does not answer", display_url(url)))
                    .caused_by(innermost(&error)),
            );
        }
        if probe > 0 {
            let took = started.elapsed();
            best = Some(best.map_or(took, |best| best.min(took)));
        }
    }
    Ok(best.unwrap_or_default())
}
