//! A SQL connection, wherever the database is.
//!
//! [`Session`] is the seam between the shell and an engine: one streaming method, so that results are never held whole.
//! `file` implements it over SQLite files; a remote one speaks Hrana. Splitting text into statements is `sqltext`'s.
//! Nothing here knows of control planes, accounts or terminals: a shell needs a [`Target`], not an account.

pub mod codes;
pub mod companions;
pub mod content;
pub mod copy;
pub mod digest;
pub mod exact;
mod file;
mod functions;
mod hrana;
mod local_engine;
pub mod log;
pub mod number;
pub(crate) mod parsed_script;
pub mod query;
pub(crate) mod restrict;
pub mod script;
pub(crate) mod script_error;
pub mod text;
pub mod trailer;
pub(crate) mod transaction;

use crate::secret::{Renewal, Secret};
pub use crate::sqltext::classify::Explain;
pub use local_engine::LocalEngine;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;

/// What to connect to.
#[derive(Debug, Clone)]
pub enum Target {
    /// A SQLite file.
    File {
        path: PathBuf,
        /// Opened read-only.
        read_only: bool,
        /// Whether a missing file may be created (a path given by a user) or not (a database that must be there).
        create: bool,
        /// The most bytes that the file may grow to.
        max_bytes: Option<u64>,
        /// Whether the path may lead through symbolic links.
        follow_links: bool,
    },
    /// A private database in memory.
    Memory,
    /// A libSQL server.
    Remote {
        url: url::Url,
        token: Option<Secret>,
        /// Where the next token comes from; none for one that does not expire.
        renewal: Option<Renewal>,
        /// Statements that may write are refused before they are sent.
        read_only: bool,
        /// A write is answered when a replica has it.
        wait_replica: bool,
    },
}

impl Target {
    /// A file for reading and writing that is made when it is not there.
    #[must_use]
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::File {
            path: path.into(),
            read_only: false,
            create: true,
            max_bytes: None,
            follow_links: true,
        }
    }

    /// Whether nothing can be changed.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        match self {
            Self::File { read_only, .. } | Self::Remote { read_only, .. } => *read_only,
            Self::Memory => false,
        }
    }

    /// The same with restrictions: read-only, or without following symbolic links.
    #[must_use]
    pub fn restricted(self, nothing_changed: bool, no_links: bool) -> Self {
        match self {
            Self::File {
                path,
                read_only,
                create,
                max_bytes,
                follow_links,
            } => Self::File {
                path,
                read_only: read_only || nothing_changed,
                create: create && !nothing_changed,
                max_bytes,
                follow_links: follow_links && !no_links,
            },
            Self::Memory if nothing_changed => Self::file(":memory:").restricted(true, false),
            Self::Memory => Self::Memory,
            Self::Remote {
                url,
                token,
                renewal,
                read_only,
                wait_replica,
            } => Self::Remote {
                url,
                token,
                renewal,
                read_only: read_only || nothing_changed,
                wait_replica,
            },
        }
    }

    /// Its name in messages, where the user called it `name`: a URL without what may be secret in it.
    #[must_use]
    pub fn called(&self, name: &str) -> String {
        match self {
            Self::Remote { url, .. } if name.contains("://") => hrana::display_url(url),
            _ => name.to_owned(),
        }
    }
}

/// The value types of the whole crate.
pub use rusqlite::types::{Value, ValueRef};

use std::sync::Arc;

/// A column of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    /// The declared type, where the column comes straight from a table.
    pub decltype: Option<String>,
}

/// What a statement is, known before it runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Prepared {
    pub explain: Explain,
    /// It does not write to the database.
    pub read_only: bool,
}

/// Receives a statement's result as it arrives, row by row. An error from it ends the statement and is handed back as
/// [`Failure::Sink`].
pub trait Sink {
    /// Called once, when the statement has been prepared and before it runs.
    fn prepared(&mut self, _statement: &Prepared) -> std::io::Result<()> {
        Ok(())
    }

    /// Called once, at the first row or at the end, and only for a statement that has result columns.
    fn columns(&mut self, _columns: &[Column]) -> std::io::Result<()> {
        Ok(())
    }

