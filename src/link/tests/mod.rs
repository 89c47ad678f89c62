//! Tests of the link over real connections on this machine: who gets in, what goes over, and what a broken network does.

mod peers;
mod refusals;
mod reverse;
mod streams;

use super::*;
use crate::secret::Secret;
use crate::sync::lock;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Longer than anything takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Allows what its tables have.
#[derive(Default)]
struct TestHandler {
    state: Mutex<HandlerState>,
}

#[derive(Default)]
struct HandlerState {
    /// The public key that used the token up.
    joined: Option<String>,
    removed: bool,
    news: Option<Value>,
    /// Epoch and address of each pool.
    pools: BTreeMap<String, (u64, SocketAddr)>,
    /// The locations of pools whose primaries are on other machines.
    ends: BTreeMap<String, String>,
}

impl TestHandler {
    fn set(&self, change: impl FnOnce(&mut HandlerState)) {
        change(&mut lock(&self.state));
    }

    fn set_pool(&self, pool: &str, epoch: u64, address: SocketAddr) {
        self.set(|state| {
            state.pools.insert(pool.to_owned(), (epoch, address));
        });
    }
}

impl LinkHandler for TestHandler {
    fn join(&self, request: &JoinRequest) -> Result<JoinApproval> {
        let mut state = lock(&self.state);
        let is_same = state.joined.as_ref().is_none_or(|key| *key == request.public_key);
        if request.token.expose() != "letmein" || !is_same {
            return Err(Error::new(Code::Unauthenticated, "the token is not valid"));
        }
        state.joined = Some(request.public_key.clone());
        Ok(JoinApproval {
            node: NodeName::new("lhr", "n1")?,
            details: request.details.clone(),
        })
    }

    fn check_node(&self, node: &NodeName) -> Result<()> {
        match lock(&self.state).removed {
            true => Err(Error::new(Code::Forbidden, format!("{node} was removed"))),
            false => Ok(()),
        }
    }

    fn answer(&self, node: &NodeName, request: &NodeRequest) -> Result<HandlerAnswer> {
        match request.name.as_str() {
            "whoami" => Ok(HandlerAnswer::Ready(
                json!({"node": node.to_string(), "body": request.body}),
            )),
            "news" => Ok(match lock(&self.state).news.clone() {
                Some(news) => HandlerAnswer::Ready(news),
                None => HandlerAnswer::NotYet,
            }),
            other => Err(Error::new(Code::PathNotFound, format!("no request is called {other}"))),
        }
    }

    fn authorize(&self, _: &NodeName, target: &StreamTarget) -> Result<StreamEnd> {
        let state = lock(&self.state);
        if let Some(location) = state.ends.get(&target.pool) {
            return Ok(StreamEnd::Location(location.clone()));
        }
        let (epoch, address) = state
            .pools
            .get(&target.pool)
            .ok_or_else(|| Error::new(Code::InstanceNotFound, format!("there is no pool {}", target.pool)))?;
        match target.epoch == *epoch {
            true => Ok(StreamEnd::Here(*address)),
            false => Err(Error::new(
                Code::Conflict,
                format!("epoch {} is over; {epoch} is in force", target.epoch),
            )),
        }
    }
}

/// A listener, its authority and its handler, in a directory of their own.
struct TestServer {
    dir: tempfile::TempDir,
    authority: Arc<Authority>,
    handler: Arc<TestHandler>,
    link: LinkServer,
}

impl TestServer {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let authority = Arc::new(Authority::open(&dir.path().join("server")).unwrap());
        let handler = Arc::new(TestHandler::default());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let link = LinkServer::start(listener, Arc::clone(&authority), Arc::clone(&handler) as _).unwrap();
        Self {
            dir,
            authority,
            handler,
            link,
        }
    }

    fn address(&self) -> String {
        self.link.address().to_string()
    }

    fn node_dir(&self) -> std::path::PathBuf {
        self.dir.path().join("node")
    }

    fn join(&self) -> NodeIdentity {
        join(
            &self.node_dir(),
            &self.address(),
            &self.authority.fingerprint(),
            &Secret::new("letmein".to_owned()),
            json!({"machine": "m1"}),
        )
        .unwrap();
        load(&self.node_dir())
    }

    fn client(&self) -> LinkClient {
        let client = LinkClient::start(&self.address(), self.join()).unwrap();
        wait_for("a connection", || client.status().connected_since.is_some());
        client
    }
}

fn load(dir: &Path) -> NodeIdentity {
    NodeIdentity::load(dir).unwrap().unwrap()
}

fn target(pool: &str, epoch: u64) -> StreamTarget {
    StreamTarget {
        organization: "o1".to_owned(),
        pool: pool.to_owned(),
        location: "lhr".to_owned(),
        epoch,
        purpose: StreamPurpose::Log,
    }
}

fn wait_for(what: &str, mut is_there: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_there() {
        assert!(start.elapsed() < PATIENCE, "no {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A port where each connection gets a greeting, and then back what it sends.
fn echo(greeting: &'static str) -> SocketAddr {
    serve(move |mut stream| {
        stream.write_all(greeting.as_bytes())?;
        let mut buffer = vec![0; 64 << 10];
        loop {
            match stream.read(&mut buffer)? {
                0 => return Ok(()),
                read => stream.write_all(&buffer[..read])?,
            }
        }
    })
}

/// A port with a thread for each connection.
fn serve(talk: impl Fn(TcpStream) -> std::io::Result<()> + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let talk = Arc::new(talk);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let talk = Arc::clone(&talk);
            std::thread::spawn(move || talk(stream));
        }
    });
    address
}

/// A connection that gives up after a minute.
fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// What comes from a connection, up to so many bytes; less if it ends.
fn read_some(stream: &mut TcpStream, bytes: u64) -> Vec<u8> {
    let mut read = Vec::new();
    // A reset is an end, too.
    let _ = stream.take(bytes).read_to_end(&mut read);
    read
}
