//! One tenant with hundreds of open streams, sockets, slow readers and slow senders beside another tenant's point reads: the
//! other is unharmed, memory is bounded, and what makes no progress is cut off.

use crate::support::World;
use crate::support::hrana;
use crate::support::server::Server;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

/// How long the limits for a head, a piece of a body and a reader take at most, on a machine that has other work to do.
const PATIENCE: Duration = Duration::from_secs(120);

/// Bytes that a server and a database's process may grow by, whatever a tenant does.
const GROWTH: u64 = 400 << 20;

struct Tenant {
    label: String,
    token: String,
}

impl Tenant {
    fn new(server: &Server, organization: &str) -> Self {
        server.ok("POST", "/v1/organizations", Some(json!({ "name": organization })));
        let databases = format!("/v1/organizations/{organization}/databases");
        server.ok("POST", &databases, Some(json!({ "name": "app", "group": "default" })));
        let minted = server.ok("POST", &format!("{databases}/app/auth/tokens"), None);
        let tenant = Self {
            label: format!("app-{organization}"),
            token: minted["jwt"].as_str().unwrap().to_owned(),
        };
        let client = Server::client();
        hrana::execute(
            tenant.post(&client, server, "v2/pipeline"),
            ["create table t (x)", "insert into t values (42)"],
        )
        .unwrap();
        tenant
    }

    fn post(
        &self,
        client: &reqwest::blocking::Client,
        server: &Server,
        path: &str,
    ) -> reqwest::blocking::RequestBuilder {
        client
            .post(format!("{}db/{}/{path}", server.url(), self.label))
            .bearer_auth(&self.token)
    }

    /// A socket that has greeted and opened a stream; the answer to that.
    fn socket(&self, server: &Server) -> (WebSocket<TcpStream>, Value) {
        let request = format!("ws://{}/db/{}/", server.address(), self.label)
            .into_client_request()
            .unwrap();
        let stream = TcpStream::connect(server.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let (mut socket, _) = tungstenite::client(request, stream).unwrap();
        let opens = json!({ "type": "open_stream", "stream_id": 1 });
        for message in [
            json!({ "type": "hello", "jwt": self.token }),
            json!({ "type": "request", "request_id": 1, "request": opens }),
        ] {
            socket.send(Message::text(message.to_string())).unwrap();
        }
        let mut answer = Value::Null;
        for _ in 0..2 {
            let Message::Text(text) = socket.read().unwrap() else {
                panic!("no text")
            };
            answer = serde_json::from_str(&text).unwrap();
        }
        (socket, answer)
    }

    /// A request for far more than connections hold, whose answer is not read.
    fn slow_reader(&self, server: &Server) -> TcpStream {
        let sql = "with recursive n(x) as (select 1 union all select x + 1 from n limit 2000000) select hex(zeroblob(500)) from n";
        let body = json!({ "batch": { "steps": [{ "stmt": { "sql": sql } }] } }).to_string();
        let mut stream = TcpStream::connect(server.address()).unwrap();
        let head = self.head("v3/cursor", body.len());
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        stream
    }

    fn head(&self, path: &str, length: usize) -> String {
        format!(
            "POST /db/{}/{path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-length: {length}\r\n\r\n",
            self.label, self.token
        )
    }
}

/// Bytes of memory of all processes that have something to do with a folder, this test's own aside.
fn resident(world: &World) -> u64 {
    let folder = world.root().to_str().unwrap();
    let mut total = 0;
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let read = |file: &str| std::fs::read(process.path().join(file)).unwrap_or_default();
        let text = [read("cmdline"), read("environ")].concat();
        if process.file_name().to_str() == Some(&std::process::id().to_string())
            || memchr::memmem::find(&text, folder.as_bytes()).is_none()
        {
            continue;
        }
        let status = String::from_utf8_lossy(&read("status")).into_owned();
        let kilobytes = status.lines().find_map(|line| {
            line.strip_prefix("VmRSS:")?
                .split_whitespace()
                .next()?
                .parse::<u64>()
                .ok()
        });
        total += kilobytes.unwrap_or(0) << 10;
    }
    total
}

/// Clients that make no progress.
struct StalledClients {
    readers: Vec<TcpStream>,
    heads: Vec<TcpStream>,
    bodies: Vec<TcpStream>,
}

impl StalledClients {
    fn open(tenant: &Tenant, server: &Server) -> Self {
        let connect = |text: &str| {
            let mut stream = TcpStream::connect(server.address()).unwrap();
            stream.write_all(text.as_bytes()).unwrap();
            stream
        };
        let to_api = format!(
            "POST /v1/databases HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-length: 1000\r\n\r\n{{",
            server.token
        );
        let to_gateway = format!("{}{{", tenant.head("v2/pipeline", 1_000));
        let head = "POST /db/app-greedy/v2/pipeline HTTP/1.1\r\nx-slow: ";
        Self {
            readers: (0..60).map(|_| tenant.slow_reader(server)).collect(),
            heads: (0..100).map(|_| connect(head)).collect(),
            bodies: (0..50).flat_map(|_| [connect(&to_gateway), connect(&to_api)]).collect(),
        }
    }

    /// Heads that go on and on are no better than those that stop.
    fn lengthen_heads(&mut self) {
        for stream in &mut self.heads {
            let _ = stream.write_all(b"y");
        }
    }

