//! When a database may be destroyed: the option, and how it is said. `torso gc` destroys.

use crate::commands::values::Span;
use crate::control::types::Database;
use crate::error::{Code, Error, Result};
use crate::ui::text;
use jiff::Timestamp;

/// The option of commands that make a database.
#[derive(clap::Args, Default)]
pub(super) struct Expiry {
    /// After this time torso gc destroys it, such as 3d
    #[arg(long, value_name = "DURATION", help_heading = "Options")]
    expires_in: Option<Span>,
}

impl Expiry {
    /// Whether the option was used.
    pub fn is_set(&self) -> bool {
        self.expires_in.is_some()
    }

    /// The end, counted from now; none if there is none.
    pub fn end(&self) -> Result<Option<Timestamp>> {
        self.expires_in.map_or(Ok(None), end_after)
    }
}

/// The time after a span from now; none for `never`.
pub(in crate::commands) fn end_after(span: Span) -> Result<Option<Timestamp>> {
    let Span::For(span) = span else { return Ok(None) };
    let end = Timestamp::now().checked_add(span);
    end.map(Some).map_err(|_| {
        Error::new(Code::InvalidValue, "a database cannot expire so late")
            .hint("write a shorter time, such as 3d or 52w, or never")
    })
}

/// How a sentence about a database goes on, if it has an end.
pub(super) fn sentence_part(database: &Database) -> String {
    database
        .expires_at
        .map_or(String::new(), |end| format!(", which expires {}", text::time(end)))
}
