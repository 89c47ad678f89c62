//! What came of a reconcile.

use crate::control::embedded::CatalogView;
use crate::control::names::LocationCode;
use crate::engine::Site;
use crate::error::{Code, Error};
use std::path::PathBuf;

/// The result of a reconciliation.
#[derive(Debug, Default)]
pub struct ReconcileReport {
    /// Failures by location. The work stays pending, and the next command tries again.
    pub failures: Vec<(LocationCode, Error)>,
    /// Why locations on other machines have not what they are to have: the machine is away. It makes up for that by itself when it is
    /// back, so no work is pending.
    pub away: Vec<(LocationCode, Error)>,
    pub copied: Vec<LocationCode>,
    /// Files that were kept aside because another program had changed them.
    pub kept_aside: Vec<(LocationCode, PathBuf)>,
}

impl ReconcileReport {
    /// Removes and returns the failure at a location.
    pub fn take_failure(&mut self, location: &LocationCode) -> Option<Error> {
        take(&mut self.failures, location)
    }

    /// Removes and returns why a location on another machine has not what it is to have.
    pub fn take_away(&mut self, location: &LocationCode) -> Option<Error> {
        take(&mut self.away, location)
    }

    /// Removes and returns why a location has not what it is to have, here or elsewhere.
    pub fn take_at(&mut self, location: &LocationCode) -> Option<Error> {
        self.take_failure(location).or_else(|| self.take_away(location))
    }

    /// Removes and returns a reason why something is not as it is to be, here before elsewhere.
    pub fn take_any(&mut self) -> Option<Error> {
        let cause = self.failures.pop().or_else(|| self.away.pop());
        cause.map(|(_, error)| error)
    }
}

fn take(causes: &mut Vec<(LocationCode, Error)>, location: &LocationCode) -> Option<Error> {
    let index = causes.iter().position(|(at, _)| at == location)?;
    Some(causes.remove(index).1)
}

/// Whether an error says that the machine of a location, another one, cannot be reached now.
pub(super) fn is_away(view: &CatalogView<'_>, at: &Site, error: &Error) -> bool {
    error.code() == Code::Unavailable && view.plane.engine.local_files(at).is_err()
}
