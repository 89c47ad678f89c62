//! What `torso doctor` says about a server's database processes, and about its data directory.

use super::{Confinement, ProcessBounds, ProcessStatus, Shared, SqldEngine};
use crate::control::findings::{Finding, Severity};
use std::time::Duration;

/// After how long a write should be visible at every replica; most are after some milliseconds.
const LONG_DELAY: Duration = Duration::from_secs(5);

impl Shared {
    /// Finds out which processes of an organization do not run, and how far processes are confined.
    pub(super) fn check_processes(&self, organization_id: &str) -> Vec<Finding> {
        let pools = self.hostnames.pools(organization_id);
        let own: Vec<_> = self
            .processes()
            .into_iter()
            .filter(|process| pools.contains(&process.label.pool))
            .collect();
        let mut findings = check_each(&own);
        findings.extend(self.disk_finding());
        let mut add = |severity, code: &str, message: String, fix: Option<&str>| {
            findings.push(finding(severity, code, message, fix));
        };
        if let Some(bounds) = self.sqld().ok().map(SqldEngine::bounds) {
            add(Severity::Ok, "process_bounds", describe_bounds(bounds), None);
        }
        match self.sqld().ok().map(SqldEngine::confinement) {
            Some(Confinement::Full) => add(
                Severity::Ok,
                "confinement",
                "database processes are confined to their own files and ports".to_owned(),
                None,
            ),
            Some(Confinement::FilesOnly) => add(
                Severity::Note,
                "confinement",
                "database processes are confined to their own files, but not to their ports".to_owned(),
                Some("run the server on Linux 6.12 or later"),
            ),
            Some(Confinement::None) => add(
                Severity::Warning,
                "confinement",
                "database processes are not confined: they can read every file that the server can".to_owned(),
                Some("run the server without --unconfined, on Linux with Landlock"),
            ),
            None => {}
        }
        if self.is_copy {
            add(
                Severity::Note,
                "copied_directory",
                "the server's data directory is a copy, or was moved: what is written here is not written to the other one"
                    .to_owned(),
                None,
            );
        }
        findings
    }
}

/// What is to be said of processes.
fn check_each(own: &[ProcessStatus]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut add = |severity, code: &str, message: String, fix: Option<&str>| {
        findings.push(finding(severity, code, message, fix));
    };
    for process in own.iter().filter(|process| !process.is_ready) {
        let cause = process.failure.as_deref().unwrap_or("is being started");
        add(
            Severity::Error,
            "process_down",
            format!("{} {cause}", process.label),
            Some("the server tries again by itself; its log has the last words of the process"),
        );
    }
    for process in own.iter().filter(|process| process.is_silent) {
        add(
            Severity::Error,
            "process_hung",
            format!("{} runs and does not answer", process.label),
            Some("the server ends it and starts it again if that goes on"),
        );
    }
    for process in own {
        let Some(delay) = process.delay.filter(|delay| *delay > LONG_DELAY) else {
            continue;
        };
        add(
            Severity::Warning,
            "replica_delay",
            format!(
                "{} shows writes {} seconds after they were made",
                process.label,
                delay.as_secs()
            ),
            Some("see what else uses the machine's processors and disk; the server's log has the rest"),
        );
    }
    if !own.is_empty() && own.iter().all(|process| process.is_ready && !process.is_silent) {
        let count = own.len();
        add(
            Severity::Ok,
            "processes",
            format!("database processes that run: {count}"),
            None,
        );
    }
    findings
}

fn finding(severity: Severity, code: &str, message: String, fix: Option<&str>) -> Finding {
    Finding {
        code: code.to_owned(),
        severity,
        message,
        fix: fix.map(str::to_owned),
    }
}

/// How much of the machine a database process may take, and who sees to that.
fn describe_bounds(bounds: ProcessBounds) -> String {
    let enforced = if bounds.control_groups {
        "its control group, which also shares the processors"
    } else {
        "SQLite's own limit and a check every 2 seconds (with a delegated control group, the kernel enforces it, too)"
    };
    format!(
        "a database process may use {} MiB of memory, enforced by {enforced}; a statement may run for {} seconds",
        bounds.memory >> 20,
        bounds.statement.as_secs()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn process_bounds_are_reported_with_what_enforces_them() {
        let bounds = ProcessBounds {
            memory: 512 << 20,
            statement: std::time::Duration::from_secs(300),
            control_groups: false,
        };
        let text = describe_bounds(bounds);
        assert!(
            text.contains("512 MiB") && text.contains("every 2 seconds") && text.contains("300 seconds"),
            "{text}"
        );
        let grouped = describe_bounds(ProcessBounds {
            control_groups: true,
            ..bounds
        });
        assert!(grouped.contains("by its control group"), "{grouped}");
    }
}
