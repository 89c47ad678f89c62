//! What completion knows of a database.
//!
//! [`Schema`] is all that completion asks, so that it can be tested without a database. [`Live`] answers from the session
//! of the shell, which lends it while a person types: it asks only when Tab is pressed, keeps what it learned, and asks
//! again once the schema has changed. It never waits for a network: what a server's databases hold is read beforehand, on
//! a connection and a thread of its own ([`Live::read_ahead`]).

use crate::sql::query::collect;
use crate::sql::text::value_to_text;
use crate::sql::{self, Session, Target, Value};
use crate::sqltext::quote::identifier;
use crate::sync::lock;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// Names of a database's things. Every answer may be empty, none may take long.
pub trait Schema {
    /// Tables and views.
    fn tables(&self) -> Vec<String>;
    /// The columns of a table or view, in their order; empty if there is none of that name.
    fn columns(&self, table: &str) -> Vec<String>;
    fn indexes(&self) -> Vec<String>;
    fn triggers(&self) -> Vec<String>;
    /// `main`, `temp` and what is attached.
    fn schemas(&self) -> Vec<String>;
    fn functions(&self) -> Vec<String>;
    fn pragmas(&self) -> Vec<String>;
    fn collations(&self) -> Vec<String>;
    /// Logical databases that `.open` could open.
    fn databases(&self) -> Vec<String>;
}

/// A schema without anything in it.
pub struct Nothing;

