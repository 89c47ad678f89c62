//! `.diff`: what differs between this database and another one, wherever the two are. The comparison is `shell/compare`'s.

use super::CommandCall;
use super::open::target;
use crate::shell::compare::{Depth, Difference, DifferenceKind, DifferenceSink, compare};
use crate::shell::exec::screen::show_rows;
use crate::shell::state::{Interrupt, Shell, ShellResult};
use crate::sql::{Sink, ValueRef};
use std::io;

/// Shows differences, and counts them.
struct Report<'r> {
    sink: &'r mut dyn Sink,
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
        let row = difference
            .row
            .map_or(ValueRef::Null, |row| ValueRef::Text(row.as_bytes()));
        self.sink
            .row(&[
                ValueRef::Text(difference.object.as_bytes()),
                row,
                ValueRef::Text(what.as_bytes()),
                difference.here.into(),
                difference.there.into(),
            ])
            .map(drop)
    }
}

pub fn diff(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    let [name] = call.texts()[..] else {
        return shell.fail(format_args!("Usage: .diff TARGET"));
    };
    let other = target(shell, name)?.restricted(true, false);
    let names = ["object", "row", "difference", "here", "there"];
    let result = show_rows(shell, &names, |session, sink| {
        let mut report = Report { sink, differences: 0 };
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
