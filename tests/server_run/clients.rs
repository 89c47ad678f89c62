//! Clients that applications use, of the packages in `tests/peers`, with databases of a server: over TLS and without, at
//! names below the server's domain and at paths. What they check is in their scripts.

use super::Deployment;
use crate::support::server::Server;
use crate::support::{Run, World, installed};
use nix::sys::signal::Signal;
use reqwest::{Certificate, blocking::Client};
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

/// A server of the owner `alice`, who has the database `app` in her own organization, and one in another.
struct Site {
    world: World,
    server: Server,
    authority: Option<PathBuf>,
    client: Client,
    token: String,
    read_only: String,
    foreign: String,
}

impl Site {
    fn new(more: &[&str]) -> Self {
        let world = World::new();
        let server = Server::start(
            &world,
            &[&["--owner", "alice", "--locations", "ams,lhr"], more].concat(),
        );
        let authority = server.started["certificate_authority"].as_str().map(PathBuf::from);
        torso::net::use_ring();
        let mut client = Client::builder().no_proxy();
        if let Some(path) = &authority {
            let pem = std::fs::read(path).unwrap();
            client = client.add_root_certificate(Certificate::from_pem(&pem).unwrap());
        }
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut site = Self {
            world,
            server,
            authority,
            client: client.build().unwrap(),
            token: String::new(),
            read_only: String::new(),
            foreign: String::new(),
        };
        let app = json!({ "name": "app" });
        site.ok("/v1/organizations", Some(&json!({ "name": "globex" })));
        site.ok("/v1/organizations/globex/databases", Some(&app));
        site.ok("/v1/databases", Some(&app));
        site.token = site.token("/v1/databases/app/auth/tokens");
        site.read_only = site.token("/v1/databases/app/auth/tokens?authorization=read-only");
        site.foreign = site.token("/v1/organizations/globex/databases/app/auth/tokens");
        site
    }

    #[track_caller]
    fn ok(&self, path: &str, body: Option<&Value>) -> Value {
        let url = format!(
            "{}{path}",
            self.at(if self.authority.is_some() { "https" } else { "http" })
        );
        let mut request = self.client.post(url).bearer_auth(&self.server.token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().unwrap();
        let status = answer.status();
        let text = answer.text().unwrap();
        assert_eq!(status, 200, "{path}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    fn token(&self, path: &str) -> String {
        self.ok(path, None)["jwt"].as_str().unwrap().to_owned()
    }

    fn at(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.server.address())
    }

    /// A database of the label at its path, with the slash that most clients need at its end.
    fn path(&self, scheme: &str, label: &str) -> String {
        format!("{}/db/{label}/", self.at(scheme))
    }

    /// A database of the label at its own name.
    fn name(&self, scheme: &str, label: &str) -> String {
        let port = self.server.address().rsplit_once(':').unwrap().1;
        format!("{scheme}://{label}.db.test:{port}")
    }

    /// A pair of databases, the caller's and another tenant's, at every kind of address that there is with TLS.
    fn pairs(&self) -> Vec<[String; 2]> {
        let pair = |address: &dyn Fn(&str) -> String| ["app-alice", "app-globex"].map(address);
        let mut pairs = vec![pair(&|label| self.path("https", label))];
        if cfg!(target_os = "linux") {
            pairs.extend(["https", "libsql"].map(|scheme| pair(&|label| self.name(scheme, label))));
        }
        pairs
    }

    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.world.command(program);
        command
            .env("DATABASE_TOKEN", &self.token)
            .env("DATABASE_READ_ONLY", &self.read_only)
            .env("DATABASE_FOREIGN", &self.foreign);
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        if let Some(authority) = &self.authority {
            command.env("NODE_EXTRA_CA_CERTS", authority);
            command.env("SSL_CERT_FILE", authority);
            // Embedded replicas and Python ask the system for a name's address.
            #[cfg(target_os = "linux")]
            command.env("LD_PRELOAD", installed::resolver());
        }
        command
    }

    /// Runs a script of Node.js.
    fn node(&self, script: &str) -> Command {
        let mut node = self.command("node");
        node.arg("--require")
            .arg(installed::script("resolve.cjs"))
            .arg(installed::script(script));
        node
    }

    /// An empty folder.
    fn folder(&self, name: &str) -> PathBuf {
        let folder = self.world.work().join(name);
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir(&folder).unwrap();
        folder
    }
}

/// With a certificate of its own making, and a name for each database.
fn with_tls() -> Site {
    Site::new(&["--tls", "self-signed", "--domain", "db.test"])
}

#[test]
fn node_client_works_at_names_and_paths() {
    let site = with_tls();
    let urls = [
        site.path("https", "app-alice"),
        site.path("wss", "app-alice").trim_end_matches('/').to_owned(),
        site.name("libsql", "app-alice"),
        site.name("wss", "app-alice"),
    ];
    let mut node = site.node("client.mjs");
    node.args(&urls);
    let run = Run::of(node).success();
    let told: Vec<(&str, &str)> = run.stdout.lines().map(|line| line.rsplit_once(' ').unwrap()).collect();
    let wanted: Vec<(&str, &str)> = urls
        .iter()
        .map(String::as_str)
        .zip(["http", "ws", "http", "ws"])
        .collect();
    assert_eq!(told, wanted);
}

