//! `.limits`: the engine's limits.

use super::CommandCall;
use super::local::local;
use crate::shell::state::{Shell, ShellResult};
use crate::shell::words::integer;
use rusqlite::limits::Limit;

/// Limits as `.limits` names them, in its order.
pub(super) const LIMITS: [(&str, Limit); 12] = [
    ("length", Limit::SQLITE_LIMIT_LENGTH),
    ("sql_length", Limit::SQLITE_LIMIT_SQL_LENGTH),
    ("column", Limit::SQLITE_LIMIT_COLUMN),
    ("expr_depth", Limit::SQLITE_LIMIT_EXPR_DEPTH),
    ("compound_select", Limit::SQLITE_LIMIT_COMPOUND_SELECT),
    ("vdbe_op", Limit::SQLITE_LIMIT_VDBE_OP),
    ("function_arg", Limit::SQLITE_LIMIT_FUNCTION_ARG),
    ("attached", Limit::SQLITE_LIMIT_ATTACHED),
    ("like_pattern_length", Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH),
    ("variable_number", Limit::SQLITE_LIMIT_VARIABLE_NUMBER),
    ("trigger_depth", Limit::SQLITE_LIMIT_TRIGGER_DEPTH),
    ("worker_threads", Limit::SQLITE_LIMIT_WORKER_THREADS),
];

/// Their names, for completion.
pub const NAMES: [&str; 12] = {
    let mut names = [""; 12];
    let mut at = 0;
    while at < names.len() {
        names[at] = LIMITS[at].0;
        at += 1;
    }
    names
};

pub fn limits(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    local(shell, "limits")?;
    let words = call.texts();
    let chosen = match words[..] {
        [] => {
            for (name, limit) in LIMITS {
                let value = local(shell, "limits")?.limit(limit).unwrap_or(-1);
                shell.show(format_args!("{name:>20} {value}"))?;
            }
            return Ok(());
        }
        [name] | [name, _] => name.to_ascii_lowercase(),
        _ => return shell.fail(format_args!("Usage: .limit NAME ?NEW-VALUE?")),
    };
    let mut matching = LIMITS.iter().filter(|(name, _)| name.starts_with(&chosen));
    let (Some((name, limit)), None) = (matching.next(), matching.next()) else {
        return if LIMITS.iter().any(|(name, _)| name.starts_with(&chosen)) {
            shell.fail(format_args!("ambiguous limit: \"{}\"", words[0]))
        } else {
            shell.fail(format_args!(
                "unknown limit: \"{}\"\nenter \".limits\" with no arguments for a list.",
                words[0]
            ))
        };
    };
    let connection = local(shell, "limits")?;
    if let Some(value) = words.get(1) {
        #[allow(clippy::cast_possible_truncation)] // as classic does
        let value = integer(value) as i32;
        // A negative limit changes nothing, as in SQLite.
        let _ = connection.set_limit(*limit, value);
    }
    let value = connection.limit(*limit).unwrap_or(-1);
    shell.show(format_args!("{name:>20} {value}"))
}
