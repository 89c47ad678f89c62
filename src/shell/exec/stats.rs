//! For `.stats`: what each statement cost. Where the engine is here, its own counters, as the `sqlite3` shell shows them; on a
//! server, what it tells (rows read and written, its time) and where the rest of the time went.

use crate::shell::state::{Shell, ShellResult};
use crate::sql::{Column, Outcome, ServerCost, StatementCounters};
use rusqlite::{Connection, ffi};
use std::io::{self, Write};
use std::os::raw::c_int;
use std::time::Duration;

/// What `.stats` can be set to.
pub const ON: u8 = 1;
pub const OF_STATEMENT: u8 = 2;
pub const ONLY_STEPS: u8 = 3;

/// What there is to tell without a statement: of the connection, or of the last line that a server ran.
pub fn print_now(shell: &mut Shell<'_>) -> ShellResult {
    if !shell.session()?.is_local() {
        let cost = shell.statements.cost.unwrap_or_default();
        return Ok(of_server(&mut shell.out, &cost)?);
    }
    connection_counters(shell, None)
}

/// Shows what a statement that has just run cost, as `.stats` asks.
pub fn print_after(shell: &mut Shell<'_>, outcome: &Outcome, columns: &[Column]) -> ShellResult {
    let level = shell.settings.stats;
    if level == 0 || !outcome.ran {
        return Ok(());
    }
    if level == OF_STATEMENT {
        of_columns(&mut shell.out, columns)?;
    }
    if let Some(cost) = &outcome.cost {
        return Ok(of_server(&mut shell.out, cost)?);
    }
    let Some(work) = &outcome.work else { return Ok(()) };
    if level == ONLY_STEPS {
        return shell.show(format_args!("VM-steps: {}", work.vm_steps));
    }
    connection_counters(shell, Some(work))
}

/// A counter, laid out as in classic.
fn line(out: &mut dyn Write, label: &str, value: impl std::fmt::Display) -> io::Result<()> {
    writeln!(out, "{:<36} {value}", format!("{label}:"))
}

fn of_columns(out: &mut dyn Write, columns: &[Column]) -> io::Result<()> {
    line(out, "Number of output columns", columns.len())?;
    for (index, column) in columns.iter().enumerate() {
        line(out, &format!("Column {index} name"), &column.name)?;
        let declared = column.decltype.as_deref().unwrap_or("(null)");
        line(out, &format!("Column {index} declared type"), declared)?;
    }
    Ok(())
}

/// What a server told, and the shares of the time in milliseconds.
fn of_server(out: &mut dyn Write, cost: &ServerCost) -> io::Result<()> {
    let text = |count: Option<u64>| count.map_or("not reported".to_owned(), |count| count.to_string());
    let millis = |time: Duration| format!("{:.3} ms", time.as_secs_f64() * 1000.0);
    line(out, "Rows read by the server", text(cost.rows_read))?;
    line(out, "Rows written by the server", text(cost.rows_written))?;
    match (cost.server, cost.network()) {
        (Some(server), Some(network)) => {
            line(out, "Server time", millis(server))?;
            line(out, "Network time", millis(network))?;
        }
        _ => line(out, "Server and network time", millis(cost.waited))?,
    }
    line(out, "Client time", millis(cost.client()))
}

/// A counter of the whole process: now, and at most.
fn process_status(of: c_int) -> (i64, i64) {
    let (mut now, mut most) = (0, 0);
    // SAFETY: both pointers are to live integers of the type that is wanted, and nothing is kept of them.
    #[allow(unsafe_code)]
    let code = unsafe { ffi::sqlite3_status64(of, &mut now, &mut most, 0) };
    if code == ffi::SQLITE_OK { (now, most) } else { (0, 0) }
}

/// A counter of a connection: now, and at most. `reset` begins it anew.
fn connection_status(connection: &Connection, of: c_int, reset: bool) -> (c_int, c_int) {
    let (mut now, mut most) = (0, 0);
    // SAFETY: the handle is that of a connection that is open while it is borrowed; the pointers are to live integers.
    #[allow(unsafe_code)]
    let code = unsafe { ffi::sqlite3_db_status(connection.handle(), of, &mut now, &mut most, c_int::from(reset)) };
    if code == ffi::SQLITE_OK { (now, most) } else { (0, 0) }
}

