//! torso's own helper processes: the program started once more with a hidden first word. They do what would endanger the
//! process that asks: becoming another program within bounds, and opening database files that others own or sent.

use super::confine::{self, Bounds};
use super::file::child as work;
use super::process::Launch;
use crate::error::{Code, Error, Result};
use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// The hidden first word of work on database files.
const FILE: &str = "__file";

/// What a helper answers when it did something more than look.
const CONVERTED: u8 = 100;

/// Runs a helper if that is what the command line asks for: its exit code.
#[must_use]
pub fn run(args: &[OsString]) -> Option<u8> {
    let (word, rest) = args.get(1..)?.split_first()?;
    let error = match word.to_str()? {
        confine::WORD => confine::become_program(rest),
        FILE => match file(rest) {
            Ok(code) => return Some(code),
            Err(error) => error,
        },
        _ => return None,
    };
    // For the process that asked: it reads the code, and makes an error of it again.
    let _ = writeln!(std::io::stderr(), "{}\t{}", error.code().name(), error.full_message());
    Some(error.kind().exit_code())
}

fn file(words: &[OsString]) -> Result<u8> {
    match words {
        [what, from, to] if what == "export" => work::export(Path::new(from), Path::new(to)).map(|()| 0),
        [what, from, to] if what == "check" => work::check_or_convert(Path::new(from), Path::new(to))
            .map(|converted| if converted { CONVERTED } else { 0 }),
        [what, from, to] if what == "restore" => work::restore(Path::new(from), Path::new(to)).map(|()| 0),
        _ => Err(Error::new(Code::Internal, "torso's own words to itself are malformed")),
    }
}

/// Has a helper write a consistent copy of a database that a server process owns. `torso` is this program's own file.
pub fn export(torso: &Path, from: &Path, to: &Path) -> Result<()> {
    ask(torso, "export", from, to).map(|_| ())
}

/// Has a helper look whether somebody's file is a sound database that libSQL server takes; true when it was converted
/// into `to`.
pub fn check_or_convert(torso: &Path, seed: &Path, to: &Path) -> Result<bool> {
    Ok(ask(torso, "check", seed, to)? == CONVERTED)
}

/// Has a helper make a database of a dump that somebody sent.
pub fn restore(torso: &Path, dump: &Path, to: &Path) -> Result<()> {
    ask(torso, "restore", dump, to).map(|_| ())
}

fn ask(torso: &Path, what: &str, from: &Path, to: &Path) -> Result<u8> {
    // SQLite makes files beside both.
    let write = [from, to]
        .iter()
        .filter_map(|path| path.parent())
        .map(Path::to_owned)
        .collect();
    let bounds = Bounds {
        write,
        ..Bounds::default()
    };
    let args = [OsStr::new(FILE), OsStr::new(what), from.as_os_str(), to.as_os_str()];
    let launch = confine::launch(
        torso,
        &bounds,
        Launch {
            program: torso.to_owned(),
            args: args.map(OsStr::to_owned).to_vec(),
            environment: Vec::new(),
        },
    );
    let output = Command::new(&launch.program)
        .args(&launch.args)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .output()
        .map_err(|error| Error::io(error, format!("cannot run {}", torso.display())))?;
    match output.status.code().and_then(|code| u8::try_from(code).ok()) {
        Some(code @ (0 | CONVERTED)) => Ok(code),
        _ => Err(told(from, &String::from_utf8_lossy(&output.stderr))),
    }
}

/// A helper's last words as the error that they were.
fn told(file: &Path, words: &str) -> Error {
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
