//! Dot-commands that open, close and copy databases.

use super::Call;
use super::engine::local;
use crate::shell::state::{Ran, SLOTS, Shell, Slot, text_of};
use crate::shell::words::is_option;
use crate::sql::Target;
use crate::sql::restrict::restrict_connection;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::time::Duration;

/// Pages copied at a time.
const PAGES: i32 = 100;
/// How often a busy source is tried, and how long is waited in between.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(100);

/// What a user's word for a database stands for.
pub(super) fn target(shell: &mut Shell<'_>, name: &str) -> Ran<Target> {
    if name == ":memory:" {
        return Ok(Target::Memory);
    }
    match (shell.hooks.resolve)(name) {
        Ok(Some(target)) => Ok(target),
        Ok(None) => Ok(Target::file(name)),
        Err(error) => shell.fail(format_args!("Error: {error}")),
    }
}

pub fn open(shell: &mut Shell<'_>, call: &Call) -> Ran {
    let mut file: Option<&str> = None;
    let (mut new, mut read_only, mut no_links) = (false, false, false);
    for word in &call.args {
        if is_option(word, "new") {
            new = true;
        } else if is_option(word, "readonly") {
            read_only = true;
        } else if is_option(word, "nofollow") {
            no_links = true;
        } else if word.starts_with('-') {
            return shell.fail(format_args!("unknown option: {word}"));
        } else if file.is_some() {
            return shell.fail(format_args!("extra argument: \"{word}\""));
        } else {
            file = Some(word);
        }
    }
    shell.disconnect();
    *shell.slot() = Slot::default();
    let Some(file) = file else {
        return shell.session().map(drop);
    };
    if shell.settings.safe && file != ":memory:" {
        shell.needs_trust(format_args!("cannot open disk-based database files in safe mode"))?;
    }
    let target = target(shell, file)?.restricted(read_only, no_links);
    if let (true, Target::File { path, .. }) = (new, &target) {
        // What cannot be removed cannot be opened anew either, and that is told.
        let _ = std::fs::remove_file(path);
    }
    match shell.connect(&target) {
        Ok(session) => {
            *shell.slot() = Slot {
                file: Some(target.called(file)),
                target: Some(target),
                session: Some(session),
                ..Slot::default()
            };
            Ok(())
        }
        Err(error) => {
            shell.say(format_args!(
                "Error: {error}\nNotice: using substitute in-memory database instead of \"{}\"",
                target.called(file)
            ))?;
            *shell.slot() = Slot {
                file: Some(target.called(file)),
                target: Some(Target::Memory),
                ..Slot::default()
            };
            shell.session().map(drop)
        }
    }
}

pub fn connection(shell: &mut Shell<'_>, call: &Call) -> Ran {
    let number = |word: &str| match word.as_bytes() {
        [digit @ b'0'..=b'9'] => Some(usize::from(digit - b'0')),
        _ => None,
    };
    match call.texts()[..] {
        [] => list_connections(shell),
        [word] if number(word).is_some() => {
            if let Some(index) = number(word).filter(|&index| index < SLOTS) {
                shell.active = index;
            }
            Ok(())
        }
        ["close", word] if number(word).is_some() => match number(word) {
            Some(index) if index == shell.active => {
                shell.fail(format_args!("cannot close the active database connection"))
            }
            Some(index) if index < SLOTS => {
                if let Some(mut session) = shell.slots[index].session.take() {
                    shell.changed += session.total_changes();
                }
                Ok(())
            }
            _ => Ok(()),
        },
        _ => shell.fail(format_args!("Usage: .connection [close] [CONNECTION-NUMBER]")),
    }
}

fn list_connections(shell: &mut Shell<'_>) -> Ran {
    for index in 0..SLOTS {
        let slot = &shell.slots[index];
        let file = match slot.file.as_deref() {
            _ if slot.session.is_none() && index != shell.active => continue,
            None => "(memory)",
            Some("") => "(temporary-file)",
            Some(file) => file,
        };
        let label = if index == shell.active { "ACTIVE" } else { "      " };
        let line = format!("{label} {index}: {file}\n");
        shell.out.write_standard(line.as_bytes())?;
    }
    Ok(())
}

