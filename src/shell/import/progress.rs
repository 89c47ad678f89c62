//! How far an import is, in one line on a terminal that is wiped when it is done or something else is said.

use std::cell::Cell;
use std::io::{self, Read, Write};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Nothing is shown of what takes less, and how often the line changes.
const PATIENCE: Duration = Duration::from_millis(400);
const PAUSE: Duration = Duration::from_millis(200);

/// Bytes taken from the input.
#[derive(Debug, Clone, Default)]
pub struct Consumed(Rc<Cell<u64>>);

/// Counts what passes.
pub struct Counted<R> {
    inner: R,
    consumed: Consumed,
}

impl<R: Read> Counted<R> {
    pub fn new(inner: R, consumed: &Consumed) -> Self {
        consumed.0.set(0);
        Self {
            inner,
            consumed: consumed.clone(),
        }
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.consumed.0.set(self.consumed.0.get() + read as u64);
        Ok(read)
    }
}

/// The line.
#[derive(Debug)]
pub struct ImportProgress {
    /// There is a terminal to show it on.
    enabled: bool,
    begun: Instant,
    last_shown: Option<Instant>,
    consumed: Consumed,
    /// How many bytes there are in all, where that is known.
    total: Option<u64>,
}

impl ImportProgress {
    pub fn new(enabled: bool, consumed: Consumed, total: Option<u64>) -> Self {
        Self {
            enabled,
            begun: Instant::now(),
            last_shown: None,
            consumed,
            total: total.filter(|&total| total > 0),
        }
    }

    /// `rows` have been read.
    pub fn at(&mut self, rows: u64, err: &mut dyn Write) -> io::Result<()> {
        if !self.enabled || !rows.is_multiple_of(256) {
            return Ok(());
        }
        let took = self.begun.elapsed();
        if took < PATIENCE || self.last_shown.is_some_and(|last_shown| last_shown.elapsed() < PAUSE) {
            return Ok(());
        }
        self.last_shown = Some(Instant::now());
        let line = line(rows, took, self.consumed.0.get(), self.total);
        write!(err, "\r\x1b[K{line}")?;
        err.flush()
    }

    /// Wipes the line before something else is written.
    pub fn clear(&mut self, err: &mut dyn Write) -> io::Result<()> {
        if self.last_shown.take().is_some() {
            err.write_all(b"\r\x1b[K")?;
        }
        Ok(())
    }
}

#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)] // it is an estimate
fn line(rows: u64, took: Duration, consumed: u64, total: Option<u64>) -> String {
    let rate = rows as f64 / took.as_secs_f64().max(0.001);
    let mut line = format!("{rows} rows, {rate:.0} a second");
    if let Some(total) = total.filter(|_| consumed > 0) {
        let part = (consumed as f64 / total as f64).min(1.0);
        let left = (took.as_secs_f64() * (1.0 / part - 1.0)).round() as u64;
        line.push_str(&format!(", {:.0} %, {}:{:02} left", part * 100.0, left / 60, left % 60));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn import_progress_tells_rate_and_time_as_far_as_known() {
        let took = Duration::from_secs(10);
        assert_eq!(
            line(5000, took, 25, Some(100)),
            "5000 rows, 500 a second, 25 %, 0:30 left"
        );
        assert_eq!(line(5000, took, 25, None), "5000 rows, 500 a second");
    }

    #[test]
    fn import_progress_without_a_terminal_writes_nothing() {
        let mut out = Vec::new();
        let mut progress = ImportProgress::new(false, Consumed::default(), None);
        progress.begun -= Duration::from_secs(5);
        progress.at(256, &mut out).unwrap();
        progress.clear(&mut out).unwrap();
        assert!(out.is_empty());
        progress.enabled = true;
        progress.at(256, &mut out).unwrap();
        progress.clear(&mut out).unwrap();
        assert!(
            out.starts_with(b"\r\x1b[K256 rows") && out.ends_with(b"\r\x1b[K"),
            "{out:?}"
        );
    }
}
