//! A session on a SQLite file, through `rusqlite`.
//!
//! It behaves as a connection of the `sqlite3` shell does: foreign keys off, URI names understood, SQLite's own
//! messages. A file opened read-only may be replaced by another program (a replica that is refreshed); the session then
//! opens the new one between two statements. Consecutive statements that differ only in their values are prepared once
//! (`repeated`).

mod repeated;

use self::repeated::{RepeatedInsert, RepeatedOutcome};
use super::{
    Args, Column, Explain, Failure, Flow, Interrupter, Outcome, Phase, Prepared, Rows, Session, Sink, Target, Work,
};
use crate::error::{Code, Error, Result};
use crate::sqltext::insert_values::values_start;
use crate::sync::lock;
use rusqlite::config::DbConfig;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Statement, StatementStatus};
use std::cell::Cell;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

/// How long to wait for another program's lock.
const BUSY: Duration = Duration::from_secs(5);

/// Device and inode, which identify a file whatever its name.
type Identity = (u64, u64);

pub(super) struct FileSession {
    connection: Connection,
    target: Target,
    /// The identity of the open file, if it may be replaced.
    identity: Option<Identity>,
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
        })
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
        }
    }
}

fn identify(path: &Path) -> Option<Identity> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

fn connect(target: &Target) -> Result<(Connection, Option<Identity>)> {
    let common = OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut limit = None;
    let (path, flags, watched) = match target {
        Target::File {
            path,
            read_only,
            create,
            max_bytes,
            follow_links,
        } => {
            limit = max_bytes.filter(|_| !read_only);
            let access = match (read_only, create) {
                (true, _) => OpenFlags::SQLITE_OPEN_READ_ONLY,
                (false, false) => OpenFlags::SQLITE_OPEN_READ_WRITE,
                (false, true) => OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
            };
            let links = if *follow_links {
                OpenFlags::empty()
            } else {
                OpenFlags::SQLITE_OPEN_NOFOLLOW
            };
            (path.as_path(), access | common | links, *read_only)
        }
        Target::Memory => (
            Path::new(":memory:"),
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | common,
            false,
        ),
        Target::Remote { url, .. } => {
            return Err(Error::new(Code::Internal, format!("{url} is not a file")));
        }
    };
    // Before opening: if the file is replaced meanwhile, the next check sees the difference.
    let identity = if watched { identify(path) } else { None };
    let connection = Connection::open_with_flags(path, flags).map_err(|error| cannot_open(path, &error))?;
    prepare_connection(&connection)
        .and_then(|()| limit.map_or(Ok(()), |bytes| limit_size(&connection, bytes)))
        .map_err(|error| cannot_open(path, &error))?;
    Ok((connection, identity))
}

/// Limits the file's size. SQLite reports a statement that would exceed it as "database is full".
fn limit_size(connection: &Connection, bytes: u64) -> rusqlite::Result<()> {
    let page_size: i64 = connection.query_row("PRAGMA page_size", [], |row| row.get(0))?;
    let pages = bytes / u64::try_from(page_size).unwrap_or(4096).max(1);
    // SQLite counts pages in 32 bits; a file that is larger already keeps its size.
    let pages = pages.clamp(1, u64::from(u32::MAX) - 1);
    connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))
}

fn cannot_open(path: &Path, error: &rusqlite::Error) -> Error {
    let message = match error {
        // rusqlite adds the path to SQLite's message.
        rusqlite::Error::SqliteFailure(code, _) if code.code == rusqlite::ErrorCode::CannotOpen => {
            "unable to open database file".to_owned()
        }
        rusqlite::Error::SqliteFailure(_, Some(message)) => message.clone(),
        other => other.to_string(),
    };
    let code = if path.exists() {
        Code::InvalidFile
    } else {
        Code::FileNotFound
    };
    Error::new(
        code,
        format!("unable to open database \"{}\": {message}", path.display()),
    )
}

/// Sets the defaults of the `sqlite3` shell, which differ from the library's.
fn prepare_connection(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, false)?;
    super::functions::register(connection)?;
    connection.busy_timeout(BUSY)
}

/// SQLite's error as a failure in `phase`.
fn failure(error: rusqlite::Error, phase: Phase) -> Failure {
    match error {
        rusqlite::Error::SqlInputError { error, msg, offset, .. } => Failure::Sql {
            phase,
            message: msg,
            code: error.extended_code,
            offset: usize::try_from(offset).ok(),
        },
        rusqlite::Error::SqliteFailure(error, message) => Failure::Sql {
            phase,
            message: message.unwrap_or_else(|| error.to_string()),
            code: error.extended_code,
            offset: None,
        },
        other => Failure::Sql {
            phase,
            message: other.to_string(),
            code: rusqlite::ffi::SQLITE_ERROR,
            offset: None,
        },
    }
}

