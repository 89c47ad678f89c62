//! Keeps a session from committing a schema that SQLite cannot read.
//!
//! While `PRAGMA writable_schema` is on, SQLite lets statements write the schema table and checks nothing of what they write: dumps
//! make virtual tables so. A schema that could be read before must be readable before the changes are committed, whoever runs
//! the statements (the shell, `db exec`, migrations, dumps). One that was broken before may be repaired step by step.

use super::FileSession;
use crate::sql::{Failure, Phase};
use crate::sqltext::classify::{StatementKind, first_word_kind};
use crate::sqltext::token::significant_tokens;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ffi};

/// What is known of the schema while it can be written.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum SchemaState {
    /// Nothing but SQLite itself has written it.
    #[default]
    Untouched,
    /// It could be read before the first change, and has to be readable after the last.
    Readable,
    /// It could not be read before the first change.
    Broken,
}

impl FileSession {
    /// Runs a statement by `run`, unless it would commit a schema that cannot be read: that is undone, and fails.
    pub(super) fn run_guarded<T>(
        &mut self,
        sql: &str,
        run: impl FnOnce(&mut Self) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let is_writable = is_schema_writable(&self.connection);
        if self.schema_state == SchemaState::Untouched && !is_writable {
            return run(self);
        }
        let ran = match first_word_kind(sql) {
            StatementKind::Commit | StatementKind::Release if self.schema_state == SchemaState::Readable => {
                self.run_commit(run)
            }
            StatementKind::Write | StatementKind::Other if is_writable && !is_outside_transactions(sql) => {
                self.run_write(run)
            }
            _ => run(self),
        };
        let is_over = self.connection.is_autocommit() && !is_schema_writable(&self.connection);
        if is_over && self.schema_state != SchemaState::Untouched {
            self.schema_state = SchemaState::Untouched;
            // The connection then knows what was written. What a broken schema says of it was known before.
            let _ = read_schema(&self.connection);
        }
        ran
    }

    /// Runs what may end a transaction. SQLite asks whether to commit only where it does end it.
    fn run_commit<T>(&mut self, run: impl FnOnce(&mut Self) -> Result<T, Failure>) -> Result<T, Failure> {
        let Err(why) = read_schema(&self.connection) else {
            return run(self);
        };
        let hook = |connection: &mut Connection, refuse: Option<fn() -> bool>| {
            connection
                .commit_hook(refuse)
                .map_err(|error| super::failure(error, Phase::Step))
        };
        hook(&mut self.connection, Some(|| true))?;
        let ran = run(self);
        hook(&mut self.connection, None)?;
        match ran {
            Err(Failure::Sql {
                code: ffi::SQLITE_CONSTRAINT_COMMITHOOK,
                ..
            }) => {
                if !self.connection.is_autocommit() {
                    execute(&self.connection, "ROLLBACK")?;
                }
                Err(refused(&why, "nothing of the transaction is kept"))
            }
            ran => ran,
        }
    }

    fn run_write<T>(&mut self, run: impl FnOnce(&mut Self) -> Result<T, Failure>) -> Result<T, Failure> {
        if self.schema_state == SchemaState::Untouched {
            self.schema_state = match read_schema(&self.connection) {
                Ok(()) => SchemaState::Readable,
                Err(_) => SchemaState::Broken,
            };
        }
        if self.schema_state == SchemaState::Broken || !self.connection.is_autocommit() {
            return run(self);
        }
        execute(&self.connection, "SAVEPOINT torso_schema")?;
        let ran = run(self);
        if self.connection.is_autocommit() {
            // SQLite has undone all of it.
            return ran;
        }
        let unreadable = read_schema(&self.connection).err();
        if unreadable.is_some() {
            execute(&self.connection, "ROLLBACK TO torso_schema")?;
        }
        if let Err(failure) = execute(&self.connection, "RELEASE torso_schema") {
            let _ = execute(&self.connection, "ROLLBACK");
            return ran.and(Err(failure));
        }
        match unreadable {
            Some(why) => ran.and(Err(refused(&why, "the row is not kept"))),
            None => ran,
        }
    }
}

/// Whether a statement cannot run within a transaction. It writes no rows of the schema table either.
fn is_outside_transactions(sql: &str) -> bool {
    significant_tokens(sql).next().is_some_and(|(_, word)| {
        ["ATTACH", "DETACH", "VACUUM"]
            .iter()
            .any(|name| word.eq_ignore_ascii_case(name))
    })
}

fn is_schema_writable(connection: &Connection) -> bool {
    // Every connection knows this setting.
    let setting = connection.db_config(DbConfig::SQLITE_DBCONFIG_WRITABLE_SCHEMA);
    setting.unwrap_or(false)
}

/// Has SQLite read the schema again, and returns why it cannot be read. Whether it is writable stays as it was.
fn read_schema(connection: &Connection) -> Result<(), String> {
    let was_writable = is_schema_writable(connection);
    let read = connection
        .execute_batch("PRAGMA writable_schema=RESET; SELECT count(*) FROM sqlite_schema")
        .map_err(|error| match error {
            rusqlite::Error::SqliteFailure(_, Some(message)) => message,
            rusqlite::Error::SqlInputError { msg, .. } => msg,
            other => other.to_string(),
        });
    let restored = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_WRITABLE_SCHEMA, was_writable);
    read.and_then(|()| restored.map(drop).map_err(|error| error.to_string()))
}

