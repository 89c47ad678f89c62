//! The engine's hooks, and what they saw.

use crate::report::{Event, Nested};
use libsql_ffi as ffi;
use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::ptr::null_mut;

/// What the hooks of the one connection saw since [`begin`].
#[derive(Default)]
struct Log {
    events: Vec<Event>,
    nested: Vec<Nested>,
    /// The statement that runs; none while one is prepared.
    outer: usize,
}

thread_local! {
    static LOG: RefCell<Log> = RefCell::default();
}

/// Forgets everything: a statement is about to be prepared.
pub fn begin() {
    LOG.with_borrow_mut(|log| *log = Log::default());
}

/// Says that the statement is prepared, and that it runs from now on.
pub fn runs(statement: *mut ffi::sqlite3_stmt) {
    LOG.with_borrow_mut(|log| log.outer = statement as usize);
}

pub fn take() -> (Vec<Event>, Vec<Nested>) {
    LOG.with_borrow_mut(|log| (std::mem::take(&mut log.events), std::mem::take(&mut log.nested)))
}

fn add(event: Event) {
    LOG.with_borrow_mut(|log| {
        if !log.events.contains(&event) {
            log.events.push(event);
        }
    });
}

/// Installs the authorizer and the trace.
///
/// # Safety
///
/// `db` is an open connection.
pub unsafe fn install(db: *mut ffi::sqlite3) {
    // SAFETY: As the caller promises; the hooks need no data.
    unsafe {
        ffi::sqlite3_set_authorizer(db, Some(authorize), null_mut());
        ffi::sqlite3_trace_v2(db, ffi::SQLITE_TRACE_STMT as c_uint, Some(trace), null_mut());
    }
}

/// # Safety
///
/// `text` is null or a C string.
unsafe fn string(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: As the caller promises.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

unsafe extern "C" fn authorize(
    _: *mut c_void,
    code: c_int,
    first: *const c_char,
    second: *const c_char,
    database: *const c_char,
    within: *const c_char,
) -> c_int {
    // SAFETY: The engine hands over C strings.
    unsafe {
        add(Event(
            action(code),
            string(first),
            string(second),
            string(database),
            string(within),
        ));
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn trace(_: c_uint, _: *mut c_void, statement: *mut c_void, sql: *mut c_void) -> c_int {
    // SAFETY: The engine hands over the statement and its text.
    let (readonly, sql) = unsafe { (ffi::sqlite3_stmt_readonly(statement.cast()) != 0, string(sql.cast())) };
    LOG.with_borrow_mut(|log| {
        let nested = Nested {
            at_prepare: log.outer == 0,
            readonly,
            sql,
        };
        // Triggers come as comments, with the statement that fires them.
        if log.outer != statement as usize && !log.nested.contains(&nested) {
            log.nested.push(nested);
        }
    });
    0
}

/// A function that only tells that it was called; its name is the user data.
pub unsafe extern "C" fn stub(context: *mut ffi::sqlite3_context, _: c_int, _: *mut *mut ffi::sqlite3_value) {
    // SAFETY: The engine calls this with the context of the function, whose user data is a C string that is never freed.
    let name = unsafe { string(ffi::sqlite3_user_data(context).cast()) };
    add(Event("call", String::new(), name, String::new(), String::new()));
}

fn action(code: c_int) -> &'static str {
    const NAMES: &[&str] = &[
        "copy",
        "create_index",
        "create_table",
        "create_temp_index",
        "create_temp_table",
        "create_temp_trigger",
        "create_temp_view",
        "create_trigger",
        "create_view",
        "delete",
        "drop_index",
        "drop_table",
        "drop_temp_index",
        "drop_temp_table",
        "drop_temp_trigger",
        "drop_temp_view",
        "drop_trigger",
        "drop_view",
        "insert",
        "pragma",
        "read",
        "select",
        "transaction",
        "update",
        "attach",
        "detach",
        "alter_table",
        "reindex",
        "analyze",
        "create_vtable",
        "drop_vtable",
        "function",
        "savepoint",
        "recursive",
    ];
    usize::try_from(code)
        .ok()
        .and_then(|code| NAMES.get(code))
        .copied()
        .unwrap_or("unknown")
}
