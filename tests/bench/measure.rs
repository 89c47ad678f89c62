//! Runs a program and tells how long it took and how much memory it held at most.
//!
//! The kernel tells the peak of all children of a process together, so each program is run by a helper of its own: this
//! very binary, called with [`HELPER`].

use nix::sys::resource::{UsageWho, getrusage};
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

pub const HELPER: &str = "--measure-one";

/// A program to run.
pub struct Program {
    pub program: PathBuf,
    pub arguments: Vec<String>,
    /// What it reads; nothing if none.
    pub stdin: Option<PathBuf>,
    pub environment: Vec<(String, PathBuf)>,
    /// How often, one after the other, as one measurement.
    pub times: u32,
}

#[derive(Debug, Clone, Copy)]
pub struct Sample {
    pub milliseconds: f64,
    pub peak_mib: f64,
}

/// Runs a program through a helper. A program that fails ends the benchmarks: its time would mean nothing.
pub fn run(program: &Program) -> io::Result<Sample> {
    let mut helper = Command::new(std::env::current_exe()?);
    helper.arg(HELPER).arg(program.times.to_string());
    helper.arg(program.stdin.clone().unwrap_or_else(|| PathBuf::from("/dev/null")));
    helper.arg(&program.program).args(&program.arguments);
    helper.envs(program.environment.iter().map(|(name, value)| (name, value)));
    let output = helper.stderr(Stdio::inherit()).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut numbers = text.split_whitespace().filter_map(|word| word.parse::<f64>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(milliseconds), Some(kib)) => Ok(Sample {
            milliseconds,
            peak_mib: kib / 1024.0,
        }),
        _ => Err(io::Error::other(format!(
            "{} {:?} failed",
            program.program.display(),
            program.arguments
        ))),
    }
}

/// What the helper does: runs the program and prints milliseconds and KiB.
pub fn help(arguments: &[String]) -> io::Result<()> {
    let [times, stdin, program, arguments @ ..] = arguments else {
        return Err(io::Error::other("the helper needs a program"));
    };
    let times: u32 = times.parse().map_err(io::Error::other)?;
    let start = Instant::now();
    for _ in 0..times {
        let status = Command::new(program)
            .args(arguments.iter().map(|argument| argument.replace("{n}", &fresh())))
            .stdin(File::open(stdin)?)
            .stdout(Stdio::null())
            .status()?;
        if !status.success() {
            return Err(io::Error::other(format!("{program} {arguments:?} ended with {status}")));
        }
    }
    let milliseconds = start.elapsed().as_secs_f64() * 1000.0;
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    writeln!(io::stdout(), "{milliseconds} {}", usage.max_rss())
}

/// A name that was not used before, for programs that make something.
fn fresh() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("x{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}
