//! `--watch`: an answer that is shown again and again.

use super::values::Span;
use crate::context::Context;
use crate::error::{Code, Error, Result};
use crate::ui::{OutputFormat, View};
use std::time::Duration;

/// Looking more often would be work for nobody.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);

/// Whether to show the answer again and again.
#[derive(clap::Args)]
pub(crate) struct Watch {
    /// Repeat until Ctrl-C
    #[arg(long, short)]
    watch: bool,
    /// Time between two updates
    #[arg(long, value_name = "DURATION", requires = "watch", default_value = "1s")]
    interval: Span,
}

impl Watch {
    /// Shows an answer; with `--watch`, until an error or Ctrl-C.
    pub fn show<V: View>(&self, ctx: &Context, answer: impl Fn() -> Result<V>) -> Result<()> {
        if !self.watch {
            return ctx.ui.show(&answer()?);
        }
        if ctx.ui.format() == OutputFormat::Json {
            return Err(Error::new(Code::Usage, "--watch cannot be used with --json")
                .hint("use --output jsonl, which prints an object a line"));
        }
        let Span::For(interval) = self.interval else {
            return Err(
                Error::new(Code::InvalidValue, "--interval cannot be never").hint("write a time such as 1s or 5s")
            );
        };
        loop {
            let current = answer()?;
            ctx.ui.clear()?;
            ctx.ui.show(&current)?;
            std::thread::sleep(interval.max(SHORTEST_INTERVAL));
        }
    }
}
