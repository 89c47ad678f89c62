//! No database loses anything on its way: through a dump and back, by way of a server, and copied from place to place.
//!
//! Each of the `databases` goes all ways. What came back is compared with what was there by its content: the text of the
//! schema, every value with its type, row ids where they were to be kept, and the answers to questions. What a server has
//! no place for must be told or refused.

mod databases;
mod dumps;

use crate::support::sqld::Sqld;
use crate::support::{Run, World, in_parallel};
use databases::{DATABASES, Loss, Nasty};
use std::collections::BTreeMap;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Mutex;
use torso::sql::{self, Args, Column, Session, Sink, Target, ValueRef};

/// Rows as text that tells types and bytes.
#[derive(Default)]
struct Told(Vec<String>);

impl Sink for Told {
    fn columns(&mut self, _: &[Column]) -> std::io::Result<()> {
        Ok(())
    }

    fn row(&mut self, row: &[ValueRef<'_>]) -> std::io::Result<ControlFlow<()>> {
        let told = row.iter().map(|value| match value {
            ValueRef::Null => "null".to_owned(),
            ValueRef::Integer(integer) => format!("i {integer}"),
            ValueRef::Real(real) => format!("r {:016x} {real:?}", real.to_bits()),
            ValueRef::Text(text) => format!("t {}", text.escape_ascii()),
            ValueRef::Blob(blob) if blob.len() > 1000 => format!("b {} {:x?}", blob.len(), checksum(blob)),
            ValueRef::Blob(blob) => format!("b {blob:x?}"),
        });
        self.0.push(told.collect::<Vec<_>>().join(" | "));
        Ok(ControlFlow::Continue(()))
    }
}

/// A number that tells large values apart.
fn checksum(bytes: &[u8]) -> u64 {
    let mut checksum = sql::trailer::Checksum::new();
    checksum.update(bytes);
    checksum.value()
}

fn ask(session: &mut dyn Session, sql: &str) -> Vec<String> {
    let mut told = Told::default();
    match session.run(sql, &Args::default(), &mut told) {
        Ok(_) => told.0,
        Err(failure) => vec![format!("{sql}: {failure}")],
    }
}

fn open(path: &Path) -> Box<dyn Session> {
    sql::open(&Target::file(path)).unwrap()
}

/// Makes a database.
fn make(path: &Path, script: &str) {
    let mut session = open(path);
    let mut rest = script;
    while !rest.is_empty() {
        let outcome = session.run(rest, &Args::default(), &mut Told::default());
        rest = &rest[outcome.unwrap_or_else(|failure| panic!("{failure}: {rest}")).consumed..];
    }
}

/// Everything there is in a database, by what it is.
type Content = BTreeMap<String, Vec<String>>;

fn content(path: &Path, nasty: &Nasty, with_row_ids: bool) -> Content {
    let mut session = open(path);
    let session = session.as_mut();
    let mut content = Content::new();
    let mut put = |what: &str, mut told: Vec<String>, sorted: bool| {
        if sorted {
            told.sort();
        }
        content.insert(what.to_owned(), told);
    };
    let objects = "select type, name, tbl_name, sql from sqlite_schema order by type, name, tbl_name";
    let mut schema = ask(session, objects);
    // The table of counts stays for ever once it is there, and means nothing without rows.
    let counts = ask(session, "select * from sqlite_sequence")
        .iter()
        .any(|row| row.starts_with("t "));
    schema.retain(|object| counts || !object.contains("sqlite_sequence"));
    put("schema", schema, false);
    let tables = sql::query::rows(
        session,
        "select name, wr, type from pragma_table_list where schema = 'main' and type <> 'view' and name <> 'sqlite_schema'",
    )
    .unwrap();
    for table in tables {
        let name = match &table[0] {
            sql::Value::Text(name) => name.clone(),
            other => panic!("{other:?}"),
        };
        if name == "sqlite_sequence" && !counts {
            continue;
        }
        let quoted = format!("\"{}\"", name.replace('"', "\"\""));
        let numbered = table[1] == sql::Value::Integer(0);
        let mut select = format!("select * from main.{quoted}");
        // What SQLite counts by itself, and what modules number, is part of the content in any case.
        if with_row_ids && numbered && !name.starts_with("sqlite_") {
            select = ["rowid", "oid", "_rowid_"]
                .into_iter()
                .find(|number| {
                    let taken = ask(
                        session,
                        &format!(
                            "select 1 from pragma_table_xinfo('{}') where name = '{number}'",
                            name.replace('\'', "''")
                        ),
                    );
                    taken.is_empty()
                })
                .map_or(select, |number| format!("select {number}, * from main.{quoted}"));
        }
        put(&format!("rows of {name}"), ask(session, &select), true);
    }
    for pragma in ["user_version", "application_id", "integrity_check", "foreign_key_check"] {
        put(pragma, ask(session, &format!("pragma {pragma}")), true);
    }
    for question in nasty.ask {
        put(question, ask(session, question), false);
    }
    content
}

/// What is left of a content on a server.
fn on_a_server(mut content: Content, nasty: &Nasty) -> Content {
    for loss in nasty.on_a_server {
        match loss {
            Loss::ApplicationId => {
                content.insert("application_id".to_owned(), vec!["i 0".to_owned()]);
            }
            Loss::Statistics => {
                content.retain(|what, _| !what.starts_with("rows of sqlite_stat"));
                let schema = content.get_mut("schema").unwrap();
                schema.retain(|object| !object.contains("sqlite_stat"));
            }
            Loss::LongRows => {}
        }
    }
    content
}

fn differences(before: &Content, after: &Content) -> String {
    let mut told = String::new();
    for what in before
        .keys()
        .chain(after.keys().filter(|what| !before.contains_key(*what)))
    {
        let (one, other) = (before.get(what), after.get(what));
        if one != other {
            let show = |told: Option<&Vec<String>>| match told {
                Some(told) => {
                    let mut text = format!("{told:?}");
                    text.truncate(text.floor_char_boundary(600));
                    text
                }
                None => "nothing".to_owned(),
            };
            told.push_str(&format!(
                "  {what}\n    before {}\n    after  {}\n",
                show(one),
                show(other)
            ));
        }
    }
    told
}

/// One way for a database to go, and whether it went well.
struct Tally {
    ways: Mutex<BTreeMap<&'static str, (u32, u32)>>,
    failures: Mutex<Vec<String>>,
}

impl Tally {
    fn count(&self, way: &'static str, name: &str, problem: Option<String>) {
        let mut ways = self.ways.lock().unwrap();
        let (passed, all) = ways.entry(way).or_default();
        *all += 1;
        match problem {
            None => *passed += 1,
            Some(problem) => self.failures.lock().unwrap().push(format!("{name}, {way}:\n{problem}")),
        }
    }
}

/// A database on its ways.
struct Journey<'a> {
    world: World,
    nasty: &'a Nasty,
    tally: &'a Tally,
}

