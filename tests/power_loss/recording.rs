//! Records, under `ptrace`, what a program and its children write, sync and name below a folder: in order, with the data. What
//! becomes of it when the power is lost is `disk_model`'s.

use super::memory::{Memory, resolve};
use crate::support::Run;
use crate::support::run::line_of;
use crate::support::trace;
use nix::libc;
use nix::sys::ptrace;
use nix::unistd::Pid;
use std::collections::HashMap;
use std::io::{Read, Seek};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

/// A system call that changed something below the folder. Files are named by their inodes, as descriptors name them.
#[derive(Debug, Clone)]
pub enum DiskCall {
    Create { path: PathBuf, inode: u64, mode: u32 },
    MakeFolder { path: PathBuf, inode: u64, mode: u32 },
    Symlink { target: PathBuf, path: PathBuf },
    Link { from: PathBuf, to: PathBuf },
    Rename { from: PathBuf, to: PathBuf },
    Remove { path: PathBuf },
    Write { inode: u64, offset: u64, bytes: Vec<u8> },
    SetLength { inode: u64, length: u64 },
    Sync { inode: u64 },
    Mode { inode: u64, mode: u32 },
}

/// What happened, in order.
#[derive(Debug, Clone)]
pub enum Event {
    /// A call has ended. `began` is how many events there were when it was begun; `modified` is the time of its file's last change
    /// then.
    Ended {
        began: usize,
        modified: SystemTime,
        call: DiskCall,
    },
    /// An operation has been acknowledged.
    Acknowledged(usize),
}

/// The events of programs that ran one after the other, or at the same time.
#[derive(Clone)]
pub struct Recording {
    folder: PathBuf,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Recording {
    pub fn of(folder: &Path) -> Self {
        Self {
            folder: folder.canonicalize().unwrap(),
            events: Arc::default(),
        }
    }

    pub fn acknowledge(&self, operation: usize) {
        self.events.lock().unwrap().push(Event::Acknowledged(operation));
    }

    pub fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap().clone()
    }

    /// Runs a command to its end. Only one thread may do so at a time.
    pub fn run(&self, command: Command) -> Run {
        let line = line_of(&command);
        let (mut stdout, mut stderr) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let root = trace::spawn(command, &stdout, &stderr, &line);
        let status = Recorder::of(self).follow(root);
        let read = |file: &mut std::fs::File| {
            let mut bytes = Vec::new();
            file.rewind().unwrap();
            file.read_to_end(&mut bytes).unwrap();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        Run {
            line,
            stdout: read(&mut stdout),
            stderr: read(&mut stderr),
            status,
        }
    }
}

/// A call that has begun: what will have happened if it succeeds.
struct Begun {
    began: usize,
    /// The open file that it is about.
    file: Option<PathBuf>,
    call: BegunCall,
}

impl Begun {
    /// When its file was last changed.
    fn changed_at(&self) -> SystemTime {
        let metadata = self.file.as_ref().and_then(|file| std::fs::metadata(file).ok());
        metadata.map_or(SystemTime::UNIX_EPOCH, |metadata| metadata.modified().unwrap())
    }
}

#[derive(Clone)]
enum BegunCall {
    Known(DiskCall),
    /// The file behind the descriptor that is returned.
    Open {
        existed: bool,
        truncates: bool,
    },
    MakeFolder(PathBuf),
    /// Data that the kernel copies: read from the file afterwards.
    Copy {
        inode: u64,
        path: PathBuf,
        offset: u64,
    },
}

struct Recorder {
    recording: Recording,
    begun: HashMap<Pid, Begun>,
}

impl Recorder {
    fn of(recording: &Recording) -> Self {
        Self {
            recording: recording.clone(),
            begun: HashMap::new(),
        }
    }

    fn follow(&mut self, root: Pid) -> std::process::ExitStatus {
        trace::follow(root, &mut |pid| self.at_call(pid))
    }

    fn at_call(&mut self, pid: Pid) {
        let Ok(info) = ptrace::syscall_info(pid) else { return };
        match info.op {
            libc::PTRACE_SYSCALL_INFO_ENTRY => {
                // SAFETY: `op` says that this member of the union is the one filled in.
                #[allow(unsafe_code)]
                let (number, args) = unsafe { (info.u.entry.nr.cast_signed(), info.u.entry.args) };
                self.begin(pid, number, &args);
            }
            libc::PTRACE_SYSCALL_INFO_EXIT => {
                // SAFETY: as above.
                #[allow(unsafe_code)]
                let result = unsafe { info.u.exit.sval };
                if let Some(begun) = self.begun.remove(&pid)
                    && let Ok(result) = u64::try_from(result)
                {
                    self.end(pid, &begun, result);
                }
            }
            _ => {}
        }
    }

