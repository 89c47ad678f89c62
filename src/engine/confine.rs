//! Starts a program in a sandbox. Between a supervisor and the program stands torso itself, started again with a hidden
//! first argument: it gives up everything that the program does not need, and then executes it.
//!
//! 1. It takes the directory's lock, which the program keeps until it ends, however it ends. So nobody else can run over
//!    the directory meanwhile, not even after the supervisor was killed; and a later supervisor finds who has it.
//! 2. It asks to be ended with its supervisor (Linux).
//! 3. It enters its control group, where there is one. It raises the limit of open files, bounds memory where that was asked for, and forbids core dumps, which would hold
//!    customers' rows. Where memory runs out, the system ends it rather than its supervisor.
//! 4. It closes off every file and port but the program's own, for good (Linux with Landlock). Where the system cannot do
//!    that, the program is not run, unless its administrator has said that this is not needed.

use super::disk;
use super::process::{ControlGroups, Launch, control_group};
use crate::error::{Code, Error, Result};
use rustix::process::{Pid, Resource, Rlimit, Signal};
use std::ffi::{OsStr, OsString};
use std::fs::TryLockError;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// The hidden first argument.
pub const WORD: &str = "__confine";

/// How long a program without its supervisor may take to end after SIGTERM, before it is killed. Its databases are not
/// served meanwhile. libSQL server ends within a fraction of a second, but ignores a SIGTERM that comes while it starts.
const GRACE: Duration = Duration::from_secs(2);

/// How likely the system ends a program when memory runs out (`oom_score_adj`), from -1000 to 1000; its supervisor has 0.
#[cfg(target_os = "linux")]
const OOM_SCORE: &str = "500";

/// How far this system's kernel can confine a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confinement {
    /// To its own files and ports, and no signals to others.
    Full,
    /// To its own files: the kernel is older than Linux 6.12, and does not know all the rules.
    FilesOnly,
    /// Not at all.
    None,
}

impl Confinement {
    /// The word in metrics and answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::FilesOnly => "files",
            Self::None => "none",
        }
    }
}

/// Starts programs in sandboxes.
#[derive(Debug, Clone)]
pub struct Sandbox {
    /// The path of this program.
    pub torso: PathBuf,
    /// Programs run also where the system cannot confine them.
    pub unconfined: bool,
    /// Bytes of memory for one program.
    pub memory: u64,
    /// Where programs have control groups of their own.
    pub control_groups: Option<ControlGroups>,
}

/// What a program may access.
#[derive(Debug, Clone, Default)]
pub struct Bounds {
    /// A lock file that is held while the program runs.
    pub lock: Option<PathBuf>,
    /// Directories that it may read and write.
    pub write: Vec<PathBuf>,
    /// Files and directories that it may read.
    pub read: Vec<PathBuf>,
    /// TCP ports that it may listen on, and connect to.
    pub listen: Vec<u16>,
    pub connect: Vec<u16>,
    /// Bytes that it may allocate, reserved address space included.
    pub memory: Option<u64>,
    /// The control group that it runs in.
    pub control_group: Option<PathBuf>,
}

impl Sandbox {
    /// Turns the launch of a program into one in a sandbox.
    #[must_use]
    pub fn launch(&self, bounds: &Bounds, program: Launch) -> Launch {
        launch(self, bounds, program)
    }
}

fn launch(sandbox: &Sandbox, bounds: &Bounds, program: Launch) -> Launch {
    let mut args: Vec<OsString> = vec![WORD.into(), "parent".into(), std::process::id().to_string().into()];
    if sandbox.unconfined {
        args.extend(["unconfined".into(), "allowed".into()]);
    }
    if let Some(bytes) = bounds.memory {
        args.extend(["memory".into(), bytes.to_string().into()]);
    }
    if let Some(group) = &bounds.control_group {
        args.extend(["group".into(), group.clone().into_os_string()]);
    }
    let paths = [("write", &bounds.write), ("read", &bounds.read)];
    for (word, path) in bounds.lock.iter().map(|path| ("lock", path)).chain(
        paths
            .iter()
            .flat_map(|(word, paths)| paths.iter().map(|path| (*word, path))),
    ) {
        args.extend([word.into(), path.clone().into_os_string()]);
    }
    let ports = [("listen", &bounds.listen), ("connect", &bounds.connect)];
    for (word, port) in ports
        .iter()
        .flat_map(|(word, ports)| ports.iter().map(|port| (*word, port)))
    {
        args.extend([word.into(), port.to_string().into()]);
    }
    args.extend(["run".into(), program.program.into_os_string()]);
    args.extend(program.args);
    Launch {
        program: sandbox.torso.clone(),
        args,
        environment: program.environment,
    }
}

/// Executes the program that the arguments after [`WORD`] ask for. Returns only if that fails.
pub fn become_program(words: &[OsString]) -> Error {
    match confine(words) {
        Ok(mut command) => {
            let error = command.exec();
            Error::io(error, format!("cannot run {}", command.get_program().display()))
        }
        Err(error) => error,
    }
}

