//! Metrics of the database processes, of databases and of quotas. Every user of a server may read them, so pools and databases
//! stand there by their ids, which also stay when something is renamed. What the ids are called is in series of their own, for
//! the operator only.

use super::metrics_text::MetricKind::{self, Counter, Gauge};
use super::metrics_text::MetricsText;
use crate::control::gateway_plane::Route;
use crate::control::hosted::{BackupStatus, Confinement, Hosted, InstanceGauge, ProcessStatus, VerificationStatus};
use crate::control::node::NodePlane;
use crate::control::node_status::{NodeState, NodeStatus};
use std::collections::BTreeMap;
use std::fmt::Display;

/// A metric's value; none where it is not known.
type Reading<T> = fn(&T) -> Option<u64>;

/// Writes the state of every process, how far they are confined, the state of every instance of a database, and which
/// version this is; with names, also what databases and pools are called now. Reads files.
pub(super) fn write(text: &mut MetricsText, hosted: &Hosted, with_names: bool) {
    write_processes(text, &hosted.processes(), hosted.confinement());
    let gauges = hosted.instance_gauges();
    write_databases(text, &gauges, hosted.organizations_over_quota());
    if with_names {
        write_names(text, gauges.iter().map(|gauge| &*gauge.route));
    }
    if let Some(status) = hosted.backup_status() {
        write_backups(text, &status);
    }
    write_verification(text, &hosted.verification_status());
    write_disk(text, hosted.free_bytes());
    let nodes = hosted.node_statuses();
    write_nodes(text, &nodes);
    write_node_keys(text, &nodes);
}

/// A machine that is a location of a server, and serves clients.
pub(super) fn write_node(text: &mut MetricsText, node: &NodePlane) {
    let help = "Whether this machine is connected to its server.";
    text.single("torso_link_connected", Gauge, help, u8::from(node.is_connected()));
    if let Some(age) = node.key_age() {
        let help = "How old the keys and revoked tokens of this machine are.";
        text.single("torso_key_age_seconds", Gauge, help, age.as_secs());
    }
    let help = "Once the keys of this machine are so old, it refuses clients.";
    text.single("torso_max_key_age_seconds", Gauge, help, node.max_key_age().as_secs());
    text.single(
        "torso_served_instances",
        Gauge,
        "Instances that this machine serves.",
        node.instances(),
    );
}

/// The room on the disk of the data directory.
fn write_disk(text: &mut MetricsText, free_bytes: Option<u64>) {
    if let Some(bytes) = free_bytes {
        let help = "Bytes that are free on the disk of the data directory.";
        text.single("torso_free_bytes", Gauge, help, bytes);
    }
}

/// Locations on other machines.
fn write_nodes(text: &mut MetricsText, nodes: &[NodeStatus]) {
    let name = "torso_node_connected";
    text.begin(
        name,
        Gauge,
        "Whether the machine of a location was heard of in the last seconds.",
    );
    for node in nodes {
        let connected = u8::from(node.state == NodeState::Connected);
        text.push(name, &[("location", &node.location)], connected);
    }
    let name = "torso_node_last_contact_seconds";
    let help = "When it was last heard of, in seconds since 1970; absent if not since the server's start.";
    text.begin(name, Gauge, help);
    for node in nodes {
        if let Some(at) = node.last_contact_at {
            text.push(name, &[("location", &node.location)], at.as_second());
        }
    }
    let name = "torso_node_free_bytes";
    text.begin(name, Gauge, "Bytes that are free on its disk, as it said last.");
    for node in nodes {
        if let Some(bytes) = node.free_bytes {
            text.push(name, &[("location", &node.location)], bytes);
        }
    }
}

/// Whether machines of locations know who may open what.
fn write_node_keys(text: &mut MetricsText, nodes: &[NodeStatus]) {
    let name = "torso_node_keys_confirmed_seconds";
    let help = "When it last had the keys and revoked tokens of then, in seconds since 1970; absent where it serves no clients.";
    text.begin(name, Gauge, help);
    for node in nodes {
        if let Some(at) = node.keys_confirmed_at {
            text.push(name, &[("location", &node.location)], at.as_second());
        }
    }
}

