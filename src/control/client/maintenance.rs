//! The plane itself: files on their way to it, and its health.

use super::{Client, about, wire};
use crate::control::endpoints::Operation;
use crate::control::findings::{Finding, Severity};
use crate::control::{BackupOperations, MaintenanceOperations, Staging};
use crate::error::Result;

// A server answers with what it knows by itself; what else there is to know is on its side.
impl BackupOperations for Client {}

impl MaintenanceOperations for Client {
    fn staging(&self) -> Result<Staging> {
        super::staging::begin()
    }

    fn check(&self, fix: bool) -> Result<Vec<Finding>> {
        let operation = if fix { Operation::Mend } else { Operation::Check };
        let about_health = about("the server's health").only_here("examine itself");
        let call = self.call(operation, &[], about_health).repeatable();
        match self.http.ask(&call) {
            Ok(reply) => wire::read(wire::within(reply, "findings"), "a finding"),
            // All that can be found out about such a server is that it answers and knows the token.
            Err(error) if super::is_unsupported(&error) => {
                self.http
                    .ask(&self.call(Operation::ValidateToken, &[], about("the token")))?;
                Ok(vec![Finding {
                    code: "server".to_owned(),
                    severity: Severity::Ok,
                    message: format!("the server {} answers, and accepts the token", self.address()),
                    fix: None,
                }])
            }
            Err(error) => Err(error),
        }
    }
}
