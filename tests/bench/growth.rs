//! Costs beside many databases: commands on one database, and a page of a list, with 100,000 in the catalog beside ten. A list of all
//! of them must not grow in memory.
//!
//! The many are rows of the catalog without files: no command looks at the file of a database that it is not about, and a list finds
//! them missing. `BENCH_DATABASES` changes how many there are.

use super::measure::{self, Program, Sample, Until};
use super::support::World;
use super::support::world::TORSO;
use std::io::{self, Write};

/// How much longer a command may take.
const GOAL: f64 = 1.2;

/// MiB that a list of all may take more than one of a tenth.
const MEMORY: f64 = 4.0;

/// Databases beside which the times are compared.
const FEW: u64 = 10;

/// A round: each command is about what the one before made. `N` is the number of the round.
const COMMANDS: [&str; 10] = [
    "db create new-N --location ams",
    "db show new-N",
    "db show new-N --path",
    "db shell new-N \u{1}create table t(a)",
    "db replicate new-N lhr",
    "db sync new-N",
    "db rename new-N old-N",
    "db destroy old-N --yes",
    "db list --limit 50",
    "db list --limit 50 --after tenant-00000005 --json",
];

const LISTS: [&str; 3] = ["table", "json", "jsonl"];

fn catalog(count: u64) -> io::Result<World> {
    let world = World::new();
    world.ok(["db", "create", "tenant-00000000", "--location", "ams"]);
    let catalog = rusqlite::Connection::open(world.data_dir().join("catalog.db")).map_err(io::Error::other)?;
    catalog
        .execute(
            "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < ?1 - 1)
             INSERT INTO databases (id, name, group_uuid, primary_location, created_at)
             SELECT printf('%08x-0000-4000-8000-%012x', x, x), printf('tenant-%08d', x), g.uuid, 'ams', d.created_at
             FROM n, groups g, databases d",
            [i64::try_from(count).unwrap_or(i64::MAX)],
        )
        .map_err(io::Error::other)?;
    drop(catalog);
    Ok(world)
}

fn torso(world: &World, arguments: &[String]) -> io::Result<Sample> {
    measure::run(&Program {
        program: TORSO.into(),
        arguments: arguments.to_vec(),
        stdin: None,
        environment: vec![
            ("TORSO_DATA_DIR".to_owned(), world.data_dir()),
            ("TORSO_CONFIG_DIR".to_owned(), world.path("config")),
        ],
        times: 1,
        until: Until::End,
    })
}

/// The words of a command; what follows the mark is one word.
fn words(command: &str, round: u64) -> Vec<String> {
    let command = command.replace("-N", &format!("-{round}"));
    let (plain, last) = command.split_once('\u{1}').unwrap_or((&command, ""));
    let last = (!last.is_empty()).then_some(last);
    plain.split_whitespace().chain(last).map(str::to_owned).collect()
}

pub fn run(rounds: u64) -> io::Result<()> {
    let count = super::number("BENCH_DATABASES", 100_000);
    let (few, many) = (catalog(FEW)?, catalog(count)?);
    let mut times = vec![(Vec::new(), Vec::new()); COMMANDS.len()];
    // The first round is not counted: files are read for the first time.
    for round in 0..=rounds {
        for (command, (beside_few, beside_many)) in COMMANDS.iter().zip(&mut times) {
            let words = words(command, round);
            let (one, other) = (torso(&few, &words)?, torso(&many, &words)?);
            if round > 0 {
                beside_few.push(one);
                beside_many.push(other);
            }
        }
    }
    let mut out = io::stdout();
    let title = format!("ms beside {FEW}, {count}");
    writeln!(out, "{title:<52} {FEW:>9} {count:>9} {:>7}  met", "ratio")?;
    for (command, (beside_few, beside_many)) in COMMANDS.iter().zip(&times) {
        let (one, other) = (
            super::median(beside_few).milliseconds,
            super::median(beside_many).milliseconds,
        );
        let met = if other <= GOAL * one { "yes" } else { "NO" };
        let command = command.replace('\u{1}', "");
        writeln!(out, "{command:<52} {one:>9.2} {other:>9.2} {:>7.2}  {met}", other / one)?;
    }
    writeln!(
        out,
        "{:<52} {:>9} {:>9} {:>7}  met",
        "MiB of a list", "a tenth", "all", "ms, all"
    )?;
    for format in LISTS {
        let list = |more: &str| words(&format!("db list --output {format} {more}"), 0);
        let tenth = format!("--limit {}", (count / 10).max(1));
        let (tenth, all) = (torso(&many, &list(&tenth))?, torso(&many, &list(""))?);
        let met = if all.peak_mib <= tenth.peak_mib + MEMORY {
            "yes"
        } else {
            "NO"
        };
        writeln!(
            out,
            "{:<52} {:>9.1} {:>9.1} {:>7.0}  {met}",
            format!("db list --output {format}"),
            tenth.peak_mib,
            all.peak_mib,
            all.milliseconds
        )?;
    }
    Ok(())
}
