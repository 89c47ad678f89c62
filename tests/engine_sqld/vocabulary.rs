//! What SQL of a libSQL server's can name, held against the lists of the policy (`sqltext::policy`). A build that knows a
//! function, a module or a pragma more fails here: look at what it does before it gets into a list.

use super::{Fleet, pipeline};
use crate::support::hrana;
use crate::support::sqld::Sqld;

use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;
use torso::engine::Engine as _;
use torso::engine::sqld::Access;
use torso::sqltext::policy::{
    ENGINE_REFUSES_PRAGMAS, FUNCTIONS, PRAGMAS, REFUSED_FUNCTIONS, REFUSED_MODULES, RESERVED_PREFIXES, TABLE_MODULES,
    VIRTUAL_TABLE_MODULES, ViolationKind, analyze,
};

fn ask(server: &Sqld, sql: &str) -> Result<Vec<Value>, String> {
    let client = crate::support::server::Server::client();
    hrana::execute(client.post(format!("{}/v2/pipeline", server.url())), [sql])
}

fn names(server: &Sqld, sql: &str) -> BTreeSet<String> {
    let rows = ask(server, sql).unwrap();
    rows.iter()
        .map(|row| row[0]["value"].as_str().unwrap().to_owned())
        .collect()
}

/// The policy lets nothing through that is not in its lists; here a real process says what there is.
#[test]
fn vocabulary_of_a_server_is_in_the_lists_of_the_policy() {
    let server = Sqld::start();
    let mut unknown = Vec::new();
    let functions = names(&server, "select distinct name from pragma_function_list");
    for name in &functions {
        let name = name.to_ascii_lowercase();
        let is_known = [FUNCTIONS, REFUSED_FUNCTIONS].iter().any(|list| list.contains(&&*name));
        if !is_known && name != "libsql_vector_idx" {
            unknown.push(format!("function {name}"));
        }
    }
    let modules = names(&server, "select name from pragma_module_list");
    for name in &modules {
        let lists = [TABLE_MODULES, VIRTUAL_TABLE_MODULES, REFUSED_MODULES];
        let is_reserved = RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        if !is_reserved && !lists.iter().any(|list| list.contains(&&**name)) {
            unknown.push(format!("module {name}"));
        }
    }
    // What can be read without being made: it is in the list of what may be, or out of reach.
    let mut eponymous = 0;
    for name in &modules {
        if ask(&server, &format!("select 1 from \"{name}\" limit 0")).is_err() {
            continue;
        }
        eponymous += 1;
        let is_pragma = name.strip_prefix("pragma_").is_some_and(is_known_pragma);
        let is_allowed = is_pragma || TABLE_MODULES.contains(&&**name);
        let sql = format!("select * from {name}");
        assert_eq!(kind_of(&sql), (!is_allowed).then_some(ViolationKind::Table), "{sql}");
    }
    assert!(eponymous > 5, "{eponymous} of {modules:?}");
    for name in names(&server, "select name from pragma_pragma_list") {
        if !is_known_pragma(&name) {
            unknown.push(format!("pragma {name}"));
        }
    }
    assert!(unknown.is_empty(), "in no list: {unknown:?}");
    assert!(functions.len() > 150 && modules.len() > 10, "{functions:?} {modules:?}");
    for name in [
        "readfile",
        "writefile",
        "load_extension",
        "replicate",
        "padl",
        "rightstr",
        "strfilter",
    ] {
        assert!(functions.contains(name), "{name}");
        assert_eq!(kind_of(&format!("select {name}(1)")), Some(ViolationKind::Function));
    }
    for name in ["fsdir", "sqlite_dbpage"] {
        assert!(modules.contains(name), "{name}");
        assert_eq!(kind_of(&format!("select * from {name}")), Some(ViolationKind::Table));
    }
}

fn is_known_pragma(name: &str) -> bool {
    PRAGMAS.iter().any(|pragma| pragma.name == name) || ENGINE_REFUSES_PRAGMAS.contains(&name)
}

fn kind_of(sql: &str) -> Option<ViolationKind> {
    analyze(sql).err().map(|violation| violation.kind())
}

