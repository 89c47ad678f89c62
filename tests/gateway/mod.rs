//! The gateway before real libSQL server processes: what it lets through, what it refuses, and what it does when processes
//! fail.

mod clients;
mod faults;
mod forged;
mod hello;
mod open;
mod positions;
mod promotion;
mod renewal;
mod replica_state;
mod requests;
mod shared_reads;
mod sockets;
mod sql;
mod tokens;
mod wait_replica;

use crate::support::hrana::field;
use crate::support::sqld::program;
use crate::support::world::TORSO;
use axum::body::Body;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use reqwest::blocking::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use torso::control::gateway_plane::Public;
use torso::control::hosted::{CallOrigin, Caller, Engines, Hosted, HostedOptions};
use torso::control::tokens::{Authorization, Expiration, NewToken};
use torso::control::types::CreateDatabase;
use torso::engine::sqld::{EngineSettings, SqldEngine};
use torso::server::gateway::{Gateway, GatewayLimits};
use torso::server::metrics_text::MetricsText;

/// A gateway that listens, over a hosted plane of its own, whose owner is `alice`.
struct Door {
    hosted: Arc<Hosted>,
    engine: SqldEngine,
    owner: String,
    address: SocketAddr,
    gateway: Gateway,
    client: Client,
    runtime: tokio::runtime::Runtime,
    dir: TempDir,
}

impl Door {
    /// The gateway's metrics.
    fn metrics(&self) -> String {
        let mut text = MetricsText::default();
        self.gateway.write_metrics(&mut text);
        text.into_string()
    }

    fn new() -> Self {
        Self::with(GatewayLimits::default())
    }

    fn with(limits: GatewayLimits) -> Self {
        Self::over(&EngineSettings::default(), limits)
    }

    fn over(settings: &EngineSettings, limits: GatewayLimits) -> Self {
        // Before the first client is made.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let dir = tempfile::Builder::new().prefix("torso-gateway-").tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let engine = SqldEngine::with_settings(program(), Path::new(TORSO), settings).unwrap();
        let (hosted, token) = Hosted::open(HostedOptions {
            data_dir: dir.path().join("data"),
            engine: Engines::Sqld(engine.clone()),
            locations: Some(vec!["ams".parse().unwrap(), "lhr".parse().unwrap()]),
            owner: Some("alice".parse().unwrap()),
            public: Public {
                base: format!("http://{address}").parse().unwrap(),
                domain: None,
            },
        })
        .unwrap();
        let hosted = Arc::new(hosted);
        let gateway = Gateway::new(Arc::clone(&hosted) as _, limits);
        runtime.spawn(listen(listener, gateway.clone()));
        torso::net::use_ring();
        Self {
            hosted,
            engine,
            owner: token.unwrap().expose().to_owned(),
            address,
            gateway,
            client: Client::builder()
                .no_proxy()
                .timeout(Duration::from_secs(60))
                .build()
                .unwrap(),
            runtime,
            dir,
        }
    }

    fn owner(&self) -> Caller {
        let origin = CallOrigin {
            client: "test".to_owned(),
            request_id: "r1".to_owned(),
            ..CallOrigin::default()
        };
        self.hosted.authenticate(&self.owner, &origin).unwrap()
    }

    /// Makes a database: a token that may do anything with it.
    fn create(&self, name: &str) -> String {
        let owner = self.owner();
        let plane = self.hosted.plane(&owner, None).unwrap();
        plane.create_database(&new(name)).unwrap();
        self.token(name, Authorization::FullAccess, Expiration::Never)
    }

    fn token(&self, name: &str, authorization: Authorization, expiration: Expiration) -> String {
        let owner = self.owner();
        let plane = self.hosted.plane(&owner, None).unwrap();
        let new = NewToken {
            authorization,
            expiration,
            ..NewToken::default()
        };
        let minted = plane.create_database_token(&name.parse().unwrap(), &new).unwrap();
        minted.jwt.expose().to_owned()
    }

    fn read_only(&self, name: &str) -> String {
        self.token(name, Authorization::ReadOnly, Expiration::Never)
    }

    /// Gives a database a replica.
    fn replicate(&self, name: &str, location: &str) {
        let owner = self.owner();
        let plane = self.hosted.plane(&owner, None).unwrap();
        plane
            .add_instance(&name.parse().unwrap(), &location.parse().unwrap())
            .unwrap();
    }

    fn url(&self, label: &str, path: &str) -> String {
        format!("http://{}/db/{label}{path}", self.address)
    }