fn confine(words: &[OsString]) -> Result<Command> {
    let malformed = || Error::new(Code::Internal, "internal error: malformed message to a helper process");
    let mut bounds = Bounds::default();
    let mut unconfined = false;
    let mut words = words.iter();
    let number = |word: &OsStr| word.to_str().and_then(|text| text.parse().ok()).ok_or_else(malformed);
    loop {
        let (Some(word), Some(value)) = (words.next().and_then(|word| word.to_str()), words.next()) else {
            return Err(malformed());
        };
        match word {
            "parent" => end_with(
                value
                    .to_str()
                    .and_then(|text| text.parse().ok())
                    .ok_or_else(malformed)?,
            )?,
            "lock" => bounds.lock = Some(value.into()),
            "write" => bounds.write.push(value.into()),
            "read" => bounds.read.push(value.into()),
            "listen" => bounds.listen.push(number(value)?),
            "connect" => bounds.connect.push(number(value)?),
            "memory" => {
                bounds.memory = Some(
                    value
                        .to_str()
                        .and_then(|text| text.parse().ok())
                        .ok_or_else(malformed)?,
                )
            }
            "group" => bounds.control_group = Some(value.into()),
            "unconfined" => unconfined = value == "allowed",
            "run" => {
                let program = PathBuf::from(value);
                if let Some(path) = &bounds.lock {
                    hold(path)?;
                }
                if let Some(group) = &bounds.control_group {
                    control_group::enter(group)?;
                }
                limit(bounds.memory)?;
                if restrict(&bounds, &program)? == Confinement::None && !unconfined {
                    return Err(no_confinement());
                }
                let mut command = Command::new(program);
                command.args(words);
                return Ok(command);
            }
            _ => return Err(malformed()),
        }
    }
}

/// Has the kernel end this process with its supervisor, also if that has just ended.
fn end_with(supervisor: i32) -> Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(Signal::TERM))
        .map_err(|error| Error::io(error.into(), "cannot arrange to end with the supervisor"))?;
    if rustix::process::getppid() == Pid::from_raw(supervisor) {
        Ok(())
    } else {
        Err(Error::new(Code::Unavailable, "the supervisor has ended"))
    }
}

/// Takes the lock for the life of this process, including the program it executes, and writes its process id into the
/// file.
fn hold(path: &Path) -> Result<()> {
    let doing = || format!("cannot write {}", path.display());
    let mut file = disk::private_file(path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(Error::new(
                Code::Conflict,
                format!("another process holds {}", path.display()),
            ));
        }
        Err(TryLockError::Error(error)) => return Err(Error::io(error, doing())),
    }
    let pid = std::process::id();
    file.set_len(0)
        .and_then(|()| file.seek(SeekFrom::Start(0)))
        .and_then(|_| writeln!(file, "{pid} {}", birth(pid).unwrap_or(0)))
        .map_err(|error| Error::io(error, doing()))?;
    // The file stays open across `exec`.
    rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).map_err(|error| Error::io(error.into(), doing()))?;
    std::mem::forget(file);
    Ok(())
}

