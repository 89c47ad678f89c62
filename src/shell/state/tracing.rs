//! What hooks of the engine report in the middle of a statement, and where `.trace` and `.log` write.
//!
//! Hooks are called where the output is not at hand. What they say is buffered in [`HookOutput`] and shown as soon as the
//! statement's result begins or ends.

use crate::sync::lock;
use std::fs::File;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

/// Lines from hooks that have not been shown yet.
#[derive(Debug, Clone, Default)]
pub struct HookOutput(Arc<Mutex<Vec<u8>>>);

impl HookOutput {
    pub fn push(&self, line: &str) {
        let mut text = lock(&self.0);
        text.extend_from_slice(line.as_bytes());
        text.push(b'\n');
    }

    /// Writes the buffered lines to `out`.
    pub fn drain(&self, out: &mut dyn Write) -> io::Result<()> {
        let text = std::mem::take(&mut *lock(&self.0));
        if text.is_empty() { Ok(()) } else { out.write_all(&text) }
    }
}

/// Where a trace or a log goes.
#[derive(Debug, Clone)]
pub enum TraceOutput {
    /// Among the results.
    Results,
    Stderr,
    File(Arc<Mutex<File>>),
}

impl TraceOutput {
    pub fn write(&self, hook_output: &HookOutput, line: &str) {
        // A trace that cannot be written must not stop the statement that is traced.
        match self {
            Self::Results => hook_output.push(line),
            Self::Stderr => {
                let _ = writeln!(io::stderr(), "{line}");
            }
            Self::File(file) => {
                let mut file = lock(file);
                let _ = writeln!(file, "{line}");
            }
        }
    }
}

/// What `.trace`, `.log` and the hooks use.
#[derive(Debug, Clone, Default)]
pub struct Tracing {
    pub hook_output: HookOutput,
    /// Where `.trace` writes the statements.
    pub statements: Option<TraceOutput>,
    /// With the values of their parameters.
    pub expanded: bool,
    /// Where `.log` writes what failed.
    pub log: Option<TraceOutput>,
}
