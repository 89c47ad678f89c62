//! What a location on another machine says that it runs, as that is sent: the whole state each time.

use super::ReplicaKeys;
use crate::engine::{Damage, DatabaseLimits, Frame};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::{BTreeMap, BTreeSet};

/// What a location on another machine says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NodeReport {
    /// Its place among all reports of its machine.
    #[serde(default)]
    pub order: ReportOrder,
    /// Of torso, and of libSQL server.
    pub version: String,
    pub engine_version: String,
    /// The wanted state that it has reached, as far as it can; 0 for none.
    pub generation: u64,
    /// Bytes that are free on its disk, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_bytes: Option<u64>,
    /// By name.
    pub instances: BTreeMap<String, InstanceReport>,
    /// What replicas need to follow the primaries here, by pool.
    #[serde(default)]
    pub keys: BTreeMap<String, ReplicaKeys>,
    /// The pools without primaries yet whose processes run.
    #[serde(default)]
    pub prepared: BTreeSet<String>,
}

/// Where a report stands among those of one run of a machine's torso.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ReportOrder {
    /// A number by chance, another one in each run.
    pub run: u64,
    /// Rises with each report of the run; taken before anything that is in the report is read.
    pub number: u64,
}

impl ReportOrder {
    /// Whether a report is older than another one, as far as that can be told.
    #[must_use]
    pub fn is_before(self, other: Self) -> bool {
        self.run == other.run && self.number < other.number
    }
}

/// Bytes and numbers that no machine has: sums of such are numbers still.
const MOST: u64 = 1 << 48;

/// Characters of a version.
const VERSION: usize = 32;

/// What is said of a replica that its machine cannot run, in the place of its own words: these may have paths of that machine, and are
/// read by whoever has a database.
const FAILURE: &str = "its machine cannot run it: the log of torso node there has the reason";

impl NodeReport {
    /// Without what its reader has no use for: instances that are not `known`, keys of pools that are not `primaries`, texts of the
    /// machine's own, and absurd numbers.
    #[must_use]
    pub fn bounded(mut self, known: &BTreeSet<String>, primaries: &BTreeSet<String>) -> Self {
        self.keys.retain(|pool, _| primaries.contains(pool));
        self.instances.retain(|name, _| known.contains(name));
        for instance in self.instances.values_mut() {
            instance.pool.clear();
            instance.size = instance.size.min(MOST);
            instance.failures = instance.failures.min(MOST);
            instance.failure = instance.failure.take().map(|_| FAILURE.to_owned());
            let reason = |damage: Damage| Damage {
                reason: if damage.missing { "is missing" } else { "is damaged" }.to_owned(),
                ..damage
            };
            instance.damage = instance.damage.take().map(reason);
        }
        self.free_bytes = self.free_bytes.map(|bytes| bytes.min(MOST));
        for version in [&mut self.version, &mut self.engine_version] {
            let is_usual = |c: &char| c.is_ascii_alphanumeric() || ".-+".contains(*c);
            *version = version.chars().filter(is_usual).take(VERSION).collect();
        }
        self
    }
}

/// The state of an instance on another machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceReport {
    pub pool: String,
    /// Where it is in its primary's log, or where the primary's own log ends; none while that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<ReportedPosition>,
    /// When that was reached, in nanoseconds since 1970.
    pub changed_ns: i64,
    pub size: u64,
    pub serving: bool,
    pub is_silent: bool,
    /// How often its process has ended by itself, or did not start; and why, the last time.
    pub failures: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Of a primary: the limits in force on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<DatabaseLimits>,
    /// Set if its file is not what it was left as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damage: Option<Damage>,
    /// Of a primary that is to be moved: the number of the block since which its writes are refused, and none is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked: Option<u64>,
}

/// A [`Frame`] in JSON, which has no numbers of 128 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportedPosition(pub Frame);

#[derive(Serialize, Deserialize)]
struct PositionFields {
    log: String,
    count: u64,
}

impl Serialize for ReportedPosition {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let log = format!("{:032x}", self.0.log);
        let count = self.0.count;
        PositionFields { log, count }.serialize(to)
    }
}

impl<'de> Deserialize<'de> for ReportedPosition {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let PositionFields { log, count } = PositionFields::deserialize(from)?;
        let log = u128::from_str_radix(&log, 16).map_err(serde::de::Error::custom)?;
        Ok(Self(Frame { log, count }))
    }
}

/// What a report is answered with.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ReportAnswer {
    /// Where the primaries' logs end of those instances that were not there when they reported, by name. Nothing of pools whose primary
    /// does not run now.
    pub behind: BTreeMap<String, ReportedPosition>,
    /// The instances that had everything.
    #[serde(default)]
    pub level: BTreeSet<String>,
    /// Somebody waits for the next report.
    #[serde(default)]
    pub is_hurry: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn known_keys(pool: &str) -> ReplicaKeys {
        ReplicaKeys {
            authority: pool.to_owned(),
            certificate: String::new(),
            key: Secret::new(String::new()),
        }
    }

    #[test]
    fn reported_position_keeps_all_digits_of_a_log() {
        for log in [0, 7, u128::MAX - 1] {
            let position = ReportedPosition(Frame { log, count: 41 });
            let text = serde_json::to_string(&position).unwrap();
            assert_eq!(serde_json::from_str::<ReportedPosition>(&text).unwrap(), position);
        }
        assert!(serde_json::from_str::<ReportedPosition>(r#"{"log":"x","count":1}"#).is_err());
    }

    #[test]
    fn node_report_is_bounded_to_what_is_known_and_sane() {
        let instance = InstanceReport {
            pool: "x".repeat(1_000),
            position: None,
            changed_ns: 7,
            size: u64::MAX,
            serving: true,
            is_silent: false,
            failures: u64::MAX,
            failure: Some("cannot write /home/torso/replicas/p: no space\n\u{1b}[2J".to_owned()),
            limits: None,
            damage: Some(Damage::damaged("is no database: /home/torso/replicas/p")),
            blocked: None,
        };
        let report = NodeReport {
            order: ReportOrder::default(),
            version: "1.2.3-rc.1+b\u{1b}[2J ".repeat(100),
            engine_version: "0.24.33".to_owned(),
            generation: 3,
            free_bytes: Some(u64::MAX),
            instances: ["0a", "0b"].map(|name| (name.to_owned(), instance.clone())).into(),
            keys: ["p-lhr", "q-lhr"]
                .map(|pool| (pool.to_owned(), known_keys(pool)))
                .into(),
            prepared: BTreeSet::new(),
        };
        let known = BTreeSet::from(["0a".to_owned(), "0c".to_owned()]);
        let bounded = report.bounded(&known, &BTreeSet::from(["q-lhr".to_owned()]));
        assert_eq!(bounded.keys.keys().collect::<Vec<_>>(), ["q-lhr"]);
        assert_eq!(bounded.instances.keys().collect::<Vec<_>>(), ["0a"]);
        let instance = &bounded.instances["0a"];
        assert_eq!(instance.failure.as_deref(), Some(FAILURE));
        assert_eq!(instance.damage, Some(Damage::damaged("is damaged")));
        assert!(instance.size.checked_add(bounded.free_bytes.unwrap()).is_some());
        assert!(instance.failures <= MOST && instance.pool.is_empty());
        assert_eq!(bounded.version.len(), VERSION);
        assert!(bounded.version.starts_with("1.2.3-rc.1+b2J1"));
        assert_eq!(bounded.engine_version, "0.24.33");
    }
}
