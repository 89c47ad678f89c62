//! The engine over real libSQL server processes, by itself and under the control plane: what it must do when all is
//! well, and when processes, directories and supervisors are not.

mod confined;
mod crashes;
mod damage;
mod demand;
mod faults;
mod forced_promotion;
mod hosted;
mod isolation;
mod lifecycle;
mod plane;
mod program;
mod promotion;
mod remote;
mod remote_primary;
mod vectors;
mod verification;
mod vocabulary;

use crate::support::hrana;
use crate::support::sqld::program;
use crate::support::world::TORSO;
use serde_json::Value;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use torso::engine::sqld::{Access, Endpoint, EngineSettings, SqldEngine};
use torso::engine::{Engine as _, InstanceRole, Site};

/// An engine over a directory of its own.
struct Fleet {
    engine: SqldEngine,
    dir: Home,
}

/// A directory, removed at the end where it is the fleet's own.
enum Home {
    Own(tempfile::TempDir),
    Lent(PathBuf),
}

impl Home {
    fn path(&self) -> &Path {
        match self {
            Self::Own(dir) => dir.path(),
            Self::Lent(dir) => dir,
        }
    }
}

impl Fleet {
    fn new() -> Self {
        Self {
            engine: engine(),
            dir: Home::Own(tempfile::Builder::new().prefix("torso-fleet-").tempdir().unwrap()),
        }
    }

    fn with(settings: &EngineSettings) -> Self {
        Self {
            engine: SqldEngine::with_settings(program(), Path::new(TORSO), settings).unwrap(),
            ..Self::new()
        }
    }

    fn over(dir: &Path) -> Self {
        Self {
            engine: engine(),
            dir: Home::Lent(dir.to_owned()),
        }
    }

    /// Ends all processes and begins with another engine, as a new server process would.
    fn restart(&mut self) {
        self.engine.shutdown();
        self.engine = engine();
    }

    fn site(&self, location: &str, id: &str) -> Site {
        Site {
            location: location.to_owned(),
            dir: self.dir.path().join(location),
            external: false,
            pool: Some("pool".to_owned()),
            id: id.to_owned(),
            epoch: 1,
            database: None,
            group: Some("default".to_owned()),
        }
    }

    fn sql(&self, at: &Site, sql: &str) -> Result<Vec<Value>, String> {
        self.engine.endpoint(at).unwrap();
        self.try_sql(at, sql)
    }

    /// The same where the instance may end at any moment.
    fn try_sql(&self, at: &Site, sql: &str) -> Result<Vec<Value>, String> {
        let token = self
            .engine
            .token(&at.id, Access::ReadWrite, Duration::from_secs(60))
            .unwrap();
        let endpoint = self.engine.endpoint(at).map_err(|error| error.to_string())?;
        query(&endpoint, token.expose(), sql)
    }

    /// The number that a query answers.
    fn number(&self, at: &Site, sql: &str) -> i64 {
        number(&self.sql(at, sql).unwrap())
    }

    /// The same where the instance may not be there.
    fn number_or_none(&self, at: &Site, sql: &str) -> Option<i64> {
        self.try_sql(at, sql).ok().map(|rows| number(&rows))
    }

    /// The directory of the process that serves an instance.
    fn home(&self, at: &Site) -> PathBuf {
        at.dir.join(at.pool.as_ref().unwrap())
    }

    /// The process that holds the lock of an instance's directory; 0 while it is being taken.
    fn pid(&self, at: &Site) -> i32 {
        pid(&self.home(at))
    }

    fn is_fresh(&self, primary: &Site, replica: &Site) -> bool {
        let primary = self.engine.running(primary).unwrap().unwrap();
        let replica = self.engine.running(replica).unwrap().unwrap();
        matches!(replica.role, InstanceRole::Replica { position, .. } if position == primary.position)
    }
}

fn engine() -> SqldEngine {
    SqldEngine::new(program(), Path::new(TORSO)).unwrap()
}

fn pid(home: &Path) -> i32 {
    let text = std::fs::read_to_string(home.join("lock")).unwrap();
    text.split_ascii_whitespace()
        .next()
        .map_or(0, |pid| pid.parse().unwrap())
}

fn kill(pid: i32) {
    assert!(pid > 1, "nobody holds the lock");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
}

fn is_alive(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit_once(')').unwrap().1.trim_start().starts_with('Z'))
}

/// A request to a process, as the gateway makes it.
fn pipeline(address: SocketAddr, host: &str, token: &str) -> reqwest::blocking::RequestBuilder {
    torso::net::use_ring();
    reqwest::blocking::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(10))
        .build()
        .unwrap()
        .post(format!("http://{address}/v2/pipeline"))
        .header("host", host)
        .bearer_auth(token)
}

/// Runs statements at an endpoint: the rows of the last one, or the first error.
fn query(to: &Endpoint, token: &str, sql: &str) -> Result<Vec<Value>, String> {
    query_at(to.address, &to.host, token, sql)
}

fn query_at(address: SocketAddr, host: &str, token: &str, sql: &str) -> Result<Vec<Value>, String> {
    hrana::execute(
        pipeline(address, host, token),
        sql.split(';').filter(|statement| !statement.trim().is_empty()),
    )
}

fn number(rows: &[Value]) -> i64 {
    rows[0][0]["value"].as_str().unwrap().parse().unwrap()
}
