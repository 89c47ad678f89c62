//! Primaries on other machines: what the server passes on to them, who follows them, and how they move.

use super::site::{Site, blocks, join, open_server, start_server, state, try_write, type_block, wait_for};
use crate::support::machines::machine_network;
use serde_json::Value;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Rows of `app` as the server answers, of its instance at a location or of its primary; none where that fails.
fn count(server: &Site, location: Option<&str>) -> Option<String> {
    let at = location.map(|location| ["--location", location]);
    let mut words = vec!["db", "shell", "app"];
    words.extend(at.iter().flatten());
    words.extend(["-list", "-noheader", "select count(*) from t"]);
    let answer = server.machine.run(|| server.world.torso(&words));
    answer.status.success().then(|| answer.stdout.trim().to_owned())
}

/// Whether the primary of `app` was moved.
fn try_promote(server: &Site, location: &str) -> bool {
    let words = ["db", "promote", "app", location];
    server.machine.run(|| server.world.torso(words)).status.success()
}

/// Kills a machine while the primary of `app` is moved to a location, and starts it again.
fn kill_during_move(server: &Site, to: &str, machine: &mut Site) {
    std::thread::scope(|scope| {
        let moving = scope.spawn(|| try_promote(server, to));
        std::thread::sleep(Duration::from_millis(150));
        machine.kill();
        moving.join().unwrap()
    });
    machine.start("exec torso node");
}

#[track_caller]
fn wait_count(what: &str, server: &Site, location: Option<&str>, rows: i64) {
    wait_for(
        what,
        || count(server, location) == Some(rows.to_string()),
        || format!("{:?}\n{}", count(server, location), server.log()),
    );
}

#[test]
fn machine_with_the_primary_takes_the_servers_writes_and_is_followed() {
    let test = "machine_with_the_primary_takes_the_servers_writes_and_is_followed";
    let Some(mut network) = machine_network(test) else {
        return;
    };
    let [mut server, mut lhr, mut fra] = Site::several(&mut network);
    let blocks = blocks();
    let [listen, invite, join_line, _, primaries, ..] = blocks.as_slice() else {
        panic!("other blocks than this test knows: {blocks:#?}");
    };
    open_server(&mut server, listen);
    join(&server, &mut lhr, "lhr", invite, join_line);
    join(&server, &mut fra, "fra", invite, join_line);
    type_block(&server, &primaries.replace("orders", "app"));
    server.torso(&["db", "shell", "app", "create table t(x)"]);
    assert!(try_write(&server), "{}", lhr.log());
    lhr.wait_rows("row is there", 1);
    server.torso(&["db", "replicate", "app", "fra"]);
    wait_count("row arrives at the server's replica", &server, Some("ams"), 1);
    fra.wait_rows("row arrives at the other machine", 1);
    assert!(try_write(&server));
    wait_count("second row arrives at the server's replica", &server, Some("ams"), 2);
    fra.wait_rows("second row arrives at the other machine", 2);

    lhr.kill();
    assert!(!try_write(&server), "a write without a primary was acknowledged");
    assert_eq!(count(&server, Some("ams")), Some("2".to_owned()), "reads here go on");
    lhr.start("exec torso node");
    wait_for("it takes writes again", || try_write(&server), || lhr.log());
    wait_count("row arrives after the kill", &server, Some("ams"), 3);
    fra.wait_rows("row arrives at the other machine after the kill", 3);

    lhr.machine.cut_link();
    assert!(!try_write(&server), "a write over a cut link was acknowledged");
    lhr.machine.restore_link();
    wait_for("it takes writes after the cut", || try_write(&server), || lhr.log());
    wait_count("row arrives after the cut", &server, Some("ams"), 4);
    fra.wait_rows("row arrives at the other machine after the cut", 4);

    server.lose_power();
    server.machine.power_on();
    start_server(&mut server, listen);
    wait_for(
        "writes go on after the server's power loss",
        || try_write(&server),
        || server.log(),
    );
    wait_count("row arrives after the server's power loss", &server, Some("ams"), 5);
    fra.wait_rows("row arrives at the other machine after the server's power loss", 5);
    server.torso(&["db", "destroy", "app", "--yes"]);
    wait_for("nothing is left there", || lhr.rows().is_none(), || lhr.log());
}

/// Writes rows until it is told to stop; returns how many were acknowledged.
struct Writer<'s> {
    stop: AtomicBool,
    server: &'s Site,
}

impl Writer<'_> {
    fn run(&self) -> i64 {
        let mut acknowledged = 0;
        while !self.stop.load(Ordering::SeqCst) {
            acknowledged += i64::from(try_write(self.server));
        }
        acknowledged
    }
}

/// Does something while rows are written; returns how many of these were acknowledged.
fn under_load(server: &Site, work: impl FnOnce()) -> i64 {
    let writer = Writer {
        stop: AtomicBool::new(false),
        server,
    };
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| writer.run());
        let worked = catch_unwind(AssertUnwindSafe(work));
        writer.stop.store(true, Ordering::SeqCst);
        let acknowledged = writing.join().unwrap();
        worked.unwrap_or_else(|panic| resume_unwind(panic));
        acknowledged
    })
}