impl Schema for Nothing {
    fn tables(&self) -> Vec<String> {
        Vec::new()
    }
    fn columns(&self, _: &str) -> Vec<String> {
        Vec::new()
    }
    fn indexes(&self) -> Vec<String> {
        Vec::new()
    }
    fn triggers(&self) -> Vec<String> {
        Vec::new()
    }
    fn schemas(&self) -> Vec<String> {
        Vec::new()
    }
    fn functions(&self) -> Vec<String> {
        Vec::new()
    }
    fn pragmas(&self) -> Vec<String> {
        Vec::new()
    }
    fn collations(&self) -> Vec<String> {
        Vec::new()
    }
    fn databases(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Answers by the query and its argument.
type Answers = HashMap<(&'static str, String), Vec<String>>;

/// What was learned, and for which state of the schema.
#[derive(Default)]
struct SchemaCache {
    state: String,
    answers: Answers,
}

/// The names in the database that a session is connected to.
pub struct Live<'d> {
    session: RefCell<Option<Box<dyn Session>>>,
    known: RefCell<SchemaCache>,
    /// Which server's database was read ahead, and what came of it so far.
    ahead: RefCell<(String, Arc<Mutex<Answers>>)>,
    stale: Cell<bool>,
    databases: &'d dyn Fn() -> Vec<String>,
}

const STATE: &str = "SELECT group_concat(name || char(0) || file) FROM pragma_database_list";
const OBJECTS: &str =
    "SELECT name FROM pragma_table_list WHERE type <> 'shadow' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
    UNION SELECT 'sqlite_schema' ORDER BY 1";
const COLUMNS: &str = "SELECT name FROM pragma_table_xinfo(?1) WHERE hidden <> 1 ORDER BY cid";
/// Every table and view with every column, where asking for each would take as many round trips.
const ALL_COLUMNS: &str = "SELECT m.name || char(31) || p.name FROM sqlite_schema AS m, pragma_table_xinfo(m.name) AS p
    WHERE m.type IN ('table', 'view') AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND p.hidden <> 1 ORDER BY m.name, p.cid";
const INDEXES: &str = "SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL ORDER BY 1";
const TRIGGERS: &str = "SELECT name FROM sqlite_schema WHERE type = 'trigger' ORDER BY 1";
const SCHEMAS: &str = "SELECT name FROM pragma_database_list ORDER BY seq";
const FUNCTIONS: &str = "SELECT DISTINCT name FROM pragma_function_list WHERE name GLOB '[a-z]*' ORDER BY 1";
const PRAGMAS: &str = "SELECT name FROM pragma_pragma_list ORDER BY 1";
const COLLATIONS: &str = "SELECT name FROM pragma_collation_list ORDER BY 1";

impl<'d> Live<'d> {
    /// `databases` names what `.open` could open; it is called when that is completed.
    #[must_use]
    pub fn new(databases: &'d dyn Fn() -> Vec<String>) -> Self {
        Self {
            session: RefCell::default(),
            known: RefCell::default(),
            ahead: RefCell::default(),
            stale: Cell::new(false),
            databases,
        }
    }

    /// Lends the session for the time a person types.
    pub fn set_session(&self, session: Box<dyn Session>) {
        self.session.replace(Some(session));
    }

    /// Takes the session back.
    pub fn reclaim(&self) -> Option<Box<dyn Session>> {
        self.session.take()
    }

    /// Reads, in the background, what a server's database holds, unless that is known. A file is read when it is asked.
    pub fn read_ahead(&self, target: &Target) {
        let Target::Remote { url, .. } = target else {
            return;
        };
        let mut ahead = self.ahead.borrow_mut();
        if ahead.0 == url.as_str() && !self.stale.take() {
            return;
        }
        let answers = Arc::new(Mutex::new(if ahead.0 == url.as_str() {
            // Better what was true a moment ago than nothing.
            lock(&ahead.1).clone()
        } else {
            Answers::new()
        }));
        *ahead = (url.as_str().to_owned(), answers.clone());
        let target = target.clone();
        // Nobody waits for it: it ends with the program, and where it fails completion knows less.
        std::thread::spawn(move || {
            let Ok(mut session) = sql::open(&target) else {
                return;
            };
            let read = everything(session.as_mut());
            *lock(&answers) = read;
        });
    }

    /// A statement may have changed the schema.
    pub fn outdate(&self) {
        self.stale.set(true);
    }

    fn ask(&self, query: &'static str, argument: &str) -> Vec<String> {
        let mut session = self.session.borrow_mut();
        // Only a file answers at once. A server may not even be connected to yet.
        let is_local = session.as_deref_mut().is_some_and(|session| session.is_local());
        let Some(session) = session.as_deref_mut().filter(|_| is_local) else {
            let ahead = self.ahead.borrow();
            let answers = lock(&ahead.1);
            return answers
                .get(&(query, argument.to_lowercase()))
                .cloned()
                .unwrap_or_default();
        };
        let mut state = names(session, STATE, &[]).concat();
        for schema in names(session, SCHEMAS, &[]) {
            let version = format!("PRAGMA {}.schema_version", identifier(&schema));
            state.extend(names(session, &version, &[]));
        }
        let mut known = self.known.borrow_mut();
        if known.state != state {
            *known = SchemaCache {
                state,
                answers: HashMap::new(),
            };
        }
        known
            .answers
            .entry((query, argument.to_owned()))
            .or_insert_with(|| names(session, query, &[argument]))
            .clone()
    }
}

impl Schema for Live<'_> {
    fn tables(&self) -> Vec<String> {
        self.ask(OBJECTS, "")
    }

    fn columns(&self, table: &str) -> Vec<String> {
        self.ask(COLUMNS, table)
    }

    fn indexes(&self) -> Vec<String> {
        self.ask(INDEXES, "")
    }

    fn triggers(&self) -> Vec<String> {
        self.ask(TRIGGERS, "")
    }

    fn schemas(&self) -> Vec<String> {
        self.ask(SCHEMAS, "")
    }

    fn functions(&self) -> Vec<String> {
        self.ask(FUNCTIONS, "")
    }

    fn pragmas(&self) -> Vec<String> {
        self.ask(PRAGMAS, "")
    }

    fn collations(&self) -> Vec<String> {
        self.ask(COLLATIONS, "")
    }

    fn databases(&self) -> Vec<String> {
        (self.databases)()
    }
}

/// All that [`Live`] may be asked, read with a few queries.
fn everything(session: &mut dyn Session) -> Answers {
    let mut answers = Answers::new();
    for query in [INDEXES, TRIGGERS, FUNCTIONS, PRAGMAS, COLLATIONS] {
        answers.insert((query, String::new()), names(session, query, &[]));
    }
    answers.insert((SCHEMAS, String::new()), vec!["main".to_owned()]);
    let mut tables: Vec<String> = Vec::new();
    for pair in names(session, ALL_COLUMNS, &[]) {
        let Some((table, column)) = pair.split_once('\u{1f}') else {
            continue;
        };
        if tables.last().is_none_or(|last| last != table) {
            tables.push(table.to_owned());
        }
        let columns = answers.entry((COLUMNS, table.to_lowercase())).or_default();
        columns.push(column.to_owned());
    }
    answers.insert((OBJECTS, String::new()), tables);
    answers
}

/// The first column of a query's answer; nothing where it fails, because completion has nothing to say then.
fn names(session: &mut dyn Session, query: &str, arguments: &[&str]) -> Vec<String> {
    let arguments: Vec<Value> = arguments.iter().map(|text| Value::Text((*text).to_owned())).collect();
    let first = |row: Vec<Value>| row.first().filter(|value| **value != Value::Null).map(value_to_text);
    match collect(session, query, &arguments) {
        Ok(rows) => rows.into_iter().filter_map(first).collect(),
        Err(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::Target;

    #[test]
    fn schema_names_follow_the_schema() {
        let live = Live::new(&|| vec!["app".to_owned()]);
        assert!(live.tables().is_empty());
        live.set_session(crate::sql::open(&Target::Memory).unwrap());
        assert_eq!(live.tables(), ["sqlite_schema"]);
        let run = |sql: &str| {
            let mut session = live.reclaim().unwrap();
            names(&mut *session, sql, &[]);
            live.set_session(session);
        };
        run("create table \"odd t\"(a, b as (a + 1))");
        run("create index i on \"odd t\"(a)");
        run("create temp view v as select 1 as one");
        assert_eq!(live.tables(), ["odd t", "sqlite_schema", "v"]);
        assert_eq!(live.columns("odd t"), ["a", "b"]);
        assert_eq!(live.columns("v"), ["one"]);
        assert_eq!(live.indexes(), ["i"]);
        run("alter table \"odd t\" add column c");
        assert_eq!(live.columns("odd t"), ["a", "b", "c"]);
        assert!(live.functions().iter().any(|name| name == "json_extract"));
        assert!(live.pragmas().iter().any(|name| name == "journal_mode"));
        assert_eq!(live.schemas(), ["main", "temp"]);
        assert_eq!(live.databases(), ["app"]);
    }

    #[test]
    fn schema_names_are_read_in_one_round() {
        let mut session = crate::sql::open(&Target::Memory).unwrap();
        for sql in [
            "create table \"Odd t\"(a, b)",
            "create view v as select 1 as one",
            "create index i on \"Odd t\"(a)",
        ] {
            names(session.as_mut(), sql, &[]);
        }
        let answers = everything(session.as_mut());
        let answer = |query, argument: &str| answers[&(query, argument.to_owned())].clone();
        assert_eq!(answer(OBJECTS, ""), ["Odd t", "v"]);
        assert_eq!(answer(COLUMNS, "odd t"), ["a", "b"]);
        assert_eq!(answer(COLUMNS, "v"), ["one"]);
        assert_eq!(answer(INDEXES, ""), ["i"]);
        assert!(answer(FUNCTIONS, "").iter().any(|name| name == "count"));
    }
}
