//! Progress that shows itself only on a terminal, and only when the work takes longer than a moment.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::{Duration, Instant};

/// How long work may take before a bar is worth the flicker.
const PATIENCE: Duration = Duration::from_millis(400);

/// A bar over bytes or rows. Dropping it wipes it.
pub struct Progress {
    label: String,
    started: Instant,
    enabled: bool,
    bar: Option<ProgressBar>,
}

impl Progress {
    pub(super) fn new(enabled: bool, label: String) -> Self {
        Self {
            label,
            started: Instant::now(),
            enabled,
            bar: None,
        }
    }

    /// `done` of `total` (0 when unknown).
    pub fn at(&mut self, done: u64, total: u64) {
        if !self.enabled || (self.bar.is_none() && self.started.elapsed() < PATIENCE) {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
            // The template is a constant; a mistake in it would only cost the bar's looks.
            if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {percent:>3}% {eta:>4}") {
                bar.set_style(style);
            }
            bar.set_message(self.label.clone());
            bar
        });
        bar.set_length(total);
        bar.set_position(done);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
