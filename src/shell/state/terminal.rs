//! The terminal, where a person types on one: what is remembered between inputs.

use crate::shell::editor::schema::Live;
use crate::shell::options::TerminalOptions;
use std::io::{self, IsTerminal};
use std::rc::Rc;

/// The terminal and what is remembered for the one at it.
pub struct Terminal<'h> {
    pub options: TerminalOptions,
    /// The database that the shell was started on.
    pub database: String,
    /// What completion and hints know of the database.
    pub names: Rc<Live<'h>>,
    /// The last text that was run, for `.edit`.
    pub last: String,
    /// What the next reading begins with.
    pub next: Option<String>,
    /// It was printed that cells are shortened.
    pub shortening_noted: bool,
}

impl<'h> Terminal<'h> {
    /// The terminal, if standard input and output are both one.
    pub fn open(options: &TerminalOptions, database: &str, databases: &'h dyn Fn() -> Vec<String>) -> Option<Self> {
        (io::stdin().is_terminal() && io::stdout().is_terminal()).then(|| Self {
            options: options.clone(),
            database: database.to_owned(),
            names: Rc::new(Live::new(databases)),
            last: String::new(),
            next: None,
            shortening_noted: false,
        })
    }
}
