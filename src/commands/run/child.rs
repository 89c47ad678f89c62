//! The command that `torso run` starts: started with the database's variables, sent the signals that torso gets, waited
//! for, and followed by the end of whatever it left running.

use crate::commands::variables::Variable;
use crate::ephemeral::end_processes;
use crate::error::{Code, Error, Result};
use crate::settings::env;
use crate::shell::interrupt;
use crate::sync::lock;
use crate::termination;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitOptions};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::siginfo::{Cause, Process};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long a command may take to end once its time is up. Then it is killed.
const GRACE: Duration = Duration::from_secs(10);

/// Whether the command was started.
static STARTED: AtomicBool = AtomicBool::new(false);

/// What to do about a time limit that was too short.
pub fn hint_at_timeout() -> &'static str {
    match STARTED.load(Ordering::SeqCst) {
        true => "the command was told to end; run it again, perhaps with a longer --timeout",
        false => "the command was not started; run it again, perhaps with a longer --timeout",
    }
}

/// What became of a command.
pub enum Outcome {
    /// It ended with this exit code, or by a signal, for which shells give 128 and its number.
    Ended(u8),
    /// It could not be started; the exit code is the one that shells give then.
    NotStarted(Error, u8),
}

/// Who gets the signals that torso gets.
#[derive(Debug, Default)]
struct Receiver {
    child: Option<Pid>,
    /// The first signal that came while there was no child, for the exit code.
    first: Option<i32>,
}

/// From its making on, signals that would end torso stop what it is doing instead, or go to the command.
#[derive(Debug, Clone)]
pub struct Signals {
    receiver: Arc<Mutex<Receiver>>,
}

impl Signals {
    /// `stuck` ends the program with an exit code. It is called if torso does not end by itself after a signal that came while there
    /// was no command.
    pub fn catch(stuck: impl Fn(u8) + Send + 'static) -> Result<Self> {
        interrupt::leave_to_caller();
        let mut signals = SignalsInfo::<WithOrigin>::new([SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2])
            .map_err(|error| Error::io(error, "cannot catch signals"))?;
        termination::note_caught();
        let caught = Self {
            receiver: Arc::default(),
        };
        let receiver = Arc::clone(&caught.receiver);
        let mut stuck = Some(stuck);
        std::thread::spawn(move || {
            for origin in signals.forever() {
                receive(&receiver, origin.signal, origin.cause == Cause::Kernel);
                if lock(&receiver).first.is_some()
                    && let Some(stuck) = stuck.take()
                {
                    let code = code_of_signal(origin.signal);
                    std::thread::spawn(move || {
                        std::thread::sleep(GRACE);
                        stuck(code);
                    });
                }
                let is_own = |process: Process| process.pid.cast_unsigned() == std::process::id();
                if origin.process.is_some_and(is_own) {
                    // The time is up.
                    let receiver = Arc::clone(&receiver);
                    std::thread::spawn(move || kill_after_grace(&receiver));
                }
            }
        });
        Ok(caught)
    }

    /// The exit code for a signal that came while no command ran.
    pub fn exit_code(&self) -> Option<u8> {
        lock(&self.receiver).first.map(code_of_signal)
    }
}

/// Kills the command if it still runs a while after its time was up.
fn kill_after_grace(receiver: &Mutex<Receiver>) {
    let terminated = lock(receiver).child;
    std::thread::sleep(GRACE);
    let receiver = lock(receiver);
    if let Some(child) = receiver.child
        && terminated == Some(child)
    {
        // It may have ended at this moment.
        let _ = rustix::process::kill_process(child, Signal::KILL);
    }
}

fn receive(receiver: &Mutex<Receiver>, number: i32, by_the_terminal: bool) {
    let mut receiver = lock(receiver);
    match receiver.child {
        // A terminal sends its signals to every process in front of it, so the command has it already.
        Some(_) if by_the_terminal => {}
        Some(child) => {
            if let Some(signal) = Signal::from_named_raw(number) {
                // The command may have ended at this moment.
                let _ = rustix::process::kill_process(child, signal);
            }
        }
        None if matches!(number, SIGUSR1 | SIGUSR2) => {}
        None => {
            receiver.first.get_or_insert(number);
            interrupt::press();
        }
    }
}

