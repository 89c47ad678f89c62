//! What dumps say that a libSQL server does not take, in words that it does.
//!
//! A server has no `unistr()`, lets nobody write its schema table, counts and analyzes by itself. So a virtual table is
//! made by the statement that made it once, its content goes into the tables that came with it, `unistr('…')` is worked out
//! here, and what has no place on a server is told once. Vector indexes are made by the server itself. Only scripts are read like that: what a person types at the
//! prompt, and what stands in an argument, goes to the server as it is.

use super::{deferred, run_statement, vector_indexes};
use crate::shell::state::script::{ScriptTranslation, VirtualTable};
use crate::shell::state::{Interrupt, Shell, ShellResult};
use crate::sql::Value;
use crate::sql::query::collect;
use crate::sql::text::value_to_text;
use crate::sqltext::dialect;
use crate::sqltext::quote::{identifier, literal, unquote};
use crate::sqltext::token::{significant_tokens, tokens};
use std::borrow::Cow;

/// What has no place on a server.
pub const APPLICATION_ID: &str = "the application_id was not copied: servers refuse to set it";
pub const STATISTICS: &str = "the results of ANALYZE were not copied: servers do not store them";

/// A statement, as far as its first words tell.
#[derive(Debug, PartialEq)]
enum ScriptStatement<'s> {
    /// It is no affair of ours.
    Other,
    Pragma(&'s str),
    Analyze,
    /// Makes a table of this name, virtual or not.
    Create {
        name: String,
        is_virtual: bool,
    },
    /// Makes an index of this name.
    Index(String),
    /// Inserts into, or deletes from, a table of this name.
    Change {
        name: String,
        inserts: bool,
    },
    /// Ends a transaction.
    Commit,
}

/// The words of `sql` and what stands between them, without blanks.
fn words(sql: &str) -> impl Iterator<Item = &str> {
    significant_tokens(sql).map(|(_, text)| text)
}

impl<'s> ScriptStatement<'s> {
    fn of(sql: &'s str) -> Self {
        let mut words = words(sql).peekable();
        let is = |word: &str, name: &str| word.eq_ignore_ascii_case(name);
        let first = words.next().unwrap_or_default();
        // The name that comes next, without that of its schema.
        let name = |words: &mut dyn Iterator<Item = &'s str>| {
            let name = words.next().unwrap_or_default();
            unquote(if is(name, "main") && words.next() == Some(".") {
                words.next().unwrap_or_default()
            } else {
                name
            })
            .into_owned()
        };
        match () {
            () if is(first, "PRAGMA") => {
                let pragma = words.next().unwrap_or_default();
                let dotted = is(pragma, "main") && words.next_if_eq(&".").is_some();
                Self::Pragma(if dotted {
                    words.next().unwrap_or_default()
                } else {
                    pragma
                })
            }
            () if is(first, "ANALYZE") => {
                let schema = |word: &&str| is(word, "sqlite_schema") || is(word, "sqlite_master");
                if words.next_if(schema).is_some() && matches!(words.next(), None | Some(";")) {
                    Self::Analyze
                } else {
                    Self::Other
                }
            }
            () if is(first, "COMMIT") || is(first, "END") => Self::Commit,
            () if is(first, "CREATE") => {
                let is_virtual = words.next_if(|word| is(word, "VIRTUAL")).is_some();
                let kind = words.next().unwrap_or_default();
                if words.next_if(|word| is(word, "IF")).is_some() {
                    words.by_ref().take(2).for_each(drop);
                }
                match () {
                    () if is(kind, "TABLE") => Self::Create {
                        name: name(&mut words),
                        is_virtual,
                    },
                    () if is(kind, "INDEX") => Self::Index(name(&mut words)),
                    () => Self::Other,
                }
            }
            () if is(first, "INSERT") || is(first, "REPLACE") || is(first, "DELETE") => {
                if words.next_if(|word| is(word, "OR")).is_some() {
                    words.next();
                }
                match words.next() {
                    Some(word) if is(word, "INTO") || is(word, "FROM") => Self::Change {
                        name: name(&mut words),
                        inserts: !is(first, "DELETE"),
                    },
                    _ => Self::Other,
                }
            }
            () => Self::Other,
        }
    }
}

fn is_schema(name: &str) -> bool {
    name.eq_ignore_ascii_case("sqlite_schema") || name.eq_ignore_ascii_case("sqlite_master")
}

fn is_system(name: &str) -> bool {
    name.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("sqlite_"))
}

fn is_statistics(name: &str) -> bool {
    name.len() == 12 && name[..11].eq_ignore_ascii_case("sqlite_stat")
}

