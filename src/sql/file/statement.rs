//! A prepared statement, by SQLite's own functions.
//!
//! `rusqlite` asks SQLite three times for a value (its type, its bytes, how many), and each time SQLite looks for the column
//! again; a text that it binds is copied first. Here a value is looked for once, and the texts of a row that is inserted are
//! lent to SQLite until it has taken them. With this and what is in `shell/render/text` and `shell/import/reader`, the processor time
//! of a list of 340,000 rows fell from 0.87 to 0.58 of that of `sqlite3`, that of `.import` from 0.59 to 0.39. To measure again:
//! `cargo bench --locked --bench beside-sqlite3 -- list import`, before and after `row` and `insert` are replaced by `rusqlite`'s
//! `Row::get_ref` and `raw_bind_parameter`.
//!
//! Connections of this module are used by one thread at a time (`SQLITE_OPEN_NO_MUTEX`), so that a value may be read without
//! being copied ("unprotected" values of SQLite's documentation).

#![allow(unsafe_code)]

use super::failure::failure;
use crate::sql::{Args, Column, Explain, Failure, Phase, Prepared, Rows, StatementCounters, Value};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ffi};
use std::ffi::{CStr, c_char, c_int};
use std::ptr::{NonNull, null_mut};

/// A prepared statement.
pub(super) struct FileStatement<'c> {
    /// Finalized once, when this is dropped.
    pointer: NonNull<ffi::sqlite3_stmt>,
    /// Open as long as the statement.
    connection: &'c Connection,
}

/// The result of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StepResult {
    Row,
    Done,
}

impl<'c> FileStatement<'c> {
    /// Prepares the first statement of a text; none if it has only white space and comments.
    pub fn prepare(connection: &'c Connection, sql: &str) -> Result<Option<Self>, Failure> {
        let Ok(length) = c_int::try_from(sql.len()) else {
            let error = ffi::Error::new(ffi::SQLITE_TOOBIG);
            return Err(failure(rusqlite::Error::SqliteFailure(error, None), Phase::Prepare));
        };
        let mut pointer = null_mut();
        // SAFETY: the connection is open while it is borrowed; SQLite reads no more than `length` bytes of the text, and keeps
        // nothing of it.
        let code = unsafe {
            let tail = null_mut();
            ffi::sqlite3_prepare_v3(connection.handle(), sql.as_ptr().cast(), length, 0, &mut pointer, tail)
        };
        if code != ffi::SQLITE_OK {
            return Err(last_failure(connection, code, Phase::Prepare));
        }
        Ok(NonNull::new(pointer).map(|pointer| Self { pointer, connection }))
    }

    fn as_ptr(&self) -> *mut ffi::sqlite3_stmt {
        self.pointer.as_ptr()
    }

    /// What it is, known before it runs.
    pub fn describe(&self) -> Prepared {
        // SAFETY: the statement is not finalized.
        let (explain, read_only) = unsafe {
            (
                ffi::sqlite3_stmt_isexplain(self.as_ptr()),
                ffi::sqlite3_stmt_readonly(self.as_ptr()),
            )
        };
        Prepared {
            explain: match explain {
                0 => Explain::No,
                1 => Explain::Program,
                _ => Explain::Plan,
            },
            read_only: read_only != 0,
        }
    }

    /// How many columns its result has.
    pub fn width(&self) -> usize {
        // SAFETY: the statement is not finalized.
        let count = unsafe { ffi::sqlite3_column_count(self.as_ptr()) };
        usize::try_from(count).unwrap_or(0)
    }

    /// The columns of its result. In a damaged schema a name may not be UTF-8.
    pub fn columns(&self) -> Result<Vec<Column>, Failure> {
        let width = c_int::try_from(self.width()).unwrap_or(0);
        (0..width).map(|index| self.column(index)).collect()
    }

    fn column(&self, index: c_int) -> Result<Column, Failure> {
        // SAFETY: the statement is not finalized; SQLite's texts end with a NUL, and are copied before its next call.
        let (name, decltype) = unsafe {
            (
                text_of(ffi::sqlite3_column_name(self.as_ptr(), index)),
                text_of(ffi::sqlite3_column_decltype(self.as_ptr(), index)),
            )
        };
        let refused = |message: &str, code| Failure::Sql {
            phase: Phase::Step,
            message: message.to_owned(),
            code,
            offset: None,
        };
        let text = |bytes: &CStr| match bytes.to_str() {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err(refused("a column's name is not UTF-8", ffi::SQLITE_CORRUPT)),
        };
        Ok(Column {
            name: text(name.ok_or_else(|| refused("out of memory", ffi::SQLITE_NOMEM))?)?,
            decltype: decltype.map(text).transpose()?,
        })
    }

