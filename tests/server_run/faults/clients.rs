//! Applications that write and read while faults happen: at the database's own URL and at its replicas', in single requests and in
//! transactions over several.

use super::history::{History, REGISTERS, SeenRegister};
use crate::server_run::Database;
use crate::support::hrana;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long a request may take. Nothing that a server promises takes as long.
const PATIENCE: Duration = Duration::from_secs(20);

/// The pause after a refusal, and between requests: the history is to be read in the end.
const PAUSE: Duration = Duration::from_millis(20);
const PACE: Duration = Duration::from_millis(4);

/// A database, its tables, and what was done to it.
#[derive(Clone)]
pub struct Subject {
    pub name: String,
    pub id: String,
    pub database: Database,
    pub history: Arc<History>,
}

impl Subject {
    pub fn create_tables(&self) {
        let registers = (0..REGISTERS).map(|register| format!("({register}, 0)"));
        let registers: Vec<String> = registers.collect();
        let statements = [
            "CREATE TABLE appended(id INTEGER PRIMARY KEY, body TEXT)".to_owned(),
            "CREATE TABLE register(id INTEGER PRIMARY KEY, number INTEGER)".to_owned(),
            format!("INSERT INTO register VALUES {}", registers.join(", ")),
        ];
        hrana::execute(self.request(&self.database), statements).unwrap();
    }

    fn request(&self, to: &Database) -> reqwest::blocking::RequestBuilder {
        let request = to.client.post(format!("{}/v2/pipeline", to.url));
        request.bearer_auth(&to.token).timeout(PATIENCE)
    }

    /// Notes what came of a write; whether it was acknowledged.
    fn note<T>(&self, to: &Database, asked: Instant, outcome: Result<T, String>) -> Option<T> {
        self.history.note_write(asked);
        match outcome {
            Ok(answer) => Some(answer),
            Err(error) => {
                self.history.note_refusal(&error, to.url == self.database.url);
                std::thread::sleep(PAUSE);
                None
            }
        }
    }