    fn row(&mut self, row: &[ValueRef<'_>]) -> std::io::Result<ControlFlow<()>>;
}

/// Ignores a result.
pub struct Unseen;

impl Sink for Unseen {
    fn row(&mut self, _: &[ValueRef<'_>]) -> std::io::Result<ControlFlow<()>> {
        Ok(ControlFlow::Continue(()))
    }
}

/// Values for a statement's parameters.
#[derive(Debug, Clone, Default)]
pub struct Args {
    /// By position, from 1.
    pub positional: Vec<Value>,
    /// By name, with its prefix (`:x`, `@x`, `$x`). Names that the statement does not have are ignored; a missing value
    /// is NULL.
    pub named: Vec<(String, Value)>,
}

/// What a statement did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    /// Bytes of the text that the statement takes, with its `;`. The rest is for the next call.
    pub consumed: usize,
    /// Whether the text held a statement at all (it may be only white space and comments).
    pub ran: bool,
    pub rows: u64,
    /// Rows changed by this statement, as `sqlite3_changes` counts them.
    pub changes: u64,
    pub last_insert_rowid: i64,
    /// What it cost on a server.
    pub cost: Option<ServerCost>,
    /// What it cost in this process.
    pub work: Option<StatementCounters>,
    /// Infinite reals in the result whose sign the server did not send; they were given to the sink as NaN, which
    /// SQLite itself never has.
    pub signless_infinities: u64,
}

/// SQLite's counters for a statement, under SQLite's names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StatementCounters {
    pub full_scan_steps: i32,
    pub sorts: i32,
    pub automatic_index_rows: i32,
    pub vm_steps: i32,
    pub reprepares: i32,
    pub runs: i32,
    /// Bytes of memory that the prepared statement used.
    pub memory: i32,
}

/// What a server says a statement cost, and where the time went.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ServerCost {
    pub rows_read: Option<u64>,
    pub rows_written: Option<u64>,
    /// The server's own time, if it said.
    pub server: Option<Duration>,
    /// Time spent waiting for answers: the server's time and the network's.
    pub waited: Duration,
    /// Time from sending to the end of the answer, including what the sink took.
    pub total: Duration,
}

impl ServerCost {
    /// Adds the cost of another statement.
    pub fn add(&mut self, other: &Self) {
        fn sum<T: std::ops::Add<Output = T> + Copy>(one: Option<T>, other: Option<T>) -> Option<T> {
            match (one, other) {
                (Some(one), Some(other)) => Some(one + other),
                (one, other) => one.or(other),
            }
        }
        self.rows_read = sum(self.rows_read, other.rows_read);
        self.rows_written = sum(self.rows_written, other.rows_written);
        self.server = sum(self.server, other.server);
        self.waited += other.waited;
        self.total += other.total;
    }

    /// The network's time, if the server reported its own.
    #[must_use]
    pub fn network(&self) -> Option<Duration> {
        self.server.map(|server| self.waited.saturating_sub(server))
    }

    /// Time spent in this process: reading answers and showing them.
    #[must_use]
    pub fn client(&self) -> Duration {
        self.total.saturating_sub(self.waited)
    }
}

impl std::fmt::Display for ServerCost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.server, self.network()) {
            (Some(server), Some(network)) => write!(
                f,
                "Remote: server {:.6} network {:.6}",
                server.as_secs_f64(),
                network.as_secs_f64()
            )?,
            _ => write!(f, "Remote: server and network {:.6}", self.waited.as_secs_f64())?,
        }
        write!(f, " client {:.6}", self.client().as_secs_f64())?;
        if let Some(rows) = self.rows_read {
            write!(f, " rows read {rows}")?;
        }
        if let Some(rows) = self.rows_written {
            write!(f, " rows written {rows}")?;
        }
        Ok(())
    }
}

/// In which phase a statement failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Prepare,
    Step,
}

/// Why a statement failed.
#[derive(Debug)]
pub enum Failure {
    /// SQLite refused it. The message is SQLite's, without a transport's prefixes.
    Sql {
        phase: Phase,
        message: String,
        /// SQLite's extended result code.
        code: i32,
        /// Byte offset of the offending token in the text given, if known.
        offset: Option<usize>,
    },
    /// The sink failed (a closed pipe, a full disk).
    Sink(std::io::Error),
    /// The connection failed; the statement may be fine.
    Connection(crate::error::Error),
}

