//! The result of a command that has changed something, and what follows from it.
//!
//! What is committed stays committed, so nothing that comes after it may end the command as a failure: a script would do
//! it again. Replicas that cannot be refreshed, settings that cannot be written and copies that cannot be compared are
//! warnings.

use crate::context::Context;
use crate::error::Result;

/// A result whose effect is there, whatever becomes of what follows.
pub(super) struct Committed<'a, T> {
    ctx: &'a Context,
    result: T,
}

impl<'a, T> Committed<'a, T> {
    pub fn new(ctx: &'a Context, result: T) -> Self {
        Self { ctx, result }
    }

    /// Does what follows. If it fails, that is a warning, which begins with `what`: what was being done, or
    /// what is not as it should be.
    #[must_use]
    pub fn follow_up(mut self, what: &str, work: impl FnOnce(&mut T) -> Result<()>) -> Self {
        if let Err(error) = work(&mut self.result) {
            let hint = error.hint_text().map_or_else(String::new, |hint| format!(" ({hint})"));
            self.ctx.ui.warn(format!("{what}: {}{hint}", error.full_message()));
        }
        self
    }

    pub fn into_result(self) -> T {
        self.result
    }
}
