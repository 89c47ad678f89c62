//! Opens the content of a primary and of its replicas at one position, and has replicas copied again whose content is not that of
//! their primary.

use super::node::Node;
use super::role::ProcessRole;
use super::{SqldEngine, records, watch};
use crate::engine::child::OpenComparison;
use crate::engine::{Engine as _, Frame, LocalFiles as _, Site, child};
use crate::error::{Code, Error, Result};
use std::path::PathBuf;
use std::sync::Arc;

/// How often it is tried to find all at one position.
const TRIES: u32 = 20;

impl SqldEngine {
    /// Opens read transactions on a primary's file and on those of its replicas between two looks that find all of them at the
    /// same position.
    pub(super) fn open_at_one_position(&self, primary: &Site, replicas: &[Site]) -> Result<OpenComparison> {
        let instance = primary.instance();
        let node = self.serving(primary)?;
        self.expect(&node, ProcessRole::Primary)?;
        watch::check_file(&node, &instance)?;
        let mut others = Vec::new();
        for replica in replicas {
            others.push(self.run_replica(replica, &node)?);
        }
        let paths: Vec<PathBuf> = std::iter::once(primary)
            .chain(replicas)
            .map(|site| self.path(site))
            .collect();
        for _ in 0..TRIES {
            for other in &others {
                other.follow(&instance, &node)?;
            }
            let before = common_position(&node, &others, &instance);
            let open = child::open_comparison(&self.shared.common.sandbox, &paths)?;
            if before.is_some() && before == common_position(&node, &others, &instance) {
                return Ok(open);
            }
        }
        Err(Error::new(
            Code::Timeout,
            format!(
                "the instances of {} were not found at one position",
                primary.database_name()
            ),
        )
        .hint("try again when less is written"))
    }

    /// Has a replica's process forget what it has of a database, and copy it again.
    pub(super) fn copy_replica_again(&self, from: &Site, to: &Site) -> Result<()> {
        let primary = self.serving(from)?;
        let replica = self.run_replica(to, &primary)?;
        records::mark_for_copying(replica.dir(), &to.instance())?;
        replica
            .process()
            .restart("a replica differs from its primary and is copied again");
        self.copy(from, to)
    }

    /// Notes at a replica's process whether its content was that of its primary.
    pub(super) fn note_comparison(&self, replica: &Site, is_equal: bool) {
        let dir = replica.pool.as_ref().map(|pool| replica.dir.join(pool));
        if let Some(node) = dir.and_then(|dir| self.node(&dir)) {
            node.note_compared(&replica.instance(), is_equal);
        }
    }
}

/// The position that a primary and all of its replicas have; none if they differ.
fn common_position(primary: &Node, replicas: &[Arc<Node>], instance: &str) -> Option<Frame> {
    let position = primary.frame(instance)?;
    replicas
        .iter()
        .all(|replica| replica.frame(instance) == Some(position))
        .then_some(position)
}
