//! The administration port of a libSQL server process: namespaces, their settings, their statistics; and of its other port
//! what the engine itself needs.
//!
//! That port answers 200 for unknown paths, too, so only routes that are known to exist are called.

use crate::engine::Limits;
use crate::error::{Code, Error, Result};
use crate::secret::Secret;
use reqwest::StatusCode;
use reqwest::blocking::{Client, RequestBuilder};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

/// How long an ordinary request may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a process may take to import a database file, which depends on the disk.
const IMPORT_PATIENCE: Duration = Duration::from_secs(900);

/// How long a transaction may be waited for: a process ends one that others wait for after 5 seconds.
const WRITERS_PATIENCE: Duration = Duration::from_secs(20);

/// The size, in bytes, that means unlimited to the server.
const UNLIMITED: u64 = 1_000_000_000_000_000_000;

/// A process's counters for a namespace, since the namespace was made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Usage {
    #[serde(rename = "rows_read_count")]
    pub rows_read: u64,
    #[serde(rename = "rows_written_count")]
    pub rows_written: u64,
    /// Bytes stored; updated about once a minute.
    #[serde(rename = "storage_bytes_used")]
    pub storage: u64,
    /// The statements that read and wrote the most rows.
    #[serde(default)]
    pub top_queries: Vec<TopQuery>,
}

/// A statement, and the rows that one run of it read and wrote.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TopQuery {
    pub query: String,
    pub rows_read: u64,
    pub rows_written: u64,
}

/// A client for the administration ports, which all have the same key.
pub(super) struct Admin {
    client: Client,
    key: Secret,
}

impl Admin {
    pub fn new(key: Secret) -> Result<Self> {
        crate::net::use_ring();
        let client = Client::builder()
            .no_proxy()
            .connect_timeout(Duration::from_secs(1))
            .timeout(PATIENCE)
            .build()
            .map_err(|error| Error::new(Code::Internal, "cannot make an HTTP client").caused_by(error))?;
        Ok(Self { client, key })
    }

    /// Whether the process answers on its user port.
    pub fn healthy(&self, http: u16) -> bool {
        self.client
            .get(format!("http://127.0.0.1:{http}/health"))
            .timeout(Duration::from_secs(2))
            .send()
            .is_ok_and(|answer| answer.status() == StatusCode::OK)
    }

    /// Makes a namespace, empty or from the file in its place. True if it existed already.
    pub fn create(&self, port: u16, id: &str) -> Result<bool> {
        let request = self
            .client
            .post(path(port, id, "/create"))
            .timeout(IMPORT_PATIENCE)
            // Anything less loses acknowledged rows in a power failure.
            .json(&json!({ "durability_mode": "strong" }));
        match self.send(request)? {
            (StatusCode::OK, _) => Ok(false),
            (StatusCode::BAD_REQUEST, text) if text.contains("already exists") => Ok(true),
            other => Err(refused("make", id, other)),
        }
    }

    /// Removes a namespace with its files. A missing one is not an error.
    pub fn delete(&self, port: u16, id: &str) -> Result<()> {
        match self.send(self.client.delete(path(port, id, "")).json(&json!({})))? {
            (StatusCode::OK | StatusCode::NOT_FOUND, _) => Ok(()),
            other => Err(refused("remove", id, other)),
        }
    }

    /// Sets all settings, because the server resets some of those that a request leaves out.
    pub fn configure(&self, port: u16, id: &str, limits: &Limits) -> Result<()> {
        // Users see it after the server's own error message.
        let reason = match limits {
            Limits { over_quota: true, .. } => Some(
                "the organization stores more than its storage quota; destroy databases, or ask the server's administrator \
                 for a larger quota",
            ),
            Limits { block_reads: true, .. } | Limits { block_writes: true, .. } => {
                Some("blocked by the database's configuration")
            }
            _ => None,
        };
        let settings = json!({
            "block_reads": limits.block_reads,
            "block_writes": limits.block_writes || limits.over_quota,
            "block_reason": reason,
            "max_db_size": limits.max_size.unwrap_or(UNLIMITED),
            "allow_attach": limits.allow_attach,
            "heartbeat_url": Value::Null,
            "jwt_key": Value::Null,
            "txn_timeout_s": Value::Null,
            "durability_mode": "strong",
        });
        match self.send(self.client.post(path(port, id, "/config")).json(&settings))? {
            (StatusCode::OK, _) => Ok(()),
            other => Err(refused("configure", id, other)),
        }
    }

    /// The counters of a namespace. Asking for them also makes the process load the namespace, and a replica follow it.
    pub fn usage(&self, port: u16, id: &str) -> Result<Usage> {
        match self.send(self.client.get(path(port, id, "/stats")))? {
            (StatusCode::OK, text) => serde_json::from_str(&text).map_err(|error| {
                Error::new(
                    Code::Unavailable,
                    "libSQL server tells its statistics in an unknown form",
                )
                .caused_by(error)
            }),
            other => Err(refused("load", id, other)),
        }
    }

    /// Takes the place of whoever writes to a namespace, on the port that takes SQL, and gives it back: returns once all
    /// transactions that wrote before have ended.
    pub fn await_writers(&self, http: u16, host: &str, token: &Secret) -> Result<()> {
        let statement = |sql: &str| json!({ "type": "execute", "stmt": { "sql": sql } });
        let body = json!({ "requests": [statement("BEGIN IMMEDIATE"), statement("ROLLBACK"), { "type": "close" }] });
        let answer = self
            .client
            .post(format!("http://127.0.0.1:{http}/v2/pipeline"))
            .header("host", host)
            .bearer_auth(token.expose())
            .timeout(WRITERS_PATIENCE)
            .json(&body)
            .send()
            .and_then(|answer| answer.error_for_status()?.json::<Value>());
        let answer = answer.map_err(|error| {
            Error::new(Code::Unavailable, "libSQL server does not answer").caused_by(error.without_url())
        })?;
        match answer["results"][0]["type"].as_str() {
            Some("ok") => Ok(()),
            _ => Err(Error::new(
                Code::DatabaseBusy,
                "a transaction that writes to the database does not end",
            )
            .caused_by(
                answer["results"][0]["error"]["message"]
                    .as_str()
                    .unwrap_or("")
                    .to_owned(),
            )
            .hint("end what writes to it, then try again")),
        }
    }

    fn send(&self, request: RequestBuilder) -> Result<(StatusCode, String)> {
        let unreachable = |error: reqwest::Error| {
            let code = if error.is_timeout() {
                Code::Timeout
            } else {
                Code::Unavailable
            };
            Error::new(code, "libSQL server does not answer")
                .caused_by(error.without_url())
                .hint("it is started again when it ended; try again in a moment")
        };
        // The server wants this scheme, with the key unencoded.
        let answer = request
            .header("authorization", format!("basic {}", self.key.expose()))
            .send()
            .map_err(unreachable)?;
        let status = answer.status();
        Ok((status, answer.text().map_err(unreachable)?))
    }
}

fn path(port: u16, id: &str, rest: &str) -> String {
    format!("http://127.0.0.1:{port}/v1/namespaces/{id}{rest}")
}

fn refused(doing: &str, id: &str, (status, text): (StatusCode, String)) -> Error {
    let why = serde_json::from_str::<Value>(&text)
        .ok()
        .and_then(|body| body.get("error")?.as_str().map(str::to_owned))
        .unwrap_or_else(|| format!("status {}", status.as_u16()));
    Error::new(
        Code::Unavailable,
        format!("libSQL server did not {doing} the database {id}"),
    )
    .caused_by(why)
}
