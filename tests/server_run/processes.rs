//! What `torso server` says and does about its database processes: those that do not run, those that cannot be confined,
//! and statements that take too much.

use super::{Database, Deployment, signal, until};
use crate::support::server::Server;
use crate::support::{World, installed, sqld, world::TORSO};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{self, Message};

/// Runs a program whose system calls for Landlock fail as on a kernel without it (seccomp, by number: the same on every
/// processor).
const WITHOUT_LANDLOCK: &str = r#"
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
step = lambda code, jt, jf, k: struct.pack("HBBI", code, jt, jf, k)
program = b"".join([
    step(0x20, 0, 0, 0),
    step(0x35, 0, 2, 444),
    step(0x25, 1, 0, 446),
    step(0x06, 0, 0, 0x00050000 | 38),
    step(0x06, 0, 0, 0x7FFF0000),
])
memory = ctypes.create_string_buffer(program)
class Filter(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("steps", ctypes.c_void_p)]
rules = Filter(len(program) // 8, ctypes.addressof(memory))
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.byref(rules), 0, 0) == 0, ctypes.get_errno()
os.execv(sys.argv[1], sys.argv[1:])
"#;

fn without_landlock(world: &World, more: &[&str]) -> Command {
    let args = ["--json", "server", "--listen", "127.0.0.1:0", "--sqld"];
    let like = world.torso_command(args);
    let mut command = Command::new(installed::python());
    command.args(["-c", WITHOUT_LANDLOCK, TORSO]).args(like.get_args());
    command.arg(sqld::program()).args(more).env_clear();
    command.envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(dir) = like.get_current_dir() {
        command.current_dir(dir);
    }
    command
}

#[test]
fn server_without_landlock_starts_only_unconfined_and_says_so() {
    let world = World::new();
    let refused = without_landlock(&world, &[]).output().unwrap();
    let text = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{text}");
    assert!(text.contains("Landlock") && text.contains("--unconfined"), "{text}");
    assert!(!world.data_dir().join("server").exists(), "it has begun all the same");

    let (out, log) = (world.path("out"), world.path("log"));
    let mut server = without_landlock(&world, &["--unconfined"])
        .stdout(std::fs::File::create(&out).unwrap())
        .stderr(std::fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let started = until(
        "it starts",
        || serde_json::from_str::<Value>(&std::fs::read_to_string(&out).unwrap_or_default()),
        Result::is_ok,
    );
    let started = started.0.unwrap();
    let url = started["url"].as_str().unwrap().trim_end_matches('/').to_owned();
    let token = started["token"].as_str().unwrap();
    let get = |path: &str| {
        let asked = Server::client().get(format!("{url}{path}")).bearer_auth(token);
        asked.send().unwrap().text().unwrap()
    };
    until("it is ready", || get("/ready"), |text| text.contains("\"none\""));
    let metrics = get("/metrics");
    let check = get("/v1/check");
    let made = Server::client()
        .post(format!("{url}/v1/databases"))
        .bearer_auth(token)
        .json(&serde_json::json!({ "name": "app", "group": "default" }))
        .send()
        .unwrap();
    let pid = nix::unistd::Pid::from_raw(i32::try_from(server.id()).unwrap());
    nix::sys::signal::kill(pid, Signal::SIGTERM).unwrap();
    server.wait().unwrap();
    assert_eq!(made.status(), 200, "databases run without it");
    assert!(
        metrics.contains("torso_processes_confined{level=\"none\"} 0"),
        "{metrics}"
    );
    assert!(
        check.contains("\"confinement\"") && check.contains("warning"),
        "{check}"
    );
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("not confined"), "{log}");
}

