//! What a location on another machine is to run, and what it says that it runs, as both are sent: the whole state each time.

use crate::engine::{Frame, Site};
use crate::error::{Code, Error, Result as TorsoResult};
use crate::secret::Secret;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::{BTreeMap, BTreeSet};

/// All that a location is to run. What is not in it, is not wanted there, if it is not partial.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WantedState {
    /// Higher after each change.
    pub generation: u64,
    /// The server does not know all of it now. What is not in it stays as it is then.
    #[serde(default)]
    pub is_partial: bool,
    /// By name.
    pub pools: BTreeMap<String, WantedPool>,
}

/// The replicas of a pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedPool {
    /// The organization's id.
    pub organization: String,
    /// The name of its group, for messages.
    pub group: String,
    /// The location of the primaries.
    pub primary: String,
    /// The highest epoch of its instances: a stream for an older one is refused.
    pub epoch: u64,
    pub keys: ReplicaKeys,
    /// By name (see [`Site::instance`](crate::engine::Site::instance)).
    pub instances: BTreeMap<String, WantedInstance>,
}

/// What a replica proves itself with to the primary of its pool, and knows it by. In PEM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaKeys {
    pub authority: String,
    pub certificate: String,
    pub key: Secret,
}

/// A replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedInstance {
    /// The database's name, for messages.
    pub database: String,
}

/// The way to a primary on another machine, for the replicas of its pool here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemotePrimary {
    /// The primary's location.
    pub location: String,
    /// The port of this machine that leads to it.
    pub port: u16,
    pub keys: ReplicaKeys,
}

/// A replica that is wanted somewhere.
#[derive(Debug, Clone)]
pub struct ReplicaSite {
    /// The id of its organization.
    pub organization: String,
    pub site: Site,
    pub primary: Site,
}

impl WantedState {
    /// What a location is to run of all replicas that are wanted, whatever their locations. `keys` are those of a pool.
    pub fn of(
        location: &str,
        replicas: &[ReplicaSite],
        keys: &dyn Fn(&str) -> TorsoResult<ReplicaKeys>,
    ) -> TorsoResult<Self> {
        let mut pools: BTreeMap<String, WantedPool> = BTreeMap::new();
        for replica in replicas.iter().filter(|replica| replica.site.location == location) {
            let Some(name) = &replica.site.pool else { continue };
            if !pools.contains_key(name) {
                let pool = WantedPool {
                    organization: replica.organization.clone(),
                    group: replica.site.group.clone().unwrap_or_default(),
                    primary: replica.primary.location.clone(),
                    epoch: 0,
                    keys: keys(name)?,
                    instances: BTreeMap::new(),
                };
                pools.insert(name.clone(), pool);
            }
            if let Some(pool) = pools.get_mut(name) {
                pool.epoch = pool.epoch.max(replica.site.epoch);
                let database = replica.site.database_name().to_owned();
                pool.instances
                    .insert(replica.site.instance(), WantedInstance { database });
            }
        }
        Ok(Self {
            generation: 0,
            is_partial: false,
            pools,
        })
    }

    /// Fails unless every name in it can be the name of a directory of this machine: it comes from another one.
    pub fn check_names(&self) -> TorsoResult<()> {
        for (pool, wanted) in &self.pools {
            std::iter::once(pool)
                .chain(wanted.instances.keys())
                .try_for_each(|name| check_name(name))?;
        }
        Ok(())
    }

    /// Whether it has the same content as another one, whatever the generations.
    #[must_use]
    pub fn equals(&self, other: &Self) -> bool {
        (self.is_partial, &self.pools) == (other.is_partial, &other.pools)
    }
}

/// Pools and instances are named by ids, location codes and epochs.
fn check_name(name: &str) -> TorsoResult<()> {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || name.len() > 128 || name.starts_with('-') || !name.bytes().all(is_allowed) {
        return Err(Error::new(
            Code::InvalidName,
            format!("{name:?} can name neither a pool nor an instance"),
        )
        .hint("install the same version of torso on all machines"));
    }
    Ok(())
}

/// What a location on another machine says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NodeReport {
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
}

/// Bytes and numbers that no machine has: sums of such are numbers still.
const MOST: u64 = 1 << 48;

/// Characters of a version.
const VERSION: usize = 32;

/// What is said of a replica that its machine cannot run, in the place of its own words: these may have paths of that machine, and are
/// read by whoever has a database.
const FAILURE: &str = "its machine cannot run it: the log of torso node there has the reason";

