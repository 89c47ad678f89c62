//! `torso doctor`: looks for what is wrong and says how to mend it.

use crate::context::Context;
use crate::control::findings::{Finding, Severity};
use crate::error::{Code, Error, Result};
use crate::ui::{Cell, Layout, Table, View};
use serde::Serialize;

crate::commands::schemas::document!("doctor" => Findings);

/// Find problems, and say how to fix them
///
/// Checks the SQLite in use, file permissions, the catalog, locks, orphaned files and stale replicas. The exit code is 0 if
/// there is no warning and no error, else 1. Each finding has a code that scripts can look for.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  torso doctor\n  torso doctor --fix\n\nExit codes: 0 nothing is wrong, 1 something is: the FIX column says what to type"
)]
pub(super) struct Args {
    /// Fix what can be fixed without losing data
    #[arg(long)]
    fix: bool,
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
#[serde(transparent)]
struct Findings(Vec<Finding>);

pub(super) fn run(ctx: &Context, args: &Args) -> Result<()> {
    let findings = Findings(ctx.control()?.check(args.fix)?);
    ctx.ui.show(&findings)?;
    let bad = findings
        .0
        .iter()
        .filter(|finding| finding.severity >= Severity::Warning)
        .count();
    if bad == 0 {
        return Ok(());
    }
    let things = if bad == 1 {
        "1 thing is".to_owned()
    } else {
        format!("{bad} things are")
    };
    let error = Error::new(Code::Unhealthy, format!("{things} wrong"));
    Err(if args.fix {
        error
    } else {
        error.hint("the FIX column says what to type; torso doctor --fix fixes what it can")
    })
}

impl View for Findings {
    fn layout(&self) -> Layout {
        let mut table = Table::new(["SEVERITY", "CODE", "MESSAGE", "FIX"], "No findings.");
        for finding in &self.0 {
            let severity = match finding.severity {
                Severity::Ok => "ok",
                Severity::Note => "note",
                Severity::Warning => "warning",
                Severity::Error => "error",
            };
            table.row(vec![
                Cell::text(severity),
                Cell::text(&finding.code),
                Cell::text(&finding.message),
                Cell::maybe(finding.fix.as_ref(), Cell::text),
            ]);
        }
        Layout::Table(table)
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|finding| finding.code.clone()).collect()
    }
}
