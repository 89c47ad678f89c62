//! Repairs replicas that are stuck: they do not catch up although they and their primaries run. This happens when a
//! primary ends and comes back at a bad moment: the replica's process serves what it has, reports that it is healthy,
//! but requests nothing any more (seen after both were killed; its log still has the former id).
//!
//! This module decides what is stuck and what to do; the watchdog calls it. First the replica is asked for the database
//! again; then its process is restarted; then it is restarted with that database's files removed, so that it copies
//! everything. A primary's files are never touched, and nothing is done while the primary is not running. Where it is on another
//! machine, it is only asked while there is no way to it: a copy that is thrown away then might be the last one.
//!
//! A replica follows a database once its process was asked for it. Most databases of a server are idle, and so it is asked when one
//! is written to at its primary and it is behind, or when it is read there.

use super::Nodes;
use super::common::PrimaryElsewhere;
use super::lost_primary::{self, SeenLogs};
use super::node::Node;
use super::records;
use super::role::ProcessRole;
use super::watch;
use crate::engine::Frame;
use crate::error::Result;
use crate::sync::lock;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

/// How long a replica that is behind may make no progress. A healthy one is behind for milliseconds.
const STALL: Duration = Duration::from_secs(4);

/// Each new copy that did not help doubles that time for the next one, up to this.
const LONGEST_STALL: Duration = Duration::from_secs(600);

/// The resolution of file times is not coarser than this.
const TICK: Duration = Duration::from_secs(2);

/// What is done about a stuck replica, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RepairStep {
    Ask,
    Restart,
    CopyAgain,
}

/// The observed state of a database at a replica. If two are equal, nothing has arrived in between.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ReplicaProgress {
    frame: Option<(u128, u64)>,
    /// Bytes of its files: a long transaction has no frame before its end, but the files grow.
    bytes: u64,
    /// The process id.
    pid: Option<u32>,
}

/// A database at a replica that is behind.
struct StuckReplica {
    progress: ReplicaProgress,
    since: Instant,
    steps: u32,
}

impl StuckReplica {
    fn new(progress: ReplicaProgress, now: Instant) -> Self {
        Self {
            progress,
            since: now,
            steps: 0,
        }
    }

    /// Takes a new observation; returns what is to be done now, if anything.
    fn observe(&mut self, progress: ReplicaProgress, now: Instant) -> Option<RepairStep> {
        if self.progress != progress {
            // A restarted process first shows its old state; only a change after that is progress.
            if self.progress.pid == progress.pid {
                self.steps = 0;
            }
            self.progress = progress;
            self.since = now;
            return None;
        }
        if now.duration_since(self.since) < self.patience() {
            return None;
        }
        let step = match self.steps {
            0 => RepairStep::Ask,
            1 => RepairStep::Restart,
            _ => RepairStep::CopyAgain,
        };
        self.steps += 1;
        self.since = now;
        Some(step)
    }

    fn patience(&self) -> Duration {
        STALL
            .saturating_mul(1 << self.steps.saturating_sub(2).min(16))
            .min(LONGEST_STALL)
    }
}

/// How often databases are looked at that no process has opened. Nothing is written to them.
const WHOLE: Duration = Duration::from_secs(60);

/// When the log of a database was last written, at its primary and at a replica.
type Written = [Option<SystemTime>; 2];

/// The state between two checks.
#[derive(Default)]
pub(super) struct ReplicaRepair {
    /// The databases at replicas that are behind.
    stuck: HashMap<(PathBuf, String), StuckReplica>,
    /// The databases at replicas that were up to date, by the replica's directory, with file times. While these do not
    /// change, the database need not be checked again; most databases are idle. Recent times are not kept, because a
    /// further write could get the same time.
    level: HashMap<PathBuf, HashMap<String, Written>>,
    /// When all databases were looked at last.
    whole: Option<Instant>,
    /// Where primaries' logs ended, by the replica's directory: what a promotion without the primary tells.
    seen: HashMap<PathBuf, NotedLogs>,
}

/// What was seen of a primary's logs, and when that was written down.
struct NotedLogs {
    logs: SeenLogs,
    at: Instant,
}

