//! A server behind the proxies of `docs/deploy`, which are run with these files: uploads, streams, sockets, addresses of
//! clients, and a path in front of everything.

use crate::support::server::Server;
use crate::support::sqld::free_port;
use crate::support::{World, crate_root, hrana, installed};
use serde_json::json;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A proxy; ended when it is dropped.
struct Proxy(Child);

impl Drop for Proxy {
    fn drop(&mut self) {
        // In order, so that its workers end, too.
        if let Ok(pid) = i32::try_from(self.0.id()) {
            super::signal(pid, nix::sys::signal::Signal::SIGTERM);
        }
        let _ = self.0.wait();
    }
}

impl Proxy {
    fn start(world: &World, mut command: Command, port: u16) -> Self {
        let log = std::fs::File::create(world.path("proxy.log")).unwrap();
        let process = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{error}: tests/all.sh installs nginx and caddy, a Python package Traefik"));
        let proxy = Self(process);
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let log = || std::fs::read_to_string(world.path("proxy.log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "the proxy does not listen: {}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
        proxy
    }

    /// nginx with the documented server block, changed by pairs of texts, which must be in it.
    fn nginx(world: &World, port: u16, to: &str, changes: &[(&str, &str)]) -> Self {
        let mut block = std::fs::read_to_string(crate_root().join("docs/deploy/nginx.conf")).unwrap();
        let listen = format!("listen 127.0.0.1:{port};");
        let common = [
            ("listen 443 ssl;", listen.as_str()),
            ("127.0.0.1:8080;", &format!("{to};")),
        ];
        for (from, into) in common.iter().chain(changes) {
            assert!(block.contains(from), "{from} is not in the file");
            block = block.replace(from, into);
        }
        let block: Vec<&str> = block.lines().filter(|line| !line.trim().starts_with("ssl_")).collect();
        let dir = world.path("nginx");
        std::fs::create_dir_all(&dir).unwrap();
        let dir = dir.display();
        let mut paths = String::new();
        for name in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
            paths.push_str(&format!("{name}_temp_path {dir}/{name};\n"));
        }
        let config = format!(
            "daemon off;\npid {dir}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{paths}{}\n}}\n",
            block.join("\n")
        );
        let config = world.write("nginx.conf", config);
        let mut command = Command::new("nginx");
        command.arg("-c").arg(config).arg("-p").arg(world.path("nginx"));
        Self::start(world, command, port)
    }

    fn caddy(world: &World, port: u16, to: &str) -> Self {
        let text = std::fs::read_to_string(crate_root().join("docs/deploy/Caddyfile")).unwrap();
        let site = format!("http://127.0.0.1:{port} {{");
        let text = text.replace("\ndb.example.com {", &format!("\n{site}"));
        assert!(text.contains(&site));
        let text = format!(
            "{{\n\tadmin off\n}}\n{}",
            text.replace("127.0.0.1:8080 {", &format!("{to} {{"))
        );
        let config = world.write("Caddyfile", text);
        let mut command = world.command("caddy");
        command.args(["run", "--adapter", "caddyfile", "--config"]).arg(config);
        Self::start(world, command, port)
    }
}

/// Traefik with the documented configuration, once it has read it.
fn traefik(world: &World, port: u16, to: &str) -> Proxy {
    let mut text = std::fs::read_to_string(crate_root().join("docs/deploy/traefik.yaml")).unwrap();
    let to = format!("http://{to}\n");
    for (from, into) in [
        ("Host(`db.example.com`)", "Host(`127.0.0.1`)"),
        ("      tls: {}\n", ""),
        ("http://127.0.0.1:8080\n", &to),
    ] {
        assert!(text.contains(from), "{from} is not in the file");
        text = text.replace(from, into);
    }
    let dynamic = world.write("traefik-dynamic.yaml", text);
    let config = format!(
        "global:\n  checkNewVersion: false\n  sendAnonymousUsage: false\n\
         entryPoints:\n  websecure:\n    address: 127.0.0.1:{port}\n\
         providers:\n  file:\n    filename: {}\n",
        dynamic.display()
    );
    let config = world.write("traefik.yaml", config);
    let mut command = world.command(installed::traefik());
    command.arg(format!("--configFile={}", config.display()));
    let proxy = Proxy::start(world, command, port);
    super::until(
        "Traefik has read its configuration",
        || Server::client().get(format!("http://127.0.0.1:{port}/health")).send(),
        |answer| answer.as_ref().is_ok_and(|answer| answer.status() == 200),
    );
    proxy
}

/// A server that clients reach at another address, and that address.
fn behind(world: &World, path: &str) -> (Server, u16, String) {
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}{path}");
    let args = [
        "--owner",
        "alice",
        "--locations",
        "ams",
        "--trusted-proxy",
        "127.0.0.1",
        "--url",
        &url,
    ];
    (Server::start(world, &args), port, url)
}

