//! What to dump, and how.

use crate::shell::render::text::LineEnds;
use crate::sqltext::quote::literal;

/// The options of a dump.
#[derive(Debug, Clone, Default)]
pub struct DumpOptions {
    /// Also dump row ids that are not a column.
    pub preserve_rowids: bool,
    /// Line ends within text stay as they are instead of going through `char(10)`.
    pub newlines: bool,
    /// Only the rows, without schema and transaction.
    pub data_only: bool,
    /// Leave out SQLite's own tables (`sqlite_sequence`, `sqlite_stat1`).
    pub no_sys: bool,
    /// Only objects with names LIKE one of these; all if there are none.
    pub patterns: Vec<String>,
    /// End with a comment that tells rows and checksum, so that a cut-off dump is noticed: see [`Trailer`](crate::sql::trailer::Trailer).
    pub trailer: bool,
}

impl DumpOptions {
    /// Reads the arguments of `.dump`. The error is the argument that is no option.
    pub fn parse<'a>(arguments: impl IntoIterator<Item = &'a str>) -> std::result::Result<Self, &'a str> {
        let mut options = Self::default();
        for argument in arguments {
            let Some(option) = argument.strip_prefix('-') else {
                options.patterns.push(argument.to_owned());
                continue;
            };
            match option.strip_prefix('-').unwrap_or(option) {
                "preserve-rowids" => options.preserve_rowids = true,
                "newlines" => options.newlines = true,
                "data-only" => options.data_only = true,
                "nosys" => options.no_sys = true,
                _ => return Err(argument),
            }
        }
        Ok(options)
    }

    pub(super) fn line_ends(&self) -> LineEnds {
        if self.newlines {
            LineEnds::Raw
        } else {
            LineEnds::Replaced
        }
    }

    /// The condition on `sqlite_schema AS o`: names that match, and the shadow tables of virtual tables that do.
    pub(super) fn condition(&self) -> String {
        let one = |pattern: &String| {
            let pattern = literal(pattern);
            format!(
                "name LIKE {pattern} ESCAPE '\\' OR EXISTS (SELECT 1 FROM main.sqlite_schema WHERE \
                 name LIKE {pattern} ESCAPE '\\' AND sql LIKE 'CREATE VIRTUAL TABLE%' \
                 AND substr(o.name, 1, length(name)+1) == (name||'_'))"
            )
        };
        if self.patterns.is_empty() {
            return "true".to_owned();
        }
        self.patterns.iter().map(one).collect::<Vec<_>>().join(" OR ")
    }
}