/// Binds every parameter; a missing one is NULL. A bare `?` has the name `?N`.
fn bind(statement: &mut Statement<'_>, args: &Args) -> rusqlite::Result<()> {
    for index in 1..=statement.parameter_count() {
        if let Some(value) = args.positional.get(index - 1) {
            statement.raw_bind_parameter(index, value)?;
            continue;
        }
        if args.named.is_empty() {
            continue;
        }
        let name = statement
            .parameter_name(index)
            .map_or_else(|| format!("?{index}"), str::to_owned);
        if let Some((_, value)) = args.named.iter().find(|(given, _)| *given == name) {
            statement.raw_bind_parameter(index, value)?;
        }
    }
    Ok(())
}

/// The columns of a result. In a damaged schema a name may not be UTF-8, and then rusqlite panics, which is caught
/// here.
fn columns(statement: &Statement<'_>) -> std::result::Result<Vec<Column>, Failure> {
    let described = || {
        let column = |column: rusqlite::Column<'_>| Column {
            name: column.name().to_owned(),
            decltype: column.decl_type().map(str::to_owned),
        };
        statement.columns().map(column).collect()
    };
    quietly(described).map_err(|_| Failure::Sql {
        phase: Phase::Step,
        message: "a column's name is not UTF-8".into(),
        code: rusqlite::ffi::SQLITE_CORRUPT,
        offset: None,
    })
}

thread_local! {
    /// Whether this thread expects, and catches, a panic.
    static EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// Catches a panic of `work` without printing it. The panic hook stays installed: it belongs to the process, and
/// removing it could remove another thread's.
fn quietly<T>(work: impl FnOnce() -> T) -> std::thread::Result<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let tell = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !EXPECTED.get() {
                tell(panic);
            }
        }));
    });
    EXPECTED.set(true);
    let worked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
    EXPECTED.set(false);
    worked
}

/// An empty buffer for the next row, in the memory of the last one.
fn emptied<'a>(mut buffer: Vec<ValueRef<'_>>) -> Vec<ValueRef<'a>> {
    buffer.clear();
    buffer.into_iter().map(|_| ValueRef::Null).collect()
}

/// Steps through a statement; returns the number of rows.
fn stream(statement: &mut Statement<'_>, sink: &mut dyn Sink) -> std::result::Result<u64, Failure> {
    let width = statement.column_count();
    let mut count = 0;
    let mut buffer: Vec<ValueRef<'_>> = Vec::with_capacity(width);
    let mut described = width == 0;
    let mut rows = statement.raw_query();
    loop {
        let row = match rows.next() {
            Ok(row) => row,
            Err(error) => return Err(failure(error, Phase::Step)),
        };
        let Some(row) = row else { break };
        count += 1;
        if width == 0 {
            continue;
        }
        if !described {
            described = true;
            let statement: &Statement<'_> = row.as_ref();
            sink.columns(&columns(statement)?).map_err(Failure::Sink)?;
        }
        let mut values = emptied(buffer);
        for index in 0..width {
            values.push(row.get_ref_unwrap(index));
        }
        let flow = sink.row(&values).map_err(Failure::Sink)?;
        buffer = emptied(values);
        if flow == Flow::Stop {
            return Ok(count);
        }
    }
    drop(rows);
    if !described {
        sink.columns(&columns(statement)?).map_err(Failure::Sink)?;
    }
    Ok(count)
}

/// SQLite's counters for the statement.
fn work(statement: &Statement<'_>) -> Work {
    use StatementStatus as Count;
    Work {
        full_scan_steps: statement.get_status(Count::FullscanStep),
        sorts: statement.get_status(Count::Sort),
        automatic_index_rows: statement.get_status(Count::AutoIndex),
        vm_steps: statement.get_status(Count::VmStep),
        reprepares: statement.get_status(Count::RePrepare),
        runs: statement.get_status(Count::Run),
        memory: statement.get_status(Count::MemUsed),
    }
}

