//! The engine of libSQL server, as a peer process that tells what texts touch (`tests/peers/engine`).

use super::grammar::words::DANGEROUS_FUNCTIONS;
use super::grammar::{CANARIES, SCHEMA};
use crate::support::installed;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};

/// Instructions of the engine's machine that a statement may take.
const INSTRUCTIONS: u32 = 20_000;

/// One call of the engine's authorizer, or of a function that is watched (`call`).
#[derive(Deserialize, Debug, Clone, PartialEq)]
pub struct Event(pub String, pub String, pub String, pub String, pub String);

/// A statement that the engine ran on its own account.
#[derive(Deserialize, Debug, Clone)]
pub struct Nested {
    pub readonly: bool,
    pub sql: String,
}

/// One statement of a text as the engine split it.
#[derive(Deserialize, Debug, Clone)]
pub struct EngineStatement {
    pub end: usize,
    pub prepare_error: Option<String>,
    pub step_error: Option<String>,
    pub readonly: bool,
    pub explain: i32,
    pub changed_at_prepare: bool,
    pub events: Vec<Event>,
    pub nested: Vec<Nested>,
}

/// What the engine did with a text.
#[derive(Deserialize, Debug, Clone, Default)]
pub struct Report {
    pub statements: Vec<EngineStatement>,
    pub rest: usize,
    pub stored: Vec<Event>,
    pub files: Vec<String>,
    pub secret: bool,
    /// Whether the text ended the engine's process.
    #[serde(default)]
    pub crashed: bool,
}

impl Report {
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.statements.iter().flat_map(|statement| &statement.events)
    }

    /// Whether the engine took everything that was in the text.
    pub fn is_accepted(&self) -> bool {
        !self.crashed
            && self
                .statements
                .iter()
                .all(|statement| statement.prepare_error.is_none())
    }
}

/// A running peer.
pub struct Engine {
    process: Child,
    folder: tempfile::TempDir,
    watched: Vec<String>,
    /// Names of functions, modules and pragmas that the engine has.
    pub vocabulary: BTreeMap<String, Vec<String>>,
}

impl Engine {
    /// Starts a peer in which dangerous functions only tell that they are called.
    pub fn start() -> Self {
        Self::start_watching(DANGEROUS_FUNCTIONS)
    }

    /// Starts a peer in which the functions of those names only tell that they are called.
    pub fn start_watching(functions: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("torso-engine-").tempdir().unwrap();
        // The engine's wrapping of its files calls this one by itself.
        let watched = functions
            .iter()
            .filter(|&&name| name != "sqlite3mc_config_table")
            .map(|&name| name.to_owned())
            .collect();
        let process = spawn(&folder);
        let mut engine = Self {
            process,
            folder,
            watched,
            vocabulary: BTreeMap::new(),
        };
        engine.set_up();
        engine
    }

    fn set_up(&mut self) {
        self.send(
            &json!({ "schema": SCHEMA, "stubs": self.watched, "canaries": CANARIES, "instructions": INSTRUCTIONS }),
        )
        .unwrap();
        self.vocabulary = serde_json::from_slice(&self.receive().expect("the engine does not start")).unwrap();
    }

    fn send(&mut self, value: &serde_json::Value) -> std::io::Result<()> {
        let bytes = value.to_string().into_bytes();
        let input = self.process.stdin.as_mut().unwrap();
        input.write_all(&u32::try_from(bytes.len()).unwrap().to_le_bytes())?;
        input.write_all(&bytes)?;
        input.flush()
    }

    fn receive(&mut self) -> std::io::Result<Vec<u8>> {
        let output = self.process.stdout.as_mut().unwrap();
        let mut length = [0; 4];
        output.read_exact(&mut length)?;
        let mut bytes = vec![0; u32::from_le_bytes(length) as usize];
        output.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Reports about the first of the texts, up to the one that ends the process.
    fn exchange(&mut self, texts: &[String]) -> Vec<Report> {
        let mut reports = Vec::new();
        if self.send(&json!(texts)).is_err() {
            return reports;
        }
        while reports.len() < texts.len()
            && let Ok(report) = self.receive()
        {
            reports.push(serde_json::from_slice(&report).unwrap());
        }
        reports
    }

    /// What each text does, each in a fresh database.
    pub fn reports(&mut self, texts: &[String]) -> Vec<Report> {
        let mut reports = self.exchange(texts);
        while reports.len() < texts.len() {
            let _ = self.process.wait();
            self.process = spawn(&self.folder);
            self.set_up();
            // What an earlier text did to the process's memory is not this one's doing: only what ends a new one counts.
            let again = self.exchange(&texts[reports.len()..=reports.len()]);
            reports.push(again.into_iter().next().unwrap_or_else(|| {
                let _ = self.process.wait();
                self.process = spawn(&self.folder);
                self.set_up();
                Report {
                    crashed: true,
                    ..Report::default()
                }
            }));
            let rest = self.exchange(&texts[reports.len()..]);
            reports.extend(rest);
        }
        reports
    }

    pub fn report(&mut self, text: &str) -> Report {
        self.reports(&[text.to_owned()]).remove(0)
    }
}

fn spawn(folder: &tempfile::TempDir) -> Child {
    Command::new(installed::engine())
        .arg(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // What it says when it aborts is of no use here.
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