impl Journey<'_> {
    fn shell(&self, database: &str, arguments: &[&str]) -> Run {
        let mut all = vec!["db", "shell", database];
        all.extend(arguments);
        self.world.torso(all)
    }

    fn path(&self, name: &str) -> String {
        self.world.work().join(name).display().to_string()
    }

    fn content(&self, name: &str, with_row_ids: bool) -> Content {
        content(&self.world.work().join(name), self.nasty, with_row_ids)
    }

    /// Dumps a database into a file. What went wrong is part of the problem.
    fn dump(&self, database: &str, file: &str, arguments: &str) -> Result<(), String> {
        let run = self.shell(database, &[&format!(".dump {arguments}")]);
        std::fs::write(self.path(file), &run.stdout).unwrap();
        if run.code() == 0 && run.stderr.is_empty() {
            Ok(())
        } else {
            Err(format!("  .dump: {}", run.stderr))
        }
    }

    fn check(&self, way: &'static str, before: &Content, after: &str, with_row_ids: bool, said: Result<(), String>) {
        let problem = match said {
            Err(said) => Some(said),
            Ok(()) => Some(differences(before, &self.content(after, with_row_ids))).filter(|told| !told.is_empty()),
        };
        self.tally.count(way, self.nasty.name, problem);
    }

    fn has(&self, loss: Loss) -> bool {
        self.nasty.on_a_server.contains(&loss)
    }

    /// Whether a command went well. A loss on a server must have been told, and nothing else may be.
    fn went(&self, run: &Run, to_a_server: bool) -> Result<(), String> {
        let told = |words: &str| run.stderr.matches(words).count() == 1;
        let expected = match () {
            () if to_a_server && self.has(Loss::ApplicationId) => told("application_id"),
            () if to_a_server && self.has(Loss::Statistics) => told("ANALYZE"),
            () => run.stderr.is_empty(),
        };
        if run.code() == 0 && expected {
            Ok(())
        } else {
            Err(format!("  {}", run.report()))
        }
    }

    fn all_ways(&self) {
        let world = &self.world;
        make(&world.work().join("a.db"), self.nasty.make);
        let a = self.path("a.db");
        let (plain, numbered) = (self.content("a.db", false), self.content("a.db", true));

        // A dump and back.
        for (way, arguments, with_row_ids) in [
            ("file .dump -f file", "--preserve-rowids", true),
            ("file .dump --newlines -f file", "--preserve-rowids --newlines", true),
        ] {
            let back = format!("{arguments}.db");
            let said = self
                .dump(&a, "a.sql", arguments)
                .and_then(|()| self.went(&self.shell(&self.path(&back), &["-f", "a.sql"]), false));
            self.check(way, &numbered, &back, with_row_ids, said);
        }
        // Without row ids, what refers to them by other means than a column is not the same any more.
        if !self.nasty.name.contains("elsewhere") {
            let said = self
                .dump(&a, "plain.sql", "")
                .and_then(|()| self.went(&self.shell(&self.path("read.db"), &[".read plain.sql"]), false));
            self.check("file .dump .read file", &plain, "read.db", false, said);
        }
        let _ = self.dump(&a, "a.sql", "--preserve-rowids");

        // torso's own databases.
        let made = world.torso(["db", "create", "app", "--from-file", "a.db"]);
        let dumped = world.torso(["db", "dump", "app", "--output-file", "app.sql"]);
        let again = world.torso(["db", "create", "again", "--from-dump", "app.sql"]);
        let exported = world.torso(["db", "export", "again", "--output-file", "again.db"]);
        let failed = [&made, &dumped, &again, &exported]
            .into_iter()
            .find(|run| run.code() != 0);
        let said = failed.map_or(Ok(()), |run| Err(run.report()));
        self.check("db dump, db create --from-dump", &numbered, "again.db", true, said);

        // Copies between files.
        let said = self.shell(&a, &[&format!(".clone {}", self.path("cloned.db"))]);
        self.check(
            "file .clone file",
            &numbered,
            "cloned.db",
            true,
            self.went(&said, false),
        );
        let said = self.shell(&self.path("restored.db"), &[".restore a.db"]);
        self.check(
            "file .restore file",
            &numbered,
            "restored.db",
            true,
            self.went(&said, false),
        );

        self.by_way_of_a_server(&on_a_server(numbered, self.nasty));
    }

    fn by_way_of_a_server(&self, expected: &Content) {
        let (server, other) = (Sqld::start(), Sqld::start());
        let (url, other) = (server.url(), other.url());
        if self.has(Loss::LongRows) {
            for (database, arguments) in [
                (url.as_str(), ["-f", "a.sql"].as_slice()),
                (&self.path("a.db"), &[&format!(".clone {other}")]),
                (&url, &[".restore a.db"]),
            ] {
                let run = self.shell(database, arguments);
                let refused = run.code() == 1 && run.stderr.matches("string or blob too big").count() == 1;
                self.tally
                    .count("refused by a server", self.nasty.name, (!refused).then(|| run.report()));
            }
            return;
        }
        let a = self.path("a.db");
        let said = self
            .went(&self.shell(&url, &["-f", "a.sql"]), true)
            .and_then(|()| self.dump(&url, "server.sql", "--preserve-rowids"))
            .and_then(|()| self.went(&self.shell(&self.path("server.db"), &["-f", "server.sql"]), false));
        self.check("file .dump -f server .dump -f file", expected, "server.db", true, said);

        // Questions are answered by the server itself as by a file.
        let mut file = open(&self.world.work().join("a.db"));
        let mut remote = sql::open(&Target::Remote {
            url: url.parse().unwrap(),
            token: None,
            renewal: None,
            read_only: false,
            wait_replica: false,
        })
        .unwrap();
        for question in self.nasty.ask {
            let (one, other) = (ask(file.as_mut(), question), ask(remote.as_mut(), question));
            let problem = (one != other).then(|| format!("  {question}: {one:?} {other:?}"));
            self.tally.count("questions to the server", self.nasty.name, problem);
        }

        let cloned = self.shell(&a, &[&format!(".clone {other}")]);
        let said = self.went(&cloned, true);
        let said = said.and_then(|()| {
            self.went(
                &self.shell(&other, &[&format!(".clone {}", self.path("cloned-back.db"))]),
                false,
            )
        });
        self.check("file .clone server .clone file", expected, "cloned-back.db", true, said);
        let said = self.went(&self.shell(&url, &[".restore a.db"]), true).and_then(|()| {
            self.went(
                &self.shell(&self.path("restored-back.db"), &[&format!(".restore {url}")]),
                false,
            )
        });
        self.check(
            "server .restore file, file .restore server",
            expected,
            "restored-back.db",
            true,
            said,
        );
    }
}

