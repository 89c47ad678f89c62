//! Dumps against those of the system's `sqlite3`, and back into databases.

use super::{Checksum, DumpOptions, DumpReport, Trailer, dump};
use crate::sql::{self, Args, Session, Sink, Target, Unseen, Value, ValueRef};
use proptest::prelude::*;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;

fn open(path: &Path) -> Box<dyn Session> {
    sql::open(&Target::file(path)).unwrap()
}

/// Runs a whole script; any failure fails the test.
fn run(session: &mut dyn Session, script: &str) {
    let mut at = 0;
    while at < script.len() {
        let outcome = session.run(&script[at..], &Args::default(), &mut Unseen);
        at += outcome
            .unwrap_or_else(|failure| panic!("{failure} in {}", &script[at..]))
            .consumed;
    }
}

fn dumped(session: &mut dyn Session, options: &DumpOptions) -> (String, DumpReport) {
    let mut out = Vec::new();
    let report = dump(session, options, &mut out).unwrap();
    (String::from_utf8(out).unwrap(), report)
}

/// A database with a bit of everything that `sqlite3` dumps without loss.
const ORDINARY: &str = r#"
create table "a b"(x int, "y z" text, "select" blob);
insert into "a b" values(1,'it''s
two' || char(13) || 'lines \n', x'00ff'), (-9223372036854775808, '', null);
create table t(id integer primary key autoincrement, v);
insert into t values(5,1.5),(6,1e999),(7,-1e999),(8,'日本'),(9,1e100),(10,4611686018427387904.0),(11, 1e15);
delete from t where id = 9;
create index i on t(v); -- c
create index "i 2" on t(id);
create view v as select * from t;
create table c(a, b generated always as (a+1), d, e as (d) stored);
insert into c(a, d) values(1,2),('x','y');
create table w(k primary key, v) without rowid; insert into w values('k',1);
create table ipk(id integer primary key, v); insert into ipk values(7,'x');
create table intpk(id int primary key, v); insert into intpk values(7,'x');
create table idesc(id integer primary key desc, v); insert into idesc values(7,'x');
create table hidden(rowid, oid); insert into hidden values(1,2);
create table hidden3(rowid, oid, _rowid_); insert into hidden3 values(1,2,3);
create virtual table f using fts5(body);
insert into f values('hello world');
create table f2(body); insert into f2 values('not a shadow');
create trigger tr after insert on t begin select 1; end;
create table cm(a -- comment
);
create table [sq](a);
create table strict_one(a integer not null, b text) strict; insert into strict_one values(1,'b');
create table empty(a);
delete from cm;
analyze;
"#;

#[test]
fn dump_of_an_ordinary_database_is_that_of_sqlite3() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.db");
    let mut session = open(&path);
    run(&mut *session, ORDINARY);
    for command in [
        ".dump",
        ".dump t",
        ".dump t% c",
        ".dump --preserve-rowids",
        ".dump --newlines",
        ".dump -data-only",
        ".dump --nosys",
        ".dump f",
        ".dump sqlite_sequence",
        ".dump nosuch",
        ".dump --data-only --preserve-rowids --nosys t%",
    ] {
        let oracle = Command::new("sqlite3").arg(&path).arg(command).output().unwrap();
        let options = DumpOptions::parse(command.split(' ').skip(1)).unwrap();
        let (text, report) = dumped(&mut *session, &options);
        assert_eq!(text, String::from_utf8_lossy(&oracle.stdout), "{command}");
        assert_eq!(report.errors, 0);
    }
}

#[test]
fn dump_with_comments_at_the_end_keeps_its_statements() {
    let directory = tempfile::tempdir().unwrap();
    let mut session = open(&directory.path().join("a.db"));
    for sql in [
        "create table t(a)",
        "create index i on t(a) -- tail\n;",
        "create view one as select '--' -- no end",
        "create view two as select 2 /* no end",
        "create view three as select 3 /**/",
    ] {
        run(&mut *session, sql);
    }
    let (text, _) = dumped(&mut *session, &DumpOptions::default());
    assert!(text.contains("i on t(a) -- tail\n;\n"), "{text}");
    let (again, _) = dumped(&mut *reloaded(&text), &DumpOptions::default());
    assert!(again.contains("VIEW three"), "{text}\n{again}");
    let (third, _) = dumped(&mut *reloaded(&again), &DumpOptions::default());
    assert_eq!(third, again);
}

#[test]
fn dump_with_an_unknown_option_names_it() {
    assert_eq!(
        DumpOptions::parse(["--newlines", "--bogus", "t"]).unwrap_err(),
        "--bogus"
    );
}

#[test]
fn dump_keeps_what_classic_mode_loses() {
    let directory = tempfile::tempdir().unwrap();
    let mut session = open(&directory.path().join("a.db"));
    run(
        &mut *session,
        "create table t(v); insert into t values('a' || char(0) || 'b'), (cast(x'ff41' as text)), (1e999), (-1e999), (-0.0), \
         (0.1 + 0.2), (5e-324), (1.7976931348623157e308); pragma user_version=7; pragma application_id=-3; \
         create table s(id integer primary key autoincrement); insert into s values(3); drop table s;",
    );
    let (text, _) = dumped(&mut *session, &DumpOptions::default());
    assert!(
        text.ends_with("PRAGMA application_id=-3;\nPRAGMA user_version=7;\nCOMMIT;\n"),
        "{text}"
    );
    assert_eq!(contents(&mut *reloaded(&text)), contents(&mut *session));
    assert_eq!(dumped(&mut *reloaded(&text), &DumpOptions::default()).0, text);
}