    fn is_inside(&self, path: &Path) -> bool {
        path.starts_with(&self.recording.folder)
    }

    fn begin(&mut self, pid: Pid, number: i64, args: &[u64; 6]) {
        if let Some(call) = self.understand(pid, number, args) {
            let began = self.recording.events.lock().unwrap().len();
            let descriptor = if number == libc::SYS_copy_file_range {
                args[2]
            } else {
                args[0]
            };
            let file = Some(PathBuf::from(format!("/proc/{pid}/fd/{descriptor}"))).filter(|file| file.exists());
            self.begun.insert(pid, Begun { began, file, call });
        }
    }

    /// What a call is about to do below the folder.
    fn understand(&self, pid: Pid, number: i64, args: &[u64; 6]) -> Option<BegunCall> {
        let memory = Memory::of(pid);
        let here = i64::from(libc::AT_FDCWD).cast_unsigned();
        let path = |folder: u64, at: u64| resolve(pid, folder, &memory.path(at)?).filter(|path| self.is_inside(path));
        match number {
            libc::SYS_openat => self.opening(&path(args[0], args[1])?, args[2]),
            libc::SYS_open => self.opening(&path(here, args[0])?, args[1]),
            libc::SYS_creat => self.opening(&path(here, args[0])?, (libc::O_CREAT | libc::O_TRUNC) as u64),
            libc::SYS_mkdir => Some(BegunCall::MakeFolder(path(here, args[0])?)),
            libc::SYS_mkdirat => Some(BegunCall::MakeFolder(path(args[0], args[1])?)),
            libc::SYS_symlink => known(DiskCall::Symlink {
                target: memory.path(args[0])?,
                path: path(here, args[1])?,
            }),
            libc::SYS_symlinkat => known(DiskCall::Symlink {
                target: memory.path(args[0])?,
                path: path(args[1], args[2])?,
            }),
            libc::SYS_link => known(DiskCall::Link {
                from: path(here, args[0])?,
                to: path(here, args[1])?,
            }),
            libc::SYS_linkat => known(DiskCall::Link {
                from: path(args[0], args[1])?,
                to: path(args[2], args[3])?,
            }),
            libc::SYS_rename => known(DiskCall::Rename {
                from: path(here, args[0])?,
                to: path(here, args[1])?,
            }),
            libc::SYS_renameat | libc::SYS_renameat2 => known(DiskCall::Rename {
                from: path(args[0], args[1])?,
                to: path(args[2], args[3])?,
            }),
            libc::SYS_unlink | libc::SYS_rmdir => known(DiskCall::Remove {
                path: path(here, args[0])?,
            }),
            libc::SYS_unlinkat => known(DiskCall::Remove {
                path: path(args[0], args[1])?,
            }),
            libc::SYS_chmod => self.changing_mode(&path(here, args[0])?, args[1]),
            libc::SYS_fchmodat => self.changing_mode(&path(args[0], args[1])?, args[2]),
            _ => self.understand_descriptor(pid, number, args, &memory),
        }
    }

    /// The same for calls on open files.
    fn understand_descriptor(&self, pid: Pid, number: i64, args: &[u64; 6], memory: &Memory) -> Option<BegunCall> {
        let open = |descriptor: u64| OpenFile::of(pid, descriptor).filter(|file| self.is_inside(&file.path));
        let write = |offset: Option<u64>, bytes: &dyn Fn() -> Option<Vec<u8>>| {
            let file = open(args[0])?;
            let offset = offset.or_else(|| file.offset())?;
            known(DiskCall::Write {
                inode: file.inode,
                offset,
                bytes: bytes()?,
            })
        };
        match number {
            libc::SYS_write => write(None, &|| memory.read(args[1], args[2])),
            libc::SYS_pwrite64 => write(Some(args[3]), &|| memory.read(args[1], args[2])),
            libc::SYS_writev => write(None, &|| memory.gather(args[1], args[2])),
            libc::SYS_pwritev | libc::SYS_pwritev2 => write(Some(args[3]), &|| memory.gather(args[1], args[2])),
            libc::SYS_copy_file_range => {
                let file = open(args[2])?;
                let offset = if args[3] == 0 {
                    file.offset()?
                } else {
                    u64::from_ne_bytes(memory.read(args[3], 8)?.try_into().ok()?)
                };
                file.copied(offset)
            }
            libc::SYS_sendfile => {
                let file = open(args[0])?;
                let offset = file.offset()?;
                file.copied(offset)
            }
            libc::SYS_ftruncate => known(DiskCall::SetLength {
                inode: open(args[0])?.inode,
                length: args[1],
            }),
            libc::SYS_fallocate if args[1] == 0 => {
                let file = open(args[0])?;
                known(DiskCall::SetLength {
                    inode: file.inode,
                    length: file.length.max(args[2] + args[3]),
                })
            }
            libc::SYS_fsync | libc::SYS_fdatasync => known(DiskCall::Sync {
                inode: open(args[0])?.inode,
            }),
            libc::SYS_fchmod => known(DiskCall::Mode {
                inode: open(args[0])?.inode,
                mode: u32::try_from(args[1]).ok()?,
            }),
            _ => None,
        }
    }

