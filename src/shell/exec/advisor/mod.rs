//! The index advisor: the indexes that would help a statement, for `.expert`.
//!
//! The schema is made again in a private database in memory, where indexes cost nothing: one for each order of up to three
//! of the columns that the statement reads. Those that SQLite's planner then chooses are shortened and left out as long as
//! the plan stays as good. What `ANALYZE` found counts, the rows themselves do not. Nothing in the database is changed.

use crate::error::{Code, Error, Result};
use crate::shell::state::{ExecError, Interrupt, Shell, ShellResult};
use crate::sql::query::rows;
use crate::sql::restrict::restrict;
use crate::sql::text::value_to_text;
use crate::sql::{self, Phase, Session, Target, Value};
use crate::sqltext::quote::{identifier, literal};
use crate::sqltext::split;
use crate::sync::lock;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

/// So many of a table's columns are combined; the number of candidates grows with its third power.
const MOST_COLUMNS: usize = 7;

/// So many columns an index has at most.
const LONGEST: usize = 3;

/// An index that might help.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    table: String,
    columns: Vec<String>,
}

impl Candidate {
    /// The columns as they stand in the statement that makes it.
    fn list(&self) -> String {
        let plain = |name: &str| {
            let mut bytes = name.bytes();
            bytes
                .next()
                .is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
                && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        let columns: Vec<String> = self
            .columns
            .iter()
            .map(|column| {
                if plain(column) {
                    column.clone()
                } else {
                    identifier(column)
                }
            })
            .collect();
        columns.join(", ")
    }

    /// The same columns have the same name wherever it is asked for.
    fn name(&self) -> String {
        let hash = self.list().bytes().fold(0_u32, |hash, byte| {
            hash.wrapping_add((hash << 3).wrapping_add(u32::from(byte)))
        });
        format!("{}_idx_{hash:08x}", self.table)
    }

    fn sql(&self) -> String {
        let quoted = |name: &str| {
            if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                name.to_owned()
            } else {
                identifier(name)
            }
        };
        format!(
            "CREATE INDEX {} ON {}({});",
            quoted(&self.name()),
            quoted(&self.table),
            self.list()
        )
    }
}

/// The database without its rows.
struct RowlessCopy {
    session: Box<dyn Session>,
}

impl RowlessCopy {
    fn new(original: &mut dyn Session) -> Result<Self> {
        let mut session = sql::open_scratch(&Target::Memory)?;
        let objects = rows(
            original,
            "SELECT sql FROM sqlite_schema WHERE sql NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
             ORDER BY type <> 'table', rowid",
        )?;
        // The schema may be somebody else's.
        let restriction = restrict(session.as_mut())?;
        for object in &objects {
            // What cannot be made again (a module that is not here, a table that a module has made) helps no statement.
            let _ = rows(session.as_mut(), &value_to_text(&object[0]));
        }
        // There may be no statistics.
        if let Ok(statistics) = rows(original, "SELECT tbl, idx, stat FROM sqlite_stat1") {
            rows(session.as_mut(), "ANALYZE sqlite_schema")?;
            for row in &statistics {
                let values: Vec<String> = row
                    .iter()
                    .map(|value| match value {
                        Value::Null => "NULL".to_owned(),
                        other => literal(&value_to_text(other)),
                    })
                    .collect();
                rows(
                    session.as_mut(),
                    &format!("INSERT INTO sqlite_stat1 VALUES({})", values.join(",")),
                )?;
            }
            rows(session.as_mut(), "ANALYZE sqlite_schema")?;
        }
        if let Some(restriction) = restriction {
            restriction.lift(session.as_mut());
        }
        Ok(Self { session })
    }

    /// What the planner says of `statement`.
    fn plan(&mut self, statement: &str) -> Result<Vec<String>> {
        let plan = rows(self.session.as_mut(), &format!("EXPLAIN QUERY PLAN {statement}"))?;
        Ok(plan.iter().map(|row| value_to_text(&row[3])).collect())
    }

