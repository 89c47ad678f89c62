//! Generated and mutated texts: whatever the policy lets through, for whomever, the engine does nothing with that it must
//! not; and harmless texts are let through.

use super::compare::{Danger, POLICIES, Reach, ServerText, split_difference, verdicts};
use super::engine::{Engine, Report};
use super::grammar::{self, Text};
use super::mutate::minimize;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use torso::sqltext::policy::{Policy, TextUse, check};

const STATEMENTS: u64 = 30_000;
/// Texts that go to the engine together.
const BATCH: u64 = 500;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

/// What was seen so far.
#[derive(Default)]
struct Counts {
    texts: u64,
    tame: u64,
    /// Texts that the engine takes, whatever they do.
    accepted: u64,
    accepted_tame: u64,
    /// Texts that pass with a full token at the primary.
    passed: u64,
    passed_tame: u64,
    /// Texts that pass with a token that may only read.
    passed_read_only: u64,
    /// Texts that the engine takes and finds harmless, and how many of them pass.
    harmless: u64,
    harmless_passed: u64,
    harmless_tame: u64,
    harmless_tame_passed: u64,
    /// Texts that reach where they must not, and so were refused.
    dangerous: u64,
    crashes: u64,
    /// Texts that one of the parsers takes and the other does not.
    server_only: u64,
    engine_only: u64,
    /// Texts that the two split in different ways, all refused.
    split: u64,
    /// Harmless tame texts that were refused, by reason, with the first of them.
    refused: BTreeMap<String, (u64, String)>,
    failures: Vec<String>,
}

/// A message as a kind of messages.
fn kind_of(message: &str) -> String {
    let mut quoted = false;
    message
        .chars()
        .filter(|&c| {
            let is_quote = matches!(c, '`' | '\'' | '"');
            quoted ^= is_quote;
            is_quote || !quoted
        })
        .filter(|c| !c.is_ascii_digit())
        .take(70)
        .collect()
}

/// What a text does that somebody must not do for whom the policy lets it through.
fn escapes(engine: &mut Engine, reach: &Reach, sql: &str, read: &ServerText, report: &Report) -> Vec<(Policy, Danger)> {
    let verdicts = verdicts(sql);
    let allowed: Vec<Policy> = POLICIES
        .into_iter()
        .zip(&verdicts)
        .filter(|(_, verdict)| verdict.is_ok())
        .map(|(policy, _)| policy)
        .collect();
    let mut found = Vec::new();
    for &policy in &allowed {
        let dangers = reach.dangers(report, sql, read.refused, policy);
        found.extend(dangers.into_iter().map(|danger| (policy, danger)));
    }
    // Where the server's parser takes the text, the engine gets each statement by itself.
    let (Some(statements), Some(&first)) = (&read.statements, allowed.first()) else {
        return found;
    };
    found.extend(split_difference(report, sql, statements).map(|difference| (first, Danger(difference))));
    if statements.len() > 1 {
        for statement in statements {
            let report = engine.report(statement);
            for &policy in &allowed {
                let dangers = reach.dangers(&report, statement, read.refused, policy);
                found.extend(dangers.into_iter().map(|danger| (policy, danger)));
            }
        }
    }
    found
}

fn examine(
    engine: &mut Engine,
    reach: &Reach,
    text: &Text,
    report: &Report,
    counts: &mut Counts,
) -> Option<(Policy, Danger)> {
    let sql = text.sql.as_str();
    let read = ServerText::read(sql);
    let is_syntax = |error: &String| {
        error.contains("syntax error") || error.contains("unrecognized token") || error.contains("incomplete input")
    };
    let mut errors = report
        .statements
        .iter()
        .filter_map(|statement| statement.prepare_error.as_ref());
    let engine_parses = !errors.any(is_syntax);
    let full = check(sql, POLICIES[0]);
    let read_only = check(sql, POLICIES[1]);
    counts.texts += 1;
    counts.tame += u64::from(text.tame);
    counts.crashes += u64::from(report.crashed);
    counts.passed += u64::from(full.is_ok());
    counts.passed_tame += u64::from(full.is_ok() && text.tame);
    counts.passed_read_only += u64::from(read_only.is_ok());
    counts.server_only += u64::from(read.statements.is_some() && !engine_parses);
    counts.engine_only += u64::from(read.statements.is_none() && engine_parses && !report.crashed);
    let accepted = report.is_accepted() && report.rest == 0;
    counts.accepted += u64::from(accepted);
    counts.accepted_tame += u64::from(accepted && text.tame);
    let split = read
        .statements
        .as_ref()
        .and_then(|statements| split_difference(report, sql, statements));
    counts.split += u64::from(split.is_some());
    let prepared = Policy {
        usage: TextUse::Prepare,
        ..Policy::FULL
    };
    let dangerous = !reach.dangers(report, sql, read.refused, prepared).is_empty();
    counts.dangerous += u64::from(dangerous);
    if accepted && !dangerous && split.is_none() && !read.refused {
        counts.harmless += 1;
        counts.harmless_tame += u64::from(text.tame);
        match full {
            Ok(_) => {
                counts.harmless_passed += 1;
                counts.harmless_tame_passed += u64::from(text.tame);
            }
            Err(violation) => {
                let reason = format!(
                    "{}{:?}: {}",
                    if text.tame { "tame, " } else { "" },
                    violation.kind(),
                    kind_of(&violation.to_string())
                );
                counts.refused.entry(reason).or_insert_with(|| (0, sql.to_owned())).0 += 1;
            }
        }
    }
    escapes(engine, reach, sql, &read, report).into_iter().next()
}

