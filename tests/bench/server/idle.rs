//! What a server takes while nobody asks it for anything: memory and time of torso and of each of its processes.

use super::Table;
use super::place::{Place, named};
use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// What a start has left to do is done by then.
const SETTLED: Duration = Duration::from_secs(5);

pub fn run(time: Duration, table: &mut Table) -> io::Result<()> {
    let place = Place::with(&["lhr", "iad"])?;
    place.connect()?.ask(&place.create(), &named("idle"))?;
    sleep(SETTLED);
    watch("idle, 1 database in 3 locations", &place, time, table)
}

/// Watches a server and its processes for a while.
pub fn watch(case: &str, place: &Place, time: Duration, table: &mut Table) -> io::Result<()> {
    for process in measure(place, time)? {
        let text = format!(
            "{}: {:.1} MiB resident, {:.2} % of a processor",
            process.name, process.mebibytes, process.percent
        );
        table.note(case, &text)?;
    }
    Ok(())
}

/// What a process takes.
pub struct ProcessCosts {
    pub name: &'static str,
    /// In memory.
    pub mebibytes: f64,
    /// Of one processor.
    pub percent: f64,
}

/// Measures a server and its processes for a while.
pub fn measure(place: &Place, time: Duration) -> io::Result<Vec<ProcessCosts>> {
    let torso = place.server().pid();
    let mut all = vec![(torso, "torso")];
    all.extend(children(torso)?.into_iter().map(|pid| (pid, "sqld")));
    let before = all.iter().map(|(pid, _)| spent(*pid)).collect::<io::Result<Vec<_>>>()?;
    let start = Instant::now();
    sleep(time);
    let watched = start.elapsed();
    let costs = all.iter().zip(before).map(|((pid, name), before)| {
        let used = spent(*pid)?.saturating_sub(before);
        Ok(ProcessCosts {
            name,
            mebibytes: resident(*pid)? / 1024.0,
            percent: used.as_secs_f64() / watched.as_secs_f64() * 100.0,
        })
    });
    costs.collect()
}

fn children(parent: u32) -> io::Result<Vec<u32>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // It may have ended meanwhile.
        if stat(pid).is_ok_and(|fields| fields.get(1) == Some(&parent.to_string())) {
            all.push(pid);
        }
    }
    all.sort_unstable();
    Ok(all)
}

/// What `/proc/<pid>/stat` has after the name.
fn stat(pid: u32) -> io::Result<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let rest = text.rsplit_once(") ").map_or("", |(_, rest)| rest);
    Ok(rest.split_ascii_whitespace().map(str::to_owned).collect())
}

/// Processor time of a process.
fn spent(pid: u32) -> io::Result<Duration> {
    let fields = stat(pid)?;
    let ticks: u64 = [11, 12]
        .iter()
        .filter_map(|at| fields.get(*at)?.parse::<u64>().ok())
        .sum();
    // A hundred ticks a second on every Linux.
    Ok(Duration::from_millis(ticks * 10))
}

/// KiB that a process holds in memory.
fn resident(pid: u32) -> io::Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    text.lines()
        .find_map(|line| {
            line.strip_prefix("VmRSS:")?
                .split_ascii_whitespace()
                .next()?
                .parse()
                .ok()
        })
        .ok_or_else(|| io::Error::other("a process's memory cannot be told"))
}