/// What makes the virtual table that `sql` writes into the schema table.
fn virtual_table(sql: &str) -> Option<String> {
    // Its values are worked out by an engine, whatever form they have.
    let at = tokens(sql).scan(0, |at, (_, text)| {
        *at += text.len();
        Some((*at, text))
    });
    let (after, _) = at.into_iter().find(|(_, text)| text.eq_ignore_ascii_case("VALUES"))?;
    let values = sql[after..].trim_end().trim_end_matches(';');
    let mut engine = crate::sql::open_scratch(&crate::sql::Target::Memory).ok()?;
    // They are the script's, and nothing in a script for a server is meant for this machine.
    let _restriction = crate::sql::restrict::restrict(engine.as_mut()).ok()?;
    let row = collect(engine.as_mut(), &format!("VALUES{values}"), &[]).ok()?.pop()?;
    let [kind, _, _, root, create] = row.as_slice() else {
        return None;
    };
    let create = value_to_text(create);
    let is_virtual = create
        .get(..20)
        .is_some_and(|start| start.eq_ignore_ascii_case("CREATE VIRTUAL TABLE"));
    (value_to_text(kind) == "table" && *root == Value::Integer(0) && is_virtual).then_some(create)
}

/// Whether a statement only writes rows into a table like any other, and has nothing to show. `translation` tells which are.
pub fn only_writes(translation: &ScriptTranslation, sql: &str) -> bool {
    let ScriptStatement::Change { name, .. } = ScriptStatement::of(sql) else {
        return words(sql)
            .next()
            .is_some_and(|word| word.eq_ignore_ascii_case("UPDATE"))
            && !returns(sql);
    };
    let untouched = |module: &VirtualTable| {
        !module.filled && module.shadows.iter().any(|shadow| shadow.eq_ignore_ascii_case(&name))
    };
    !is_system(&name)
        && !translation.virtual_tables.iter().any(untouched)
        && !vector_indexes::is_content(translation, &name)
        && !returns(sql)
}

/// Whether it may have a result. Looked at quickly: most statements do not even have the letters.
fn returns(sql: &str) -> bool {
    memchr::memchr2_iter(b'r', b'R', sql.as_bytes()).any(|at| {
        sql.as_bytes()[at..]
            .get(..9)
            .is_some_and(|word| word.eq_ignore_ascii_case(b"returning"))
    })
}

/// Rows in words that a server understands.
pub fn plain_words(sql: &str) -> Cow<'_, str> {
    let mut sql = Cow::Borrowed(sql);
    if let Some(plain) = dialect::without_unistr(&sql) {
        sql = Cow::Owned(plain);
    }
    if memchr::memmem::find(sql.as_bytes(), b"Inf").is_some()
        && let Some(plain) = dialect::with_numbers_for_inf(&sql)
    {
        sql = Cow::Owned(plain);
    }
    sql
}

/// Whether `sql` ends a transaction and keeps what it did.
pub fn commits(sql: &str) -> bool {
    ScriptStatement::of(sql) == ScriptStatement::Commit
}

/// Whether a statement changes rows of the schema table.
pub fn changes_schema_table(sql: &str) -> bool {
    match ScriptStatement::of(sql) {
        ScriptStatement::Change { name, .. } => is_schema(&name),
        _ => {
            words(sql)
                .next()
                .is_some_and(|word| word.eq_ignore_ascii_case("UPDATE"))
                && words(sql).any(is_schema)
        }
    }
}

/// The name of the virtual table that a script's `INSERT INTO sqlite_schema` makes. Dumps make them so.
pub fn virtual_table_in(sql: &str) -> Option<String> {
    match ScriptStatement::of(sql) {
        ScriptStatement::Change { name, inserts: true } if is_schema(&name) => {}
        _ => return None,
    }
    match ScriptStatement::of(&virtual_table(sql)?) {
        ScriptStatement::Create { name, .. } => Some(name),
        _ => None,
    }
}

/// Whether what runs now comes from a script and goes to a server.
pub fn is_remote_script(shell: &mut Shell<'_>) -> ShellResult<bool> {
    let scripted = shell.input.nesting > usize::from(shell.input.typing);
    Ok(scripted && !shell.session()?.is_local())
}

