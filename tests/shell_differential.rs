//! The shell against the system's `sqlite3`: the same scripts through both must give the same bytes on standard output,
//! the same exit code, and something on standard error from both or from neither.
//!
//! Scripts are in `shell/cases.txt`. Where the two differ on purpose, or because the engines do, the case stands in
//! [`EXCEPTIONS`] with the reason. Without the oracle (or with another generation of it) there is nothing to compare with.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};

/// A script, and the arguments it is run with.
struct Case {
    name: &'static str,
    arguments: Vec<String>,
    script: String,
}

/// Cases that differ, each with its reason.
const EXCEPTIONS: &[(&str, &str)] = &include!("shell/exceptions.in");

fn cases() -> Vec<Case> {
    let text = include_str!("shell/cases.txt");
    let mut cases: Vec<Case> = Vec::new();
    for line in text.split_inclusive('\n') {
        if let Some(head) = line.strip_prefix("%% ") {
            let (name, arguments) = head
                .trim_end()
                .split_once(" :: ")
                .unwrap_or((head.trim_end(), ":memory:"));
            cases.push(Case {
                name,
                arguments: words(arguments),
                script: String::new(),
            });
        } else if let Some(case) = cases.last_mut() {
            case.script.push_str(line);
        }
    }
    cases
}

/// Words between blanks; those with blanks in them stand in double quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let (word, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap(),
            None => rest.split_once(' ').unwrap_or((rest, "")),
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    words
}

#[derive(Debug, PartialEq)]
struct Answer {
    stdout: String,
    complained: bool,
    exit_code: Option<i32>,
}

/// Runs a case with a program, in a directory of its own.
fn answer(program: &[&Path], case: &Case) -> Answer {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let broken = home.join("broken.db");
    std::fs::write(&broken, "this is no database, however long it may be ".repeat(50)).unwrap();
    let place = |text: &str| {
        text.replace("FILE", home.join("f.db").to_str().unwrap())
            .replace("TMP", home.to_str().unwrap())
            .replace("BAD", broken.to_str().unwrap())
    };
    let mut child = Command::new(program[0])
        .args(&program[1..])
        .args(case.arguments.iter().map(|word| place(word)))
        .current_dir(home)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", home)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that stops reading early closes the pipe.
    let _ = child.stdin.take().unwrap().write_all(place(&case.script).as_bytes());
    let output = child.wait_with_output().unwrap();
    Answer {
        stdout: String::from_utf8_lossy(&output.stdout).replace(home.to_str().unwrap(), "DIR"),
        complained: !output.stderr.is_empty(),
        exit_code: output.status.code(),
    }
}

/// Whether the oracle is of the generation whose bytes are the contract.
fn has_oracle() -> bool {
    Command::new("sqlite3")
        .arg("-version")
        .output()
        .is_ok_and(|output| output.stdout.starts_with(b"3.40."))
}

#[test]
#[allow(clippy::print_stderr)] // the rate is the point
fn scripts_get_the_same_answers_as_from_sqlite3() {
    if !has_oracle() {
        eprintln!("skipped: no sqlite3 3.40 on this machine");
        return;
    }
    let cases = cases();
    let reasons: BTreeMap<&str, &str> = EXCEPTIONS.iter().copied().collect();
    let next = AtomicUsize::new(0);
    let (send, receive) = mpsc::channel();
    let send = Mutex::new(send);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let expected = answer(&[Path::new("sqlite3")], case);
                    let got = answer(
                        &[
                            Path::new(env!("CARGO_BIN_EXE_torso")),
                            Path::new("db"),
                            Path::new("shell"),
                        ],
                        case,
                    );
                    send.lock().unwrap().send((case.name, expected, got)).unwrap();
                }
            });
        }
    });
    drop(send);
    let mut differing = Vec::new();
    let mut agreed = 0;
    for (name, expected, got) in receive {
        let excused = reasons.contains_key(name);
        match (expected == got, excused) {
            (true, false) => agreed += 1,
            (false, true) => {}
            (true, true) => differing.push(format!("{name}: listed as an exception, but agrees now")),
            (false, false) => differing.push(format!("{name}\n  sqlite3: {expected:?}\n  torso:   {got:?}")),
        }
    }
    eprintln!(
        "shell: {agreed} of {} scripts answered as sqlite3 answers them, {} exceptions",
        cases.len(),
        EXCEPTIONS.len()
    );
    for name in reasons.keys() {
        assert!(cases.iter().any(|case| case.name == *name), "no case {name}");
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}
