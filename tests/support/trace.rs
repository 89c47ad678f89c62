//! Runs a program under `ptrace` and counts, from outside, the system calls that change something. It can kill the
//! program just before the N-th of them, or make them fail from the N-th on as a full disk would. The product has no hook
//! for this and needs none.

use super::run::{Run, line_of};
use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::io::{Read, Seek};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus};

/// A system call that changes something on disk, or tells somebody something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// Opening a file that may be created or emptied, or making a link or folder.
    Create,
    Write,
    Sync,
    Rename,
    Remove,
    Truncate,
    Mode,
}

/// What to do to the program.
#[derive(Debug, Clone, Copy)]
pub enum Plan {
    /// Only count.
    Watch,
    /// `SIGKILL` in place of the call of this number, counted from 1.
    KillAt(usize),
    /// Every call that needs space in the file system fails with this error, from this number on among those.
    Fail { from: usize, errno: Errno },
}

/// A finished run and the calls it made, in order.
pub struct Traced {
    pub run: Run,
    pub calls: Vec<Call>,
    /// How many of them need space, and could fail for want of it.
    pub needing_space: usize,
}

/// Runs the command to its end, or to the end that the plan has for it.
pub fn run(command: Command, plan: Plan) -> Traced {
    let line = line_of(&command);
    let mut stdout = tempfile::tempfile().unwrap();
    let mut stderr = tempfile::tempfile().unwrap();
    let root = spawn(command, &stdout, &stderr, &line);
    let mut tracer = Tracer {
        plan,
        root,
        calls: Vec::new(),
        needing_space: 0,
        failing: Vec::new(),
    };
    let status = tracer.follow();
    let read = |file: &mut std::fs::File| {
        let mut bytes = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let run = Run {
        line,
        stdout: read(&mut stdout),
        stderr: read(&mut stderr),
        status,
    };
    Traced {
        run,
        calls: tracer.calls,
        needing_space: tracer.needing_space,
    }
}

/// Starts the command so that this thread traces it; it stands still at its first instruction.
pub fn spawn(mut command: Command, stdout: &std::fs::File, stderr: &std::fs::File, line: &str) -> Pid {
    command
        .stdout(stdout.try_clone().unwrap())
        .stderr(stderr.try_clone().unwrap());
    let traceme = || ptrace::traceme().map_err(std::io::Error::from);
    // SAFETY: the closure runs in the child between fork and exec and makes one system call; it takes no lock and
    // allocates nothing.
    #[allow(unsafe_code)]
    unsafe {
        command.pre_exec(traceme);
    }
    let started = command.spawn().map(|child| child.id().cast_signed());
    let pid = Pid::from_raw(started.unwrap_or_else(|error| {
        panic!(
            "cannot trace {line}: {error}. These tests kill the program at chosen system calls and need ptrace: in a \
             container, allow it with --cap-add=SYS_PTRACE or a seccomp profile that permits it"
        )
    }));
    assert!(
        matches!(waitpid(pid, None), Ok(WaitStatus::Stopped(_, Signal::SIGTRAP))),
        "{line} does not stop for its tracer"
    );
    // A tracer that dies takes its program with it, so a failing test leaves nothing running.
    let options = Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_EXITKILL;
    ptrace::setoptions(pid, options).unwrap();
    ptrace::syscall(pid, None).unwrap();
    pid
}

/// Lets a traced program and its children run from call to call until all have ended. Calls `at_call` for each thread that stands at
/// the entry to, or the exit from, a system call. Returns how the program itself ended.
pub fn follow(root: Pid, at_call: &mut dyn FnMut(Pid)) -> ExitStatus {
    // Only children of this very thread: other tests wait for theirs on threads of this same process.
    let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
    let mut ended = None;
    loop {
        let (pid, signal) = match waitpid(None, Some(flags)) {
            Ok(WaitStatus::Exited(pid, code)) => {
                if pid == root {
                    ended = Some(ExitStatus::from_raw(code << 8));
                }
                continue;
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) => {
                if pid == root {
                    ended = Some(ExitStatus::from_raw(signal as i32));
                }
                continue;
            }
            Ok(WaitStatus::PtraceSyscall(pid)) => {
                at_call(pid);
                (pid, None)
            }
            Ok(WaitStatus::Stopped(pid, Signal::SIGTRAP | Signal::SIGSTOP) | WaitStatus::PtraceEvent(pid, ..)) => {
                (pid, None)
            }
            Ok(WaitStatus::Stopped(pid, signal)) => (pid, Some(signal)),
            Ok(_) | Err(Errno::EINTR) => continue,
            Err(Errno::ECHILD) => return ended.expect("the program's end was not seen"),
            Err(error) => panic!("cannot wait for the traced program: {error}"),
        };
        match ptrace::syscall(pid, signal) {
            // It was killed meanwhile; its end is reported next.
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(error) => panic!("cannot continue the traced program: {error}"),
        }
    }
}

struct Tracer {
    plan: Plan,
    /// The program; its threads and children are traced too.
    root: Pid,
    calls: Vec<Call>,
    needing_space: usize,
    /// Threads inside a call that was made to fail.
    failing: Vec<Pid>,
}

impl Tracer {
    /// Lets the program run from call to call until it ends.
    fn follow(&mut self) -> ExitStatus {
        follow(self.root, &mut |pid| self.at_call(pid))
    }

    /// A thread stands at the entry to, or the exit from, a system call.
    fn at_call(&mut self, pid: Pid) {
        let Ok(info) = ptrace::syscall_info(pid) else {
            return;
        };
        if info.op == libc::PTRACE_SYSCALL_INFO_EXIT {
            if let Some(place) = self.failing.iter().position(|failing| *failing == pid) {
                self.failing.swap_remove(place);
                self.fail(pid);
            }
            return;
        }
        if info.op != libc::PTRACE_SYSCALL_INFO_ENTRY {
            return;
        }
        // SAFETY: `op` says that the entry member of the union is the one filled in.
        #[allow(unsafe_code)]
        let (number, args) = unsafe { (info.u.entry.nr.cast_signed(), info.u.entry.args) };
        let Some(call) = classify(number, &args) else {
            return;
        };
        self.calls.push(call);
        match self.plan {
            Plan::KillAt(at) if self.calls.len() == at => kill(self.root, Signal::SIGKILL).unwrap(),
            Plan::Watch | Plan::KillAt(_) | Plan::Fail { .. } => {}
        }
        if needs_space(pid, number, &args) {
            self.needing_space += 1;
            if let Plan::Fail { from, .. } = self.plan
                && self.needing_space >= from
            {
                skip_call(pid);
                self.failing.push(pid);
            }
        }
    }

    /// Gives a skipped call its error.
    fn fail(&self, pid: Pid) {
        if let Plan::Fail { errno, .. } = self.plan {
            let mut registers = ptrace::getregs(pid).unwrap();
            registers.rax = i64::from(-(errno as i32)).cast_unsigned();
            ptrace::setregs(pid, registers).unwrap();
        }
    }
}

/// Makes the kernel skip the call at whose entry the thread stands.
fn skip_call(pid: Pid) {
    let mut registers = ptrace::getregs(pid).unwrap();
    registers.orig_rax = u64::MAX;
    ptrace::setregs(pid, registers).unwrap();
}

/// Whether a call changes something, and what.
fn classify(number: i64, args: &[u64; 6]) -> Option<Call> {
    let opens_to_change = |flags: u64| {
        let changing = libc::O_CREAT | libc::O_TRUNC | libc::O_TMPFILE & !libc::O_DIRECTORY;
        (flags & u64::from(changing.cast_unsigned()) != 0).then_some(Call::Create)
    };
    match number {
        libc::SYS_open => opens_to_change(args[1]),
        libc::SYS_openat => opens_to_change(args[2]),
        libc::SYS_creat
        | libc::SYS_mkdir
        | libc::SYS_mkdirat
        | libc::SYS_link
        | libc::SYS_linkat
        | libc::SYS_symlink
        | libc::SYS_symlinkat => Some(Call::Create),
        libc::SYS_write
        | libc::SYS_pwrite64
        | libc::SYS_writev
        | libc::SYS_pwritev
        | libc::SYS_fallocate
        | libc::SYS_copy_file_range
        | libc::SYS_sendfile => Some(Call::Write),
        libc::SYS_fsync | libc::SYS_fdatasync | libc::SYS_sync_file_range => Some(Call::Sync),
        libc::SYS_rename | libc::SYS_renameat | libc::SYS_renameat2 => Some(Call::Rename),
        libc::SYS_unlink | libc::SYS_unlinkat | libc::SYS_rmdir => Some(Call::Remove),
        libc::SYS_truncate | libc::SYS_ftruncate => Some(Call::Truncate),
        libc::SYS_chmod | libc::SYS_fchmod | libc::SYS_fchmodat => Some(Call::Mode),
        _ => None,
    }
}

/// Whether a full disk would refuse the call: it makes a folder, or writes beyond a file's end. A directory has room for
/// another name far more often than a disk has for another block.
fn needs_space(pid: Pid, number: i64, args: &[u64; 6]) -> bool {
    match number {
        libc::SYS_mkdir | libc::SYS_mkdirat => true,
        libc::SYS_pwrite64 => grows(pid, args[0], Some(args[3]), args[2]),
        libc::SYS_write => grows(pid, args[0], None, args[2]),
        libc::SYS_writev | libc::SYS_pwritev | libc::SYS_fallocate | libc::SYS_copy_file_range | libc::SYS_sendfile => {
            grows(pid, args[0], None, 1)
        }
        _ => false,
    }
}

/// Whether so many bytes, written at the offset (else where the file stands), go beyond the end of a file on disk.
fn grows(pid: Pid, descriptor: u64, offset: Option<u64>, bytes: u64) -> bool {
    let link = format!("/proc/{pid}/fd/{descriptor}");
    let on_disk = std::fs::read_link(&link).is_ok_and(|path| path.starts_with(std::env::temp_dir()) && path.exists());
    if !on_disk {
        return false;
    }
    let stands = || {
        let info = std::fs::read_to_string(format!("/proc/{pid}/fdinfo/{descriptor}")).ok()?;
        let at = info.lines().find_map(|line| line.strip_prefix("pos:"))?;
        at.trim().parse().ok()
    };
    let at = offset.or_else(stands).unwrap_or(0);
    std::fs::metadata(link).is_ok_and(|metadata| at + bytes > metadata.len())
}

#[test]
fn trace_counts_kills_and_fails_calls() {
    let world = super::World::new();
    let read = |name: &str| std::fs::read_to_string(world.work().join(name)).ok();
    let shell = || {
        for name in ["a", "b"] {
            let _ = std::fs::remove_file(world.work().join(name));
        }
        let mut command = world.command("sh");
        command.args(["-c", "echo one > a; echo two > b"]);
        command
    };
    let watched = run(shell(), Plan::Watch);
    assert!(watched.run.status.success());
    assert_eq!(watched.calls, [Call::Create, Call::Write, Call::Create, Call::Write]);
    assert_eq!(watched.needing_space, 2);
    assert_eq!(
        (read("a").as_deref(), read("b").as_deref()),
        (Some("one\n"), Some("two\n"))
    );

    let killed = run(shell(), Plan::KillAt(3));
    assert_eq!(killed.run.code(), 128 + 9);
    assert_eq!((read("a").as_deref(), read("b")), (Some("one\n"), None));

    let plan = Plan::Fail {
        from: 2,
        errno: Errno::ENOSPC,
    };
    let failed = run(shell(), plan);
    assert_eq!(failed.run.code(), 1, "{}", failed.run.report());
    assert_eq!((read("a").as_deref(), read("b").as_deref()), (Some("one\n"), Some("")));
}
