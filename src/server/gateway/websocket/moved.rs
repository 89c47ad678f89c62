//! A socket whose database's primary is moved: its writes wait, and then it ends, because its process has the database no more.

use super::session::SocketSession;
use crate::server::gateway::error::GatewayError;
use crate::server::gateway::policy::BodySummary;
use crate::server::gateway::write_entry::enter_write;

impl SocketSession {
    /// Waits with a message that may write until it may pass.
    ///
    /// # Errors
    ///
    /// Those of [`enter_write`].
    pub async fn enter_write(&self, message: &[u8], summary: &BodySummary) -> Result<(), GatewayError> {
        if summary.has_only_queries() {
            return Ok(());
        }
        let (_, entered) = enter_write(&self.core, &self.route, self.writes.is_in_transaction()).await?;
        self.writes.note_begin(message);
        self.writes.note_entered(entered);
        Ok(())
    }

    /// Whether the socket is connected to an instance that its database has no more, because the primary was moved.
    pub fn is_left_behind(&self) -> bool {
        let now = self.core.plane.route(&self.route.label);
        now.is_some_and(|now| now.id == self.route.id && !now.has_same_primary(&self.route))
    }
}