/// Runs a statement of a script on a server, whatever it takes.
pub fn run_translated(shell: &mut Shell<'_>, sql: &str, rest: &str) -> ShellResult {
    match ScriptStatement::of(sql) {
        ScriptStatement::Pragma(name) if name.eq_ignore_ascii_case("writable_schema") => Ok(()),
        ScriptStatement::Pragma(name) if name.eq_ignore_ascii_case("application_id") => {
            let sets = |word: &&str| matches!(*word, "=" | "(");
            let value = words(sql).skip_while(|word| !sets(word)).nth(1);
            match value {
                None => run_statement(shell, sql, rest),
                Some("0") => Ok(()),
                Some(_) => report_left_behind(shell, APPLICATION_ID),
            }
        }
        ScriptStatement::Analyze => report_left_behind(shell, STATISTICS),
        ScriptStatement::Create { name, .. } | ScriptStatement::Change { name, .. } if is_statistics(&name) => {
            report_left_behind(shell, STATISTICS)
        }
        ScriptStatement::Change { name, inserts: true }
        | ScriptStatement::Create { name, .. }
        | ScriptStatement::Index(name)
            if vector_indexes::is_content(&shell.slot().translation, &name) =>
        {
            vector_indexes::note(&mut shell.slot().translation, &name, sql);
            Ok(())
        }
        ScriptStatement::Create { name, is_virtual: true } => {
            run_statement(shell, sql, rest)?;
            note_virtual_table(shell, &name)
        }
        ScriptStatement::Create { name, .. }
            if virtual_table_of(shell, &name).is_some() || name.eq_ignore_ascii_case("sqlite_sequence") =>
        {
            Ok(())
        }
        ScriptStatement::Change { name, inserts: true } if is_schema(&name) => match virtual_table(sql) {
            Some(create) => run_translated(shell, &create, &create),
            None => run_statement(shell, sql, rest),
        },
        ScriptStatement::Change { name, .. } if name.eq_ignore_ascii_case("sqlite_sequence") => {
            let there = shell.ask("SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_sequence'", &[])?;
            // Where no table counts, there is nothing to count.
            if there.is_empty() {
                Ok(())
            } else {
                run_statement(shell, sql, rest)
            }
        }
        ScriptStatement::Change { name, inserts } => {
            if let Some(module) = virtual_table_of(shell, &name).filter(|_| inserts) {
                empty_shadows(shell, module)?;
            }
            let plain = plain_words(sql);
            let ran = match &plain {
                Cow::Borrowed(_) => run_statement(shell, sql, rest),
                Cow::Owned(plain) => run_statement(shell, plain, plain),
            };
            match ran {
                Err(Interrupt::Statement(error)) if inserts => {
                    let line = shell.input.line;
                    if deferred::defer(shell, &plain, line, &error.message)? {
                        Ok(())
                    } else {
                        Err(Interrupt::Statement(error))
                    }
                }
                ran => ran,
            }
        }
        ScriptStatement::Commit => {
            deferred::run_deferred(shell)?;
            run_statement(shell, sql, rest)?;
            reload_virtual_tables(shell)
        }
        ScriptStatement::Pragma(_)
        | ScriptStatement::Create { .. }
        | ScriptStatement::Index(_)
        | ScriptStatement::Other => run_statement(shell, sql, rest),
    }
}

/// Tells once that something is left behind.
fn report_left_behind(shell: &mut Shell<'_>, what: &'static str) -> ShellResult {
    let reported = &mut shell.slot().translation.reported;
    if reported.contains(&what) {
        return Ok(());
    }
    reported.push(what);
    shell.say(format_args!("Warning: {what}"))
}

fn virtual_table_of(shell: &mut Shell<'_>, table: &str) -> Option<usize> {
    let modules = &shell.slot().translation.virtual_tables;
    modules
        .iter()
        .position(|module| module.shadows.iter().any(|shadow| shadow.eq_ignore_ascii_case(table)))
}

/// Notes what tables came with a virtual table.
fn note_virtual_table(shell: &mut Shell<'_>, name: &str) -> ShellResult {
    let prefix = literal(&format!("{name}_"));
    let shadows = shell.ask(
        &format!(
            "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'shadow' \
             AND lower(substr(name, 1, length({prefix}))) = lower({prefix})"
        ),
        &[],
    )?;
    let shadows = shadows.iter().map(|row| value_to_text(&row[0])).collect();
    shell
        .slot()
        .translation
        .virtual_tables
        .push(VirtualTable { shadows, filled: false });
    Ok(())
}

/// Takes out what a new virtual table begins with: its content comes with the script.
fn empty_shadows(shell: &mut Shell<'_>, module: usize) -> ShellResult {
    let module = &mut shell.slot().translation.virtual_tables[module];
    if std::mem::replace(&mut module.filled, true) {
        return Ok(());
    }
    for shadow in module.shadows.clone() {
        shell.ask(&format!("DELETE FROM {}", identifier(&shadow)), &[])?;
    }
    Ok(())
}