/// Comparisons of replicas with their primaries.
fn write_verification(text: &mut MetricsText, status: &VerificationStatus) {
    let name = "torso_verify_last_seconds";
    let help = "When the instances of a database were last compared, in seconds since 1970; absent before.";
    text.begin(name, Gauge, help);
    for (id, known) in &status.databases {
        if let Some(at) = known.at {
            text.push(name, &[("database", id)], at.as_second());
        }
    }
    let name = "torso_differing_replicas";
    let help = "Replicas of a database that differed from its primary when they were last compared.";
    text.begin(name, Gauge, help);
    for (id, known) in &status.databases {
        text.push(name, &[("database", id)], known.differing.len());
    }
    let help = "Databases whose instances could not be compared when that was last tried.";
    let failing = status.databases.values().filter(|known| known.failure.is_some());
    text.single("torso_verify_failing_databases", Gauge, help, failing.count());
    let help = "How often the instances of a database could not be compared.";
    text.single("torso_verify_failures_total", Counter, help, status.failures);
}

/// Writes a series for each database and for each pool, whose labels are its names.
fn write_names<'r>(text: &mut MetricsText, routes: impl Iterator<Item = &'r Route>) {
    let (mut databases, mut pools) = (BTreeMap::new(), BTreeMap::new());
    for route in routes {
        databases.insert(route.id.as_str(), route);
        if let Some(pool) = route.pool() {
            pools.insert(pool, route);
        }
    }
    let name = "torso_database_info";
    text.begin(name, Gauge, "What a database is called now.");
    for (id, route) in databases {
        let labels: [(&str, &dyn Display); 4] = [
            ("database", &id),
            ("name", &route.database),
            ("organization", &route.organization),
            ("group", &route.group),
        ];
        text.push(name, &labels, 1);
    }
    let name = "torso_pool_info";
    text.begin(name, Gauge, "Which group a pool of database processes is of.");
    for (pool, route) in pools {
        let labels: [(&str, &dyn Display); 3] = [
            ("pool", &pool),
            ("organization", &route.organization),
            ("group", &route.group),
        ];
        text.push(name, &labels, 1);
    }
}

/// Backups, where the server makes any.
fn write_backups(text: &mut MetricsText, status: &BackupStatus) {
    let server = &status.server;
    let last = server.last_success.map_or(0, |at| at.as_second());
    let help = "When the last backup of the server was made, in seconds since 1970; 0 if never.";
    text.single("torso_backup_last_success_seconds", Gauge, help, last);
    let help = "Whether the last backup of the server that was tried failed.";
    text.single("torso_backup_failing", Gauge, help, u8::from(server.failure.is_some()));
    let all = || std::iter::once(server).chain(status.groups.values());
    let help = "Backups of the server and of its groups that failed since the start.";
    let failures: u64 = all().map(|schedule| schedule.failures).sum();
    text.single("torso_backup_failures_total", Counter, help, failures);
    let help = "Databases in the last backup of the server.";
    text.single("torso_backup_databases", Gauge, help, server.databases);
    let help = "Databases that could not be copied for it.";
    text.single("torso_backup_skipped_databases", Gauge, help, server.skipped);
    let help = "Bytes that it stored.";
    text.single("torso_backup_stored_bytes", Gauge, help, server.stored_bytes);
    let help = "How long it took.";
    text.single("torso_backup_duration_seconds", Gauge, help, server.seconds);
    let help = "Groups with a schedule of their own whose last backup that was tried failed.";
    let failing = status.groups.values().filter(|schedule| schedule.failure.is_some());
    text.single("torso_group_backups_failing", Gauge, help, failing.count());
    let name = "torso_database_last_backup_seconds";
    let help = "When the content of a database was last found to be in a backup, in seconds since 1970.";
    text.begin(name, Gauge, help);
    let databases: BTreeMap<_, _> = status.databases.iter().collect();
    for (id, backup) in databases {
        text.push(name, &[("database", id)], backup.at.as_second());
    }
}

fn write_databases(text: &mut MetricsText, all: &[InstanceGauge], over_quota: usize) {
    let each: [(&str, &str, Reading<InstanceGauge>); 4] = [
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
        (
            "torso_database_at_risk_frames",
            "Frames of a primary's log that no replica has; absent without replicas, and while that is not known.",
            |gauge| gauge.at_risk_frames,
        ),
        (
            "torso_instance_connections",
            "Open streams and sockets of clients at an instance; absent without any.",
            |gauge| (gauge.connections > 0).then_some(gauge.connections),
        ),
    ];
    for (name, help, value) in each {
        text.begin(name, Gauge, help);
        for gauge in all {
            let Some(value) = value(gauge) else { continue };
            let (id, location) = (gauge.route.id.as_str(), &gauge.route.location);
            text.push(name, &[("database", &id), ("location", location)], value);
        }
    }
    let name = "torso_replica_lag_seconds";
    let help = "How long a replica has not had all that its primary has, at most; absent while that is not known.";
    text.begin(name, Gauge, help);
    for gauge in all {
        let Some(ms) = gauge.lag_ms else { continue };
        let (id, location) = (gauge.route.id.as_str(), &gauge.route.location);
        let seconds = format!("{}.{:03}", ms / 1000, ms % 1000);
        text.push(name, &[("database", &id), ("location", location)], seconds);
    }
    let help = "Organizations that store more than their quota, whose writes are refused.";
    text.single("torso_organizations_over_quota", Gauge, help, over_quota);
}

