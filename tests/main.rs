//! The one integration test binary: it runs the real program in sealed worlds. A file per feature; what they share is in
//! `support`. Unit tests stand beside the code they test, in `src`.

mod applications;
mod backup;
mod bad_input;
mod client;
mod completion;
mod conformance;
mod crash;
mod disk;
#[cfg(unix)]
mod docs;
mod dry_run;
#[cfg(unix)]
mod early_end;
mod engine_sqld;
mod environment;
mod exit_codes;
mod foreign_content;
#[cfg(unix)]
mod gateway;
mod golden_json;
mod help;
mod hosted;
mod hostile_names;
mod house;
mod import;
mod in_use;
mod json_schemas;
mod layering;
#[cfg(target_os = "linux")]
mod machines;
mod output_forms;
mod own_files;
mod packaging;
mod parallel;
mod policy;
#[cfg(target_os = "linux")]
mod power_loss;
mod project_file;
mod readme;
mod real_data;
mod remote;
mod remote_shell;
mod round_trip;
mod server;
mod server_run;
mod shell_commands;
mod shell_data_safety;
mod shell_differential;
mod shell_generated;
mod shell_interactive;
mod shell_lossless;
mod shell_oneshot;
mod streams;
mod support;
mod verification;
mod workflows;

use std::collections::BTreeSet;
use std::path::Path;

/// A file that no `mod` names is never compiled, and its tests never run.
#[test]
fn test_files_are_all_modules() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut files = BTreeSet::new();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let is_module = path.extension().is_some_and(|extension| extension == "rs") || path.join("mod.rs").exists();
        if is_module && stem != "main" {
            files.insert(stem);
        }
    }
    let named: BTreeSet<String> = include_str!("main.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'))
        .map(str::to_owned)
        .collect();
    assert_eq!(
        files, named,
        "left: files in tests/, right: `mod` lines in tests/main.rs"
    );
}
