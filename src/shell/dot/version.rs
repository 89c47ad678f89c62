//! `.version`.

use super::CommandCall;
use crate::shell::state::{Shell, ShellResult};

pub fn version(shell: &mut Shell<'_>, _: &CommandCall) -> ShellResult {
    let source: String = match shell.ask("SELECT sqlite_source_id()", &[])?.first() {
        Some(row) => crate::sql::text::value_to_text(&row[0]),
        None => String::new(),
    };
    shell.show(format_args!("SQLite {} {source}", rusqlite::version()))?;
    shell.show(format_args!("torso {}", env!("CARGO_PKG_VERSION")))
}
