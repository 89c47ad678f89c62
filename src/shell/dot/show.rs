//! `.show`: the shell's settings.

use super::CommandCall;
use super::mode::described;
use crate::shell::state::{ExplainLayout, Shell, ShellResult, ShowPlan};
use crate::shell::words::c_literal;
use crate::sql::{Target, Value};
use std::io::Write;

pub fn show(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    if !call.args.is_empty() {
        return shell.fail(format_args!("Usage: .show"));
    }
    let on = |on: bool| if on { "on" } else { "off" };
    let settings = &shell.settings;
    let widths: String = settings.style.widths.iter().map(|width| format!("{width} ")).collect();
    let rows = [
        ("echo", on(settings.echo).to_owned()),
        (
            "eqp",
            match settings.show_plan {
                ShowPlan::Off => "off",
                ShowPlan::On => "on",
                ShowPlan::Trigger => "trigger",
                ShowPlan::Full => "full",
            }
            .to_owned(),
        ),
        (
            "explain",
            match settings.explain {
                ExplainLayout::Auto => "auto",
                ExplainLayout::On => "on",
                ExplainLayout::Off => "off",
            }
            .to_owned(),
        ),
        ("headers", on(settings.style.headers).to_owned()),
        ("mode", described(settings)),
        ("nullvalue", c_literal(&settings.style.null)),
        ("output", shell.out.name().unwrap_or("stdout").to_owned()),
        ("colseparator", c_literal(&settings.style.column_separator)),
        ("rowseparator", c_literal(&settings.style.row_separator)),
        (
            "stats",
            ["off", "on", "stmt", "vmstep"][usize::from(settings.stats.min(3))].to_owned(),
        ),
        ("width", widths),
        (
            "filename",
            shell.connections.slots[shell.connections.active]
                .file
                .clone()
                .unwrap_or_default(),
        ),
    ];
    for (label, value) in rows {
        writeln!(shell.out, "{label:>12}: {value}")?;
    }
    show_foreign_keys(shell)
}

/// The one setting of a session that a server begins with differently, told where there is a server or a person.
fn show_foreign_keys(shell: &mut Shell<'_>) -> ShellResult {
    let remote = matches!(shell.slot().target, Some(Target::Remote { .. }));
    if !remote && shell.terminal.is_none() {
        return Ok(());
    }
    // A server that cannot be asked is told of by the next statement.
    let Ok(rows) = shell.query("PRAGMA foreign_keys", &[])? else {
        return Ok(());
    };
    let on = rows.first().and_then(|row| row.first()) == Some(&Value::Integer(1));
    let usual = if remote {
        "servers begin with on, files with off"
    } else {
        "files begin with off, servers with on"
    };
    shell.show(format_args!(
        "foreign_keys: {} ({usual})",
        if on { "on" } else { "off" }
    ))
}
