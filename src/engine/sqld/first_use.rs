//! What is looked at before an instance is used: a primary's file, which its process would make anew if it were missing. `watch`
//! looks at the files that are open meanwhile.

use super::node::Node;
use super::role::ProcessRole;
use super::{SqldEngine, watch};
use crate::engine::Site;
use crate::error::Result;
use crate::sync::lock;
use std::sync::Arc;

impl SqldEngine {
    /// Notes that somebody uses an instance. Before that its primary's file is looked at. A replica has its primary open the
    /// database, too, when it is used first; from then on it answers by itself.
    pub(super) fn prepare_use(&self, node: &Arc<Node>, at: &Site) -> Result<()> {
        let instance = at.instance();
        let primary = match node.place {
            ProcessRole::Primary => Some(Arc::clone(node)),
            ProcessRole::Replica if node.has_served(&instance) => None,
            ProcessRole::Replica => self.primary_of(node),
        };
        if let Some(primary) = primary {
            watch::check_file(&primary, &instance)?;
        }
        node.note_used(&instance);
        Ok(())
    }

    /// Has the process of a replica open a database, so that it follows its primary.
    pub fn ask_replica(&self, at: &Site) {
        let node = at.pool.as_ref().and_then(|pool| self.node(&at.dir.join(pool)));
        if let Some(node) = node {
            // One that does not answer is asked again by the watchdog.
            let _ = self.prepare_use(&node, at).and_then(|()| node.ask(&at.instance()));
        }
    }

    /// Looks at the file of a primary that may be lost: a statement says that it lacks a table, or its content is to be copied. Fails
    /// with `database_damaged` if it is. What is no primary, or does not run, is not looked at.
    pub fn check_file(&self, at: &Site) -> Result<()> {
        let node = self.find(at)?.and_then(|dir| self.node(&dir));
        match node.filter(|node| node.place == ProcessRole::Primary) {
            Some(primary) if primary.health().damage(&at.instance()).is_some() => Err(self.damaged(&primary, at)),
            Some(primary) => watch::check_file(&primary, &at.instance()),
            None => Ok(()),
        }
    }

    /// The primary's process of a replica's, while it is wanted.
    pub(super) fn primary_of(&self, replica: &Node) -> Option<Arc<Node>> {
        lock(&self.shared.nodes)
            .values()
            .find(|node| node.place == ProcessRole::Primary && node.pool == replica.pool)
            .cloned()
    }
}
