//! What is seen of replicas: how long writes take to them by the canary, which nobody else sees, who uses them, and what their
//! processes are like.

use super::{Door, pipeline};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use torso::control::findings::Severity;
use torso::control::location_status::LocationStatus;
use torso::control::types::{DatabaseFilter, Instance, InstanceState};

impl Door {
    fn instances(&self, name: &str) -> Vec<Instance> {
        let owner = self.owner();
        let plane = self.hosted.plane(&owner, None).unwrap();
        plane.list_instances(&name.parse().unwrap()).unwrap()
    }

    fn instance(&self, name: &str, location: &str) -> Instance {
        let all = self.instances(name).into_iter();
        all.into_iter()
            .find(|instance| instance.location.as_str() == location)
            .unwrap()
    }

    fn location_status(&self) -> Vec<LocationStatus> {
        let owner = self.owner();
        let plane = self.hosted.plane(&owner, None).unwrap();
        plane.location_status(None).unwrap()
    }

    /// The directories of canaries, by the names of the locations that their processes are at.
    fn canaries(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut folders = vec![self.dir.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.ends_with("torso-canary") {
                    let location = path.ancestors().nth(4).and_then(|dir| dir.file_name());
                    found.push(location.unwrap().to_string_lossy().into_owned());
                } else if path.is_dir() && !path.is_symlink() {
                    folders.push(path);
                }
            }
        }
        found.sort();
        found
    }

    /// The directories of processes at a location.
    fn process_dirs(&self, location: &str) -> Vec<PathBuf> {
        let home = self.dir.path().join("data/organizations");
        let mut found = Vec::new();
        for organization in std::fs::read_dir(home).unwrap().flatten() {
            let location = organization.path().join("locations").join(location);
            found.extend(
                std::fs::read_dir(location)
                    .into_iter()
                    .flatten()
                    .flatten()
                    .map(|entry| entry.path()),
            );
        }
        found.retain(|path| path.join("role.json").exists());
        found
    }
}

/// Waits for a state; whoever is asked may not answer meanwhile.
#[track_caller]
fn await_state(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(90);
    while !is_so() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn canary_measures_each_replica_and_is_seen_by_nobody() {
    let door = Door::new();
    for name in ["app", "shop", "blog"] {
        let token = door.create(name);
        door.replicate(name, "lhr");
        door.run(&format!("{name}-alice"), &token, "create table t (x)").fine();
    }
    await_state("the canary was not measured", || {
        door.instance("app", "lhr").visible_after_ms.is_some()
    });
    for name in ["app", "shop", "blog"] {
        assert!(door.instance(name, "lhr").visible_after_ms.is_some());
        assert_eq!(
            door.instance(name, "ams").visible_after_ms,
            None,
            "a primary shows its own writes at once"
        );
    }
    let status = door.location_status();
    let delays: Vec<_> = status.iter().map(|status| status.visible_after_ms.is_some()).collect();
    assert_eq!(delays, [false, true], "{status:?}");
    assert!(door.hosted.processes().iter().any(|process| process.delay.is_some()));
    // One for each process, not for each database.
    assert_eq!(door.canaries(), ["ams", "lhr"]);
    let owner = door.owner();
    let plane = door.hosted.plane(&owner, None).unwrap();
    assert_eq!(plane.list_databases(&DatabaseFilter::default()).unwrap().len(), 3);
    assert_eq!(door.hosted.instance_gauges().len(), 6);
    let findings = plane.check(false).unwrap();
    let faults: Vec<_> = findings
        .iter()
        .filter(|finding| finding.severity > Severity::Note || finding.message.contains("canary"))
        .collect();
    assert!(faults.is_empty(), "{faults:?}");
    // It is measured at the replicas of a new primary, too.
    door.promote("app", "lhr");
    await_state("the canary was not measured after a promotion", || {
        door.instance("app", "ams").visible_after_ms.is_some()
    });
    for name in ["app", "shop", "blog"] {
        plane.delete_database(&name.parse().unwrap()).unwrap();
    }
    await_state("processes are left for canaries", || {
        door.process_dirs("ams").is_empty() && door.process_dirs("lhr").is_empty()
    });
}

#[test]
fn instance_connections_are_counted_where_clients_are() {
    let door = Door::new();
    let token = door.create("app");
    door.replicate("app", "lhr");
    let connections = || {
        let all = door.instances("app").into_iter();
        all.map(|instance| instance.connections.unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(connections(), [0, 0]);
    let begin = json!({ "requests": [{ "type": "execute", "stmt": { "sql": "select 1" } }] });
    let open = |label: &str| {
        let answer = door.json(label, "/v2/pipeline", &token, &begin);
        answer.json()["baton"].as_str().unwrap().to_owned()
    };
    let at_replica = open("app-alice--lhr");
    assert_eq!(connections(), [0, 1]);
    let at_primary = open("app-alice");
    assert_eq!(connections(), [1, 1]);
    let counted: Vec<_> = door.location_status().iter().map(|status| status.connections).collect();
    assert_eq!(counted, [Some(1), Some(1)]);
    for (label, baton) in [("app-alice--lhr", at_replica), ("app-alice", at_primary)] {
        let close = json!({ "baton": baton, "requests": [{ "type": "close" }] });
        assert_eq!(door.json(label, "/v2/pipeline", &token, &close).status, 200);
    }
    assert_eq!(connections(), [0, 0]);
}

#[test]
fn replica_state_tells_a_process_that_hangs_from_one_that_is_down() {
    let door = Door::new();
    let token = door.create("app");
    door.replicate("app", "lhr");
    door.run("app-alice", &token, "create table t (x)").fine();
    await_state("the replica is not ready", || {
        door.instance("app", "lhr").state == InstanceState::Ready
    });
    for pid in door.processes("lhr") {
        kill(Pid::from_raw(pid), Signal::SIGSTOP).unwrap();
    }
    await_state("the replica is not called hung", || {
        door.instance("app", "lhr").state == InstanceState::Hung
    });
    // The watchdog ends it, and it is started again.
    await_state("the replica did not come back", || {
        let replica = door.instance("app", "lhr");
        let cause = replica.last_error.unwrap_or_default();
        replica.state == InstanceState::Ready && replica.restarts > Some(0) && cause.contains("did not answer")
    });
    door.run("app-alice", &token, "insert into t values (1)").fine();
    let read = pipeline("select count(*) from t");
    await_state("the replica does not follow", || {
        door.json("app-alice--lhr", "/v2/pipeline", &token, &read)
            .text()
            .contains("\"value\":\"1\"")
    });
}
