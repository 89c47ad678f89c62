//! Clients at the machine of a location: the same tokens as at the server, reads of their own writes, revoked tokens, and what goes on
//! while the link is cut or the server is away.
//!
//! `TORSO_POSITION_READS` says how many reads follow writes (1,000 without it).

use super::site::{Site, blocks, join, open_server, start_server, type_block, wait_for};
use crate::support::installed;
use crate::support::machines::machine_network;
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

/// Where clients reach a machine.
const NODE_PORT: u16 = 8443;
const SERVER: &str = "127.0.0.1:8080";

/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// An answer.
#[derive(Debug)]
struct Reply {
    status: u16,
    head: String,
    body: Value,
}

impl Reply {
    fn header(&self, name: &str) -> &str {
        let mut lines = self.head.lines();
        let found = lines.find_map(|line| line.split_once(": ").filter(|(key, _)| key.eq_ignore_ascii_case(name)));
        found.map_or("", |(_, value)| value)
    }

    /// The number that a query has answered.
    #[track_caller]
    fn number(&self) -> i64 {
        let value = &self.body["results"][0]["response"]["result"]["rows"][0][0]["value"];
        value.as_str().unwrap_or_else(|| panic!("{self:?}")).parse().unwrap()
    }

    #[track_caller]
    fn fine(self) -> Self {
        assert!(
            self.status == 200 && self.body["results"][0]["type"] == "ok",
            "{self:?}"
        );
        self
    }

    fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_default()
    }
}

/// A client on a machine.
struct Client<'m> {
    site: &'m Site,
    address: String,
}

impl Client<'_> {
    /// Runs a statement at a label; `position` is what the read has to have.
    fn run(&self, label: &str, token: &str, sql: &str, position: &str) -> Reply {
        self.try_run(label, token, sql, position).unwrap()
    }

    fn try_run(&self, label: &str, token: &str, sql: &str, position: &str) -> std::io::Result<Reply> {
        let body = json!({"requests": [{"type": "execute", "stmt": {"sql": sql}}, {"type": "close"}]}).to_string();
        let position = match position {
            "" => String::new(),
            position => format!("torso-position: {position}\r\n"),
        };
        let request = format!(
            "POST /db/{label}/v2/pipeline HTTP/1.1\r\nhost: {}\r\nconnection: close\r\nauthorization: Bearer {token}\r\n{position}\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        let answer = self.site.machine.run(|| exchange(&self.address, &request))?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).and_then(|text| text.parse().ok());
        // A body in pieces has their lengths around it.
        let json = body
            .find('{')
            .zip(body.rfind('}'))
            .map_or("", |(from, to)| &body[from..=to]);
        Ok(Reply {
            status: status.ok_or(std::io::ErrorKind::UnexpectedEof)?,
            head: head.to_owned(),
            body: serde_json::from_str(json).unwrap_or(Value::Null),
        })
    }
}

