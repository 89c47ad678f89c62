//! The first use of an instance since its process was started: its files are looked at before the process opens them. What is
//! looked at later is `watch`'s.

use super::node::Node;
use super::role::ProcessRole;
use super::{SqldEngine, watch};
use crate::engine::Site;
use crate::error::Result;
use crate::sync::lock;
use std::sync::Arc;

impl SqldEngine {
    /// Notes that somebody uses an instance. Before the first use the file that its process will open is looked at, as those that
    /// are open are all the time (see `watch`). A replica has its primary open the database, too.
    pub(super) fn prepare_use(&self, node: &Arc<Node>, at: &Site) -> Result<()> {
        let instance = at.instance();
        if node.has_served(&instance) {
            return Ok(());
        }
        let primary = match node.place {
            ProcessRole::Primary => Some(Arc::clone(node)),
            ProcessRole::Replica => self.primary_of(node),
        };
        if let Some(primary) = primary {
            watch::check_unopened(&primary, &instance)?;
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

    /// The primary's process of a replica's, while it is wanted.
    pub(super) fn primary_of(&self, replica: &Node) -> Option<Arc<Node>> {
        lock(&self.shared.nodes)
            .values()
            .find(|node| node.place == ProcessRole::Primary && node.pool == replica.pool)
            .cloned()
    }
}
