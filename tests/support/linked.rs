//! Processes of libSQL server on machines of a network, and a replica that follows its primary over the link.

use super::machines::Machine;
use super::sqld;
use serde_json::json;
use std::fs::File;
use std::io::Read as _;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use torso::error::Result;
use torso::link::{
    Authority, ForwardedPort, HandlerAnswer, JoinApproval, JoinRequest, LinkClient, LinkHandler, LinkServer,
    NodeIdentity, NodeName, NodeRequest, StreamEnd, StreamPurpose, StreamTarget, join,
};
use torso::secret::Secret;

/// The port of each process for clients, of a primary for replicas, and of the link.
pub const HTTP: u16 = 24_000;
pub const LOG: u16 = 24_002;
pub const LINK: u16 = 24_100;

/// Lets everybody replicate from one port.
struct OpenHandler(u16);

impl LinkHandler for OpenHandler {
    fn join(&self, request: &JoinRequest) -> Result<JoinApproval> {
        Ok(JoinApproval {
            node: NodeName::new("lhr", "n1")?,
            details: request.details.clone(),
        })
    }

    fn check_node(&self, _: &NodeName) -> Result<()> {
        Ok(())
    }

    fn answer(&self, _: &NodeName, request: &NodeRequest) -> Result<HandlerAnswer> {
        Ok(HandlerAnswer::Ready(request.body.clone()))
    }

    fn authorize(&self, _: &NodeName, _: &StreamTarget) -> Result<StreamEnd> {
        Ok(StreamEnd::Here((Ipv4Addr::LOCALHOST, self.0).into()))
    }
}

/// A process of libSQL server on a machine, which is killed when this is dropped.
pub struct Process(Child);

impl Process {
    /// Starts one on a port of the machine's own, as a primary or a replica.
    pub fn start(machine: &Machine, dir: &Path, http: u16, role: &[&str]) -> Self {
        let process = machine.run(|| {
            Command::new(sqld::program())
                .args(["--no-welcome", "--disable-metrics", "--db-path"])
                .arg(dir)
                .args(["--http-listen-addr", &format!("127.0.0.1:{http}")])
                .args(role)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap()
        });
        Self(process)
    }

    pub fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The log and the last frame of it that the files of a primary have; none while they cannot be read.
pub fn primary_position(dir: &Path) -> Option<(Vec<u8>, u64)> {
    let header = read_start(&dir.join("dbs/default/wallog"))?;
    let last = number_at(&header, 32)? + number_at(&header, 40)?;
    Some((header.get(16..32)?.to_owned(), last.checked_sub(1)?))
}

/// The same of a replica's files.
pub fn replica_position(dir: &Path) -> Option<(Vec<u8>, u64)> {
    let index = read_start(&dir.join("dbs/default/client_wal_index"))?;
    Some((index.get(..16)?.to_owned(), number_at(&index, 16)?))
}

fn read_start(path: &Path) -> Option<Vec<u8>> {
    let mut start = Vec::new();
    File::open(path).ok()?.take(48).read_to_end(&mut start).ok()?;
    Some(start)
}

fn number_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// The link's listener on a machine, for streams to a port there.
pub fn listen(machine: &Machine, authority: &Arc<Authority>, port: u16) -> LinkServer {
    machine.run(|| {
        let listener = TcpListener::bind((machine.address(), LINK)).unwrap();
        LinkServer::start(listener, Arc::clone(authority), Arc::new(OpenHandler(port))).unwrap()
    })
}

/// A node's end of the link, with a port that leads to the primary.
pub struct LinkedPort {
    pub port: ForwardedPort,
    pub link: LinkClient,
}

impl LinkedPort {
    /// Joins the machine where the listener is, and connects.
    pub fn open(machine: &Machine, dir: &Path, server: &Machine, authority: &Authority) -> Self {
        machine.run(|| {
            let address = format!("{}:{LINK}", server.address());
            let token = Secret::new("any".to_owned());
            join(dir, &address, &authority.fingerprint(), &token, json!({})).unwrap();
            let link = LinkClient::start(&address, NodeIdentity::load(dir).unwrap().unwrap()).unwrap();
            let target = StreamTarget {
                organization: "o".to_owned(),
                pool: "p".to_owned(),
                location: "lhr".to_owned(),
                epoch: 1,
                purpose: StreamPurpose::Log,
            };
            let port = link.forward(target, None).unwrap();
            Self { port, link }
        })
    }

    /// Where a replica finds its primary.
    pub fn url(&self) -> String {
        format!("http://{}", self.port.address())
    }
}