fn words_of(error: &rusqlite::Error) -> String {
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

fn is_url(name: &str) -> bool {
    name.contains("://")
}

/// The other side of a copy in which a server takes part: a URL, or else a file.
fn elsewhere(shell: &mut Shell<'_>, name: &str, read_only: bool) -> Ran<Target> {
    if is_url(name) {
        return target(shell, name).map(|target| target.restricted(read_only, false));
    }
    Ok(Target::file(name).restricted(read_only, false))
}

pub fn backup(shell: &mut Shell<'_>, call: &Call) -> Ran {
    shell.needs_trust(format_args!("cannot run .{} in safe mode", call.name))?;
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
    if !shell.session()?.is_local() {
        return backup_server(shell, database, file);
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_URI;
    let Ok(mut copied) = Connection::open_with_flags(file, flags) else {
        return shell.fail(format_args!("Error: cannot open \"{file}\""));
    };
    if unsafely {
        // Only speed is lost if it is refused.
        let _ = copied.execute_batch("PRAGMA synchronous=OFF; PRAGMA journal_mode=OFF;");
    }
    match copy(local(shell, "backup")?, database, &mut copied, "main") {
        Ok(()) => Ok(()),
        Err(message) => shell.fail(format_args!("Error: {message}")),
    }
}

/// Copies the database on a server to a file. One that is there already is replaced when the copy is complete.
fn backup_server(shell: &mut Shell<'_>, database: &str, file: &str) -> Ran {
    if database != "main" {
        return shell.fail(format_args!("Error: of a server only main can be copied"));
    }
    let folder = Path::new(file)
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let Ok(made) = tempfile::Builder::new().prefix(".torso-").tempfile_in(folder) else {
        return shell.fail(format_args!("Error: cannot open \"{file}\""));
    };
    let made = made.into_temp_path();
    let to = elsewhere(shell, &made.to_string_lossy(), false)?;
    if let Err(error) = super::transfer::copy_to(shell.session()?, &to) {
        return shell.fail(format_args!("Error: {error}"));
    }
    match made.persist(file) {
        Ok(()) => Ok(()),
        Err(error) => shell.fail(format_args!("Error: cannot write \"{file}\": {}", error.error)),
    }
}

pub fn restore(shell: &mut Shell<'_>, call: &Call) -> Ran {
    shell.needs_trust(format_args!("cannot run .restore in safe mode"))?;
    let (database, file) = match call.texts()[..] {
        [file] => ("main", file),
        [database, file] => (database, file),
        _ => return shell.fail(format_args!("Usage: .restore ?DB? FILE")),
    };
    if is_url(file) || !shell.session()?.is_local() {
        if database != "main" {
            return shell.fail(format_args!("Error: with a server only main can be restored"));
        }
        let from = elsewhere(shell, file, true)?;
        let copied = super::transfer::copy_from(shell.session()?, &from);
        shell.wrote = true;
        if shell.settings.always_safe {
            // The copy had rules of its own for statements.
            let guard = shell.guard.clone();
            guard.watch(shell.session()?);
        }
        return match copied {
            Ok(copied) => {
                tell_left_behind(shell, &copied)?;
                if copied.has_modules && !matches!(shell.slot().target, None | Some(Target::Memory)) {
                    shell.disconnect();
                }
                Ok(())
            }
            Err(error) => shell.fail(format_args!("Error: {error}")),
        };
    }
    let Ok(source) = Connection::open(file) else {
        return shell.fail(format_args!("Error: cannot open \"{file}\""));
    };
    let copied = copy(&source, "main", local(shell, "restore")?, database);
    shell.wrote = true;
    match copied {
        Ok(()) => Ok(()),
        Err(message) => shell.fail(format_args!("Error: {message}")),
    }
}

fn tell_left_behind(shell: &mut Shell<'_>, copied: &super::transfer::Copied) -> Ran {
    for what in &copied.left_behind {
        shell.say(format_args!("Warning: not copied is {what}"))?;
    }
    Ok(())
}

/// Says what was cloned, as classic does.
fn tell_names(shell: &mut Shell<'_>) -> Ran {
    let names = "SELECT name FROM sqlite_schema WHERE sql NOT NULL ORDER BY type<>'table', rowid";
    for row in shell.ask(names, &[])? {
        shell.show(format_args!("{}... done", text_of(&row[0])))?;
    }
    Ok(())
}

/// Copies the database object by object and row by row. Of a damaged file, what can be read.
pub fn clone(shell: &mut Shell<'_>, call: &Call) -> Ran {
    shell.needs_trust(format_args!("cannot run .clone in safe mode"))?;
    let [file] = call.texts()[..] else {
        return shell.fail(format_args!("Usage: .clone FILENAME"));
    };
    let remote = is_url(file) || !shell.session()?.is_local();
    if !is_url(file) && std::path::Path::new(file).exists() {
        return shell.say(format_args!("File \"{file}\" already exists."));
    }
    let to = elsewhere(shell, file, false)?;
    let copied = super::transfer::copy_to(shell.session()?, &to);
    if let (Err(_), Target::File { path, .. }) = (&copied, &to) {
        // It was not there before, and holds nothing.
        let _ = std::fs::remove_file(path);
    }
    match copied {
        Ok(copied) => {
            if !remote {
                tell_names(shell)?;
            }
            return tell_left_behind(shell, &copied);
        }
        // What can be read of a damaged file is better than nothing.
        Err(error) if !remote && error.code() == crate::error::Code::InvalidFile => {}
        Err(error) => return shell.fail(format_args!("Error: {error}")),
    }
    let mut new = match Connection::open(file) {
        Ok(new) => new,
        Err(error) => {
            return shell.say(format_args!("Cannot create output database: {}", words_of(&error)));
        }
    };
    // What stands in a damaged file's schema may be anything.
    if let Err(error) = restrict_connection(&mut new) {
        return shell.fail(format_args!("Error: {error}"));
    }
    let cloned = clone_into(shell, &new)?;
    if let Err(error) = cloned {
        shell.say(format_args!("Error: {}", words_of(&error)))?;
    }
    Ok(())
}

fn clone_into(shell: &mut Shell<'_>, new: &Connection) -> Ran<rusqlite::Result<()>> {
    let begun = new.execute_batch("PRAGMA writable_schema=ON; BEGIN EXCLUSIVE;");
    if begun.is_err() {
        return Ok(begun);
    }
    shell.ask("PRAGMA writable_schema=ON", &[])?;
    let tables = shell.ask("SELECT name, sql FROM sqlite_schema WHERE type='table'", &[])?;
    for row in tables {
        let (name, sql) = (text_of(&row[0]), text_of(&row[1]));
        shell.show(format_args!("{name}... done"))?;
        if name != "sqlite_sequence"
            && !sql.is_empty()
            && let Err(error) = new.execute_batch(&sql)
        {
            shell.say(format_args!("Error: {}\nSQL: [{sql}]", words_of(&error)))?;
        }
        let connection = local(shell, "clone")?;
        let copied = clone_rows(connection, new, &name);
        if let Err(error) = copied {
            shell.say(format_args!("Error {}", words_of(&error)))?;
        }
    }
    let others = shell.ask("SELECT name, sql FROM sqlite_schema WHERE type!='table'", &[])?;
    for row in others {
        let (name, sql) = (text_of(&row[0]), text_of(&row[1]));
        if sql.is_empty() {
            continue;
        }
        shell.show(format_args!("{name}... done"))?;
        if let Err(error) = new.execute_batch(&sql) {
            shell.say(format_args!("Error: {}\nSQL: [{sql}]", words_of(&error)))?;
        }
    }
    shell.ask("PRAGMA writable_schema=OFF", &[])?;
    Ok(new.execute_batch("COMMIT; PRAGMA writable_schema=OFF;"))
}

fn clone_rows(from: &Connection, to: &Connection, table: &str) -> rusqlite::Result<()> {
    use super::schema::identifier;
    let mut select = from.prepare(&format!("SELECT * FROM {}", identifier(table)))?;
    let width = select.column_count();
    let marks = vec!["?"; width].join(",");
    let mut insert = to.prepare(&format!("INSERT OR IGNORE INTO {} VALUES({marks})", identifier(table)))?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        for index in 0..width {
            let value = rusqlite::types::ToSqlOutput::Borrowed(row.get_ref(index)?);
            insert.raw_bind_parameter(index + 1, value)?;
        }
        insert.raw_execute()?;
    }
    Ok(())
}