impl ReplicaRepair {
    /// Checks every replica once, and does what is due.
    pub fn run(&mut self, nodes: &Nodes) {
        let all: Vec<_> = lock(nodes).values().cloned().collect();
        let whole = self.whole.is_none_or(|at| at.elapsed() >= WHOLE);
        if whole {
            self.whole = Some(Instant::now());
        }
        let is_wanted = |dir: &PathBuf| all.iter().any(|node| node.dir() == dir);
        self.level.retain(|dir, _| is_wanted(dir));
        self.seen.retain(|dir, _| is_wanted(dir));
        let mut stuck = HashMap::new();
        for replica in all.iter().filter(|node| node.place == ProcessRole::Replica) {
            let primary = all
                .iter()
                .find(|node| node.place == ProcessRole::Primary && node.pool == replica.pool);
            let primary = match primary {
                Some(primary) if primary.process().is_ready() => PrimaryLogs::Here(primary),
                Some(_) => continue,
                None => match replica.primary_elsewhere() {
                    Some(primary) => PrimaryLogs::Elsewhere(primary),
                    None => continue,
                },
            };
            // Of one that is new all is looked at: what is seen replaces what an earlier run of torso has written down.
            let whole = whole || !self.seen.contains_key(replica.dir());
            self.run_replica(&primary, replica, whole, &mut stuck);
        }
        self.stuck = stuck;
    }

    /// Checks one replica. Its databases that are behind go into `stuck`.
    fn run_replica(
        &mut self,
        primary: &PrimaryLogs<'_>,
        replica: &Node,
        whole: bool,
        stuck: &mut HashMap<(PathBuf, String), StuckReplica>,
    ) {
        let mut level = self.level.remove(replica.dir()).unwrap_or_default();
        let noted = self.seen.get(replica.dir());
        let mut seen = noted.map_or_else(SeenLogs::new, |noted| noted.logs.clone());
        let mut restart = false;
        for id in self.databases(primary, replica, whole) {
            let written = [primary.frame_changed(&id), replica.frame_changed(&id)];
            if level.get(&id) == Some(&written) {
                replica.health().note_level(&id);
                continue;
            }
            level.remove(&id);
            if !records::is_acknowledged(replica.dir(), &id) {
                continue;
            }
            let end = primary.frame(&id);
            // Where it ended when it could be read last is what is known of one that cannot be read now.
            seen.extend(end.map(|end| (id.clone(), end)));
            if !is_behind(end, replica.frame(&id)) {
                replica.health().note_level(&id);
                if is_past(written) {
                    level.insert(id, written);
                }
                continue;
            }
            if !replica.has_served(&id) {
                // Its primary opens it, too. If that fails, it is asked again at the next look.
                let _ = primary.check_file(&id).and_then(|()| replica.ask(&id));
                continue;
            }
            let (now, progress) = (Instant::now(), progress(replica, &id));
            let key = (replica.dir().to_owned(), id);
            let mut stuck_replica = self
                .stuck
                .remove(&key)
                .unwrap_or_else(|| StuckReplica::new(progress.clone(), now));
            match stuck_replica.observe(progress, now) {
                None => {}
                // If it does not answer, it is restarted next.
                Some(RepairStep::Ask) => drop(replica.admin().and_then(|admin| admin.usage(&key.1))),
                Some(RepairStep::Restart | RepairStep::CopyAgain) if !primary.is_reached() => {}
                Some(RepairStep::Restart) => restart = true,
                Some(RepairStep::CopyAgain) => restart |= records::mark_for_copying(replica.dir(), &key.1).is_ok(),
            }
            stuck.insert(key, stuck_replica);
        }
        if whole {
            level.retain(|id, _| records::is_acknowledged(replica.dir(), id));
            seen.retain(|id, _| records::is_acknowledged(replica.dir(), id));
        }
        self.note_seen(replica, seen);
        self.level.insert(replica.dir().to_owned(), level);
        if restart {
            replica.process().kill("it does not catch up with its primary");
        }
    }

    /// Writes down where the primary's logs end, if that has changed, and now and then that it has not.
    fn note_seen(&mut self, replica: &Node, logs: SeenLogs) {
        let known = self.seen.get(replica.dir());
        let is_noted = known.is_some_and(|noted| noted.logs == logs && noted.at.elapsed() < WHOLE);
        if !is_noted && lost_primary::note_seen(replica.dir(), &logs).is_ok() {
            let at = Instant::now();
            self.seen.insert(replica.dir().to_owned(), NotedLogs { logs, at });
        }
    }

    /// The databases of a replica that may have changed since the last look: those that a process has open, and those that are
    /// behind. All of them with `whole`.
    fn databases(&self, primary: &PrimaryLogs<'_>, replica: &Node, whole: bool) -> HashSet<String> {
        if whole {
            return records::acknowledged(replica.dir())
                .unwrap_or_default()
                .into_iter()
                .collect();
        }
        let behind = self.stuck.keys().filter(|(dir, _)| dir == replica.dir());
        let behind = behind.map(|(_, id)| id.clone());
        behind.chain(primary.served()).chain(replica.served()).collect()
    }
}

/// The logs of a pool's primary: read here, or as its machine has said.
enum PrimaryLogs<'a> {
    Here(&'a Node),
    Elsewhere(PrimaryElsewhere),
}