#[test]
fn node_embedded_replicas_follow() {
    let site = with_tls();
    for pair in site.pairs() {
        let mut node = site.node("replica.mjs");
        node.args(pair).arg(site.folder("replicas"));
        let run = Run::of(node).success();
        // The library of the replica writes its log there, too.
        assert!(run.stdout.ends_with("fine\n"), "{}", run.stdout);
    }
}

#[test]
fn drizzle_migrates_and_works() {
    let (plain, tls) = (Site::new(&[]), with_tls());
    for (site, url, migrated) in [
        (
            &plain,
            plain.path("http", "app-alice"),
            plain.path("http", "app-globex"),
        ),
        (&tls, tls.name("libsql", "app-alice"), tls.name("https", "app-globex")),
    ] {
        let folder = installed::npm().join(format!("drizzle-{}", std::process::id()));
        let mut node = site.node("drizzle.mjs");
        // Drizzle's own program is started by the script, and is to find names in the same way.
        node.env(
            "NODE_OPTIONS",
            format!("--require={}", installed::script("resolve.cjs").display()),
        );
        node.arg(&folder)
            .env("DATABASE_URL", url)
            .env("MIGRATED_URL", migrated)
            .env("MIGRATED_TOKEN", &site.foreign);
        let run = Run::of(node);
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(run.success().stdout, "fine\n");
    }
}

#[test]
fn python_client_and_its_replicas_work() {
    let (plain, tls) = (Site::new(&[]), with_tls());
    let local = ["app-alice", "app-globex"].map(|label| plain.path("http", label));
    let pairs = tls.pairs().into_iter().map(|pair| (&tls, pair));
    for (site, pair) in pairs.chain([(&plain, local)]) {
        let mut python = site.command(installed::python());
        python
            .arg(installed::script("python.py"))
            .args(pair)
            .arg(site.folder("replicas"));
        let run = Run::of(python).success();
        assert!(run.stdout.ends_with("fine\n"), "{}", run.stdout);
    }
}

#[test]
fn sockets_that_are_open_survive_a_restart_and_end_with_their_token() {
    let mut deployment = Deployment::new();
    let tokens = "/v1/databases/app/auth/tokens";
    deployment.ok("POST", "/v1/databases", Some(json!({ "name": "app" })));
    let minted = deployment.ok("POST", tokens, None);
    let mut node = deployment.world.command("node");
    if let Some(path) = std::env::var_os("PATH") {
        node.env("PATH", path);
    }
    let mut process = node
        .arg(installed::script("life.mjs"))
        .env("DATABASE_URL", format!("{}db/app-alice/", deployment.server().url()))
        .env("DATABASE_TOKEN", minted["jwt"].as_str().unwrap())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let mut next = || lines.next().map_or_else(String::new, Result::unwrap);

    assert_eq!(next(), "open");
    assert_eq!(deployment.end(Signal::SIGTERM).0, Some(0));
    let interrupted = next();
    assert!(interrupted.starts_with("interrupted LibsqlError "), "{interrupted}");
    deployment.start();
    assert_eq!(next(), "again");
    deployment.ok("DELETE", &format!("{tokens}/{}", minted["id"].as_str().unwrap()), None);
    let revoked = next();
    assert!(
        revoked.starts_with("revoked ") && revoked.contains("revoked"),
        "{revoked}"
    );
    assert!(process.wait().unwrap().success());
}

/// A client that is quiet, until it is told to go on.
struct Quiet {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Quiet {
    fn start(mut command: Command) -> Self {
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut client = Self { process, lines };
        assert_eq!(client.next(), "quiet");
        client
    }

    fn next(&mut self) -> String {
        self.lines.next().map_or_else(String::new, Result::unwrap)
    }

    /// Has it go on: it has to come to its end.
    #[track_caller]
    fn go_on(mut self) {
        self.process.stdin.take().unwrap().write_all(b"on\n").unwrap();
        assert_eq!(self.next(), "fine");
        assert!(self.process.wait().unwrap().success());
    }
}

#[test]
fn remote_connections_of_python_and_node_survive_being_idle() {
    let site = Site::new(&[]);
    let url = site.path("http", "app-alice");
    let mut python = site.command(installed::python());
    python.arg(installed::script("quiet.py")).arg(&url);
    let mut node = site.command("node");
    node.arg(installed::script("quiet.mjs")).arg(&url);
    let clients = [Quiet::start(python), Quiet::start(node)];
    // Longer than the ten seconds for which a process keeps a stream that nobody uses.
    std::thread::sleep(std::time::Duration::from_secs(12));
    for client in clients {
        client.go_on();
    }
}

#[test]
fn remote_connections_of_python_and_node_survive_a_restart() {
    let mut deployment = Deployment::new();
    deployment.ok("POST", "/v1/databases", Some(json!({ "name": "app" })));
    let minted = deployment.ok("POST", "/v1/databases/app/auth/tokens", None);
    let url = format!("{}db/app-alice/", deployment.server().url());
    let command = |program: &OsStr, script: &str| {
        let mut command = deployment.world.command(program);
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command
            .arg(installed::script(script))
            .arg(&url)
            .env("DATABASE_TOKEN", minted["jwt"].as_str().unwrap());
        command
    };
    let clients = [
        Quiet::start(command(installed::python().as_os_str(), "quiet.py")),
        Quiet::start(command(OsStr::new("node"), "quiet.mjs")),
    ];
    assert_eq!(deployment.end(Signal::SIGTERM).0, Some(0));
    deployment.start();
    deployment.server().wait_ready();
    for client in clients {
        client.go_on();
    }
}