/// Runs texts of a seed on as many threads as there are processors.
fn run(seed: u64, statements: u64) -> Counts {
    let next = AtomicU64::new(0);
    let total = Mutex::new(Counts::default());
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut engine = Engine::start();
                let reach = Reach::new(&engine);
                let mut counts = Counts::default();
                loop {
                    let begin = next.fetch_add(BATCH, Ordering::Relaxed);
                    if begin >= statements || counts.failures.len() > 20 {
                        break;
                    }
                    let texts: Vec<Text> = (begin..(begin + BATCH).min(statements))
                        .map(|number| grammar::text(seed, number))
                        .collect();
                    let sql: Vec<String> = texts.iter().map(|text| text.sql.clone()).collect();
                    let reports = engine.reports(&sql);
                    for ((number, text), report) in (begin..).zip(&texts).zip(&reports) {
                        if let Some((policy, danger)) = examine(&mut engine, &reach, text, report, &mut counts) {
                            counts
                                .failures
                                .push(describe(&mut engine, &reach, &text.sql, number, policy, &danger));
                        }
                    }
                }
                total.lock().unwrap().add(counts);
            });
        }
    });
    total.into_inner().unwrap()
}

fn describe(engine: &mut Engine, reach: &Reach, sql: &str, number: u64, policy: Policy, danger: &Danger) -> String {
    let short = minimize(sql, |shorter| {
        let report = engine.report(shorter);
        let found = escapes(engine, reach, shorter, &ServerText::read(shorter), &report);
        found.contains(&(policy, danger.clone()))
    });
    format!("text {number}, {policy:?}: {}\n    {short:?}", danger.0)
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.texts += other.texts;
        self.tame += other.tame;
        self.accepted += other.accepted;
        self.accepted_tame += other.accepted_tame;
        self.passed += other.passed;
        self.passed_tame += other.passed_tame;
        self.passed_read_only += other.passed_read_only;
        self.harmless += other.harmless;
        self.harmless_passed += other.harmless_passed;
        self.harmless_tame += other.harmless_tame;
        self.harmless_tame_passed += other.harmless_tame_passed;
        self.dangerous += other.dangerous;
        self.crashes += other.crashes;
        self.server_only += other.server_only;
        self.engine_only += other.engine_only;
        self.split += other.split;
        for (reason, (count, sql)) in other.refused {
            self.refused.entry(reason).or_insert((0, sql)).0 += count;
        }
        self.failures.extend(other.failures);
    }
}

#[test]
#[allow(clippy::print_stdout)] // The counts are part of the proof; `--nocapture` shows them.
fn policy_held_against_the_engine_lets_nothing_dangerous_through() {
    let (statements, seed) = (number("TORSO_STATEMENTS", STATEMENTS), number("TORSO_SEED", 1));
    let begun = std::time::Instant::now();
    let counts = run(seed, statements);
    println!(
        "{} texts ({} tame) of seed {seed} in {:?}: the engine takes {} ({} tame), {} of them harmless; {} texts are \
         dangerous, {} end the process",
        counts.texts,
        counts.tame,
        begun.elapsed(),
        counts.accepted,
        counts.accepted_tame,
        counts.harmless,
        counts.dangerous,
        counts.crashes
    );
    println!(
        "the policy passes {} ({} tame), {} of them with a token that only reads; of the harmless ones {}, of the tame \
         harmless ones {} of {}",
        counts.passed,
        counts.passed_tame,
        counts.passed_read_only,
        counts.harmless_passed,
        counts.harmless_tame_passed,
        counts.harmless_tame
    );
    println!(
        "parsed by libSQL server only: {}, by the engine only: {}, split differently: {}; dangerous differences: {}",
        counts.server_only,
        counts.engine_only,
        counts.split,
        counts.failures.len()
    );
    for (reason, (count, sql)) in &counts.refused {
        println!("{count:8} harmless but refused, {reason}\n         {sql:?}");
    }
    assert!(
        counts.failures.is_empty(),
        "seed {seed}:\n{}",
        counts.failures.join("\n")
    );
    // Each kind of text was there.
    assert!(
        counts.accepted_tame * 10 >= counts.tame * 6,
        "{} of {}",
        counts.accepted_tame,
        counts.tame
    );
    assert!(
        counts.dangerous * 50 >= counts.texts,
        "{} of {}",
        counts.dangerous,
        counts.texts
    );
    assert!(
        counts.passed_read_only * 10 >= counts.texts,
        "{} of {}",
        counts.passed_read_only,
        counts.texts
    );
    assert!(
        counts.harmless_tame_passed * 100 >= counts.harmless_tame * 95,
        "only {} of {} harmless texts pass",
        counts.harmless_tame_passed,
        counts.harmless_tame
    );
}