impl NodeReport {
    /// Without what its reader has no use for: instances that are not `known`, texts of the machine's own, and absurd numbers.
    #[must_use]
    pub fn bounded(mut self, known: &BTreeSet<String>) -> Self {
        self.instances.retain(|name, _| known.contains(name));
        for instance in self.instances.values_mut() {
            instance.pool.clear();
            instance.size = instance.size.min(MOST);
            instance.failures = instance.failures.min(MOST);
            instance.failure = instance.failure.take().map(|_| FAILURE.to_owned());
        }
        self.free_bytes = self.free_bytes.map(|bytes| bytes.min(MOST));
        for version in [&mut self.version, &mut self.engine_version] {
            let is_usual = |c: &char| c.is_ascii_alphanumeric() || ".-+".contains(*c);
            *version = version.chars().filter(is_usual).take(VERSION).collect();
        }
        self
    }
}

/// The state of a replica on another machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceReport {
    pub pool: String,
    /// Where it is in its primary's log; none while that is not known.
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
}

#[cfg(test)]
mod tests {
    use super::*;

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
        };
        let report = NodeReport {
            version: "1.2.3-rc.1+b\u{1b}[2J ".repeat(100),
            engine_version: "0.24.33".to_owned(),
            generation: 3,
            free_bytes: Some(u64::MAX),
            instances: ["0a", "0b"].map(|name| (name.to_owned(), instance.clone())).into(),
        };
        let bounded = report.bounded(&BTreeSet::from(["0a".to_owned(), "0c".to_owned()]));
        assert_eq!(bounded.instances.keys().collect::<Vec<_>>(), ["0a"]);
        let instance = &bounded.instances["0a"];
        assert_eq!(instance.failure.as_deref(), Some(FAILURE));
        assert!(instance.size.checked_add(bounded.free_bytes.unwrap()).is_some());
        assert!(instance.failures <= MOST && instance.pool.is_empty());
        assert_eq!(bounded.version.len(), VERSION);
        assert!(bounded.version.starts_with("1.2.3-rc.1+b2J1"));
        assert_eq!(bounded.engine_version, "0.24.33");
    }

    fn replica(location: &str, pool: &str, id: &str, epoch: u64) -> ReplicaSite {
        let site = |location: &str| Site {
            location: location.to_owned(),
            dir: location.into(),
            external: false,
            pool: Some(pool.to_owned()),
            id: id.to_owned(),
            epoch,
            database: Some(format!("db-{id}")),
            group: Some("default".to_owned()),
        };
        ReplicaSite {
            organization: "o1".to_owned(),
            site: site(location),
            primary: site("ams"),
        }
    }

    fn keys(pool: &str) -> TorsoResult<ReplicaKeys> {
        Ok(ReplicaKeys {
            authority: pool.to_owned(),
            certificate: String::new(),
            key: Secret::new(String::new()),
        })
    }

    #[test]
    fn wanted_state_is_what_is_wanted_at_its_location_whatever_the_order() {
        let mut all = vec![
            replica("lhr", "p-ams", "0a", 1),
            replica("fra", "p-ams", "0a", 1),
            replica("lhr", "p-ams", "0b", 3),
            replica("lhr", "q-ams", "0c", 2),
        ];
        let state = WantedState::of("lhr", &all, &keys).unwrap();
        assert_eq!(state.pools.keys().collect::<Vec<_>>(), ["p-ams", "q-ams"]);
        let pool = &state.pools["p-ams"];
        assert_eq!((pool.primary.as_str(), pool.keys.authority.as_str()), ("ams", "p-ams"));
        assert_eq!(pool.epoch, 3, "the highest of its instances");
        assert_eq!(pool.instances.keys().collect::<Vec<_>>(), ["0a", "0b-epoch3"]);
        all.reverse();
        assert!(state.equals(&WantedState::of("lhr", &all, &keys).unwrap()));
        all.pop();
        assert!(!state.equals(&WantedState::of("lhr", &all, &keys).unwrap()));
        assert!(WantedState::of("iad", &all, &keys).unwrap().pools.is_empty());
    }

    #[test]
    fn wanted_state_with_a_name_that_leads_elsewhere_is_refused() {
        let state = |pool: &str, id: &str| WantedState::of("lhr", &[replica("lhr", pool, id, 1)], &keys).unwrap();
        state("0a-ams", "0b").check_names().unwrap();
        let long = "a".repeat(129);
        for name in [
            "../x",
            "/tmp/x",
            "..",
            ".",
            "",
            "a/b",
            "-x",
            "a b",
            "A",
            "a\0",
            long.as_str(),
        ] {
            assert!(state(name, "0b").check_names().is_err(), "{name:?}");
            assert!(state("0a-ams", name).check_names().is_err(), "{name:?}");
        }
    }

    #[test]
    fn wanted_state_without_keys_is_none_at_all() {
        let no_keys = |_: &str| Err(crate::error::Error::new(crate::error::Code::Internal, "no keys"));
        assert!(WantedState::of("lhr", &[replica("lhr", "p-ams", "0a", 1)], &no_keys).is_err());
    }
}