    /// Binds every parameter; a missing one is NULL. A bare `?` has the name `?N`.
    pub fn bind(&mut self, args: &Args) -> Result<(), Failure> {
        for index in 0..self.parameter_count() {
            let value = match args.positional.get(index) {
                Some(value) => Some(value),
                None if args.named.is_empty() => None,
                None => {
                    let name = self.parameter_name(index);
                    args.named.iter().find(|(key, _)| *key == name).map(|(_, value)| value)
                }
            };
            if let Some(value) = value {
                self.bind_copy(index, value)?;
            }
        }
        Ok(())
    }

    fn parameter_count(&self) -> usize {
        // SAFETY: the statement is not finalized.
        let count = unsafe { ffi::sqlite3_bind_parameter_count(self.as_ptr()) };
        usize::try_from(count).unwrap_or(0)
    }

    fn parameter_name(&self, index: usize) -> String {
        // SAFETY: the statement is not finalized; the name lives as long as it, and is copied.
        let name = unsafe { text_of(ffi::sqlite3_bind_parameter_name(self.as_ptr(), number(index + 1))) };
        name.map_or_else(|| format!("?{}", index + 1), |name| name.to_string_lossy().into_owned())
    }

    fn bind_copy(&mut self, index: usize, value: &Value) -> Result<(), Failure> {
        // SAFETY: SQLite copies texts and blobs before it returns.
        unsafe { self.bind_value(index, value.into(), ffi::SQLITE_TRANSIENT()) }
    }

    /// Binds a value, by index from 0.
    ///
    /// # Safety
    /// With `SQLITE_STATIC`, texts and blobs must live until the statement was reset after its last step with them, and must
    /// not be used by a further step.
    unsafe fn bind_value(
        &mut self,
        index: usize,
        value: ValueRef<'_>,
        lifetime: ffi::sqlite3_destructor_type,
    ) -> Result<(), Failure> {
        let (statement, index) = (self.as_ptr(), number(index + 1));
        // SAFETY: pointers and lengths are those of slices, whose life the caller answers for.
        let code = unsafe {
            match value {
                ValueRef::Null => ffi::sqlite3_bind_null(statement, index),
                ValueRef::Integer(integer) => ffi::sqlite3_bind_int64(statement, index, integer),
                ValueRef::Real(real) => ffi::sqlite3_bind_double(statement, index, real),
                ValueRef::Text(text) => {
                    let encoding = ffi::SQLITE_UTF8 as u8;
                    let (start, length) = (text.as_ptr().cast(), text.len() as u64);
                    ffi::sqlite3_bind_text64(statement, index, start, length, lifetime, encoding)
                }
                // One without bytes has no address, which would be NULL.
                ValueRef::Blob([]) => ffi::sqlite3_bind_zeroblob(statement, index, 0),
                ValueRef::Blob(blob) => {
                    let (start, length) = (blob.as_ptr().cast(), blob.len() as u64);
                    ffi::sqlite3_bind_blob64(statement, index, start, length, lifetime)
                }
            }
        };
        match code {
            ffi::SQLITE_OK => Ok(()),
            code => Err(last_failure(self.connection, code, Phase::Step)),
        }
    }

    /// Runs the statement once with the present row of `rows`, each value at its parameter. A result is not looked at. Returns the
    /// failure of a row that SQLite refuses; fails when a value cannot be bound.
    pub fn insert(&mut self, rows: &dyn Rows) -> Result<Option<Failure>, Failure> {
        let width = rows.width();
        for index in 0..self.parameter_count() {
            let value = if index < width {
                rows.value(index)
            } else {
                ValueRef::Null
            };
            // SAFETY: the row is borrowed to the end of this function, which resets the statement. The next step comes only
            // after every parameter was bound again.
            unsafe { self.bind_value(index, value, ffi::SQLITE_STATIC()) }?;
        }
        let refused = self.step().err();
        self.reset();
        Ok(refused)
    }

    fn reset(&mut self) {
        // SAFETY: the statement is not finalized. What is returned is the failure of its last step.
        unsafe { ffi::sqlite3_reset(self.as_ptr()) };
    }

    /// Runs it to its next row, or to its end.
    pub fn step(&mut self) -> Result<StepResult, Failure> {
        // SAFETY: the statement is not finalized, and no value of its last row is borrowed.
        match unsafe { ffi::sqlite3_step(self.as_ptr()) } {
            ffi::SQLITE_ROW => Ok(StepResult::Row),
            ffi::SQLITE_DONE => Ok(StepResult::Done),
            code => Err(last_failure(self.connection, code, Phase::Step)),
        }
    }

