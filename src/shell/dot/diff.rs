//! `.diff`: what differs between this database and another one, wherever the two are. The comparison is `shell/compare`'s.

use super::CommandCall;
use super::open::target;
use crate::shell::compare::{Depth, Difference, DifferenceKind, DifferenceSink, compare, exact_literal};
use crate::shell::exec::screen::show_rows;
use crate::shell::render::Mode;
use crate::shell::state::{Interrupt, Shell, ShellResult};
use crate::sql::text::value_to_text;
use crate::sql::{Sink, Value, ValueRef};
use std::io;

/// Shows differences, and counts them.
struct Report<'r> {
    sink: &'r mut dyn Sink,
    mode: Mode,
    differences: u64,
}

impl DifferenceSink for Report<'_> {
    fn difference(&mut self, difference: &Difference<'_>) -> io::Result<()> {
        self.differences += 1;
        let what = match difference.kind {
            DifferenceKind::OnlyHere => "only here",
            DifferenceKind::OnlyThere => "only there",
            DifferenceKind::Sql => "sql",
            DifferenceKind::Column(name) => name,
            DifferenceKind::OtherKey => "rows not compared: other primary key",
        };
        let (here, there) = match difference.kind {
            DifferenceKind::Column(_) => distinct(difference.here, difference.there, self.mode),
            _ => (difference.here.clone(), difference.there.clone()),
        };
        let row = difference
            .row
            .map_or(ValueRef::Null, |row| ValueRef::Text(row.as_bytes()));
        self.sink
            .row(&[
                ValueRef::Text(difference.object.as_bytes()),
                row,
                ValueRef::Text(what.as_bytes()),
                (&here).into(),
                (&there).into(),
            ])
            .map(drop)
    }
}

/// Two values that differ, so that a mode shows them differently: as literals, where as they are they would look the same.
fn distinct(here: &Value, there: &Value, mode: Mode) -> (Value, Value) {
    let is_alike = match mode {
        Mode::Quote | Mode::Insert => false,
        Mode::Json | Mode::Jsonl => {
            let has_blob = [here, there].iter().any(|value| matches!(value, Value::Blob(_)));
            has_blob && value_to_text(here) == value_to_text(there)
        }
        _ => value_to_text(here) == value_to_text(there),
    };
    match is_alike {
        true => (Value::Text(exact_literal(here)), Value::Text(exact_literal(there))),
        false => (here.clone(), there.clone()),
    }
}

pub fn diff(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    let [name] = call.texts()[..] else {
        return shell.fail(format_args!("Usage: .diff TARGET"));
    };
    let other = target(shell, name)?.restricted(true, false);
    let names = ["object", "row", "difference", "here", "there"];
    let mode = shell.settings.style.mode;
    let result = show_rows(shell, &names, |session, sink| {
        let mut report = Report {
            sink,
            mode,
            differences: 0,
        };
        let compared = compare(session, &other, Depth::Rows, &mut report);
        (compared, report.differences)
    })?;
    // Who leaves the pager has seen that there are differences.
    let Some((compared, differences)) = result else {
        return Err(Interrupt::Failed(1));
    };
    match compared {
        Err(error) => shell.fail(format_args!("Error: {error}")),
        // As a comparison of files: scripts learn it from the exit code.
        Ok(()) if differences > 0 => Err(Interrupt::Failed(1)),
        Ok(()) => Ok(()),
    }
}