impl PrimaryLogs<'_> {
    /// The end of a database's log; none while that is not known, and if nothing is lacked of one elsewhere.
    fn frame(&self, id: &str) -> Option<Frame> {
        match self {
            Self::Here(primary) => primary.frame(id),
            Self::Elsewhere(primary) => primary.logs.get(id).copied(),
        }
    }

    /// Whether there is a way to it: one here runs when this is asked.
    fn is_reached(&self) -> bool {
        match self {
            Self::Here(_) => true,
            Self::Elsewhere(primary) => primary.is_reached,
        }
    }

    /// When it was last written. Of one elsewhere it is just now, so that it is looked at each time.
    fn frame_changed(&self, id: &str) -> Option<SystemTime> {
        match self {
            Self::Here(primary) => primary.frame_changed(id),
            Self::Elsewhere(_) => Some(SystemTime::now()),
        }
    }

    /// The databases that may have been written to.
    fn served(&self) -> Vec<String> {
        match self {
            Self::Here(primary) => primary.served(),
            Self::Elsewhere(primary) => primary.logs.keys().cloned().collect(),
        }
    }

    /// What is checked before the primary's process opens a database. Elsewhere its machine does that.
    fn check_file(&self, id: &str) -> Result<()> {
        match self {
            Self::Here(primary) => watch::check_file(primary, id),
            Self::Elsewhere(_) => Ok(()),
        }
    }
}

/// Whether file times are old enough that a further write would get another time.
fn is_past(written: Written) -> bool {
    written
        .into_iter()
        .flatten()
        .all(|time| time.elapsed().is_ok_and(|age| age > TICK))
}

/// Whether a replica is behind its primary. Unknown, so false, if the primary has not opened the database's log yet.
fn is_behind(primary: Option<Frame>, replica: Option<Frame>) -> bool {
    primary.is_some_and(|primary| primary.count > 0 && replica != Some(primary))
}

fn progress(replica: &Node, id: &str) -> ReplicaProgress {
    ReplicaProgress {
        frame: replica.frame(id).map(|frame| (frame.log, frame.count)),
        bytes: replica.bytes(id),
        pid: replica.process().pid(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(count: u64, pid: u32) -> ReplicaProgress {
        ReplicaProgress {
            frame: Some((7, count)),
            bytes: 0,
            pid: Some(pid),
        }
    }

    #[test]
    fn replica_repair_steps_are_tried_in_order_and_only_without_progress() {
        let begun = Instant::now();
        let after = |seconds: u64| begun + Duration::from_secs(seconds);
        let mut stuck_replica = StuckReplica::new(at(5, 1), begun);
        assert_eq!(stuck_replica.observe(at(5, 1), after(3)), None);
        // It moves: nothing is done, however slow it is.
        assert_eq!(stuck_replica.observe(at(6, 1), after(100)), None);
        assert_eq!(stuck_replica.observe(at(6, 1), after(105)), Some(RepairStep::Ask));
        assert_eq!(stuck_replica.observe(at(6, 1), after(110)), Some(RepairStep::Restart));
        // Another process with the same state is no progress.
        assert_eq!(stuck_replica.observe(at(6, 2), after(111)), None);
        assert_eq!(stuck_replica.observe(at(6, 2), after(116)), Some(RepairStep::CopyAgain));
        assert_eq!(stuck_replica.observe(at(0, 3), after(117)), None);
        assert_eq!(stuck_replica.observe(at(0, 3), after(124)), None);
        assert_eq!(stuck_replica.observe(at(0, 3), after(126)), Some(RepairStep::CopyAgain));
        // Progress of the same process begins again.
        assert_eq!(stuck_replica.observe(at(1, 3), after(127)), None);
        assert_eq!(stuck_replica.observe(at(1, 3), after(132)), Some(RepairStep::Ask));
    }

    #[test]
    fn replica_repair_takes_only_old_writes_for_permanent() {
        let long_ago = Some(SystemTime::now() - Duration::from_secs(3));
        assert!(is_past([long_ago, None]));
        assert!(!is_past([long_ago, Some(SystemTime::now())]));
        // Of a clock that was set back.
        assert!(!is_past([Some(SystemTime::now() + Duration::from_secs(9)), long_ago]));
    }

    #[test]
    fn replica_is_behind_when_its_log_is_another_or_shorter() {
        let frame = |log, count| Some(Frame { log, count });
        assert!(is_behind(frame(1, 5), frame(1, 4)));
        assert!(is_behind(frame(1, 5), frame(2, 9)));
        assert!(is_behind(frame(1, 5), None));
        assert!(!is_behind(frame(1, 5), frame(1, 5)));
        assert!(!is_behind(None, frame(1, 5)));
        assert!(!is_behind(frame(1, 0), None));
    }
}
