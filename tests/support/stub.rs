//! A server that answers as a test says: rightly, wrongly, slowly or not at all. It keeps what it was asked.

use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What was asked.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    /// With its query.
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.as_str())
    }

    /// `GET /v1/x`, without the query.
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.path.split('?').next().unwrap_or_default())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

/// What is answered.
pub enum Answer {
    Json(u16, Value),
    /// With more headers, each with its line's end.
    With(u16, &'static str, Vec<u8>),
    /// These bytes and the connection's end.
    Raw(Vec<u8>),
    /// The head of an answer of that many bytes, then bytes that go on until nobody listens.
    Endless(u64),
    /// Nothing for a while.
    Silence(Duration),
}

/// The server. It ends when it is dropped.
pub struct Stub {
    port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
    stopped: Arc<AtomicBool>,
}

impl Stub {
    pub fn start(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stub = Self {
            port: listener.local_addr().unwrap().port(),
            requests: Arc::default(),
            stopped: Arc::default(),
        };
        let answer = Arc::new(answer);
        let (requests, stopped) = (Arc::clone(&stub.requests), Arc::clone(&stub.stopped));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let (answer, requests) = (Arc::clone(&answer), Arc::clone(&requests));
                std::thread::spawn(move || {
                    // Who broke off the connection needs no answer.
                    let _ = serve(stream, &*answer, &requests);
                });
            }
        });
        stub
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// The lines of all requests so far.
    pub fn lines(&self) -> Vec<String> {
        self.requests().iter().map(Request::line).collect()
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn serve(
    stream: TcpStream,
    answer: &dyn Fn(&Request) -> Answer,
    requests: &Mutex<Vec<Request>>,
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut reader = BufReader::new(&stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (Some(method), Some(path)) = (words.next(), words.next()) else {
        return Ok(());
    };
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            // The request was cut short.
            return Ok(());
        }
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.push((name.to_lowercase(), value.trim().to_owned())),
            None => break,
        }
    }
    let mut request = Request {
        method,
        path,
        headers,
        body: Vec::new(),
    };
    let length: usize = request
        .header("content-length")
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    request.body = vec![0; length];
    reader.read_exact(&mut request.body)?;
    requests.lock().unwrap().push(request.clone());
    let mut out = &stream;
    let mut head = |status: u16, more: &str, length: u64| {
        write!(
            out,
            "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n{more}\r\n"
        )
    };
    match answer(&request) {
        Answer::Json(status, body) => {
            let body = body.to_string();
            head(status, "content-type: application/json\r\n", body.len() as u64)?;
            out.write_all(body.as_bytes())
        }
        Answer::With(status, more, body) => {
            head(status, more, body.len() as u64)?;
            out.write_all(&body)
        }
        Answer::Raw(bytes) => out.write_all(&bytes),
        Answer::Endless(length) => {
            head(200, "", length)?;
            let piece = vec![b' '; 1 << 20];
            loop {
                out.write_all(&piece)?;
            }
        }
        Answer::Silence(time) => {
            std::thread::sleep(time);
            Ok(())
        }
    }
}
