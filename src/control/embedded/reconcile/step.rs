//! The steps of a reconcile.

use crate::control::embedded::catalog::former_instances::FormerInstance;
use crate::control::names::LocationCode;
use crate::engine::DatabaseLimits;

/// One call of the engine.
#[derive(Debug, Clone, PartialEq)]
pub enum ReconcileStep {
    Create { at: LocationCode },
    Start { at: LocationCode },
    Configure { at: LocationCode, limits: DatabaseLimits },
    Adopt { at: LocationCode },
    Link { at: LocationCode },
    SetAside { at: LocationCode },
    Demote { from: LocationCode, to: LocationCode },
    Promote { at: LocationCode },
    TakeOver { at: LocationCode },
    Copy { from: LocationCode, to: LocationCode },
    ServeAlone { at: LocationCode },
    Drop { at: LocationCode },
    Discard { former: FormerInstance },
    DropSeed,
}

impl ReconcileStep {
    /// Whether the database has a primary that serves it once this is done.
    pub(super) fn makes_primary(&self) -> bool {
        matches!(
            self,
            Self::Create { .. }
                | Self::Start { .. }
                | Self::Adopt { .. }
                | Self::Promote { .. }
                | Self::TakeOver { .. }
        )
    }

    /// The location that a failure of the step is about. None for the seed, which is in no location.
    pub(super) fn location(&self) -> Option<&LocationCode> {
        match self {
            Self::Create { at }
            | Self::Start { at }
            | Self::Configure { at, .. }
            | Self::Adopt { at }
            | Self::Link { at }
            | Self::SetAside { at }
            | Self::Promote { at }
            | Self::TakeOver { at }
            | Self::ServeAlone { at }
            | Self::Drop { at } => Some(at),
            Self::Demote { to, .. } | Self::Copy { to, .. } => Some(to),
            Self::Discard { former } => Some(&former.location),
            Self::DropSeed => None,
        }
    }
}
