//! What came of a reconcile.

use crate::control::names::LocationCode;
use crate::error::Error;
use std::path::PathBuf;

/// The result of a reconciliation.
#[derive(Debug, Default)]
pub struct ReconcileReport {
    /// Failures by location. The work stays pending, and the next command tries again.
    pub failures: Vec<(LocationCode, Error)>,
    pub copied: Vec<LocationCode>,
    /// Files that were kept aside because another program had changed them.
    pub kept_aside: Vec<(LocationCode, PathBuf)>,
}

impl ReconcileReport {
    /// Removes and returns the failure at a location.
    pub fn take_failure(&mut self, location: &LocationCode) -> Option<Error> {
        let index = self.failures.iter().position(|(at, _)| at == location)?;
        Some(self.failures.remove(index).1)
    }
}
