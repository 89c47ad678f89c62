//! `.sha3sum`: a hash of what is in a database, as `sqlite3` makes it.
//!
//! In a file the engine's function makes it. A server may not have that function, and its gateway may not let anybody call
//! it: there the rows are read, and hashed here.

use super::CommandCall;
use crate::shell::exec::execute;
use crate::shell::state::{Interrupt, Shell, ShellResult};
use crate::sql::digest::Digest;
use crate::sql::query::rows;
use crate::sql::text::value_to_text;
use crate::sql::{Failure, Session, Sink, Value, ValueRef, exact};
use crate::sqltext::quote::{identifier, literal};
use std::io;
use std::ops::ControlFlow;

/// What `.sha3sum` is to hash, and how.
struct Sum<'a> {
    schema: bool,
    debug: bool,
    bits: u32,
    pattern: Option<&'a str>,
}

fn sum_options<'a>(shell: &mut Shell<'_>, call: &'a CommandCall) -> ShellResult<Sum<'a>> {
    let mut sum = Sum {
        schema: false,
        debug: false,
        bits: 224,
        pattern: None,
    };
    for word in &call.args {
        match word.strip_prefix("--").or_else(|| word.strip_prefix('-')) {
            Some("schema") => sum.schema = true,
            Some("debug") => sum.debug = true,
            Some("sha3-224") => sum.bits = 224,
            Some("sha3-256") => sum.bits = 256,
            Some("sha3-384") => sum.bits = 384,
            Some("sha3-512") => sum.bits = 512,
            Some(_) => {
                shell.say(format_args!("Unknown option \"{word}\" on \"{}\"", call.name))?;
                super::help::print(shell, &call.name)?;
                return Err(Interrupt::Failed(1));
            }
            None if sum.pattern.is_some() => {
                return shell.fail(format_args!("Usage: .sha3sum ?OPTIONS? ?LIKE-PATTERN?"));
            }
            None => {
                sum.pattern = Some(word);
                let system = shell.ask("SELECT ?1 LIKE 'sqlite\\_%' ESCAPE '\\'", &[Value::Text(word.clone())])?;
                sum.schema |= system.first().is_some_and(|row| row[0] == Value::Integer(1));
            }
        }
    }
    Ok(sum)
}

/// The query that reads everything in a table, in an order that does not depend on how it is stored.
fn content_query(table: &str) -> String {
    if !table.starts_with("sqlite_") {
        return format!("SELECT * FROM {} NOT INDEXED;", identifier(table));
    }
    match table {
        "sqlite_schema" => "SELECT type,name,tbl_name,sql FROM sqlite_schema ORDER BY name;".to_owned(),
        "sqlite_sequence" => "SELECT name,seq FROM sqlite_sequence ORDER BY name;".to_owned(),
        "sqlite_stat1" => "SELECT tbl,idx,stat FROM sqlite_stat1 ORDER BY tbl,idx;".to_owned(),
        "sqlite_stat4" => "SELECT * FROM sqlite_stat4 ORDER BY tbl, idx, rowid;\n".to_owned(),
        _ => String::new(),
    }
}

pub fn sha3sum(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    shell.session()?;
    let sum = sum_options(shell, call)?;
    let tables = tables(shell, &sum)?;
    let sql = if sum.debug || shell.session()?.is_local() {
        by_function(&sum, &tables)
    } else {
        by_reading(shell, &sum, &tables)?
    };
    if sum.debug {
        return shell.show(format_args!("{sql}"));
    }
    // Nothing to hash is no SQL, and no answer.
    match execute(shell, sql.as_bytes()) {
        Err(Interrupt::Statement(_)) | Ok(()) => Ok(()),
        Err(end) => Err(end),
    }
}

/// The tables that are to be hashed, in order.
fn tables(shell: &mut Shell<'_>, sum: &Sum<'_>) -> ShellResult<Vec<String>> {
    let system = if sum.schema {
        " UNION ALL SELECT 'sqlite_schema'"
    } else {
        " AND name NOT LIKE 'sqlite_%'"
    };
    let found = shell.ask(
        &format!(
            "SELECT lower(name) FROM sqlite_schema WHERE type='table' AND coalesce(rootpage,0)>1{system} ORDER BY 1 \
             COLLATE nocase"
        ),
        &[],
    )?;
    let mut tables = Vec::new();
    for row in &found {
        let table = value_to_text(&row[0]);
        if let Some(pattern) = sum.pattern {
            let like = shell.ask(
                "SELECT ?1 LIKE ?2",
                &[Value::Text(table.clone()), Value::Text(pattern.to_owned())],
            )?;
            if like.first().is_none_or(|row| row[0] != Value::Integer(1)) {
                continue;
            }
        }
        tables.push(table);
    }
    Ok(tables)
}

