//! A bare primary of libSQL server and its replica, as one would run them by hand.

use crate::http::Side;
use crate::support::sqld::{Sqld, free_port};
use std::net::SocketAddr;

pub struct Pair {
    admin: SocketAddr,
    primary: Sqld,
    replica: Sqld,
}

impl Pair {
    pub fn start() -> Self {
        let local = |port| format!("127.0.0.1:{port}");
        let (log, admin) = (local(free_port()), local(free_port()));
        const NAMESPACES: [&str; 3] = [
            "--enable-namespaces",
            "--disable-default-namespace",
            "--max-active-namespaces=100000",
        ];
        let primary = Sqld::start_with(
            &[
                &NAMESPACES[..],
                &["--admin-listen-addr", &admin, "--grpc-listen-addr", &log],
            ]
            .concat(),
        );
        let url = format!("http://{log}");
        let replica = Sqld::start_with(&[&NAMESPACES[..], &["--primary-grpc-url", &url]].concat());
        Self {
            admin: admin.parse().unwrap(),
            primary,
            replica,
        }
    }

    /// Makes a namespace.
    pub fn create(&self, name: &str) -> Side {
        Side::new(
            self.admin,
            &format!("POST /v1/namespaces/{name}/create"),
            "localhost",
            None,
        )
    }

    pub fn at_primary(&self, name: &str) -> Side {
        at(&self.primary, name)
    }

    pub fn at_replica(&self, name: &str) -> Side {
        at(&self.replica, name)
    }
}

fn at(server: &Sqld, name: &str) -> Side {
    Side::new(
        server.address(),
        "POST /v2/pipeline",
        &format!("{name}.localhost"),
        None,
    )
}

/// What a namespace is made with: as durable as the server's databases are.
pub const DURABLE: &str = r#"{"durability_mode":"strong"}"#;
