//! A `torso server` in a world of its own, with a group that has a primary location and replicas.

use crate::http::{Connection, Side};
use crate::support::World;
use crate::support::server::Server;
use std::io;
use std::net::SocketAddr;

/// The group, and its locations.
pub const GROUP: &str = "bench";
pub const PRIMARY: &str = "ams";
pub const REPLICA: &str = "lhr";

pub struct Place {
    pub world: World,
    server: Option<Server>,
    listen: String,
    /// The owner's API token.
    pub token: String,
    /// Opens every database of the group.
    jwt: String,
}

impl Place {
    /// A server with a replica in [`REPLICA`].
    pub fn new() -> io::Result<Self> {
        Self::with(&[REPLICA])
    }

    pub fn with(replicas: &[&str]) -> io::Result<Self> {
        let mut place = Self {
            world: World::new(),
            server: None,
            listen: String::new(),
            token: String::new(),
            jwt: String::new(),
        };
        place.start();
        place.token = place.server().token.clone();
        place.listen = place.server().address().to_owned();
        let mut connection = place.connect()?;
        let mut ok = |line: &str, body: &str| connection.ask(&place.api(line), body).map(str::to_owned);
        let group = format!("{{\"name\":\"{GROUP}\",\"location\":\"{PRIMARY}\"}}");
        ok("POST /v1/organizations/admin/groups", &group)?;
        for replica in replicas {
            ok(
                &format!("POST /v1/organizations/admin/groups/{GROUP}/locations/{replica}"),
                "",
            )?;
        }
        let answer = ok(&format!("POST /v1/organizations/admin/groups/{GROUP}/auth/tokens"), "")?;
        let answer: serde_json::Value = serde_json::from_str(&answer)?;
        answer["jwt"].as_str().unwrap_or_default().clone_into(&mut place.jwt);
        Ok(place)
    }

    /// Starts the server, again on the same port.
    pub fn start(&mut self) {
        let again = ["--rate-limit", "0", "--listen", &self.listen];
        let first = ["--rate-limit", "0", "--locations", "ams,lhr,iad"];
        let arguments = if self.listen.is_empty() { first } else { again };
        self.server = Some(Server::start(&self.world, &arguments));
    }

    /// Ends the server in order.
    pub fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            server.end(nix::sys::signal::Signal::SIGTERM);
        }
    }

    pub fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    pub fn address(&self) -> SocketAddr {
        self.listen.parse().unwrap()
    }

    pub fn connect(&self) -> io::Result<Connection> {
        Connection::open(self.address())
    }

    /// A request of the owner's to the Platform API.
    pub fn api(&self, line: &str) -> Side {
        let authorization = format!("Bearer {}", self.token);
        Side::new(self.address(), line, "localhost", Some(&authorization))
    }

    /// Makes a database in the group.
    pub fn create(&self) -> Side {
        self.api("POST /v1/organizations/admin/databases")
    }

    pub fn at_primary(&self, name: &str) -> Side {
        self.at(&format!("{name}-admin"))
    }

    pub fn at_replica(&self, name: &str) -> Side {
        self.at(&format!("{name}-admin--{REPLICA}"))
    }

    fn at(&self, label: &str) -> Side {
        let authorization = format!("Bearer {}", self.jwt);
        let line = format!("POST /db/{label}/v2/pipeline");
        Side::new(self.address(), &line, "localhost", Some(&authorization))
    }
}

/// The body that makes a database.
pub fn named(name: &str) -> String {
    format!("{{\"name\":\"{name}\",\"group\":\"{GROUP}\"}}")
}
