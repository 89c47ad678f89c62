//! Finds the database whose files end their process whenever it is opened. A process opens a database when somebody first asks
//! for it, so one such file would take all the others down again and again, with whoever asked next.
//!
//! After [`SUSPICIOUS`] crashes in [`WINDOW`] the next process is not used before it has opened every database, one after the
//! other, while nothing else is asked of it. If it ends meanwhile, that was the database's doing; after [`PROOF`] such ends
//! the database is set aside, and the others are served. What opens without harm is not the cause, so for [`TRUST`] no process
//! has to open everything again.

use std::collections::HashMap;
use std::time::{Duration, Instant};

const SUSPICIOUS: usize = 2;
const WINDOW: Duration = Duration::from_secs(60);
const PROOF: u32 = 2;
const TRUST: Duration = Duration::from_secs(120);

/// How long a process is watched after it has opened a database: one that crashes may answer first.
pub(super) const DWELL: Duration = Duration::from_millis(20);

/// What is known of the crashes of one process.
#[derive(Default)]
pub(super) struct Crashes {
    /// When the last ones were.
    recent: Vec<Instant>,
    /// The database that the process opens now, on its own.
    opening: Option<String>,
    /// How often the process has ended while it opened a database.
    ends: HashMap<String, u32>,
    /// When a process last opened everything without harm.
    opened_all: Option<Instant>,
}

/// A process has ended while it opened a database.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FatalOpening {
    pub id: String,
    /// How often it has happened.
    pub times: u32,
}

impl FatalOpening {
    /// Whether the database's files are the cause beyond doubt.
    pub fn is_proven(&self) -> bool {
        self.times >= PROOF
    }
}

impl Crashes {
    /// Notes that the process has ended. Returns the database that it was opening, if it crashed over one.
    pub fn note_end(&mut self, crashed: bool, now: Instant) -> Option<FatalOpening> {
        let opening = self.opening.take();
        if !crashed {
            return None;
        }
        self.recent.retain(|time| now.duration_since(*time) < WINDOW);
        self.recent.push(now);
        let id = opening?;
        let times = self.ends.entry(id.clone()).or_default();
        *times += 1;
        Some(FatalOpening { id, times: *times })
    }

    /// Whether the process that has started is to open its databases one by one.
    pub fn is_suspicious(&self, now: Instant) -> bool {
        let recent = self
            .recent
            .iter()
            .filter(|time| now.duration_since(**time) < WINDOW)
            .count();
        recent >= SUSPICIOUS && self.opened_all.is_none_or(|time| now.duration_since(time) > TRUST)
    }

    /// The order in which they are opened: those that were opened when the process ended come first.
    pub fn order(&self, mut ids: Vec<String>) -> Vec<String> {
        ids.sort_by_key(|id| !self.ends.contains_key(id));
        ids
    }

    pub fn begin_opening(&mut self, id: &str) {
        self.opening = Some(id.to_owned());
    }

    /// Notes that the process has opened it and still runs.
    pub fn end_opening(&mut self) {
        if let Some(id) = self.opening.take() {
            self.ends.remove(&id);
        }
    }

    pub fn note_opened_all(&mut self, now: Instant) {
        self.opened_all = Some(now);
        self.ends.clear();
    }

    /// Forgets a database that is set aside or removed.
    pub fn forget(&mut self, id: &str) {
        self.ends.remove(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(begun: Instant, seconds: u64) -> Instant {
        begun + Duration::from_secs(seconds)
    }

    #[test]
    fn crashes_in_quick_succession_are_suspicious_and_others_are_not() {
        let begun = Instant::now();
        let mut crashes = Crashes::default();
        crashes.note_end(true, begun);
        assert!(!crashes.is_suspicious(begun));
        // It was told to end.
        crashes.note_end(false, after(begun, 1));
        assert!(!crashes.is_suspicious(after(begun, 1)));
        crashes.note_end(true, after(begun, 2));
        assert!(crashes.is_suspicious(after(begun, 2)));
        assert!(!crashes.is_suspicious(after(begun, 61)));
        crashes.note_opened_all(after(begun, 3));
        assert!(!crashes.is_suspicious(after(begun, 4)));
    }

    #[test]
    fn database_is_the_cause_when_its_opening_ends_the_process_twice() {
        let now = Instant::now();
        let mut crashes = Crashes::default();
        let ids = || vec!["a".to_owned(), "b".to_owned(), "c".to_owned()];
        crashes.begin_opening("a");
        crashes.end_opening();
        crashes.begin_opening("b");
        let first = crashes.note_end(true, now).unwrap();
        assert_eq!((first.id.as_str(), first.times, first.is_proven()), ("b", 1, false));
        assert_eq!(crashes.order(ids()), ["b", "a", "c"]);
        // An innocent one is cleared, and begins again.
        crashes.begin_opening("b");
        crashes.end_opening();
        crashes.begin_opening("c");
        assert!(!crashes.note_end(true, now).unwrap().is_proven());
        crashes.begin_opening("c");
        assert!(crashes.note_end(true, now).unwrap().is_proven());
        // Without a database being opened, nobody is to blame.
        assert_eq!(crashes.note_end(true, now), None);
        crashes.begin_opening("a");
        assert_eq!(crashes.note_end(false, now), None);
    }
}
