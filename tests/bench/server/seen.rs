//! How long after its acknowledgement a write is seen at a replica by a client that reads there again and again.

use super::bare::{DURABLE, Pair};
use super::place::{Place, named};
use super::{Goal, Table, Times};
use crate::http::{Connection, Side, statement};
use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Writes of each side in a round.
const EACH: u64 = 200;

/// Between two writes: the replica idles again.
const PAUSE: Duration = Duration::from_millis(2);

const NAME: &str = "seen";

pub fn run(place: &Place, bare: &Pair, rounds: u64, table: &mut Table) -> io::Result<()> {
    Connection::to(&bare.create(NAME))?.ask(&bare.create(NAME), DURABLE)?;
    place.connect()?.ask(&place.create(), &named(NAME))?;
    let mut theirs = Watched::new(bare.at_primary(NAME), bare.at_replica(NAME))?;
    let mut ours = Watched::new(place.at_primary(NAME), place.at_replica(NAME))?;
    for number in 1..=rounds * EACH {
        theirs.write(number)?;
        ours.write(number)?;
    }
    for (name, of_thousand, goal) in [
        ("seen at a replica after a write: p50", 500, Goal::None),
        ("seen at a replica after a write: p99", 990, Goal::Ratio(1.1)),
    ] {
        let (theirs, ours) = (theirs.times.within(of_thousand), ours.times.within(of_thousand));
        table.time(name, Some(theirs), ours, &goal)?;
    }
    Ok(())
}

/// A database with one row, written at its primary and read at its replica.
struct Watched {
    primary: Side,
    replica: Side,
    writer: Connection,
    reader: Connection,
    times: Times,
}

impl Watched {
    fn new(primary: Side, replica: Side) -> io::Result<Self> {
        let (mut writer, reader) = (Connection::to(&primary)?, Connection::to(&replica)?);
        writer.ask(&primary, &statement("create table t (n integer)"))?;
        writer.ask(&primary, &statement("insert into t values (0)"))?;
        let mut watched = Self {
            primary,
            replica,
            writer,
            reader,
            times: Times::default(),
        };
        watched.until(0)?;
        Ok(watched)
    }

    fn write(&mut self, number: u64) -> io::Result<()> {
        sleep(PAUSE);
        let write = statement(&format!("update t set n = {number}"));
        self.writer.ask(&self.primary, &write)?;
        let acknowledged = Instant::now();
        self.until(number)?;
        self.times.0.push(acknowledged.elapsed());
        Ok(())
    }

    /// Reads until a number is seen.
    fn until(&mut self, number: u64) -> io::Result<()> {
        let read = statement("select n from t");
        let wanted = format!("\"value\":\"{number}\"");
        loop {
            let (status, answer) = self.reader.try_ask(&self.replica, &read)?;
            if status == 200 && answer.contains(&wanted) {
                return Ok(());
            }
        }
    }
}
