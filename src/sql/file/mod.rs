//! A session on a SQLite file, through `rusqlite`.
//!
//! It behaves as a connection of the `sqlite3` shell does: foreign keys off, URI names understood, SQLite's own
//! messages. A file opened read-only may be replaced by another program (a replica that is refreshed); the session then
//! opens the new one between two statements. Consecutive statements that differ only in their values are prepared once
//! (`repeated`).

mod changes;
mod connect;
mod failure;
mod repeated;
mod run;
mod schema_guard;
mod statement;

use self::changes::{ChangeTracker, TrackedStatement};
use self::connect::{FileIdentity, connect, identify};
use self::failure::failure;
use self::repeated::{RepeatedInsert, RepeatedOutcome};
use self::run::stream;
use self::schema_guard::SchemaState;
use self::statement::FileStatement;
use super::{Args, Failure, Interrupter, LocalEngine, Outcome, Phase, Rows, Session, Sink, Target};
use crate::error::Result;
use crate::sqltext::insert_values::values_start;
use crate::sync::lock;
use rusqlite::Connection;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(super) struct FileSession {
    connection: Connection,
    target: Target,
    /// The identity of the open file, if it may be replaced.
    identity: Option<FileIdentity>,
    /// Replaced together with the connection, so that interrupters handed out earlier still work.
    handle: Arc<Mutex<rusqlite::InterruptHandle>>,
    /// Changes counted on connections that were replaced.
    changes_before: u64,
    /// Every statement must reach SQLite as it is written: no statement is treated as a repeated one.
    verbatim: bool,
    /// Set by [`Session::watched`]: `verbatim` stays set.
    watched: bool,
    /// The repeated_insert of the last repeated statement.
    repeated_insert: RepeatedInsert,
    changes: ChangeTracker,
    schema_state: SchemaState,
}

impl FileSession {
    pub(super) fn open(target: &Target) -> Result<Self> {
        let (connection, identity) = connect(target)?;
        let handle = Arc::new(Mutex::new(connection.get_interrupt_handle()));
        Ok(Self {
            connection,
            target: target.clone(),
            identity,
            handle,
            changes_before: 0,
            verbatim: false,
            watched: false,
            repeated_insert: RepeatedInsert::default(),
            changes: ChangeTracker::default(),
            schema_state: SchemaState::default(),
        })
    }

    /// The same for a file that nobody else sees before the work on it is done.
    pub(super) fn of_scratch(mut self) -> Self {
        self.changes.is_scratch = true;
        self
    }

    fn begin_statement(&self) -> TrackedStatement {
        self.changes
            .begin(&self.connection, matches!(self.target, Target::Memory))
    }

    /// Rows that the last statement changed; `total` is the count before it.
    fn changes_since(&self, total: u64) -> u64 {
        if self.connection.total_changes() == total {
            0
        } else {
            self.connection.changes()
        }
    }

    /// Opens the file that is at the path now, if it is not the one that is open. Nothing is done inside a transaction,
    /// or if the new file cannot be opened.
    fn follow(&mut self) {
        let (Some(identity), Target::File { path, .. }) = (self.identity, &self.target) else {
            return;
        };
        if identify(path).is_none_or(|now| now == identity) || !self.connection.is_autocommit() {
            return;
        }
        if let Ok((connection, identity)) = connect(&self.target) {
            self.changes_before += self.connection.total_changes();
            *lock(&self.handle) = connection.get_interrupt_handle();
            self.connection = connection;
            self.identity = identity;
            self.schema_state = SchemaState::default();
        }
    }

