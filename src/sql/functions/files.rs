//! `readfile`, `writefile`, `lsmode`: files from SQL.

use super::{DIRECT, PURE, refused, text};
use crate::change_outcome::note_lasting_change;
use crate::private_files;
use rusqlite::functions::Context;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Result};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

const TYPE: u32 = 0o170_000;
const DIRECTORY: u32 = 0o040_000;
const LINK: u32 = 0o120_000;

fn path(value: ValueRef<'_>) -> Option<PathBuf> {
    text(value).map(|bytes| path_of(&bytes))
}

/// Bytes as a path, as they are where the system's paths are bytes.
fn path_of(bytes: &[u8]) -> PathBuf {
    #[cfg(unix)]
    return PathBuf::from(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(bytes));
    #[cfg(not(unix))]
    PathBuf::from(String::from_utf8_lossy(bytes).into_owned())
}

/// Sets the permissions of a mode, where the system has them.
fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    #[cfg(unix)]
    return fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode & 0o777));
    #[cfg(not(unix))]
    {
        let _ = (path, mode);
        Ok(())
    }
}

/// Makes a directory that has its mode from the beginning.
fn make_directory(path: &Path, mode: u32) -> io::Result<()> {
    #[cfg_attr(not(unix), allow(unused_mut))] // nothing to set there
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, mode & 0o777);
    #[cfg(not(unix))]
    let _ = mode;
    builder.create(path)
}

/// A file's content; NULL if it cannot be read.
fn read(context: &Context<'_>) -> Option<Vec<u8>> {
    fs::read(path(context.get_raw(0))?).ok()
}

/// Makes a file, a directory or a link, and the directories above it. Returns the number of bytes written.
fn write(context: &Context<'_>) -> Result<Value> {
    if !(2..=4).contains(&context.len()) {
        return Err(refused("wrong number of arguments to function writefile()"));
    }
    let Some(file) = path(context.get_raw(0)) else {
        return Ok(Value::Null);
    };
    let data = text(context.get_raw(1)).unwrap_or_default();
    let mode = match context.len() {
        2 => 0,
        _ => context.get::<Option<u32>>(2)?.unwrap_or(0),
    };
    let mut made = make(&file, &data, mode);
    if made.is_err()
        && let Some(parent) = file.parent()
    {
        // The missing thing may be the directories above it; the second try reports anything else.
        let _ = fs::create_dir_all(parent);
        made = make(&file, &data, mode);
    }
    let times = match context.len() {
        4 => context.get::<Option<i64>>(3)?,
        _ => None,
    };
    if let (Ok(_), Some(seconds)) = (&made, times.and_then(|seconds| u64::try_from(seconds).ok())) {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        if let Ok(file) = fs::File::open(&file) {
            // The content is written; a wrong time is no reason to fail.
            let _ = file.set_times(fs::FileTimes::new().set_accessed(time).set_modified(time));
        }
    }
    let file = file.display();
    match (made, mode & TYPE) {
        (Ok(written), _) => Ok(Value::Integer(i64::try_from(written).unwrap_or(i64::MAX))),
        (Err(_), LINK) => Err(refused(format!("failed to create symlink: {file}"))),
        (Err(_), DIRECTORY) => Err(refused(format!("failed to create directory: {file}"))),
        (Err(_), _) => Err(refused(format!("failed to write file: {file}"))),
    }
}

fn make(file: &Path, data: &[u8], mode: u32) -> io::Result<usize> {
    note_lasting_change();
    match mode & TYPE {
        LINK => {
            private_files::link(&path_of(data), file)?;
            Ok(0)
        }
        DIRECTORY => {
            match make_directory(file, mode) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && file.is_dir() => set_mode(file, mode)?,
                other => other?,
            }
            Ok(0)
        }
        _ => {
            let mut opened = fs::File::create(file)?;
            opened.write_all(data)?;
            if mode & 0o777 != 0 {
                set_mode(file, mode)?;
            }
            Ok(data.len())
        }
    }
}

/// A file mode as `ls -l` shows it.
fn list_mode(mode: u32) -> String {
    let kind = match mode & TYPE {
        LINK => 'l',
        DIRECTORY => 'd',
        0o100_000 => '-',
        _ => '?',
    };
    let bits = (0..9).map(|bit| {
        let letter = ['r', 'w', 'x'][bit % 3];
        if mode & (0o400 >> bit) != 0 { letter } else { '-' }
    });
    std::iter::once(kind).chain(bits).collect()
}

pub(super) fn register(connection: &Connection) -> Result<()> {
    connection.create_scalar_function("readfile", 1, DIRECT, |context| Ok(read(context)))?;
    connection.create_scalar_function("writefile", -1, DIRECT, |context| write(context))?;
    connection.create_scalar_function("lsmode", 1, PURE, |context| Ok(list_mode(context.get(0)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_mode_is_listed_as_by_ls() {
        assert_eq!(list_mode(0o100_644), "-rw-r--r--");
        assert_eq!(list_mode(0o040_755), "drwxr-xr-x");
    }
}
