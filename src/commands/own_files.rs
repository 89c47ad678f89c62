//! Which files are torso's own, so that no command or shell that writes a file replaces one of them.

use crate::context::Context;
use crate::control::names::DatabaseName;
use crate::control::types::DatabaseFilter;
use crate::error::{Code, Error, Result};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Checks that a file that is to be written is none of torso's own: none in its data directory, and no database in the directory
/// of a location.
///
/// # Errors
///
/// `invalid_file` names the database that the file is of, where it is of one.
pub(super) fn check_not_own(ctx: &Context, path: &Path) -> Result<()> {
    // A link may be replaced, or what it leads to.
    let candidates = [named_path(path), path.canonicalize().ok()];
    let mut candidates = candidates.into_iter().flatten();
    let Some(own) = candidates.find(|file| is_own(ctx, file)) else {
        return Ok(());
    };
    let error = |what: String| {
        Error::new(
            Code::InvalidFile,
            format!("cannot write a file to {}: {what}", path.display()),
        )
    };
    Err(match database_of(ctx, &own) {
        Some(name) => error(format!("it is database {name} of torso")).hint(format!(
            "write to another file; torso db copy SOURCE {name} --overwrite replaces its content"
        )),
        None => error("it is among torso's own files".to_owned()).hint("write to another file"),
    })
}

/// The path in the directory that it is really in; the file itself need not be there.
fn named_path(path: &Path) -> Option<PathBuf> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    Some(parent.canonicalize().ok()?.join(path.file_name()?))
}

fn is_own(ctx: &Context, file: &Path) -> bool {
    let data = ctx.settings.data_dir().ok().map(|(directory, _)| directory);
    if data
        .and_then(|directory| directory.canonicalize().ok())
        .is_some_and(|directory| file.starts_with(directory))
    {
        return true;
    }
    // A location may have any directory, with other files in it.
    id_of(file).is_some() && database_of(ctx, file).is_some()
}

/// The id of the database that a file would be of, by its name: `ID.db`, `ID.db-wal` and the like.
fn id_of(file: &Path) -> Option<&str> {
    let name = file.file_name().and_then(OsStr::to_str)?;
    let (id, _) = name.split_once('.')?;
    (id.len() == 36 && id.chars().all(|letter| letter.is_ascii_hexdigit() || letter == '-')).then_some(id)
}

/// The database on this machine that a file is of. None where that cannot be found out.
fn database_of(ctx: &Context, file: &Path) -> Option<DatabaseName> {
    let id = id_of(file)?;
    if ctx.server_if_any().ok()?.is_some() {
        return None;
    }
    let databases = ctx.control().ok()?.list_databases(&DatabaseFilter::default()).ok()?;
    let found = databases.into_iter().find(|database| database.id.to_string() == id);
    found.map(|database| database.name)
}
