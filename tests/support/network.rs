//! A network that cuts, delays and duplicates: a TCP proxy between the program under test and a server. What it does to which
//! request is up to the test, which sees the request's line.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    None,
    /// The connection ends before the request arrives.
    CutBefore,
    /// Half of the request arrives.
    CutInRequest,
    /// The request arrives, and nobody gets its answer.
    CutAfter,
    /// Half of the answer arrives.
    CutInAnswer,
    /// The answer comes later.
    Delay(Duration),
    /// The request arrives twice, and the second answer comes back.
    Duplicate,
    /// The request arrives twice at the same time, and the first answer comes back.
    DuplicateAtOnce,
    /// The request arrives, and then the network is silent.
    Silence(Duration),
}

/// Every fault, with short times.
pub const FAULTS: [Fault; 8] = [
    Fault::CutBefore,
    Fault::CutInRequest,
    Fault::CutAfter,
    Fault::CutInAnswer,
    Fault::Delay(Duration::from_millis(300)),
    Fault::Duplicate,
    Fault::DuplicateAtOnce,
    Fault::Silence(Duration::from_secs(60)),
];

/// Says what happens to a request, by its method and path.
type Choice = dyn FnMut(&str, &str) -> Fault + Send;

/// The network. It ends when it is dropped.
pub struct Network {
    port: u16,
    choice: Arc<Mutex<Box<Choice>>>,
    stopped: Arc<AtomicBool>,
}

impl Network {
    /// Between whoever connects and the server at an address. Nothing happens to requests at first.
    pub fn before(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let network = Self {
            port: listener.local_addr().unwrap().port(),
            choice: Arc::new(Mutex::new(Box::new(|_: &str, _: &str| Fault::None))),
            stopped: Arc::default(),
        };
        let (choice, stopped) = (Arc::clone(&network.choice), Arc::clone(&network.stopped));
        let server = server.to_owned();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(client) = client else { continue };
                let (choice, server) = (Arc::clone(&choice), server.clone());
                std::thread::spawn(move || {
                    // A connection that was cut needs no answer.
                    let _ = carry(&client, &server, &choice);
                    let _ = client.shutdown(Shutdown::Both);
                });
            }
        });
        network
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// From now on, this happens.
    pub fn choose(&self, choice: impl FnMut(&str, &str) -> Fault + Send + 'static) {
        *self.choice.lock().unwrap() = Box::new(choice);
    }

    /// Does something to the next request that changes something, and nothing to others. Returns whether it was done.
    pub fn fail_next_change(&self, fault: Fault) -> Arc<AtomicBool> {
        let done = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&done);
        self.choose(move |method, _| {
            if method == "GET" || told.swap(true, Ordering::SeqCst) {
                Fault::None
            } else {
                fault
            }
        });
        done
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

/// Carries one request and its answer.
fn carry(client: &TcpStream, server: &str, choice: &Mutex<Box<Choice>>) -> std::io::Result<()> {
    let request = read_request(client)?;
    let line = String::from_utf8_lossy(&request);
    let mut words = line.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let fault = choice.lock().unwrap()(method, path);
    let mut client = client;
    match fault {
        Fault::CutBefore => return Ok(()),
        Fault::CutInRequest => {
            TcpStream::connect(server)?.write_all(&request[..request.len() / 2])?;
            return Ok(());
        }
        Fault::None | Fault::CutAfter | Fault::CutInAnswer | Fault::Delay(_) | Fault::Silence(_) => {}
        Fault::Duplicate => drop(ask(server, &request)?),
        Fault::DuplicateAtOnce => {
            let (server, request) = (server.to_owned(), request.clone());
            std::thread::spawn(move || ask(&server, &request));
        }
    }
    let answer = ask(server, &request)?;
    match fault {
        Fault::CutAfter => return Ok(()),
        Fault::CutInAnswer => return client.write_all(&answer[..answer.len() / 2]),
        Fault::Delay(time) => std::thread::sleep(time),
        Fault::Silence(time) => {
            std::thread::sleep(time);
            return Ok(());
        }
        Fault::None | Fault::CutBefore | Fault::CutInRequest | Fault::Duplicate | Fault::DuplicateAtOnce => {}
    }
    client.write_all(&answer)
}

/// A whole request, which is to be the last one of its connection.
fn read_request(client: &TcpStream) -> std::io::Result<Vec<u8>> {
    client.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut reader = BufReader::new(client);
    let mut request = Vec::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let lower = line.to_ascii_lowercase();
        if let Some(text) = lower.strip_prefix("content-length:") {
            length = text.trim().parse().unwrap_or(0);
        }
        if line == "\r\n" {
            request.extend(b"connection: close\r\n\r\n");
            break;
        }
        request.extend(line.as_bytes());
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    request.extend(body);
    Ok(request)
}

fn ask(server: &str, request: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server)?;
    stream.write_all(request)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}