fn write_processes(text: &mut MetricsText, processes: &[ProcessStatus], confinement: Option<Confinement>) {
    let name = "torso_build_info";
    text.begin(name, Gauge, "The version of torso.");
    text.push(name, &[("version", &env!("CARGO_PKG_VERSION"))], 1);
    let each: [(&str, MetricKind, &str, Reading<ProcessStatus>); 4] = [
        (
            "torso_process_up",
            Gauge,
            "Whether a database process that is wanted runs.",
            |process| Some(u64::from(process.is_ready)),
        ),
        (
            "torso_process_hung",
            Gauge,
            "Whether a database process runs and does not answer.",
            |process| Some(u64::from(process.is_silent)),
        ),
        (
            "torso_process_failures_total",
            Counter,
            "How often a database process ended by itself or did not start, and was started again.",
            |process| Some(process.failures),
        ),
        (
            "torso_process_memory_bytes",
            Gauge,
            "Memory of a database process, without that of files.",
            |process| process.memory,
        ),
    ];
    for (name, kind, help, value) in each {
        text.begin(name, kind, help);
        for process in processes {
            if let Some(value) = value(process) {
                push_of_process(text, name, process, value);
            }
        }
    }
    let name = "torso_replica_visible_seconds";
    let help = "How long a write takes until it is visible at a replica's process, as last measured; at least so long, while one is not.";
    text.begin(name, Gauge, help);
    for process in processes {
        if let Some(delay) = process.delay {
            push_of_process(text, name, process, format!("{:.6}", delay.as_secs_f64()));
        }
    }
    if let Some(confinement) = confinement {
        let name = "torso_processes_confined";
        text.begin(name, Gauge, "Whether database processes see no files but their own.");
        let is_confined = u8::from(confinement != Confinement::None);
        text.push(name, &[("level", &confinement.name())], is_confined);
    }
}

/// Writes a value of a process, whose labels are where it is and what it serves.
fn push_of_process(text: &mut MetricsText, name: &str, process: &ProcessStatus, value: impl Display) {
    let label = &process.label;
    let mut labels: Vec<(&str, &dyn Display)> = vec![
        ("location", &label.location),
        ("role", &label.role),
        ("pool", &label.pool),
    ];
    labels.extend(label.database.iter().map(|only| ("database", &only.id as &dyn Display)));
    text.push(name, &labels, value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::hosted::{OnlyDatabase, ProcessLabel};
    use std::time::Duration;

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
            is_silent: location == "ams",
            delay: is_ready.then_some(Duration::from_micros(2_500)),
            pid: None,
            memory: is_ready.then_some(4096),
            failures,
            failure: None,
        };
        let mut text = MetricsText::default();
        let processes = [process("ams", true, 0), process("lhr", false, 3)];
        write_processes(&mut text, &processes, Some(Confinement::None));
        let text = text.into_string();
        for line in [
            "torso_process_up{location=\"ams\",role=\"replica\",pool=\"p-ams\"} 1",
            "torso_process_up{location=\"lhr\",role=\"replica\",pool=\"p-ams\",database=\"0f\"} 0",
            "torso_process_hung{location=\"ams\",role=\"replica\",pool=\"p-ams\"} 1",
            "torso_process_hung{location=\"lhr\",role=\"replica\",pool=\"p-ams\",database=\"0f\"} 0",
            "torso_process_failures_total{location=\"lhr\",role=\"replica\",pool=\"p-ams\",database=\"0f\"} 3",
            "torso_process_memory_bytes{location=\"ams\",role=\"replica\",pool=\"p-ams\"} 4096",
            "torso_processes_confined{level=\"none\"} 0",
            "torso_replica_visible_seconds{location=\"ams\",role=\"replica\",pool=\"p-ams\"} 0.002500",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
