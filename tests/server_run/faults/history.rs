//! What clients did to one database, and the model that every answer is checked against.
//!
//! | data | model |
//! |---|---|
//! | `appended`: pairs of rows, each pair written in one transaction | a set that only grows: what was acknowledged is there, nothing is there that was not asked for, and never half a pair |
//! | `register`: a number for each writer, which only grows | at the database's own URL: at least what was acknowledged before the read began, at most what was asked for before it ended, and never less than the same session saw |
//!
//! A promotion without the primary may lose what it says. From its beginning until its loss is known an *era* of its own goes on, in
//! which registers are not checked.

use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How many registers there are, each with one writer.
pub const REGISTERS: usize = 3;

/// An acknowledged pair.
#[derive(Debug, Clone, Copy)]
pub struct AcknowledgedPair {
    pub asked: Instant,
    pub answered: Instant,
    pub answered_at: Timestamp,
}

#[derive(Default)]
struct Register {
    acknowledged: AtomicU64,
    asked: AtomicU64,
}

/// The history of one database.
#[derive(Default)]
pub struct History {
    next_pair: AtomicU64,
    pairs: Mutex<BTreeMap<u64, AcknowledgedPair>>,
    registers: [Register; REGISTERS],
    era: AtomicU64,
    /// Writes since the last fault: when each was asked and answered.
    writes: Mutex<Vec<(Instant, Instant)>>,
    refusals: Mutex<BTreeMap<String, u64>>,
    violations: Mutex<Vec<String>>,
    acknowledged: AtomicU64,
    reads: AtomicU64,
    instance_reads: AtomicU64,
    stale_instance_reads: AtomicU64,
    incomplete_reads: AtomicU64,
}

/// Counts of a whole run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Totals {
    pub acknowledged: u64,
    pub refused: u64,
    pub reads: u64,
    pub instance_reads: u64,
    pub stale_instance_reads: u64,
    pub incomplete_reads: u64,
}

impl Totals {
    pub fn add(&mut self, other: &Self) {
        self.acknowledged += other.acknowledged;
        self.refused += other.refused;
        self.reads += other.reads;
        self.instance_reads += other.instance_reads;
        self.stale_instance_reads += other.stale_instance_reads;
        self.incomplete_reads += other.incomplete_reads;
    }
}

/// What one session has seen of a register.
#[derive(Debug, Clone, Copy, Default)]
pub struct SeenRegister {
    era: u64,
    value: u64,
}

/// A read of a register that is under way.
pub struct RegisterRead {
    register: usize,
    era: u64,
    least: u64,
}

impl History {
    /// A pair that is about to be written, and its two rows.
    pub fn ask_pair(&self) -> u64 {
        self.next_pair.fetch_add(1, Ordering::SeqCst)
    }

    pub fn acknowledge_pair(&self, pair: u64, asked: Instant) {
        let acknowledged = AcknowledgedPair {
            asked,
            answered: Instant::now(),
            answered_at: Timestamp::now(),
        };
        self.pairs.lock().unwrap().insert(pair, acknowledged);
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
    }

    /// A number that is about to be written to a register.
    pub fn ask_number(&self, register: usize) -> u64 {
        self.registers[register].asked.fetch_add(1, Ordering::SeqCst) + 1
    }

