//! Generated scripts through the shell and through the system's `sqlite3`: the same bytes on standard output and in the files
//! they write, the same exit code, something on standard error from both or from neither.
//!
//! Each generator is a file. A script is known by its generator and its number, which is its seed; [`EXCEPTIONS`] names those
//! that differ, each with the reason. Scripts that were thought of are in `shell_differential`.

mod commands;
mod flags;
mod imports;
mod modes;
mod reading;
mod remote;
mod schemas;
mod values;

use crate::support::beside::{Case, Difference, compare, need_oracle, report, tell};
use fastrand::Rng;

/// Scripts that differ, each with its reason.
const EXCEPTIONS: &[(&str, &str)] = &include!("exceptions.in");

/// Makes a script of what the dice say.
type Make = fn(&mut Rng) -> Case;

/// So many scripts of a generator.
fn generate(generator: &str, scripts: u64, make: Make) -> Vec<Case> {
    (0..scripts)
        .map(|seed| Case {
            name: format!("{generator} {seed}"),
            ..make(&mut Rng::with_seed(seed))
        })
        .collect()
}

/// How many times the usual number of scripts is wanted.
fn times() -> u64 {
    std::env::var("TORSO_FUZZ_CASES").map_or(1, |times| times.parse().expect("TORSO_FUZZ_CASES is a number"))
}

/// Holds the scripts of a generator to the oracle.
fn hold(generator: &str, scripts: u64, make: Make) {
    need_oracle();
    let scripts = scripts * times();
    let cases = generate(generator, scripts, make);
    let differing = compare(&cases);
    tell(format_args!(
        "shell: {} of {scripts} generated scripts ({generator}) answered as sqlite3 answers them",
        cases.len() - differing.len()
    ));
    judge(generator, &differing);
}

/// Only what is excepted may differ, and it must.
fn judge(generator: &str, differing: &[Difference]) {
    let excused = |name: &str| EXCEPTIONS.iter().any(|(excepted, _)| *excepted == name);
    let unexcused: Vec<_> = differing.iter().filter(|found| !excused(&found.case.name)).collect();
    assert!(
        unexcused.is_empty(),
        "{} differ\n{}",
        unexcused.len(),
        report(&unexcused)
    );
    let agreeing: Vec<_> = EXCEPTIONS
        .iter()
        .filter(|(name, _)| name.split(' ').next() == Some(generator))
        .filter(|(name, _)| differing.iter().all(|found| found.case.name != *name))
        .collect();
    assert!(agreeing.is_empty(), "exceptions that agree now: {agreeing:?}");
}

#[test]
fn results_look_as_in_sqlite3() {
    hold("modes", 600, modes::case);
}

#[test]
fn dot_commands_do_what_they_do_in_sqlite3() {
    hold("commands", 500, commands::case);
}

#[test]
fn imports_are_those_of_sqlite3() {
    hold("imports", 400, imports::case);
}

#[test]
fn schemas_are_shown_and_dumped_as_in_sqlite3() {
    hold("schemas", 300, schemas::case);
}

#[test]
fn command_line_options_mean_what_they_mean_to_sqlite3() {
    hold("flags", 500, flags::case);
}

#[test]
fn scripts_read_scripts_as_in_sqlite3() {
    hold("reading", 300, reading::case);
}
