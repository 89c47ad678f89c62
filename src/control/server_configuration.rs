//! Settings of a server that its operator changes while it runs, and the levels of its log.

use super::names::LocationCode;
use crate::error::{Code, Error, Result};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// How much a server logs.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Only problems
    Warn,
    /// Also starts, ends and requests of the Platform API
    #[default]
    Info,
    /// Also every request of applications
    Debug,
}

impl LogLevel {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}

impl FromStr for LogLevel {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let all = [Self::Warn, Self::Info, Self::Debug];
        all.into_iter().find(|level| level.name() == text).ok_or_else(|| {
            Error::new(Code::InvalidValue, format!("{text:?} is no level of the log"))
                .hint("levels are warn, info and debug")
        })
    }
}

/// Settings of a server that can be changed while it runs.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerConfiguration {
    /// Those that it offers; none for all.
    pub locations: Option<Vec<LocationCode>>,
    /// None where it has no log.
    pub log_level: Option<LogLevel>,
    /// How often replicas are compared with their primaries; none for never.
    #[serde(default)]
    pub verify_every_seconds: Option<u64>,
    /// What is left out of reach by these settings.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// A change of these settings. What is none stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerConfigurationPatch {
    /// An empty list is for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locations: Option<Vec<LocationCode>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_level: Option<LogLevel>,
    /// 0 is for never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify_every_seconds: Option<u64>,
}
