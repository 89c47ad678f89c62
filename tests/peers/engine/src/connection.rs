//! Connections to the engine, and the database that every text finds.

use crate::events;
use libsql_ffi as ffi;
use std::collections::BTreeMap;
use std::error::Error;
use std::ffi::{CStr, CString, c_int};
use std::ptr::{null, null_mut};

pub struct Connection {
    pub db: *mut ffi::sqlite3,
}

impl Connection {
    pub fn open(name: &str) -> Result<Self, Box<dyn Error>> {
        let name = CString::new(name)?;
        let mut connection = Self { db: null_mut() };
        let flags =
            ffi::SQLITE_OPEN_READWRITE | ffi::SQLITE_OPEN_CREATE | ffi::SQLITE_OPEN_URI | ffi::SQLITE_OPEN_NOMUTEX;
        // SAFETY: A C string and a place for the handle.
        let code = unsafe { ffi::sqlite3_open_v2(name.as_ptr(), &mut connection.db, flags, null()) };
        if code == ffi::SQLITE_OK {
            Ok(connection)
        } else {
            Err(connection.message().into())
        }
    }

    /// The last error.
    pub fn message(&self) -> String {
        // SAFETY: The handle is open, or null, which this call takes.
        unsafe { CStr::from_ptr(ffi::sqlite3_errmsg(self.db)) }
            .to_string_lossy()
            .into_owned()
    }

    pub fn execute(&self, sql: &str) -> Result<(), Box<dyn Error>> {
        let text = CString::new(sql)?;
        // SAFETY: The handle is open, the text a C string.
        let code = unsafe { ffi::sqlite3_exec(self.db, text.as_ptr(), None, null_mut(), null_mut()) };
        if code == ffi::SQLITE_OK {
            Ok(())
        } else {
            Err(format!("{}: {sql}", self.message()).into())
        }
    }

    /// Rows of texts.
    pub fn query(&self, sql: &str) -> Result<Vec<Vec<String>>, Box<dyn Error>> {
        let text = CString::new(sql)?;
        let mut statement = null_mut();
        let mut rows = Vec::new();
        // SAFETY: The handle is open; the statement is used only where it was prepared, and columns only after a row.
        unsafe {
            if ffi::sqlite3_prepare_v2(self.db, text.as_ptr(), -1, &mut statement, null_mut()) != ffi::SQLITE_OK {
                return Err(format!("{}: {sql}", self.message()).into());
            }
            while ffi::sqlite3_step(statement) == ffi::SQLITE_ROW {
                let column = |at| {
                    let text = ffi::sqlite3_column_text(statement, at);
                    if text.is_null() {
                        String::new()
                    } else {
                        CStr::from_ptr(text.cast()).to_string_lossy().into_owned()
                    }
                };
                rows.push((0..ffi::sqlite3_column_count(statement)).map(column).collect());
            }
            ffi::sqlite3_finalize(statement);
        }
        Ok(rows)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // SAFETY: Nobody else has the handle, and every statement was finalized.
        unsafe { ffi::sqlite3_close_v2(self.db) };
    }
}

/// What every text finds: the bytes of a database, and functions that stand for others.
pub struct Template {
    bytes: Vec<u8>,
    stubs: Vec<(CString, c_int)>,
}

impl Template {
    pub fn new(schema: &str, stubs: &[String]) -> Result<Self, Box<dyn Error>> {
        let connection = Connection::open(":memory:")?;
        connection.execute(schema)?;
        let mut found = Vec::new();
        for row in connection.query("select distinct name, narg from pragma_function_list")? {
            if stubs.contains(&row[0]) {
                found.push((CString::new(row[0].as_str())?, row[1].parse()?));
            }
        }
        // The server's own function.
        found.push((c"libsql_server_database_name".to_owned(), 0));
        let mut length = 0;
        // SAFETY: The handle is open; the bytes are copied before they are freed.
        let bytes = unsafe {
            let bytes = ffi::sqlite3_serialize(connection.db, c"main".as_ptr(), &mut length, 0);
            if bytes.is_null() {
                return Err("the database cannot be copied".into());
            }
            let copy = std::slice::from_raw_parts(bytes, usize::try_from(length)?).to_vec();
            ffi::sqlite3_free(bytes.cast());
            copy
        };
        Ok(Self { bytes, stubs: found })
    }

    /// A new connection to a copy of the database, with the hooks.
    pub fn open(&self) -> Result<Connection, Box<dyn Error>> {
        let connection = Connection::open(":memory:")?;
        let db = connection.db;
        let length = self.bytes.len() as ffi::sqlite3_int64;
        let flags = (ffi::SQLITE_DESERIALIZE_FREEONCLOSE | ffi::SQLITE_DESERIALIZE_RESIZEABLE).cast_unsigned();
        // SAFETY: The handle is open. The engine gets memory of its own allocator, which it frees. Names of stubs live as
        // long as the template, which outlives its connections.
        unsafe {
            let copy: *mut u8 = ffi::sqlite3_malloc64(self.bytes.len() as u64).cast();
            if copy.is_null() {
                return Err("no memory".into());
            }
            std::ptr::copy_nonoverlapping(self.bytes.as_ptr(), copy, self.bytes.len());
            if ffi::sqlite3_deserialize(db, c"main".as_ptr(), copy, length, length, flags) != ffi::SQLITE_OK {
                return Err(connection.message().into());
            }
            for (name, arguments) in &self.stubs {
                let user = name.as_ptr().cast_mut().cast();
                let flags = ffi::SQLITE_UTF8 | ffi::SQLITE_INNOCUOUS;
                ffi::sqlite3_create_function_v2(
                    db,
                    name.as_ptr(),
                    *arguments,
                    flags,
                    user,
                    Some(events::stub),
                    None,
                    None,
                    None,
                );
            }
            ffi::sqlite3_limit(db, ffi::SQLITE_LIMIT_LENGTH, 1_000_000);
        }
        // Also reads the schema, which is no text's doing.
        connection.execute("pragma foreign_keys = on; select 1 from sqlite_schema")?;
        // SAFETY: The handle is open.
        unsafe { events::install(db) };
        Ok(connection)
    }

    /// Names of functions, modules and pragmas that the engine has, by kind.
    pub fn vocabulary(&self) -> Result<BTreeMap<&'static str, Vec<String>>, Box<dyn Error>> {
        let connection = self.open()?;
        let mut all = BTreeMap::new();
        for (kind, table) in [
            ("function", "pragma_function_list"),
            ("module", "pragma_module_list"),
            ("pragma", "pragma_pragma_list"),
        ] {
            let rows = connection.query(&format!("select distinct name from {table} order by 1"))?;
            all.insert(kind, rows.into_iter().flatten().collect());
        }
        Ok(all)
    }
}