/// When a process began, in the kernel's ticks. Together with its id, this identifies a process. None if the system
/// does not tell.
fn birth(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The program's name is in parentheses and may contain anything.
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// Makes sure that a lock is free, by ending a program that a killed supervisor left behind.
pub fn end_orphan(lock: &Path) -> Result<()> {
    let began = Instant::now();
    let mut is_ending = false;
    loop {
        let mut file = disk::private_file(lock)?;
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => {
                return Err(Error::io(error, format!("cannot lock {}", lock.display())));
            }
        }
        let mut text = String::new();
        let _ = file.read_to_string(&mut text);
        let mut words = text.split_ascii_whitespace();
        let pid: Option<u32> = words.next().and_then(|word| word.parse().ok());
        let born: Option<u64> = words.next().and_then(|word| word.parse().ok());
        let holder = pid.filter(|pid| birth(*pid).is_some_and(|birth| Some(birth) == born));
        if let Some(pid) = holder.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw) {
            let signal = match began.elapsed() {
                elapsed if elapsed > GRACE => Some(Signal::KILL),
                _ if !is_ending => Some(Signal::TERM),
                _ => None,
            };
            if let Some(signal) = signal {
                is_ending = true;
                // An error means that it has ended, and then the lock is free.
                let _ = rustix::process::kill_process(pid, signal);
            }
        }
        if began.elapsed() > GRACE + Duration::from_secs(3) {
            let who = pid.map_or_else(String::new, |pid| format!(" (process {pid})"));
            return Err(Error::new(
                Code::Unavailable,
                format!("another program{who} holds {} and does not end", lock.display()),
            )
            .hint("end it, then try again"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The error for a system that cannot confine.
#[must_use]
pub fn no_confinement() -> Error {
    Error::new(
        Code::Unsupported,
        "this system cannot confine database processes to their own files: its kernel has no Landlock, or does not let it be \
         used",
    )
    .hint(
        "run it on Linux 5.13 or later, with landlock among the security modules; or add --unconfined, if all who use its \
         databases may read this user's files",
    )
}

fn limit(memory: Option<u64>) -> Result<()> {
    // Files that the program makes are private.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    let most = rustix::process::getrlimit(Resource::Nofile).maximum;
    let set = |resource, limit| {
        rustix::process::setrlimit(resource, limit)
            .map_err(|error| Error::io(error.into(), "cannot set the limits of a process"))
    };
    set(
        Resource::Nofile,
        Rlimit {
            current: most,
            maximum: most,
        },
    )?;
    set(
        Resource::Core,
        Rlimit {
            current: Some(0),
            maximum: Some(0),
        },
    )?;
    if memory.is_some() {
        set(
            Resource::Data,
            Rlimit {
                current: memory,
                maximum: memory,
            },
        )?;
    }
    // Everybody may make the system end them first.
    #[cfg(target_os = "linux")]
    std::fs::write("/proc/self/oom_score_adj", OOM_SCORE)
        .map_err(|error| Error::io(error, "cannot set what the system ends first when memory runs out"))?;
    Ok(())
}

/// What every program needs to be loaded and to run, and has no secrets.
#[cfg(target_os = "linux")]
const SYSTEM: [&str; 10] = [
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/nix/store",
    "/etc/ld.so.cache",
    "/dev/urandom",
    "/proc/sys/vm/overcommit_memory",
    "/sys/devices/system/cpu",
];

#[cfg(target_os = "linux")]
fn restrict(bounds: &Bounds, program: &Path) -> Result<Confinement> {
    use landlock::{
        ABI, Access as _, AccessFs, AccessNet, NetPort, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _,
        RulesetStatus, Scope, path_beneath_rules,
    };
    // A kernel with an older version enforces the part that it knows.
    let abi = ABI::V6;
    type ConfinementError = landlock::RulesetError;
    let ports = |ports: &[u16], access: AccessNet| -> Vec<Result<NetPort, ConfinementError>> {
        ports.iter().map(|port| Ok(NetPort::new(*port, access))).collect()
    };
    let read: Vec<&Path> = SYSTEM
        .iter()
        .map(Path::new)
        .chain([program])
        .chain(bounds.read.iter().map(PathBuf::as_path))
        .collect();
    let restricted = || -> Result<_, ConfinementError> {
        Ruleset::default()
            .handle_access(AccessFs::from_all(abi))?
            .handle_access(AccessNet::from_all(abi))?
            .scope(Scope::from_all(abi))?
            .create()?
            .add_rules(path_beneath_rules(&read, AccessFs::from_read(abi)))?
            .add_rules(path_beneath_rules(["/dev/null"], AccessFs::from_file(abi)))?
            .add_rules(path_beneath_rules(
                &bounds.write,
                AccessFs::from_all(abi) & !AccessFs::Execute,
            ))?
            .add_rules(ports(&bounds.listen, AccessNet::BindTcp))?
            .add_rules(ports(&bounds.connect, AccessNet::ConnectTcp))?
            .restrict_self()
    };
    match restricted() {
        Ok(status) => Ok(match status.ruleset {
            RulesetStatus::FullyEnforced => Confinement::Full,
            RulesetStatus::PartiallyEnforced => Confinement::FilesOnly,
            RulesetStatus::NotEnforced => Confinement::None,
        }),
        Err(error) => Err(Error::new(Code::Io, "cannot confine a process").caused_by(error)),
    }
}

#[cfg(not(target_os = "linux"))]
fn restrict(_bounds: &Bounds, _program: &Path) -> Result<Confinement> {
    Ok(Confinement::None)
}

/// How far this system's kernel can confine a program.
#[must_use]
pub fn confinement() -> Confinement {
    #[cfg(target_os = "linux")]
    {
        use landlock::{
            ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _, Scope,
        };
        let files = |abi| {
            Ruleset::default()
                .set_compatibility(CompatLevel::HardRequirement)
                .handle_access(AccessFs::from_all(abi))
        };
        assess(
            || files(ABI::V1).and_then(Ruleset::create).is_ok(),
            || {
                files(ABI::V6)
                    .and_then(|rules| rules.handle_access(AccessNet::from_all(ABI::V6)))
                    .and_then(|rules| rules.scope(Scope::from_all(ABI::V6)))
                    .and_then(Ruleset::create)
                    .is_ok()
            },
        )
    }
    #[cfg(not(target_os = "linux"))]
    assess(|| false, || false)
}

/// Judges by what a kernel takes: rules for files, and all rules.
fn assess(takes_files: impl Fn() -> bool, takes_all: impl Fn() -> bool) -> Confinement {
    if !takes_files() {
        Confinement::None
    } else if takes_all() {
        Confinement::Full
    } else {
        Confinement::FilesOnly
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confinement_is_full_only_if_the_kernel_takes_every_rule() {
        assert_eq!(assess(|| true, || true), Confinement::Full);
        assert_eq!(assess(|| true, || false), Confinement::FilesOnly);
        assert_eq!(assess(|| false, || false), Confinement::None);
        // Whatever else it says: a process that may read every file is not confined.
        assert_eq!(assess(|| false, || true), Confinement::None);
    }
}
