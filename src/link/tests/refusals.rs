//! Who does not get in, and what is not carried.

use super::super::authority::{generate_request, write_private};
use super::super::certificate::LinkHolder;
use super::super::dial::{dial, send};
use super::super::messages::{HELLO_PATH, JOIN_PATH};
use super::super::tls::{joining_config, server_name};
use super::*;
use rcgen::KeyPair;
use rustls::pki_types::PrivateKeyDer;
use std::time::SystemTime;

const DAY: Duration = Duration::from_secs(86_400);

/// The error of a client with an identity, once it has one that says why. In TLS 1.3 a client may write before the server has judged
/// its certificate. Then the end of the connection can come first, and the alert with the next attempt.
fn error_of(server: &TestServer, identity: NodeIdentity) -> String {
    let client = LinkClient::start(&server.address(), identity).unwrap();
    let reason = std::cell::RefCell::new(String::new());
    wait_for("an error with its cause", || {
        let error = client.status().last_error.unwrap_or_default();
        *reason.borrow_mut() = error.clone();
        !error.is_empty() && !error.contains("broken pipe") && !error.contains("reset by peer")
    });
    assert!(client.status().connected_since.is_none());
    reason.into_inner()
}

/// An identity that an authority signs, for a holder and a time.
fn identity(
    signer: &Authority,
    trusted: &Authority,
    holder: &LinkHolder,
    not_before: SystemTime,
) -> Result<NodeIdentity> {
    let key = KeyPair::generate().unwrap();
    let certificate = signer.issue_for_time(&key, holder, not_before, DAY);
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    NodeIdentity::new(Path::new("unused"), certificate, trusted.certificate().clone(), key)
}

fn node() -> LinkHolder {
    LinkHolder::Node(NodeName::new("lhr", "n1").unwrap())
}

#[test]
fn link_with_a_certificate_of_another_authority_is_refused() {
    let server = TestServer::start();
    let other = Authority::open(&server.dir.path().join("other")).unwrap();
    // The node trusts the right server, and has a certificate of the wrong authority.
    let error = error_of(
        &server,
        identity(&other, &server.authority, &node(), SystemTime::now()).unwrap(),
    );
    assert!(
        error.contains("UnknownCA") || error.contains("BadSignature") || error.contains("DecryptError"),
        "{error}"
    );
    // The node trusts the wrong authority.
    let error = error_of(&server, identity(&other, &other, &node(), SystemTime::now()).unwrap());
    assert!(error.contains("invalid peer certificate"), "{error}");
    assert!(server.link.nodes().is_empty());
}

#[test]
fn link_with_an_expired_certificate_is_refused() {
    let server = TestServer::start();
    let expired = identity(
        &server.authority,
        &server.authority,
        &node(),
        SystemTime::now() - 2 * DAY,
    )
    .unwrap();
    let error = error_of(&server, expired);
    assert!(error.contains("CertificateExpired"), "{error}");
    let early = identity(&server.authority, &server.authority, &node(), SystemTime::now() + DAY).unwrap();
    let error = error_of(&server, early);
    assert!(error.contains("no connection to the server"), "{error}");
    assert!(server.link.nodes().is_empty());
}

