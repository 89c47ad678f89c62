//! What a server costs: databases that are made, writes that are seen at a replica, a server that idles, one with many databases,
//! and one with many of which few are used. Beside a bare primary and replica of libSQL server where these can do the same, taking
//! turns in one run.
//!
//! `BENCH_DATABASES` says how many are many, `BENCH_IDLE_SECONDS` how long a server is watched.

mod bare;
mod idle;
mod made;
mod many;
pub mod place;
mod seen;
mod unused;

use crate::number;
use std::io::{self, Write};
use std::time::Duration;

/// What is to be met.
enum Goal {
    /// At most so many times the other's.
    Ratio(f64),
    /// At most so much.
    Under(Duration),
    None,
}

/// The table of results, a line at a time.
#[derive(Default)]
struct Table {
    met: u32,
    missed: Vec<String>,
}

impl Table {
    fn head() -> io::Result<()> {
        writeln!(
            io::stdout(),
            "{:<44} {:>10} {:>10} {:>7} {:>9}  met",
            "server",
            "sqld ms",
            "torso ms",
            "ratio",
            "goal"
        )
    }

    /// A time, beside the other's where there is one.
    fn time(&mut self, case: &str, theirs: Option<Duration>, ours: Duration, goal: &Goal) -> io::Result<()> {
        let ratio = theirs.map(|theirs| ours.as_secs_f64() / theirs.as_secs_f64());
        let met = match (goal, ratio) {
            (Goal::Ratio(most), Some(ratio)) => Some(ratio <= *most),
            (Goal::Under(most), _) => Some(ours <= *most),
            _ => None,
        };
        match met {
            Some(true) => self.met += 1,
            Some(false) => self.missed.push(case.to_owned()),
            None => {}
        }
        let millis = |time: Duration| format!("{:.2}", time.as_secs_f64() * 1000.0);
        writeln!(
            io::stdout(),
            "{case:<44} {:>10} {:>10} {:>7} {:>9}  {}",
            theirs.map(millis).unwrap_or_default(),
            millis(ours),
            ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default(),
            match goal {
                Goal::Ratio(most) => format!("{most}"),
                Goal::Under(most) => format!("{} ms", most.as_millis()),
                Goal::None => String::new(),
            },
            met.map_or("", |met| if met { "yes" } else { "NO" })
        )
    }

    /// How many times as much one thing is as another, and how many it may be.
    fn ratio(&mut self, case: &str, ratio: f64, most: f64) -> io::Result<()> {
        let met = ratio <= most;
        if met {
            self.met += 1;
        } else {
            self.missed.push(case.to_owned());
        }
        let met = if met { "yes" } else { "NO" };
        writeln!(
            io::stdout(),
            "{case:<44} {:>10} {:>10} {ratio:>7.2} {most:>9}  {met}",
            "",
            ""
        )
    }

    /// How many targets were met, and which were not.
    fn summary(&self) -> io::Result<()> {
        let all = self.met as usize + self.missed.len();
        writeln!(io::stdout(), "targets met: {} of {all}", self.met)?;
        if self.missed.is_empty() {
            return Ok(());
        }
        writeln!(io::stdout(), "missed: {}", self.missed.join(", "))
    }

    /// Something that has no goal, in words.
    fn note(&self, case: &str, text: &str) -> io::Result<()> {
        writeln!(io::stdout(), "{case:<44} {text}")
    }
}

/// Times of one kind.
#[derive(Default)]
struct Times(Vec<Duration>);

impl Times {
    /// The time that so many of a thousand stay within.
    fn within(&mut self, of_thousand: usize) -> Duration {
        self.0.sort_unstable();
        let at = (self.0.len() * of_thousand).div_ceil(1000).max(1) - 1;
        self.0.get(at).copied().unwrap_or_default()
    }

    fn median(&mut self) -> Duration {
        self.within(500)
    }
}

pub fn run(rounds: u64) -> io::Result<()> {
    let idle = Duration::from_secs(number("BENCH_IDLE_SECONDS", 30));
    let mut table = Table::default();
    Table::head()?;
    {
        let place = place::Place::new()?;
        let bare = bare::Pair::start();
        made::run(&place, &bare, rounds, &mut table)?;
        seen::run(&place, &bare, rounds, &mut table)?;
    }
    idle::run(idle, &mut table)?;
    many::run(number("BENCH_DATABASES", 1000), idle, &mut table)?;
    table.summary()
}

/// What databases cost that nobody uses.
pub fn run_idle() -> io::Result<()> {
    let idle = Duration::from_secs(number("BENCH_IDLE_SECONDS", 30));
    let mut table = Table::default();
    Table::head()?;
    unused::run(number("BENCH_DATABASES", 10_000), idle, &mut table)?;
    table.summary()
}
