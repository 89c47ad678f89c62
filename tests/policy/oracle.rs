//! What the engine's peer is worth: it has what libSQL server has, and tells what statements touch that reach beyond their
//! database.

use super::engine::{Engine, Report};
use crate::support::sqld::Sqld;
use crate::support::{hrana, server};
use std::collections::BTreeSet;

fn touches(report: &Report, action: &str, name: &str) -> bool {
    report
        .events()
        .chain(&report.stored)
        .any(|event| event.0 == action && (event.1.eq_ignore_ascii_case(name) || event.2.eq_ignore_ascii_case(name)))
}

#[test]
fn engine_peer_has_the_functions_and_modules_of_libsql_server() {
    let engine = Engine::start();
    let sqld = Sqld::start();
    let names = |kind: &str| -> BTreeSet<String> {
        let sql = format!("select distinct name from pragma_{kind}_list");
        let rows = hrana::execute(
            server::Server::client().post(format!("{}/v2/pipeline", sqld.url())),
            [sql],
        )
        .unwrap();
        rows.iter()
            .map(|row| row[0]["value"].as_str().unwrap().to_owned())
            .collect()
    };
    for kind in ["function", "pragma", "module"] {
        // Modules of pragmas come to be when they are asked for.
        let clean = |names: BTreeSet<String>| -> BTreeSet<String> {
            names.into_iter().filter(|name| !name.starts_with("pragma_")).collect()
        };
        let ours: BTreeSet<String> = engine.vocabulary[kind].iter().cloned().collect();
        assert_eq!(clean(ours), clean(names(kind)), "{kind}");
    }
}

#[test]
fn engine_peer_tells_what_statements_touch_while_they_run() {
    let mut engine = Engine::start_watching(&[]);
    for (sql, action, name) in [
        ("select readfile('canary.txt')", "function", "readfile"),
        ("select \"READFILE\"('canary.txt')", "function", "readfile"),
        ("select * from fsdir('.')", "read", "fsdir"),
        ("select 1 from 'fsdir' where path = '.'", "read", "fsdir"),
        (
            "select * from (select 1) window, 'fsdir' where path = '.'",
            "read",
            "fsdir",
        ),
        ("select 1 in 'fsdir'('.')", "read", "fsdir"),
        ("select * from sqlite_dbpage", "read", "sqlite_dbpage"),
        ("update 'sqlite_dbpage' set data = 1", "update", "sqlite_dbpage"),
        ("insert into 'sqlite_dbpage' values (1, 1)", "insert", "sqlite_dbpage"),
        ("pragma writable_schema = on", "pragma", "writable_schema"),
        ("select * from pragma_writable_schema", "read", "pragma_writable_schema"),
        ("attach 'other.db' as o", "attach", "other.db"),
        ("vacuum into 'new.db'", "attach", "new.db"),
        (
            "create virtual table n using fts5(data, content = 'sqlite_dbpage')",
            "read",
            "sqlite_dbpage",
        ),
        (
            "create virtual table n using fts4(name, content=\"fsdir\")",
            "read",
            "fsdir",
        ),
    ] {
        let report = engine.report(sql);
        assert!(touches(&report, action, name), "{sql}: {report:#?}");
    }
    for sql in [
        "select readfile('canary.txt')",
        "select data from fsdir('.')",
        "attach 'other.db' as o; select * from o.secrets",
    ] {
        assert!(engine.report(sql).secret, "{sql}");
    }
    for (sql, file) in [
        ("select writefile('new.txt', 'x')", "new.txt"),
        ("select writefile('canary.txt', 'x')", "canary.txt"),
        ("vacuum into 'new.db'", "new.db"),
    ] {
        assert_eq!(engine.report(sql).files, [file], "{sql}");
    }
    // And everything is as before.
    let report = engine
        .report("select count(*) from fsdir('.') where name like './%'; select readfile('canary.txt') like 'canary-%'");
    assert!(report.files.is_empty() && report.is_accepted(), "{report:?}");
}

#[test]
fn engine_peer_tells_what_happens_at_prepare_and_in_what_is_stored() {
    let mut engine = Engine::start();
    for sql in [
        "create view n as select readfile('canary.txt')",
        "create trigger n after insert on t begin select readfile(new.a); end",
        "create table n (x, y as (readfile(x)))",
        "create table n (x check (readfile(x) is null))",
        "create index n on log (readfile(x))",
        "alter table log add column y default (readfile('canary.txt'))",
    ] {
        let report = engine.report(sql);
        let found = touches(&report, "function", "readfile") || touches(&report, "call", "readfile");
        assert!(found, "{sql}: {report:#?}");
    }
    let sql = "explain create index \"q(x); create table hacked (y); --\" on vectors (libsql_vector_idx(e))";
    let report = engine.report(sql);
    assert!(
        report.statements[0].changed_at_prepare && touches(&report, "create_table", "hacked"),
        "{report:#?}"
    );
    // The authorizer is not called for these.
    let report = engine.report("create table n (x default (readfile('canary.txt')))");
    assert!(touches(&report, "call", "readfile"), "{report:#?}");
    assert!(!engine.report("explain insert into t values (1, 2, 3)").statements[0].changed_at_prepare);
}

#[test]
fn engine_peer_splits_a_text_and_survives_what_ends_it() {
    let mut engine = Engine::start_watching(&[]);
    let report = engine.report("select 1; /* ; */ select ';' -- ; \n;; select 2;");
    assert_eq!(report.statements.len(), 3, "{report:?}");
    assert_eq!(report.rest, 0);
    let report = engine.report("select 1; nonsense; select 2");
    assert_eq!(report.statements.len(), 2);
    assert!(report.statements[1].prepare_error.is_some() && !report.is_accepted());
    // Endless ones end; what cannot be ended ends the process, and is known by it.
    let report =
        engine.report("with recursive c(x) as (select 1 union all select x + 1 from c) select count(*) from c");
    assert!(report.statements[0].step_error.is_some(), "{report:?}");
    let texts = [
        "select 1",
        // Searches that take many seconds, and no instructions.
        "select instr(zeroblob(1000000), zeroblob(500000) || x'01') + instr(zeroblob(999999), zeroblob(499999) || x'01')
         + instr(zeroblob(999998), zeroblob(499998) || x'01') + instr(zeroblob(999997), zeroblob(499997) || x'01')",
        "select 2",
    ]
    .map(str::to_owned);
    let reports = engine.reports(&texts);
    assert_eq!(
        reports.iter().map(|report| report.crashed).collect::<Vec<_>>(),
        [false, true, false]
    );
}
