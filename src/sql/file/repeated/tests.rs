//! Each statement does what it would have done as it is written.

use super::super::FileSession;
use crate::fuzz;
use crate::sql::query::rows;
use crate::sql::{Args, LocalEngine as _, Session, Target, Unseen, Value};
use proptest::prelude::*;

const TABLES: [&str; 3] = [
    "CREATE TABLE a(i INTEGER PRIMARY KEY, n NUMERIC, r REAL, t TEXT, b BLOB, x)",
    "CREATE TABLE b(i INT NOT NULL, n ANY, r REAL CHECK(r < 1e6), t TEXT COLLATE NOCASE UNIQUE, b BLOB, x ANY) STRICT",
    "CREATE VIEW v AS SELECT * FROM a",
];
const TRIGGER: &str = "CREATE TRIGGER vi INSTEAD OF INSERT ON v BEGIN \
    INSERT INTO a VALUES(new.i, typeof(new.n), typeof(new.r), new.t, typeof(new.t), quote(new.x)); END";

/// Two sessions on databases alike, of which the second gives every statement to the engine as it is.
fn both() -> [FileSession; 2] {
    [false, true].map(|watched| {
        let mut session = FileSession::open(&Target::Memory).unwrap();
        for sql in TABLES.iter().chain([&TRIGGER]) {
            run(&mut session, sql);
        }
        if watched {
            session.pass_verbatim();
        }
        session
    })
}

fn run(session: &mut FileSession, sql: &str) -> String {
    match session.run(sql, &Args::default(), &mut Unseen) {
        Ok(done) => format!(
            "{} {} {} {}",
            done.consumed, done.ran, done.changes, done.last_insert_rowid
        ),
        Err(failure) => format!("{failure:?}"),
    }
}

fn content(session: &mut FileSession) -> Vec<Vec<Value>> {
    let exact =
        |name| format!("coalesce(typeof({name}), '') || ' ' || quote({name}) || ' ' || printf('%!.20g', {name})");
    let columns = ["i", "n", "r", "t", "b", "x"].map(exact).join(", ");
    let sql = format!("SELECT {columns} FROM a UNION ALL SELECT {columns} FROM b");
    let mut content = rows(session, &sql).unwrap();
    content.sort_by_key(|row| format!("{row:?}"));
    content
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => any::<i64>().prop_map(|number| number.to_string()),
        2 => (-20_i64..20).prop_map(|number| number.to_string()),
        1 => "-?[0-9]{1,25}",
        3 => any::<f64>().prop_filter("a number", |number| number.is_finite()).prop_map(|number| format!("{number:e}")),
        3 => "-?[0-9]{0,9}\\.[0-9]{0,19}(e[+-]?[0-9]{1,3})?",
        1 => "-?[0-9]{1,4}e[+-]?[0-9]{1,3}",
        3 => "'([a-c 0-9.;,)é日\n-]|''){0,9}'",
        1 => "'-?[0-9]{1,3}(\\.[0-9]{1,3})?'",
        2 => "[xX]'([0-9a-fA-F]{2}){0,5}'",
        2 => "(NULL|null|Null)",
        1 => "(true|1 \\+ 1|0x1f|\\+1|-- 1|\\(1\\)|1_0|\"x\"|'a' 'b'|x'1'|\\?|:a|current_date)",
    ]
}

fn statement() -> impl Strategy<Value = String> {
    let head = prop::sample::select(vec![
        "INSERT INTO a VALUES(",
        "insert  into\ta values (",
        "INSERT INTO b VALUES(",
        "INSERT OR REPLACE INTO b VALUES(",
        "REPLACE INTO a(i, x, n, r, t, b) VALUES(",
        "INSERT INTO v VALUES(",
        "INSERT INTO a(i,n) VALUES(",
    ]);
    let separator = prop::sample::select(vec![", ", ",", " ,\n"]);
    let tail = prop::sample::select(vec![
        ");",
        ")",
        " ) ; ",
        ");SELECT 1;",
        "),(1,2,3,4,5,6);",
        ") RETURNING i;",
        ") -- x\n;",
    ]);
    let values = prop::collection::vec(value(), 6);
    (head, values, separator, tail)
        .prop_map(|(head, values, separator, tail)| format!("{head}{}{tail}", values.join(separator)))
}

#[test]
fn repeated_statements_fuzz_have_the_effect_of_single_ones() {
    let statements = prop::collection::vec(statement(), 1..12);
    fuzz::run("inserts of literals", 400, statements, |statements| {
        let [mut one, mut other] = both();
        for sql in &statements {
            prop_assert_eq!(run(&mut one, sql), run(&mut other, sql), "{}", sql);
        }
        prop_assert_eq!(content(&mut one), content(&mut other));
        Ok(())
    });
}

#[test]
fn repeated_statements_notice_names_that_change_their_meaning() {
    let [mut one, mut other] = both();
    for sql in [
        "INSERT INTO a VALUES(1,1,1,1,1,1)",
        "CREATE TEMP TABLE a(i, n, r, t, b, x)",
        "INSERT INTO a VALUES(2,2,2,2,2,2)",
        "DROP TABLE temp.a",
        "INSERT INTO a VALUES(3,3,3,3,3,3)",
        "ALTER TABLE a ADD COLUMN y",
        "INSERT INTO a VALUES(4,4,4,4,4,4)",
        "INSERT INTO a VALUES(4,4,4,4,4,4,4)",
        "ATTACH ':memory:' AS m",
        "CREATE TABLE m.c(i)",
        "INSERT INTO c VALUES(1)",
        "CREATE TABLE c(i)",
        "INSERT INTO c VALUES(2)",
        "DROP TABLE a",
        "INSERT INTO a VALUES(5,5,5,5,5,5)",
        "PRAGMA writable_schema=ON",
        "INSERT INTO sqlite_schema VALUES('view','z','z',0,'CREATE VIEW z AS SELECT 1')",
        "PRAGMA writable_schema=OFF",
        "INSERT INTO sqlite_schema VALUES('view','y','y',0,'CREATE VIEW y AS SELECT 1')",
    ] {
        assert_eq!(run(&mut one, sql), run(&mut other, sql), "{sql}");
    }
    let counts =
        "SELECT (SELECT count(*) FROM main.c), (SELECT count(*) FROM m.c), (SELECT count(*) FROM sqlite_schema)";
    assert_eq!(rows(&mut one, counts).unwrap(), rows(&mut other, counts).unwrap());
}
