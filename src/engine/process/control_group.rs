//! Bounds by control groups (version 2 of `cgroups(7)`), where the service manager has delegated the group that this program
//! runs in (systemd: `Delegate=yes`). Each program then has a group of its own: the kernel ends it when it takes more memory
//! than it may, with all of it that is not its files', and shares the processors between groups by weight, so that a greedy one
//! does not starve the others.
//!
//! ```text
//! <delegated group>/supervisor     this program: a group with groups below it has no processes itself
//! <delegated group>/<name>         a supervised program
//! ```
//!
//! Elsewhere there are no groups, and memory is bounded by looks at it (`sqld::excess`).

use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// The group of this program.
const SUPERVISOR: &str = "supervisor";

/// The weights of this program and of each other one, of the usual 100: the gateway answers also when databases are busy.
const SUPERVISOR_WEIGHT: &str = "400";
const PROGRAM_WEIGHT: &str = "100";

/// A bit more than the memory that a program may have: those that look at it come first and say why it is ended.
const MARGIN: u64 = 5;
const OF: u64 = 4;

/// The delegated group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlGroups {
    root: PathBuf,
}

impl ControlGroups {
    /// Divides the group that this program runs in; none where it may not.
    #[must_use]
    pub fn take() -> Option<Self> {
        let own = std::fs::read_to_string("/proc/self/cgroup").ok()?;
        let mounts = std::fs::read_to_string("/proc/self/mounts").ok()?;
        let root = locate(&own, &mounts)?;
        // Started again by a supervisor in such a group.
        let root = match root.parent() {
            Some(parent) if root.ends_with(SUPERVISOR) => parent.to_owned(),
            _ => root,
        };
        if !is_delegated(&root) {
            return None;
        }
        let taken = Self::take_at(root, std::process::id());
        if let Err(error) = &taken {
            tracing::warn!(%error, "the delegated control group cannot be used; memory is bounded without it");
        }
        taken.ok()
    }

    fn take_at(root: PathBuf, pid: u32) -> Result<Self> {
        let supervisor = root.join(SUPERVISOR);
        make_dir(&supervisor)?;
        write(&supervisor.join("cgroup.procs"), &pid.to_string())?;
        write(&root.join("cgroup.subtree_control"), "+memory +cpu")?;
        write(&supervisor.join("cpu.weight"), SUPERVISOR_WEIGHT)?;
        Ok(Self { root })
    }

    /// Makes the group of a program that may have so many bytes of memory. The program enters it by itself.
    pub fn make(&self, name: &str, memory: u64) -> Result<PathBuf> {
        let group = self.root.join(name);
        make_dir(&group)?;
        write(&group.join("memory.max"), &(memory / OF * MARGIN).to_string())?;
        // All of it or nothing: a part of it would be of no use.
        write(&group.join("memory.oom.group"), "1")?;
        write(&group.join("cpu.weight"), PROGRAM_WEIGHT)?;
        Ok(group)
    }

    /// Removes the group of a program that has ended. True if the kernel had ended it for its memory.
    pub fn remove(&self, name: &str) -> bool {
        let group = self.root.join(name);
        let events = std::fs::read_to_string(group.join("memory.events")).unwrap_or_default();
        // A group that is left has no processes and costs nothing.
        let _ = std::fs::remove_dir(&group);
        has_kills(&events)
    }
}

/// Puts this process into a group.
pub fn enter(group: &Path) -> Result<()> {
    write(&group.join("cgroup.procs"), "0")
}

/// The directory of a process's group of version 2, by `/proc/PID/cgroup` and `/proc/PID/mounts`.
fn locate(own: &str, mounts: &str) -> Option<PathBuf> {
    let path = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let mount = mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (at, kind) = (fields.next()?, fields.next()?);
        (kind == "cgroup2").then_some(at)
    })?;
    Some(Path::new(mount).join(path))
}

/// Whether the service manager has marked a group as delegated: systemd does so by an extended attribute.
#[cfg(target_os = "linux")]
fn is_delegated(group: &Path) -> bool {
    ["user.delegate", "trusted.delegate"].iter().any(|name| {
        let mut value = [0_u8; 8];
        let read = rustix::fs::getxattr(group, *name, &mut value[..]);
        read.is_ok_and(|length| value[..length] == *b"1")
    })
}

#[cfg(not(target_os = "linux"))]
fn is_delegated(_group: &Path) -> bool {
    false
}

fn has_kills(events: &str) -> bool {
    let kills = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
    kills
        .and_then(|count| count.trim().parse::<u64>().ok())
        .is_some_and(|count| count > 0)
}

fn make_dir(path: &Path) -> Result<()> {
    match std::fs::create_dir(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(Error::io(
            error,
            format!("cannot make the control group {}", path.display()),
        )),
        _ => Ok(()),
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).map_err(|error| Error::io(error, format!("cannot write {}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_group_is_read_from_the_file_of_the_kernel() {
        let mounts = "proc /proc proc rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n";
        let found = locate("0::/system.slice/torso.service\n", mounts);
        assert_eq!(found, Some(PathBuf::from("/sys/fs/cgroup/system.slice/torso.service")));
        // Version 1 only.
        assert_eq!(locate("4:memory:/x\n", mounts), None);
        assert_eq!(locate("0::/x\n", "proc /proc proc rw 0 0\n"), None);
    }

    /// In a directory of plain files, which take what the kernel's would.
    #[test]
    fn control_group_of_a_program_has_its_bounds() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_owned();
        let read = |name: &str| std::fs::read_to_string(root.join(name)).unwrap();
        let groups = ControlGroups::take_at(root.clone(), 7).unwrap();
        assert_eq!(read("supervisor/cgroup.procs"), "7");
        assert_eq!(read("cgroup.subtree_control"), "+memory +cpu");
        let group = groups.make("p", 400).unwrap();
        assert_eq!(read("p/memory.max"), "500");
        assert_eq!(read("p/memory.oom.group"), "1");
        enter(&group).unwrap();
        assert_eq!(read("p/cgroup.procs"), "0");
        std::fs::write(group.join("memory.events"), "low 0\noom 1\noom_kill 1\n").unwrap();
        assert!(groups.remove("p"));
        assert!(!groups.remove("never"));
        // A group that is not delegated is left alone.
        assert!(!is_delegated(&root));
    }

    #[test]
    fn control_group_that_cannot_be_divided_is_an_error() {
        let error = ControlGroups::take_at(PathBuf::from("/nonexistent/group"), 7).unwrap_err();
        assert!(error.message().contains("/nonexistent/group/supervisor"), "{error}");
    }
}
