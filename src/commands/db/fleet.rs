//! What the verbs that work on many databases share: which databases are meant, how many at a time, and the answer of a line for
//! each.

use crate::checksum;
use crate::commands::answers::{Problem, counted};
use crate::commands::{completers, preconditions};
use crate::context::Context;
use crate::control::ControlPlane;
use crate::control::name_pattern;
use crate::control::names::{DatabaseId, DatabaseName, GroupName};
use crate::control::types::{Connection, Database, DatabaseFilter, reads_blocked};
use crate::error::{Code, Error, Result};
use crate::fleet::{self, DatabaseResult, FleetState, FleetSummary, FleetWork, Waves};
use crate::ui::{Cell, ItemStream, StreamColumn};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::PathBuf;

/// Databases by pattern and group.
#[derive(clap::Args, Default)]
#[command(next_help_heading = "Databases")]
pub(crate) struct Selection {
    /// Databases whose names match; * is any text (repeatable)
    #[arg(long = "match", value_name = "PATTERN")]
    patterns: Vec<String>,
    /// Databases of this group; with --match, those of both
    #[arg(long, short, value_name = "NAME", add = completers::groups())]
    group: Option<GroupName>,
}

impl Selection {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty() && self.group.is_none()
    }

    /// The databases that are meant, each once, by name: those named, and those selected. Without either, the project's.
    pub fn resolve(&self, ctx: &Context, named: &[DatabaseName]) -> Result<Fleet> {
        if self.is_empty() && named.is_empty() {
            return Ok(Fleet {
                names: vec![ctx.database(None)?],
                listed: Vec::new(),
                ids: BTreeMap::new(),
            });
        }
        let mut listed = Vec::new();
        let mut ids = BTreeMap::new();
        let mut names: BTreeSet<_> = named.iter().cloned().collect();
        if !self.is_empty() {
            let filter = DatabaseFilter {
                group: self.group.clone(),
                ..DatabaseFilter::default()
            };
            let is_selected = |name: &DatabaseName| {
                let fits = |pattern: &String| name_pattern::matches(pattern, name.as_str());
                self.patterns.is_empty() || self.patterns.iter().any(fits)
            };
            let is_remote = ctx.server_if_any()?.is_some();
            ctx.control()?.visit_databases(&filter, &mut |page| {
                for database in page.into_iter().filter(|database| is_selected(&database.name)) {
                    ids.insert(database.name.clone(), database.id.clone());
                    if is_remote {
                        listed.push(database);
                    }
                }
                Ok(ControlFlow::Continue(()))
            })?;
            names.extend(ids.keys().cloned());
        }
        if names.is_empty() {
            return Err(Error::new(Code::DatabaseNotFound, "no database is selected")
                .hint("torso db list PATTERN shows what a pattern matches"));
        }
        Ok(Fleet {
            names: names.into_iter().collect(),
            listed,
            ids,
        })
    }
}

/// The databases that are meant.
pub(super) struct Fleet {
    /// Each once, in order.
    pub names: Vec<DatabaseName>,
    /// Of those that were found in a server's list, what it said.
    listed: Vec<Database>,
    /// Of those that were found in a list.
    ids: BTreeMap<DatabaseName, DatabaseId>,
}

/// How many databases are worked on, and where the work goes on.
#[derive(clap::Args, Default)]
#[command(next_help_heading = "Databases")]
pub(crate) struct FleetOptions {
    /// Databases to work on at the same time
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64))]
    parallel: u16,
    /// Begin with N databases; go on if they succeed
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    canary: u32,
    /// Go on after failures
    #[arg(long = "continue")]
    keep_going: bool,
    /// Note what is done in a file; go on from there
    #[arg(long, value_name = "FILE")]
    resume: Option<PathBuf>,
}

impl FleetOptions {
    /// The same, with nothing noted: nothing is done.
    pub fn without_state(&self) -> Self {
        Self { resume: None, ..*self }
    }
}

impl Fleet {
    /// Fails where a database is not there, or is blocked for what is to be done.
    pub fn check_open(&self, ctx: &Context, only_reads: bool) -> Result<()> {
        let listed: BTreeMap<_, _> = self.listed.iter().map(|database| (&database.name, database)).collect();
        for name in &self.names {
            match listed.get(name) {
                Some(database) => check_open(database, only_reads)?,
                None => check_open(&super::find(ctx, name)?, only_reads)?,
            }
        }
        Ok(())
    }

