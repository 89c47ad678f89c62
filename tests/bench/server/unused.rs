//! A server with many databases of which few are used, beside one that has only those: memory and processor time while nobody asks
//! anything, the time until it is ready, and the first query to a database that was not used since the start.
//!
//! Databases that a process has made stay loaded in it, for up to a day without use. So the server is started again after each
//! [`TOGETHER`] of them, as otherwise it would be in the course of the time that it takes to get so many.

use super::idle::{ProcessCosts, measure};
use super::place::{Place, named};
use super::{Goal, Table, Times};
use crate::http::{Side, statement};
use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How many databases are used.
const USED: u64 = 100;

/// How many are made by one process.
const TOGETHER: u64 = 1000;

/// How many databases are asked for the first time.
const FIRST: u64 = 50;

/// What a start and the queries have left to do is done by then.
const AFTER: Duration = Duration::from_secs(8);

/// How often it is looked whether a server has started.
const LOOK: Duration = Duration::from_millis(2);

/// What a server with so many databases takes.
struct ServerCosts {
    processes: Vec<ProcessCosts>,
    ready: Duration,
}

impl ServerCosts {
    fn mebibytes(&self) -> f64 {
        self.processes.iter().map(|process| process.mebibytes).sum()
    }

    fn percent(&self) -> f64 {
        self.processes.iter().map(|process| process.percent).sum()
    }
}

pub fn run(count: u64, time: Duration, table: &mut Table) -> io::Result<()> {
    let few = Place::new()?;
    let few = use_some(few, USED, time, table)?.0;
    let (many, place) = use_some(Place::new()?, count, time, table)?;
    for (what, ratio) in [
        ("memory", many.mebibytes() / few.mebibytes()),
        ("idle processor time", many.percent() / few.percent()),
    ] {
        table.ratio(&format!("{count} databases, {USED} used: {what}"), ratio, 2.0)?;
    }
    let soon = Goal::Under(Duration::from_secs(20));
    table.time(
        &format!("{count} databases, start until ready"),
        None,
        many.ready,
        &soon,
    )?;
    ask_unused(&place, count, table)
}

/// Makes databases, starts the server again, uses some of them at primary and replica, and measures it.
fn use_some(mut place: Place, count: u64, time: Duration, table: &mut Table) -> io::Result<(ServerCosts, Place)> {
    let start = Instant::now();
    for first in (0..count).step_by(TOGETHER as usize) {
        let mut connection = place.connect()?;
        for number in first..count.min(first + TOGETHER) {
            connection.ask(&place.create(), &named(&name(number)))?;
        }
        drop(connection);
        place.stop();
        place.start();
        until_ready(&place)?;
    }
    let rate = count as f64 / start.elapsed().as_secs_f64();
    table.note(
        &format!("{count} databases, made"),
        &format!("{rate:.1} a second, with starts"),
    )?;
    place.stop();
    let start = Instant::now();
    place.start();
    until_ready(&place)?;
    let ready = start.elapsed();
    let mut connection = place.connect()?;
    for number in 0..USED {
        for side in sides(&place, number) {
            connection.ask(&side, &statement("select 1"))?;
        }
    }
    sleep(AFTER);
    let costs = ServerCosts {
        processes: measure(&place, time)?,
        ready,
    };
    for process in &costs.processes {
        let text = format!(
            "{}: {:.1} MiB resident, {:.2} % of a processor",
            process.name, process.mebibytes, process.percent
        );
        table.note(&format!("{count} databases, {USED} used"), &text)?;
    }
    Ok((costs, place))
}

fn until_ready(place: &Place) -> io::Result<()> {
    let mut connection = place.connect()?;
    let ready = Side::new(place.address(), "GET /ready", "localhost", None);
    while connection.try_ask(&ready, "")?.0 != 200 {
        sleep(LOOK);
    }
    Ok(())
}

/// Asks databases that were not used since the start, beside the same question once more.
fn ask_unused(place: &Place, count: u64, table: &mut Table) -> io::Result<()> {
    let mut connection = place.connect()?;
    for (at, what) in ["primary", "replica"].into_iter().enumerate() {
        let (mut first, mut again) = (Times::default(), Times::default());
        for nth in 0..FIRST {
            // Others for the replica: a database that its primary has loaded already is no idle one.
            let number = USED + (2 * nth + at as u64) % (count - USED);
            let side = &sides(place, number)[at];
            for times in [&mut first, &mut again] {
                let start = Instant::now();
                connection.ask(side, &statement("select 1"))?;
                times.0.push(start.elapsed());
            }
        }
        let more = first.within(1000).saturating_sub(again.median());
        let soon = Goal::Under(Duration::from_millis(100));
        table.time(
            &format!("first query to an idle {what}, more at most"),
            None,
            more,
            &soon,
        )?;
        table.time(
            &format!("first query to an idle {what}: p50"),
            None,
            first.median(),
            &Goal::None,
        )?;
    }
    Ok(())
}

fn sides(place: &Place, number: u64) -> [Side; 2] {
    let name = name(number);
    [place.at_primary(&name), place.at_replica(&name)]
}

fn name(number: u64) -> String {
    format!("many{number}")
}
