//! The server's log, on standard error. It has no secrets: headers, queries and bodies are never logged, only paths,
//! and in these what looks like a token in the wrong place is cut out.

use std::borrow::Cow;
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Form {
    /// A line for people
    #[default]
    Text,
    /// A JSON document a line
    Json,
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Level {
    /// What is wrong
    Warn,
    /// Also requests of the Platform API
    #[default]
    Info,
    /// Also every request of applications
    Debug,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}

/// Starts the log. A second call changes nothing.
pub fn start(form: Form, level: Level) {
    let subscriber = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(EnvFilter::new(format!("off,torso={}", level.name())))
        .with_target(false);
    let _ = match form {
        Form::Text => subscriber.with_ansi(std::io::stderr().is_terminal()).try_init(),
        Form::Json => subscriber.json().flatten_event(true).try_init(),
    };
}

/// What API tokens and invitations begin with, and JWTs.
const BEGINNINGS: [&str; 2] = ["torso_", "eyJ"];

/// Whether a text contains something that looks like a token.
pub(super) fn mentions_token(text: &str) -> bool {
    BEGINNINGS.iter().any(|beginning| text.contains(beginning))
}

/// A path as it may be logged.
pub(super) fn shown(path: &str) -> Cow<'_, str> {
    if !mentions_token(path) {
        return Cow::Borrowed(path);
    }
    let parts: Vec<&str> = path
        .split('/')
        .map(|part| if mentions_token(part) { "…" } else { part })
        .collect();
    Cow::Owned(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_in_paths_are_not_shown() {
        assert_eq!(shown("/v1/databases/app"), "/v1/databases/app");
        assert_eq!(shown("/v1/databases/torso_abc/usage"), "/v1/databases/…/usage");
        assert_eq!(shown("/db/eyJhbGciOi.x.y/v2/pipeline"), "/db/…/v2/pipeline");
    }
}
