//! A server with many databases, each with a replica: making them, listing them, idling, and starting again.

use super::idle::watch;
use super::place::{Place, named};
use super::{Goal, Table, Times};
use crate::http::{Side, statement};
use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How often lists are asked for.
const LISTS: usize = 20;

/// How often it is looked whether a server has started.
const LOOK: Duration = Duration::from_millis(2);

pub fn run(count: u64, idle: Duration, table: &mut Table) -> io::Result<()> {
    let mut place = Place::new()?;
    let mut connection = place.connect()?;
    let start = Instant::now();
    for number in 0..count {
        connection.ask(&place.create(), &named(&name(number)))?;
    }
    let rate = count as f64 / start.elapsed().as_secs_f64();
    table.note(&format!("{count} databases, made"), &format!("{rate:.1} a second"))?;

    let list = place.api("GET /v1/organizations/admin/databases");
    let mut times = Times::default();
    for _ in 0..LISTS {
        let start = Instant::now();
        connection.ask(&list, "")?;
        times.0.push(start.elapsed());
    }
    let soon = Goal::Under(Duration::from_millis(100));
    table.time(&format!("{count} databases, listed: p50"), None, times.median(), &soon)?;
    let url = place.server().url().to_owned();
    let add = ["context", "add", "bench", "--url", &url, "--token-stdin"];
    place.world.torso_with_input(add, &place.token).success();
    place.world.ok(["context", "use", "bench"]);
    let mut times = Times::default();
    for _ in 0..LISTS {
        let start = Instant::now();
        let shown = place.world.ok(["db", "list", "--output", "name"]);
        times.0.push(start.elapsed());
        if shown.lines().count() as u64 != count {
            return Err(io::Error::other("not all databases are listed"));
        }
    }
    table.time(
        &format!("{count} databases, torso db list: p50"),
        None,
        times.median(),
        &soon,
    )?;
    watch(&format!("{count} databases, idle"), &place, idle, table)?;

    drop(connection);
    let start = Instant::now();
    place.stop();
    table.time(&format!("{count} databases, end"), None, start.elapsed(), &Goal::None)?;
    let start = Instant::now();
    place.start();
    let mut connection = place.connect()?;
    let ready = Side::new(place.address(), "GET /ready", "localhost", None);
    while connection.try_ask(&ready, "")?.0 != 200 {
        sleep(LOOK);
    }
    let goal = Goal::Under(Duration::from_secs(10));
    table.time(
        &format!("{count} databases, start until ready"),
        None,
        start.elapsed(),
        &goal,
    )?;
    let read = statement("select 1");
    for number in 0..count {
        let name = name(number);
        for side in [place.at_primary(&name), place.at_replica(&name)] {
            connection.ask(&side, &read)?;
        }
    }
    table.time(
        &format!("{count} databases, start until all were read"),
        None,
        start.elapsed(),
        &Goal::None,
    )
}

fn name(number: u64) -> String {
    format!("many{number}")
}
