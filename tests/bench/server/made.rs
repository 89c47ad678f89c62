//! How long it takes until a new database answers at its primary and at a replica.

use super::bare::{DURABLE, Pair};
use super::place::{Place, named};
use super::{Goal, Table, Times};
use crate::http::{Connection, Side, statement};
use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Databases that each side makes in a round.
const EACH: u64 = 20;

pub fn run(place: &Place, bare: &Pair, rounds: u64, table: &mut Table) -> io::Result<()> {
    let mut admin = Connection::to(&bare.create(""))?;
    let mut primary = Connection::to(&bare.at_primary(""))?;
    let mut replica = Connection::to(&bare.at_replica(""))?;
    let (mut api, mut read) = (place.connect()?, place.connect()?);
    let (mut theirs, mut ours) = (Times::default(), Times::default());
    let mut ours_made = Times::default();
    for number in 0..rounds * EACH {
        let name = format!("made{number}");
        let start = Instant::now();
        admin.ask(&bare.create(&name), DURABLE)?;
        until_read(&mut primary, &bare.at_primary(&name))?;
        until_read(&mut replica, &bare.at_replica(&name))?;
        theirs.0.push(start.elapsed());

        let start = Instant::now();
        api.ask(&place.create(), &named(&name))?;
        ours_made.0.push(start.elapsed());
        until_read(&mut read, &place.at_primary(&name))?;
        until_read(&mut read, &place.at_replica(&name))?;
        ours.0.push(start.elapsed());
    }
    let goal = Goal::Ratio(1.5);
    table.time("create, read at both: p50", Some(theirs.median()), ours.median(), &goal)?;
    table.time(
        "create, read at both: p90",
        Some(theirs.within(900)),
        ours.within(900),
        &Goal::None,
    )?;
    table.time("create alone: p50", None, ours_made.median(), &Goal::None)
}

/// Reads until there is an answer: a bare replica has to learn of the database.
fn until_read(connection: &mut Connection, side: &Side) -> io::Result<()> {
    let body = statement("select 1");
    while connection.try_ask(side, &body)?.0 != 200 {
        sleep(Duration::from_micros(200));
    }
    Ok(())
}
