//! Byte streams: many, large, to whom they lead, and what is refused.

use super::*;

/// What the first bytes of a new connection to a port are; none if it is refused.
fn greeting(port: &ForwardedPort) -> String {
    String::from_utf8(read_some(&mut connect(port.address()), 5)).unwrap()
}

#[test]
fn link_stream_for_another_location_is_refused() {
    let server = TestServer::start();
    server.handler.set_pool("p", 1, echo("hello"));
    let client = server.client();
    let other = StreamTarget {
        location: "ams".to_owned(),
        ..target("p", 1)
    };
    let port = client.forward(other, None).unwrap();
    assert_eq!(greeting(&port), "");
    wait_for("reason", || client.status().last_error.is_some());
    let error = client.status().last_error.unwrap();
    assert!(error.contains("the node of lhr asks for a stream to ams"), "{error}");
}

#[test]
fn link_stream_of_an_unknown_pool_is_refused_with_the_reason() {
    let server = TestServer::start();
    let client = server.client();
    let port = client.forward(target("p", 1), None).unwrap();
    assert_eq!(greeting(&port), "");
    wait_for("reason", || client.status().last_error.is_some());
    assert_eq!(client.status().last_error.unwrap(), "there is no pool p");
    // A pool whose process is down, and an address of another machine.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (address, reason) in [
        (closed, "nothing listens on"),
        ("192.0.2.1:9".parse().unwrap(), "not on this machine"),
    ] {
        server.handler.set_pool("p", 1, address);
        assert_eq!(greeting(&port), "");
        wait_for(reason, || {
            client.status().last_error.is_some_and(|error| error.contains(reason))
        });
    }
}

#[test]
fn link_stream_of_an_old_epoch_is_ended_and_refused() {
    let server = TestServer::start();
    server.handler.set_pool("p", 1, echo("one  "));
    let client = server.client();
    let port = client.forward(target("p", 1), None).unwrap();
    let address = port.address();
    let mut old = connect(address);
    assert_eq!(read_some(&mut old, 5), b"one  ");
    let mut other = connect(address);
    assert_eq!(read_some(&mut other, 5), b"one  ");
    assert_eq!(server.link.nodes()[0].streams, 2);
    server.handler.set_pool("p", 2, echo("two  "));
    assert_eq!(server.link.end_streams(|_, target| target.pool == "other"), 0);
    assert_eq!(
        server
            .link
            .end_streams(|node, target| node.location() == "lhr" && target.epoch < 2),
        2
    );
    assert_eq!(read_some(&mut old, 1), b"");
    assert_eq!(greeting(&port), "");
    wait_for("reason", || client.status().last_error.is_some());
    assert_eq!(client.status().last_error.unwrap(), "epoch 1 is over; 2 is in force");
    // The port leads to the new primary, without another address.
    port.repoint(target("p", 2));
    assert_eq!(greeting(&port), "two  ");
    assert_eq!(port.address(), address);
    // A stream ends when its port leads elsewhere.
    let mut running = connect(address);
    assert_eq!(read_some(&mut running, 5), b"two  ");
    port.repoint(target("q", 2));
    assert_eq!(read_some(&mut running, 1), b"");
}

#[test]
fn link_carries_two_hundred_streams_at_once() {
    let server = TestServer::start();
    server.handler.set_pool("p", 1, echo(""));
    let client = server.client();
    let port = client.forward(target("p", 1), None).unwrap();
    let mut streams: Vec<_> = (0..200).map(|_| connect(port.address())).collect();
    // All are written to before any is read from.
    for (number, stream) in streams.iter_mut().enumerate() {
        stream.write_all(format!("stream {number:4}").as_bytes()).unwrap();
    }
    for (number, stream) in streams.iter_mut().enumerate() {
        assert_eq!(read_some(stream, 11), format!("stream {number:4}").as_bytes());
    }
    assert_eq!(server.link.nodes()[0].streams, 200);
    drop(streams);
    wait_for("end of all streams", || server.link.nodes()[0].streams == 0);
}

#[test]
fn link_stream_carries_what_is_sent_after_the_other_direction_has_ended() {
    const MEBIBYTES: u64 = 32;
    let server = TestServer::start();
    // Answers with the number of bytes once it has them all.
    let counting = serve(|mut stream| {
        let bytes = std::io::copy(&mut stream, &mut std::io::sink())?;
        stream.write_all(bytes.to_string().as_bytes())
    });
    server.handler.set_pool("p", 1, counting);
    let client = server.client();
    let port = client.forward(target("p", 1), None).unwrap();
    let mut stream = connect(port.address());
    let piece = vec![7; 1 << 20];
    for _ in 0..MEBIBYTES {
        stream.write_all(&piece).unwrap();
    }
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(read_some(&mut stream, 100), (MEBIBYTES << 20).to_string().as_bytes());
}

#[test]
fn link_stream_whose_reader_stops_stops_its_writer() {
    /// More than the windows and buffers of both machines together.
    const BOUND: usize = 64 << 20;
    let server = TestServer::start();
    let silent = serve(|stream| {
        std::thread::sleep(PATIENCE);
        drop(stream);
        Ok(())
    });
    server.handler.set_pool("silent", 1, silent);
    server.handler.set_pool("echo", 1, echo("hello"));
    let client = server.client();
    let port = client.forward(target("silent", 1), None).unwrap();
    let mut stream = TcpStream::connect(port.address()).unwrap();
    // Longer than the link takes to carry a piece, also on a busy machine; what is compared is bytes, not time.
    stream.set_write_timeout(Some(Duration::from_secs(3))).unwrap();
    let piece = vec![7; 256 << 10];
    let mut written = 0;
    while let Ok(bytes) = stream.write(&piece) {
        written += bytes;
        assert!(
            written < BOUND,
            "{written} bytes were taken for a reader that does not read"
        );
    }
    // Other streams go on.
    let other = client.forward(target("echo", 1), None).unwrap();
    assert_eq!(greeting(&other), "hello");
}
