//! Shared by the fuzz tests: the number of cases, and text that tends to break things. The tests are beside what they
//! test.
//!
//! `TORSO_FUZZ_CASES=10 cargo test --lib fuzz -- --nocapture` runs ten times as many, other ones each time, and tells how
//! many those were. Without the variable they are the same on every run.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseResult, TestRng, TestRunner};
use std::cell::Cell;

/// Runs `test` on so many cases, times the variable's number.
#[allow(clippy::print_stderr)] // the number is the point
pub(crate) fn run<S: Strategy>(what: &str, cases: u32, strategy: S, test: impl Fn(S::Value) -> TestCaseResult) {
    let times = std::env::var("TORSO_FUZZ_CASES").ok();
    let config = Config {
        cases: cases
            * times
                .as_deref()
                .map_or(1, |times| times.parse().expect("a number of times")),
        failure_persistence: None,
        max_shrink_iters: 5000,
        ..Config::default()
    };
    let mut runner = match times {
        Some(_) => TestRunner::new(config),
        None => TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha)),
    };
    let count = Cell::new(0_u64);
    let result = runner.run(&strategy, |input| {
        count.set(count.get() + 1);
        test(input)
    });
    eprintln!("fuzz: {} cases of {what}", count.get());
    if let Err(failure) = result {
        panic!("{what}: {failure}");
    }
}

/// Some of `pieces`, one after the other.
pub(crate) fn pieces(pieces: &'static [&'static str], most: usize) -> impl Strategy<Value = String> {
    proptest::collection::vec(proptest::sample::select(pieces), 0..=most).prop_map(|pieces| pieces.concat())
}

/// Text that is laid out, quoted or escaped in special ways: wide, combining and joined characters, line ends, quotes.
pub(crate) fn text() -> impl Strategy<Value = String> {
    pieces(
        &[
            "a",
            "Word",
            " ",
            "  ",
            "\n",
            "\r\n",
            "\r",
            "\t",
            "'",
            "''",
            "\"",
            "\\",
            "\\n",
            "\\012",
            "|",
            ",",
            ";",
            "0",
            "-1",
            "é",
            "日本",
            "e\u{301}",
            "👩‍👩‍👧",
            "\u{200d}",
            "<b>",
            "&amp;",
            "long-and_longer.words",
            "\u{feff}",
            "null",
            "x'00'",
            "\u{a0}",
        ],
        8,
    )
}

/// Bytes of `whole` with some of them changed, lost or doubled.
pub(crate) fn damaged(whole: &'static [u8]) -> impl Strategy<Value = Vec<u8>> {
    let blow = (any::<prop::sample::Index>(), any::<u8>(), 0..5_u8, 0..40_usize);
    proptest::collection::vec(blow, 0..5).prop_map(|blows| {
        let mut bytes = whole.to_vec();
        for (at, byte, how, length) in blows {
            if bytes.is_empty() {
                break;
            }
            let at = at.index(bytes.len());
            let end = (at + length).min(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => drop(bytes.drain(at..end)),
                3 => {
                    let again = bytes[at..end].to_vec();
                    bytes.splice(at..at, again);
                }
                _ => bytes.truncate(at),
            }
        }
        bytes
    })
}
