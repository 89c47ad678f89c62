//! Nodes that are connected: what they ask, renewals, removals, and a network that swallows what is sent.

use super::super::transport::SILENT_FOR;
use super::*;
use std::sync::atomic::{AtomicBool, Ordering};

/// A relay that carries bytes until it is told to swallow them, with all connections open: the network of a machine without power.
struct Relay {
    address: SocketAddr,
    swallows: Arc<AtomicBool>,
}

impl Relay {
    fn before(server: SocketAddr) -> Self {
        let swallows = Arc::new(AtomicBool::new(false));
        let carrying = Arc::clone(&swallows);
        let address = serve(move |client| {
            let upstream = TcpStream::connect(server)?;
            // Connections of the time after may pass again.
            let is_dead = Arc::new(AtomicBool::new(false));
            let (back, forth) = ((upstream.try_clone()?, client.try_clone()?), (client, upstream));
            for (from, to) in [back, forth] {
                let (carrying, is_dead) = (Arc::clone(&carrying), Arc::clone(&is_dead));
                std::thread::spawn(move || pump(from, to, &carrying, &is_dead));
            }
            Ok(())
        });
        Self { address, swallows }
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream, swallows: &AtomicBool, is_dead: &AtomicBool) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if swallows.load(Ordering::SeqCst) {
            is_dead.store(true, Ordering::SeqCst);
        }
        if !is_dead.load(Ordering::SeqCst) && to.write_all(&buffer[..read]).is_err() {
            return;
        }
    }
    if !is_dead.load(Ordering::SeqCst) {
        let _ = to.shutdown(std::net::Shutdown::Both);
    }
}

#[test]
fn link_request_has_the_node_of_the_certificate() {
    let server = TestServer::start();
    let client = server.client();
    let answer = client.request("whoami", &json!({"node": "ams/other"})).unwrap();
    assert_eq!(answer, json!({"node": "lhr/n1", "body": {"node": "ams/other"}}));
    let error = client.request("nonsense", &json!({})).unwrap_err();
    assert_eq!(
        (error.code(), error.message()),
        (Code::PathNotFound, "no request is called nonsense")
    );
    let nodes = server.link.nodes();
    assert_eq!(nodes.len(), 1);
    assert_eq!(nodes[0].node, client.node());
}

#[test]
fn link_request_that_waits_is_answered_at_the_notification() {
    let server = TestServer::start();
    let client = server.client();
    assert_eq!(
        client
            .request_within("news", &json!({}), Duration::from_secs(1))
            .unwrap(),
        None
    );
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| client.request_within("news", &json!({}), Duration::from_secs(60)));
        server.link.notify();
        server.handler.set(|state| state.news = Some(json!(7)));
        server.link.notify();
        assert_eq!(waiting.join().unwrap().unwrap(), Some(json!(7)));
    });
}

#[test]
fn link_of_a_removed_node_is_refused() {
    let server = TestServer::start();
    let client = server.client();
    server.handler.set(|state| state.removed = true);
    let error = client.request("whoami", &json!({})).unwrap_err();
    assert_eq!((error.code(), error.message()), (Code::Forbidden, "lhr/n1 was removed"));
    assert_eq!(client.renew_certificate().unwrap_err().code(), Code::Forbidden);
    assert_eq!(server.link.disconnect(&client.node()), 1);
    wait_for("refusal", || {
        client
            .status()
            .last_error
            .is_some_and(|error| error.contains("lhr/n1 was removed"))
    });
    let error = client.request("whoami", &json!({})).unwrap_err();
    assert!(error.full_message().contains("lhr/n1 was removed"), "{error}");
    assert_eq!(error.code(), Code::Unavailable);
}

#[test]
fn link_certificate_is_renewed_while_the_connection_goes_on() {
    let server = TestServer::start();
    let client = server.client();
    server.handler.set_pool("p", 1, echo(""));
    let port = client.forward(target("p", 1), None).unwrap();
    let mut stream = connect(port.address());
    let since = client.status().connected_since;
    let identity = std::fs::read(server.node_dir().join("identity.pem")).unwrap();
    client.renew_certificate().unwrap();
    assert_ne!(std::fs::read(server.node_dir().join("identity.pem")).unwrap(), identity);
    stream.write_all(b"goes on").unwrap();
    assert_eq!(read_some(&mut stream, 7), b"goes on");
    assert_eq!(client.status().connected_since, since);
    // What is stored is what the next connection uses.
    server.link.disconnect(&client.node());
    wait_for("another connection", || {
        client.status().connected_since.is_some_and(|now| Some(now) != since)
    });
    drop(client);
    let client = LinkClient::start(&server.address(), load(&server.node_dir())).unwrap();
    assert!(client.request("whoami", &json!({})).is_ok());
}

#[test]
fn link_certificate_is_renewed_before_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    // The certificate begins a day ago, so a third of its time is over at once.
    let authority = Authority::open(dir.path())
        .unwrap()
        .with_validity(Duration::from_secs(3_600));
    let server = TestServer {
        link: LinkServer::start(
            TcpListener::bind("127.0.0.1:0").unwrap(),
            Arc::new(authority),
            Arc::new(TestHandler::default()),
        )
        .unwrap(),
        authority: Arc::new(Authority::open(dir.path()).unwrap()),
        handler: Arc::default(),
        dir,
    };
    let client = server.client();
    let until = client.certificate_valid_until();
    wait_for("another certificate", || client.certificate_valid_until() > until);
}

#[test]
fn link_notices_that_the_other_side_is_gone() {
    // How soon is not measured here, on a machine that has other work.
    const { assert!(SILENT_FOR.as_secs() < 10) };
    let server = TestServer::start();
    let relay = Relay::before(server.link.address());
    let client = LinkClient::start(&relay.address.to_string(), server.join()).unwrap();
    server.handler.set_pool("p", 1, echo("hello"));
    let port = client.forward(target("p", 1), None).unwrap();
    wait_for("connection", || client.status().connected_since.is_some());
    let mut idle = connect(port.address());
    assert_eq!(read_some(&mut idle, 5), b"hello");
    let first = client.status().connected_since;
    relay.swallows.store(true, Ordering::SeqCst);
    // The idle stream ends, at both sides; the link says why.
    assert_eq!(read_some(&mut idle, 1), b"");
    wait_for("end", || client.status().connected_since.is_none());
    wait_for("end at the server", || server.link.nodes().is_empty());
    let error = client.status().last_error.unwrap();
    assert!(error.contains("nothing came from the other machine"), "{error}");
    // A port without a link ends its connections at once, and is the same when the link is back.
    assert_eq!(read_some(&mut connect(port.address()), 1), b"");
    relay.swallows.store(false, Ordering::SeqCst);
    wait_for("another connection", || {
        client.status().connected_since.is_some_and(|now| Some(now) != first)
    });
    assert_eq!(read_some(&mut connect(port.address()), 5), b"hello");
}