/// The statement that has the engine make the hashes.
fn by_function(sum: &Sum<'_>, tables: &[String]) -> String {
    let values: Vec<String> = tables
        .iter()
        .map(|table| format!("{},{}", literal(&content_query(table)), literal(table)))
        .collect();
    let head = if values.is_empty() {
        "WITH [sha3sum$query](a,b) AS(".to_owned()
    } else {
        format!("WITH [sha3sum$query](a,b) AS(VALUES({}", values.join("),("))
    };
    let bits = sum.bits;
    if sum.pattern.is_some() {
        format!("{head})) SELECT lower(hex(sha3_query(a,{bits}))) AS hash, b AS label   FROM [sha3sum$query]")
    } else {
        format!("{head})) SELECT lower(hex(sha3_query(group_concat(a,''),{bits}))) AS hash   FROM [sha3sum$query]")
    }
}

/// Takes rows into a hash.
struct Rows<'d>(&'d mut Digest);

impl Sink for Rows<'_> {
    fn row(&mut self, row: &[ValueRef<'_>]) -> io::Result<ControlFlow<()>> {
        self.0.row();
        for &value in row {
            self.0.value(value);
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// Hashes the tables here, as they are at one moment. The statement that shows the hashes.
fn by_reading(shell: &mut Shell<'_>, sum: &Sum<'_>, tables: &[String]) -> ShellResult<String> {
    if tables.is_empty() {
        return Ok(String::new());
    }
    shell.ask("SAVEPOINT sha3sum", &[])?;
    let hashed = hashes(shell.session()?, sum, tables);
    // Nothing was changed; a transaction that was lost is told by the reading.
    let released = shell.query("RELEASE sha3sum", &[])?;
    let hashes = match hashed.and_then(|hashes| released.map(|_| hashes)) {
        Ok(hashes) => hashes,
        Err(failure) => return shell.fail_because(failure),
    };
    if sum.pattern.is_none() {
        return Ok(format!("SELECT {} AS hash", literal(&hashes.concat())));
    }
    let values: Vec<String> = hashes
        .iter()
        .zip(tables)
        .map(|(hash, table)| format!("({},{})", literal(hash), literal(table)))
        .collect();
    Ok(format!(
        "WITH [sha3sum](hash,label) AS(VALUES{}) SELECT hash, label FROM [sha3sum]",
        values.join(",")
    ))
}

/// A hash for each table, or one for all of them.
fn hashes(session: &mut dyn Session, sum: &Sum<'_>, tables: &[String]) -> Result<Vec<String>, Failure> {
    let mut hashes = Vec::new();
    let mut hash = Digest::new(sum.bits);
    for table in tables {
        if let Some(hash) = &mut hash {
            read(session, table, hash)?;
        }
        if sum.pattern.is_some() {
            hashes.extend(std::mem::replace(&mut hash, Digest::new(sum.bits)).map(Digest::hex));
        }
    }
    if sum.pattern.is_none() {
        hashes.extend(hash.map(Digest::hex));
    }
    Ok(hashes)
}

/// Takes the query for a table's content, and what it answers, into a hash.
fn read(session: &mut dyn Session, table: &str, hash: &mut Digest) -> Result<(), Failure> {
    let query = content_query(table);
    let query = query.trim();
    // What the query names, taken apart: infinities and texts that are no text have to be asked for column by column.
    let Some((columns, from)) = query
        .trim_end_matches(';')
        .strip_prefix("SELECT ")
        .and_then(|rest| rest.split_once(" FROM "))
    else {
        return Ok(());
    };
    let columns: Vec<String> = if columns == "*" {
        let sql = format!(
            "SELECT name FROM pragma_table_xinfo({}) WHERE hidden <> 1",
            literal(table)
        );
        let names = rows(session, &sql).map_err(Failure::Connection)?;
        names.iter().map(|row| identifier(&value_to_text(&row[0]))).collect()
    } else {
        columns.split(',').map(str::to_owned).collect()
    };
    hash.statement(query);
    exact::read(session, &columns, from, &mut Rows(hash))
}
