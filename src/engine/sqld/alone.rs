//! Replicas whose primary is damaged. A replica's process reads a database only after it has reached the primary's for it;
//! one that was started again serves nothing until then. What it has is served by a process of its own meanwhile, from a
//! copy that takes no writes.
//!
//! ```text
//! <location>/<pool>-alone/    the directory of that process, as in `node`
//! ```

use super::node::Node;
use super::role::{self, ProcessRole};
use super::{Endpoint, SqldEngine, files, host, records};
use crate::engine::{DatabaseLimits, Site, child, database_of_instance, disk};
use crate::error::{Code, Error, Result};
use crate::sync::lock;
use std::path::PathBuf;

/// What the name of such a directory ends with.
pub(super) const SUFFIX: &str = "-alone";

/// What a client is told that writes.
const REASON: &str = "the database's primary is damaged, and this is a copy of its replica";

impl SqldEngine {
    /// Serves what a replica has, without its primary, for reads.
    pub(super) fn serve_copy(&self, at: &Site) -> Result<()> {
        let Some(pool) = &at.pool else { return Ok(()) };
        let replica = at.dir.join(pool);
        if records::record(&replica, &at.instance())?.is_none() {
            return Ok(());
        }
        let source = files::database(&role::db_path(&replica), &at.instance());
        // A replica that was never opened has nothing to serve.
        if !source.exists() {
            return Ok(());
        }
        let dir = at.dir.join(format!("{pool}{SUFFIX}"));
        let node = self.run(at, &dir, || role::new_role(&at.location, None))?;
        if records::record(&dir, &at.instance())?.is_some() {
            return Ok(());
        }
        let admin = node.admin()?;
        let seed = dir.join("tmp").join(format!("{}.db", at.instance()));
        child::export(&self.shared.common.sandbox, &source, &seed)?;
        // Remains of an earlier try.
        admin.delete(&at.instance())?;
        self.sweep(&dir, &at.instance())?;
        self.drop_in(&node, &seed, &at.instance())?;
        let limits = DatabaseLimits {
            block_writes: true,
            ..DatabaseLimits::default()
        };
        admin.configure_because(&at.instance(), &limits, None, Some(REASON))?;
        records::acknowledge(&dir, &at.instance(), &limits)?;
        disk::remove(&seed)
    }

    /// Serves what a replica has while its primary on another machine cannot be reached: one whose process was started meanwhile opens
    /// nothing. Doing that again changes nothing.
    pub fn serve_without_primary(&self, at: &Site) -> Result<()> {
        if lock(&self.shared.common.without_primary).contains(&at.instance()) {
            return Ok(());
        }
        // A copy of an earlier run is old.
        self.end_copy(at)?;
        self.serve_copy(at)?;
        lock(&self.shared.common.without_primary).insert(at.instance());
        Ok(())
    }

    /// Whether that is so now.
    pub fn serves_without_primary(&self, at: &Site) -> bool {
        lock(&self.shared.common.without_primary).contains(&at.instance())
    }

    /// Ends that, and has the replica follow its primary.
    pub fn serve_with_primary(&self, at: &Site) -> Result<()> {
        lock(&self.shared.common.without_primary).remove(&at.instance());
        self.ask_replica(at);
        self.end_copy(at)
    }

    /// Ends that: the primary is back, or the replica is to go.
    pub(super) fn end_copy(&self, at: &Site) -> Result<()> {
        for (dir, instance) in self.copies(at)? {
            let node = self.run(at, &dir, || {
                Err(Error::new(
                    Code::Conflict,
                    format!("{} has no role.json any more", dir.display()),
                ))
            })?;
            node.note_gone(&instance)?;
            node.admin()?.delete(&instance)?;
            self.sweep(&dir, &instance)?;
            if records::acknowledged(&dir)?.is_empty() {
                lock(&self.shared.nodes).remove(&dir);
                node.process().stop();
                files::remove_tree(&dir)?;
            }
        }
        Ok(())
    }

    /// The directories at a location that have such a copy of an instance, or of any of its database where its pool is not
    /// known any more.
    fn copies(&self, at: &Site) -> Result<Vec<(PathBuf, String)>> {
        let mut found = Vec::new();
        for name in files::names(&at.dir)?.into_iter().filter(|name| name.ends_with(SUFFIX)) {
            let dir = at.dir.join(&name);
            for instance in records::acknowledged(&dir)? {
                let is_meant = match at.pool {
                    Some(_) => instance == at.instance(),
                    None => database_of_instance(&instance).0 == at.id,
                };
                if is_meant {
                    found.push((dir.clone(), instance));
                }
            }
        }
        Ok(found)
    }

    /// Where the replica at a site takes SQL while its primary is damaged; none if it is not, or for the primary itself.
    /// `process` is that of the site, if it has one.
    pub(super) fn endpoint_alone(&self, at: &Site, process: Option<&Node>) -> Option<Result<Endpoint>> {
        let is_primary = process.is_some_and(|node| node.place == ProcessRole::Primary);
        if is_primary || !lock(&self.shared.common.without_primary).contains(&at.instance()) {
            return None;
        }
        let dir = at.dir.join(format!("{}{SUFFIX}", at.pool.as_ref()?));
        let alone = self.node(&dir).filter(|node| {
            node.process().is_ready() && records::record(&dir, &at.instance()).is_ok_and(|record| record.is_some())
        });
        let opened = |node: &&Node| node.process().is_ready() && node.has_served(&at.instance());
        // What it has opened it goes on serving.
        let serving = alone.as_deref().or_else(|| process.filter(opened));
        Some(match serving.map(Node::admin) {
            Some(Ok(admin)) => Ok(Endpoint {
                address: admin.sql.address(),
                listener: admin.sql,
                host: host(&at.instance()),
            }),
            Some(Err(_)) | None => Err(Error::new(
                Code::Unavailable,
                format!("database {} does not run in {} now", at.database_name(), at.location),
            )
            .hint("try again in a moment")),
        })
    }
}
