//! Benchmarks: `torso` beside `sqlite3`, alternating in one run on the same data, as ratios of medians with peak memory.
//!
//! `cargo bench` runs all but those that take minutes to prepare, `cargo bench -- json dump` only those whose names contain
//! a word; `cargo bench -- remote` those on a server, beside `curl`; `cargo bench -- gateway` what the gateway costs,
//! `cargo bench -- policy` what judging SQL costs, `cargo bench -- fleet` SQL on a thousand databases,
//! `cargo bench -- fleet-server` the same on a server, `cargo bench -- growth` what costs more beside 100,000 databases,
//! `cargo bench -- parts` what single parts save, `cargo bench -- server` what a server does, `cargo bench -- link` what the
//! link between machines costs, and `cargo bench -- idle` what
//! databases cost that nobody uses. Each line tells whether
//! its target is met, and the last how many are. Nothing fails here: times depend on the machine, ratios less so, and they
//! are for people to read.
//! `BENCH_ROWS` and `BENCH_ROUNDS` change the size of the table and how often each side runs.

mod cases;
mod fleet;
#[cfg(target_os = "linux")]
mod fleet_server;
mod flights;
#[cfg(unix)]
mod gateway;
mod growth;
#[cfg(unix)]
mod http;
mod keyed;
#[cfg(target_os = "linux")]
mod link;
mod measure;
#[cfg(unix)]
mod parts;
mod policy;
#[cfg(target_os = "linux")]
mod server;
// Tests use more of it.
#[allow(dead_code)]
#[path = "../support/mod.rs"]
mod support;

use cases::{Goal, Memory};
use measure::Sample;
use std::io::{self, Write};

/// A number of the environment.
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(at) = arguments.iter().position(|argument| argument == measure::HELPER) {
        return measure::help(&arguments[at + 1..]);
    }
    let words: Vec<&String> = arguments
        .iter()
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    let wanted = |case: &cases::Case| {
        words.iter().any(|word| case.name.contains(word.as_str())) || words.is_empty() && !case.slow_to_prepare
    };
    let rounds = number("BENCH_ROUNDS", 5).max(1);

    let rows = number("BENCH_ROWS", 340_000);
    #[cfg(unix)]
    if words.iter().any(|word| *word == "gateway") {
        return gateway::run(rounds);
    }
    #[cfg(target_os = "linux")]
    if words.iter().any(|word| *word == "server") {
        return server::run(rounds);
    }
    #[cfg(target_os = "linux")]
    if words.iter().any(|word| *word == "link") {
        return link::run(rounds);
    }
    #[cfg(target_os = "linux")]
    if words.iter().any(|word| *word == "fleet-server") {
        return fleet_server::run(rounds);
    }
    if words.iter().any(|word| *word == "growth") {
        return growth::run(rounds);
    }
    #[cfg(target_os = "linux")]
    if words.iter().any(|word| *word == "idle") {
        return server::run_idle();
    }
    if words.iter().any(|word| *word == "fleet") {
        return fleet::run(rounds);
    }
    #[cfg(unix)]
    if words.iter().any(|word| *word == "parts") {
        return parts::run(rounds);
    }
    if words.iter().any(|word| *word == "policy") {
        return policy::run(rounds);
    }
    let world = cases::World::new(rows)?;
    let mut out = io::stdout();
    writeln!(
        out,
        "{:<22} {:>12} {:>12} {:>7} {:>12} {:>12} {:>12} {:>10}  met",
        "case", "sqlite3 ms", "torso ms", "ratio", "goal", "sqlite3 MiB", "torso MiB", "goal"
    )?;
    let (mut met, mut missed) = (0, Vec::new());
    for case in cases::all().into_iter().filter(wanted) {
        let (mut theirs, mut ours) = (Vec::new(), Vec::new());
        for _ in 0..rounds.min(case.most_rounds) {
            (case.prepare)(&world)?;
            theirs.push(measure::run(&(case.sqlite3)(&world))?);
            (case.prepare)(&world)?;
            ours.push(measure::run(&(case.torso)(&world))?);
        }
        let (theirs, ours) = (median(&theirs), median(&ours));
        let verdict = verdict(&case, rows, theirs, ours);
        match verdict {
            Some(true) => met += 1,
            Some(false) => missed.push(case.name),
            None => {}
        }
        writeln!(
            out,
            "{:<22} {:>12.1} {:>12.1} {:>7.2} {:>12} {:>12.1} {:>12.1} {:>10}  {}",
            case.name,
            theirs.milliseconds,
            ours.milliseconds,
            ours.milliseconds / theirs.milliseconds,
            match case.goal {
                Goal::Ratio(most) => format!("{most}"),
                Goal::Milliseconds(most) => format!("{most} ms"),
                Goal::RowsPerSecond(least) => format!("{least} rows/s"),
                Goal::Any => String::new(),
            },
            theirs.peak_mib,
            ours.peak_mib,
            match case.memory {
                Memory::Half => "half".to_owned(),
                Memory::Mebibytes(most) => format!("{most} MiB"),
                Memory::Any => String::new(),
            },
            verdict.map_or("", |met| if met { "yes" } else { "NO" })
        )?;
    }
    writeln!(out, "targets met: {met} of {}", met + missed.len())?;
    if !missed.is_empty() {
        writeln!(out, "missed: {}", missed.join(", "))?;
    }
    Ok(())
}

/// Whether a case has its target met, in time and memory; none if it has none.
fn verdict(case: &cases::Case, rows: u64, theirs: Sample, ours: Sample) -> Option<bool> {
    let time = match case.goal {
        Goal::Ratio(most) => Some(ours.milliseconds <= most * theirs.milliseconds),
        Goal::Milliseconds(most) => Some(ours.milliseconds <= most),
        Goal::RowsPerSecond(least) => Some(rows as f64 / ours.milliseconds * 1000.0 >= least),
        Goal::Any => None,
    };
    let memory = match case.memory {
        Memory::Half => Some(ours.peak_mib <= theirs.peak_mib / 2.0),
        Memory::Mebibytes(most) => Some(ours.peak_mib <= most),
        Memory::Any => None,
    };
    match (time, memory) {
        (Some(time), Some(memory)) => Some(time && memory),
        (time, memory) => time.or(memory),
    }
}

/// The middle time, and the highest peak.
fn median(samples: &[Sample]) -> Sample {
    let mut times: Vec<f64> = samples.iter().map(|sample| sample.milliseconds).collect();
    times.sort_by(f64::total_cmp);
    Sample {
        milliseconds: times[times.len() / 2],
        peak_mib: samples.iter().map(|sample| sample.peak_mib).fold(0.0, f64::max),
    }
}
