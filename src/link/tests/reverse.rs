//! Streams that the server opens at a node.

use super::*;
use std::sync::atomic::{AtomicBool, Ordering};

/// Allows streams of one epoch to a port.
struct NodeStreams {
    port: SocketAddr,
    epoch: Mutex<u64>,
    is_right: Arc<AtomicBool>,
}

impl StreamHandler for NodeStreams {
    fn authorize(&self, target: &StreamTarget) -> Result<StreamPort> {
        if target.epoch != *lock(&self.epoch) {
            return Err(Error::new(Code::Conflict, "that epoch is over"));
        }
        let is_right = Arc::clone(&self.is_right);
        Ok(StreamPort {
            address: self.port,
            is_right: Box::new(move || is_right.load(Ordering::SeqCst)),
        })
    }
}

/// A node that lets the server open streams to a port that echoes.
fn serving(client: &LinkClient) -> Arc<NodeStreams> {
    let handler = Arc::new(NodeStreams {
        port: echo("hello"),
        epoch: Mutex::new(1),
        is_right: Arc::new(AtomicBool::new(true)),
    });
    client.serve_streams(Arc::clone(&handler) as _).unwrap();
    handler
}

/// What a new connection to a port is greeted with; nothing if it ends.
fn greeting(port: &ForwardedPort) -> Vec<u8> {
    let mut greeting = [0; 5];
    let read = connect(port.address()).read(&mut greeting).unwrap_or(0);
    greeting[..read].to_vec()
}

#[test]
fn link_stream_of_the_server_reaches_a_node_and_ends_with_its_epoch() {
    let server = TestServer::start();
    let client = server.client();
    let port = server.link.forward("lhr", target("p", 1)).unwrap();
    // Nobody answers there yet.
    assert_eq!(greeting(&port), b"");
    let handler = serving(&client);
    wait_for("stream", || greeting(&port) == b"hello");
    let mut open = connect(port.address());
    assert_eq!(read_some(&mut open, 5), b"hello");
    open.write_all(b"and back").unwrap();
    assert_eq!(read_some(&mut open, 8), b"and back");
    assert_eq!(server.link.nodes().len(), 1, "the second connection is no second node");
    *lock(&handler.epoch) = 2;
    assert_eq!(client.end_streams(|target| target.epoch == 1), 1);
    assert_eq!(open.read(&mut [0; 1]).unwrap_or(0), 0);
    assert_eq!(greeting(&port), b"");
    port.repoint(target("p", 2));
    assert_eq!(greeting(&port), b"hello");
    // Another program has taken the port.
    handler.is_right.store(false, Ordering::SeqCst);
    assert_eq!(greeting(&port), b"");
}

#[test]
fn link_stream_of_one_node_leads_to_another_through_the_server() {
    let server = TestServer::start();
    let client = server.client();
    server.handler.set(|state| {
        state.ends.insert("p".to_owned(), "lhr".to_owned());
    });
    let port = client.forward(target("p", 1), None).unwrap();
    assert_eq!(greeting(&port), b"");
    let _handler = serving(&client);
    wait_for("stream", || greeting(&port) == b"hello");
    let mut open = connect(port.address());
    assert_eq!(read_some(&mut open, 5), b"hello");
    // The server's end is registered as any other, so it can end it.
    assert_eq!(server.link.end_streams(|_, target| target.pool == "p"), 1);
    assert_eq!(open.read(&mut [0; 1]).unwrap_or(0), 0);
}

#[test]
fn link_of_a_removed_node_takes_no_streams_of_the_server() {
    let server = TestServer::start();
    let client = server.client();
    let _handler = serving(&client);
    let port = server.link.forward("lhr", target("p", 1)).unwrap();
    wait_for("stream", || greeting(&port) == b"hello");
    let node = server.link.nodes().remove(0).node;
    server.handler.set(|state| state.removed = true);
    assert_eq!(server.link.disconnect(&node), 2, "both connections");
    wait_for("end", || greeting(&port) == b"");
    // It dials again, and is refused.
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(greeting(&port), b"");
}