fn exchange(address: &str, request: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// The page's line that serves clients, with names that a machine of the test has.
fn serving_line(site: &Site, block: &str) -> String {
    let url = format!(
        "--url http://{}:{NODE_PORT} --insecure --max-key-age 40s",
        site.machine.address()
    );
    let line = block
        .replace("0.0.0.0:443", &format!("0.0.0.0:{NODE_PORT}"))
        .replace("--domain lhr.example.com", &url)
        .replace("--tls-cert cert.pem --tls-key key.pem", "");
    format!("exec {line}")
}

fn token(server: &Site) -> String {
    server.torso(&["db", "tokens", "create", "app"]).trim().to_owned()
}

#[test]
#[allow(clippy::print_stdout)] // for whoever wants to see the figures
fn node_serves_clients_with_the_tokens_of_its_server() {
    let Some(mut network) = machine_network("node_serves_clients_with_the_tokens_of_its_server") else {
        return;
    };
    let [mut server, mut lhr] = Site::several(&mut network);
    let blocks = blocks();
    let serve = blocks.iter().find(|block| block.starts_with("torso node --listen"));
    let ([listen, invite, join_line, replicate, ..], Some(serve)) = (blocks.as_slice(), serve) else {
        panic!("other blocks than this test knows: {blocks:#?}");
    };
    open_server(&mut server, listen);
    server.torso(&["db", "create", "app"]);
    server.torso(&["db", "shell", "app", "create table t(x)"]);
    join(&server, &mut lhr, "lhr", invite, join_line);
    type_block(&server, replicate);
    lhr.wait_rows("replica is there", 0);
    lhr.kill();
    let line = serving_line(&lhr, serve);
    lhr.start(&line);
    let address = format!("{}:{NODE_PORT}", lhr.machine.address());
    let (mut first, revoked) = (token(&server), token(&server));

    // The server knows the address, and shows it.
    let shown = || server.torso(&["db", "show", "app", "--instance-url", "lhr"]);
    wait_for("address is shown", || shown().contains(&address), shown);
    let (app, replica) = label_of(&shown());
    let there = Client {
        site: &server,
        address: address.clone(),
    };
    wait_for(
        "clients are served",
        || there.run(&replica, &first, "select count(*) from t", "").status == 200,
        || lhr.log(),
    );
    let at_the_server = Client {
        site: &server,
        address: SERVER.to_owned(),
    };
    at_the_server.run(&app, &first, "select count(*) from t", "").fine();
    check_labels(&there, &app, &replica, &first);
    check_positions(&there, &at_the_server, (&app, &replica), &first);
    check_application(&server, &address, &replica, &first);
    let latency = server.torso(&["location", "list", "--used", "--latency", "--json"]);
    let latency: Value = serde_json::from_str(&latency).unwrap();
    let measured = latency.as_array().unwrap().iter().find(|one| one["code"] == "lhr");
    assert!(measured.unwrap()["latency_ms"].is_u64(), "{latency}");

    // A revoked token ends soon.
    there.run(&replica, &revoked, "select count(*) from t", "").fine();
    server.torso(&["db", "tokens", "invalidate", "app", "--yes"]);
    let began = Instant::now();
    while there.run(&replica, &revoked, "select count(*) from t", "").status != 401 {
        assert!(
            began.elapsed() < Duration::from_secs(2),
            "a revoked token still opens: {}",
            lhr.log()
        );
    }
    println!("revoked token is refused after {} ms", began.elapsed().as_millis());
    first = token(&server);

    check_cut_link(&lhr, &address, &replica, &first);
    check_server_away((server, listen), (lhr, &line), &address, &replica, [&first, &revoked]);
}

/// Without the link reads go on, and writes fail soon.
#[allow(clippy::print_stdout)] // for whoever wants to see the figures
fn check_cut_link(lhr: &Site, address: &str, replica: &str, token: &str) {
    let here = Client {
        site: lhr,
        address: address.to_owned(),
    };
    let rows = here.run(replica, token, "select count(*) from t", "").fine().number();
    lhr.machine.cut_link();
    let began = Instant::now();
    let write = here.run(replica, token, "insert into t values (0)", "");
    println!(
        "write through a cut link: {} after {} ms",
        write.status,
        began.elapsed().as_millis()
    );
    assert!(began.elapsed() < Duration::from_secs(5), "{write:?}");
    assert!(is_failed(&write), "{write:?}");
    assert_eq!(
        here.run(replica, token, "select count(*) from t", "").fine().number(),
        rows
    );
    // The link is known to be cut by now: nothing is sent.
    wait_for(
        "write is refused at once",
        || {
            let write = here.run(replica, token, "insert into t values (0)", "");
            write.status == 503 && write.header("retry-after") == "1" && write.message().contains("nothing was written")
        },
        || lhr.log(),
    );
    lhr.machine.restore_link();
    wait_for(
        "writes go on",
        || {
            let write = here.try_run(replica, token, "insert into t values (0)", "");
            write.is_ok_and(|write| !is_failed(&write))
        },
        || lhr.log(),
    );
}

/// The server is away: a machine that is started again serves by what it knew, until that is old.
fn check_server_away(
    (mut server, listen): (Site, &str),
    (mut lhr, line): (Site, &str),
    address: &str,
    replica: &str,
    [token, revoked]: [&str; 2],
) {
    let here = Client {
        site: &lhr,
        address: address.to_owned(),
    };
    let rows = here.run(replica, token, "select count(*) from t", "").fine().number();
    server.kill();
    lhr.kill();
    lhr.start(line);
    let here = Client {
        site: &lhr,
        address: address.to_owned(),
    };
    let read = || here.try_run(replica, token, "select count(*) from t", "");
    wait_for(
        "reads without the server",
        || read().is_ok_and(|read| read.status == 200 && read.number() >= rows),
        || format!("{:?}\n{}", read(), lhr.log()),
    );
    assert_eq!(here.run(replica, revoked, "select count(*) from t", "").status, 401);
    wait_for(
        "keys are too old",
        || read().is_ok_and(|read| read.status == 503 && read.message().contains("serves nobody")),
        || format!("{:?}", read()),
    );
    start_server(&mut server, listen);
    wait_for(
        "reads after the server is back",
        || read().is_ok_and(|read| read.status == 200),
        || format!("{:?}\n{}", read(), lhr.log()),
    );
}

/// The label of a database, and of its replica, whose URL is given.
fn label_of(url: &str) -> (String, String) {
    let replica = url.trim().trim_end_matches('/').rsplit('/').next().unwrap();
    (replica.split_once("--").unwrap().0.to_owned(), replica.to_owned())
}

/// Whether a write failed, also within an answer.
fn is_failed(write: &Reply) -> bool {
    write.status != 200 || write.body["results"][0]["type"] != "ok"
}

/// A machine serves its own instances, and says nothing to those without a token.
fn check_labels(there: &Client<'_>, app: &str, replica: &str, token: &str) {
    let ask = |label: &str, token: &str| there.run(label, token, "select 1", "");
    for label in [app.to_owned(), format!("{app}--fra")] {
        let answer = ask(&label, token);
        assert_eq!(answer.status, 404, "{answer:?}");
        assert!(answer.message().contains(SERVER), "{answer:?}");
    }
    let wrong = format!("{}x", &token[..token.len() - 1]);
    let unknown = ask("other-admin--lhr", token);
    assert_eq!(unknown.status, 401, "{unknown:?}");
    for label in [app, replica] {
        assert_eq!(ask(label, &wrong).status, 401);
        assert_eq!(ask(label, "").status, 401);
    }
}

/// Reads at the machine see what was written before, at the server and at the machine.
#[allow(clippy::print_stdout)] // for whoever wants to see the figures
fn check_positions(there: &Client<'_>, at_the_server: &Client<'_>, (app, replica): (&str, &str), token: &str) {
    let reads = std::env::var("TORSO_POSITION_READS").map_or(1_000, |text| text.parse().unwrap());
    let (mut stale_without, mut slowest) = (0, Duration::ZERO);
    for n in 1..=reads {
        let written = if n % 2 == 0 {
            at_the_server.run(app, token, "insert into t values (1)", "")
        } else {
            there.run(replica, token, "insert into t values (1)", "")
        }
        .fine();
        let position = written.header("torso-position").to_owned();
        assert!(!position.is_empty(), "{written:?}");
        let count = "select count(*) from t";
        stale_without += i64::from(there.run(replica, token, count, "").number() < n);
        let began = Instant::now();
        assert_eq!(
            there.run(replica, token, count, &position).number(),
            n,
            "stale at the machine"
        );
        slowest = slowest.max(began.elapsed());
        assert_eq!(
            at_the_server.run(app, token, count, "").number(),
            n,
            "stale at the server"
        );
    }
    println!("{reads} reads after writes: 0 stale with the position, {stale_without} without; slowest {slowest:?}");
}

/// The client of Node.js, over HTTP and a WebSocket.
fn check_application(server: &Site, address: &str, replica: &str, token: &str) {
    let script = installed::script("near.mjs");
    let run = server.machine.run(|| {
        Command::new("node")
            .arg(&script)
            .env("DATABASE_URL", format!("http://{address}/db/{replica}/"))
            .env("DATABASE_TOKEN", token)
            .output()
            .unwrap()
    });
    let told: Value =
        serde_json::from_slice(&run.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&run.stderr)));
    let before = told["before"].as_i64().unwrap();
    assert_eq!(
        told,
        json!({"before": before, "inside": before + 2, "socket": before + 3, "refused": "SQL_FORBIDDEN"})
    );
}