impl Failure {
    /// SQLite's primary result code, if SQLite refused.
    #[must_use]
    pub fn primary_code(&self) -> Option<i32> {
        match self {
            Self::Sql { code, .. } => Some(code & 0xff),
            _ => None,
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sql { message, .. } => f.write_str(message),
            Self::Sink(error) => error.fmt(f),
            Self::Connection(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Failure {}

/// A moment in the life of a statement that is sent to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The server has prepared it, and it runs.
    Begun,
    /// A row has arrived.
    Row,
    /// It has ended, after so long.
    Ended(Duration),
}

/// What a tracer is called with.
#[derive(Debug, Clone, Copy)]
pub struct Sent<'a> {
    pub sql: &'a str,
    pub args: &'a Args,
    pub what: Moment,
}

/// Is called for the statements that are sent.
pub type Tracer = Arc<dyn Fn(&Sent<'_>) + Send + Sync>;

/// Interrupts a running statement. It may be called from any thread.
pub type Interrupter = Arc<dyn Fn() + Send + Sync>;

/// Rows for [`Session::insert_many`].
pub trait Rows {
    /// The number of values in each row.
    fn width(&self) -> usize;
    /// Moves to the next row; at first, to the first one. False at the end.
    fn advance(&mut self) -> crate::error::Result<bool>;
    /// A value of the current row, by index from 0.
    fn value(&self, index: usize) -> ValueRef<'_>;
    /// Called for a row that was refused: the `nth`, from 0. Rows are sent to a server in batches, so later rows may
    /// have been read already, and earlier ones may have been inserted.
    fn refused(&mut self, nth: u64, failure: Failure) -> crate::error::Result<ControlFlow<()>>;
}

/// A statement without a result, one of several that are sent together as a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchStatement<'a> {
    pub sql: &'a str,
    /// Skipped if the one before it failed or was skipped.
    pub follows: bool,
}

/// The outcome of each [`BatchStatement`]; none for one that was skipped.
pub type BatchOutcomes = Vec<Option<std::result::Result<Outcome, Failure>>>;

/// One connection to one database.
pub trait Session {
    /// Runs the first statement of `sql` and passes its result to `sink`.
    fn run(&mut self, sql: &str, args: &Args, sink: &mut dyn Sink) -> std::result::Result<Outcome, Failure>;

    /// Runs one statement for each row of parameters: prepared once, or sent in batches. Returns how many rows were
    /// inserted. The caller opens the transaction.
    fn insert_many(&mut self, sql: &str, rows: &mut dyn Rows) -> std::result::Result<u64, Failure>;

    /// Runs statements one after the other, in as few round trips as possible. A failure of the connection or a sink is
    /// returned; other failures are outcomes.
    fn run_batch(&mut self, statements: &[BatchStatement<'_>]) -> std::result::Result<BatchOutcomes, Failure> {
        let mut done: BatchOutcomes = Vec::with_capacity(statements.len());
        for statement in statements {
            let wanted = !statement.follows || matches!(done.last(), None | Some(Some(Ok(_))));
            done.push(
                match wanted.then(|| self.run(statement.sql, &Args::default(), &mut Unseen)) {
                    Some(Err(failure @ (Failure::Connection(_) | Failure::Sink(_)))) => return Err(failure),
                    ran => ran,
                },
            );
        }
        Ok(done)
    }

    /// Whether a transaction is open.
    fn in_transaction(&mut self) -> bool;

    fn interrupter(&self) -> Interrupter;

    /// Rows changed by the last statement that writes rows, as `sqlite3_changes` counts them.
    fn changes(&mut self) -> u64;

    /// All rows changed since the session began.
    fn total_changes(&mut self) -> u64;

    /// Says that the next statement is the session's only one, and neither begins nor ends a transaction: a server is told to end
    /// the session with it.
    fn end_with_next(&mut self) {}

    /// Sets whether costs are wanted from a server, although results then have to come as a whole.
    fn set_cost_tracking(&mut self, _on: bool) {}

    /// Sets who is called for each statement sent to a server; none for nobody. A file has SQLite's own hooks for that.
    fn trace(&mut self, _tracer: Option<Tracer>) {}

    /// Sets how long a statement waits before it fails. On a file this is the wait for a lock, and zero is no wait; on
    /// a server it is the longest silence, and zero is the default.
    fn set_timeout(&mut self, timeout: Duration) -> std::result::Result<(), Failure>;

    /// The server's name and version, if there is a server.
    fn server_version(&mut self) -> Option<crate::error::Result<String>> {
        None
    }

    /// SQLite itself, if the database is a file or in memory.
    fn engine(&mut self) -> Option<&mut dyn LocalEngine>;

    /// Whether [`Session::engine`] returns one.
    fn is_local(&self) -> bool;
}

/// Like [`open`], for a file that is of no use before the work on it is done: if that ends in the middle, nothing has changed.
pub fn open_scratch(target: &Target) -> crate::error::Result<Box<dyn Session>> {
    match target {
        Target::File { .. } | Target::Memory => Ok(Box::new(file::FileSession::open(target)?.of_scratch())),
        Target::Remote { .. } => open(target),
    }
}

/// Connects to `target`. A missing file is created at once, if the target allows it.
pub fn open(target: &Target) -> crate::error::Result<Box<dyn Session>> {
    match target {
        Target::File { .. } | Target::Memory => Ok(Box::new(file::FileSession::open(target)?)),
        Target::Remote {
            url,
            token,
            renewal,
            read_only,
            wait_replica,
        } => {
            let renewal = renewal.clone();
            let mut session = hrana::HranaSession::open(url, token.as_ref(), renewal, *read_only)?;
            if *wait_replica {
                session.wait_for_replicas();
            }
            Ok(Box::new(session))
        }
    }
}