    fn run_statement(
        &mut self,
        sql: &str,
        args: &Args,
        sink: &mut dyn Sink,
        tracked: &mut TrackedStatement,
    ) -> std::result::Result<Outcome, Failure> {
        match self.repeated(sql, sink) {
            RepeatedOutcome::Done(outcome) => return Ok(outcome),
            RepeatedOutcome::Failed(failure) => return Err(failure),
            RepeatedOutcome::Otherwise => {}
        }
        let consumed = crate::sqltext::split::first_statement(sql.as_bytes());
        if values_start(&sql[..consumed]).is_none() {
            self.connection.flush_prepared_statement_cache();
        }
        let changes_before = self.connection.total_changes();
        let Some(mut statement) = FileStatement::prepare(&self.connection, &sql[..consumed])? else {
            tracked.set_empty();
            return Ok(Outcome {
                consumed,
                ..Outcome::default()
            });
        };
        tracked.describe(&statement, sql);
        statement.bind(args)?;
        sink.prepared(&statement.describe()).map_err(Failure::Sink)?;
        let rows = stream(&mut statement, sink)?;
        let work = Some(statement.counters());
        drop(statement);
        Ok(Outcome {
            consumed,
            ran: true,
            rows,
            changes: self.changes_since(changes_before),
            last_insert_rowid: self.connection.last_insert_rowid(),
            work,
            ..Outcome::default()
        })
    }

    fn insert_rows(&mut self, sql: &str, rows: &mut dyn Rows) -> std::result::Result<u64, Failure> {
        let Some(mut statement) = FileStatement::prepare(&self.connection, sql)? else {
            return Ok(0);
        };
        let mut taken = 0;
        let mut nth = 0;
        let was_in_transaction = !self.connection.is_autocommit();
        while rows.advance().map_err(Failure::Connection)? {
            match statement.insert(rows)? {
                None => taken += 1,
                // What was inserted before is undone, and what comes would be committed row by row.
                Some(failure) if was_in_transaction && self.connection.is_autocommit() => return Err(failure),
                Some(failure) => {
                    let flow = rows.refused(nth, failure).map_err(Failure::Connection)?;
                    if flow.is_break() {
                        break;
                    }
                }
            }
            nth += 1;
        }
        Ok(taken)
    }
}

impl Session for FileSession {
    fn run(&mut self, sql: &str, args: &Args, sink: &mut dyn Sink) -> std::result::Result<Outcome, Failure> {
        self.follow();
        let mut tracked = self.begin_statement();
        let ran = self.run_guarded(sql, |session| session.run_statement(sql, args, sink, &mut tracked));
        self.changes.end(&tracked, &self.connection, ran.is_ok());
        ran
    }

    fn insert_many(&mut self, sql: &str, rows: &mut dyn Rows) -> std::result::Result<u64, Failure> {
        self.follow();
        let tracked = self.begin_statement();
        let inserted = self.run_guarded(sql, |session| session.insert_rows(sql, rows));
        self.changes.end(&tracked, &self.connection, inserted.is_ok());
        inserted
    }

    fn in_transaction(&mut self) -> bool {
        !self.connection.is_autocommit()
    }

    fn interrupter(&self) -> Interrupter {
        let handle = Arc::clone(&self.handle);
        Arc::new(move || lock(&handle).interrupt())
    }

    fn changes(&mut self) -> u64 {
        self.connection.changes()
    }

    fn total_changes(&mut self) -> u64 {
        self.changes_before + self.connection.total_changes()
    }

    fn set_timeout(&mut self, timeout: Duration) -> std::result::Result<(), Failure> {
        self.connection
            .busy_timeout(timeout)
            .map_err(|error| failure(error, Phase::Step))
    }

    fn engine(&mut self) -> Option<&mut dyn LocalEngine> {
        Some(self)
    }

    fn is_local(&self) -> bool {
        true
    }

    fn set_cost_tracking(&mut self, on: bool) {
        self.verbatim = self.watched || on;
    }
}

impl LocalEngine for FileSession {
    fn connection(&mut self) -> &mut Connection {
        self.connection.flush_prepared_statement_cache();
        &mut self.connection
    }

