//! What the gateway costs: point reads through a whole server beside the same reads from a bare libSQL server that checks
//! tokens, with connections that are kept, as the time in the middle and as reads a second. The server's own process is
//! asked directly, too, which tells what of the difference is the gateway's and what is how the process is run. All take
//! turns.

use crate::http::{Connection, Side, statement};
use crate::keyed::Keyed;
use crate::support::sqld;
use crate::support::world::TORSO;
use serde_json::json;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::mpsc::{self, Sender};
use std::time::{Duration, Instant};
use torso::control::gateway_plane::GatewayPlane as _;
use torso::control::gateway_plane::Public;
use torso::control::hosted::{CallOrigin, Engines, Hosted, HostedOptions};
use torso::control::tokens::{Authorization, NewToken};
use torso::control::types::CreateDatabase;
use torso::engine::sqld::SqldEngine;
use torso::error::{Code, Error, Result};
use torso::secret::Secret;
use torso::server::{self, ServerConfig};

const ROWS: usize = 10_000;
const TURN: Duration = Duration::from_millis(1500);

/// Most that a read may take longer than without the gateway, and least of the reads a second that must be left.
const ADDED_US: i64 = 150;
const LEFT: f64 = 0.9;

/// The same read through the server, and at its process.
struct Sides {
    through: Side,
    direct: Side,
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
    let engine = SqldEngine::new(sqld::program(), Path::new(TORSO)).map_err(io::Error::other)?;
    let (tell, told) = mpsc::channel();
    let served = serve(dir.path(), engine, tell)?;
    let Ok(sides) = told.recv() else {
        return Err(io::Error::other(format!("no server: {:?}", served.join())));
    };
    let bare = Keyed::start()?;
    compare(&bare.side(), &sides, rounds)?;
    nix::sys::signal::raise(nix::sys::signal::Signal::SIGTERM)?;
    match served.join() {
        Ok(ended) => ended.map_err(io::Error::other),
        Err(_) => Err(io::Error::other("the server failed")),
    }
}

fn compare(bare: &Side, sides: &Sides, rounds: u64) -> io::Result<()> {
    fill(bare)?;
    fill(&sides.through)?;
    let mut out = io::stdout();
    writeln!(
        out,
        "{:<12} {:>8} {:>9} {:>11} {:>9} {:>8} {:>10} {:>11} {:>6}  met",
        "gateway", "sqld us", "direct us", "through us", "added us", "sqld /s", "direct /s", "through /s", "ratio"
    )?;
    let mut missed = 0;
    for clients in [1, 4, 16] {
        let [theirs, direct, ours] = &mut <[Measured; 3]>::default();
        for round in 0..=rounds {
            for (side, measured) in [(bare, &mut *theirs), (&sides.direct, direct), (&sides.through, ours)] {
                // The first round warms up, and counts for nothing.
                if round == 0 {
                    load(side, clients, &mut Measured::default())?;
                } else {
                    load(side, clients, measured)?;
                }
            }
        }
        let added = ours.median().cast_signed() - theirs.median().cast_signed();
        let left = ours.rate() / theirs.rate();
        // Where there are more clients than processors, what is added is mostly time in a queue: the rate tells it.
        let met = left >= LEFT && (clients > 4 || added <= ADDED_US);
        missed += u32::from(!met);
        writeln!(
            out,
            "{:<12} {:>8} {:>9} {:>11} {added:>9} {:>8.0} {:>10.0} {:>11.0} {left:>6.2}  {}",
            format!("read c={clients}"),
            theirs.median(),
            direct.median(),
            ours.median(),
            theirs.rate(),
            direct.rate(),
            ours.rate(),
            if met { "yes" } else { "NO" }
        )?;
    }
    writeln!(
        out,
        "targets met: {} of 3 (added p50 {ADDED_US} us, ratio {LEFT}, both beside bare sqld)",
        3 - missed
    )
}

/// Runs a server on a thread, and tells what to ask once it has a database.
fn serve(dir: &Path, engine: SqldEngine, tell: Sender<Sides>) -> io::Result<std::thread::JoinHandle<Result<()>>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let options = HostedOptions {
        data_dir: dir.join("data"),
        engine: Engines::Sqld(engine),
        locations: None,
        owner: Some("bench".parse().map_err(io::Error::other)?),
        public: Public {
            base: format!("http://{address}").parse().map_err(io::Error::other)?,
            domain: None,
        },
    };
    let config = ServerConfig {
        listener,
        tls: None,
        domain: None,
        prefix: String::new(),
        trusted_proxies: Vec::new(),
        requests_per_second: 0,
        connections_per_address: 0,
        statement_timeout: torso::control::hosted::LONGEST_STATEMENT,
        data_dir: options.data_dir.clone(),
        ends_with_terminal: false,
    };
    let started = move |hosted: &Hosted, token: Option<Secret>| {
        let owner = token.as_ref().map_or("", Secret::expose);
        // This is called where nothing may block, and making a database does.
        let sides = std::thread::scope(|scope| scope.spawn(|| prepare(hosted, owner, address)).join())
            .map_err(|_| Error::new(Code::Internal, "the database could not be prepared"))??;
        // Nobody hears it who has given up.
        let _ = tell.send(sides);
        Ok(())
    };
    Ok(std::thread::spawn(move || {
        server::run(config, move || Hosted::open(options), started)
    }))
}

/// Makes a database.
fn prepare(hosted: &Hosted, owner: &str, address: SocketAddr) -> Result<Sides> {
    let caller = hosted.authenticate(owner, &CallOrigin::default())?;
    let plane = hosted.plane(&caller, None)?;
    plane.create_database(&CreateDatabase {
        name: "app".parse()?,
        group: None,
        location: None,
        seed: None,
        size_limit: None,
        expires_at: None,
    })?;
    let token = plane.create_database_token(&"app".parse()?, &NewToken::default())?.jwt;
    let route = hosted
        .route("app-bench")
        .ok_or_else(|| Error::new(Code::Internal, "no route"))?;
    let endpoint = hosted.endpoint(&route)?;
    let internal = hosted.internal_token(&route, Authorization::FullAccess)?;
    let side = |address, path: &str, host: &str, token: &Secret| {
        let authorization = format!("Bearer {}", token.expose());
        Side::new(address, &format!("POST {path}"), host, Some(&authorization))
    };
    Ok(Sides {
        direct: side(endpoint.address, "/v2/pipeline", &endpoint.host, &internal),
        through: side(address, "/db/app-bench/v2/pipeline", "localhost", &token),
    })
}

fn fill(side: &Side) -> io::Result<()> {
    let mut connection = Connection::to(side)?;
    for sql in [
        "create table t (id integer primary key, text)".to_owned(),
        format!(
            "with recursive n(x) as (select 1 union all select x + 1 from n limit {ROWS})
             insert into t select x, 'a row of some length that says ' || x from n"
        ),
    ] {
        connection.ask(side, &statement(&sql))?;
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
                    let mut connection = Connection::to(side)?;
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
                        connection.ask(side, &body.to_string())?;
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
