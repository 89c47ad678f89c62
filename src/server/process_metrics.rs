//! Metrics of the database processes, of databases and of quotas, in Prometheus' text format. They tell no names: every
//! user of a server may read them, so pools and databases are told by their ids.

use crate::control::hosted::{Confinement, Hosted, InstanceGauge, ProcessStatus};
use std::fmt::Write as _;

/// A metric's value; none where it is not known.
type Reading<T> = fn(&T) -> Option<u64>;

/// Returns the state of every process, how far they are confined, the state of every instance of a database, and which
/// version this is. Reads files.
pub(super) fn text(hosted: &Hosted) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write_processes(&mut text, &hosted.processes(), hosted.confinement());
    let _ = write_databases(&mut text, &hosted.instance_gauges(), hosted.organizations_over_quota());
    text
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) -> std::fmt::Result {
    writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}")
}

fn write_databases(text: &mut String, all: &[InstanceGauge], over_quota: usize) -> std::fmt::Result {
    let each: [(&str, &str, Reading<InstanceGauge>); 2] = [
        (
            "torso_database_bytes",
            "Bytes on disk of an instance of a database.",
            |gauge| Some(gauge.bytes),
        ),
        (
            "torso_replica_lag_frames",
            "Frames of its primary's log that a replica lacks; absent while that is not known.",
            |gauge| gauge.lag_frames,
        ),
    ];
    for (name, help, value) in each {
        head(text, name, "gauge", help)?;
        for gauge in all {
            let Some(value) = value(gauge) else { continue };
            let (id, location) = (gauge.route.id.as_str(), &gauge.route.location);
            writeln!(text, "{name}{{database=\"{id}\",location=\"{location}\"}} {value}")?;
        }
    }
    let name = "torso_organizations_over_quota";
    head(
        text,
        name,
        "gauge",
        "Organizations that store more than their quota, whose writes are refused.",
    )?;
    writeln!(text, "{name} {over_quota}")?;
    Ok(())
}

fn write_processes(
    text: &mut String,
    processes: &[ProcessStatus],
    confinement: Option<Confinement>,
) -> std::fmt::Result {
    head(text, "torso_build_info", "gauge", "The version of torso.")?;
    writeln!(text, "torso_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"))?;
    let each: [(&str, &str, &str, Reading<ProcessStatus>); 3] = [
        (
            "torso_process_up",
            "gauge",
            "Whether a database process that is wanted runs.",
            |process| Some(u64::from(process.is_ready)),
        ),
        (
            "torso_process_failures_total",
            "counter",
            "How often a database process ended by itself or did not start, and was started again.",
            |process| Some(process.failures),
        ),
        (
            "torso_process_memory_bytes",
            "gauge",
            "Memory of a database process, without that of files.",
            |process| process.memory,
        ),
    ];
    for (name, kind, help, value) in each {
        head(text, name, kind, help)?;
        for process in processes {
            let Some(value) = value(process) else { continue };
            let label = &process.label;
            // Codes and ids need no escapes.
            let database = label.database.as_ref();
            let database = database.map_or_else(String::new, |database| format!(",database=\"{}\"", database.id));
            writeln!(
                text,
                "{name}{{location=\"{}\",role=\"{}\",pool=\"{}\"{database}}} {value}",
                label.location, label.role, label.pool,
            )?;
        }
    }
    if let Some(confinement) = confinement {
        let name = "torso_processes_confined";
        head(
            text,
            name,
            "gauge",
            "Whether database processes see no files but their own.",
        )?;
        writeln!(
            text,
            "{name}{{level=\"{}\"}} {}",
            confinement.name(),
            u8::from(confinement != Confinement::None)
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::hosted::{OnlyDatabase, ProcessLabel};

    #[test]
    fn process_metrics_tell_what_runs_and_what_does_not() {
        let process = |location: &str, is_ready, failures| ProcessStatus {
            label: ProcessLabel {
                location: location.to_owned(),
                group: "default".to_owned(),
                database: (location == "lhr").then(|| OnlyDatabase {
                    id: "0f".to_owned(),
                    name: "app".to_owned(),
                }),
                pool: "p-ams".to_owned(),
                role: "replica",
            },
            is_ready,
            pid: None,
            memory: is_ready.then_some(4096),
            failures,
            failure: None,
        };
        let mut text = String::new();
        let processes = [process("ams", true, 0), process("lhr", false, 3)];
        write_processes(&mut text, &processes, Some(Confinement::None)).unwrap();
        for line in [
            "torso_process_up{location=\"ams\",role=\"replica\",pool=\"p-ams\"} 1",
            "torso_process_up{location=\"lhr\",role=\"replica\",pool=\"p-ams\",database=\"0f\"} 0",
            "torso_process_failures_total{location=\"lhr\",role=\"replica\",pool=\"p-ams\",database=\"0f\"} 3",
            "torso_process_memory_bytes{location=\"ams\",role=\"replica\",pool=\"p-ams\"} 4096",
            "torso_processes_confined{level=\"none\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