#[test]
fn dump_with_implicit_row_ids_restores_them() {
    let directory = tempfile::tempdir().unwrap();
    let mut session = open(&directory.path().join("a.db"));
    run(
        &mut *session,
        "create table t(v); insert into t(rowid, v) values(5, 'x'), (900, 'y');",
    );
    let (text, _) = dumped(
        &mut *session,
        &DumpOptions {
            preserve_rowids: true,
            ..DumpOptions::default()
        },
    );
    let mut ids = Ids::default();
    reloaded(&text)
        .run("select rowid from t", &Args::default(), &mut ids)
        .unwrap();
    assert_eq!(ids.0, ["Integer(5)", "Integer(900)"]);
}

#[test]
fn dump_of_full_text_tables_restores_them() {
    let directory = tempfile::tempdir().unwrap();
    let mut session = open(&directory.path().join("a.db"));
    run(&mut *session, ORDINARY);
    let (text, _) = dumped(&mut *session, &DumpOptions::default());
    let path = directory.path().join("b.db");
    run(&mut *open(&path), &text);
    let mut ids = Ids::default();
    open(&path)
        .run("select rowid from f('world')", &Args::default(), &mut ids)
        .unwrap();
    assert_eq!(ids.0, ["Integer(1)"]);
}

#[test]
fn dump_trailer_tells_a_whole_dump() {
    let mut session = sql::open(&Target::Memory).unwrap();
    run(&mut *session, "create table t(v); insert into t values(1), (2);");
    let (text, report) = dumped(
        &mut *session,
        &DumpOptions {
            trailer: true,
            ..DumpOptions::default()
        },
    );
    let (body, last) = text.trim_end().rsplit_once('\n').unwrap();
    let mut checksum = Checksum::new();
    checksum.update(format!("{body}\n").as_bytes());
    let trailer: Trailer = last.parse().unwrap();
    assert_eq!(
        trailer,
        Trailer {
            rows: 2,
            checksum: checksum.value()
        }
    );
    assert_eq!(report.rows, 2);
    run(&mut *sql::open(&Target::Memory).unwrap(), &text);
}

#[test]
fn dump_of_a_damaged_table_ends_in_rollback() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.db");
    {
        let mut session = open(&path);
        run(
            &mut *session,
            "create table good(a); insert into good values(1); create table bad(a); \
             insert into bad with recursive n(i) as (select 1 union all select i + 1 from n where i < 100) \
             select hex(zeroblob(500)) from n;",
        );
    }
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() - 6 * 4096;
    bytes[middle..middle + 4096].fill(0x5a);
    std::fs::write(&path, bytes).unwrap();
    let mut session = open(&path);
    let (text, report) = dumped(&mut *session, &DumpOptions::default());
    assert!(!session.in_transaction());
    assert_eq!(report.errors, 1);
    assert!(text.contains("INSERT INTO good VALUES(1);\n"));
    assert!(text.contains("/****** CORRUPTION ERROR *******/\n"));
    assert!(text.ends_with("ROLLBACK; -- due to errors\n"));
}

/// A sink that keeps the first column, whatever it is.
#[derive(Default)]
struct Ids(Vec<String>);

impl Sink for Ids {
    fn row(&mut self, row: &[ValueRef<'_>]) -> std::io::Result<ControlFlow<()>> {
        self.0.push(format!("{:?}", row[0]));
        Ok(ControlFlow::Continue(()))
    }
}

fn reloaded(text: &str) -> Box<dyn Session> {
    let mut session = sql::open(&Target::Memory).unwrap();
    run(&mut *session, text);
    session
}

/// The values of table `t`, by type and to the bit.
fn contents(session: &mut dyn Session) -> Vec<String> {
    let mut values = Ids::default();
    session
        .run("select v from t order by rowid", &Args::default(), &mut values)
        .unwrap();
    values.0
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::Integer),
        any::<f64>()
            .prop_filter("SQLite has no NaN", |real| !real.is_nan())
            .prop_map(Value::Real),
        any::<String>().prop_map(Value::Text),
        "[a\\\\nr0125'()\n\r]{0,12}".prop_map(Value::Text),
        proptest::collection::vec(any::<u8>(), 0..20).prop_map(Value::Blob),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn dump_of_each_database_restores_it(table in "[a-z_ '\"\\[;-]{1,10}", column in "[a-zé '\"]{1,8}", values in proptest::collection::vec((value(), value()), 0..12), newlines in any::<bool>()) {
        prop_assume!(!table.to_lowercase().starts_with("sqlite_") && table != "t");
        let name = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        let mut session = sql::open(&Target::Memory).unwrap();
        run(&mut *session, &format!("create table {}(i, {}); create table t(v);", name(&table), name(&format!("{column}_"))));
        for (left, right) in &values {
            let args = Args { positional: vec![left.clone(), right.clone()], named: Vec::new() };
            session.run(&format!("insert into {} values(?, ?)", name(&table)), &args, &mut Unseen).unwrap();
            session.run("insert into t values(?)", &args, &mut Unseen).unwrap();
        }
        let options = DumpOptions { newlines, ..DumpOptions::default() };
        let (text, _) = dumped(&mut *session, &options);
        let mut again = reloaded(&text);
        prop_assert_eq!(contents(&mut *again), contents(&mut *session));
        prop_assert_eq!(dumped(&mut *again, &options).0, text);
    }
}
