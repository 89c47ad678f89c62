//! Helper processes: torso started again with a hidden first argument. They do what would endanger the main process:
//! starting another program in a sandbox, and opening database files that other processes own or that users sent.

use super::confine::{self, Bounds, Sandbox};
use super::disk;
use super::file::child as work;
use super::file::comparison::{self, ComparisonDepth, ContentComparison};
use super::file::dump::{LONGEST_DUMP, dump_too_long};
use super::process::Launch;
use crate::error::{Code, Error, Result};
use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// The hidden first argument for work on database files.
const FILE: &str = "__file";

/// The exit code of a helper that has converted a file.
const CONVERTED: u8 = 100;

/// Runs a helper, if the command line asks for one; returns its exit code.
#[must_use]
pub fn run(args: &[OsString]) -> Option<u8> {
    let (word, rest) = args.get(1..)?.split_first()?;
    let error = match word.to_str()? {
        confine::WORD => {
            // The last words of what was to be the program, for its log.
            let error = confine::become_program(rest);
            let _ = writeln!(std::io::stderr(), "{}", error.full_message());
            return Some(error.kind().exit_code());
        }
        FILE => match file(rest) {
            Ok(code) => return Some(code),
            Err(error) => error,
        },
        _ => return None,
    };
    // For the parent process, which turns this line into an error again.
    let _ = writeln!(std::io::stderr(), "{}\t{}", error.code().name(), error.full_message());
    Some(error.kind().exit_code())
}

fn file(words: &[OsString]) -> Result<u8> {
    match words {
        [what, from, to] if what == "export" => work::export(Path::new(from), Path::new(to)).map(|()| 0),
        [what, from, to] if what == "compact" => work::compact_to(Path::new(from), Path::new(to)).map(|()| 0),
        [what, from, to] if what == "check" => work::check_or_convert(Path::new(from), Path::new(to))
            .map(|converted| if converted { CONVERTED } else { 0 }),
        [what, path, _] if what == "content" => work::check_content(Path::new(path)).map(|()| 0),
        [what, path, _] if what == "sound" => work::check_soundness(Path::new(path)).map(|()| 0),
        [what, old, now] if what == "divergence" => work::find_divergence(Path::new(old), Path::new(now)).map(|()| 0),
        [what, from, to] if what == "restore" => work::restore(Path::new(from), Path::new(to)).map(|()| 0),
        [what, paths @ ..] if what == "compare" => {
            let paths: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
            let (mut input, mut output) = (std::io::stdin().lock(), std::io::stdout().lock());
            comparison::compare(&paths, &mut input, &mut output).map(|()| 0)
        }
        _ => Err(Error::new(
            Code::Internal,
            "internal error: malformed message to a helper process",
        )),
    }
}

/// Has a helper write a consistent copy of a database that a server process owns.
pub fn export(sandbox: &Sandbox, from: &Path, to: &Path) -> Result<()> {
    ask(sandbox, "export", from, to).map(|_| ())
}

/// Has a helper write a copy without free pages of a database that a server process owns.
pub fn compact(sandbox: &Sandbox, from: &Path, to: &Path) -> Result<()> {
    ask(sandbox, "compact", from, to).map(|_| ())
}

/// Has a helper check that a user's file is a sound database that libSQL server takes. True if it was converted into
/// `to`.
pub fn check_or_convert(sandbox: &Sandbox, seed: &Path, to: &Path) -> Result<bool> {
    Ok(ask(sandbox, "check", seed, to)? == CONVERTED)
}

/// Has a helper find out whether a database of a process that does not run can be opened and read.
pub fn is_sound(sandbox: &Sandbox, path: &Path) -> bool {
    ask(sandbox, "sound", path, path).is_ok()
}

/// Has a helper read a whole database, which others may be using, and check its structure. Fails with `invalid_file` if it
/// is damaged.
pub fn check_content(sandbox: &Sandbox, path: &Path) -> Result<()> {
    ask(sandbox, "content", path, path).map(|_| ())
}

/// Has a helper write beside a database which rows it has that another one has not.
pub fn find_divergence(sandbox: &Sandbox, old: &Path, now: &Path) -> Result<()> {
    ask(sandbox, "divergence", old, now).map(|_| ())
}