fn execute(connection: &Connection, sql: &str) -> Result<(), Failure> {
    connection
        .execute_batch(sql)
        .map_err(|error| super::failure(error, Phase::Step))
}

fn refused(why: &str, consequence: &str) -> Failure {
    Failure::Sql {
        phase: Phase::Prepare,
        message: format!("{why} ({consequence})"),
        code: ffi::SQLITE_ERROR,
        offset: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{Args, Session as _, Target, Unseen};

    fn run(session: &mut FileSession, script: &str) -> Result<(), String> {
        let mut rest = script;
        while !rest.is_empty() {
            match session.run(rest, &Args::default(), &mut Unseen) {
                Ok(outcome) => rest = rest[outcome.consumed..].trim_start(),
                Err(failure) => return Err(failure.to_string()),
            }
        }
        Ok(())
    }

    /// Runs a script on a new file that has a table `t`; returns what failed, and the tables that a new connection sees.
    fn tables_after(script: &str) -> (Option<String>, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.db");
        let mut session = FileSession::open(&Target::file(&path)).unwrap();
        run(&mut session, "create table t(x)").unwrap();
        let failed = run(&mut session, script).err();
        drop(session);
        let connection = Connection::open(&path).unwrap();
        let mut names = connection.prepare("select name from sqlite_schema order by 1").unwrap();
        let names = names.query_map([], |row| row.get(0)).unwrap();
        (failed, names.map(Result::unwrap).collect())
    }

    #[test]
    fn schema_that_cannot_be_read_is_never_committed() {
        let garbage = "update sqlite_schema set sql = 'garbage'";
        for script in [
            format!("pragma writable_schema=1; {garbage};"),
            format!("begin; pragma writable_schema=1; {garbage}; commit;"),
            format!("begin; pragma writable_schema=1; {garbage}; pragma writable_schema=0; end transaction;"),
            format!("savepoint a; pragma writable_schema=1; savepoint b; {garbage}; release b; release a;"),
            format!("/* x */ pragma writable_schema = on; with a as (select 1) {garbage};"),
            "pragma writable_schema=1; insert into sqlite_master values('table', 't', 't', 2, 'create table t(y)');".into(),
            "pragma writable_schema=1; create trigger r after insert on t begin update sqlite_schema set sql = 'x'; end; \
             insert into t values (1);"
                .into(),
            "pragma writable_schema=1; delete from sqlite_schema; insert into \"sqlite_schema\" values('view','v','v',0,'x');"
                .into(),
        ] {
            let (failed, tables) = tables_after(&script);
            let failed = failed.unwrap_or_else(|| panic!("{script}: {tables:?}"));
            assert!(failed.contains("malformed database schema"), "{script}: {failed}");
        }
    }

    #[test]
    fn schema_rows_that_can_be_read_are_kept() {
        for (script, expected) in [
            (
                "pragma writable_schema=1; update sqlite_schema set sql = 'create table t(x, y)';",
                &["t"][..],
            ),
            // For a while it cannot be read.
            (
                "begin; pragma writable_schema=1; update sqlite_schema set sql = 'x'; \
                 update sqlite_schema set sql = 'create table t(z)'; commit;",
                &["t"],
            ),
            (
                "savepoint a; pragma writable_schema=1; update sqlite_schema set sql = 'x'; rollback to a; release a;",
                &["t"],
            ),
            (
                "pragma writable_schema=1; create table u(a); vacuum; insert into u values(1);",
                &["t", "u"],
            ),
            (
                "begin; pragma writable_schema=1; insert into sqlite_schema values('table', 'f', 'f', 0, \
                 'create virtual table f using rtree(id, a, b)'); create table f_rowid(rowid integer primary key, nodeno); \
                 create table f_node(nodeno integer primary key, data); \
                 create table f_parent(nodeno integer primary key, parentnode); pragma writable_schema=0; commit;",
                &["f", "f_node", "f_parent", "f_rowid", "t"],
            ),
        ] {
            let (failed, tables) = tables_after(script);
            assert_eq!(
                (failed, tables.as_slice()),
                (
                    None,
                    &expected.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()[..]
                ),
                "{script}"
            );
        }
    }

    #[test]
    fn schema_that_was_broken_before_may_be_repaired() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.db");
        let connection = Connection::open(&path).unwrap();
        connection
            .execute_batch(
                "create table t(x); create table u(x); pragma writable_schema=1; update sqlite_schema set sql='x'",
            )
            .unwrap();
        drop(connection);
        let mut session = FileSession::open(&Target::file(&path)).unwrap();
        let repair =
            |name: &str| format!("update sqlite_schema set sql = 'create table {name}(x)' where name = '{name}';");
        run(&mut session, "pragma writable_schema=1;").unwrap();
        run(&mut session, &repair("t")).unwrap();
        run(&mut session, &repair("u")).unwrap();
        drop(session);
        let connection = Connection::open(&path).unwrap();
        connection
            .execute_batch("insert into t values (1); insert into u values (1)")
            .unwrap();
    }
}
