//! `.load`: extensions of SQLite.

use super::CommandCall;
use super::local::local;
use crate::shell::state::{Shell, ShellResult};

/// Loads an extension: code of the user's choice, in this process.
pub fn load(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    let (file, entry) = match call.texts()[..] {
        [] => return shell.fail(format_args!("Usage: .load FILE ?ENTRYPOINT?")),
        [file] => (file.to_owned(), None),
        [file, entry, ..] => (file.to_owned(), Some(entry.to_owned())),
    };
    let connection = local(shell, "load")?;
    // SAFETY: the user names the library and asks for its code to be run; loading from SQL is switched off again at once.
    #[allow(unsafe_code)]
    let loaded = unsafe {
        connection
            .load_extension_enable()
            .and_then(|()| connection.load_extension(&file, entry.as_deref()))
    };
    let _ = connection.load_extension_disable();
    match loaded {
        Ok(()) => Ok(()),
        Err(error) => shell.fail(format_args!("Error: {error}")),
    }
}
