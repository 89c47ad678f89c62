//! What it costs to judge SQL (`sqltext::policy`): texts that were seen before, texts that are new, and large ones. No
//! process takes part; times are of one thread, in the middle of the rounds.

use std::hint::black_box;
use std::io::{self, Write};
use std::time::{Duration, Instant};
use torso::sqltext::policy::{Policy, check};

/// Texts of applications.
const USUAL: &[&str] = &[
    "select v from t where id = ?",
    "INSERT INTO users (id, name, email, created_at) VALUES (?, ?, ?, ?) RETURNING id, name, email",
    "select \"users\".\"id\", \"users\".\"name\", \"posts\".\"title\" from \"users\" left join \"posts\" on \"posts\".\"author\" = \"users\".\"id\" where (\"users\".\"id\" = ? and \"posts\".\"at\" > ?) order by \"posts\".\"at\" desc limit ?",
    "update t set a = ?, b = coalesce(b, ?) where id = ? and deleted_at is null",
    "begin immediate",
];

/// How many texts a round judges.
const TEXTS: u32 = 20_000;

/// Drivers send values beside the text, so an application has some hundred texts. This many are new all the same: typed by
/// hand, or with their values written into them.
const NEW_EVERY: usize = 10;

/// The most that a usual statement may cost.
const GOAL: Duration = Duration::from_micros(5);

pub fn run(rounds: u64) -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "{:<34} {:>12} {:>10}  met", "judging", "a text", "goal")?;
    let known = middle(rounds, || {
        let begun = Instant::now();
        for at in 0..TEXTS as usize {
            let _ = black_box(check(black_box(USUAL[at % USUAL.len()]), Policy::FULL));
        }
        begun.elapsed() / TEXTS
    });
    let met = if known <= GOAL { "yes" } else { "NO" };
    writeln!(out, "{:<34} {known:>12.2?} {GOAL:>10.0?}  {met}", "usual, seen before")?;
    let mut number = 0_u64;
    let new = middle(rounds, || {
        let texts: Vec<String> = (0..TEXTS as usize)
            .map(|at| {
                number += 1;
                format!("{} -- {number}", USUAL[at % USUAL.len()])
            })
            .collect();
        let begun = Instant::now();
        for text in &texts {
            let _ = black_box(check(black_box(text), Policy::FULL));
        }
        begun.elapsed() / TEXTS
    });
    writeln!(out, "{:<34} {new:>12.2?}", "usual, new")?;
    let mixed = middle(rounds, || {
        let texts: Vec<String> = (0..TEXTS as usize)
            .map(|at| {
                let usual = USUAL[at % USUAL.len()];
                if at % NEW_EVERY == 0 {
                    number += 1;
                    format!("{usual} -- {number}")
                } else {
                    usual.to_owned()
                }
            })
            .collect();
        let begun = Instant::now();
        for text in &texts {
            let _ = black_box(check(black_box(text), Policy::FULL));
        }
        begun.elapsed() / TEXTS
    });
    let met = if mixed <= GOAL { "yes" } else { "NO" };
    let name = format!("usual, one in {NEW_EVERY} new");
    writeln!(out, "{name:<34} {mixed:>12.2?} {GOAL:>10.0?}  {met}")?;
    for (name, text) in [
        (
            "1 MB of rows",
            format!("insert into t values {}(1, 'a')", "(1, 'a'),".repeat(100_000)),
        ),
        (
            "1 MB of small statements",
            "insert into t values (1, 'a');".repeat(35_000),
        ),
        ("100 KB of operators", format!("select 1{}", "+1".repeat(50_000))),
    ] {
        let time = middle(rounds, || {
            let begun = Instant::now();
            let _ = black_box(check(black_box(&text), Policy::FULL));
            begun.elapsed()
        });
        writeln!(out, "{name:<34} {time:>12.2?}")?;
    }
    Ok(())
}

fn middle(rounds: u64, mut measure: impl FnMut() -> Duration) -> Duration {
    let mut times: Vec<Duration> = (0..rounds).map(|_| measure()).collect();
    times.sort();
    times[times.len() / 2]
}
