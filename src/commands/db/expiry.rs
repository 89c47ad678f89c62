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
    #[arg(long, value_name = "DURATION", value_parser = parse_lifetime, allow_hyphen_values = true, help_heading = "Options")]
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

/// The time that a database has. None at all is a mistake, for the next `torso gc` would destroy it.
fn parse_lifetime(text: &str) -> Result<Span> {
    match text.parse()? {
        Span::For(span) if span.is_zero() => Err(Error::new(
            Code::InvalidValue,
            format!("a database cannot expire in {text}: that is now"),
        )
        .hint("write a time such as 30m, 3d or 1w2d30m, or never")),
        span => Ok(span),
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
