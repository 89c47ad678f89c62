//! The shell beside the system's `sqlite3`: what each does with a script. Which scripts, and which differences are meant, is
//! left to the tests.

use super::in_parallel;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;

/// A script, the arguments it is run with, and the files it finds. In all of them `FILE` stands for a database that is not
/// there yet, `BAD` for one that is none, and `TMP` for the directory.
#[derive(Debug, Clone, Default)]
pub struct Case {
    pub name: String,
    pub arguments: Vec<String>,
    pub script: String,
    pub files: Vec<(String, Vec<u8>)>,
}

impl Case {
    /// A script on a database in memory.
    pub fn in_memory(name: String, script: String) -> Self {
        Self {
            name,
            arguments: vec![":memory:".to_owned()],
            script,
            files: Vec::new(),
        }
    }
}

/// What a program made of a case.
#[derive(Debug, PartialEq)]
pub struct Answer {
    pub stdout: String,
    pub complained: bool,
    pub exit_code: Option<i32>,
    /// Files whose name begins with `out`.
    pub written: BTreeMap<String, String>,
}

/// Runs a case with a program, in a directory of its own.
pub fn answer(mut program: Command, helps: &[(&str, String)], case: &Case) -> Answer {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let broken = home.join("broken.db");
    std::fs::write(&broken, "this is no database, however long it may be ".repeat(50)).unwrap();
    // In two steps, since the name of a directory may have such a word in it.
    let place = |text: &str| {
        text.replace("FILE", "\u{1}f")
            .replace("TMP", "\u{1}t")
            .replace("BAD", "\u{1}b")
            .replace("\u{1}f", home.join("f.db").to_str().unwrap())
            .replace("\u{1}t", home.to_str().unwrap())
            .replace("\u{1}b", broken.to_str().unwrap())
    };
    for (name, content) in &case.files {
        std::fs::write(home.join(name), content).unwrap();
    }
    let mut child = program
        .args(case.arguments.iter().map(|word| place(word)))
        .current_dir(home)
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
    let plain = |bytes: &[u8]| {
        let mut text = String::from_utf8_lossy(bytes).replace(home.to_str().unwrap(), "DIR");
        for (name, help) in helps {
            if text.contains(help) {
                text = text.replace(help, &format!("(help for {name})\n"));
            }
        }
        text
    };
    let mut written = BTreeMap::new();
    for entry in std::fs::read_dir(home).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.starts_with("out") {
            written.insert(name.clone(), plain(&std::fs::read(home.join(name)).unwrap()));
        }
    }
    Answer {
        stdout: plain(&output.stdout),
        complained: !output.stderr.is_empty(),
        exit_code: output.status.code(),
        written,
    }
}

/// What a program tells of commands where they are called wrongly. The words are each program's own.
pub fn helps(program: fn() -> Command) -> Vec<(&'static str, String)> {
    ["import", "output", "once", "parameter", "sha3sum", "o"]
        .into_iter()
        .map(|name| {
            let output = program().args([":memory:", &format!(".help {name}")]).output().unwrap();
            (name, String::from_utf8(output.stdout).unwrap())
        })
        .rev()
        .collect()
}

/// The oracle, without the settings of whoever runs the tests.
pub fn sqlite3() -> Command {
    let mut command = Command::new("sqlite3");
    command.env_clear();
    command
}

/// The shell.
pub fn torso() -> Command {
    let mut command = Command::new(Path::new(env!("CARGO_BIN_EXE_torso")));
    command.env_clear().args(["db", "shell"]);
    command
}

/// Stops a test that has no oracle of the generation whose bytes are the contract: with another one, or none, it would
/// compare nothing and pass.
#[track_caller]
pub fn need_oracle() {
    const INSTALL: &str =
        "install an sqlite3 from 3.37 to 3.49 (on Debian 12 or 13, or Ubuntu 24.04: apt-get install sqlite3)";
    let found = Command::new("sqlite3").arg("-version").output();
    let version = match &found {
        Ok(output) => String::from_utf8_lossy(&output.stdout),
        Err(error) => panic!("the shell is compared with sqlite3, which does not start ({error}): {INSTALL}"),
    };
    let mut numbers = version.split(['.', ' ']).map(|word| word.parse::<u32>().ok());
    let classic = numbers.next() == Some(Some(3)) && matches!(numbers.next(), Some(Some(37..=49)));
    let version = version.split(' ').next().unwrap_or_default();
    assert!(
        classic,
        "the shell is compared with sqlite3 as it was up to 3.49, and this one is {version}: {INSTALL}"
    );
}

/// A case that was answered differently: the oracle's answer, and ours.
pub struct Difference {
    pub case: Case,
    pub expected: Answer,
    pub got: Answer,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let case = &self.case;
        writeln!(f, "=== {} {:?}\n{}", case.name, case.arguments, case.script)?;
        for (name, content) in &case.files {
            writeln!(f, "--- {name}: {:?}", String::from_utf8_lossy(content))?;
        }
        for (whose, answer) in [("sqlite3", &self.expected), ("torso", &self.got)] {
            let Answer {
                stdout,
                complained,
                exit_code,
                written,
            } = answer;
            writeln!(
                f,
                "--- {whose}: exit code {exit_code:?}, complained {complained}, wrote {written:?}\n{stdout}"
            )?;
        }
        Ok(())
    }
}

/// Says how much agreed, past the capture of tests that pass: the rate is worth seeing each time.
pub fn tell(rate: std::fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "{rate}");
}

/// Differences one below the other.
pub fn report(differences: &[&Difference]) -> String {
    differences.iter().map(ToString::to_string).collect()
}

/// Runs the cases through both, and tells which were answered differently.
pub fn compare(cases: &[Case]) -> Vec<Difference> {
    let differing = Mutex::new(Vec::new());
    let (theirs, ours) = (helps(sqlite3), helps(torso));
    in_parallel(cases, |case| {
        let expected = answer(sqlite3(), &theirs, case);
        let got = answer(torso(), &ours, case);
        if expected != got {
            differing.lock().unwrap().push(Difference {
                case: case.clone(),
                expected,
                got,
            });
        }
    });
    differing.into_inner().unwrap()
}
