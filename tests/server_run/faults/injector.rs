//! Faults, one after the other: what is done to a server, how an operator heals it, and what must hold then.

use super::ballast::Disk;
use super::clients::Subject;
use super::figures::Figures;
use crate::server_run::{Deployment, signal};
use crate::support::server::Server;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where instances are.
pub const LOCATIONS: [&str; 3] = ["ams", "lhr", "iad"];

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A process gets SIGKILL.
    Kill(Victim),
    /// A process gets SIGSTOP for some seconds.
    Hang(Victim),
    /// The primary is moved, and something may be killed meanwhile.
    Planned(Option<Victim>),
    /// The primary's disk is away, and a replica is promoted; the others may lack what was written last.
    Forced {
        behind: bool,
        kill: bool,
    },
    FullDisk,
    Damage {
        of: Victim,
        kind: Damage,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Victim {
    Server,
    Primary,
    Replica,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    Vanish,
    Truncate,
    Flip,
}

/// A server, what is done to it, and what was measured.
pub struct Injector<'s> {
    pub server: &'s mut Deployment,
    pub disk: &'s Disk,
    /// Databases of one group, which share their processes as long as their primaries are in one location.
    pub subjects: Vec<Subject>,
    pub random: fastrand::Rng,
    pub figures: Figures,
}

/// How to ask the server's API, also from another thread.
#[derive(Clone)]
pub struct Api {
    url: String,
    token: String,
}

impl Api {
    /// The answer, or why there is none.
    pub fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Result<(u16, Value), String> {
        let url = format!("{}{path}", self.url.trim_end_matches('/'));
        let request = Server::client().request(method.parse().unwrap(), url);
        let request = request
            .bearer_auth(&self.token)
            .body(body.map_or(String::new(), |body| body.to_string()));
        let answer = request.send().map_err(|error| format!("{error:?}"))?;
        let status = answer.status().as_u16();
        Ok((status, answer.json().map_err(|error| format!("{error:?}"))?))
    }
}

