//! As little of HTTP as the answers of servers need, over a connection that is kept: a client that costs next to nothing.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Where requests go, and their head but for the length of the body.
pub struct Side {
    address: SocketAddr,
    head: String,
}

/// Rows of an answer to statements are wanted: an error among them is one.
const FAILED: &str = "\"type\":\"error\"";

impl Side {
    /// Requests with this method and path (`POST /v2/pipeline`), and with a token where there is one.
    pub fn new(address: SocketAddr, line: &str, host: &str, authorization: Option<&str>) -> Self {
        let mut head = format!("{line} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n");
        if let Some(authorization) = authorization {
            head.push_str("authorization: ");
            head.push_str(authorization);
            head.push_str("\r\n");
        }
        Self { address, head }
    }
}

/// A connection that is kept.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(Self {
            stream,
            buffer: vec![0; 64 << 10],
        })
    }

    pub fn to(side: &Side) -> io::Result<Self> {
        Self::open(side.address)
    }

    /// Asks, and insists on success.
    pub fn ask(&mut self, side: &Side, body: &str) -> io::Result<&str> {
        let (status, answer) = self.try_ask(side, body)?;
        if status != 200 || answer.contains(FAILED) {
            return Err(io::Error::other(format!("{status}: {answer}")));
        }
        Ok(answer)
    }

    /// Asks: the status and the body.
    pub fn try_ask(&mut self, side: &Side, body: &str) -> io::Result<(u16, &str)> {
        let request = format!("{}content-length: {}\r\n\r\n{body}", side.head, body.len());
        self.stream.write_all(request.as_bytes())?;
        let mut filled = 0;
        let head = loop {
            filled += self.read(filled)?;
            if let Some(at) = self.buffer[..filled].windows(4).position(|end| end == b"\r\n\r\n") {
                break at + 4;
            }
        };
        let text = String::from_utf8_lossy(&self.buffer[..head]).to_ascii_lowercase();
        let status = text.get(9..12).and_then(|status| status.parse().ok());
        let length = text
            .split("content-length: ")
            .nth(1)
            .and_then(|rest| rest.split("\r\n").next()?.parse::<usize>().ok());
        let (Some(status), Some(length)) = (status, length) else {
            return Err(io::Error::other(format!(
                "an answer without a status or a length: {text}"
            )));
        };
        while filled < head + length {
            filled += self.read(filled)?;
        }
        let body = std::str::from_utf8(&self.buffer[head..head + length]).map_err(io::Error::other)?;
        Ok((status, body))
    }

    fn read(&mut self, filled: usize) -> io::Result<usize> {
        if filled == self.buffer.len() {
            self.buffer.resize(2 * filled, 0);
        }
        match self.stream.read(&mut self.buffer[filled..])? {
            0 => Err(io::Error::other("the connection was closed")),
            read => Ok(read),
        }
    }
}

/// The body of a request that runs one statement on a stream of its own.
pub fn statement(sql: &str) -> String {
    let stmt = serde_json::json!({ "type": "execute", "stmt": { "sql": sql } });
    format!("{{\"requests\":[{stmt},{{\"type\":\"close\"}}]}}")
}