/// Runs a command to its end, and ends what it left running if it belongs to a run.
pub fn run(command: &[OsString], variables: &[Variable], run: Option<&str>, signals: &Signals) -> Result<Outcome> {
    let (program, arguments) = command.split_first().ok_or_else(|| {
        Error::new(Code::Usage, "no command is named").hint("name it behind --, as in: torso run -- npm test")
    })?;
    let mut start = Command::new(program);
    start.args(arguments);
    for variable in variables {
        match variable.value.expose() {
            // One that is there already belongs to another database.
            "" => start.env_remove(&variable.name),
            value => start.env(&variable.name, value),
        };
    }
    if let Some(run) = run {
        start.env(env::RUN, run);
        adopt_orphans();
    }
    let code = {
        // Held while it starts: a signal that comes meanwhile waits, and goes to the command.
        let mut receiver = lock(&signals.receiver);
        if let Some(number) = receiver.first {
            return Ok(Outcome::Ended(code_of_signal(number)));
        }
        let child = match start.spawn() {
            Ok(child) => child,
            Err(error) => return Ok(not_started(program, error)),
        };
        STARTED.store(true, Ordering::SeqCst);
        receiver.child = Pid::from_raw(child.id().cast_signed());
        drop(receiver);
        wait(child, signals)?
    };
    if let Some(run) = run
        && has_children()
    {
        end_processes(run);
    }
    Ok(Outcome::Ended(code))
}

/// Waits for the command's end. Signals are sent to it no longer before its number is free for others.
fn wait(mut child: Child, signals: &Signals) -> Result<u8> {
    let doing = |error| Error::io(error, "cannot wait for the command");
    let pid = lock(&signals.receiver).child;
    if let Some(pid) = pid {
        loop {
            match rustix::process::waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(doing(error.into())),
                Ok(_) => break,
            }
        }
    }
    lock(&signals.receiver).child = None;
    let status = child.wait().map_err(doing)?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.unwrap_or_else(|| code_of_signal(status.signal().unwrap_or_default())))
}

/// What becomes of a command whose program is not there, or is none; none of one that can be started as far as that tells.
pub fn check_startable(command: &[OsString]) -> Option<Outcome> {
    let program = command.first()?;
    let is_program = |path: &Path| match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => rustix::fs::access(path, rustix::fs::Access::EXEC_OK).map_err(Into::into),
        Ok(_) => Err(std::io::Error::from_raw_os_error(
            rustix::io::Errno::ACCESS.raw_os_error(),
        )),
        Err(error) => Err(error),
    };
    if program.as_bytes().contains(&b'/') {
        let error = is_program(Path::new(program)).err()?;
        return Some(not_started(program, error));
    }
    let missing = std::io::Error::from_raw_os_error(rustix::io::Errno::NOENT.raw_os_error());
    // Without a PATH the system has one of its own.
    let mut error = missing;
    for directory in std::env::split_paths(&std::env::var_os("PATH")?) {
        match is_program(&directory.join(program)) {
            Ok(()) => return None,
            Err(other) if other.kind() == std::io::ErrorKind::PermissionDenied => error = other,
            Err(_) => {}
        }
    }
    Some(not_started(program, error))
}

fn code_of_signal(number: i32) -> u8 {
    u8::try_from(128 + number).unwrap_or(u8::MAX)
}

fn not_started(program: &OsString, error: std::io::Error) -> Outcome {
    let missing = error.kind() == std::io::ErrorKind::NotFound;
    let failed = Error::new(
        Code::CommandNotStarted,
        format!("cannot start {}: {error}", program.to_string_lossy()),
    );
    if missing {
        let hint = "name a program in PATH, or its path; for shell syntax: torso run -- sh -c 'COMMANDS'";
        Outcome::NotStarted(failed.hint(hint), 127)
    } else {
        Outcome::NotStarted(failed, 126)
    }
}

/// Has processes that outlive their parents become children of torso, so that it knows whether there are any.
#[cfg(target_os = "linux")]
fn adopt_orphans() {
    // Without it they are not noticed here, and the system keeps them.
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
}

#[cfg(not(target_os = "linux"))]
fn adopt_orphans() {}

/// Whether processes of the run are left, after its command has ended.
fn has_children() -> bool {
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            // One of them has ended; there may be more.
            Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}
