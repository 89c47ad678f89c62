//! Keeps somebody else's SQL (a dump, the schema of another database) within the database that it is run in.
//!
//! [`check`] says what of an action reaches outside, by the table in `functions::reach`; [`restrict`] has SQLite ask it for
//! everything that a connection compiles, also within views and triggers.

use super::Session;
use super::functions::reach::{is_harmless_function, is_harmless_module, is_harmless_pragma, is_pragma_of_files};
use crate::error::{Code, Error, Result};
use crate::sync::lock;
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use std::fmt;
use std::sync::{Arc, Mutex};

/// What in a statement reaches beyond its database. It displays as SQL names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Beyond {
    /// Another file: ATTACH, or VACUUM INTO.
    File,
    Function(String),
    Module(String),
    Pragma(String),
    Unknown,
}

impl fmt::Display for Beyond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => f.write_str("ATTACH"),
            Self::Function(name) => write!(f, "the {name}() function"),
            Self::Module(name) => write!(f, "virtual tables of {name}"),
            Self::Pragma(name) => write!(f, "PRAGMA {name}"),
            Self::Unknown => f.write_str("a statement that this torso does not know"),
        }
    }
}

/// What of an action reaches outside the database.
pub(crate) fn check(action: &AuthAction<'_>) -> Option<Beyond> {
    match action {
        AuthAction::Attach { .. } => Some(Beyond::File),
        AuthAction::Function { function_name } if !is_harmless_function(function_name) => {
            Some(Beyond::Function(function_name.to_ascii_lowercase()))
        }
        AuthAction::CreateVtable { module_name, .. } if !is_harmless_module(module_name) => {
            Some(Beyond::Module(module_name.to_ascii_lowercase()))
        }
        AuthAction::Pragma { pragma_name, .. } if is_pragma_of_files(pragma_name) => {
            Some(Beyond::Pragma(pragma_name.to_ascii_lowercase()))
        }
        // It would lift the database's size limit.
        AuthAction::Pragma {
            pragma_name,
            pragma_value: Some(_),
        } if pragma_name.eq_ignore_ascii_case("max_page_count") => {
            Some(Beyond::Pragma(pragma_name.to_ascii_lowercase()))
        }
        // An ATTACH whose file is no literal is among them.
        AuthAction::Unknown { .. } => Some(Beyond::Unknown),
        _ => None,
    }
}

/// A connection's restriction, until it is lifted.
pub(crate) struct Restriction {
    beyond: Arc<Mutex<Option<Beyond>>>,
    attached: i32,
    trusted_schema: bool,
}

impl Restriction {
    /// What was refused since this was last asked, for the message: SQLite says "not authorized".
    pub fn take_beyond(&self) -> Option<Beyond> {
        lock(&self.beyond).take()
    }

    /// Gives the connection back what it had, without an authorizer.
    pub fn lift(self, session: &mut dyn Session) {
        if let Some(engine) = session.engine() {
            let connection = engine.connection();
            // None of these can fail on a connection that took the restriction.
            let _ = connection.authorizer(None::<fn(AuthContext<'_>) -> Authorization>);
            let _ = connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, self.attached);
            let _ = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, self.trusted_schema);
        }
    }
}

/// Restricts a session on a file or in memory to its own database. None for a server's, where nothing runs here.
pub(crate) fn restrict(session: &mut dyn Session) -> Result<Option<Restriction>> {
    session
        .engine()
        .map(|engine| restrict_connection(engine.connection()))
        .transpose()
}

/// The same for a connection.
pub(crate) fn restrict_connection(connection: &mut Connection) -> Result<Restriction> {
    let failed = |error| Error::new(Code::Internal, "a connection cannot be restricted").caused_by(error);
    let trusted_schema = connection
        .db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA)
        .map_err(failed)?;
    distrust_schema(connection).map_err(failed)?;
    let attached = connection.limit(Limit::SQLITE_LIMIT_ATTACHED).map_err(failed)?;
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0).map_err(failed)?;
    let beyond: Arc<Mutex<Option<Beyond>>> = Arc::default();
    let refused = Arc::clone(&beyond);
    connection
        .authorizer(Some(move |context: AuthContext<'_>| {
            if let Some(found) = check(&context.action) {
                *lock(&refused) = Some(found);
                return Authorization::Deny;
            }
            match context.action {
                // As SQLite does with a pragma that it does not know: nothing.
                AuthAction::Pragma { pragma_name, .. } if !is_harmless_pragma(pragma_name) => Authorization::Ignore,
                _ => Authorization::Allow,
            }
        }))
        .map_err(failed)?;
    Ok(Restriction {
        beyond,
        attached,
        trusted_schema,
    })
}