    /// Asks for the ids of databases that were named. What is not there fails when it is worked on.
    fn look_up_ids(&mut self, plane: &dyn ControlPlane) -> Result<()> {
        for name in &self.names {
            if !self.ids.contains_key(name) {
                match plane.get_database(name) {
                    Ok(database) => drop(self.ids.insert(name.clone(), database.id)),
                    Err(error) if error.code() == Code::DatabaseNotFound => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}

/// Fails where a database is blocked for what is to be done.
fn check_open(database: &Database, only_reads: bool) -> Result<()> {
    let name = &database.name;
    if database.block_reads {
        return Err(reads_blocked(name));
    }
    match only_reads {
        true => Ok(()),
        false => preconditions::check_writable(database),
    }
}

/// The columns of the answer. The last one is as wide as it is.
const COLUMNS: &[StreamColumn] = &[
    StreamColumn {
        title: "DATABASE",
        width: 0,
    },
    StreamColumn {
        title: "STATUS",
        width: 7,
    },
    StreamColumn {
        title: "TIME",
        width: 8,
    },
    StreamColumn {
        title: "RESULT",
        width: 6,
    },
];

/// The answer about one database.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
pub(super) struct Item<'a, T: Serialize> {
    database: &'a DatabaseName,
    status: &'static str,
    duration_ms: u64,
    #[serde(flatten)]
    result: Option<&'a T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Problem>,
}

/// What a verb says of a database.
pub(super) trait FleetItem: Serialize + Send {
    /// `done`, or `planned`.
    fn status(&self) -> &'static str;
    /// In words.
    fn sentence(&self) -> String;
    /// Whether a part of it was left out.
    fn is_cut(&self) -> bool {
        false
    }
}

/// Why the work on a database failed.
pub(super) struct ItemFailure<T> {
    pub error: Error,
    /// What was done before, and stays.
    pub done: Option<Box<T>>,
}

impl<T> From<Error> for ItemFailure<T> {
    fn from(error: Error) -> Self {
        Self { error, done: None }
    }
}

/// Does the work on each database and prints a line for each as it ends. `work_id` is a hash that tells this work from other work.
pub(super) fn run<T: FleetItem>(
    ctx: &Context,
    mut fleet: Fleet,
    options: &FleetOptions,
    work_id: &str,
    work: &FleetWork<'_, T, ItemFailure<T>>,
) -> Result<()> {
    let mut state = match &options.resume {
        Some(path) => {
            let state = FleetState::open(path, &format!("{work_id}{}", server_of(ctx)?))?;
            fleet.look_up_ids(ctx.control()?)?;
            Some(state)
        }
        None => None,
    };
    let Fleet { names, listed, ids } = fleet;
    let is_done = |name: &DatabaseName| state.as_ref().is_some_and(|state| state.is_done(name, ids.get(name)));
    let left: Vec<_> = names.iter().filter(|name| !is_done(name)).cloned().collect();
    if left.len() < names.len() {
        let done = names.len() - left.len();
        ctx.ui
            .notice(format!("Done already: {done} of {}.", counted(names.len(), "database")));
    }
    let waves = Waves {
        parallel: options.parallel.into(),
        canary: options.canary.try_into().unwrap_or(usize::MAX),
        keep_going: options.keep_going,
    };
    let width = left.iter().map(|name| name.as_str().len()).max().unwrap_or(0);
    let mut answer = ctx.ui.stream(COLUMNS, width);
    let mut failures = Failures::default();
    let mut cut = 0;
    let open_plane = ctx.plane_opener(listed)?;
    let summary = fleet::run(&left, waves, &*open_plane, work, &mut |result| {
        if let Some(state) = &mut state {
            state.record(&result.name, ids.get(&result.name), result.result.is_ok())?;
        }
        cut += usize::from(result.result.as_ref().is_ok_and(FleetItem::is_cut));
        match result.result {
            // As where one thing is asked for and fails: no answer.
            Err(ItemFailure { error, done: None }) if names.len() == 1 => {
                failures.only = Some(error);
                Ok(())
            }
            result_of_work => print(
                &mut answer,
                &mut failures,
                DatabaseResult {
                    result: result_of_work,
                    ..result
                },
            ),
        }
    })?;
    if let Some(error) = failures.only {
        return Err(error);
    }
    answer.finish()?;
    if cut > 0 {
        ctx.ui.warn(format!(
            "the rows of {} are cut off, because there are too many; torso db shell prints all.",
            counted(cut, "database")
        ));
    }
    failures.into_result(summary, options)
}

/// The server and the organization that the databases are of; empty for this machine.
fn server_of(ctx: &Context) -> Result<String> {
    Ok(match ctx.server_if_any()? {
        Some(client) => {
            let organization = client.organization().map_or("", |slug| slug.as_str());
            format!(" {} {organization}", client.address())
        }
        None => String::new(),
    })
}

fn print<T: FleetItem>(
    answer: &mut ItemStream<'_>,
    failures: &mut Failures,
    result: DatabaseResult<T, ItemFailure<T>>,
) -> Result<()> {
    let (done, error) = match result.result {
        Ok(done) => (Some(done), None),
        Err(failure) => (failure.done.map(|done| *done), Some(failure.error)),
    };
    let duration_ms = u64::try_from(result.duration.as_millis()).unwrap_or(u64::MAX);
    let item = Item {
        database: &result.name,
        status: match (&error, &done) {
            (None, Some(done)) => done.status(),
            _ => "failed",
        },
        duration_ms,
        result: done.as_ref(),
        error: error.as_ref().map(Into::into),
    };
    let sentence = match (&error, &done) {
        (Some(error), _) => error.full_message(),
        (None, Some(done)) => done.sentence(),
        (None, None) => String::new(),
    };
    let cells = [
        Cell::text(result.name.as_str()),
        Cell::text(item.status),
        Cell::span(duration_ms),
        Cell::text(sentence),
    ];
    let name = error.is_none().then_some(result.name.as_str());
    answer.push(&item, &cells, name)?;
    if let Some(error) = error {
        failures.add(&error);
    }
    Ok(())
}

/// What is kept of failures: their number is no bound.
#[derive(Default)]
struct Failures {
    /// The failure where only one database is meant.
    only: Option<Error>,
    /// The code of the first one.
    code: Option<Code>,
    /// Whether others have other codes.
    is_mixed: bool,
}

impl Failures {
    fn add(&mut self, error: &Error) {
        let first = *self.code.get_or_insert(error.code());
        self.is_mixed |= first != error.code();
    }

    fn into_result(self, summary: FleetSummary, options: &FleetOptions) -> Result<()> {
        let FleetSummary {
            succeeded,
            failed,
            not_begun,
        } = summary;
        let Some(code) = self.code else { return Ok(()) };
        // Where nothing was done, the exit code says why; else it says that some is done.
        let code = if succeeded == 0 && !self.is_mixed {
            code
        } else {
            Code::Partial
        };
        let all = counted(succeeded + failed + not_begun, "database");
        let mut message = format!("{failed} of {all} failed");
        if not_begun > 0 {
            let verb = if not_begun == 1 { "was" } else { "were" };
            message += &format!(", and {not_begun} {verb} not begun");
        }
        let error = Error::new(code, message);
        Err(match (not_begun, &options.resume) {
            (0, None) => error.hint("the result says why; --resume FILE notes what is done"),
            (_, None) => {
                error.hint("the result says why; --continue goes on after failures, --resume FILE notes what is done")
            }
            (_, Some(path)) => error.hint(format!(
                "the result says why; the same command with --resume {} goes on",
                path.display()
            )),
        })
    }
}

/// Gives the replicas of a database of this machine what was written to its primary. Servers do that by themselves.
pub(super) fn refresh_replicas(plane: &dyn ControlPlane, connection: &Connection) -> Result<()> {
    let name = &connection.database;
    if connection.url.path().is_some() && plane.get_database(name)?.locations.len() > 1 {
        plane.sync_database(name, None)?;
    }
    Ok(())
}

/// A hash that tells work from other work.
pub(super) fn hash(work: &str) -> String {
    checksum::sha256_of(work.as_bytes())
}