    pub fn acknowledge_number(&self, register: usize, number: u64) {
        self.registers[register]
            .acknowledged
            .fetch_max(number, Ordering::SeqCst);
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes an attempt to write, whatever came of it.
    pub fn note_write(&self, asked: Instant) {
        self.writes.lock().unwrap().push((asked, Instant::now()));
    }

    /// Notes a request that was not done, or not known to be done. Some answers no fault may cause at
    /// the database's own URL.
    pub fn note_refusal(&self, error: &str, is_own_url: bool) {
        let kind = kind_of(error);
        // While a file is lost, its process may have made an empty one in its place.
        let is_whole = self.era.load(Ordering::SeqCst).is_multiple_of(2);
        for impossible in ["401", "404", "no such table", "syntax error", "UNIQUE"] {
            if is_own_url && is_whole && kind.contains(impossible) {
                self.note_violation(format!("a client was answered: {error}"));
            }
        }
        *self.refusals.lock().unwrap().entry(kind).or_default() += 1;
    }

    pub fn note_violation(&self, text: String) {
        self.violations.lock().unwrap().push(text);
    }

    pub fn violations(&self) -> Vec<String> {
        self.violations.lock().unwrap().clone()
    }

    pub fn refusals(&self) -> BTreeMap<String, u64> {
        self.refusals.lock().unwrap().clone()
    }

    /// Begins a read at the database's own URL, or one that waits for all that was acknowledged.
    pub fn begin_read(&self, register: usize) -> RegisterRead {
        RegisterRead {
            register,
            era: self.era.load(Ordering::SeqCst),
            least: self.registers[register].acknowledged.load(Ordering::SeqCst),
        }
    }

    /// Checks what such a read saw.
    pub fn check_read(&self, read: &RegisterRead, value: u64, seen: &mut SeenRegister) {
        let most = self.registers[read.register].asked.load(Ordering::SeqCst);
        self.reads.fetch_add(1, Ordering::Relaxed);
        let is_checked = read.era.is_multiple_of(2) && self.era.load(Ordering::SeqCst) == read.era;
        if !is_checked {
            return;
        }
        let before = if seen.era == read.era { seen.value } else { 0 };
        for (is_right, what) in [
            (value >= read.least, "less than was acknowledged before"),
            (value >= before, "less than the session saw before"),
            (value <= most, "more than was ever asked for"),
        ] {
            if !is_right {
                let RegisterRead { register, least, .. } = read;
                self.note_violation(format!(
                    "register {register} was read as {value}, {what} ({least}, {before}, {most})"
                ));
            }
        }
        *seen = SeenRegister { era: read.era, value };
    }

    /// Counts a read at an instance without a position: it may be old, and the share is told.
    pub fn note_instance_read(&self, read: &RegisterRead, value: u64) {
        self.instance_reads.fetch_add(1, Ordering::Relaxed);
        if value < read.least {
            self.stale_instance_reads.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a read at an instance that had not even what was there from the beginning: a replica that is copied anew.
    pub fn note_incomplete_read(&self) {
        self.incomplete_reads.fetch_add(1, Ordering::Relaxed);
    }

    /// Begins a time in which a stated loss may happen.
    pub fn begin_loss(&self) {
        assert!(self.era.fetch_add(1, Ordering::SeqCst).is_multiple_of(2));
    }

    /// Ends it. Every register was written to since, so that it is what was acknowledged last.
    pub fn end_loss(&self) {
        assert!(!self.era.fetch_add(1, Ordering::SeqCst).is_multiple_of(2));
    }

    /// What each register was acknowledged to be.
    pub fn acknowledged_numbers(&self) -> Vec<u64> {
        let numbers = self.registers.iter();
        numbers
            .map(|register| register.acknowledged.load(Ordering::SeqCst))
            .collect()
    }

    /// How many writes were acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::SeqCst)
    }

    /// The pairs that were acknowledged and not lost or forgotten.
    pub fn pairs(&self) -> BTreeMap<u64, AcknowledgedPair> {
        self.pairs.lock().unwrap().clone()
    }

    /// Removes pairs that were lost, as was said.
    pub fn forget_pairs(&self, lost: &BTreeSet<u64>) {
        self.pairs.lock().unwrap().retain(|pair, _| !lost.contains(pair));
    }

    /// Checks rows that were read, against those pairs that were acknowledged before. Returns the pairs that are missing.
    pub fn check_rows(&self, rows: &BTreeSet<u64>, acknowledged: &BTreeMap<u64, AcknowledgedPair>) -> BTreeSet<u64> {
        let end = 2 * self.next_pair.load(Ordering::SeqCst);
        for row in rows.iter().filter(|row| !rows.contains(&(*row ^ 1))) {
            self.note_violation(format!("row {row} is there without the other row of its transaction"));
        }
        for row in rows.range(end..) {
            self.note_violation(format!("row {row} was never written"));
        }
        let missing = acknowledged.keys().filter(|pair| !rows.contains(&(*pair * 2)));
        missing.copied().collect()
    }

    /// Forgets the writes so far.
    pub fn forget_writes(&self) {
        self.writes.lock().unwrap().clear();
    }

    /// The longest time that a write took which was under way in a span of time.
    pub fn longest_write(&self, from: Instant, to: Instant) -> Duration {
        let writes = self.writes.lock().unwrap();
        let during = writes
            .iter()
            .filter(|(asked, answered)| *asked <= to && *answered >= from);
        during
            .map(|(asked, answered)| answered.duration_since(*asked))
            .max()
            .unwrap_or_default()
    }

    pub fn totals(&self) -> Totals {
        let number = |of: &AtomicU64| of.load(Ordering::Relaxed);
        Totals {
            acknowledged: number(&self.acknowledged),
            refused: self.refusals.lock().unwrap().values().sum(),
            reads: number(&self.reads),
            instance_reads: number(&self.instance_reads),
            stale_instance_reads: number(&self.stale_instance_reads),
            incomplete_reads: number(&self.incomplete_reads),
        }
    }
}

/// What kind of error a text is: without numbers and names that differ from case to case.
fn kind_of(error: &str) -> String {
    let transport = [
        "Connect",
        "IncompleteMessage",
        "ConnectionReset",
        "TimedOut",
        "SendRequest",
        "UnexpectedEof",
    ];
    if let Some(kind) = transport
        .iter()
        .find(|kind| error.starts_with("reqwest") && error.contains(*kind))
    {
        return format!("connection: {kind}");
    }
    let part = |name: &str| {
        let (_, rest) = error.split_once(&format!("\"{name}\":\""))?;
        Some(rest.split('"').next()?.to_owned())
    };
    match (part("code"), part("message")) {
        (Some(code), _) if code != "SQLITE_UNKNOWN" => code,
        (_, Some(message)) => message,
        _ => error.chars().take(100).collect(),
    }
}
