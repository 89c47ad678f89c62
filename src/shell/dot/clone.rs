//! `.clone`: a copy made object by object and row by row.

use super::CommandCall;
use super::backup::{elsewhere, is_url, warn_of_omissions, words_of};
use super::local::local;
use crate::change_outcome::note_lasting_change;
use crate::shell::state::{Shell, ShellResult};
use crate::sql::Target;
use crate::sql::restrict::restrict_connection;
use crate::sql::text::value_to_text;
use crate::sqltext::quote::identifier;
use crate::temporary_files::UnfinishedFile;
use rusqlite::Connection;

/// Says what was cloned, as classic does.
fn print_clone_names(shell: &mut Shell<'_>) -> ShellResult {
    let names = "SELECT name FROM sqlite_schema WHERE sql NOT NULL ORDER BY type<>'table', rowid";
    for row in shell.ask(names, &[])? {
        shell.show(format_args!("{}... done", value_to_text(&row[0])))?;
    }
    Ok(())
}

/// Copies the database object by object and row by row. Of a damaged file, what can be read.
pub fn clone(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    let [file] = call.texts()[..] else {
        return shell.fail(format_args!("Usage: .clone FILENAME"));
    };
    let remote = is_url(file) || !shell.session()?.is_local();
    if !is_url(file) && std::path::Path::new(file).exists() {
        return shell.say(format_args!("File \"{file}\" already exists."));
    }
    let to = elsewhere(shell, file, false)?;
    let _unfinished = match &to {
        Target::File { path, .. } => UnfinishedFile::begin(path),
        _ => None,
    };
    let copied = super::transfer::copy_to(shell.session()?, &to);
    super::auth::install_authorizer(shell);
    if let (Err(_), Target::File { path, .. }) = (&copied, &to) {
        // It was not there before, and holds nothing.
        let _ = std::fs::remove_file(path);
    }
    match copied {
        Ok(copied) => {
            note_lasting_change();
            if !remote {
                print_clone_names(shell)?;
            }
            return warn_of_omissions(shell, &copied);
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

fn clone_into(shell: &mut Shell<'_>, new: &Connection) -> ShellResult<rusqlite::Result<()>> {
    let begun = new.execute_batch("PRAGMA writable_schema=ON; BEGIN EXCLUSIVE;");
    if begun.is_err() {
        return Ok(begun);
    }
    shell.ask("PRAGMA writable_schema=ON", &[])?;
    let tables = shell.ask("SELECT name, sql FROM sqlite_schema WHERE type='table'", &[])?;
    for row in tables {
        let (name, sql) = (value_to_text(&row[0]), value_to_text(&row[1]));
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
        let (name, sql) = (value_to_text(&row[0]), value_to_text(&row[1]));
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
