//! A sample of what passes, held against libSQL server itself: it understands the texts as the engine in the peer does.

use super::compare::ServerText;
use super::engine::Engine;
use super::grammar::{self, SCHEMA};
use crate::support::server::Server;
use crate::support::sqld::Sqld;
use serde_json::{Value, json};
use torso::sqltext::policy::{Policy, TextUse, check};

/// Texts that are looked at; about half of them pass.
const TEXTS: u64 = 6_000;

#[test]
fn policy_passes_only_what_libsql_server_describes_as_the_engine_does() {
    let mut engine = Engine::start();
    let sqld = Sqld::start();
    let client = Server::client();
    let ask = |mut requests: Vec<Value>| -> Vec<Value> {
        requests.push(json!({ "type": "close" }));
        let body = json!({ "requests": requests });
        let answer = client
            .post(format!("{}/v2/pipeline", sqld.url()))
            .json(&body)
            .send()
            .unwrap();
        let answer: Value = answer.json().unwrap();
        answer["results"].as_array().unwrap().clone()
    };
    let made = ask(vec![json!({ "type": "sequence", "sql": SCHEMA })]);
    assert_eq!(made[0]["type"], "ok", "{made:?}");
    let prepared = Policy {
        usage: TextUse::Prepare,
        ..Policy::FULL
    };
    let mut compared = 0;
    let mut wrong = Vec::new();
    for begin in (0..TEXTS).step_by(500) {
        let texts: Vec<String> = (begin..begin + 500)
            .map(|number| grammar::text(20_261_129, number).sql)
            .filter(|sql| check(sql, prepared).is_ok())
            .filter(|sql| {
                ServerText::read(sql)
                    .statements
                    .is_some_and(|statements| statements.len() == 1)
            })
            .collect();
        let reports = engine.reports(&texts);
        // What changes the database when it is described would change it for the next ones.
        let same: Vec<_> = texts
            .iter()
            .zip(&reports)
            .filter(|(_, report)| report.statements.iter().all(|statement| !statement.changed_at_prepare))
            .filter_map(|(text, report)| Some((text, report.statements.first()?)))
            .collect();
        let answers = ask(same
            .iter()
            .map(|(sql, _)| json!({ "type": "describe", "sql": sql }))
            .collect());
        for ((sql, statement), answer) in same.iter().zip(&answers) {
            compared += 1;
            let described = &answer["response"]["result"];
            let told = match answer["type"].as_str() {
                Some("ok") => (
                    true,
                    described["is_explain"] == json!(true),
                    described["is_readonly"] == json!(true),
                ),
                _ => (false, false, false),
            };
            let is_prepared = statement.prepare_error.is_none();
            let expected = (
                is_prepared,
                is_prepared && statement.explain != 0,
                is_prepared && statement.readonly,
            );
            if told != expected {
                wrong.push(format!(
                    "{sql:?}: {answer}, by the engine {:?} {expected:?}",
                    statement.prepare_error
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {compared}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(compared >= 2_000, "{compared}");
}