/// Moves the primary, and prints for how long writes waited.
#[allow(clippy::print_stdout)] // for whoever wants to see the figures
fn promote(server: &Site, location: &str) {
    let answer = server.torso(&["db", "promote", "app", location, "--json"]);
    let answer: Value = serde_json::from_str(&answer).unwrap();
    println!(
        "promotion to {location}: {} ms without writes",
        answer["promotion"]["outage_ms"]
    );
}

#[test]
fn machine_primaries_move_there_and_back_under_load_and_lose_nothing() {
    let test = "machine_primaries_move_there_and_back_under_load_and_lose_nothing";
    let Some(mut network) = machine_network(test) else {
        return;
    };
    let [mut server, mut lhr, mut fra] = Site::several(&mut network);
    let blocks = blocks();
    let [listen, invite, join_line, ..] = blocks.as_slice() else {
        panic!("other blocks than this test knows: {blocks:#?}");
    };
    open_server(&mut server, listen);
    join(&server, &mut lhr, "lhr", invite, join_line);
    join(&server, &mut fra, "fra", invite, join_line);
    server.torso(&["db", "create", "app"]);
    server.torso(&["db", "shell", "app", "create table t(x)"]);
    for location in ["lhr", "fra"] {
        server.torso(&["db", "replicate", "app", location]);
    }
    lhr.wait_rows("replica is there", 0);
    fra.wait_rows("replica is there", 0);
    // From the server to a machine, between machines, and back.
    let acknowledged = under_load(&server, || {
        for location in ["lhr", "fra", "ams", "fra", "lhr", "ams"] {
            promote(&server, location);
        }
    });
    assert!(acknowledged > 0);
    // An answer that was lost may have been a row, and none that was given was not.
    let rows: i64 = count(&server, None).unwrap().parse().unwrap();
    assert!(rows >= acknowledged, "{acknowledged} acknowledged, {rows} there");
    for location in [&lhr, &fra] {
        location.wait_rows("replica has all rows", rows);
    }

    // The machine is killed while its primary is moved away: that is completed or undone.
    promote(&server, "lhr");
    let before: i64 = count(&server, None).unwrap().parse().unwrap();
    kill_during_move(&server, "ams", &mut lhr);
    wait_for("it takes writes again", || try_write(&server), || server.log());
    let rows: i64 = count(&server, None).unwrap().parse().unwrap();
    assert!(rows > before, "{before} acknowledged, {rows} there");
    fra.wait_rows("replica has all rows after the kill", rows);
    lhr.wait_rows("the machine that was killed has all rows", rows);

    // The same of one that becomes the primary's.
    wait_for(
        "the primary is at the server",
        || try_promote(&server, "ams"),
        || server.log(),
    );
    kill_during_move(&server, "fra", &mut fra);
    wait_for("it takes writes after that", || try_write(&server), || server.log());
    let after: i64 = count(&server, None).unwrap().parse().unwrap();
    assert!(after > rows, "{rows} acknowledged, {after} there");
    lhr.wait_rows("replica has all rows after that", after);
    fra.wait_rows("the second machine that was killed has all rows", after);
}

#[test]
fn machine_that_is_lost_is_replaced_and_its_files_are_set_aside() {
    let test = "machine_that_is_lost_is_replaced_and_its_files_are_set_aside";
    let Some(mut network) = machine_network(test) else {
        return;
    };
    let [mut server, mut lhr] = Site::several(&mut network);
    let blocks = blocks();
    let [listen, invite, join_line, _, primaries, _, _, force, ..] = blocks.as_slice() else {
        panic!("other blocks than this test knows: {blocks:#?}");
    };
    open_server(&mut server, listen);
    join(&server, &mut lhr, "lhr", invite, join_line);
    type_block(&server, &primaries.replace("orders", "app"));
    server.torso(&["db", "shell", "app", "create table t(x)"]);
    assert!(try_write(&server));
    wait_count("row arrives here", &server, Some("ams"), 1);
    lhr.lose_power();
    wait_for("lhr is away", || state(&server, "lhr") == "away", || server.log());
    let unsure = ["db", "promote", "app", "--force", "--yes"];
    let refused = server.machine.run(|| server.world.torso(unsure));
    assert!(!refused.status.success());
    assert!(refused.stderr.contains("--old-machine-is-off"), "{}", refused.stderr);
    type_block(&server, &(force.replace("orders", "app") + " --yes"));
    wait_for("it takes writes", || try_write(&server), || server.log());
    assert_eq!(count(&server, None), Some("2".to_owned()));

    lhr.machine.power_on();
    lhr.start("exec torso node");
    let aside = lhr.world.data_dir().join("node/replicas/set-aside");
    wait_for(
        "its files are set aside",
        || std::fs::read_dir(&aside).is_ok_and(|mut files| files.next().is_some()),
        || lhr.log(),
    );
    lhr.wait_rows("it follows", 2);
    wait_for(
        "its files are compared",
        || lhr.log().contains("were compared with what took their place"),
        || lhr.log(),
    );
    promote(&server, "lhr");
    assert!(try_write(&server));
    lhr.wait_rows("it has the primary again", 3);
}
