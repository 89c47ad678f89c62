//! Reading rows exactly as they are stored, also from a server: for dumps, copies and comparisons.
//!
//! A server may lose the sign of an infinite real, and breaks off its answer at a text that is not UTF-8. From such a
//! row on, the rows are selected in a careful form: texts as blobs, infinite reals as their signs, and the type of each
//! value beside it. Both queries must return the same rows in the same order: they must run within one transaction, and
//! their query plans are compared.

use super::query::rows;
use super::{Args, Column, Failure, Session, Sink, ValueRef};
use crate::error::{Code, Error};
use std::io;
use std::ops::ControlFlow;

type Result<T> = std::result::Result<T, Failure>;

/// Passes all rows of `from` to `sink`, with the values of `columns`, which are SQL expressions. A transaction must be
/// open.
pub fn read(session: &mut dyn Session, columns: &[String], from: &str, sink: &mut dyn Sink) -> Result<()> {
    let plain = format!("SELECT {} FROM {from}", columns.join(","));
    if session.is_local() {
        return session.run(&plain, &Args::default(), sink).map(drop);
    }
    let mut guarded = Guarded {
        sink,
        passed: 0,
        unclear: false,
    };
    let ran = session.run(&plain, &Args::default(), &mut guarded);
    let (passed, unclear) = (guarded.passed, guarded.unclear);
    match ran {
        Ok(_) if !unclear => return Ok(()),
        Err(failure) if !broke_off(&failure) || !session.in_transaction() => return Err(failure),
        _ => {}
    }
    let careful = format!("{} FROM {from} LIMIT -1 OFFSET {passed}", careful(columns));
    if plan(session, &plain)? != plan(session, &careful)? {
        let error = Error::new(Code::Unavailable, "the server would read the rows in another order");
        return Err(ran.err().unwrap_or(Failure::Connection(error)));
    }
    session.run(&careful, &Args::default(), &mut Deciphered(sink)).map(drop)
}

/// Whether an answer broke off, as it does at a text that is not UTF-8.
fn broke_off(failure: &Failure) -> bool {
    matches!(failure, Failure::Connection(error) if error.code() == Code::Unavailable)
}

fn plan(session: &mut dyn Session, sql: &str) -> Result<Vec<String>> {
    let found = rows(session, &format!("EXPLAIN QUERY PLAN {sql}")).map_err(Failure::Connection)?;
    Ok(found.iter().map(|row| format!("{:?}", row.last())).collect())
}

/// The careful form: each value in a form that survives, and after them the type of each.
fn careful(columns: &[String]) -> String {
    let mut select = String::from("SELECT ");
    for column in columns {
        select.push_str(&format!(
            "CASE typeof({column}) WHEN 'text' THEN CAST({column} AS BLOB) WHEN 'real' THEN CASE {column} WHEN 9e999 THEN 1 \
             WHEN -9e999 THEN -1 ELSE {column} END ELSE {column} END,"
        ));
    }
    for (index, column) in columns.iter().enumerate() {
        select.push_str(if index > 0 { "," } else { "" });
        select.push_str(&format!(
            "CASE typeof({column}) WHEN 'text' THEN 't' WHEN 'real' THEN CASE WHEN {column} IN (9e999, -9e999) THEN 'i' END END"
        ));
    }
    select
}

/// Passes rows on, up to the first with an infinite real, which may have lost its sign.
struct Guarded<'a> {
    sink: &'a mut dyn Sink,
    passed: u64,
    unclear: bool,
}

impl Sink for Guarded<'_> {
    fn columns(&mut self, columns: &[Column]) -> io::Result<()> {
        self.sink.columns(columns)
    }

    fn row(&mut self, row: &[ValueRef<'_>]) -> io::Result<ControlFlow<()>> {
        let infinite = |value: &ValueRef<'_>| matches!(value, ValueRef::Real(real) if !real.is_finite());
        if row.iter().any(infinite) {
            self.unclear = true;
            return Ok(ControlFlow::Break(()));
        }
        self.passed += 1;
        self.sink.row(row)
    }
}

/// Turns rows of the careful form back into their values, and passes them on.
struct Deciphered<'a>(&'a mut dyn Sink);

impl Sink for Deciphered<'_> {
    fn row(&mut self, row: &[ValueRef<'_>]) -> io::Result<ControlFlow<()>> {
        let (values, kinds) = row.split_at(row.len() / 2);
        let row = values
            .iter()
            .zip(kinds)
            .map(|(&value, kind)| deciphered(value, kind))
            .collect::<io::Result<Vec<_>>>()?;
        self.0.row(&row)
    }
}

fn deciphered<'v>(value: ValueRef<'v>, kind: &ValueRef<'_>) -> io::Result<ValueRef<'v>> {
    match (kind, value) {
        (ValueRef::Null, value) => Ok(value),
        (ValueRef::Text(b"t"), ValueRef::Blob(bytes)) => Ok(ValueRef::Text(bytes)),
        (ValueRef::Text(b"i"), ValueRef::Integer(1)) => Ok(ValueRef::Real(f64::INFINITY)),
        (ValueRef::Text(b"i"), ValueRef::Integer(-1)) => Ok(ValueRef::Real(f64::NEG_INFINITY)),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a value from the server is not what the server says it is",
        )),
    }
}
