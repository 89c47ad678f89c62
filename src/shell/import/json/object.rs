//! An object of a JSON file with every key as it is written, also those that a map would take for one.

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value as Json;
use std::collections::HashMap;
use std::fmt;

/// The keys and values of an object, in their order.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Object(Vec<(String, Json)>);

impl Object {
    /// Two keys that mean one column, because they differ in letter case only or not at all.
    pub fn same_column(&self) -> Option<(&str, &str)> {
        let mut known: HashMap<String, &str> = HashMap::with_capacity(self.0.len());
        self.0.iter().find_map(|(key, _)| {
            let earlier = known.insert(key.to_ascii_lowercase(), key)?;
            Some((earlier, key.as_str()))
        })
    }
}

impl IntoIterator for Object {
    type Item = (String, Json);
    type IntoIter = std::vec::IntoIter<(String, Json)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Object;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Object(entries))
            }
        }

        deserializer.deserialize_map(Entries)
    }
}
