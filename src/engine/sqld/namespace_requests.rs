//! Which namespaces a process was asked for. What is done with that is the process's (`job`) and the watchdog's.

use super::role::ProcessRole;
use std::collections::HashSet;

/// The namespaces that a process was asked for since its start.
#[derive(Default)]
pub(super) struct NamespaceRequests {
    /// Counts the ends of processes.
    pub ends: u64,
    ids: HashSet<String>,
    /// Those that are being removed.
    removing: HashSet<String>,
    /// Those of a replica's processes before, in this run of torso, which the next one is to follow again.
    pub former: HashSet<String>,
}

impl NamespaceRequests {
    /// Notes what a process has answered to that was asked when so many had ended: another one knows nothing of it.
    pub fn note(&mut self, ends: u64, id: &str) {
        if self.ends == ends {
            self.ids.insert(id.to_owned());
        }
    }

    /// Notes what a process has made: whatever had the name before is gone.
    pub fn note_made(&mut self, ends: u64, id: &str) {
        self.removing.remove(id);
        self.note(ends, id);
    }

    /// Notes that the process has ended.
    pub fn ended(&mut self, role: ProcessRole) {
        self.ends += 1;
        self.removing.clear();
        let ids = self.ids.drain();
        if role == ProcessRole::Replica {
            self.former.extend(ids);
        }
    }

    /// Notes what the process that runs now is asked for.
    pub fn note_now(&mut self, id: &str) {
        self.note(self.ends, id);
    }

    pub fn ids(&self) -> impl Iterator<Item = &String> {
        self.ids.iter()
    }

    pub fn has(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    /// Notes that a namespace is being removed.
    pub fn remove(&mut self, id: &str) {
        self.ids.remove(id);
        self.former.remove(id);
        self.removing.insert(id.to_owned());
    }

    pub fn is_removing(&self, id: &str) -> bool {
        self.removing.contains(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespace_request_of_an_ended_process_is_forgotten() {
        let mut requested = NamespaceRequests::default();
        let ends = requested.ends;
        requested.note(ends, "a");
        assert!(requested.ids.contains("a"));
        requested.ended(ProcessRole::Replica);
        // An answer that came late.
        requested.note(ends, "b");
        assert!(requested.ids.is_empty());
        requested.note(requested.ends, "b");
        assert!(requested.ids.contains("b"));
        // It is asked for again, unless it was removed meanwhile.
        assert!(requested.former.contains("a"));
        requested.remove("a");
        requested.ended(ProcessRole::Replica);
        assert!(requested.former.contains("b") && requested.former.len() == 1);
    }

    #[test]
    fn namespace_requests_of_a_primary_are_not_made_again() {
        let mut requested = NamespaceRequests::default();
        requested.note_now("a");
        requested.ended(ProcessRole::Primary);
        assert!(requested.former.is_empty() && !requested.has("a"));
    }

    #[test]
    fn namespace_request_that_is_removed_is_so_until_it_is_made_again() {
        let mut requested = NamespaceRequests::default();
        requested.remove("a");
        assert!(requested.is_removing("a"));
        requested.note_made(requested.ends, "a");
        assert!(!requested.is_removing("a") && requested.has("a"));
    }
}