impl Injector<'_> {
    pub fn api(&self) -> Api {
        Api {
            url: self.server.server().url().to_owned(),
            token: self.server.token.clone(),
        }
    }

    /// Does one fault, heals it, and checks what must hold afterwards.
    pub fn inject(&mut self, fault: Fault) {
        let begun = Instant::now();
        self.figures.trace(fault);
        self.subjects.iter().for_each(|subject| subject.history.forget_writes());
        match fault {
            Fault::Kill(victim) => self.kill(victim),
            Fault::Hang(victim) => self.hang(victim),
            Fault::Planned(kill) => self.promote(kill),
            Fault::Forced { behind, kill } => self.lose_primary(behind, kill),
            Fault::FullDisk => self.fill_disk(),
            Fault::Damage {
                of: Victim::Primary,
                kind,
            } => self.damage_primary(kind),
            Fault::Damage { kind, .. } => self.damage_replica(kind),
        }
        self.await_writes();
        // Of a single kill all is checked at the end of the round.
        if !matches!(fault, Fault::Kill(_)) {
            self.await_equality();
        }
        self.figures.note_fault(fault, begun.elapsed());
    }

    fn kill(&mut self, victim: Victim) {
        self.pause(5..250);
        match victim {
            Victim::Server => self.restart(Signal::SIGKILL),
            _ => drop(self.signal_process(victim, Signal::SIGKILL)),
        }
    }

    /// Ends the server and starts it again.
    pub fn restart(&mut self, by: Signal) {
        self.server.end(by);
        self.server.start();
    }

    fn hang(&mut self, victim: Victim) {
        let stopped = self.signal_process(victim, Signal::SIGSTOP);
        self.pause(500..3000);
        if let Some(pid) = stopped.filter(|pid| Path::new(&format!("/proc/{pid}")).exists()) {
            signal(pid, Signal::SIGCONT);
        }
    }

    /// Signals the process of the first subject's primary or of one of its replicas, if it has one now.
    fn signal_process(&mut self, victim: Victim, with: Signal) -> Option<i32> {
        let location = match victim {
            Victim::Replica => self.other_location(),
            _ => self.primary(0),
        };
        let pid = self.server.process_over(&self.pool(0, &location)?)?;
        signal(pid, with);
        Some(pid)
    }

    fn promote(&mut self, kill: Option<Victim>) {
        let (from, to, api) = (self.primary(0), self.other_location(), self.api());
        let name = self.subjects[0].name.clone();
        let begun = Instant::now();
        let path = format!("/v1/databases/{name}/instances/{to}/promote");
        let promoting = std::thread::spawn(move || api.ask("POST", &path, None));
        if let Some(victim) = kill {
            self.pause(0..400);
            match victim {
                Victim::Server => self.restart(Signal::SIGKILL),
                Victim::Primary => drop(self.signal_process(victim, Signal::SIGKILL)),
                Victim::Replica => {
                    let pid = self.pool(0, &to).and_then(|pool| self.server.process_over(&pool));
                    pid.iter().for_each(|pid| signal(*pid, Signal::SIGKILL));
                }
            }
        }
        let answer = promoting.join().unwrap();
        let longest = self.subjects[0].history.longest_write(begun, Instant::now());
        match answer {
            Ok((200, answer)) => {
                let outage = answer["database"]["promotion"]["outage_ms"].as_u64();
                self.figures.note_planned(outage, kill.is_some(), longest);
            }
            answer => {
                assert!(
                    kill.is_some(),
                    "a planned promotion failed: {answer:?}\n{}",
                    self.server.log()
                );
                self.figures.note_planned(None, true, longest);
            }
        }
        let now = self.await_primary(0);
        assert!([&from, &to].contains(&&now), "the primary is in {now}");
    }

    fn fill_disk(&mut self) {
        self.disk.fill(self.server);
        self.pause(1000..3000);
        self.disk.free(self.server);
    }

    fn damage_replica(&mut self, kind: Damage) {
        let location = self.other_location();
        let Some(home) = self.home(0, &location) else { return };
        damage_file(&home.join("data"), kind);
        self.pause(200..1000);
        // What an operator does who suspects it; only a comparison can know of some of it.
        let path = format!("/v1/databases/{}/verify", self.subjects[0].name);
        self.until("the replica is repaired", |injector| {
            let answer = injector.api().ask("POST", &path, Some(json!({ "repair": true })));
            matches!(answer, Ok((200, _)))
        });
    }

    /// Waits until every database takes writes.
    pub fn await_writes(&mut self) {
        for (n, subject) in self.subjects.clone().iter().enumerate() {
            let (begun, before) = (Instant::now(), subject.history.acknowledged());
            self.until("writes are taken again", |_| {
                subject.history.acknowledged() > before + 1
            });
            if n == 0 {
                self.figures.note_recovery(begun.elapsed());
            }
        }
    }

    /// Waits until every replica is found equal to its primary by the hash of its content, while writes go on.
    pub fn await_equality(&mut self) {
        let begun = Instant::now();
        for subject in self.subjects.clone() {
            let path = format!("/v1/databases/{}/verify", subject.name);
            let mut last = String::new();
            let is_equal = |answer: &Value| {
                let instances = answer["verification"]["instances"].as_array();
                instances
                    .is_some_and(|all| all.len() == LOCATIONS.len() && all.iter().all(|one| one["is_equal"] == true))
            };
            let deadline = Instant::now() + PATIENCE;
            loop {
                match self.api().ask("POST", &path, Some(json!({}))) {
                    Ok((200, answer)) if is_equal(&answer) => break,
                    answer => last = format!("{answer:?}"),
                }
                let (log, replication) = (self.server.log(), self.server.replication());
                assert!(
                    Instant::now() < deadline,
                    "replicas are not equal: {last}\n{log}\n{replication}"
                );
                std::thread::sleep(Duration::from_millis(50));
            }
            drop(last);
        }
        self.figures.note_convergence(begun.elapsed());
    }

    /// Where a subject's primary is, by the API.
    pub fn primary(&self, subject: usize) -> String {
        let path = format!("/v1/databases/{}", self.subjects[subject].name);
        match self.api().ask("GET", &path, None) {
            Ok((200, shown)) => shown["database"]["primaryRegion"].as_str().unwrap().to_owned(),
            answer => panic!("{answer:?}\n{}", self.server.log()),
        }
    }

    /// The same, once a promotion that was interrupted is completed or undone.
    fn await_primary(&mut self, subject: usize) -> String {
        self.await_writes();
        self.primary(subject)
    }

    /// A location where the first subject's primary is not.
    pub fn other_location(&mut self) -> String {
        let primary = self.primary(0);
        let others: Vec<&str> = LOCATIONS.into_iter().filter(|location| *location != primary).collect();
        others[self.random.usize(0..others.len())].to_owned()
    }

    /// The directory of the files of a subject's newest instance at a location.
    pub fn home(&self, subject: usize, location: &str) -> Option<PathBuf> {
        let id = &self.subjects[subject].id;
        let epoch = |home: &PathBuf| {
            let name = home.file_name()?.to_str()?.strip_prefix(id.as_str())?;
            if name.is_empty() {
                Some(1)
            } else {
                name.strip_prefix("-epoch")?.parse::<u64>().ok()
            }
        };
        let homes = self.server.pools_in(location).into_iter().flat_map(|pool| {
            let entries = std::fs::read_dir(pool.join("sqld/dbs")).into_iter().flatten().flatten();
            entries.map(|entry| entry.path()).collect::<Vec<_>>()
        });
        homes.filter(|home| epoch(home).is_some()).max_by_key(epoch)
    }

    /// The directory of the process that has a subject's newest instance at a location.
    pub fn pool(&self, subject: usize, location: &str) -> Option<PathBuf> {
        Some(self.home(subject, location)?.ancestors().nth(3)?.to_owned())
    }

    pub fn pause(&mut self, milliseconds: std::ops::Range<u64>) {
        std::thread::sleep(Duration::from_millis(self.random.u64(milliseconds)));
    }

    #[track_caller]
    pub fn until(&mut self, what: &str, mut holds: impl FnMut(&mut Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds(self) {
            let violations: Vec<_> = self
                .subjects
                .iter()
                .flat_map(|subject| subject.history.violations())
                .collect();
            if Instant::now() >= deadline || !violations.is_empty() {
                let violations: Vec<_> = violations.into_iter().take(5).collect();
                let refusals: Vec<_> = self.subjects.iter().map(|subject| subject.history.refusals()).collect();
                panic!(
                    "never: {what}\n{violations:?}\n{refusals:?}\n{}\n{}",
                    self.server.log(),
                    self.server.replication()
                );
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Checks every row of every database while nobody writes; with `allowed`, what may be missing.
    pub fn check_rows(&mut self) {
        for subject in self.subjects.clone() {
            let acknowledged = subject.history.pairs();
            let mut rows = None;
            self.until("all rows are read", |_| {
                rows = subject.rows().ok();
                rows.is_some()
            });
            let missing = subject.history.check_rows(&rows.unwrap(), &acknowledged);
            if !missing.is_empty() {
                let missing: BTreeSet<_> = missing.into_iter().take(20).collect();
                subject.history.note_violation(format!(
                    "acknowledged pairs of {} are missing: {missing:?}",
                    subject.name
                ));
            }
        }
    }
}

/// Does damage to a file that a process may have open.
pub fn damage_file(path: &Path, kind: Damage) {
    let Ok(metadata) = std::fs::metadata(path) else { return };
    let open = || std::fs::File::options().write(true).open(path);
    match kind {
        Damage::Vanish => std::fs::remove_file(path).unwrap(),
        Damage::Truncate => open().unwrap().set_len(metadata.len() / 2 / 4096 * 4096).unwrap(),
        Damage::Flip => {
            let file = open().unwrap();
            for page in (1..metadata.len() / 4096).step_by(3) {
                file.write_all_at(&[0xff; 300], page * 4096).unwrap();
            }
        }
    }
}
