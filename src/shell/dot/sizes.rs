//! `.sizes`: bytes of each table and index.

use super::CommandCall;
use crate::shell::exec::execute;
use crate::shell::state::{Interrupt, Shell, ShellResult};
use crate::sqltext::quote::literal;

/// Runs a statement of the shell's own and shows its result in the present mode.
pub fn show_query(shell: &mut Shell<'_>, sql: &str) -> ShellResult {
    match execute(shell, sql.as_bytes()) {
        Err(Interrupt::Statement(error)) => shell.fail(format_args!("Error: {}", error.message)),
        ran => ran,
    }
}

/// Bytes of each table and index, the largest first.
pub fn sizes(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    let pattern = match call.texts()[..] {
        [] => "%",
        [pattern] => pattern,
        _ => return shell.fail(format_args!("Usage: .sizes ?PATTERN?")),
    };
    show_query(
        shell,
        &format!(
            "SELECT s.name AS name, coalesce(o.type, 'table') AS type, coalesce(o.tbl_name, s.name) AS \"table\", \
             s.pgsize AS bytes, s.pageno AS pages, s.ncell AS entries, s.unused AS unused FROM dbstat AS s \
             LEFT JOIN sqlite_schema AS o ON o.name = s.name AND o.type IN ('table', 'index') \
             WHERE s.aggregate = 1 AND s.name LIKE {} ORDER BY bytes DESC, name",
            literal(pattern)
        ),
    )
}
