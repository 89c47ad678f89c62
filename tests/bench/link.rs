//! What the link between machines costs: replicas that follow a primary on another machine over it, beside replicas that do so
//! directly, between the same network namespaces, taking turns. And a stream of its own, with the memory that it needs.
//!
//! `BENCH_LINK_MIB` says how much a replica downloads, `BENCH_STREAM_MIB` how much the stream carries.

use crate::http::{Connection, Side, statement};
use crate::number;
use crate::support::linked::{HTTP, LOG, LinkedPort, Process, listen, primary_position, replica_position};
use crate::support::machines::{Machine, machine_network};
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use torso::link::Authority;

/// Writes whose visibility is measured, in a round.
const EACH: u64 = 200;

/// How much longer a write may take to be seen, and how many times as long a download may take.
const VISIBILITY: Duration = Duration::from_micros(200);
const DOWNLOAD: f64 = 1.1;

/// The ports of the replicas for clients.
const LINKED: u16 = HTTP;
const DIRECT: u16 = HTTP + 1;

/// The port of the stream of its own.
const SINK: u16 = LOG + 1;

pub fn run(rounds: u64) -> io::Result<()> {
    let Some(mut network) = machine_network("bench link") else {
        return Err(io::Error::other("no network namespaces here"));
    };
    let dir = tempfile::tempdir()?;
    let (london, paris) = (network.add_machine(), network.add_machine());
    let authority = Arc::new(Authority::open(&dir.path().join("authority")).map_err(io::Error::other)?);
    let log = format!("0.0.0.0:{LOG}");
    let _primary = Process::start(&paris, &dir.path().join("primary"), HTTP, &["--grpc-listen-addr", &log]);
    let mut writer = Client::connect(&paris, HTTP)?;
    writer.ask("create table t (n integer, filler blob)")?;
    writer.ask("insert into t values (0, null)")?;
    let server = listen(&paris, &authority, LOG);
    let linked = LinkedPort::open(&london, &dir.path().join("node"), &paris, &authority);
    let direct = format!("http://{}:{LOG}", paris.address());
    {
        let start = |name: &str, port, url: &str| {
            Process::start(&london, &dir.path().join(name), port, &["--primary-grpc-url", url])
        };
        let _replicas = (start("linked", LINKED, &linked.url()), start("direct", DIRECT, &direct));
        visibility(&mut writer, &london, rounds)?;
    }
    let mebibytes = number("BENCH_LINK_MIB", 128);
    for _ in 0..mebibytes {
        writer.ask("insert into t values (1, randomblob(1048576))")?;
    }
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        for (side, url) in [&direct, &linked.url()].into_iter().enumerate() {
            times[side].push(download(&london, dir.path(), url)?);
        }
    }
    let [direct, linked_time] = times.map(median);
    let ratio = linked_time.as_secs_f64() / direct.as_secs_f64();
    report(
        &format!("download of {mebibytes} MiB by a new replica"),
        direct,
        linked_time,
        &format!("{ratio:.2} (goal {DOWNLOAD})"),
        ratio <= DOWNLOAD,
    )?;
    drop((server, linked));
    stream(&dir.path().join("other"), &london, &paris, &authority)
}

/// A client of one process, on its machine.
struct Client {
    side: Side,
    connection: Connection,
}

