//! What SQL of a libSQL server's can name, held against what is known to be harmless (`tests/data/sqld-vocabulary.txt`) and
//! what is forbidden. A build that knows a function, a module or a pragma more fails here before anybody can use it.

use crate::support::sqld::Sqld;
use crate::support::{data, hrana};
use serde_json::Value;
use std::collections::BTreeSet;
use torso::engine::forbidden::{forbidden, mentions};

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
