//! The page for the night in which a primary is lost, followed word for word: a primary's process is killed and its disk is away,
//! an operator does what the page says, and the disk comes back with a row that no replica has.

use super::blocks::{FORMER_PRIMARY, LOST_PRIMARY, is, prepare, session_faults};
use super::pages;
use crate::support::World;
use crate::support::server::Server;
use nix::sys::signal::Signal;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Where the page says that the server's data is.
const DATA: &str = "/var/lib/torso";

/// The directory of the only process in a location.
fn process_dir(data: &Path, location: &str) -> PathBuf {
    let organizations = data.join("server/organizations");
    let organization = std::fs::read_dir(organizations).unwrap().flatten().next().unwrap();
    let home = organization.path().join("locations").join(location);
    std::fs::read_dir(home).unwrap().flatten().next().unwrap().path()
}

fn signal(dir: &Path, signal: Signal) {
    let holder = std::fs::read_to_string(dir.join("lock")).unwrap();
    let pid = holder.split_ascii_whitespace().next().unwrap().parse().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).unwrap();
}

/// Writes as an application does, which does not wait for replicas.
fn write(world: &World, name: &str, sql: &str) {
    let url = world.ok(["db", "show", name, "--http-url"]);
    let token = world.ok(["db", "tokens", "create", name]);
    let body = json!({ "requests": [{ "type": "execute", "stmt": { "sql": sql } }] });
    let request = Server::client()
        .post(format!("{}v2/pipeline", url.trim()))
        .bearer_auth(token.trim());
    let answer = request.body(body.to_string()).send().unwrap().text().unwrap();
    assert!(!answer.contains("error"), "{answer}");
}

#[test]
fn lost_primary_page_followed_word_for_word_brings_writes_back() {
    let page = pages::all()
        .into_iter()
        .find(|page| page.name() == "docs/lost-primary.md")
        .unwrap();
    let mut world = World::new();
    prepare(&mut world, &page);
    let server = Server::start(&world, &["--locations", "ams,lhr,iad"]);
    server.wait_ready();
    world.write("token", format!("{}\n", server.token));
    world.ok(["context", "add", "prod", "--url", server.url(), "--token-file", "token"]);
    world.ok(["context", "use", "prod"]);
    for name in ["app", "other"] {
        world.ok(["db", "create", name, "--location", "ams"]);
        world.ok(["db", "shell", name, "create table t (x); insert into t values (1), (2)"]);
        world.ok(["db", "replicate", name, "lhr"]);
    }
    let data = world.data_dir();
    let (primary, replica) = (process_dir(&data, "ams"), process_dir(&data, "lhr"));
    signal(&replica, Signal::SIGSTOP);
    write(&world, "app", "insert into t values (99)");
    let away = world.path("away");
    // In this order: it could be started again before its disk is away.
    std::fs::rename(&primary, &away).unwrap();
    signal(&away, Signal::SIGKILL);
    signal(&replica, Signal::SIGKILL);

    let blocks = page.blocks();
    let here = |text: &str| text.replace(DATA, &data.to_string_lossy());
    let faults = session_faults(&world, &page, &blocks, |block| is(block, LOST_PRIMARY), here);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let count = |sql: &str| world.ok(["db", "shell", "app", sql]);
    for name in ["app", "other"] {
        let shown: serde_json::Value = serde_json::from_str(&world.ok(["db", "show", name, "--json"])).unwrap();
        assert_eq!(shown["primaryRegion"], "lhr", "{shown}");
        world.ok(["db", "shell", name, "insert into t values (3)"]);
    }
    assert_eq!(count("select count(*), max(x) from t").trim(), "3|3");

    let _ = std::fs::remove_dir_all(&primary);
    std::fs::rename(&away, &primary).unwrap();
    // The server looks every half minute.
    let begun = Instant::now();
    while world
        .torso(["doctor", "--json"])
        .stdout
        .matches("diverged_file")
        .count()
        < 2
    {
        assert!(
            begun.elapsed() < Duration::from_secs(90),
            "the former primaries are not taken in"
        );
        std::thread::sleep(Duration::from_millis(200));
    }
    let faults = session_faults(&world, &page, &blocks, |block| is(block, FORMER_PRIMARY), here);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let doctor = world.torso(["doctor"]);
    assert!(doctor.stdout.contains("1 in t"), "{}", doctor.report());
    assert_eq!(count("select count(*), max(x) from t").trim(), "3|3");
}
