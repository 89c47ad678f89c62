//! Shapes of answers that several verbs share.

use crate::context::Context;
use crate::error::{Code, Error, Result};
use crate::ui::{Cell, Layout, Table, View};
use serde::Serialize;

crate::commands::schemas::document!("--dry-run" => Plan);

/// The answer of a verb that changed something: the thing itself as JSON, a sentence for a person.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
pub(super) struct Done<T: Serialize> {
    #[serde(flatten)]
    pub thing: T,
    #[serde(skip)]
    pub sentence: String,
    /// The bare name; empty where nothing has one.
    #[serde(skip)]
    pub name: String,
}

impl<T: Serialize> Done<T> {
    pub fn new(thing: T, name: impl ToString, sentence: impl Into<String>) -> Self {
        Self {
            thing,
            sentence: sentence.into(),
            name: name.to_string(),
        }
    }
}

impl<T: Serialize> View for Done<T> {
    fn layout(&self) -> Layout {
        Layout::Said(self.sentence.clone())
    }

    fn names(&self) -> Vec<String> {
        Some(self.name.clone())
            .filter(|name| !name.is_empty())
            .into_iter()
            .collect()
    }
}

/// What would be done.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct Plan {
    dry_run: bool,
    steps: Vec<String>,
}

impl View for Plan {
    fn layout(&self) -> Layout {
        let mut table = Table::new(["DRY RUN: WOULD"], "Dry run: nothing would change.");
        for step in &self.steps {
            table.row(vec![Cell::text(step)]);
        }
        Layout::Table(table)
    }

    fn names(&self) -> Vec<String> {
        self.steps.clone()
    }
}

/// Answers a `--dry-run` with the steps that would be taken.
pub(super) fn plan(ctx: &Context, steps: Vec<String>) -> Result<()> {
    ctx.ui.show(&Plan { dry_run: true, steps })
}

/// [`plan`] about several things that would be destroyed, with the errors of those that would not be: see [`show_destroyed`].
pub(super) fn plan_destruction(
    ctx: &Context,
    steps: Vec<String>,
    errors: Vec<Error>,
    count: usize,
    noun: &str,
) -> Result<()> {
    show_destroyed(ctx, &Plan { dry_run: true, steps }, errors, count, noun)
}

/// [`plan`] about one thing of a list. One that is not there is the error `missing` or, with `--if-exists`, no step.
pub(super) fn plan_for_existing(
    ctx: &Context,
    step: String,
    is_there: bool,
    if_exists: bool,
    missing: Error,
) -> Result<()> {
    match (is_there, if_exists) {
        (true, _) => plan(ctx, vec![step]),
        (false, true) => plan(ctx, Vec::new()),
        (false, false) => Err(missing),
    }
}

/// One part of an answer to a command on several things.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
pub(super) struct Part {
    pub name: String,
    /// Whether something was changed.
    pub done: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Problem>,
}

/// An error inside an answer.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
pub(super) struct Problem {
    pub code: &'static str,
    pub message: String,
}

impl From<&Error> for Problem {
    fn from(error: &Error) -> Self {
        Self {
            code: error.code().name(),
            message: error.full_message(),
        }
    }
}

/// Shows what became of several things that were to be destroyed, with the errors of those that were not.
///
/// # Errors
///
/// The error itself where it is that of the only thing, or of all of them alike; else `PARTIAL`.
pub(super) fn show_destroyed(
    ctx: &Context,
    view: &impl View,
    mut errors: Vec<Error>,
    count: usize,
    noun: &str,
) -> Result<()> {
    let failed = errors.len();
    if failed == count && count == 1 {
        return Err(errors.remove(0));
    }
    ctx.ui.show(view)?;
    match failed {
        0 => Ok(()),
        _ if failed == count && errors.iter().all(|error| error.code() == errors[0].code()) => Err(errors.remove(0)),
        _ => Err(Error::new(
            Code::Partial,
            format!("{failed} of {} were not destroyed", counted(count, noun)),
        )),
    }
}

/// `1 database`, `2 databases`.
pub(super) fn counted(count: usize, noun: &str) -> String {
    if count == 1 {
        format!("1 {noun}")
    } else {
        format!("{count} {noun}s")
    }
}

/// `a, b and c`, cut where there are many: `a, b and 90 more databases`.
pub(super) fn shortened<T: ToString>(items: &[T], noun: &str) -> String {
    const SAID: usize = 10;
    let mut words: Vec<_> = items.iter().take(SAID).map(T::to_string).collect();
    match items.len().saturating_sub(SAID) {
        0 => {}
        1 => words.push(format!("1 more {noun}")),
        rest => words.push(format!("{rest} more {noun}s")),
    }
    match words.pop() {
        Some(last) if !words.is_empty() => format!("{} and {last}", words.join(", ")),
        last => last.unwrap_or_default(),
    }
}

/// `ams, lhr`.
pub(super) fn listed<T: ToString>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shortened_lists_name_ten_things_and_count_the_rest() {
        let list = |count: u32| shortened(&(1..=count).collect::<Vec<_>>(), "database");
        assert_eq!(list(0), "");
        assert_eq!(list(1), "1");
        assert_eq!(list(2), "1 and 2");
        assert_eq!(list(3), "1, 2 and 3");
        assert_eq!(list(11), "1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 1 more database");
        assert_eq!(list(100), "1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 90 more databases");
    }
}