    /// Writes pairs and one register in single requests until told to stop.
    pub fn write(&self, to: &Database, register: usize, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            let (pair, asked) = (self.history.ask_pair(), Instant::now());
            let outcome = hrana::execute(self.request(to), [insert_pair(pair)]);
            if self.note(to, asked, outcome).is_some() {
                self.history.acknowledge_pair(pair, asked);
            }
            std::thread::sleep(PACE);
            let (number, asked) = (self.history.ask_number(register), Instant::now());
            let outcome = hrana::execute_to_position(self.request(to), [raise(register, number)]);
            if let Some((_, position)) = self.note(to, asked, outcome) {
                self.history.acknowledge_number(register, number);
                if let Some(position) = position {
                    self.read_own_write(register, &position);
                }
            }
            std::thread::sleep(PACE);
        }
    }

    /// Reads at a replica what was just written, by the position that the answer had.
    fn read_own_write(&self, register: usize, position: &str) {
        let replica = self.database.at(["lhr", "iad"][register % 2]);
        let read = self.history.begin_read(register);
        let request = self.request(&replica).header("torso-position", position);
        match hrana::execute(request, [select(register)]) {
            Ok(rows) => {
                let mut seen = SeenRegister::default();
                self.history.check_read(&read, number(&rows), &mut seen);
            }
            Err(error) => self.history.note_refusal(&error, false),
        }
    }

    /// Writes pairs and one register in transactions over several requests until told to stop.
    pub fn write_transactions(&self, to: &Database, register: usize, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            let (pair, number, asked) = (
                self.history.ask_pair(),
                self.history.ask_number(register),
                Instant::now(),
            );
            let outcome = self.run_transaction(to, &[insert_pair(pair), raise(register, number)]);
            if self.note(to, asked, outcome).is_some() {
                self.history.acknowledge_pair(pair, asked);
                self.history.acknowledge_number(register, number);
            }
            std::thread::sleep(PACE);
        }
    }

    fn run_transaction(&self, to: &Database, statements: &[String]) -> Result<(), String> {
        let mut baton = Value::Null;
        let begin = std::iter::once("BEGIN IMMEDIATE");
        let all = begin.chain(statements.iter().map(String::as_str)).chain(["COMMIT"]);
        for sql in all {
            let mut requests = vec![json!({ "type": "execute", "stmt": { "sql": sql } })];
            if sql == "COMMIT" {
                requests.push(json!({ "type": "close" }));
            }
            let body = json!({ "baton": baton, "requests": requests });
            let answer = self
                .request(to)
                .json(&body)
                .send()
                .map_err(|error| format!("{error:?}"))?;
            let status = answer.status();
            let text = answer.text().map_err(|error| format!("{error:?}"))?;
            let mut answer: Value = serde_json::from_str(&text).map_err(|_| format!("{status}: {text}"))?;
            if !status.is_success() || answer["results"][0]["type"] != "ok" {
                return Err(text);
            }
            baton = answer["baton"].take();
        }
        Ok(())
    }

    /// Reads all registers at the database's own URL until told to stop, in one session.
    pub fn read(&self, stop: &AtomicBool) {
        let mut seen = [SeenRegister::default(); REGISTERS];
        while !stop.load(Ordering::Relaxed) {
            for (register, seen) in seen.iter_mut().enumerate() {
                let read = self.history.begin_read(register);
                match hrana::execute(self.request(&self.database), [select(register)]) {
                    Ok(rows) => self.history.check_read(&read, number(&rows), seen),
                    Err(error) => {
                        self.history.note_refusal(&error, true);
                        std::thread::sleep(PAUSE);
                    }
                }
                std::thread::sleep(PACE);
            }
        }
    }

    /// Reads at replicas until told to stop: they may be behind, but show no half transaction.
    pub fn read_replicas(&self, stop: &AtomicBool) {
        for turn in 0.. {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let replica = self.database.at(["lhr", "iad", "ams"][turn % 3]);
            let read = self.history.begin_read(turn % REGISTERS);
            let sql = format!(
                "SELECT number, (SELECT count(*) FROM appended) % 2 FROM register WHERE id = {}",
                turn % REGISTERS
            );
            match hrana::execute(self.request(&replica), [sql]) {
                Ok(rows) if rows.is_empty() => self.history.note_incomplete_read(),
                Ok(rows) => {
                    self.history.note_instance_read(&read, number(&rows));
                    if rows[0][1]["value"] != "0" {
                        self.history
                            .note_violation(format!("{} shows half a transaction", replica.url));
                    }
                }
                Err(error) if error.contains("no such table") => self.history.note_incomplete_read(),
                Err(error) => {
                    self.history.note_refusal(&error, false);
                    std::thread::sleep(PAUSE);
                }
            }
            std::thread::sleep(PACE);
        }
    }

    /// The ids of all rows that are there.
    pub fn rows(&self) -> Result<std::collections::BTreeSet<u64>, String> {
        let rows = hrana::execute(self.request(&self.database), ["SELECT group_concat(id) FROM appended"])?;
        let ids = rows[0][0]["value"].as_str().unwrap_or_default().split(',');
        Ok(ids.filter_map(|id| id.parse().ok()).collect())
    }
}

fn insert_pair(pair: u64) -> String {
    let (first, second) = (2 * pair, 2 * pair + 1);
    format!("INSERT INTO appended VALUES ({first}, 'row {first}'), ({second}, 'row {second}')")
}

/// A request that was given up may be done later; it must not undo what came after it.
fn raise(register: usize, number: u64) -> String {
    format!("UPDATE register SET number = max(number, {number}) WHERE id = {register}")
}

fn select(register: usize) -> String {
    format!("SELECT number FROM register WHERE id = {register}")
}

fn number(rows: &[Value]) -> u64 {
    let text = rows.first().and_then(|row| row[0]["value"].as_str());
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}
