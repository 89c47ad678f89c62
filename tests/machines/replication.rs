//! Replication over the link: a primary's process on one machine, a replica's on another.

use crate::support::linked::{HTTP, LINK, LOG, LinkedPort, Process, listen, primary_position, replica_position};
use crate::support::machines::{Machine, machine_network};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use torso::link::Authority;

/// Longer than anything takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a statement at a machine's process: the first value of its rows, or why there is none.
fn sql(machine: &Machine, statement: &str) -> Result<Value, String> {
    machine.run(|| {
        let request =
            json!({"requests": [{"type": "execute", "stmt": {"sql": statement}}, {"type": "close"}]}).to_string();
        let answer = exchange(&request).map_err(|error| error.to_string())?;
        let (_, body) = answer.split_once("\r\n\r\n").ok_or("no answer")?;
        let answer: Value = serde_json::from_str(body).map_err(|_| answer.clone())?;
        let result = &answer["results"][0];
        match result["type"].as_str() {
            Some("ok") => Ok(result["response"]["result"]["rows"][0][0]["value"].clone()),
            _ => Err(answer.to_string()),
        }
    })
}

fn exchange(request: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, HTTP))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "POST /v2/pipeline HTTP/1.0\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{request}",
        request.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Waits until something is so, and says how long that took.
#[track_caller]
#[allow(clippy::print_stdout)] // for whoever wants to see the figures
fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    let took = start.elapsed();
    println!("{what}: {} ms", took.as_millis());
}

fn rows(machine: &Machine) -> Option<Value> {
    sql(machine, "select count(*) from t").ok()
}

fn start_primary(machine: &Machine, dir: &Path) -> Process {
    let process = Process::start(machine, dir, HTTP, &["--grpc-listen-addr", &format!("127.0.0.1:{LOG}")]);
    wait_for("primary is up", || sql(machine, "select 1").is_ok());
    process
}

/// A replica with its end of the link.
struct Replica {
    _process: Process,
    linked: LinkedPort,
}

impl Replica {
    fn start(machine: &Machine, dir: &Path, server: &Machine, authority: &Authority) -> Self {
        let linked = LinkedPort::open(machine, dir, server, authority);
        wait_for("link is up", || linked.link.status().connected_since.is_some());
        let role = ["--primary-grpc-url", &linked.url()];
        Self {
            _process: Process::start(machine, &dir.join("sqld"), HTTP, &role),
            linked,
        }
    }
}

/// Waits until a replica's own files have all that its primary's have: while it is behind, it asks the primary for answers.
#[track_caller]
fn wait_equal(what: &str, dir: &Path) {
    wait_for(what, || {
        let wanted = primary_position(&dir.join("primary"));
        wanted.is_some() && replica_position(&dir.join("replica/sqld")) == wanted
    });
}

#[test]
#[allow(clippy::print_stdout)] // for whoever wants to see the figures
fn link_that_is_cut_keeps_reads_fails_writes_and_heals() {
    let Some(mut network) = machine_network("link_that_is_cut_keeps_reads_fails_writes_and_heals") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let (london, paris, other) = (network.add_machine(), network.add_machine(), network.add_machine());
    let authority = Arc::new(Authority::open(&dir.path().join("link")).unwrap());
    let _primary = start_primary(&paris, &dir.path().join("primary"));
    sql(&paris, "create table t(x)").unwrap();
    sql(&paris, "insert into t values (1)").unwrap();
    let server = listen(&paris, &authority, LOG);
    let replica = Replica::start(&london, &dir.path().join("replica"), &paris, &authority);
    wait_for("replica has the primary's row", || rows(&london) == Some(json!("1")));
    wait_for("write through the replica", || {
        sql(&london, "insert into t values (2)").is_ok()
    });
    assert_eq!(rows(&paris), Some(json!("2")));
    wait_for("replica has its own row", || rows(&london) == Some(json!("2")));
    wait_equal("replica is equal", dir.path());

    london.cut_link();
    let mut failed = None;
    let writing = Instant::now();
    std::thread::scope(|scope| {
        let write = scope.spawn(|| (sql(&london, "insert into t values (3)"), writing.elapsed()));
        while !write.is_finished() {
            // Reads go on, whatever becomes of the write.
            assert_eq!(rows(&london), Some(json!("2")));
            std::thread::sleep(Duration::from_millis(100));
        }
        failed = Some(write.join().unwrap());
    });
    let (written, took) = failed.unwrap();
    assert!(written.is_err(), "a write was acknowledged without a primary");
    println!("write through the cut link failed after {} ms", took.as_millis());
    wait_for("server notices the cut", || server.nodes().is_empty());
    assert!(replica.linked.link.status().last_error.is_some());
    sql(&paris, "insert into t values (4)").unwrap();
    let there = rows(&paris);
    assert!(
        other.run(|| TcpStream::connect((paris.address(), LINK))).is_ok(),
        "the third machine is cut off, too"
    );
    london.restore_link();
    wait_equal("replica is equal after the cut", dir.path());
    assert_eq!(rows(&london), there);
}

#[test]
fn link_to_a_machine_that_lost_its_power_heals_when_it_is_back() {
    let Some(mut network) = machine_network("link_to_a_machine_that_lost_its_power_heals_when_it_is_back") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let (london, paris) = (network.add_machine(), network.add_machine());
    let authority = Arc::new(Authority::open(&dir.path().join("link")).unwrap());
    let mut primary = start_primary(&paris, &dir.path().join("primary"));
    sql(&paris, "create table t(x)").unwrap();
    let server = listen(&paris, &authority, LOG);
    let _replica = Replica::start(&london, &dir.path().join("replica"), &paris, &authority);
    wait_for("replica has the primary's table", || rows(&london) == Some(json!("0")));
    wait_equal("replica is equal", dir.path());

    // The machine is gone, and no packet says so.
    paris.cut_link();
    primary.kill();
    drop(server);
    paris.remove();
    paris.power_on();
    let _primary = start_primary(&paris, &dir.path().join("primary"));
    sql(&paris, "insert into t values (1)").unwrap();
    let _server = listen(&paris, &authority, LOG);
    // The replica's process is the same one, and is not written to.
    wait_for("replica is equal after the power loss", || {
        rows(&london) == Some(json!("1"))
    });
}

#[test]
fn link_over_a_network_that_loses_packets_replicates() {
    let Some(mut network) = machine_network("link_over_a_network_that_loses_packets_replicates") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let (london, paris) = (network.add_machine(), network.add_machine());
    let authority = Arc::new(Authority::open(&dir.path().join("link")).unwrap());
    let _primary = start_primary(&paris, &dir.path().join("primary"));
    sql(&paris, "create table t(x)").unwrap();
    let _server = listen(&paris, &authority, LOG);
    network.lose_packets(3);
    let replica = Replica::start(&london, &dir.path().join("replica"), &paris, &authority);
    let since = replica.linked.link.status().connected_since;
    wait_for("replica follows", || rows(&london) == Some(json!("0")));
    // 20 MB in transactions of 100 KB.
    for _ in 0..200 {
        sql(&paris, "insert into t values (randomblob(100000))").unwrap();
    }
    wait_equal("replica has all rows", dir.path());
    assert_eq!(rows(&london), Some(json!("200")));
    assert_eq!(
        replica.linked.link.status().connected_since,
        since,
        "the link was given up"
    );
}