    fn pass_verbatim(&mut self) {
        self.watched = true;
        self.verbatim = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::Value;
    use crate::sql::query::CollectedRows;
    use std::path::Path;

    #[test]
    fn file_session_follows_links_only_where_it_may() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link.db");
        rusqlite::Connection::open(folder.path().join("file.db"))
            .unwrap()
            .execute_batch("create table t(a)")
            .unwrap();
        std::os::unix::fs::symlink("file.db", &link).unwrap();
        let opened = |no_links| {
            let target = Target::file(&link);
            FileSession::open(&target.restricted(false, no_links))
        };
        let mut sink = CollectedRows::default();
        opened(false)
            .unwrap()
            .run("select * from t", &Args::default(), &mut sink)
            .unwrap();
        assert!(opened(true).is_err());
    }

    #[test]
    fn file_session_runs_statements_one_by_one() {
        let mut session = FileSession::open(&Target::Memory).unwrap();
        let sql = "create table t(a); insert into t values(1),(:x); select a from t; -- done";
        let args = Args {
            named: vec![(":x".to_owned(), Value::Text("two".to_owned()))],
            ..Args::default()
        };
        let mut sink = CollectedRows::default();
        let mut at = 0;
        let mut changes = Vec::new();
        while at < sql.len() {
            let outcome = session.run(&sql[at..], &args, &mut sink).unwrap();
            at += outcome.consumed;
            changes.push((outcome.ran, outcome.changes));
        }
        assert_eq!(changes, [(true, 0), (true, 2), (true, 0), (false, 0)]);
        assert_eq!(sink.0, [[Value::Integer(1)], [Value::Text("two".to_owned())]]);
    }

    #[test]
    fn file_session_failures_tell_phase_code_and_offset() {
        let mut session = FileSession::open(&Target::Memory).unwrap();
        let mut sink = CollectedRows::default();
        let error = session
            .run("select nope from sqlite_schema", &Args::default(), &mut sink)
            .unwrap_err();
        assert!(
            matches!(
                error,
                Failure::Sql {
                    phase: Phase::Prepare,
                    offset: Some(7),
                    code: 1,
                    ..
                }
            ),
            "{error:?}"
        );
        let error = session
            .run("select abs(-9223372036854775808)", &Args::default(), &mut sink)
            .unwrap_err();
        assert!(matches!(error, Failure::Sql { phase: Phase::Step, .. }), "{error:?}");
    }

    #[test]
    fn file_session_follows_a_replaced_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.db");
        let make = |path: &Path, value: i64| {
            let connection = Connection::open(path).unwrap();
            connection.execute_batch("create table t(a)").unwrap();
            connection.execute("insert into t values(?)", [value]).unwrap();
        };
        make(&path, 1);
        let mut session = FileSession::open(&Target::file(&path).restricted(true, false)).unwrap();
        let mut sink = CollectedRows::default();
        session.run("select a from t", &Args::default(), &mut sink).unwrap();
        let next = directory.path().join("b.db");
        make(&next, 2);
        std::fs::rename(&next, &path).unwrap();
        session.run("select a from t", &Args::default(), &mut sink).unwrap();
        assert_eq!(sink.0, [[Value::Integer(1)], [Value::Integer(2)]]);
    }

    #[test]
    fn file_session_with_a_size_limit_does_not_grow_beyond() {
        let dir = tempfile::tempdir().unwrap();
        let mut session = FileSession::open(&Target::File {
            path: dir.path().join("small.db"),
            read_only: false,
            create: true,
            max_bytes: Some(10 * 4096),
            follow_links: true,
        })
        .unwrap();
        let mut sink = CollectedRows::default();
        session.run("create table t(a)", &Args::default(), &mut sink).unwrap();
        let refused = session.run("insert into t values (zeroblob(100000))", &Args::default(), &mut sink);
        assert_eq!(refused.unwrap_err().primary_code(), Some(rusqlite::ffi::SQLITE_FULL));
    }
}
