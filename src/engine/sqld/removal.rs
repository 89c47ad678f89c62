//! Removal of instances: from their process, with their files, and with the process's directory when it has no other.

use super::node::Node;
use super::role::{self, ProcessRole};
use super::{SqldEngine, files, quarantine, records};
use crate::engine::{Site, confine, database_of_instance};
use crate::error::{Code, Error, Result};
use crate::sync::lock;
use std::path::{Path, PathBuf};
use std::sync::Arc;

impl SqldEngine {
    /// Removes the instance at a site, or, where its pool is not known any more, all of its database at that location.
    pub(super) fn remove_all(&self, at: &Site) -> Result<()> {
        self.end_copy(at)?;
        for (dir, instance) in self.instances(at)? {
            self.remove_instance(at, &dir, &instance)?;
        }
        let nodes: Vec<_> = lock(&self.shared.nodes).values().cloned().collect();
        let is_of_it = |instance: &String| database_of_instance(instance).0 == at.id;
        // Processes of other locations may have the database, and name it in the log.
        let is_used = |node: &Arc<Node>| records::acknowledged(node.dir()).is_ok_and(|all| all.iter().any(is_of_it));
        if !nodes.iter().any(is_used) {
            self.shared.common.names.forget(&at.id);
        }
        Ok(())
    }

    /// The directories of processes that have a site's instance, or, where its pool is not known any more, any instance of its
    /// database; with the names of these.
    fn instances(&self, at: &Site) -> Result<Vec<(PathBuf, String)>> {
        if let Some(pool) = &at.pool {
            let dir = at.dir.join(pool);
            return Ok(if dir.is_dir() {
                vec![(dir, at.instance())]
            } else {
                Vec::new()
            });
        }
        let mut found = Vec::new();
        for name in files::names(&at.dir)? {
            if name.ends_with(super::alone::SUFFIX) {
                continue;
            }
            let dir = at.dir.join(name);
            let mut instances = records::acknowledged(&dir)?;
            instances.extend(files::namespaces(&role::db_path(&dir))?);
            instances.retain(|instance| database_of_instance(instance).0 == at.id);
            instances.sort();
            instances.dedup();
            found.extend(instances.into_iter().map(|instance| (dir.clone(), instance)));
        }
        Ok(found)
    }

    fn remove_instance(&self, at: &Site, dir: &Path, instance: &str) -> Result<()> {
        let node = match self.node(dir) {
            // A namespace's settings can only be removed through the primary's process; a replica has none.
            None if role::role_of(dir)?.is_some_and(|role| role.role == ProcessRole::Primary) => {
                Some(self.run(at, dir, || {
                    Err(Error::new(
                        Code::Conflict,
                        format!("{} has no role.json any more", dir.display()),
                    ))
                })?)
            }
            None => {
                confine::end_orphan(&dir.join("lock"))?;
                quarantine::forget(dir, instance)?;
                None
            }
            node => node,
        };
        if let Some(node) = &node {
            node.wait_ready()?;
            node.note_gone(instance)?;
            node.admin()?.delete(instance)?;
        }
        self.sweep(dir, instance)?;
        if records::acknowledged(dir)?.is_empty() && files::namespaces(&role::db_path(dir))?.is_empty() {
            let last = lock(&self.shared.nodes).remove(dir);
            if let Some(node) = last {
                node.process().stop();
            }
            files::remove_tree(dir)?;
        }
        Ok(())
    }
}
