//! What a run of faults has shown: one table.

use super::history::Totals;
use super::injector::Fault;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

/// The figures so far.
#[derive(Default)]
pub struct Figures {
    faults: BTreeMap<String, Vec<Duration>>,
    planned: u64,
    planned_killed: u64,
    outages: Vec<u64>,
    longest_writes: Vec<Duration>,
    first_writes: Vec<Duration>,
    lost: usize,
    stated_exactly: u64,
    exact: u64,
    last_known: u64,
    unknown: u64,
    refused_forces: u64,
    recoveries: Vec<Duration>,
    convergences: Vec<Duration>,
}

impl Figures {
    /// Says which fault comes now, with its time: the server's log tells what became of it.
    #[allow(clippy::print_stdout)] // `--nocapture` shows it.
    pub fn trace(&self, fault: Fault) {
        println!("{} {}", jiff::Timestamp::now(), describe(fault));
    }

    pub fn note_fault(&mut self, fault: Fault, took: Duration) {
        self.faults.entry(describe(fault)).or_default().push(took);
    }

    pub fn note_planned(&mut self, outage_ms: Option<u64>, killed: bool, longest_write: Duration) {
        self.planned += 1;
        self.planned_killed += u64::from(killed);
        if !killed {
            self.outages.extend(outage_ms);
            self.longest_writes.push(longest_write);
        }
    }

    pub fn note_forced(&mut self, first_write: Duration, lost: usize, frames: Option<u64>, loss: Option<&Value>) {
        self.first_writes.push(first_write);
        self.lost += lost;
        match frames {
            Some(frames) if loss.is_some_and(|loss| loss["is_exact"] == true) => {
                self.exact += 1;
                self.stated_exactly += frames;
            }
            Some(_) => self.last_known += 1,
            None => self.unknown += 1,
        }
    }

    /// Counts a promotion that was refused because no replica had anything.
    pub fn note_refused_force(&mut self) {
        self.refused_forces += 1;
    }

    pub fn note_recovery(&mut self, took: Duration) {
        self.recoveries.push(took);
    }

    pub fn note_convergence(&mut self, took: Duration) {
        self.convergences.push(took);
    }

    /// The table.
    pub fn render(&self, totals: &Totals, refusals: &BTreeMap<String, u64>, violations: usize) -> String {
        let mut text = String::new();
        let mut row = |name: &str, value: String| {
            let _ = writeln!(text, "{name:<52} {value}");
        };
        for (name, took) in &self.faults {
            row(name, format!("{}, each {}", took.len(), spread(took)));
        }
        let Totals {
            acknowledged,
            refused,
            reads,
            instance_reads,
            stale_instance_reads,
            incomplete_reads,
        } = *totals;
        row("writes acknowledged", acknowledged.to_string());
        row("requests refused or not answered", refused.to_string());
        row("reads checked at the default URL or by position", reads.to_string());
        row(
            "reads at instances without a position, old, of a part",
            format!("{instance_reads}, {stale_instance_reads}, {incomplete_reads}"),
        );
        row(
            "violations (lost where none may be, stale, two primaries)",
            violations.to_string(),
        );
        row(
            "planned promotions (with a kill)",
            format!("{} ({})", self.planned, self.planned_killed),
        );
        row("planned outage", spread_ms(&self.outages));
        row("longest write during a planned promotion", spread(&self.longest_writes));
        row(
            "forced promotions, first write after the command",
            format!("{}, {}", self.first_writes.len(), spread(&self.first_writes)),
        );
        row(
            "forced promotions refused: no replica had anything",
            self.refused_forces.to_string(),
        );
        row("transactions lost by forced promotions", self.lost.to_string());
        row(
            "loss stated exactly",
            format!("{} times, {} frames", self.exact, self.stated_exactly),
        );
        row(
            "loss stated as the last known lag, as not known",
            format!("{}, {}", self.last_known, self.unknown),
        );
        row("writes taken again after a fault", spread(&self.recoveries));
        row("replicas equal by hash after a fault", spread(&self.convergences));
        for (kind, count) in refusals {
            row(&format!("refused: {kind}"), count.to_string());
        }
        text
    }
}

fn spread(all: &[Duration]) -> String {
    let all: Vec<u64> = all
        .iter()
        .map(|took| u64::try_from(took.as_millis()).unwrap())
        .collect();
    spread_ms(&all)
}

fn spread_ms(all: &[u64]) -> String {
    let mut sorted = all.to_vec();
    sorted.sort_unstable();
    let at = |share: usize| sorted.get((sorted.len() * share / 100).min(sorted.len().saturating_sub(1)));
    match (at(50), at(99), sorted.last()) {
        (Some(half), Some(most), Some(last)) => format!("p50 {half} ms, p99 {most} ms, longest {last} ms"),
        _ => "none".to_owned(),
    }
}

fn describe(fault: Fault) -> String {
    let name = match fault {
        Fault::Kill(victim) => format!("kill {victim:?}"),
        Fault::Hang(victim) => format!("hang {victim:?}"),
        Fault::Planned(None) => "planned promotion".to_owned(),
        Fault::Planned(Some(victim)) => format!("planned promotion, {victim:?} killed"),
        Fault::Forced { behind, kill } => format!("forced promotion, behind: {behind}, server killed: {kill}"),
        Fault::FullDisk => "full disk".to_owned(),
        Fault::Damage { of, kind } => format!("{of:?}'s file: {kind:?}"),
    };
    name.to_lowercase()
}