    fn post(&self, label: &str, path: &str, token: &str) -> RequestBuilder {
        let request = self.client.post(self.url(label, path));
        if token.is_empty() {
            request
        } else {
            request.bearer_auth(token)
        }
    }

    fn get(&self, label: &str, path: &str, token: &str) -> Answer {
        let request = self.client.get(self.url(label, path));
        let request = if token.is_empty() {
            request
        } else {
            request.bearer_auth(token)
        };
        Answer::of(request.send().unwrap())
    }

    fn json(&self, label: &str, path: &str, token: &str, body: &Value) -> Answer {
        let request = self.post(label, path, token).body(body.to_string());
        Answer::of(request.send().unwrap())
    }

    /// Runs one statement.
    fn run(&self, label: &str, token: &str, sql: &str) -> Answer {
        self.json(label, "/v2/pipeline", token, &pipeline(sql))
    }

    /// The number that a query answers.
    #[track_caller]
    fn number(&self, label: &str, token: &str, sql: &str) -> i64 {
        let answer = self.run(label, token, sql);
        let value = &answer.json()["results"][0]["response"]["result"]["rows"][0][0]["value"];
        value.as_str().unwrap_or_else(|| panic!("{answer:?}")).parse().unwrap()
    }

    /// Sends bytes as they are, and reads until the other end has no more to say.
    fn raw(&self, text: &str) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// The process ids that hold the databases at a location.
    fn processes(&self, location: &str) -> Vec<i32> {
        let mut found = Vec::new();
        let mut folders = vec![self.dir.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).unwrap().flatten() {
                let path = entry.path();
                if path.is_dir() && !path.is_symlink() {
                    folders.push(path);
                } else if path.ends_with("lock") && is_of(&path, location) {
                    let text = std::fs::read_to_string(&path).unwrap();
                    found.extend(
                        text.split_ascii_whitespace()
                            .next()
                            .and_then(|pid| pid.parse::<i32>().ok()),
                    );
                }
            }
        }
        found
    }
}

fn is_of(lock: &Path, location: &str) -> bool {
    let folder: Vec<PathBuf> = lock.ancestors().skip(1).take(2).map(Path::to_owned).collect();
    folder[0].join("role.json").exists() && folder[1].ends_with(location)
}

impl Drop for Door {
    fn drop(&mut self) {
        self.engine.shutdown();
    }
}

async fn listen(listener: tokio::net::TcpListener, gateway: Gateway) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            return;
        };
        stream.set_nodelay(true).unwrap();
        let gateway = gateway.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                let gateway = gateway.clone();
                async move {
                    let path = request.uri().path().to_owned();
                    let rest = path.strip_prefix("/db/").unwrap_or_default();
                    let (label, _) = rest.split_once('/').unwrap_or((rest, ""));
                    let answer = gateway.serve(label, &rest[label.len()..], request.map(Body::new)).await;
                    Ok::<_, Infallible>(answer)
                }
            });
            let _ = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades()
                .await;
        });
    }
}

/// An answer that has arrived.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: reqwest::header::HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn of(response: Response) -> Self {
        Self {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.bytes().unwrap().to_vec(),
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The gateway's own refusal, in the form that every client can read.
    #[track_caller]
    fn refused(&self, status: u16, code: &str) {
        let body = self.json();
        assert_eq!((self.status, body["code"].as_str()), (status, Some(code)), "{self:?}");
        assert!(
            body["message"].is_string() && body["error"] == body["message"],
            "{self:?}"
        );
        assert_eq!(self.header("access-control-allow-origin"), "*", "{self:?}");
    }

    /// An answer to statements, none of which failed.
    #[track_caller]
    fn fine(&self) {
        assert_eq!(self.status, 200, "{self:?}");
        assert!(!self.text().contains("\"type\":\"error\""), "{self:?}");
    }
}

/// The request for an empty database.
fn new(name: &str) -> CreateDatabase {
    CreateDatabase {
        name: name.parse().unwrap(),
        group: None,
        location: None,
        seed: None,
        size_limit: None,
        expires_at: None,
    }
}

fn pipeline(sql: &str) -> Value {
    json!({ "requests": [{ "type": "execute", "stmt": { "sql": sql } }, { "type": "close" }] })
}

/// A message of gRPC-Web.
fn frame(kind: u8, message: &[u8]) -> Vec<u8> {
    let mut out = vec![kind];
    out.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    out.extend(message);
    out
}