impl Client {
    /// Waits until the process is there.
    fn connect(machine: &Machine, port: u16) -> io::Result<Self> {
        let start = Instant::now();
        let side = Side::new(
            (Ipv4Addr::LOCALHOST, port).into(),
            "POST /v2/pipeline",
            "localhost",
            None,
        );
        loop {
            match machine.run(|| Connection::to(&side)) {
                Ok(connection) => return Ok(Self { side, connection }),
                Err(error) if start.elapsed() > Duration::from_secs(60) => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    fn ask(&mut self, sql: &str) -> io::Result<String> {
        self.connection.ask(&self.side, &statement(sql)).map(str::to_owned)
    }

    /// Reads until a value is seen.
    fn until(&mut self, sql: &str, value: u64) -> io::Result<()> {
        let wanted = format!("\"value\":\"{value}\"");
        let read = statement(sql);
        loop {
            let (status, answer) = self.connection.try_ask(&self.side, &read)?;
            if status == 200 && answer.contains(&wanted) {
                return Ok(());
            }
        }
    }
}

/// How long after its acknowledgement a write is seen at each replica.
fn visibility(writer: &mut Client, london: &Machine, rounds: u64) -> io::Result<()> {
    let mut readers = [Client::connect(london, DIRECT)?, Client::connect(london, LINKED)?];
    let mut times = [Vec::new(), Vec::new()];
    for reader in &mut readers {
        reader.until("select n from t", 0)?;
    }
    for write in 1..=2 * rounds * EACH {
        // Each other write is watched at each other replica, which idles before it.
        let side = usize::from(write % 2 == 0);
        std::thread::sleep(Duration::from_millis(2));
        writer.ask(&format!("update t set n = {write}"))?;
        let acknowledged = Instant::now();
        readers[side].until("select n from t", write)?;
        times[side].push(acknowledged.elapsed());
    }
    let [direct, linked] = times.map(median);
    let more = linked.saturating_sub(direct);
    report(
        "seen at a replica after a write: p50",
        direct,
        linked,
        &format!("+{} us (goal {})", more.as_micros(), VISIBILITY.as_micros()),
        more <= VISIBILITY,
    )
}

/// How long a new replica takes until it has everything.
fn download(london: &Machine, dir: &Path, url: &str) -> io::Result<Duration> {
    let files = dir.join("new");
    let start = Instant::now();
    let process = Process::start(london, &files, LINKED, &["--primary-grpc-url", url]);
    // It follows from its first request on. Answers are no sign: while it is behind, it asks the primary for them.
    Client::connect(london, LINKED)?.ask("select 1")?;
    let wanted = primary_position(&dir.join("primary")).ok_or_else(|| io::Error::other("the primary has no log"))?;
    while replica_position(&files).as_ref() != Some(&wanted) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let took = start.elapsed();
    drop(process);
    std::fs::remove_dir_all(files)?;
    Ok(took)
}

/// One stream over the link, beside one over TCP; and by how much this process's memory has grown. It is both ends of the link.
fn stream(dir: &Path, london: &Machine, paris: &Machine, authority: &Arc<Authority>) -> io::Result<()> {
    let mebibytes = number("BENCH_STREAM_MIB", 1024);
    let sink = paris.run(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, SINK)))?;
    std::thread::spawn(move || {
        for mut stream in sink.incoming().flatten() {
            let _ = io::copy(&mut stream, &mut io::sink());
        }
    });
    let _server = listen(paris, authority, SINK);
    let linked = LinkedPort::open(london, dir, paris, authority);
    while linked.link.status().connected_since.is_none() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let before = peak_memory()?;
    let direct = send(london, (paris.address(), SINK).into(), mebibytes)?;
    let ours = send(london, linked.port.address(), mebibytes)?;
    let grown = peak_memory()?.saturating_sub(before);
    report(
        &format!("stream of {mebibytes} MiB"),
        direct,
        ours,
        &format!("+{grown} KiB of memory"),
        grown < 64 << 10,
    )
}

/// How long so many bytes take until the other side has them all and closes.
fn send(london: &Machine, address: std::net::SocketAddr, mebibytes: u64) -> io::Result<Duration> {
    let mut stream = london.run(|| TcpStream::connect(address))?;
    let piece = vec![7; 1 << 20];
    let start = Instant::now();
    for _ in 0..mebibytes {
        stream.write_all(&piece)?;
    }
    stream.shutdown(Shutdown::Write)?;
    stream.read_to_end(&mut Vec::new())?;
    Ok(start.elapsed())
}

/// The most memory that this process has had, in KiB.
fn peak_memory() -> io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .ok_or_else(|| io::Error::other("no VmHWM"))
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn report(case: &str, direct: Duration, linked: Duration, compared: &str, met: bool) -> io::Result<()> {
    let millis = |time: Duration| time.as_secs_f64() * 1000.0;
    writeln!(
        io::stdout(),
        "{case:<44} direct {:>10.2} ms  link {:>10.2} ms  {compared:<24} {}",
        millis(direct),
        millis(linked),
        if met { "yes" } else { "NO" }
    )
}