impl Session for FileSession {
    fn run(&mut self, sql: &str, args: &Args, sink: &mut dyn Sink) -> std::result::Result<Outcome, Failure> {
        self.follow();
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
        let mut statement = match self.connection.prepare(&sql[..consumed]) {
            Ok(statement) => statement,
            Err(rusqlite::Error::Empty) => {
                return Ok(Outcome {
                    consumed,
                    ..Outcome::default()
                });
            }
            Err(error) => return Err(failure(error, Phase::Prepare)),
        };
        bind(&mut statement, args).map_err(|error| failure(error, Phase::Step))?;
        let prepared = Prepared {
            explain: match statement.is_explain() {
                0 => Explain::No,
                1 => Explain::Program,
                _ => Explain::Plan,
            },
            read_only: statement.readonly(),
        };
        sink.prepared(&prepared).map_err(Failure::Sink)?;
        let rows = stream(&mut statement, sink)?;
        let work = Some(work(&statement));
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

    fn insert_many(&mut self, sql: &str, rows: &mut dyn Rows) -> std::result::Result<u64, Failure> {
        self.follow();
        let mut statement = self
            .connection
            .prepare(sql)
            .map_err(|error| failure(error, Phase::Prepare))?;
        let mut taken = 0;
        let mut nth = 0;
        while rows.advance().map_err(Failure::Connection)? {
            for index in 0..rows.width() {
                statement
                    .raw_bind_parameter(index + 1, rusqlite::types::ToSqlOutput::Borrowed(rows.value(index)))
                    .map_err(|error| failure(error, Phase::Step))?;
            }
            match statement.raw_execute() {
                Ok(_) => taken += 1,
                Err(error) => {
                    let flow = rows
                        .refused(nth, failure(error, Phase::Step))
                        .map_err(Failure::Connection)?;
                    if flow == Flow::Stop {
                        break;
                    }
                }
            }
            nth += 1;
        }
        Ok(taken)
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

    fn local(&mut self) -> Option<&mut Connection> {
        // The caller may change what statements mean.
        self.connection.flush_prepared_statement_cache();
        Some(&mut self.connection)
    }

    fn is_local(&self) -> bool {
        true
    }

    fn tell_costs(&mut self, on: bool) {
        self.verbatim = self.watched || on;
    }

    fn watched(&mut self) {
        self.watched = true;
        self.verbatim = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::Value;
    use crate::sql::query::Collected;

    #[test]
    fn links_are_followed_only_where_they_may_be() {
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
        let mut sink = Collected::default();
        opened(false)
            .unwrap()
            .run("select * from t", &Args::default(), &mut sink)
            .unwrap();
        assert!(opened(true).is_err());
    }

    #[test]
    fn statements_run_one_by_one() {
        let mut session = FileSession::open(&Target::Memory).unwrap();
        let sql = "create table t(a); insert into t values(1),(:x); select a from t; -- done";
        let args = Args {
            named: vec![(":x".to_owned(), Value::Text("two".to_owned()))],
            ..Args::default()
        };
        let mut sink = Collected::default();
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
    fn failures_tell_phase_code_and_place() {
        let mut session = FileSession::open(&Target::Memory).unwrap();
        let mut sink = Collected::default();
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
    fn a_replaced_file_is_followed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.db");
        let make = |path: &Path, value: i64| {
            let connection = Connection::open(path).unwrap();
            connection.execute_batch("create table t(a)").unwrap();
            connection.execute("insert into t values(?)", [value]).unwrap();
        };
        make(&path, 1);
        let mut session = FileSession::open(&Target::file(&path).restricted(true, false)).unwrap();
        let mut sink = Collected::default();
        session.run("select a from t", &Args::default(), &mut sink).unwrap();
        let next = directory.path().join("b.db");
        make(&next, 2);
        std::fs::rename(&next, &path).unwrap();
        session.run("select a from t", &Args::default(), &mut sink).unwrap();
        assert_eq!(sink.0, [[Value::Integer(1)], [Value::Integer(2)]]);
    }

    #[test]
    fn a_limited_file_does_not_grow_beyond_its_size() {
        let dir = tempfile::tempdir().unwrap();
        let mut session = FileSession::open(&Target::File {
            path: dir.path().join("small.db"),
            read_only: false,
            create: true,
            max_bytes: Some(10 * 4096),
            follow_links: true,
        })
        .unwrap();
        let mut sink = Collected::default();
        session.run("create table t(a)", &Args::default(), &mut sink).unwrap();
        let refused = session.run("insert into t values (zeroblob(100000))", &Args::default(), &mut sink);
        assert_eq!(refused.unwrap_err().primary_code(), Some(rusqlite::ffi::SQLITE_FULL));
    }
}
