//! What databases are called, for messages of code that knows them by their ids or instances only.

use crate::engine::{Site, database_of_instance};
use crate::sync::lock;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// The names of databases by their ids, as they were last heard. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct DatabaseNames(Arc<Mutex<HashMap<String, String>>>);

impl DatabaseNames {
    /// Notes what a database is called, where its site says so.
    pub fn note(&self, at: &Site) {
        let Some(name) = &at.database else { return };
        let mut names = lock(&self.0);
        if names.get(&at.id) != Some(name) {
            names.insert(at.id.clone(), name.clone());
        }
    }

    /// The name of the database of an instance, or its id where the name is not known.
    pub fn name_of(&self, instance: &str) -> String {
        let (id, _) = database_of_instance(instance);
        lock(&self.0).get(id).cloned().unwrap_or_else(|| id.to_owned())
    }

    /// Forgets a database that is removed.
    pub fn forget(&self, id: &str) {
        lock(&self.0).remove(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn database_names_are_those_last_heard() {
        let names = DatabaseNames::default();
        let site = |database: Option<&str>| Site {
            location: "ams".to_owned(),
            dir: "ams".into(),
            external: false,
            pool: None,
            id: "0f".to_owned(),
            epoch: 1,
            database: database.map(str::to_owned),
            group: None,
        };
        assert_eq!(names.name_of("0f"), "0f");
        names.note(&site(Some("app")));
        names.note(&site(None));
        assert_eq!(names.name_of("0f"), "app");
        names.note(&site(Some("shop")));
        assert_eq!(names.name_of("0f"), "shop");
        assert_eq!(names.name_of("0f-epoch2"), "shop");
        names.forget("0f");
        assert_eq!(names.name_of("0f"), "0f");
    }
}
