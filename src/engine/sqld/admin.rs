//! The administration port of a libSQL server process: namespaces, their settings, their statistics; and of its other port
//! what the engine itself needs.
//!
//! That port answers 200 for unknown paths, too, so only routes that are known to exist are called.

use super::database_names::DatabaseNames;
use super::http::{Method, ProcessRequest, StatusCode, send_request};
use crate::engine::DatabaseLimits;
use crate::engine::process::Listener;
use crate::error::{Code, Error, Result};
use crate::secret::Secret;
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
pub struct NamespaceUsage {
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

/// How to reach a process that runs, and its administration.
#[derive(Clone)]
pub(super) struct Admin {
    /// Its administration port, and the one that takes SQL.
    pub listener: Listener,
    pub sql: Listener,
    /// Opens the administration port of this process only, until it ends.
    key: Secret,
    names: DatabaseNames,
}

impl Admin {
    pub fn new(listener: Listener, sql: Listener, key: Secret, names: DatabaseNames) -> Self {
        Self {
            listener,
            sql,
            key,
            names,
        }
    }

    /// Whether the process answers on its user port.
    pub fn healthy(&self) -> bool {
        let request = ProcessRequest {
            method: Method::GET,
            path: "/health",
            host: "localhost",
            authorization: None,
            body: None,
            timeout: Duration::from_secs(2),
        };
        send_request(&self.sql, &request).is_ok_and(|(status, _)| status == StatusCode::OK)
    }

    /// Makes a namespace, empty or from the file in its place. True if it existed already.
    pub fn create(&self, id: &str) -> Result<bool> {
        // Anything less loses acknowledged rows in a power failure.
        self.create_with(id, "strong")
    }

    /// The same of one whose writes do not wait for the disk: a power failure may undo the last ones.
    pub fn create_unsynced(&self, id: &str) -> Result<bool> {
        self.create_with(id, "relaxed")
    }

    fn create_with(&self, id: &str, durability: &str) -> Result<bool> {
        let settings = json!({ "durability_mode": durability });
        match self.send_within(IMPORT_PATIENCE, Method::POST, id, "/create", Some(&settings))? {
            (StatusCode::OK, _) => Ok(false),
            (StatusCode::BAD_REQUEST, text) if text.contains("already exists") => Ok(true),
            other => Err(self.refused("make", id, other)),
        }
    }

    /// Removes a namespace with its files. A missing one is not an error.
    pub fn delete(&self, id: &str) -> Result<()> {
        match self.send(Method::DELETE, id, "", Some(&json!({})))? {
            (StatusCode::OK | StatusCode::NOT_FOUND, _) => Ok(()),
            other => Err(self.refused("remove", id, other)),
        }
    }

    /// Sets all settings, because the server resets some of those that a request leaves out. `size_over_quota` bounds the bytes of
    /// the database, besides its own limit. A bound below its present size means the present size.
    pub fn configure(&self, id: &str, limits: &DatabaseLimits, size_over_quota: Option<u64>) -> Result<()> {
        self.configure_because(id, limits, size_over_quota, None)
    }

    /// The same, with what users are told of what is blocked.
    pub fn configure_because(
        &self,
        id: &str,
        limits: &DatabaseLimits,
        size_over_quota: Option<u64>,
        reason: Option<&str>,
    ) -> Result<()> {
        // Users see it after the server's own error message.
        let settings = match limits {
            _ if reason.is_some() => reason,
            DatabaseLimits { block_reads: true, .. } | DatabaseLimits { block_writes: true, .. } => {
                Some("blocked by the database's configuration")
            }
            _ => None,
        };
        let settings = json!({
            "block_reads": limits.block_reads,
            "block_writes": limits.block_writes,
            "block_reason": settings,
            "max_db_size": limits.max_size.unwrap_or(UNLIMITED).min(size_over_quota.unwrap_or(UNLIMITED)),
            "allow_attach": limits.allow_attach,
            "heartbeat_url": Value::Null,
            "jwt_key": Value::Null,
            "txn_timeout_s": Value::Null,
            "durability_mode": "strong",
        });
        match self.send(Method::POST, id, "/config", Some(&settings))? {
            (StatusCode::OK, _) => Ok(()),
            other => Err(self.refused("configure", id, other)),
        }
    }

    /// The counters of a namespace. Asking for them also makes the process load the namespace, and a replica follow it.
    pub fn usage(&self, id: &str) -> Result<NamespaceUsage> {
        match self.send(Method::GET, id, "/stats", None)? {
            (StatusCode::OK, text) => serde_json::from_str(&text).map_err(|error| {
                Error::new(
                    Code::Unavailable,
                    "libSQL server returned statistics in an unknown format",
                )
                .caused_by(error)
            }),
            other => Err(self.refused("load", id, other)),
        }
    }

    /// Sends a pipeline of Hrana for a namespace to the port that takes SQL; returns the status and the text of the answer.
    fn send_pipeline(
        &self,
        host: &str,
        token: &Secret,
        body: &Value,
        timeout: Duration,
    ) -> Result<(StatusCode, String)> {
        let request = ProcessRequest {
            method: Method::POST,
            path: "/v2/pipeline",
            host,
            authorization: Some(format!("Bearer {}", token.expose())),
            body: Some(body),
            timeout,
        };
        send_request(&self.sql, &request)
    }

