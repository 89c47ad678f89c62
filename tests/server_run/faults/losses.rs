//! Primaries that are lost, and promotions without them: what is lost is no more than what was said, what was lost is in the files
//! that come back, and nothing is accepted by two primaries at one time.

use super::clients::Subject;
use super::injector::{Damage, Injector, LOCATIONS, damage_file};
use crate::server_run::signal;
use jiff::Timestamp;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long damage may stay unnoticed that changes no row.
const UNNOTICED: Duration = Duration::from_secs(20);

/// A promotion without the primary that was done.
struct Forced {
    asked: Instant,
    /// What it said is lost; none where the answer was lost with its server.
    loss: Option<Value>,
}

impl Injector<'_> {
    /// Takes the primary's disk away, promotes replicas of all databases that were on it, and brings the disk back.
    pub fn lose_primary(&mut self, behind: bool, kill: bool) {
        let (from, begun) = (self.primary(0), Timestamp::now());
        let Some(pool) = self.pool(0, &from) else { return };
        let all = 0..self.subjects.len();
        let lost: Vec<usize> = all
            .filter(|n| self.pool(*n, &from).as_ref() == Some(&pool) && self.primary(*n) == from)
            .collect();
        lost.iter().for_each(|n| self.subjects[*n].history.begin_loss());
        let replicas = if behind {
            self.stop_replicas(&pool, &from)
        } else {
            Vec::new()
        };
        let away = self.server.world.data_dir().join("away");
        let process = self.server.process_over(&pool);
        // In this order: it could be started again before its disk is away.
        std::fs::rename(&pool, &away).unwrap();
        process
            .iter()
            .chain(&replicas)
            .for_each(|pid| signal(*pid, Signal::SIGKILL));
        let mut missing = Vec::new();
        for n in &lost {
            let forced = self.force(*n, &from, kill);
            missing.push(forced.map(|forced| self.assess(*n, &forced)));
        }
        // What the supervisor may have left there meanwhile.
        let _ = std::fs::remove_dir_all(&pool);
        std::fs::rename(&away, &pool).unwrap();
        if self.random.bool() {
            self.restart(Signal::SIGTERM);
        }
        for (n, missing) in lost.iter().zip(missing) {
            match missing {
                Some(missing) => self.await_divergence(*n, &from, begun, &missing),
                None => {
                    self.await_client_writes(*n);
                    self.subjects[*n].history.end_loss();
                    self.figures.note_refused_force();
                }
            }
        }
    }

    /// Stops the processes that follow a primary's, and waits until they lack something.
    fn stop_replicas(&mut self, pool: &Path, primary: &str) -> Vec<i32> {
        let others = LOCATIONS.into_iter().filter(|location| *location != primary);
        let pools = others.flat_map(|location| self.server.pools_in(location));
        let followers = pools.filter(|other| other.file_name() == pool.file_name());
        let pids: Vec<i32> = followers.filter_map(|pool| self.server.process_over(&pool)).collect();
        pids.iter().for_each(|pid| signal(*pid, Signal::SIGSTOP));
        let history = self.subjects[0].history.clone();
        let before = history.acknowledged();
        let deadline = Instant::now() + Duration::from_secs(4);
        while history.acknowledged() < before + 10 && Instant::now() < deadline {
            self.pause(10..20);
        }
        pids
    }

    /// Does damage to the primary's file, and promotes a replica once it is noticed.
    pub fn damage_primary(&mut self, kind: Damage) {
        let from = self.primary(0);
        let Some(home) = self.home(0, &from) else { return };
        self.subjects[0].history.begin_loss();
        // Of pages that change while they are written nobody can say what they were.
        let is_running = kind != Damage::Flip;
        if !is_running {
            self.server.end(Signal::SIGTERM);
        }
        damage_file(&home.join("data"), kind);
        if !is_running {
            self.server.start();
        }
        match self.force(0, &from, false) {
            Some(forced) => drop(self.assess(0, &forced)),
            None => self.subjects[0].history.end_loss(),
        }
    }

    /// Promotes a replica without the primary, as an operator does: again and again until it is done. None if the primary serves all
    /// the while; or if no replica has anything, because each is copied anew since the primary was killed before: then nothing is lost
    /// when the disk comes back.
    fn force(&mut self, n: usize, from: &str, mut kill: bool) -> Option<Forced> {
        let (subject, begun) = (self.subjects[n].clone(), Instant::now());
        let path = format!("/v1/databases/{}/promote", subject.name);
        loop {
            let (api, asked, path) = (self.api(), Instant::now(), path.clone());
            let forcing = std::thread::spawn(move || api.ask("POST", &path, Some(json!({}))));
            if std::mem::take(&mut kill) {
                self.pause(0..500);
                self.restart(Signal::SIGKILL);
            }
            let answer = forcing.join().unwrap();
            if let Ok((200, answer)) = &answer {
                let loss = answer["database"]["promotion"]["loss"].clone();
                return Some(Forced {
                    asked,
                    loss: Some(loss),
                });
            }
            if self.primary(n) != from {
                return Some(Forced { asked, loss: None });
            }
            // Damage shows when a statement meets it.
            let serves = subject.rows().is_ok();
            let has_no_replica = matches!(&answer, Ok((503, answer)) if answer["error"].as_str().unwrap_or_default().starts_with("no replica"));
            if (serves || has_no_replica) && begun.elapsed() > UNNOTICED {
                return None;
            }
            let log = self.server.log();
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "no promotion without the primary: {answer:?}\n{log}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until the new primary has taken writes of every client, and compares what is lost with what was said. Returns the pairs
    /// that are lost.
    fn assess(&mut self, n: usize, forced: &Forced) -> BTreeSet<u64> {
        let subject = self.subjects[n].clone();
        let history = &subject.history;
        let mut first = None;
        self.until("the new primary takes a write", |_| {
            let pairs = history.pairs();
            let accepted = pairs.values().filter(|pair| pair.asked >= forced.asked);
            first = accepted.map(|pair| pair.answered).min();
            first.is_some()
        });
        let first = first.unwrap();
        let acknowledged = history.pairs();
        let mut rows = None;
        self.until("all rows are read", |_| {
            rows = subject.rows().ok();
            rows.is_some()
        });
        let missing = history.check_rows(&rows.unwrap(), &acknowledged);
        let lost = missing.iter().filter_map(|pair| acknowledged.get(pair));
        for pair in lost.clone().filter(|pair| pair.asked >= first) {
            let after = pair.asked.duration_since(first);
            history.note_violation(format!(
                "a former primary accepted a write {after:?} after the new one did"
            ));
        }
        let loss = forced.loss.as_ref();
        let frames = loss.and_then(|loss| loss["frames"].as_u64());
        if let (Some(loss), Some(frames)) = (loss, frames) {
            // What was written after the former primary was last seen is said not to be known.
            let seen = loss["seen_at"].as_str().map(|text| text.parse::<Timestamp>().unwrap());
            let seen = seen.unwrap_or_else(Timestamp::now);
            let stated = lost
                .filter(|pair| loss["is_exact"] == true || pair.answered_at <= seen)
                .count();
            if stated as u64 > frames {
                history.note_violation(format!(
                    "{stated} transactions are lost, and {frames} frames were stated: {loss}"
                ));
            }
        }
        self.figures
            .note_forced(first.duration_since(forced.asked), missing.len(), frames, loss);
        self.await_client_writes(n);
        history.forget_pairs(&missing);
        history.end_loss();
        missing
    }

    /// Waits until every register is written to again, so that what was lost of it does not count.
    fn await_client_writes(&mut self, n: usize) {
        let history = self.subjects[n].history.clone();
        let before = history.acknowledged_numbers();
        self.until("every client has written again", |_| {
            let now = history.acknowledged_numbers();
            now.iter().zip(&before).all(|(now, before)| now > before)
        });
    }

    /// Waits until the files of a former primary are set aside and compared, and checks that they have what was lost.
    fn await_divergence(&mut self, n: usize, location: &str, begun: Timestamp, missing: &BTreeSet<u64>) {
        let subject = self.subjects[n].clone();
        let mut home = None;
        self.until("the former primary is set aside and compared", |injector| {
            home = injector.find_set_aside(&subject, location, begun);
            home.as_ref().is_some_and(|home| home.join("diverged.json").exists())
        });
        let text = std::fs::read_to_string(home.unwrap().join("diverged.jsonl")).unwrap();
        let rows = text.lines().filter_map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            line["row"]["id"].as_u64().filter(|_| line["table"] == "appended")
        });
        let rows: BTreeSet<u64> = rows.collect();
        let wiped: Vec<_> = missing
            .iter()
            .filter(|pair| !rows.contains(&(*pair * 2)))
            .take(20)
            .collect();
        if !wiped.is_empty() {
            subject
                .history
                .note_violation(format!("lost pairs are not in the former primary's files: {wiped:?}"));
        }
    }

    /// The files of a subject that were set aside at a location since a moment.
    fn find_set_aside(&self, subject: &Subject, location: &str, since: Timestamp) -> Option<PathBuf> {
        let dirs = self.server.location_dirs(location);
        let entries = dirs
            .iter()
            .filter_map(|dir| std::fs::read_dir(dir.join("set-aside")).ok());
        let mut homes = entries.flatten().flatten().map(|entry| entry.path());
        homes.find(|home| {
            let name = home.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let at = name.rsplit_once('-').and_then(|(_, at)| at.parse::<i64>().ok());
            name.starts_with(&subject.id) && at.is_some_and(|at| at >= since.as_millisecond())
        })
    }
}
