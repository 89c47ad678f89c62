//! What the gateway costs: point reads through it beside the same reads from the engine's process itself, with connections
//! that are kept, as the time in the middle and as reads a second. Both sides take turns on the same process and data.

use crate::sqld;
use axum::body::Body;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use std::convert::Infallible;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use torso::control::hosted::{Engines, Hosted, Options, Origin, Public};
use torso::control::tokens::{Authorization, NewToken};
use torso::control::types::CreateDatabase;
use torso::engine::sqld::SqldEngine;
use torso::server::gateway::{Gateway, Limits};

const ROWS: usize = 10_000;
const LABEL: &str = "app-bench";
const TURN: Duration = Duration::from_millis(1500);

/// Where a side's requests go, and their head.
struct Side {
    address: SocketAddr,
    head: String,
}

#[derive(Default)]
struct Measured {
    micros: Vec<u64>,
    per_second: Vec<f64>,
}

impl Measured {
    fn median(&mut self) -> u64 {
        self.micros.sort_unstable();
        self.micros.get(self.micros.len() / 2).copied().unwrap_or(0)
    }

    fn rate(&mut self) -> f64 {
        self.per_second.sort_by(f64::total_cmp);
        self.per_second.get(self.per_second.len() / 2).copied().unwrap_or(0.0)
    }
}

pub fn run(rounds: u64) -> io::Result<()> {
    let dir = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    let engine = SqldEngine::new(sqld::program(), Path::new(env!("CARGO_BIN_EXE_torso"))).map_err(io::Error::other)?;
    let (direct, through) = {
        let (hosted, token) = prepare(&engine, dir.path(), address).map_err(io::Error::other)?;
        let route = hosted.route(LABEL).ok_or_else(|| io::Error::other("no route"))?;
        let endpoint = hosted.endpoint(&route).map_err(io::Error::other)?;
        let internal = hosted
            .internal_token(&route, Authorization::FullAccess)
            .map_err(io::Error::other)?;
        runtime.spawn(listen(listener, Gateway::new(hosted, Limits::default())));
        let side = |address, path: &str, host: &str, token: &str| Side {
            address,
            head: format!("POST {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n"),
        };
        let through = side(address, &format!("/db/{LABEL}/v2/pipeline"), "localhost", &token);
        (
            side(endpoint.address, "/v2/pipeline", &endpoint.host, internal.expose()),
            through,
        )
    };
    fill(&through)?;
    let mut out = io::stdout();
    writeln!(
        out,
        "{:<14} {:>10} {:>11} {:>9} {:>10} {:>11} {:>6}",
        "gateway", "sqld us", "through us", "added us", "sqld /s", "through /s", "ratio"
    )?;
    for clients in [1, 4, 16] {
        let (mut theirs, mut ours) = (Measured::default(), Measured::default());
        for round in 0..=rounds {
            // The first round warms up, and counts for nothing.
            let (mut cold_theirs, mut cold_ours) = (Measured::default(), Measured::default());
            let (theirs, ours) = if round == 0 {
                (&mut cold_theirs, &mut cold_ours)
            } else {
                (&mut theirs, &mut ours)
            };
            load(&direct, clients, theirs)?;
            load(&through, clients, ours)?;
        }
        let (their_median, our_median) = (theirs.median(), ours.median());
        writeln!(
            out,
            "{:<14} {their_median:>10} {our_median:>11} {:>9} {:>10.0} {:>11.0} {:>6.2}",
            format!("read c={clients}"),
            our_median.cast_signed() - their_median.cast_signed(),
            theirs.rate(),
            ours.rate(),
            ours.rate() / theirs.rate()
        )?;
    }
    engine.shutdown();
    Ok(())
}

fn prepare(engine: &SqldEngine, dir: &Path, address: SocketAddr) -> torso::error::Result<(Arc<Hosted>, String)> {
    let base = format!("http://{address}").parse().map_err(|error| {
        torso::error::Error::new(torso::error::Code::Internal, "no address").caused_by(Box::<
            dyn std::error::Error + Send + Sync,
        >::from(format!(
            "{error}"
        )))
    })?;
    let (hosted, owner) = Hosted::open(Options {
        data_dir: dir.join("data"),
        engine: Engines::Sqld(engine.clone()),
        locations: None,
        owner: Some("bench".parse()?),
        public: Public { base, domain: None },
    })?;
    let origin = Origin {
        client: "bench".to_owned(),
        request_id: String::new(),
    };
    let owner = owner.map(|owner| owner.expose().to_owned()).unwrap_or_default();
    let caller = hosted.authenticate(&owner, &origin)?;
    let token = {
        let plane = hosted.plane(&caller, None)?;
        plane.create_database(&CreateDatabase {
            name: "app".parse()?,
            group: None,
            location: None,
            seed: None,
            size_limit: None,
        })?;
        plane.create_database_token(&"app".parse()?, &NewToken::default())?.jwt
    };
    Ok((Arc::new(hosted), token.expose().to_owned()))
}