/// The counters of the process and the connection, of a statement if there is one, and of the kernel's input and output.
fn connection_counters(shell: &mut Shell<'_>, work: Option<&StatementCounters>) -> ShellResult {
    let mut text = Vec::new();
    if let Some(engine) = shell.session()?.engine() {
        of_engine(&mut text, engine.connection())?;
    }
    if let Some(work) = work {
        of_statement(&mut text, work)?;
    }
    of_kernel(&mut text)?;
    shell.out.write_all(&text)?;
    Ok(())
}

fn of_engine(out: &mut dyn Write, connection: &Connection) -> io::Result<()> {
    let (now, most) = process_status(ffi::SQLITE_STATUS_MEMORY_USED);
    line(out, "Memory Used", format_args!("{now} (max {most}) bytes"))?;
    let (now, most) = process_status(ffi::SQLITE_STATUS_MALLOC_COUNT);
    line(
        out,
        "Number of Outstanding Allocations",
        format_args!("{now} (max {most})"),
    )?;
    let (now, most) = process_status(ffi::SQLITE_STATUS_PAGECACHE_OVERFLOW);
    line(
        out,
        "Number of Pcache Overflow Bytes",
        format_args!("{now} (max {most}) bytes"),
    )?;
    let (_, most) = process_status(ffi::SQLITE_STATUS_MALLOC_SIZE);
    line(out, "Largest Allocation", format_args!("{most} bytes"))?;
    let (_, most) = process_status(ffi::SQLITE_STATUS_PAGECACHE_SIZE);
    line(out, "Largest Pcache Allocation", format_args!("{most} bytes"))?;
    let (now, most) = connection_status(connection, ffi::SQLITE_DBSTATUS_LOOKASIDE_USED, false);
    line(out, "Lookaside Slots Used", format_args!("{now} (max {most})"))?;
    for (label, of) in [
        ("Successful lookaside attempts", ffi::SQLITE_DBSTATUS_LOOKASIDE_HIT),
        (
            "Lookaside failures due to size",
            ffi::SQLITE_DBSTATUS_LOOKASIDE_MISS_SIZE,
        ),
        (
            "Lookaside failures due to OOM",
            ffi::SQLITE_DBSTATUS_LOOKASIDE_MISS_FULL,
        ),
    ] {
        line(out, label, connection_status(connection, of, false).1)?;
    }
    let (now, _) = connection_status(connection, ffi::SQLITE_DBSTATUS_CACHE_USED, false);
    line(out, "Pager Heap Usage", format_args!("{now} bytes"))?;
    for (label, of) in [
        ("Page cache hits", ffi::SQLITE_DBSTATUS_CACHE_HIT),
        ("Page cache misses", ffi::SQLITE_DBSTATUS_CACHE_MISS),
        ("Page cache writes", ffi::SQLITE_DBSTATUS_CACHE_WRITE),
        ("Page cache spills", ffi::SQLITE_DBSTATUS_CACHE_SPILL),
    ] {
        line(out, label, connection_status(connection, of, true).0)?;
    }
    let (now, _) = connection_status(connection, ffi::SQLITE_DBSTATUS_SCHEMA_USED, false);
    line(out, "Schema Heap Usage", format_args!("{now} bytes"))?;
    let (now, _) = connection_status(connection, ffi::SQLITE_DBSTATUS_STMT_USED, false);
    line(out, "Statement Heap/Lookaside Usage", format_args!("{now} bytes"))
}

fn of_statement(out: &mut dyn Write, work: &StatementCounters) -> io::Result<()> {
    for (label, count) in [
        ("Fullscan Steps", work.full_scan_steps),
        ("Sort Operations", work.sorts),
        ("Autoindex Inserts", work.automatic_index_rows),
        ("Virtual Machine Steps", work.vm_steps),
        ("Reprepare operations", work.reprepares),
        ("Number of times run", work.runs),
        ("Memory used by prepared stmt", work.memory),
    ] {
        line(out, label, count)?;
    }
    Ok(())
}

/// What the kernel counts of this process, where it does.
fn of_kernel(out: &mut dyn Write) -> io::Result<()> {
    let counted = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    for (name, label) in [
        ("rchar", "Bytes received by read()"),
        ("wchar", "Bytes sent to write()"),
        ("syscr", "Read() system calls"),
        ("syscw", "Write() system calls"),
        ("read_bytes", "Bytes read from storage"),
        ("write_bytes", "Bytes written to storage"),
        ("cancelled_write_bytes", "Cancelled write bytes"),
    ] {
        let value = counted
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(counter, _)| *counter == name);
        if let Some((_, value)) = value {
            line(out, label, value)?;
        }
    }
    Ok(())
}
