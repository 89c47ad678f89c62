//! Statements of real applications: what the tests of Django and SQLAlchemy send on SQLite, and what Drizzle and Prisma send
//! for what their queries and migrations can do. `tests/peers/corpora` records them again.

use super::compare::{Reach, ServerText};
use super::engine::Engine;
use crate::support::data;
use flate2::read::GzDecoder;
use std::fs::File;
use std::io::{BufRead, BufReader};
use torso::sqltext::policy::{Policy, TokenAccess, Violation, ViolationKind, check};

const CORPORA: [&str; 4] = ["django", "drizzle", "prisma", "sqlalchemy"];

fn statements(corpus: &str) -> Vec<String> {
    let file = File::open(data(&format!("corpora/{corpus}.jsonl.gz"))).unwrap();
    let lines = BufReader::new(GzDecoder::new(file)).lines();
    lines
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect()
}

/// Whether a statement may be refused: it is not harmless, or no libSQL server has what it needs.
fn may_be_refused(sql: &str, violation: &Violation, engine: &Engine) -> bool {
    let lower = sql.to_ascii_lowercase();
    match violation.kind() {
        // Functions that a driver defines in its own process; the engine has none of that name either.
        ViolationKind::UnknownFunction => !engine.vocabulary["function"]
            .iter()
            .any(|name| name == violation.subject()),
        // What the server's parser refuses too.
        ViolationKind::Syntax => ServerText::read(sql).statements.is_none(),
        // Files by their path.
        ViolationKind::Statement => lower.starts_with("attach"),
        // Bind parameters with colons or parentheses in their names; the last is of texts with a NUL.
        ViolationKind::Ambiguous => lower.contains("::") || lower.contains('\0'),
        _ => false,
    }
}

#[test]
#[allow(clippy::print_stdout)] // The counts are part of the proof; `--nocapture` shows them.
fn policy_passes_the_harmless_statements_of_applications() {
    let engine = Engine::start();
    let mut wrong = Vec::new();
    for corpus in CORPORA {
        let statements = statements(corpus);
        let (mut passed, mut reads) = (0, 0);
        for sql in &statements {
            match check(sql, Policy::FULL) {
                Ok(_) => passed += 1,
                Err(violation) if may_be_refused(sql, &violation, &engine) => continue,
                Err(violation) => wrong.push(format!("{corpus}: {violation}: {sql}")),
            }
            let first = sql
                .split_ascii_whitespace()
                .next()
                .unwrap_or_default()
                .to_ascii_lowercase();
            if matches!(first.as_str(), "select" | "values") {
                reads += 1;
                let read_only = Policy {
                    access: TokenAccess::ReadOnly,
                    ..Policy::FULL
                };
                if let Err(violation) = check(sql, read_only) {
                    wrong.push(format!("{corpus}, read-only: {violation}: {sql}"));
                }
            }
        }
        println!(
            "{corpus}: {} statements, {passed} pass, {reads} of them with a token that only reads",
            statements.len()
        );
        assert!(
            statements.len() >= 60 && passed * 100 >= statements.len() * 90,
            "{corpus}"
        );
        assert!(reads > 20, "{corpus}");
    }
    assert!(wrong.is_empty(), "{} refused:\n{}", wrong.len(), wrong.join("\n"));
}

/// None of the statements that pass touches what it must not: the comparison does not only hold for generated ones.
#[test]
fn policy_of_application_statements_passes_nothing_dangerous() {
    let mut engine = Engine::start();
    let reach = Reach::new(&engine);
    for corpus in CORPORA {
        let passed: Vec<String> = statements(corpus)
            .into_iter()
            .filter(|sql| check(sql, Policy::FULL).is_ok())
            .collect();
        for (sql, report) in passed.iter().zip(engine.reports(&passed)) {
            let read = ServerText::read(sql);
            let dangers = reach.dangers(&report, sql, read.refused, Policy::FULL);
            assert!(dangers.is_empty(), "{corpus}: {dangers:?}: {sql}");
        }
    }
}