    /// How many of the connections the server has not closed. A client that does not read cannot tell; the system can.
    fn count_open(&self, server: &Server) -> usize {
        let port = |text: &str| u16::from_str_radix(text.rsplit_once(':').unwrap().1, 16).unwrap();
        let own: u16 = server.address().rsplit_once(':').unwrap().1.parse().unwrap();
        let all = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let connected: HashSet<u16> = all
            .lines()
            .skip(1)
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            // Established, and closed by the client only.
            .filter(|fields| port(fields[1]) == own && ["01", "08"].contains(&fields[3]))
            .map(|fields| port(fields[2]))
            .collect();
        let is_open = |stream: &&TcpStream| connected.contains(&stream.local_addr().unwrap().port());
        let streams = self.readers.iter().chain(&self.heads).chain(&self.bodies);
        streams.filter(is_open).count()
    }

    /// What the server has sent before it closed the connections: no whole answer, but that a body did not come.
    fn check_ends(&mut self) {
        for stream in &mut self.readers {
            let (count, last) = rest(stream);
            assert!(
                count < 500 << 20 && !last.ends_with(b"0\r\n\r\n"),
                "it was read to its end: {count}"
            );
        }
        for stream in &mut self.heads {
            rest(stream);
        }
        for stream in &mut self.bodies {
            let (_, answer) = rest(stream);
            let text = String::from_utf8_lossy(&answer);
            assert!(text.starts_with("HTTP/1.1 408"), "{text}");
        }
    }
}

/// Whether the other end has hung up, once all that is on its way has been read: the bytes, and their end.
fn rest(stream: &mut TcpStream) -> (u64, Vec<u8>) {
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let (mut count, mut last, mut buffer) = (0, Vec::new(), vec![0; 1 << 16]);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return (count, last),
            Ok(read) => {
                count += read as u64;
                last = buffer[..read].to_vec();
            }
            Err(error) if [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe].contains(&error.kind()) => {
                return (count, last);
            }
            Err(error) => panic!("it is still open: {error}"),
        }
    }
}

#[test]
fn tenant_that_takes_all_it_can_harms_no_other() {
    let world = World::new();
    let server = Server::start(&world, &["--owner", "alice", "--rate-limit", "0"]);
    let (greedy, calm) = (Tenant::new(&server, "greedy"), Tenant::new(&server, "calm"));
    let client = Server::client();
    let reads = |count: usize| {
        let mut times: Vec<Duration> = (0..count)
            .map(|_| {
                let begun = Instant::now();
                let rows = hrana::execute(calm.post(&client, &server, "v2/pipeline"), ["select x from t"]).unwrap();
                assert_eq!(rows[0][0]["value"], "42");
                begun.elapsed()
            })
            .collect();
        times.sort();
        times
    };
    let alone = reads(50);
    let before = resident(&world);
    assert!(before > 0);

    // Streams, in both forms, until no more are given.
    let open = json!({ "requests": [{ "type": "execute", "stmt": { "sql": "begin" } }] });
    let mut opened = 0;
    let mut sockets = Vec::new();
    for _ in 0..120 {
        let answer = greedy.post(&client, &server, "v2/pipeline").json(&open).send().unwrap();
        opened += usize::from(answer.status() == 200);
        let (socket, answer) = greedy.socket(&server);
        opened += usize::from(answer["type"] == "response_ok");
        sockets.push(socket);
    }
    assert!(opened >= 200, "{opened}");
    let begun = Instant::now();
    let mut stalled = StalledClients::open(&greedy, &server);
    let mut times = Vec::new();
    let mut most = 0;
    while stalled.count_open(&server) > 0 {
        assert!(begun.elapsed() < PATIENCE, "what makes no progress is not cut off");
        times.extend(reads(20));
        most = most.max(resident(&world));
        stalled.lengthen_heads();
        std::thread::sleep(Duration::from_millis(500));
    }
    times.sort();
    // Other work of the machine slows reads down with and without the tenant.
    let middle_and_worst = |times: &[Duration]| (times[times.len() / 2], times[times.len() - 1]);
    let ((middle, worst), (middle_alone, worst_alone)) = (middle_and_worst(&times), middle_and_worst(&alone));
    assert!(
        middle < Duration::from_millis(200) + 10 * middle_alone && worst < Duration::from_secs(5) + 10 * worst_alone,
        "{middle:?}, {worst:?}; alone {middle_alone:?}, {worst_alone:?}"
    );
    assert!(
        most < before + GROWTH,
        "{} MiB, and before {} MiB",
        most >> 20,
        before >> 20
    );
    stalled.check_ends();
    drop(sockets);
    // And the tenant itself can go on.
    let begun = Instant::now();
    while let Err(error) = hrana::execute(greedy.post(&client, &server, "v2/pipeline"), ["select x from t"]) {
        assert!(begun.elapsed() < Duration::from_secs(20), "{error}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn sockets_that_are_open_get_a_last_message_when_the_server_ends() {
    let world = World::new();
    let server = Server::start(&world, &["--owner", "alice"]);
    let tenant = Tenant::new(&server, "team");
    let mut sockets: Vec<_> = (0..20).map(|_| tenant.socket(&server).0).collect();
    server.signal(nix::sys::signal::Signal::SIGTERM);
    for socket in &mut sockets {
        let Message::Close(Some(frame)) = socket.read().unwrap() else {
            panic!("no last word")
        };
        // 1001: going away.
        assert_eq!(u16::from(frame.code), 1001);
        assert!(frame.reason.contains("shutting down"), "{frame:?}");
    }
    let (code, took) = server.end(nix::sys::signal::Signal::SIGCONT);
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(10), "{took:?}");
}