/// Works with a server as a user does, through whatever is between.
fn uses(world: &World, server: &Server, url: &str) {
    let context = ["context", "add", "prod", "--url", url, "--token-stdin"];
    world.torso_with_input(context, &server.token).success();
    world.ok(["context", "use", "prod"]);
    // Larger than any piece, and of bytes that do not compress.
    let file = world.path("large.db");
    let connection = rusqlite::Connection::open(&file).unwrap();
    connection
        .execute_batch(
            "CREATE TABLE t (x); WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 12)
             INSERT INTO t SELECT randomblob(1 << 20) FROM c",
        )
        .unwrap();
    drop(connection);
    world.ok(["db", "create", "app", "--from-file", file.to_str().unwrap()]);
    let shown = world.ok(["db", "show", "app", "--url"]).trim().to_owned();
    assert_eq!(shown, format!("{url}/db/app-alice/"));
    let counted = world.ok(["db", "shell", "app", "select count(*), sum(length(x)) from t"]);
    assert_eq!(counted.trim(), format!("12|{}", 12 << 20));
    // An answer of several megabytes, row by row.
    let all = world.ok(["db", "shell", "app", "select hex(x) from t"]);
    assert_eq!(all.len(), 12 * ((2 << 20) + 1));
    world.ok(["db", "export", "app", "--output-file", "copy.db"]);
    let copy = rusqlite::Connection::open(world.work().join("copy.db")).unwrap();
    let count: i64 = copy.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap();
    assert_eq!(count, 12);
    world.ok(["org", "create", "team"]);
    let invited = world.json(["--org", "team", "org", "invites", "create", "bob@example.com"]);
    assert!(
        invited["link"]
            .as_str()
            .unwrap()
            .starts_with(&format!("{url}/signup?invite="))
    );

    // An application: a transaction over several requests, and a socket.
    let token = world.ok(["db", "tokens", "create", "app"]).trim().to_owned();
    let request = Server::client().post(format!("{shown}v2/pipeline")).bearer_auth(&token);
    let rows = hrana::execute(
        request,
        [
            "begin",
            "create table u (y)",
            "insert into u values (7)",
            "commit",
            "select y from u",
        ],
    );
    assert_eq!(rows.unwrap(), [json!([{ "type": "integer", "value": "7" }])]);
    let (host, path) = shown.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut socket = TcpStream::connect(host).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let upgrade = format!(
        "GET /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-protocol: hrana2\r\n\r\n"
    );
    socket.write_all(upgrade.as_bytes()).unwrap();
    let mut answer = [0; 12];
    socket.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 101", "a socket is not let through");

    // The log has the address that the proxy was asked from, and not what a client says of itself.
    let spoofed = Server::client()
        .get(format!("{url}/v1/databases"))
        .header("x-forwarded-for", "203.0.113.9")
        .header("forwarded", "for=203.0.113.7")
        .send()
        .unwrap();
    assert_eq!(spoofed.status(), 401);
    let log = std::fs::read_to_string(world.work().join("server.log")).unwrap();
    assert!(!log.contains("203.0.113.7"), "{log}");
    // Its metrics are not for whoever reaches the proxy.
    let metrics = Server::client().get(format!("{url}/metrics")).send().unwrap();
    assert_eq!(metrics.status(), 401);
}

#[test]
fn nginx_as_documented_serves_all_that_a_server_does() {
    let world = World::new();
    let (server, port, url) = behind(&world, "");
    let _proxy = Proxy::nginx(&world, port, server.address(), &[]);
    uses(&world, &server, &url);
    let log = std::fs::read_to_string(world.work().join("server.log")).unwrap();
    assert!(log.contains("client=203.0.113.9"), "{log}");
}

#[test]
fn nginx_with_its_own_limits_and_a_path_takes_uploads_in_smaller_pieces() {
    let world = World::new();
    let (server, port, url) = behind(&world, "/torso");
    let changes = [
        ("client_max_body_size 32m;", ""),
        ("location / {", "location /torso/ {"),
    ];
    let _proxy = Proxy::nginx(&world, port, server.address(), &changes);
    uses(&world, &server, &url);
}

#[test]
fn nginx_with_64_kib_bodies_takes_uploads_and_with_less_is_named() {
    let world = World::new();
    let (server, port, url) = behind(&world, "");
    let proxy = Proxy::nginx(
        &world,
        port,
        server.address(),
        &[("client_max_body_size 32m;", "client_max_body_size 64k;")],
    );
    let context = ["context", "add", "prod", "--url", &url, "--token-stdin"];
    world.torso_with_input(context, &server.token).success();
    world.ok(["context", "use", "prod"]);
    let file = world.path("some.db");
    let connection = rusqlite::Connection::open(&file).unwrap();
    connection
        .execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (randomblob(1 << 20))")
        .unwrap();
    drop(connection);
    world.ok(["db", "create", "app", "--from-file", file.to_str().unwrap()]);
    drop(proxy);
    let _proxy = Proxy::nginx(
        &world,
        port,
        server.address(),
        &[("client_max_body_size 32m;", "client_max_body_size 32k;")],
    );
    let refused = world.torso(["db", "create", "two", "--from-file", file.to_str().unwrap()]);
    assert_eq!(refused.code(), 1, "{}", refused.report());
    assert!(refused.stderr.contains("client_max_body_size"), "{}", refused.stderr);
}

#[test]
fn caddy_as_documented_serves_all_that_a_server_does() {
    let world = World::new();
    let (server, port, url) = behind(&world, "");
    let _proxy = Proxy::caddy(&world, port, server.address());
    uses(&world, &server, &url);
}

#[test]
fn traefik_as_documented_serves_all_that_a_server_does() {
    let world = World::new();
    let (server, port, url) = behind(&world, "");
    let _proxy = traefik(&world, port, server.address());
    uses(&world, &server, &url);
    let log = std::fs::read_to_string(world.work().join("server.log")).unwrap();
    // Traefik itself drops what a client says of its address.
    assert!(!log.contains("client=203.0.113.9"), "{log}");
}
