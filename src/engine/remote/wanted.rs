//! What a location on another machine is to run, as that is sent: the whole state each time.

use crate::engine::{DatabaseLimits, Site};
use crate::error::{Code, Error, Result};
use crate::secret::Secret;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// All that a location is to run. What is not in it, is not wanted there, if it is not partial.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WantedState {
    /// Higher after each change.
    pub generation: u64,
    /// The server does not know all of it now. What is not in it stays as it is then.
    #[serde(default)]
    pub is_partial: bool,
    /// The public key of the server's tokens: processes of primaries accept these.
    #[serde(default)]
    pub token_key: String,
    /// By name.
    pub pools: BTreeMap<String, WantedPool>,
    /// The primaries that are to go, by name. What is only not wanted stays.
    #[serde(default)]
    pub removed: BTreeMap<String, PrimaryRemoval>,
    /// The pools that soon have primaries here, whose processes are to run already.
    #[serde(default)]
    pub prepared: BTreeSet<String>,
}

/// The replicas of a pool, or its primaries.
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
    /// For replicas. None for primaries, which have keys of their own, and while the primary's machine has not said them.
    #[serde(default)]
    pub keys: Option<ReplicaKeys>,
    /// Of primaries: the locations that have replicas of them.
    #[serde(default)]
    pub followers: BTreeSet<String>,
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

/// A replica or a primary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedInstance {
    /// The database's name, for messages.
    pub database: String,
    /// None for a replica.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary: Option<WantedPrimary>,
}

/// What is wanted of a primary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedPrimary {
    pub limits: DatabaseLimits,
    /// Writes are refused for a while, beyond its limits: it is being moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<WriteBlock>,
    pub source: PrimarySource,
}

/// Writes to a primary are refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteBlock {
    /// Which of several, one after the other: what is said of another one says nothing of this.
    pub number: u64,
    /// What clients are told.
    pub reason: String,
}

/// A primary that is to go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrimaryRemoval {
    pub pool: String,
    /// Its files may have rows that no other has, so they are set aside.
    pub is_kept: bool,
}

/// What a primary is made of that is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrimarySource {
    /// It was there before: nothing takes its place.
    Existing,
    Empty,
    /// The files of a replica at the same location.
    Replica {
        pool: String,
        instance: String,
    },
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

/// Where the instances of a database are wanted.
#[derive(Debug, Clone)]
pub struct DatabaseSites {
    /// The id of its organization.
    pub organization: String,
    pub primary: Site,
    pub replicas: Vec<Site>,
    /// Former primaries whose files are set aside when they come back.
    pub retained: Vec<Site>,
    pub wanted: WantedPrimary,
}

impl WantedState {
    /// What a location is to run of all databases that are wanted, whatever their locations. `keys` are those for the replicas of a
    /// primary's pool, as far as they are known.
    pub fn of(
        location: &str,
        databases: &[DatabaseSites],
        keys: &dyn Fn(&Site) -> Result<Option<ReplicaKeys>>,
    ) -> Result<Self> {
        let mut epochs: BTreeMap<&str, u64> = BTreeMap::new();
        for primary in databases.iter().map(|database| &database.primary) {
            if let Some(pool) = primary.pool.as_deref() {
                let epoch = epochs.entry(pool).or_default();
                *epoch = primary.epoch.max(*epoch);
            }
        }
        let mut pools: BTreeMap<String, WantedPool> = BTreeMap::new();
        for database in databases {
            let is_primary = database.primary.location == location;
            let here = std::iter::once(&database.primary).chain(&database.replicas);
            let Some(site) = here.into_iter().find(|site| site.location == location) else {
                continue;
            };
            let Some(name) = &site.pool else { continue };
            if !pools.contains_key(name) {
                let pool = WantedPool {
                    organization: database.organization.clone(),
                    group: site.group.clone().unwrap_or_default(),
                    primary: database.primary.location.clone(),
                    epoch: epochs.get(name.as_str()).copied().unwrap_or_default(),
                    keys: if is_primary { None } else { keys(&database.primary)? },
                    followers: BTreeSet::new(),
                    instances: BTreeMap::new(),
                };
                pools.insert(name.clone(), pool);
            }
            if let Some(pool) = pools.get_mut(name) {
                if is_primary {
                    let followers = database.replicas.iter().map(|replica| replica.location.clone());
                    pool.followers.extend(followers);
                }
                let instance = WantedInstance {
                    database: site.database_name().to_owned(),
                    primary: is_primary.then(|| database.wanted.clone()),
                };
                pool.instances.insert(site.instance(), instance);
            }
        }
        Ok(Self {
            pools,
            ..Self::default()
        })
    }