    /// Runs statements on the port that takes SQL. Returns the first value of the first row that the last one has read; null
    /// without one. Fails with `invalid_file` if the namespace is not there or a statement fails.
    pub fn run_statements(&self, host: &str, token: &Secret, sql: &[&str], timeout: Duration) -> Result<Value> {
        let mut requests: Vec<Value> = sql
            .iter()
            .map(|sql| json!({ "type": "execute", "stmt": { "sql": sql } }))
            .collect();
        requests.push(json!({ "type": "close" }));
        let (status, text) = self.send_pipeline(host, token, &json!({ "requests": requests }), timeout)?;
        let answer: Value = serde_json::from_str(&text).unwrap_or_default();
        let failed = answer["results"]
            .as_array()
            .and_then(|results| results.iter().find(|result| result["type"] != "ok"));
        if status != StatusCode::OK || failed.is_some() {
            let cause = failed.map_or_else(|| format!("status {status}"), |result| result["error"].to_string());
            return Err(Error::new(Code::InvalidFile, "statements of torso's own have failed").caused_by(cause));
        }
        let last = &answer["results"][sql.len() - 1];
        Ok(last["response"]["result"]["rows"][0][0]["value"].clone())
    }

    /// Takes the place of whoever writes to a namespace, on the port that takes SQL, and gives it back: returns once all
    /// transactions that wrote before have ended.
    pub fn await_writers(&self, host: &str, token: &Secret) -> Result<()> {
        self.in_place_of_writers(host, token, || Ok(()))
    }

    /// The same, and does something while no transaction that writes is open.
    pub fn in_place_of_writers(&self, host: &str, token: &Secret, work: impl FnOnce() -> Result<()>) -> Result<()> {
        let statement = |sql: &str| json!({ "type": "execute", "stmt": { "sql": sql } });
        let begun = self.send_to_stream(host, token, &Value::Null, json!([statement("BEGIN IMMEDIATE")]))?;
        let done = match begun["results"][0]["type"].as_str() {
            Some("ok") => work(),
            _ => Err(Error::new(
                Code::DatabaseBusy,
                "a transaction that writes to the database does not end",
            )
            .caused_by(error_of(&begun))
            .hint("end what writes to it, then try again")),
        };
        let end = json!([statement("ROLLBACK"), { "type": "close" }]);
        let ended = self.send_to_stream(host, token, &begun["baton"], end)?;
        done?;
        match ended["results"][0]["type"].as_str() {
            Some("ok") => Ok(()),
            _ => Err(Error::new(
                Code::DatabaseBusy,
                "another transaction took the place of the server's own",
            )
            .caused_by(error_of(&ended))
            .hint("try again when less is written")),
        }
    }

    /// Sends requests of Hrana to a stream, or to a new one without a baton.
    fn send_to_stream(&self, host: &str, token: &Secret, baton: &Value, requests: Value) -> Result<Value> {
        let body = json!({ "baton": baton, "requests": requests });
        let (status, text) = self.send_pipeline(host, token, &body, WRITERS_PATIENCE)?;
        serde_json::from_str(&text).map_err(|_| {
            Error::new(Code::Unavailable, "libSQL server does not answer").caused_by(format!("status {status}"))
        })
    }

    /// Opens a namespace on the port that takes SQL and commits a transaction that writes what is there already: every part of
    /// the process that a client's write goes through has seen its files then. Blocked writes are not an error.
    pub fn commit_no_change(&self, host: &str, token: &Secret) -> Result<()> {
        let pipeline = |requests: Value| -> Result<Value> {
            let (_, text) = self.send_pipeline(host, token, &json!({ "requests": requests }), PATIENCE)?;
            Ok(serde_json::from_str(&text).unwrap_or_default())
        };
        let statement = |sql: &str| json!({ "type": "execute", "stmt": { "sql": sql } });
        let close = json!({ "type": "close" });
        let read = pipeline(json!([statement("PRAGMA user_version"), close]))?;
        let value = &read["results"][0]["response"]["result"]["rows"][0][0]["value"];
        if let Some(version) = value.as_str().and_then(|text| text.parse::<i32>().ok()) {
            pipeline(json!([statement(&format!("PRAGMA user_version = {version}")), close]))?;
        }
        Ok(())
    }

    fn send(&self, method: Method, id: &str, rest: &str, body: Option<&Value>) -> Result<(StatusCode, String)> {
        self.send_within(PATIENCE, method, id, rest, body)
    }

    fn send_within(
        &self,
        timeout: Duration,
        method: Method,
        id: &str,
        rest: &str,
        body: Option<&Value>,
    ) -> Result<(StatusCode, String)> {
        let request = ProcessRequest {
            method,
            path: &format!("/v1/namespaces/{id}{rest}"),
            host: "localhost",
            // The server wants this scheme, with the key unencoded.
            authorization: Some(format!("basic {}", self.key.expose())),
            body,
            timeout,
        };
        send_request(&self.listener, &request)
    }

    /// The error for what a process did not do with a namespace.
    fn refused(&self, doing: &str, id: &str, (status, text): (StatusCode, String)) -> Error {
        let why = serde_json::from_str::<Value>(&text)
            .ok()
            .and_then(|body| body.get("error")?.as_str().map(str::to_owned))
            .unwrap_or_else(|| format!("status {}", status.as_u16()));
        Error::new(
            Code::Unavailable,
            format!("libSQL server did not {doing} database {}", self.names.name_of(id)),
        )
        .caused_by(why)
    }
}

/// What the first result of a pipeline says went wrong.
fn error_of(answer: &Value) -> String {
    answer["results"][0]["error"]["message"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}
