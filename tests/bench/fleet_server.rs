//! SQL on many databases of a server: `torso db exec`, beside eight clients by hand that keep their connections and have a token of
//! the group already. Both with a SELECT and with an INSERT.
//!
//! `BENCH_DATABASES` changes how many there are.

use super::http::{Connection, statement};
use super::measure::{self, Program, Sample, Until};
use super::server::place::{Place, named};
use super::support::world::TORSO;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Instant;

/// What torso reaches of the clients by hand, at least.
const GOAL: f64 = 0.8;

const CLIENTS: u64 = 8;

const CASES: [(&str, &str); 2] = [
    ("read", "select count(*) from t"),
    ("write", "insert into t values (1)"),
];

fn name(number: u64) -> String {
    format!("tenant-{number:05}")
}

pub fn run(rounds: u64) -> io::Result<()> {
    let count = super::number("BENCH_DATABASES", 1_000);
    let place = Place::with(&[])?;
    let mut connection = place.connect()?;
    for number in 0..count {
        connection.ask(&place.create(), &named(&name(number)))?;
    }
    drop(connection);
    by_hand(&place, count, "create table t(a)")?;
    let mut out = io::stdout();
    writeln!(
        out,
        "{:<26} {:>9} {:>10} {:>7}  met",
        "databases a second, server", "torso", "by hand", "ratio"
    )?;
    for (case, sql) in CASES {
        let (mut torso, mut hand) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            torso.push(measure::run(&exec(&place, sql))?);
            hand.push(Sample {
                milliseconds: by_hand(&place, count, sql)?,
                peak_mib: 0.0,
            });
        }
        let rate = |samples: &[Sample]| count as f64 / super::median(samples).milliseconds * 1000.0;
        let (torso, hand) = (rate(&torso), rate(&hand));
        let ratio = torso / hand;
        let met = if ratio >= GOAL { "yes" } else { "NO" };
        writeln!(out, "{case:<26} {torso:>9.0} {hand:>10.0} {ratio:>7.2}  {met}")?;
    }
    Ok(())
}

fn exec(place: &Place, sql: &str) -> Program {
    let arguments = ["db", "exec", sql, "--match", "tenant-*", "--output", "jsonl"];
    let text = |text: &str| PathBuf::from(text);
    Program {
        program: TORSO.into(),
        arguments: arguments.map(str::to_owned).to_vec(),
        stdin: None,
        environment: vec![
            ("TORSO_API_URL".to_owned(), text(place.server().url())),
            ("TORSO_TOKEN".to_owned(), text(&place.token)),
            ("TORSO_CONFIG_DIR".to_owned(), place.world.path("config-of-fleet")),
            ("TORSO_DATA_DIR".to_owned(), place.world.path("data-of-fleet")),
        ],
        times: 1,
        until: Until::End,
    }
}

/// Milliseconds.
fn by_hand(place: &Place, count: u64, sql: &str) -> io::Result<f64> {
    let body = statement(sql);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let body = &body;
                scope.spawn(move || -> io::Result<()> {
                    let mut connection = Connection::open(place.address())?;
                    for number in (client..count).step_by(CLIENTS as usize) {
                        connection.ask(&place.at_primary(&name(number)), body)?;
                    }
                    Ok(())
                })
            })
            .collect();
        clients.into_iter().try_for_each(|client| {
            client
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("a client panicked")))
        })
    })?;
    Ok(begun.elapsed().as_secs_f64() * 1000.0)
}
