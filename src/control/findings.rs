//! What a health check finds, on every control plane: the findings of `torso doctor`.

use serde::{Deserialize, Serialize};

/// A finding of a health check.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// A published code, such as `stale_replica`.
    pub code: String,
    pub severity: Severity,
    pub message: String,
    /// What to type.
    pub fix: Option<String>,
}

/// How bad a finding is, the worst last.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Ok,
    Note,
    Warning,
    Error,
}