#[test]
fn server_whose_processes_do_not_run_says_why_everywhere() {
    let mut deployment = Deployment::new();
    let database = deployment.database("app");
    database.sql(&["CREATE TABLE t(x)"]).unwrap();
    let ready = deployment.ok("GET", "/ready", None);
    assert_eq!(ready["confinement"], "full");
    deployment.end(Signal::SIGTERM);
    // It tells its version and cannot be run as a server.
    let program = deployment
        .world
        .write("not-sqld", "#!/bin/sh\necho 'sqld sqld 0.24.32 (none)'; exit 3\n");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let args: Vec<&str> = deployment.args.iter().map(String::as_str).collect();
    let mut server = Server::start_with_program(&deployment.world, &program, &args);
    server.token.clone_from(&deployment.token);
    let ready = until(
        "it says that it is not ready",
        || server.ask("GET", "/ready", None),
        |(status, body)| *status == 503 && body["error"].as_str().is_some_and(|text| text.contains("do not run")),
    );
    let reason = ready.0.1["error"].as_str().unwrap().to_owned();
    assert!(
        reason.contains("in ams") && reason.contains("cannot run") || reason.contains("exit code"),
        "{reason}"
    );
    let metrics = server.request("GET", "/metrics").send().unwrap().text().unwrap();
    assert!(metrics.contains("torso_ready 0"), "{metrics}");
    let up: Vec<_> = metrics
        .lines()
        .filter(|line| line.starts_with("torso_process_up{"))
        .collect();
    assert!(!up.is_empty() && up.iter().all(|line| line.ends_with(" 0")), "{up:?}");
    let check = server.ok("GET", "/v1/check", None).to_string();
    assert!(
        check.contains("process_down") && check.contains("libSQL server of group default in ams"),
        "{check}"
    );
    drop(server);
    let log = deployment.log();
    let line = log
        .lines()
        .find(|line| line.contains("does not start"))
        .unwrap_or_else(|| panic!("{log}"));
    for part in ["location=ams", "group=default", "role=primary", "cause="] {
        assert!(line.contains(part), "{part} is not in: {line}");
    }
    deployment.start();
    deployment.server().wait_ready();
    assert_eq!(database.value("SELECT count(*) FROM t").unwrap(), "0");
}

#[test]
fn statement_that_takes_too_long_is_ended_and_its_neighbours_go_on() {
    let mut deployment = Deployment::new();
    deployment.end(Signal::SIGTERM);
    deployment.args.extend(["--statement-timeout", "1s"].map(str::to_owned));
    deployment.start();
    let (app, other) = (deployment.database("app"), deployment.database("other"));
    let pid = deployment.process_in("ams").unwrap();
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    let begun = Instant::now();
    let error = app.sql(&[endless]).unwrap_err();
    assert!(
        error.contains("TIMEOUT") && error.contains("--statement-timeout"),
        "{error}"
    );
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    // It does not go on behind: the process rests.
    until(
        "the statement is ended",
        || ticks_in(pid, Duration::from_millis(500)),
        |ticks| *ticks < 10,
    );
    assert_eq!(other.value("SELECT 7").unwrap(), "7");
    assert_eq!(app.value("SELECT 8").unwrap(), "8");
    // So does one whose rows come slowly, and one over a socket whose client sends all before it reads an answer.
    let slow = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n WHERE i % 100000 = 0";
    for sql in [endless, slow] {
        let lines = cursor_lines(&app, sql);
        assert!(lines.last().unwrap().contains("TIMEOUT"), "{lines:?}");
        let end = end_of_socket(&app, sql);
        assert!(end.contains("--statement-timeout"), "{end}");
    }
    until(
        "the statements are ended",
        || ticks_in(pid, Duration::from_millis(500)),
        |ticks| *ticks < 10,
    );
    // Longer than such a statement may compute before its process is ended for it.
    std::thread::sleep(Duration::from_secs(12));
    assert_eq!(deployment.process_in("ams"), Some(pid), "the process was ended for it");
    // A call of a function cannot be stopped: the process is ended, and comes back.
    let call =
        "SELECT instr(replace(hex(zeroblob(2000000)), '0', 'a'), replace(hex(zeroblob(900000)), '0', 'a') || 'b')";
    assert!(app.sql(&[call]).unwrap_err().contains("TIMEOUT"));
    until(
        "its process is another one",
        || deployment.process_in("ams"),
        |now| now.is_some_and(|now| now != pid),
    );
    until(
        "it serves",
        || other.value("SELECT 9"),
        |value| value.as_deref() == Ok("9"),
    );
    let log = deployment.log();
    assert!(log.contains("a statement has run for"), "{log}");
}

