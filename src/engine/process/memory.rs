//! How much memory a process may have, and how much it has.

/// A process may have so many parts of the machine's memory, but not less than the least.
const PART: u64 = 4;
const LEAST: u64 = 512 << 20;

/// Returns the bytes of memory that a process may have where nothing else was said: a quarter of what this machine, or the
/// container that this runs in, has.
#[must_use]
pub fn default_share() -> u64 {
    let machine = std::fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| field(&text, "MemTotal:"));
    let container = [
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ]
    .iter()
    .filter_map(|path| std::fs::read_to_string(path).ok()?.trim().parse().ok())
    .min();
    share(machine, container)
}

fn share(machine: Option<u64>, container: Option<u64>) -> u64 {
    let all = machine.into_iter().chain(container).min();
    (all.unwrap_or(0) / PART).max(LEAST)
}

/// Returns the bytes that a process has in memory and that are in no file; none if that is not known.
#[must_use]
pub fn anonymous(pid: u32) -> Option<u64> {
    field(
        &std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?,
        "RssAnon:",
    )
}

/// The bytes of a line such as `MemTotal:  24624532 kB`.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_limit_is_a_part_of_the_smaller_of_machine_and_container() {
        let gib = 1 << 30;
        assert_eq!(share(Some(16 * gib), None), 4 * gib);
        assert_eq!(share(Some(16 * gib), Some(8 * gib)), 2 * gib);
        // Without a limit, a container's file has a number beyond all machines.
        assert_eq!(share(Some(16 * gib), Some(u64::MAX / 4096 * 4096)), 4 * gib);
        assert_eq!(share(Some(gib), None), LEAST);
        assert_eq!(share(None, None), LEAST);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn memory_of_this_process_is_read_from_the_system() {
        let before = anonymous(std::process::id()).unwrap();
        let taken = vec![7_u8; 64 << 20];
        let after = anonymous(std::process::id()).unwrap();
        assert!(after >= before + (60 << 20), "{before} {after} {}", taken.len());
        assert_eq!(anonymous(u32::MAX), None);
    }
}