    /// The columns that `statement` reads, by table, in the order in which it does.
    fn read_by(&mut self, statement: &str) -> Result<BTreeMap<String, Vec<String>>> {
        let seen: Arc<Mutex<BTreeMap<String, Vec<String>>>> = Arc::default();
        let watcher = seen.clone();
        let broken = |error| Error::new(Code::Internal, "the statement cannot be watched").caused_by(error);
        let Some(engine) = self.session.engine() else {
            return Err(Error::new(Code::Internal, "a database in memory is local"));
        };
        engine
            .connection()
            .authorizer(Some(move |context: AuthContext<'_>| {
                if let AuthAction::Read {
                    table_name,
                    column_name,
                } = context.action
                    && !table_name.starts_with("sqlite_")
                    && !column_name.is_empty()
                {
                    let mut seen = lock(&watcher);
                    let columns = seen.entry(table_name.to_owned()).or_default();
                    if !columns.iter().any(|column| column == column_name) {
                        columns.push(column_name.to_owned());
                    }
                }
                Authorization::Allow
            }))
            .map_err(broken)?;
        let planned = self.plan(statement);
        if let Some(engine) = self.session.engine() {
            engine
                .connection()
                .authorizer(None::<fn(AuthContext<'_>) -> Authorization>)
                .map_err(broken)?;
        }
        planned?;
        let seen = lock(&seen);
        Ok(seen.clone())
    }

    /// The plan of `statement` with these indexes and no other new ones.
    fn plan_with(&mut self, statement: &str, indexes: &BTreeSet<Candidate>) -> Result<Vec<String>> {
        let mut made = Vec::new();
        for index in indexes {
            // An index on what is no table's own column cannot be made, nor one that is there already.
            if rows(self.session.as_mut(), &index.sql()).is_ok() {
                made.push(index);
            }
        }
        let plan = self.plan(statement);
        for index in made {
            rows(
                self.session.as_mut(),
                &format!("DROP INDEX {}", identifier(&index.name())),
            )?;
        }
        plan
    }
}

/// How good a plan is: what it searches for by which conditions, and what it sorts. The names of indexes do not count.
fn worth(plan: &[String]) -> Vec<String> {
    let mut worth: Vec<String> = plan
        .iter()
        .map(|line| match (line.split_once(" USING "), line.rfind('(')) {
            (Some((head, _)), Some(at)) if line.ends_with(')') => format!("{head} {}", &line[at..]),
            (Some((head, _)), None) if head.starts_with("SCAN") => head.to_owned(),
            _ => line.clone(),
        })
        .collect();
    worth.sort_unstable();
    worth
}

/// All orders of up to [`LONGEST`] of `columns`.
fn combined(table: &str, columns: &[String]) -> BTreeSet<Candidate> {
    let mut orders: Vec<Vec<String>> = vec![Vec::new()];
    let mut candidates = BTreeSet::new();
    for _ in 0..LONGEST {
        orders = orders
            .iter()
            .flat_map(|order| {
                columns
                    .iter()
                    .filter(|column| !order.contains(column))
                    .map(|column| order.iter().chain([column]).cloned().collect())
            })
            .collect();
        candidates.extend(orders.iter().map(|columns| Candidate {
            table: table.to_owned(),
            columns: columns.clone(),
        }));
    }
    candidates
}

/// The indexes that help `statement`, and its plan with them.
fn find_indexes(copy: &mut RowlessCopy, statement: &str) -> Result<(BTreeSet<Candidate>, Vec<String>)> {
    let mut all = BTreeSet::new();
    for (table, mut columns) in copy.read_by(statement)? {
        columns.truncate(MOST_COLUMNS);
        all.extend(combined(&table, &columns));
    }
    let best = copy.plan_with(statement, &all)?;
    let named = |line: &String, index: &Candidate| line.split([' ', '(']).any(|word| word == index.name());
    let mut chosen: BTreeSet<Candidate> = all
        .into_iter()
        .filter(|index| best.iter().any(|line| named(line, index)))
        .collect();
    let goal = worth(&copy.plan_with(statement, &chosen)?);
    for index in chosen.clone() {
        let mut current = index;
        loop {
            let mut fewer = chosen.clone();
            fewer.remove(&current);
            if worth(&copy.plan_with(statement, &fewer)?) == goal {
                chosen = fewer;
                break;
            }
            let mut shorter = current.clone();
            shorter.columns.pop();
            if shorter.columns.is_empty() {
                break;
            }
            fewer.insert(shorter.clone());
            if worth(&copy.plan_with(statement, &fewer)?) != goal {
                break;
            }
            chosen = fewer;
            current = shorter;
        }
    }
    let plan = copy.plan_with(statement, &chosen)?;
    Ok((chosen, plan))
}

/// Prints what would help the statements in `text`, instead of running them.
pub fn advise(shell: &mut Shell<'_>, text: &str) -> ShellResult {
    let unknown = |error: Error| {
        Interrupt::Statement(Box::new(ExecError {
            phase: Phase::Prepare,
            message: error.to_string(),
            code: 1,
            hint: None,
        }))
    };
    let mut copy = RowlessCopy::new(shell.session()?).map_err(unknown)?;
    let mut rest = text.trim();
    while !rest.is_empty() {
        let end = split::first_statement(rest.as_bytes());
        let statement = rest[..end].trim().trim_end_matches(';');
        rest = rest[end..].trim_start();
        let (indexes, plan) = find_indexes(&mut copy, statement).map_err(unknown)?;
        if indexes.is_empty() {
            shell.show(format_args!("(no new indexes)"))?;
        }
        for index in &indexes {
            shell.show(format_args!("{}", index.sql()))?;
        }
        shell.show(format_args!(""))?;
        for line in &plan {
            shell.show(format_args!("{line}"))?;
        }
        shell.show(format_args!(""))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
