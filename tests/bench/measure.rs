//! Runs a program and tells how long it took and how much memory it held at most.
//!
//! The kernel tells the peak of all children of a process together, so each program is run by a helper of its own: this
//! very binary, called with [`HELPER`].

use nix::sys::resource::{UsageWho, getrusage};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

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
    pub until: Until,
}

/// When the clock is stopped.
#[derive(Clone, Copy)]
pub enum Until {
    End,
    /// Something came on standard output.
    FirstByte,
    /// This was shown on a terminal.
    Shown(&'static str),
}

impl Until {
    /// As an argument of the helper.
    fn word(self) -> String {
        match self {
            Self::End => "end".to_owned(),
            Self::FirstByte => "first".to_owned(),
            Self::Shown(text) => format!("shown:{text}"),
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Sample {
    pub milliseconds: f64,
    pub peak_mib: f64,
}

/// Runs a program through a helper. A program that fails ends the benchmarks: its time would mean nothing.
pub fn run(program: &Program) -> io::Result<Sample> {
    let mut helper = Command::new(std::env::current_exe()?);
    helper
        .arg(HELPER)
        .arg(program.times.to_string())
        .arg(program.until.word());
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
    let [times, until, stdin, program, arguments @ ..] = arguments else {
        return Err(io::Error::other("the helper needs a program"));
    };
    let times: u32 = times.parse().map_err(io::Error::other)?;
    let mut milliseconds = 0.0;
    for _ in 0..times {
        let mut command = Command::new(program);
        command.args(arguments.iter().map(|argument| argument.replace("{n}", &fresh())));
        let start = Instant::now();
        let took = match until.strip_prefix("shown:") {
            Some(text) => shown(command, text, start)?,
            None => {
                command.stdin(File::open(stdin)?);
                finished(command, until == "first", start)?
            }
        };
        milliseconds += took.as_secs_f64() * 1000.0;
    }
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    writeln!(io::stdout(), "{milliseconds} {}", usage.max_rss())
}

/// Runs a program to its end, or to its first byte.
fn finished(mut command: Command, first: bool, start: Instant) -> io::Result<Duration> {
    let mut child = command
        .stdout(if first { Stdio::piped() } else { Stdio::null() })
        .spawn()?;
    if let Some(out) = &mut child.stdout {
        out.read_exact(&mut [0])?;
        let took = start.elapsed();
        child.kill()?;
        child.wait()?;
        return Ok(took);
    }
    let status = child.wait()?;
    if status.success() {
        Ok(start.elapsed())
    } else {
        Err(io::Error::other(format!("{command:?} ended with {status}")))
    }
}

/// Runs a program on a terminal until it shows `text`. The terminal is read as it is written: what `rexpect` does to find
/// a text looks every tenth of a second.
fn shown(mut command: Command, text: &str, start: Instant) -> io::Result<Duration> {
    command.env("TERM", "xterm");
    let process = rexpect::process::PtyProcess::new(command).map_err(io::Error::other)?;
    let mut terminal = process.get_file_handle().map_err(io::Error::other)?;
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    while !seen.windows(text.len()).any(|window| window == text.as_bytes()) {
        // Linux ends a terminal that nobody writes to any more with an error.
        match terminal.read(&mut buffer) {
            Ok(read @ 1..) => seen.extend_from_slice(&buffer[..read]),
            Ok(0) | Err(_) => {
                let seen = String::from_utf8_lossy(&seen);
                return Err(io::Error::other(format!("{text:?} was not shown, but {seen:?}")));
            }
        }
    }
    let took = start.elapsed();
    // Ctrl-D. What is written before the end has to be read for the program to get there.
    terminal.write_all(&[4])?;
    while terminal.read(&mut buffer).is_ok_and(|read| read > 0) {}
    process.wait().map_err(io::Error::other)?;
    Ok(took)
}

/// A name that was not used before, for programs that make something.
fn fresh() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("x{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}