    /// Fails unless every name in it can be the name of a directory of this machine: it comes from another one.
    pub fn check_names(&self) -> Result<()> {
        for (pool, wanted) in &self.pools {
            std::iter::once(pool)
                .chain(wanted.instances.keys())
                .try_for_each(|name| check_name(name))?;
        }
        for (pool, instance) in self.sources() {
            check_name(pool)?;
            check_name(instance)?;
        }
        let removed = self
            .removed
            .iter()
            .flat_map(|(instance, removal)| [instance, &removal.pool]);
        removed.chain(&self.prepared).try_for_each(|name| check_name(name))
    }

    /// The replicas that primaries are made of, by pool and name. They follow nobody any more.
    pub fn sources(&self) -> impl Iterator<Item = (&String, &String)> {
        let instances = self.pools.values().flat_map(|pool| pool.instances.values());
        instances.filter_map(|instance| match &instance.primary.as_ref()?.source {
            PrimarySource::Replica { pool, instance } => Some((pool, instance)),
            PrimarySource::Existing | PrimarySource::Empty => None,
        })
    }

    /// Whether it has the same content as another one, whatever the generations.
    #[must_use]
    pub fn equals(&self, other: &Self) -> bool {
        (self.is_partial, &self.token_key) == (other.is_partial, &other.token_key)
            && (&self.pools, &self.removed, &self.prepared) == (&other.pools, &other.removed, &other.prepared)
    }
}

/// Pools and instances are named by ids, location codes and epochs.
fn check_name(name: &str) -> Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn database(primary: &str, location: &str, pool: &str, id: &str, epoch: u64) -> DatabaseSites {
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
        DatabaseSites {
            organization: "o1".to_owned(),
            primary: site(primary),
            replicas: vec![site(location)],
            retained: Vec::new(),
            wanted: WantedPrimary {
                limits: DatabaseLimits::default(),
                block: None,
                source: PrimarySource::Empty,
            },
        }
    }

    fn replica(location: &str, pool: &str, id: &str, epoch: u64) -> DatabaseSites {
        database("ams", location, pool, id, epoch)
    }

    fn known_keys(pool: &str) -> ReplicaKeys {
        ReplicaKeys {
            authority: pool.to_owned(),
            certificate: String::new(),
            key: Secret::new(String::new()),
        }
    }

    fn keys(primary: &Site) -> Result<Option<ReplicaKeys>> {
        Ok(primary.pool.as_deref().map(known_keys))
    }

    #[test]
    fn wanted_state_has_primaries_with_their_limits_and_followers() {
        let all = [
            database("lhr", "ams", "p-lhr", "0a", 1),
            database("lhr", "fra", "p-lhr", "0b", 4),
        ];
        let state = WantedState::of("lhr", &all, &|_| panic!("a primary has keys of its own")).unwrap();
        let pool = &state.pools["p-lhr"];
        assert_eq!((pool.primary.as_str(), pool.epoch), ("lhr", 4));
        assert_eq!(pool.followers, BTreeSet::from(["ams".to_owned(), "fra".to_owned()]));
        assert_eq!(pool.instances["0a"].primary, Some(all[0].wanted.clone()));
        // Those at another location know the same epoch, whichever of its databases they have.
        let there = WantedState::of("fra", &all, &|_| Ok(None)).unwrap();
        let pool = &there.pools["p-lhr"];
        assert_eq!((pool.epoch, pool.instances.len(), &pool.keys), (4, 1, &None));
        assert_eq!(pool.instances["0b-epoch4"].primary, None);
        let mut other = state.clone();
        let removal = PrimaryRemoval {
            pool: "../x".to_owned(),
            is_kept: true,
        };
        other.removed.insert("0c".to_owned(), removal);
        assert!(!other.equals(&state));
        assert!(other.check_names().is_err());
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
        assert_eq!((pool.primary.as_str(), &pool.keys), ("ams", &Some(known_keys("p-ams"))));
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
        let no_keys = |_: &Site| Err(crate::error::Error::new(crate::error::Code::Internal, "no keys"));
        assert!(WantedState::of("lhr", &[replica("lhr", "p-ams", "0a", 1)], &no_keys).is_err());
    }
}
