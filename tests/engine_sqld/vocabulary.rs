//! What SQL of a libSQL server's can name, held against what is known to be harmless (`tests/data/sqld-vocabulary.txt`) and
//! what is forbidden. A build that knows a function, a module or a pragma more fails here before anybody can use it.

use super::{Fleet, pipeline};
use crate::support::sqld::Sqld;
use crate::support::{data, hrana};

use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;
use torso::engine::Engine as _;
use torso::engine::forbidden::{forbidden, mentions};
use torso::engine::sqld::Access;
use torso::engine::writes::writes;

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

#[test]
fn nothing_unknown_can_be_named() {
    let text = std::fs::read_to_string(data("sqld-vocabulary.txt")).unwrap();
    let known: BTreeSet<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let server = Sqld::start();
    let mut found = BTreeSet::new();
    let mut refused = BTreeSet::new();
    let mut look = |kind: &str, name: String, sql: String| {
        if forbidden(&sql).is_some() && mentions(sql.as_bytes()) {
            refused.insert(name);
        } else {
            found.insert(format!("{kind} {name}"));
        }
    };
    for name in names(&server, "select distinct name from pragma_function_list") {
        let sql = format!("select {name}(1)");
        look("function", name, sql);
    }
    for name in names(&server, "select name from pragma_module_list") {
        // They come to be when they are asked for; what they can show is what a pragma shows.
        if !name.starts_with("pragma_") {
            let sql = format!("select * from {name}");
            look("module", name, sql);
        }
    }
    // Pragmas are the process's own to refuse.
    let mut pragmas = names(&server, "select name from pragma_pragma_list");
    // These it does not list.
    pragmas.extend(["key", "rekey", "hexkey", "hexrekey", "textkey", "textrekey", "cipher"].map(str::to_owned));
    for name in pragmas {
        let taken = |sql: String| match ask(&server, &sql) {
            Err(error) => !error.contains("unsupported statement"),
            Ok(_) => true,
        };
        let how = [("read", format!("pragma {name}")), ("set", format!("pragma {name}=1"))];
        let how: Vec<&str> = how
            .into_iter()
            .filter_map(|(how, sql)| taken(sql).then_some(how))
            .collect();
        if !how.is_empty() {
            found.insert(format!("pragma {name} {}", how.join(" ")));
        }
    }
    let unknown: Vec<_> = found.iter().filter(|name| !known.contains(name.as_str())).collect();
    assert!(
        unknown.is_empty(),
        "neither known to be harmless nor forbidden: {unknown:?}"
    );
    assert!(found.len() > 200, "{}", found.len());
    for name in [
        "readfile",
        "writefile",
        "load_extension",
        "fsdir",
        "sqlite_dbpage",
        "sqlite3mc_config",
    ] {
        assert!(refused.contains(name), "{name}: {refused:?}");
    }
}

/// With a token that only reads a process answers 403 to what it takes for a write.
#[test]
fn what_is_taken_for_a_write_is_what_a_process_takes_for_one() {
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
        let request = pipeline(&endpoint, token.expose())
            .json(&json!({ "requests": [{ "type": "execute", "stmt": { "sql": sql } }] }));
        let status = request.send().unwrap().status().as_u16();
        if writes(sql) != (status == 403) {
            wrong.push((sql, status));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