/// For a file that somebody else made: its views and triggers use no function or virtual table that is not known to be safe
/// there.
pub(crate) fn distrust_schema(connection: &Connection) -> rusqlite::Result<()> {
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{Target, open, query};

    #[test]
    fn restriction_refuses_what_reaches_outside_and_lifts() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x");
        let file = file.to_str().unwrap();
        let mut session = open(&Target::Memory).unwrap();
        let session = session.as_mut();
        let restriction = restrict(session).unwrap().unwrap();
        for (sql, beyond) in [
            (format!("SELECT writefile('{file}', 'x')"), "the writefile() function"),
            (format!("SELECT readfile('{file}')"), "the readfile() function"),
            (format!("SELECT edit('x', 'touch {file}')"), "the edit() function"),
            (
                format!("SELECT load_extension('{file}')"),
                "the load_extension() function",
            ),
            (
                format!("SELECT WRITEFILE('{file}', 'x') OVER ()"),
                "the writefile() function",
            ),
            (
                format!("CREATE TABLE made AS SELECT \"writefile\"('{file}', 'x') AS n"),
                "the writefile() function",
            ),
            (
                format!("SELECT sha3_query('SELECT writefile(''{file}'', ''x'')')"),
                "the writefile() function",
            ),
            (format!("ATTACH '{file}' AS o"), "ATTACH"),
            (format!("ATTACH '{file}' || '' AS o"), "ATTACH"),
            (format!("VACUUM INTO '{file}'"), "ATTACH"),
            (
                format!("PRAGMA temp_store_directory = '{file}'"),
                "PRAGMA temp_store_directory",
            ),
        ] {
            let error = query::rows(session, &sql).unwrap_err();
            let found = restriction.take_beyond().map(|beyond| beyond.to_string());
            // An ATTACH of no literal is refused as the one thing or the other.
            let fits = found.as_deref() == Some(beyond) || found.as_deref() == Some(&Beyond::Unknown.to_string());
            assert!(fits, "{sql}: {error} {found:?}");
        }
        // A schema's own code is looked at when it is used.
        for sql in [
            format!("CREATE VIEW v AS SELECT writefile('{file}', 'x') AS n"),
            format!("CREATE TABLE t(a DEFAULT (writefile('{file}', 'x')))"),
            "CREATE TABLE u(a)".to_owned(),
            format!("CREATE TRIGGER tr AFTER INSERT ON u BEGIN SELECT writefile('{file}', 'x'); END"),
            format!("CREATE TABLE w(a, b AS (readfile('{file}')))"),
            "PRAGMA trusted_schema = ON".to_owned(),
        ] {
            // Some of them are refused at once.
            let _ = query::rows(session, &sql);
        }
        for sql in [
            "SELECT * FROM v",
            "INSERT INTO t DEFAULT VALUES",
            "INSERT INTO u VALUES (1)",
            "SELECT b FROM w",
        ] {
            assert!(query::rows(session, sql).is_err(), "{sql}");
        }
        assert!(!std::path::Path::new(file).exists());
        restriction.lift(session);
        query::rows(session, "ATTACH ':memory:' AS o").unwrap();
        query::rows(session, &format!("SELECT writefile('{file}', 'x')")).unwrap();
        assert!(std::path::Path::new(file).exists());
        // From a schema never.
        assert!(query::rows(session, "SELECT * FROM v").is_err());
    }

    #[test]
    fn restriction_lets_dumps_of_virtual_tables_through() {
        let mut session = open(&Target::Memory).unwrap();
        let session = session.as_mut();
        let _restriction = restrict(session).unwrap().unwrap();
        for sql in [
            "PRAGMA writable_schema = ON",
            "CREATE VIRTUAL TABLE f USING fts5(x)",
            "INSERT INTO f VALUES ('words')",
            "CREATE VIRTUAL TABLE r USING rtree(id, a, b)",
            "SELECT * FROM generate_series(1, 3), json_each('[1]'), pragma_table_info('f')",
            "PRAGMA key = 'no pragma of SQLite'",
            "SELECT unistr('a'), sha3('x'), decimal_add('1', '2')",
        ] {
            query::rows(session, sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        }
    }

    /// Every form that SQLite's grammar has.
    #[test]
    fn restriction_lets_every_form_of_alter_table_through() {
        let mut session = open(&Target::Memory).unwrap();
        let session = session.as_mut();
        let _restriction = restrict(session).unwrap().unwrap();
        for sql in [
            "CREATE TABLE t(a, b, c, d CONSTRAINT positive CHECK (d > 0))",
            "CREATE INDEX i ON t(a, lower(b))",
            "CREATE VIEW v AS SELECT a, b FROM t",
            "CREATE TRIGGER r AFTER INSERT ON t BEGIN UPDATE t SET b = new.a; END",
            "INSERT INTO t VALUES (1, 2, 3, 4)",
            "ALTER TABLE t RENAME TO u",
            "ALTER TABLE u RENAME COLUMN a TO z",
            "ALTER TABLE u ADD COLUMN e INTEGER NOT NULL DEFAULT 5 CHECK (e > 0)",
            "ALTER TABLE u ADD COLUMN f AS (e + 1)",
            "ALTER TABLE u DROP COLUMN c",
            "ALTER TABLE u ALTER COLUMN z SET NOT NULL",
            "ALTER TABLE u ALTER COLUMN z DROP NOT NULL",
            "ALTER TABLE u ADD CONSTRAINT small CHECK (e < 100)",
            "ALTER TABLE u DROP CONSTRAINT positive",
            "ANALYZE",
            "REINDEX",
        ] {
            query::rows(session, sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        }
    }
}