/// Databases that are large in some way, which no list can hold.
fn large() -> Vec<(&'static str, String, &'static [Loss])> {
    let columns: Vec<String> = (0..1200).map(|column| format!("c{column}")).collect();
    let values: Vec<String> = (0..1200).map(|column| column.to_string()).collect();
    let list = |list: &[String]| list.join(", ");
    vec![
        (
            "a wide table",
            format!(
                "create table wide({}); insert into wide values({}); insert into wide(c7) values('x');",
                list(&columns),
                list(&values)
            ),
            &[],
        ),
        (
            "long rows",
            "create table t(a, b); insert into t values(hex(zeroblob(600000)), zeroblob(900000)),
             (replace(hex(zeroblob(300000)), '00', char(10) || ''''), 1);"
                .to_owned(),
            &[],
        ),
        (
            "a row that is too long for a server",
            "create table t(a, b); insert into t values(hex(zeroblob(4000000)), 1), ('short', 2);".to_owned(),
            &[Loss::LongRows],
        ),
        (
            "many tables",
            (0..150)
                .map(|table| format!("create table t{table}(a); insert into t{table} values({table});"))
                .collect(),
            &[],
        ),
    ]
}

#[test]
fn database_of_each_kind_comes_back_whole() {
    let tally = Tally {
        ways: Mutex::default(),
        failures: Mutex::default(),
    };
    let large: Vec<Nasty> = large()
        .into_iter()
        .map(|(name, make, on_a_server)| Nasty {
            name,
            make: make.leak(),
            ask: &[],
            on_a_server,
        })
        .collect();
    let only = std::env::var("TORSO_TEST_ONLY").unwrap_or_default();
    let all: Vec<&Nasty> = DATABASES
        .iter()
        .chain(&large)
        .filter(|nasty| nasty.name.contains(&only))
        .collect();
    in_parallel(&all, |nasty| {
        Journey {
            world: World::new(),
            nasty,
            tally: &tally,
        }
        .all_ways();
    });
    let failures = tally.failures.into_inner().unwrap();
    let mut report = String::new();
    for (way, (passed, all)) in tally.ways.into_inner().unwrap() {
        report.push_str(&format!("{passed:>4} of {all:<4} {way}\n"));
    }
    // Past the capture of tests that pass: the rate is worth seeing each time.
    let _ = write!(std::io::stderr(), "{report}");
    assert!(failures.is_empty(), "{}\n{report}", failures.join("\n"));
}
