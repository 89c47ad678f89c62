//! The server's log, on standard error. It has no secrets: no header, no query and no body is ever written, only the path.

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

/// Begins to log. `quiet`: only what is wrong. Once a process; again, nothing changes.
pub fn start(form: Form, quiet: bool) {
    let level = if quiet { "warn" } else { "info" };
    let subscriber = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(EnvFilter::new(format!("off,torso={level}")))
        .with_target(false);
    let _ = match form {
        Form::Text => subscriber.with_ansi(std::io::stderr().is_terminal()).try_init(),
        Form::Json => subscriber.json().flatten_event(true).try_init(),
    };
}