/// Databases that a helper has open, each in a read transaction.
pub struct OpenComparison {
    path: PathBuf,
    helper: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// Has a helper open databases that others may be using, the primary first. Returns when all transactions are open.
pub fn open_comparison(sandbox: &Sandbox, paths: &[PathBuf]) -> Result<OpenComparison> {
    let path = paths.first().cloned().unwrap_or_default();
    let write = paths.iter().filter_map(|path| path.parent()).map(Path::to_owned);
    let bounds = Bounds {
        write: write.collect(),
        memory: Some(sandbox.memory),
        ..Bounds::default()
    };
    let words = [OsString::from(FILE), OsString::from("compare")];
    let launch = sandbox.launch(
        &bounds,
        Launch {
            program: sandbox.torso.clone(),
            args: words.into_iter().chain(paths.iter().map(OsString::from)).collect(),
            environment: Vec::new(),
        },
    );
    let failed = |error| Error::io(error, format!("cannot run {}", sandbox.torso.display()));
    let mut helper = Command::new(&launch.program)
        .args(&launch.args)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let (Some(input), Some(output)) = (helper.stdin.take(), helper.stdout.take()) else {
        return Err(Error::new(Code::Internal, "a helper process has no pipes"));
    };
    let mut open = OpenComparison {
        path,
        helper,
        input,
        output: BufReader::new(output),
    };
    match open.read_line()?.as_str() {
        comparison::OPEN => Ok(open),
        _ => Err(open.end()),
    }
}

impl OpenComparison {
    /// Compares what is open.
    pub fn run(mut self, depth: ComparisonDepth) -> Result<ContentComparison> {
        // One that has ended says why.
        let _ = writeln!(self.input, "{}", depth.line());
        let answer = self.read_line()?;
        if answer.is_empty() {
            return Err(self.end());
        }
        comparison::parse_answer(&self.path, &answer)
    }

    fn read_line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.output
            .read_line(&mut line)
            .map_err(|error| Error::io(error, "cannot read from a helper process"))?;
        Ok(line.trim_end().to_owned())
    }

    /// Why the helper ended.
    fn end(&mut self) -> Error {
        let mut words = String::new();
        if let Some(stderr) = &mut self.helper.stderr {
            let _ = stderr.read_to_string(&mut words);
        }
        to_error(&self.path, &words)
    }
}

impl Drop for OpenComparison {
    fn drop(&mut self) {
        // It may have been left before it was asked.
        let _ = self.helper.kill();
        let _ = self.helper.wait();
    }
}

/// How often it is looked whether somebody still waits for a dump.
const LOOK: Duration = Duration::from_millis(50);

/// Has a helper make a database from a user's dump. It is ended with the error of `is_given_up`, if that has one, and when it takes
/// longer than a dump may.
pub fn restore(sandbox: &Sandbox, dump: &Path, to: &Path, is_given_up: &dyn Fn() -> Option<Error>) -> Result<()> {
    let mut helper = command(sandbox, "restore", dump, to)
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| cannot_run(sandbox, error))?;
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = helper.try_wait().map_err(|error| cannot_run(sandbox, error))? {
            break status;
        }
        // The helper says it itself, in better words, unless it is in a step that does not end.
        let too_long = (begun.elapsed() > LONGEST_DUMP + LOOK * 20).then(|| dump_too_long(dump));
        if let Some(error) = too_long.or_else(is_given_up) {
            let _ = helper.kill();
            let _ = helper.wait();
            disk::remove(to)?;
            return Err(error);
        }
        std::thread::sleep(LOOK);
    };
    if status.success() {
        return Ok(());
    }
    let mut words = String::new();
    if let Some(stderr) = &mut helper.stderr {
        let _ = stderr.read_to_string(&mut words);
    }
    Err(to_error(dump, &words))
}

fn ask(sandbox: &Sandbox, what: &str, from: &Path, to: &Path) -> Result<u8> {
    let output = command(sandbox, what, from, to)
        .output()
        .map_err(|error| cannot_run(sandbox, error))?;
    match output.status.code().and_then(|code| u8::try_from(code).ok()) {
        Some(code @ (0 | CONVERTED)) => Ok(code),
        _ => Err(to_error(from, &String::from_utf8_lossy(&output.stderr))),
    }
}

fn cannot_run(sandbox: &Sandbox, error: std::io::Error) -> Error {
    Error::io(error, format!("cannot run {}", sandbox.torso.display()))
}

/// A helper that works on one file and writes another.
fn command(sandbox: &Sandbox, what: &str, from: &Path, to: &Path) -> Command {
    // SQLite makes further files in both directories.
    let write = [from, to]
        .iter()
        .filter_map(|path| path.parent())
        .map(Path::to_owned)
        .collect();
    let bounds = Bounds {
        write,
        memory: Some(sandbox.memory),
        ..Bounds::default()
    };
    let args = [OsStr::new(FILE), OsStr::new(what), from.as_os_str(), to.as_os_str()];
    let launch = sandbox.launch(
        &bounds,
        Launch {
            program: sandbox.torso.clone(),
            args: args.map(OsStr::to_owned).to_vec(),
            environment: Vec::new(),
        },
    );
    let mut command = Command::new(&launch.program);
    command
        .args(&launch.args)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

/// Turns a helper's output back into its error.
fn to_error(file: &Path, words: &str) -> Error {
    let known = words.trim_end().split_once('\t').and_then(|(name, message)| {
        let code = Code::ALL.iter().find(|code| code.name() == name)?;
        Some(Error::new(*code, message))
    });
    known.unwrap_or_else(|| {
        let error = Error::new(
            Code::InvalidFile,
            format!("a helper process ended while it worked on {}", file.display()),
        );
        match words.trim() {
            "" => error,
            words => error.caused_by(words),
        }
    })
}
