//! Dot-commands that only change one of the shell's settings.

use super::CommandCall;
use crate::shell::state::{ExplainLayout, Shell, ShellResult, ShowPlan};
use crate::shell::words::integer;

/// Accepts a command of `sqlite3` that has no effect here.
pub fn ignore(_: &mut Shell<'_>, _: &CommandCall) -> ShellResult {
    Ok(())
}

/// The switch that is the command's only word.
fn only_switch(shell: &mut Shell<'_>, call: &CommandCall, usage: &str) -> ShellResult<i32> {
    match call.texts()[..] {
        [word] => shell.switch(word),
        _ => shell.fail(format_args!("Usage: {usage}")),
    }
}

pub fn bail(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    shell.settings.bail = only_switch(shell, call, ".bail on|off")? != 0;
    Ok(())
}

/// Line ends are never translated here, so there is nothing to choose.
pub fn binary(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    only_switch(shell, call, ".binary on|off").map(drop)
}

pub fn changes(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    shell.settings.changes = only_switch(shell, call, ".changes on|off")? != 0;
    Ok(())
}

pub fn echo(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    shell.settings.echo = only_switch(shell, call, ".echo on|off")? != 0;
    Ok(())
}

pub fn timer(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    shell.settings.timer = only_switch(shell, call, ".timer on|off")? != 0;
    Ok(())
}

pub fn headers(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    shell.settings.style.headers = only_switch(shell, call, ".headers on|off")? != 0;
    shell.settings.headers_chosen = true;
    Ok(())
}

pub fn scanstats(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    only_switch(shell, call, ".scanstats on|off")?;
    shell.say(format_args!("Warning: .scanstats not available in this build."))
}

pub fn eqp(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    let show = match call.texts()[..] {
        ["full"] => ShowPlan::Full,
        ["trigger"] => ShowPlan::Trigger,
        [word] => match shell.switch(word)? {
            0 => ShowPlan::Off,
            1 => ShowPlan::On,
            2 => ShowPlan::Trigger,
            _ => ShowPlan::Full,
        },
        _ => return shell.fail(format_args!("Usage: .eqp off|on|trace|trigger|full")),
    };
    shell.settings.show_plan = show;
    if let Some(session) = &mut shell.slot().session
        && let Some(engine) = session.engine()
    {
        // Without it the plans of triggers are not shown; nothing else depends on it.
        let _ = engine.connection().set_db_config(
            rusqlite::config::DbConfig::SQLITE_DBCONFIG_TRIGGER_EQP,
            show >= ShowPlan::Trigger,
        );
    }
    Ok(())
}

pub fn explain(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    shell.settings.explain = match call.args.first().map(String::as_str) {
        None => ExplainLayout::On,
        Some("auto") => ExplainLayout::Auto,
        Some(word) => match shell.switch(word)? {
            0 => ExplainLayout::Off,
            1 => ExplainLayout::On,
            _ => return Ok(()),
        },
    };
    Ok(())
}

pub fn nullvalue(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    match call.texts()[..] {
        [text] => {
            shell.settings.style.null = cut(text);
            Ok(())
        }
        _ => shell.fail(format_args!("Usage: .nullvalue STRING")),
    }
}

/// The bytes of a separator, or of a text for NULL, that classic keeps.
const LONGEST: usize = 19;

/// Texts longer than classic keeps are cut as it cuts them.
pub(in crate::shell) fn cut(text: &str) -> String {
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

pub fn separator(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    let style = &mut shell.settings.style;
    if let Some(columns) = call.args.first() {
        style.column_separator = cut(columns);
    }
    if let Some(rows) = call.args.get(1) {
        style.row_separator = cut(rows);
    }
    if call.args.is_empty() || call.args.len() > 2 {
        return shell.fail(format_args!("Usage: .separator COL ?ROW?"));
    }
    Ok(())
}

pub fn width(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    #[allow(clippy::cast_possible_truncation)] // as classic does
    let widths = call.args.iter().map(|word| integer(word) as i32).collect();
    shell.settings.style.widths = widths;
    Ok(())
}
