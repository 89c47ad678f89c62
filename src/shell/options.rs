//! What the shell gets from its caller, and what it gives back: options, hooks, the exit.

use super::args::Arguments;
use crate::sql::Target;
use std::path::{Path, PathBuf};

/// Resolves a name given to `.open` to a target; none if it is a path.
pub type Resolve<'h> = &'h dyn Fn(&str) -> crate::error::Result<Option<Target>>;

/// What the shell asks of its caller.
pub struct Hooks<'h> {
    pub resolve: Resolve<'h>,
    /// Printed after a write was refused because the database is read-only: where writes go.
    pub read_only_hint: Option<String>,
    /// Printed after a write was refused because the database is as large as it may be.
    pub full_hint: Option<String>,
    /// The file of `.query`; without it there are no saved queries.
    pub queries: Option<PathBuf>,
    /// Fails for a file that commands of the shell must not write to.
    pub check_output_file: &'h dyn Fn(&Path) -> crate::error::Result<()>,
    /// Names that `.open` could open, for completion.
    pub databases: &'h dyn Fn() -> Vec<String>,
}

/// What to run, and on what.
pub struct ShellOptions {
    /// The database, and what the user called it.
    pub target: Target,
    pub name: String,
    pub arguments: Arguments,
    /// Whether failures are told as JSON documents.
    pub json_errors: bool,
    /// Read before anything else, if it exists and no `-init` was given.
    pub startup_file: Option<PathBuf>,
    /// Used where a person types.
    pub terminal: TerminalOptions,
}

/// How to behave at a terminal, and what its prompt says of the database.
#[derive(Debug, Clone, Default)]
pub struct TerminalOptions {
    pub colour: bool,
    /// Print no greeting and no notes.
    pub quiet: bool,
    /// Leave control characters in results as they are.
    pub raw: bool,
    /// Where the database is, if that is known.
    pub location: Option<String>,
    pub replica: bool,
    /// The database is protected: ask before what may destroy much.
    pub protected: bool,
    /// The directory for histories; without one they end with the session.
    pub histories: Option<PathBuf>,
}

/// How the shell ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShellExit {
    pub exit_code: i32,
    /// Whether anything may have been written.
    pub wrote: bool,
}