    fn opening(&self, path: &Path, flags: u64) -> Option<BegunCall> {
        let has = |flag: i32| flags & u64::from(flag.cast_unsigned()) != 0;
        (has(libc::O_CREAT) || has(libc::O_TRUNC)).then(|| BegunCall::Open {
            existed: path.exists(),
            truncates: has(libc::O_TRUNC),
        })
    }

    fn changing_mode(&self, path: &Path, mode: u64) -> Option<BegunCall> {
        let inode = std::fs::metadata(path).ok()?.ino();
        known(DiskCall::Mode {
            inode,
            mode: u32::try_from(mode).ok()?,
        })
    }

    fn end(&self, pid: Pid, begun: &Begun, result: u64) {
        let push_changed = |modified: SystemTime, call| {
            let began = begun.began;
            let event = Event::Ended { began, modified, call };
            self.recording.events.lock().unwrap().push(event);
        };
        let push = |call| push_changed(SystemTime::UNIX_EPOCH, call);
        match begun.call.clone() {
            BegunCall::Known(DiskCall::Write {
                inode,
                offset,
                mut bytes,
            }) => {
                bytes.truncate(usize::try_from(result).unwrap());
                push_changed(begun.changed_at(), DiskCall::Write { inode, offset, bytes });
            }
            BegunCall::Known(call @ DiskCall::SetLength { .. }) => push_changed(begun.changed_at(), call),
            BegunCall::Known(call) => push(call),
            BegunCall::Open { existed, truncates } => {
                let Some(file) = OpenFile::of(pid, result) else { return };
                if !file.is_regular || !self.is_inside(&file.path) {
                    return;
                }
                let inode = file.inode;
                if !existed {
                    let call = DiskCall::Create {
                        path: file.path,
                        inode,
                        mode: file.mode,
                    };
                    push_changed(file.modified, call);
                } else if truncates {
                    push_changed(file.modified, DiskCall::SetLength { inode, length: 0 });
                }
            }
            BegunCall::MakeFolder(path) => {
                let Ok(metadata) = std::fs::metadata(&path) else { return };
                push(DiskCall::MakeFolder {
                    path,
                    inode: metadata.ino(),
                    mode: metadata.mode() & 0o7777,
                });
            }
            BegunCall::Copy { inode, path, offset } => {
                let mut bytes = vec![0; usize::try_from(result).unwrap()];
                std::fs::File::open(path)
                    .and_then(|file| file.read_exact_at(&mut bytes, offset))
                    .unwrap();
                push_changed(begun.changed_at(), DiskCall::Write { inode, offset, bytes });
            }
        }
    }
}

#[allow(clippy::unnecessary_wraps)] // the type of its callers
fn known(call: DiskCall) -> Option<BegunCall> {
    Some(BegunCall::Known(call))
}

/// What a descriptor of a program is of.
struct OpenFile {
    info: PathBuf,
    path: PathBuf,
    inode: u64,
    mode: u32,
    length: u64,
    is_regular: bool,
    modified: SystemTime,
}

impl OpenFile {
    fn of(pid: Pid, descriptor: u64) -> Option<Self> {
        let link = PathBuf::from(format!("/proc/{pid}/fd/{descriptor}"));
        let path = std::fs::read_link(&link).ok()?;
        if !path.is_absolute() {
            return None;
        }
        let metadata = std::fs::metadata(&link).ok()?;
        Some(Self {
            info: PathBuf::from(format!("/proc/{pid}/fdinfo/{descriptor}")),
            path,
            inode: metadata.ino(),
            mode: metadata.mode() & 0o7777,
            length: metadata.len(),
            is_regular: metadata.is_file(),
            modified: metadata.modified().unwrap(),
        })
    }

    /// Where the next write goes.
    fn offset(&self) -> Option<u64> {
        let info = std::fs::read_to_string(&self.info).ok()?;
        let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let flags = i32::from_str_radix(field("flags:")?, 8).ok()?;
        if flags & libc::O_APPEND != 0 {
            return Some(self.length);
        }
        field("pos:")?.parse().ok()
    }

    fn copied(self, offset: u64) -> Option<BegunCall> {
        Some(BegunCall::Copy {
            inode: self.inode,
            path: self.path,
            offset,
        })
    }
}