/// What the lists say of pragmas is what a process does with them: which it answers, which take a value, and which have to
/// be asked for with a token that may write.
#[test]
fn pragmas_are_taken_by_a_server_as_the_policy_says() {
    let fleet = Fleet::new();
    let site = fleet.site("ams", "a1");
    fleet.engine.create(&site).unwrap();
    let endpoint = fleet.engine.endpoint(&site).unwrap();
    let ask = |sql: &str, access| {
        let token = fleet.engine.token("a1", access, Duration::from_secs(60)).unwrap();
        let body = json!({ "requests": [{ "type": "execute", "stmt": { "sql": sql } }] });
        let answer = pipeline(endpoint.address, &endpoint.host, token.expose())
            .json(&body)
            .send()
            .unwrap();
        let status = answer.status().as_u16();
        (status, answer.text().unwrap().contains("unsupported statement"))
    };
    let mut wrong = Vec::new();
    for pragma in PRAGMAS {
        let read = format!("pragma {}", pragma.name);
        let (status, refused) = ask(&read, Access::ReadWrite);
        if status != 200 || refused {
            wrong.push((read.clone(), "is not answered"));
        }
        if (ask(&read, Access::ReadOnly).0 == 200) != pragma.read_by_all {
            wrong.push((read, "is not read by whom the list says"));
        }
    }
    for name in ENGINE_REFUSES_PRAGMAS {
        for sql in [format!("pragma {name}"), format!("pragma {name} = 1")] {
            if !ask(&sql, Access::ReadWrite).1 {
                wrong.push((sql, "is answered"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// With a token that only reads a process answers 403 to what it takes for a write. The policy says so of nothing less.
#[test]
fn writes_of_a_server_are_writes_of_the_policy() {
    let fleet = Fleet::new();
    let site = fleet.site("ams", "a1");
    fleet.engine.create(&site).unwrap();
    fleet
        .sql(
            &site,
            "create table t (x); create view v as select 1; create index i on t (x)",
        )
        .unwrap();
    let endpoint = fleet.engine.endpoint(&site).unwrap();
    let token = fleet
        .engine
        .token("a1", Access::ReadOnly, Duration::from_secs(60))
        .unwrap();
    let mut wrong = Vec::new();
    for sql in [
        "insert into t values (1)",
        "/* select */ -- select\n INSERT OR IGNORE INTO t VALUES (1)",
        "replace into t values (1)",
        "update t set x = 1",
        "delete from t",
        "insert into t values (1) returning x",
        "with a as (select 1) insert into t select * from a",
        "with a(x) as (values (1)), replace as (select 2) replace into t select x from a",
        "with recursive a(x) as (select 1 union all select x + 1 from a where x < 3) update t set x = (select max(x) from a)",
        "with a as (select 1) delete from t where x in a",
        "create table u (x)",
        "create table if not exists t (x)",
        "create table u as select 1",
        "create virtual table f using fts5(x)",
        "create unique index j on t (x)",
        "create trigger r after insert on t begin select 1; end",
        "create view w as select 1",
        "drop table t",
        "drop view v",
        "drop index i",
        "alter table t add column y",
        "pragma user_version",
        "pragma user_version = 3",
        "pragma foreign_keys = on",
        "pragma main.integrity_check",
        "pragma page_count",
        "pragma data_version",
        // And what is none.
        "select 1",
        "select replace('a', 'b', 'c')",
        "with replace as (select 1) select * from replace",
        "with a as (select 1) values (1)",
        "values (1)",
        "explain insert into t values (1)",
        "explain query plan delete from t",
        "begin",
        "begin immediate",
        "savepoint a",
        "pragma table_info(t)",
        "pragma encoding",
        "create temp table u (x)",
        "vacuum",
        "analyze",
        "reindex",
        "nonsense",
    ] {
        let request = pipeline(endpoint.address, &endpoint.host, token.expose())
            .json(&json!({ "requests": [{ "type": "execute", "stmt": { "sql": sql } }] }));
        let status = request.send().unwrap().status().as_u16();
        let summary = analyze(sql).unwrap_or_default();
        if status == 403 && !summary.writes && !summary.read_needs_full_access {
            wrong.push((sql, status));
        }
        if status == 200 && summary.read_needs_full_access {
            wrong.push((sql, status));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