async fn listen(listener: tokio::net::TcpListener, gateway: Gateway) {
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let gateway = gateway.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                let gateway = gateway.clone();
                async move {
                    let path = request.uri().path().to_owned();
                    let below = path.split_once(LABEL).map_or("", |(_, below)| below);
                    let answer = gateway.serve(LABEL, below, request.map(Body::new)).await;
                    Ok::<_, Infallible>(answer)
                }
            });
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

fn fill(side: &Side) -> io::Result<()> {
    let mut connection = Connection::open(side)?;
    for sql in [
        "create table t (id integer primary key, text)".to_owned(),
        format!(
            "with recursive n(x) as (select 1 union all select x + 1 from n limit {ROWS})
             insert into t select x, 'a row of some length that says ' || x from n"
        ),
    ] {
        connection.ask(&json!({ "requests": [{ "type": "execute", "stmt": { "sql": sql } }, { "type": "close" }] }))?;
    }
    Ok(())
}

/// Reads rows by key from several connections for a while.
fn load(side: &Side, clients: usize, into: &mut Measured) -> io::Result<()> {
    let start = Instant::now();
    let results: Vec<io::Result<Vec<u64>>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..clients)
            .map(|client| {
                scope.spawn(move || {
                    let mut connection = Connection::open(side)?;
                    let mut times = Vec::new();
                    let mut id = client * 37 % ROWS;
                    while start.elapsed() < TURN {
                        id = (id + 101) % ROWS;
                        let args = json!([{ "type": "integer", "value": id.to_string() }]);
                        let body = json!({ "requests": [
                            { "type": "execute", "stmt": { "sql": "select text from t where id = ?", "args": args } },
                            { "type": "close" },
                        ] });
                        let asked = Instant::now();
                        connection.ask(&body)?;
                        times.push(u64::try_from(asked.elapsed().as_micros()).unwrap_or(u64::MAX));
                    }
                    Ok(times)
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|_| Err(io::Error::other("a client failed")))
            })
            .collect()
    });
    let took = start.elapsed().as_secs_f64();
    let mut count = 0_u32;
    for times in results {
        let times = times?;
        count += u32::try_from(times.len()).unwrap_or(u32::MAX);
        into.micros.extend(times);
    }
    into.per_second.push(f64::from(count) / took);
    Ok(())
}

/// A connection that is kept. As little of HTTP as these answers need, so that the client costs next to nothing.
struct Connection<'a> {
    side: &'a Side,
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl<'a> Connection<'a> {
    fn open(side: &'a Side) -> io::Result<Self> {
        let stream = TcpStream::connect(side.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self {
            side,
            stream,
            buffer: vec![0; 64 << 10],
        })
    }

    fn ask(&mut self, body: &serde_json::Value) -> io::Result<()> {
        let body = body.to_string();
        let request = format!("{}content-length: {}\r\n\r\n{body}", self.side.head, body.len());
        self.stream.write_all(request.as_bytes())?;
        let (mut filled, mut wanted) = (0, usize::MAX);
        while filled < wanted {
            let read = self.stream.read(&mut self.buffer[filled..])?;
            if read == 0 {
                return Err(io::Error::other("the connection was closed"));
            }
            filled += read;
            if wanted == usize::MAX {
                let text = String::from_utf8_lossy(&self.buffer[..filled]);
                let Some(end) = text.find("\r\n\r\n") else { continue };
                let length = text[..end]
                    .to_ascii_lowercase()
                    .split("content-length: ")
                    .nth(1)
                    .and_then(|rest| rest.split("\r\n").next()?.parse::<usize>().ok());
                if !text.starts_with("HTTP/1.1 200") || text.contains("\"type\":\"error\"") {
                    return Err(io::Error::other(text.into_owned()));
                }
                wanted = end + 4 + length.ok_or_else(|| io::Error::other("an answer without a length"))?;
            }
        }
        Ok(())
    }
}
