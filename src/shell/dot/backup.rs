//! `.backup`, `.save` and `.restore`: whole copies of a database.

use super::CommandCall;
use super::local::local;
use super::open::target;
use crate::change_outcome::{ChangeUnderWay, note_lasting_change};
use crate::shell::exec::confirm::confirm;
use crate::shell::state::{Shell, ShellResult};
use crate::shell::words::is_option;
use crate::sql::Target;
use crate::sql::companions::remove_companions;
use crate::temporary_files::{TemporaryFile, UnfinishedFile};
use crate::ui::output_file::check_replaceable;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::time::Duration;

/// Pages copied at a time.
const PAGES: i32 = 100;

/// How often a busy source is tried, and how long is waited in between.
const TRIES: u32 = 3;

const PAUSE: Duration = Duration::from_millis(100);

pub fn words_of(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(_, Some(message)) => message.clone(),
        rusqlite::Error::SqliteFailure(code, None) => code.to_string(),
        other => other.to_string(),
    }
}

/// Copies all pages. A source that is written to meanwhile is waited for.
fn copy(from: &Connection, from_name: &str, to: &mut Connection, to_name: &str) -> Result<(), String> {
    let backup = Backup::new_with_names(from, from_name, to, to_name).map_err(|error| words_of(&error))?;
    let mut tries = 0;
    loop {
        match backup.step(PAGES).map_err(|error| words_of(&error))? {
            StepResult::Done => return Ok(()),
            StepResult::More => {}
            _ if tries == TRIES => return Err("source database is busy".to_owned()),
            _ => {
                tries += 1;
                std::thread::sleep(PAUSE);
            }
        }
    }
}

pub fn is_url(name: &str) -> bool {
    name.contains("://")
}

/// The other side of a copy in which a server takes part: a URL, or else a file.
pub fn elsewhere(shell: &mut Shell<'_>, name: &str, read_only: bool) -> ShellResult<Target> {
    if is_url(name) {
        return target(shell, name).map(|target| target.restricted(read_only, false));
    }
    Ok(Target::file(name).restricted(read_only, false))
}

pub fn backup(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    let mut places: Vec<&str> = Vec::new();
    let mut unsafely = false;
    for word in &call.args {
        if is_option(word, "async") {
            unsafely = true;
        } else if word.starts_with('-') {
            return shell.fail(format_args!("unknown option: {word}"));
        } else if places.len() == 2 {
            return shell.fail(format_args!("Usage: .backup ?DB? ?OPTIONS? FILENAME"));
        } else {
            places.push(word);
        }
    }
    let (database, file) = match places[..] {
        [file] => ("main", file),
        [database, file] => (database, file),
        _ => return shell.fail(format_args!("missing FILENAME argument on .backup")),
    };
    shell.check_output_file(file)?;
    if !shell.session()?.is_local() {
        return backup_server(shell, database, file);
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_URI;
    let _unfinished = UnfinishedFile::begin(Path::new(file));
    let Ok(mut copied) = Connection::open_with_flags(file, flags) else {
        return shell.fail(format_args!("Error: cannot open \"{file}\""));
    };
    if unsafely {
        // Only speed is lost if it is refused.
        let _ = copied.execute_batch("PRAGMA synchronous=OFF; PRAGMA journal_mode=OFF;");
    }
    match copy(local(shell, "backup")?, database, &mut copied, "main") {
        Ok(()) => {
            note_lasting_change();
            Ok(())
        }
        Err(message) => shell.fail(format_args!("Error: {message}")),
    }
}

/// Copies the database on a server to a file. One that is there already is replaced when the copy is complete.
fn backup_server(shell: &mut Shell<'_>, database: &str, file: &str) -> ShellResult {
    if database != "main" {
        return shell.fail(format_args!("Error: only main can be copied from a server"));
    }
    if let Err(error) = check_replaceable(Path::new(file)) {
        return shell.fail(format_args!("Error: {error}"));
    }
    let folder = Path::new(file)
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let Ok(made) = TemporaryFile::create_in(folder, ".torso-") else {
        return shell.fail(format_args!("Error: cannot open \"{file}\""));
    };
    let to = elsewhere(shell, &made.path().to_string_lossy(), false)?;
    let copied = super::transfer::copy_to(shell.session()?, &to);
    super::auth::install_authorizer(shell);
    if let Err(error) = copied {
        return shell.fail(format_args!("Error: {error}"));
    }
    if let Err(error) = remove_companions(Path::new(file)) {
        return shell.fail(format_args!("Error: {error}"));
    }
    match made.persist(Path::new(file), true) {
        Ok(_) => {
            note_lasting_change();
            Ok(())
        }
        Err(error) => shell.fail(format_args!("Error: cannot write \"{file}\": {error}")),
    }
}

/// Opens what a database is to be replaced by. Fails with the reason if it is not there, holds no database, or is damaged: the
/// old one goes only when the new one is whole.
fn open_source(file: &str) -> Result<Connection, String> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if !file.starts_with("file:") && !Path::new(file).exists() {
        return Err("there is no such file".to_owned());
    }
    let source = Connection::open_with_flags(file, flags).map_err(|error| words_of(&error))?;
    let pages: i64 = source
        .query_row("PRAGMA page_count", [], |row| row.get(0))
        .map_err(|error| words_of(&error))?;
    if pages == 0 {
        return Err("it is empty".to_owned());
    }
    let health: String = source
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|error| words_of(&error))?;
    if health == "ok" {
        return Ok(source);
    }
    // The first line only names the database.
    let damage = health.lines().find(|line| !line.starts_with("***"));
    Err(format!("it is damaged ({})", damage.unwrap_or_default()))
}

pub fn restore(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    let (database, file) = match call.texts()[..] {
        [file] => ("main", file),
        [database, file] => (database, file),
        _ => return shell.fail(format_args!("Usage: .restore ?DB? FILE")),
    };
    confirm(shell, "This replaces all of its content")?;
    if is_url(file) || !shell.session()?.is_local() {
        if database != "main" {
            return shell.fail(format_args!("Error: only main can be restored from or to a server"));
        }
        let from = elsewhere(shell, file, true)?;
        let copied = super::transfer::copy_from(shell.session()?, &from);
        shell.statements.wrote = true;
        // The copy had rules of its own for statements.
        super::auth::install_authorizer(shell);
        return match copied {
            Ok(copied) => {
                warn_of_omissions(shell, &copied)?;
                if copied.has_modules && !matches!(shell.slot().target, None | Some(Target::Memory)) {
                    shell.disconnect();
                }
                Ok(())
            }
            Err(error) => shell.fail(format_args!("Error: {error}")),
        };
    }
    let source = match open_source(file) {
        Ok(source) => source,
        Err(why) => {
            return shell.fail(format_args!(
                "Error: cannot restore from \"{file}\": {why}; nothing was changed"
            ));
        }
    };
    let change = ChangeUnderWay::begin();
    let copied = copy(&source, "main", local(shell, "restore")?, database);
    shell.statements.wrote = true;
    drop(change);
    match copied {
        Ok(()) => {
            note_lasting_change();
            Ok(())
        }
        Err(message) => shell.fail(format_args!("Error: {message}")),
    }
}

pub fn warn_of_omissions(shell: &mut Shell<'_>, copied: &super::transfer::Copied) -> ShellResult {
    for what in &copied.left_behind {
        shell.say(format_args!("Warning: {what}"))?;
    }
    Ok(())
}
