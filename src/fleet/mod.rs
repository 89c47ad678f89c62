//! The same work on many databases: in waves, some at a time, with a file that says where to go on.
//!
//! `waves` runs it on threads, each with a control plane of its own; `state` notes which databases are done. What the work is,
//! and how its results are shown, is left to the commands.

mod state;
mod waves;

pub use state::FleetState;
pub use waves::{DatabaseResult, FleetSummary, FleetWork, OpenPlane, Waves, run};
