//! The settings that dot-commands and arguments change.

use crate::shell::render::Style;

/// Whether plans are shown before results.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ShowPlan {
    #[default]
    Off,
    On,
    /// With the plans of triggers.
    Trigger,
    /// With the program too.
    Full,
}

/// How the results of `EXPLAIN` are laid out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ExplainLayout {
    /// As programs and trees, when a statement asks to be explained.
    #[default]
    Auto,
    /// Everything as a program.
    On,
    Off,
}

/// Settings that dot-commands and arguments change.
#[derive(Debug, Clone, Default)]
pub struct ShellSettings {
    pub style: Style,
    /// The user decided on headers: choosing a mode leaves them alone.
    pub headers_chosen: bool,
    pub echo: bool,
    pub bail: bool,
    pub show_plan: ShowPlan,
    pub explain: ExplainLayout,
    pub changes: bool,
    pub timer: bool,
    /// 0 off, 1 all, 2 of the statement's, 3 only virtual machine steps.
    pub stats: u8,
    pub backslash: bool,
    /// So many bytes of each file are read through the address space, where that was asked for.
    pub mapped: Option<i64>,
    pub prompt: Option<(String, Option<String>)>,
    /// Nothing outside the database may be touched. `safe` may be lifted for one command by `.nonce`.
    pub safe: bool,
    pub always_safe: bool,
    pub nonce: Option<String>,
    /// A program reads what went wrong: each failure is a JSON document.
    pub json_errors: bool,
}
