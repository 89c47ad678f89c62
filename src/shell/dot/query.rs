//! `.query`: statements kept under a name, for all databases and all sessions.

use super::CommandCall;
use crate::error::{Code, Error, Result};
use crate::private_files;
use crate::shell::exec::run_line;
use crate::shell::state::{Shell, ShellResult};
use crate::temporary_files::TemporaryFile;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

type Queries = BTreeMap<String, String>;

fn read(path: &Path) -> Result<Queries> {
    match fs::read(path) {
        Ok(text) => serde_json::from_slice(&text).map_err(|error| {
            Error::new(
                Code::InvalidSettings,
                format!("{} cannot be parsed: {error}", path.display()),
            )
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Queries::new()),
        Err(error) => Err(Error::io(error, format!("cannot read {}", path.display()))),
    }
}

/// Changes what is kept, in turn with other processes. The file is its owner's alone, and replaced whole.
fn change<T>(path: &Path, change: impl FnOnce(&mut Queries) -> T) -> Result<T> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let doing = |error| Error::io(error, format!("cannot write {}", path.display()));
    private_files::create_directory(directory).map_err(doing)?;
    let lock = private_files::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path.with_extension("lock"))
        .map_err(doing)?;
    lock.lock().map_err(doing)?;
    let mut queries = read(path)?;
    let result = change(&mut queries);
    let text = serde_json::to_string_pretty(&queries).map_err(|error| doing(error.into()))?;
    // A temporary file is 0600 from birth.
    let mut fresh = TemporaryFile::create_in(directory, ".tmp").map_err(doing)?;
    writeln!(fresh, "{text}").map_err(doing)?;
    fresh.as_file().sync_all().map_err(doing)?;
    fresh.persist(path, true).map_err(doing)?;
    Ok(result)
}

fn keep_error<T>(shell: &mut Shell<'_>, result: Result<T>) -> ShellResult<T> {
    result.or_else(|error| shell.fail(format_args!("Error: {error}")))
}

const USAGE: &str = "Usage: .query save NAME SQL | run NAME | list | drop NAME";

pub fn query(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    let Some(path): Option<PathBuf> = shell.hooks.queries.clone() else {
        return shell.fail(format_args!("Error: there is no settings directory to keep queries in"));
    };
    match call.texts()[..] {
        ["save", name, _, ..] => {
            let sql = call.rest(2);
            let done = change(&path, |queries| queries.insert(name.to_owned(), sql));
            keep_error(shell, done).map(drop)
        }
        ["list"] => {
            for (name, sql) in keep_error(shell, read(&path))? {
                shell.show(format_args!("{name}: {sql}"))?;
            }
            Ok(())
        }
        ["run", name] => {
            let queries = keep_error(shell, read(&path))?;
            let Some(sql) = queries.get(name) else {
                return unknown(shell, name);
            };
            let line = shell.input.line;
            run_line(shell, sql.as_bytes(), line)
        }
        ["drop", name] => {
            let done = change(&path, |queries| queries.remove(name));
            match keep_error(shell, done)? {
                Some(_) => Ok(()),
                None => unknown(shell, name),
            }
        }
        _ => shell.fail(format_args!("{USAGE}")),
    }
}

fn unknown(shell: &mut Shell<'_>, name: &str) -> ShellResult {
    shell.fail(format_args!(
        "Error: there is no query \"{name}\"; .query list shows all"
    ))
}
