//! Runs work on many databases, some at a time, and stops beginning others at the first failure.

use crate::control::ControlPlane;
use crate::control::names::DatabaseName;
use crate::error::{Code, Error, Result};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Opens the control plane once more, for another thread.
pub type OpenPlane = dyn Fn() -> Result<Box<dyn ControlPlane>> + Send + Sync;

/// How many databases are worked on, and when others are begun.
#[derive(Debug, Clone, Copy)]
pub struct Waves {
    /// How many at the same time.
    pub parallel: usize,
    /// How many come first: the others are begun when all of these have succeeded.
    pub canary: usize,
    /// Whether others are begun after a failure.
    pub keep_going: bool,
}

/// What came of the work on one database.
#[derive(Debug)]
pub struct DatabaseResult<T, E> {
    pub name: DatabaseName,
    pub duration: Duration,
    pub result: Result<T, E>,
}

/// FleetWork on one database.
pub type FleetWork<'w, T, E> = dyn Fn(&dyn ControlPlane, &DatabaseName) -> Result<T, E> + Sync + 'w;

/// What came of all of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FleetSummary {
    pub succeeded: usize,
    pub failed: usize,
    /// Databases that were not begun, because others had failed.
    pub not_begun: usize,
}

/// Runs `work` on each database, and calls `report` on this thread with each result as it comes. An error of `report` ends it.
///
/// Memory does not grow with the number of databases: results that nobody has taken yet make the threads wait.
pub fn run<T: Send, E: From<Error> + Send>(
    names: &[DatabaseName],
    waves: Waves,
    open_plane: &OpenPlane,
    work: &FleetWork<'_, T, E>,
    report: &mut dyn FnMut(DatabaseResult<T, E>) -> Result<()>,
) -> Result<FleetSummary> {
    let (first, rest) = names.split_at(waves.canary.min(names.len()));
    let mut summary = FleetSummary::default();
    for wave in [first, rest] {
        if summary.failed > 0 && !waves.keep_going {
            break;
        }
        run_wave(wave, waves, open_plane, work, report, &mut summary)?;
    }
    summary.not_begun = names.len() - summary.succeeded - summary.failed;
    Ok(summary)
}

fn run_wave<T: Send, E: From<Error> + Send>(
    names: &[DatabaseName],
    waves: Waves,
    open_plane: &OpenPlane,
    work: &FleetWork<'_, T, E>,
    report: &mut dyn FnMut(DatabaseResult<T, E>) -> Result<()>,
    summary: &mut FleetSummary,
) -> Result<()> {
    let threads = waves.parallel.clamp(1, names.len().max(1));
    let next = AtomicUsize::new(0);
    let stopped = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel(threads);
        for _ in 0..threads {
            let sender = sender.clone();
            let (next, stopped) = (&next, &stopped);
            scope.spawn(move || {
                let mut plane = None;
                while !stopped.load(Ordering::SeqCst)
                    && let Some(name) = names.get(next.fetch_add(1, Ordering::SeqCst))
                {
                    let began = Instant::now();
                    let opened = open_once(&mut plane, open_plane);
                    let result = opened.map_err(E::from).and_then(|plane| work(plane, name));
                    if result.is_err() && !waves.keep_going {
                        stopped.store(true, Ordering::SeqCst);
                    }
                    let result = DatabaseResult {
                        name: name.clone(),
                        duration: began.elapsed(),
                        result,
                    };
                    // Nobody takes results any more where reporting has failed.
                    if sender.send(result).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        for result in receiver {
            if result.result.is_ok() {
                summary.succeeded += 1;
            } else {
                summary.failed += 1;
            }
            if let Err(error) = report(result) {
                stopped.store(true, Ordering::SeqCst);
                return Err(error);
            }
        }
        Ok(())
    })
}

/// The thread's plane, opened when it is first needed.
fn open_once<'p>(plane: &'p mut Option<Box<dyn ControlPlane>>, open_plane: &OpenPlane) -> Result<&'p dyn ControlPlane> {
    if plane.is_none() {
        *plane = Some(open_plane()?);
    }
    plane
        .as_deref()
        .ok_or_else(|| Error::new(Code::Internal, "no control plane"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::embedded::Embedded;
    use std::sync::Mutex;

    fn names(count: usize) -> Vec<DatabaseName> {
        (0..count).map(|at| format!("d{at:03}").parse().unwrap()).collect()
    }

    /// Runs work that fails on one database, and returns the summary and the most databases that were worked on at once.
    fn run_failing(count: usize, waves: Waves, failing: &str) -> (FleetSummary, usize, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_owned();
        let open: Box<OpenPlane> = Box::new(move || Ok(Box::new(Embedded::open(&path)?)));
        let (now, most) = (AtomicUsize::new(0), Mutex::new(0));
        let mut seen = Vec::new();
        let work = |_: &dyn ControlPlane, name: &DatabaseName| -> Result<()> {
            let working = now.fetch_add(1, Ordering::SeqCst) + 1;
            let mut most = most.lock().unwrap();
            *most = working.max(*most);
            drop(most);
            std::thread::sleep(Duration::from_millis(2));
            now.fetch_sub(1, Ordering::SeqCst);
            if name.as_str() == failing {
                return Err(Error::new(Code::SqlError, "no"));
            }
            Ok(())
        };
        let summary = run(&names(count), waves, &*open, &work, &mut |result| {
            seen.push(result.name.to_string());
            Ok(())
        })
        .unwrap();
        let most = *most.lock().unwrap();
        (summary, most, seen)
    }

    #[test]
    fn fleet_works_on_some_databases_at_a_time() {
        let waves = Waves {
            parallel: 4,
            canary: 0,
            keep_going: false,
        };
        let (summary, most, mut seen) = run_failing(50, waves, "none");
        assert_eq!((summary.succeeded, summary.failed, summary.not_begun), (50, 0, 0));
        assert!((2..=4).contains(&most), "{most}");
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 50);
    }

    #[test]
    fn fleet_stops_behind_a_failing_wave() {
        let waves = Waves {
            parallel: 4,
            canary: 3,
            keep_going: false,
        };
        let (summary, _, seen) = run_failing(50, waves, "d001");
        assert_eq!(summary.failed, 1);
        assert!(seen.len() <= 3 && summary.not_begun >= 47, "{summary:?}");
        let (summary, ..) = run_failing(50, waves, "d010");
        assert!(summary.failed == 1 && summary.not_begun > 20, "{summary:?}");
        let (summary, ..) = run_failing(
            50,
            Waves {
                keep_going: true,
                ..waves
            },
            "d001",
        );
        assert_eq!((summary.succeeded, summary.failed, summary.not_begun), (49, 1, 0));
    }

    #[test]
    fn fleet_ends_where_results_cannot_be_reported() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_owned();
        let open: Box<OpenPlane> = Box::new(move || Ok(Box::new(Embedded::open(&path)?)));
        let waves = Waves {
            parallel: 4,
            canary: 0,
            keep_going: true,
        };
        let done = AtomicUsize::new(0);
        let work = |_: &dyn ControlPlane, _: &DatabaseName| -> Result<()> {
            done.fetch_add(1, Ordering::SeqCst);
            Ok(())
        };
        let ended = run(&names(500), waves, &*open, &work, &mut |_| {
            Err(Error::new(Code::Io, "closed"))
        });
        assert_eq!(ended.unwrap_err().code(), Code::Io);
        assert!(done.load(Ordering::SeqCst) < 100);
    }
}
