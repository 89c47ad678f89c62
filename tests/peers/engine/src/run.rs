//! Runs texts, statement by statement, each text in a fresh copy of the database.

use crate::connection::{Connection, Template};
use crate::events;
use crate::report::{Event, Report, Statement};
use crate::scratch::{SECRET, Scratch};
use libsql_ffi as ffi;
use std::cell::Cell;
use std::error::Error;
use std::ffi::{c_int, c_void};
use std::ptr::null_mut;

/// Rows of a statement that are looked at.
const ROWS: usize = 40;
/// Instructions between two looks at the time limit.
const STRIDE: u32 = 200;

pub struct Engine {
    template: Template,
    scratch: Scratch,
    connection: Option<Connection>,
    /// Whether the connection is as it was opened.
    clean: bool,
    /// How many more strides a statement may take.
    left: Box<Cell<u32>>,
    strides: u32,
}

unsafe extern "C" fn progress(left: *mut c_void) -> c_int {
    // SAFETY: The engine hands over the counter, which lives as long as the engine.
    let left = unsafe { &*left.cast::<Cell<u32>>() };
    left.set(left.get().saturating_sub(1));
    c_int::from(left.get() == 0)
}

/// Whether an event leaves the connection or its database another than before.
fn leaves_traces(event: &Event) -> bool {
    !matches!(event.0, "read" | "select" | "function" | "call" | "recursive")
}

impl Engine {
    pub fn new(template: Template, scratch: Scratch, instructions: u32) -> Result<Self, Box<dyn Error>> {
        // SAFETY: No memory of the engine's is in use yet that would exceed it.
        unsafe { ffi::sqlite3_hard_heap_limit64(64 << 20) };
        Ok(Self {
            template,
            scratch,
            connection: None,
            clean: false,
            left: Box::default(),
            strides: instructions.div_ceil(STRIDE),
        })
    }

    /// Runs a text.
    pub fn report(&mut self, text: &str) -> Result<Report, Box<dyn Error>> {
        if !self.clean {
            self.connection = None;
            let connection = self.template.open()?;
            let left: *const Cell<u32> = &raw const *self.left;
            // SAFETY: The handle is open, and the counter outlives it.
            unsafe {
                ffi::sqlite3_progress_handler(connection.db, STRIDE as c_int, Some(progress), left.cast_mut().cast())
            };
            self.connection = Some(connection);
        }
        let mut report = Report::default();
        let mut begin = 0;
        while begin < text.len() {
            let Some(statement) = self.statement(text, begin, &mut report.secret) else {
                break;
            };
            begin = statement.end;
            let failed = statement.prepare_error.is_some();
            report.statements.push(statement);
            if failed {
                break;
            }
        }
        report.rest = text.len() - begin;
        let events = || report.statements.iter().flat_map(|statement| &statement.events);
        self.clean =
            !events().any(leaves_traces) && report.statements.iter().all(|statement| statement.nested.is_empty());
        let made: Vec<String> = events()
            .filter(|event| event.0.starts_with("create_") || event.0 == "alter_table")
            .flat_map(|event| [event.1.to_lowercase(), event.2.to_lowercase()])
            .collect();
        if !made.is_empty() {
            report.stored = self.use_stored(&made)?;
        }
        report.files = self.scratch.changes()?;
        Ok(report)
    }

    fn connection(&self) -> &Connection {
        self.connection.as_ref().expect("opened before")
    }