/// The lines of a cursor's answer.
fn cursor_lines(database: &Database, sql: &str) -> Vec<String> {
    let request = database.client.post(format!("{}/v3/cursor", database.url));
    let body = json!({ "batch": { "steps": [{ "stmt": { "sql": sql } }] } });
    let answer = request.bearer_auth(&database.token).json(&body).send().unwrap();
    answer.text().unwrap().lines().map(str::to_owned).collect()
}

/// Why a socket ends on which a statement was sent together with all that comes before it.
fn end_of_socket(database: &Database, sql: &str) -> String {
    let mut request = format!("{}/", database.url.replacen("http://", "ws://", 1))
        .into_client_request()
        .unwrap();
    let headers = request.headers_mut();
    headers.insert("sec-websocket-protocol", "hrana3".parse().unwrap());
    let stream = TcpStream::connect(request.uri().authority().unwrap().to_string()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let (mut socket, _) = tungstenite::client(request, stream).unwrap();
    let request =
        |id: u8, request: Value| json!({ "type": "request", "request_id": id, "request": request }).to_string();
    for message in [
        json!({ "type": "hello", "jwt": database.token }).to_string(),
        request(1, json!({ "type": "open_stream", "stream_id": 1 })),
        request(2, json!({ "type": "execute", "stream_id": 1, "stmt": { "sql": sql } })),
    ] {
        socket.send(Message::text(message)).unwrap();
    }
    loop {
        match socket.read().unwrap() {
            Message::Close(end) => return end.unwrap().reason.to_string(),
            answer => assert!(!answer.to_string().contains("error"), "{answer}"),
        }
    }
}

/// The processor time that a process takes within some time, in hundredths of a second.
fn ticks_in(pid: i32, time: Duration) -> u64 {
    let ticks = || -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let mut fields = stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().skip(11);
        let mut next = || fields.next().unwrap().parse::<u64>().unwrap();
        next() + next()
    };
    let before = ticks();
    std::thread::sleep(time);
    ticks() - before
}

#[test]
fn replica_without_its_primary_reads_and_refuses_writes_in_time() {
    let server = Deployment::new();
    let database = server.database("app");
    database
        .sql(&["CREATE TABLE t(x)", "INSERT INTO t VALUES (1)"])
        .unwrap();
    let replica = database.at("lhr");
    until(
        "the replica follows",
        || replica.value("SELECT count(*) FROM t"),
        |answer| answer == &Ok("1".to_owned()),
    );
    // Stopped, not killed: a killed one is back at once.
    let primary = server.process_in("ams").unwrap();
    signal(primary, Signal::SIGSTOP);
    let asked = Instant::now();
    let refused = replica.sql(&["INSERT INTO t VALUES (2)"]);
    let took = asked.elapsed();
    let read = replica.value("SELECT count(*) FROM t");
    signal(primary, Signal::SIGCONT);
    let text = refused.unwrap_err();
    assert!(took < Duration::from_secs(7), "the refusal took {took:?}: {text}");
    assert!(
        text.contains("503") || text.contains("504") || text.contains("UNAVAILABLE"),
        "{text}"
    );
    assert_eq!(read, Ok("1".to_owned()));
    until(
        "writes at the replica are taken again",
        || replica.sql(&["INSERT INTO t VALUES (3)"]),
        Result::is_ok,
    );
}