#[test]
fn link_refuses_what_is_not_tls_1_3_and_goes_on() {
    let server = TestServer::start();
    for garbage in [
        b"GET / HTTP/1.1\r\nhost: x\r\n\r\n".as_slice(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        &[0xff; 4096],
        b"\x16\x03\x01\x40\x00",
    ] {
        let mut stream = connect(server.link.address());
        stream.write_all(garbage).unwrap();
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let answer = read_some(&mut stream, 4_096);
        // An alert of TLS at most.
        assert!(answer.first().is_none_or(|first| *first == 21), "{answer:?}");
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let old = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let mut session = rustls::ClientConnection::new(Arc::new(old), server_name()).unwrap();
    let mut stream = connect(server.link.address());
    let error = loop {
        match session.complete_io(&mut stream) {
            Ok(_) => assert!(session.is_handshaking(), "TLS 1.2 was accepted"),
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("ProtocolVersion"), "{error}");
    assert!(server.client().status().last_error.is_none());
}

#[test]
fn link_without_a_certificate_can_only_join() {
    let server = TestServer::start();
    let config = Arc::new(joining_config(&server.authority.fingerprint()).unwrap());
    let runtime = super::super::server::runtime().unwrap();
    for path in [HELLO_PATH, "/v1/requests/whoami", "/v1/renew"] {
        let error = runtime
            .block_on(async {
                let connection = dial(&server.address(), Arc::clone(&config)).await?;
                send::<Value>(connection.sender, path, &json!({}), Duration::ZERO).await
            })
            .unwrap_err();
        assert_eq!(error.code(), Code::Unauthenticated, "{path}: {error}");
    }
    let error = runtime
        .block_on(async {
            let connection = dial(&server.address(), Arc::clone(&config)).await?;
            let (_, signing_request) = generate_request()?;
            let message =
                json!({"token": "letmein", "details": {}, "signing_request": signing_request.replace('A', "B")});
            send::<Value>(connection.sender, JOIN_PATH, &message, Duration::ZERO).await
        })
        .unwrap_err();
    assert_eq!(error.code(), Code::InvalidValue, "{error}");
    assert!(
        lock(&server.handler.state).joined.is_none(),
        "a broken request used the token up"
    );
}

#[test]
fn join_with_a_large_body_is_refused_before_it_is_parsed() {
    let server = TestServer::start();
    let config = Arc::new(joining_config(&server.authority.fingerprint()).unwrap());
    let runtime = super::super::server::runtime().unwrap();
    let try_join = |details: String| {
        runtime.block_on(async {
            let connection = dial(&server.address(), Arc::clone(&config)).await?;
            let (_, signing_request) = generate_request()?;
            let message = json!({"token": "letmein", "details": details, "signing_request": signing_request});
            send::<Value>(connection.sender, JOIN_PATH, &message, Duration::ZERO).await
        })
    };
    let error = try_join("a".repeat(70 << 10)).unwrap_err();
    assert_eq!(error.code(), Code::Unavailable, "{error}");
    assert!(lock(&server.handler.state).joined.is_none());
    assert!(try_join("a".repeat(32 << 10)).is_ok());
}

#[test]
fn link_that_silent_machines_have_left_has_room_for_nodes() {
    let server = TestServer::start();
    let identity = server.join();
    // More than may be there at a time; none of them says anything.
    let silent: Vec<_> = (0..100).map(|_| connect(server.link.address())).collect();
    drop(silent);
    let client = LinkClient::start(&server.address(), identity).unwrap();
    wait_for("the node's connection", || client.status().connected_since.is_some());
}

#[test]
fn join_with_another_fingerprint_token_or_key_is_refused() {
    let server = TestServer::start();
    let try_join = |dir: &str, fingerprint: &str, token: &str| {
        let dir = server.dir.path().join(dir);
        join(
            &dir,
            &server.address(),
            fingerprint,
            &Secret::new(token.to_owned()),
            json!({}),
        )
    };
    let fingerprint = server.authority.fingerprint();
    let other = Authority::open(&server.dir.path().join("other")).unwrap().fingerprint();
    let error = try_join("a", &other, "letmein").err().unwrap();
    assert!(error.full_message().contains("UnknownIssuer"), "{error}");
    let error = try_join("a", &fingerprint, "stolen").err().unwrap();
    assert_eq!(error.code(), Code::Unauthenticated, "{error}");
    // Whoever has lost the answer asks again with the same key.
    let pending = server.dir.path().join("a/joining.pem");
    let request = std::fs::read(&pending).unwrap();
    assert_eq!(
        try_join("a", &fingerprint, "letmein").unwrap().node.to_string(),
        "lhr/n1"
    );
    assert!(!pending.exists());
    write_private(&pending, &request).unwrap();
    assert_eq!(
        try_join("a", &fingerprint, "letmein").unwrap().node.to_string(),
        "lhr/n1"
    );
    // Whoever has another key, and the token that was used, does not.
    assert_eq!(
        try_join("b", &fingerprint, "letmein").err().unwrap().code(),
        Code::Unauthenticated
    );
    assert!(NodeIdentity::load(&server.dir.path().join("b")).unwrap().is_none());
}

#[test]
fn link_certificate_of_a_node_makes_no_server() {
    let server = TestServer::start();
    let node = identity(&server.authority, &server.authority, &node(), SystemTime::now()).unwrap();
    // A listener of a node that has taken the server's address.
    let current = super::super::tls::CurrentCertificate::new(&node.tls);
    let config = Arc::new(super::super::tls::server_config(server.authority.certificate(), current).unwrap());
    let impostor = serve(move |mut stream| {
        let mut session = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
        while session.complete_io(&mut stream)? != (0, 0) {}
        Ok(())
    });
    let client = LinkClient::start(&impostor.to_string(), node).unwrap();
    wait_for("error", || client.status().last_error.is_some());
    assert!(client.status().last_error.unwrap().contains("is not the server"));
    // And the server's certificate makes no node.
    let error = identity(
        &server.authority,
        &server.authority,
        &LinkHolder::Server,
        SystemTime::now(),
    );
    assert!(error.err().unwrap().message().contains("not a node's"));
}

#[test]
fn link_keys_are_private_files_and_damaged_ones_are_named() {
    use std::os::unix::fs::PermissionsExt as _;
    let server = TestServer::start();
    server.join();
    for path in [
        server.dir.path().join("server/authority.pem"),
        server.node_dir().join("identity.pem"),
    ] {
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let whole = std::fs::read(&path).unwrap();
        for damaged in [
            &whole[..whole.len() / 2],
            b"",
            b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n",
        ] {
            std::fs::write(&path, damaged).unwrap();
            let error = Authority::open(path.parent().unwrap()).err();
            let error = error
                .or_else(|| NodeIdentity::load(path.parent().unwrap()).err())
                .unwrap();
            assert_eq!(error.code(), Code::InvalidFile, "{error}");
            assert!(error.message().contains(&path.display().to_string()), "{error}");
        }
        let _ = std::fs::remove_file(path.parent().unwrap().join("authority.pem"));
    }
    let again = server.dir.path().join("again");
    let fingerprint = Authority::open(&again).unwrap().fingerprint();
    assert_eq!(Authority::open(&again).unwrap().fingerprint(), fingerprint);
}

#[test]
fn link_names_of_nodes_are_checked() {
    for bad in ["", "LHR", "a b", "a:b", "a/b", "é", &"x".repeat(65)] {
        assert!(NodeName::new(bad, "n").is_err(), "{bad}");
        assert!(NodeName::new("lhr", bad).is_err(), "{bad}");
    }
}