/// Has the server read anew the virtual tables whose content was written beneath them.
pub fn reload_virtual_tables(shell: &mut Shell<'_>) -> ShellResult {
    let modules = std::mem::take(&mut shell.slot().translation.virtual_tables);
    if !modules.iter().any(|module| module.filled) {
        return Ok(());
    }
    if shell.session()?.in_transaction() {
        shell.slot().translation.virtual_tables = modules;
        return Ok(());
    }
    let keys = shell.ask("PRAGMA foreign_keys", &[])?;
    shell.disconnect();
    let keys = keys
        .first()
        .and_then(|row| row.first())
        .map(value_to_text)
        .unwrap_or_default();
    shell.ask(&format!("PRAGMA foreign_keys = {keys}"), &[]).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remote_script_statement_is_classified_by_its_first_words() {
        let change = |name: &str, inserts| ScriptStatement::Change {
            name: name.to_owned(),
            inserts,
        };
        let create = |name: &str, is_virtual| ScriptStatement::Create {
            name: name.to_owned(),
            is_virtual,
        };
        for (sql, sense) in [
            ("PRAGMA writable_schema=ON;", ScriptStatement::Pragma("writable_schema")),
            (
                "pragma main.application_id(5)",
                ScriptStatement::Pragma("application_id"),
            ),
            ("ANALYZE sqlite_schema;", ScriptStatement::Analyze),
            ("analyze", ScriptStatement::Other),
            ("CREATE TABLE IF NOT EXISTS 'f_data'(id)", create("f_data", false)),
            ("create virtual table \"a\"\"b\" using fts5(x)", create("a\"b", true)),
            (
                "CREATE INDEX IF NOT EXISTS i ON t(a)",
                ScriptStatement::Index("i".to_owned()),
            ),
            ("CREATE UNIQUE INDEX i ON t(a)", ScriptStatement::Other),
            (
                "INSERT INTO sqlite_schema(type) VALUES(1)",
                change("sqlite_schema", true),
            ),
            ("insert or ignore into main.[t x] values(1)", change("t x", true)),
            ("DELETE FROM sqlite_sequence;", change("sqlite_sequence", false)),
            ("/* x */ COMMIT", ScriptStatement::Commit),
            ("SELECT 1", ScriptStatement::Other),
            ("", ScriptStatement::Other),
        ] {
            assert_eq!(ScriptStatement::of(sql), sense, "{sql}");
        }
    }

    #[test]
    fn virtual_table_is_found_in_what_is_written_into_the_schema() {
        for (sql, expected) in [
            (
                "INSERT INTO sqlite_schema(type,name,tbl_name,rootpage,sql)VALUES('table','f','f',0,'CREATE VIRTUAL TABLE f using fts5(a, tokenize=''porter'')');",
                Some("CREATE VIRTUAL TABLE f using fts5(a, tokenize='porter')"),
            ),
            (
                r"INSERT INTO sqlite_master VALUES('table','f','f',0,unistr('CREATE VIRTUAL TABLE f\u000ausing fts5(a)'));",
                Some("CREATE VIRTUAL TABLE f\nusing fts5(a)"),
            ),
            (
                "INSERT INTO sqlite_schema VALUES('table','t','t',2,'CREATE TABLE t(a)');",
                None,
            ),
            ("INSERT INTO sqlite_schema VALUES(", None),
            // Nothing of a script for a server runs here.
            (
                "INSERT INTO sqlite_schema VALUES('table','f','f',0,edit('CREATE VIRTUAL TABLE f USING fts5(a)', 'true'));",
                None,
            ),
        ] {
            assert_eq!(virtual_table(sql).as_deref(), expected, "{sql}");
        }
    }

    #[test]
    fn remote_script_rows_wait_unless_they_concern_more_than_a_table() {
        let translation = ScriptTranslation {
            reported: Vec::new(),
            virtual_tables: vec![VirtualTable {
                shadows: vec!["f_data".to_owned()],
                filled: false,
            }],
            vector_indexes: vec!["vi".to_owned()],
        };
        for (sql, waits) in [
            ("INSERT INTO t VALUES(1)", true),
            ("UPDATE t SET a = 1", true),
            ("INSERT INTO t VALUES(1) RETURNING a", false),
            ("INSERT INTO \"F_data\" VALUES(1)", false),
            ("INSERT INTO sqlite_sequence VALUES('a',1)", false),
            ("INSERT INTO vi_shadow VALUES(1,X'00')", false),
            ("INSERT INTO libsql_vector_meta_shadow VALUES('vj',X'00')", false),
            ("SELECT 1", false),
            ("WITH a AS (SELECT 1) INSERT INTO t SELECT * FROM a", false),
        ] {
            assert_eq!(only_writes(&translation, sql), waits, "{sql}");
        }
    }
}
