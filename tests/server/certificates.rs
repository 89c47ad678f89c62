//! A certificate that is replaced while the server runs.

use crate::support::server::Server;
use crate::support::{Run, World, redact, until};
use nix::sys::signal::Signal;
use rcgen::{CertificateParams, KeyPair};
use std::path::PathBuf;

/// Makes a certificate that is its own authority, for this machine: its text and its key's.
fn certificate() -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

/// Puts a file in the place of another at once, as programs do that renew certificates.
fn replace(path: &PathBuf, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, path).unwrap();
}

#[test]
fn certificate_that_is_new_is_used_without_a_restart() {
    let world = World::new();
    let (cert, key) = (world.work().join("cert.pem"), world.work().join("key.pem"));
    let certificates: Vec<_> = (0..3).map(|_| certificate()).collect();
    let trusted: Vec<PathBuf> = certificates
        .iter()
        .enumerate()
        .map(|(at, (text, _))| world.write(&format!("trusted-{at}.pem"), text))
        .collect();
    let place = |at: usize| {
        let (text, secret) = &certificates[at];
        replace(&cert, text);
        replace(&key, secret);
    };
    place(0);
    let files = [cert.to_str().unwrap(), key.to_str().unwrap()];
    let server = Server::start(&world, &["--tls-cert", files[0], "--tls-key", files[1]]);
    let log = || std::fs::read_to_string(world.work().join("server.log")).unwrap();
    let answers = |at: usize| {
        let mut curl = world.command("curl");
        curl.args(["-sS", "--max-time", "20", "--noproxy", "*", "--cacert"])
            .arg(&trusted[at])
            .arg(format!("https://{}/health", server.address()));
        Run::of(curl).code() == 0
    };
    assert!(answers(0) && !answers(1));

    // When it is told to.
    place(1);
    server.signal(Signal::SIGHUP);
    until("the second certificate is used", || answers(1));
    assert!(!answers(0));

    // By itself.
    place(2);
    until("the third certificate is used", || answers(2));

    // What is of no use changes nothing, and is told.
    std::fs::write(&key, "no key").unwrap();
    server.signal(Signal::SIGHUP);
    until("the log tells", || log().contains("still using the old one"));
    assert!(answers(2) && log().contains("key.pem"), "{}", log());
    std::fs::remove_file(&cert).unwrap();
    server.signal(Signal::SIGHUP);
    place(0);
    until("the first certificate is used again", || answers(0));
    assert_eq!(server.end(Signal::SIGTERM).0, Some(0));
}

#[test]
fn certificate_of_an_unknown_authority_is_an_error_with_its_remedy() {
    let world = World::new();
    let server = Server::start(&world, &["--tls", "self-signed", "--locations", "ams"]);
    let context = [
        "context",
        "add",
        "prod",
        "--url",
        server.url(),
        "--token-stdin",
        "--json",
    ];
    let refused = world.torso_with_input(context, &server.token).fails(7, "unavailable");
    insta::assert_snapshot!(redact::report(&world, &refused), @r#"
    $ torso context add prod --url https://127.0.0.1:[port]/ --token-stdin --json
    -- stderr --
    {"error":{"code":"unavailable","message":"cannot connect to https://127.0.0.1:[port]: invalid peer certificate: UnknownIssuer","hint":"its certificate is signed by an authority that is not trusted here: SSL_CERT_FILE=FILE names the authority's file, which torso server --tls self-signed prints at its start; --no-verify adds the context all the same","retryable":true}}
    -- exit 7 --
    "#);
    let url = format!("{}db/app-admin/", server.url());
    let refused = world.torso(["db", "shell", &url, "select 1"]);
    insta::assert_snapshot!(redact::report(&world, &refused), @r#"
    $ torso db shell https://127.0.0.1:[port]/db/app-admin/ "select 1"
    -- stderr --
    Error: cannot connect to https://127.0.0.1:[port]: error sending request: client error (Connect): invalid peer certificate: UnknownIssuer
    hint: its certificate is signed by an authority that is not trusted here: SSL_CERT_FILE=FILE names the authority's file, which torso server --tls self-signed prints at its start
    -- exit 7 --
    "#);
    // With the authority that the server names, it works.
    let authority = server.started["certificate_authority"].as_str().unwrap();
    let mut command = world.torso_command(["context", "add", "prod", "--url", server.url(), "--token-file", "token"]);
    world.write("token", &server.token);
    command.env("SSL_CERT_FILE", authority);
    Run::of(command).success();
}
