//! A progress bar that appears only on a terminal, and only if the work takes longer than a moment.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::{Duration, Instant};

/// How long the work may take before the bar appears.
const PATIENCE: Duration = Duration::from_millis(400);

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Bytes,
    Rows,
}

impl Unit {
    /// The bar's template: with the rate, and with the time left if the total is known.
    fn template(self, bounded: bool) -> &'static str {
        match (self, bounded) {
            (Self::Bytes, true) => "{msg} {wide_bar} {percent:>3}% {binary_bytes_per_sec:>12} {eta:>4}",
            (Self::Bytes, false) => "{msg} {binary_bytes} {binary_bytes_per_sec:>12}",
            (Self::Rows, true) => "{msg} {wide_bar} {percent:>3}% {per_sec:>12} {eta:>4}",
            (Self::Rows, false) => "{msg} {human_pos} rows {per_sec:>12}",
        }
    }
}

/// A bar over bytes or rows. Dropping it clears it.
pub struct ProgressDisplay {
    unit: Unit,
    label: String,
    started: Instant,
    enabled: bool,
    bar: Option<ProgressBar>,
}

impl ProgressDisplay {
    pub(super) fn new(enabled: bool, label: String, unit: Unit) -> Self {
        Self {
            unit,
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
            let bar = ProgressBar::with_draw_target((total > 0).then_some(total), ProgressDrawTarget::stderr());
            // The template is a constant; a mistake in it would only cost the bar's looks.
            if let Ok(style) = ProgressStyle::with_template(self.unit.template(total > 0)) {
                bar.set_style(style);
            }
            bar.set_message(self.label.clone());
            bar
        });
        if total > 0 {
            bar.set_length(total);
        }
        bar.set_position(done);
    }
}

impl Drop for ProgressDisplay {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