    /// Appends the first `width` values of the present row. They are borrowed until the next step.
    pub fn row<'r>(&'r self, width: usize, values: &mut Vec<ValueRef<'r>>) -> Result<(), Failure> {
        values.reserve(width);
        for index in 0..width {
            // SAFETY: SQLite returns a value for every index, NULL where there is no such column. It and its bytes stay until
            // the next step, which cannot come while they are borrowed. Their number is asked for after the bytes, which may
            // have been converted. One thread uses the connection.
            //
            // Each kind is appended where it is found: a value that all of them return in common goes through memory in halves,
            // and reading it back as a whole makes the processor wait, for a fifth of the time of a large result.
            unsafe {
                let value = ffi::sqlite3_column_value(self.as_ptr(), number(index));
                match ffi::sqlite3_value_type(value) {
                    ffi::SQLITE_TEXT => {
                        let text: *const u8 = ffi::sqlite3_value_text(value).cast();
                        let length = ffi::sqlite3_value_bytes(value);
                        if text.is_null() {
                            return Err(last_failure(self.connection, ffi::SQLITE_NOMEM, Phase::Step));
                        }
                        let length = usize::try_from(length).unwrap_or(0);
                        values.push(ValueRef::Text(std::slice::from_raw_parts(text, length)));
                    }
                    ffi::SQLITE_INTEGER => values.push(ValueRef::Integer(ffi::sqlite3_value_int64(value))),
                    ffi::SQLITE_FLOAT => values.push(ValueRef::Real(ffi::sqlite3_value_double(value))),
                    ffi::SQLITE_BLOB => {
                        let blob: *const u8 = ffi::sqlite3_value_blob(value).cast();
                        let length = ffi::sqlite3_value_bytes(value);
                        match usize::try_from(length) {
                            Ok(1..) if blob.is_null() => {
                                return Err(last_failure(self.connection, ffi::SQLITE_NOMEM, Phase::Step));
                            }
                            Ok(length @ 1..) => {
                                values.push(ValueRef::Blob(std::slice::from_raw_parts(blob, length)));
                            }
                            _ => values.push(ValueRef::Blob(&[])),
                        }
                    }
                    _ => values.push(ValueRef::Null),
                }
            }
        }
        Ok(())
    }

    /// SQLite's counters for it.
    pub fn counters(&self) -> StatementCounters {
        // SAFETY: the statement is not finalized.
        let count = |which| unsafe { ffi::sqlite3_stmt_status(self.as_ptr(), which, 0) };
        StatementCounters {
            full_scan_steps: count(ffi::SQLITE_STMTSTATUS_FULLSCAN_STEP),
            sorts: count(ffi::SQLITE_STMTSTATUS_SORT),
            automatic_index_rows: count(ffi::SQLITE_STMTSTATUS_AUTOINDEX),
            vm_steps: count(ffi::SQLITE_STMTSTATUS_VM_STEP),
            reprepares: count(ffi::SQLITE_STMTSTATUS_REPREPARE),
            runs: count(ffi::SQLITE_STMTSTATUS_RUN),
            memory: count(ffi::SQLITE_STMTSTATUS_MEMUSED),
        }
    }
}

impl Drop for FileStatement<'_> {
    fn drop(&mut self) {
        // SAFETY: nothing is borrowed of it, and nobody has finalized it. What is returned is the failure of its last step.
        unsafe { ffi::sqlite3_finalize(self.as_ptr()) };
    }
}

/// SQLite counts columns from 0 and parameters from 1; neither can have more than 32,767.
fn number(index: usize) -> c_int {
    c_int::try_from(index).unwrap_or(c_int::MAX)
}

/// A text of SQLite's; none for NULL.
///
/// # Safety
/// It must end with a NUL, and live as long as it is used.
unsafe fn text_of<'t>(text: *const c_char) -> Option<&'t CStr> {
    // SAFETY: as the caller says.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) })
}

/// The failure that a call has just returned as `code`.
fn last_failure(connection: &Connection, code: c_int, phase: Phase) -> Failure {
    // SAFETY: the connection is open while it is borrowed; the message is copied before the next call.
    let (message, offset) = unsafe {
        let handle = connection.handle();
        let message = if ffi::sqlite3_errcode(handle) == code {
            text_of(ffi::sqlite3_errmsg(handle))
        } else {
            text_of(ffi::sqlite3_errstr(code))
        };
        let message = message.map(|text| text.to_string_lossy().into_owned());
        (message, ffi::sqlite3_error_offset(handle))
    };
    let is_placed = phase == Phase::Prepare && code & 0xff == ffi::SQLITE_ERROR;
    Failure::Sql {
        phase,
        message: message.unwrap_or_else(|| "unknown error".to_owned()),
        code,
        offset: usize::try_from(offset).ok().filter(|_| is_placed),
    }
}
