//! The connection of the engine beneath a session, for the commands that only a local database has.

use crate::shell::state::{Interrupt, Shell, ShellResult};
use rusqlite::Connection;

/// The connection beneath the session, to watch or to limit the engine at its work. Only a local database has one.
pub(super) fn local<'s>(shell: &'s mut Shell<'_>, command: &str) -> ShellResult<&'s mut Connection> {
    if !shell.session()?.is_local() {
        return shell.fail(format_args!(
            "Error: .{command} needs a database in a local file: it uses SQLite's own interface, which a server does not offer"
        ));
    }
    let engine = shell.session()?.engine().ok_or(Interrupt::Failed(1))?;
    engine.pass_verbatim();
    Ok(engine.connection())
}
