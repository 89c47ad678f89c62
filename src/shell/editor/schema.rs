//! What completion knows of a database.
//!
//! [`Schema`] is all that completion asks, so that it can be tested without a database. [`Live`] answers from the session
//! of the shell, which lends it while a person types: it asks only when Tab is pressed, keeps what it learned, and asks
//! again once the schema has changed. It never waits for a network: a remote session is not asked.

use crate::sql::{Args, Column, Flow, Session, Sink, ValueRef};
use std::cell::RefCell;
use std::collections::HashMap;

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

/// What was learned, and for which state of the schema.
#[derive(Default)]
struct Known {
    state: String,
    /// Answers by the query and its argument.
    answers: HashMap<(&'static str, String), Vec<String>>,
}

/// The names in the database that a session is connected to.
pub struct Live<'d> {
    session: RefCell<Option<Box<dyn Session>>>,
    known: RefCell<Known>,
    databases: &'d dyn Fn() -> Vec<String>,
}

const STATE: &str = "SELECT group_concat(name || char(0) || file) FROM pragma_database_list";
const OBJECTS: &str =
    "SELECT name FROM pragma_table_list WHERE type <> 'shadow' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
    UNION SELECT 'sqlite_schema' ORDER BY 1";
const COLUMNS: &str = "SELECT name FROM pragma_table_xinfo(?1) WHERE hidden <> 1 ORDER BY cid";
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
            databases,
        }
    }

    /// Lends the session for the time a person types.
    pub fn lend(&self, session: Box<dyn Session>) {
        self.session.replace(Some(session));
    }

    /// Takes the session back.
    pub fn reclaim(&self) -> Option<Box<dyn Session>> {
        self.session.take()
    }

    fn ask(&self, query: &'static str, argument: &str) -> Vec<String> {
        let mut session = self.session.borrow_mut();
        let Some(session) = session.as_deref_mut() else {
            return Vec::new();
        };
        // Only a file answers at once.
        if session.local().is_none() {
            return Vec::new();
        }
        let mut state = names(session, STATE, &[]).concat();
        for schema in names(session, SCHEMAS, &[]) {
            let version = format!("PRAGMA \"{}\".schema_version", schema.replace('"', "\"\""));
            state.extend(names(session, &version, &[]));
        }
        let mut known = self.known.borrow_mut();
        if known.state != state {
            *known = Known {
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

/// The first column of a query's answer; nothing where it fails, because completion has nothing to say then.
fn names(session: &mut dyn Session, query: &str, arguments: &[&str]) -> Vec<String> {
    struct First(Vec<String>);
    impl Sink for First {
        fn columns(&mut self, _: &[Column]) -> std::io::Result<()> {
            Ok(())
        }
        fn row(&mut self, row: &[ValueRef<'_>]) -> std::io::Result<Flow> {
            match row.first() {
                Some(ValueRef::Text(text)) => self.0.push(String::from_utf8_lossy(text).into_owned()),
                Some(ValueRef::Integer(number)) => self.0.push(number.to_string()),
                _ => {}
            }
            Ok(Flow::Continue)
        }
    }
    let mut first = First(Vec::new());
    let arguments = Args {
        positional: arguments
            .iter()
            .map(|argument| crate::sql::Value::Text((*argument).to_owned()))
            .collect(),
        named: Vec::new(),
    };
    match session.run(query, &arguments, &mut first) {
        Ok(_) => first.0,
        Err(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::Target;

    #[test]
    fn names_follow_the_schema() {
        let live = Live::new(&|| vec!["app".to_owned()]);
        assert!(live.tables().is_empty());
        live.lend(crate::sql::open(&Target::Memory).unwrap());
        assert_eq!(live.tables(), ["sqlite_schema"]);
        let run = |sql: &str| {
            let mut session = live.reclaim().unwrap();
            names(&mut *session, sql, &[]);
            live.lend(session);
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
}