    /// Prepares and runs the statement at `begin`; none where only white space and comments are left.
    fn statement(&self, text: &str, begin: usize, secret: &mut bool) -> Option<Statement> {
        let db = self.connection().db;
        let rest = &text.as_bytes()[begin..];
        let (mut prepared, mut tail) = (null_mut(), std::ptr::null());
        events::begin();
        self.left.set(self.strides);
        // SAFETY: The handle is open; the text is as long as is said; `tail` points into it.
        let (code, changes) = unsafe {
            let before = ffi::sqlite3_total_changes64(db);
            let code = ffi::sqlite3_prepare_v2(db, rest.as_ptr().cast(), rest.len() as c_int, &mut prepared, &mut tail);
            (code, ffi::sqlite3_total_changes64(db) - before)
        };
        let consumed = if tail.is_null() {
            rest.len()
        } else {
            tail as usize - rest.as_ptr() as usize
        };
        let mut statement = Statement {
            begin,
            end: begin + consumed,
            ..Statement::default()
        };
        if code != ffi::SQLITE_OK {
            statement.prepare_error = Some(self.connection().message());
        } else if prepared.is_null() {
            // What stood there was empty: go on behind it.
            return (consumed > 0 && consumed < rest.len())
                .then(|| self.statement(text, begin + consumed, secret))
                .flatten();
        } else {
            events::runs(prepared);
            // SAFETY: The statement was prepared, and is used no more behind its end.
            unsafe {
                statement.readonly = ffi::sqlite3_stmt_readonly(prepared) != 0;
                statement.explain = ffi::sqlite3_stmt_isexplain(prepared);
                statement.step_error = self.step(prepared, secret);
                ffi::sqlite3_finalize(prepared);
            }
        }
        (statement.events, statement.nested) = events::take();
        statement.changed_at_prepare = changes != 0
            || statement
                .nested
                .iter()
                .any(|nested| nested.at_prepare && !nested.readonly);
        Some(statement)
    }

    /// # Safety
    ///
    /// The statement is prepared.
    unsafe fn step(&self, statement: *mut ffi::sqlite3_stmt, secret: &mut bool) -> Option<String> {
        for _ in 0..ROWS {
            // SAFETY: As the caller promises; columns are read only of a row.
            unsafe {
                match ffi::sqlite3_step(statement) {
                    ffi::SQLITE_ROW => {}
                    ffi::SQLITE_DONE => return None,
                    _ => return Some(self.connection().message()),
                }
                for at in 0..ffi::sqlite3_column_count(statement) {
                    let bytes: *const u8 = ffi::sqlite3_column_blob(statement, at).cast();
                    let length = ffi::sqlite3_column_bytes(statement, at);
                    if !bytes.is_null() && length >= SECRET.len() as c_int {
                        let bytes = std::slice::from_raw_parts(bytes, length as usize);
                        *secret |= bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes());
                    }
                }
            }
        }
        None
    }

    /// Uses the objects of those names, or on tables of those names, and returns what that touched.
    fn use_stored(&self, names: &[String]) -> Result<Vec<Event>, Box<dyn Error>> {
        let connection = self.connection();
        let objects = connection
            .query("select type, name, tbl_name from sqlite_schema where type in ('table', 'view', 'trigger')")
            .unwrap_or_default();
        let mut events = Vec::new();
        for object in objects {
            if !object[1..].iter().any(|name| names.contains(&name.to_lowercase())) {
                continue;
            }
            let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
            let (name, table) = (quoted(&object[1]), quoted(&object[2]));
            let uses = match object[0].as_str() {
                "view" => vec![format!("select * from {name}")],
                "trigger" => vec![
                    format!("explain insert into {table} default values"),
                    format!("explain delete from {table}"),
                    format!("explain update {table} set {}", self.assignments(&object[2])?),
                ],
                "table" => vec![
                    format!("insert into {name} default values"),
                    format!("select * from {name}"),
                ],
                _ => continue,
            };
            for sql in uses {
                let _ = self.statement_of_ours(&sql, &mut events);
            }
        }
        Ok(events)
    }

    fn assignments(&self, table: &str) -> Result<String, Box<dyn Error>> {
        let name = table.replace('\'', "''");
        let columns = self
            .connection()
            .query(&format!("select name from pragma_table_info('{name}')"))?;
        let set = |row: &Vec<String>| format!("\"{0}\" = \"{0}\"", row[0].replace('"', "\"\""));
        Ok(columns.iter().map(set).collect::<Vec<_>>().join(", "))
    }

    fn statement_of_ours(&self, sql: &str, events: &mut Vec<Event>) -> Option<Statement> {
        let statement = self.statement(sql, 0, &mut false)?;
        for event in &statement.events {
            // What the use itself is does not count.
            if matches!(event.0, "function" | "call" | "read" | "pragma" | "attach") && !events.contains(event) {
                events.push(event.clone());
            }
        }
        Some(statement)
    }
}
