//! A server that answers as it is told, for the tests of what becomes of bad answers.

use crate::secret::Secret;
use crate::sql::hrana::HranaSession;
use crate::sql::hrana::address::Address;
use crate::sql::{Args, Failure, Outcome, Session, Sink, ValueRef};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(super) const TOKEN: &str = "a.very.secret-token";
pub(super) const PATIENCE: Duration = Duration::from_millis(400);

/// A server that answers the nth request with the nth answer, and closes the connection after each. Requests beyond the
/// last answer get that again. Ends with the test's process.
pub(super) struct MisbehavingServer {
    pub(super) url: String,
    /// The first lines of the requests, with their bodies.
    pub(super) requests: Arc<Mutex<Vec<(String, String)>>>,
}

#[derive(Clone)]
pub(super) enum Reaction {
    /// These bytes, then the end.
    Bytes(Vec<u8>),
    /// These bytes, then silence.
    Silence(Vec<u8>),
}

pub(super) fn http(status: u16, body: &str) -> Reaction {
    let head = format!(
        "HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    Reaction::Bytes([head.as_bytes(), body.as_bytes()].concat())
}

/// An answer that promises more than it has.
pub(super) fn cut(body: &str, silent: bool) -> Reaction {
    let head = format!("HTTP/1.1 200 x\r\ncontent-length: {}\r\n\r\n", body.len() + 100);
    let bytes = [head.as_bytes(), body.as_bytes()].concat();
    if silent {
        Reaction::Silence(bytes)
    } else {
        Reaction::Bytes(bytes)
    }
}

impl MisbehavingServer {
    pub(super) fn start(reactions: Vec<Reaction>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let Some(request) = read_request(&stream) else { continue };
                let nth = {
                    let mut heard = heard.lock().unwrap();
                    heard.push(request);
                    heard.len() - 1
                };
                let reaction = reactions.get(nth).or(reactions.last()).cloned().unwrap();
                std::thread::spawn(move || react(stream, &reaction));
            }
        });
        Self { url, requests }
    }

    pub(super) fn session(&self) -> HranaSession {
        let token = Secret::new(TOKEN.to_owned());
        HranaSession::new(
            Address::new(&self.url.parse().unwrap(), Some(&token)).unwrap(),
            PATIENCE,
        )
    }

    pub(super) fn requests(&self) -> Vec<(String, String)> {
        self.requests.lock().unwrap().clone()
    }
}

pub(super) fn read_request(stream: &TcpStream) -> Option<(String, String)> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    let mut length = 0;
    reader.read_line(&mut first).ok()?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    // Lengths in protobuf may be any byte.
    Some((first.trim().to_owned(), String::from_utf8_lossy(&body).into_owned()))
}

pub(super) fn react(mut stream: TcpStream, reaction: &Reaction) {
    let (Reaction::Bytes(bytes) | Reaction::Silence(bytes)) = reaction;
    // The other side may have gone already.
    let _ = stream.write_all(bytes);
    if let Reaction::Silence(_) = reaction {
        std::thread::sleep(Duration::from_secs(20));
    }
}

#[derive(Default)]
pub(super) struct ScriptedRows(pub(super) Vec<Vec<String>>);

impl Sink for ScriptedRows {
    fn row(&mut self, row: &[ValueRef<'_>]) -> std::io::Result<ControlFlow<()>> {
        self.0.push(row.iter().map(|value| format!("{value:?}")).collect());
        Ok(ControlFlow::Continue(()))
    }
}

pub(super) fn run(session: &mut HranaSession, sql: &str) -> Result<(Outcome, ScriptedRows), Failure> {
    let mut rows = ScriptedRows::default();
    session
        .run(sql, &Args::default(), &mut rows)
        .map(|outcome| (outcome, rows))
}

pub(super) const HEAD: &str = "{\"baton\":\"b\",\"base_url\":null}\n";
pub(super) const BEGIN: &str = "{\"type\":\"step_begin\",\"step\":0,\"cols\":[{\"name\":\"a\",\"decltype\":null}]}\n";
pub(super) const ROW: &str = "{\"type\":\"row\",\"row\":[{\"type\":\"integer\",\"value\":\"1\"}]}\n";
pub(super) const END: &str = "{\"type\":\"step_end\",\"affected_row_count\":0,\"last_insert_rowid\":null}\n";
