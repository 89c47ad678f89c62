//! Reads and changes the TOML files of settings. Comments survive, a change replaces the file atomically, and parallel
//! processes take turns.

use crate::error::{Code, Error, Result};
use crate::private_files;
use crate::temporary_files::TemporaryFile;
use crate::ui::output_file::check_replaceable;
use std::fs;
use std::io::Write;
use std::path::Path;
use toml_edit::DocumentMut;

/// The document at `path`; an empty one if there is no file.
pub fn read(path: &Path) -> Result<DocumentMut> {
    parse(path, &read_text(path)?)
}

/// The text of the document at `path`; an empty one if there is no file.
pub fn read_text(path: &Path) -> Result<String> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => Err(invalid(path, "it is not UTF-8 text")),
        Err(error) => Err(Error::io(error, format!("cannot read {}", path.display()))),
    }
}

/// A document's text, understood. The error tells the place and repeats nothing: a file may hold tokens, or be no settings
/// file at all.
pub fn parse(path: &Path, text: &str) -> Result<DocumentMut> {
    text.parse().map_err(|error: toml_edit::TomlError| {
        let at = error.span().map_or(text.len(), |span| span.start.min(text.len()));
        let before = &text.as_bytes()[..at];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
        invalid(path, &format!("line {line}, column {column} is not TOML"))
    })
}

/// The error for a settings file that cannot be used.
#[must_use]
pub fn invalid(path: &Path, why: &str) -> Error {
    Error::new(
        Code::InvalidSettings,
        format!("{} cannot be parsed: {why}", path.display()),
    )
    .hint("mend the file by hand; nothing in it was changed")
}

/// Changes the document at `path` under a lock; the file is replaced only if `change` succeeds. The directory is made
/// with mode 0700, the file with 0600.
pub fn change<T>(path: &Path, change: impl FnOnce(&mut DocumentMut) -> Result<T>) -> Result<T> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let doing = |error| Error::io(error, format!("cannot write {}", path.display()));
    create_private_dir(dir)?;
    let mut options = private_files::options();
    options.create(true).truncate(false).write(true);
    let lock = options.open(path.with_extension("lock")).map_err(doing)?;
    lock.lock().map_err(doing)?;
    let mut document = read(path)?;
    let result = change(&mut document)?;
    replace(path, &document.to_string(), 0o600)?;
    Ok(result)
}

/// Replaces a file by one with this text and mode, atomically: others see the old one or the new one, whole.
pub fn replace(path: &Path, text: &str, mode: u32) -> Result<()> {
    let doing = |error| Error::io(error, format!("cannot write {}", path.display()));
    check_replaceable(path)?;
    let dir = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // It has the mode from the beginning.
    #[cfg(unix)]
    let fresh = TemporaryFile::create_with_permissions(dir, std::os::unix::fs::PermissionsExt::from_mode(mode));
    #[cfg(not(unix))]
    let fresh = {
        let _ = mode;
        TemporaryFile::create_in(dir, ".tmp")
    };
    let mut fresh = fresh.map_err(doing)?;
    fresh.write_all(text.as_bytes()).map_err(doing)?;
    fresh.as_file().sync_all().map_err(doing)?;
    #[cfg(unix)]
    keep_owner(path, fresh.as_file());
    fresh.persist(path, true).map_err(doing)?;
    private_files::sync_folder_of(path).map_err(doing)
}

/// Gives a file that takes another's place its owner, as far as this user may: the application that reads it goes on reading it when
/// root writes it anew.
#[cfg(unix)]
fn keep_owner(path: &Path, fresh: &std::fs::File) {
    use std::os::unix::fs::{MetadataExt as _, fchown};
    if let (Ok(former), Ok(own)) = (std::fs::metadata(path), fresh.metadata())
        && (former.uid(), former.gid()) != (own.uid(), own.gid())
    {
        // Only root may; for others the file becomes theirs.
        let _ = fchown(fresh, Some(former.uid()), Some(former.gid()));
    }
}

/// Makes a directory and its missing parents, with mode 0700.
pub fn create_private_dir(dir: &Path) -> Result<()> {
    private_files::create_directory(dir).map_err(|error| Error::io(error, format!("cannot create {}", dir.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_change_keeps_comments_and_makes_the_file_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/config.toml");
        change(&path, |document| {
            *document = "# mine\noutput = \"json\" # why\n".parse().unwrap();
            Ok(())
        })
        .unwrap();
        change(&path, |document| {
            document["color"] = toml_edit::value("never");
            Ok(())
        })
        .unwrap();
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            "# mine\noutput = \"json\" # why\ncolor = \"never\"\n"
        );
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode(&path), 0o600);
            assert_eq!(mode(&path.with_extension("lock")), 0o600);
            assert_eq!(mode(path.parent().unwrap()), 0o700);
        }
    }

    #[test]
    fn settings_change_that_fails_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        fs::write(&path, "broken = ").unwrap();
        let error = change(&path, |_| Ok(())).unwrap_err();
        assert_eq!(error.code(), Code::InvalidSettings);
        assert_eq!(fs::read_to_string(&path).unwrap(), "broken = ");
        let error = parse(&path, "[tokens]\nprod = \"fine\"\ntest = torso_hush").unwrap_err();
        assert!(error.message().contains("line 3, column 8"), "{error}");
        assert!(!error.full_message().contains("hush"), "{error}");
    }

    #[test]
    fn settings_changes_in_parallel_take_turns() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        std::thread::scope(|scope| {
            for i in 0..8 {
                let path = &path;
                scope.spawn(move || {
                    change(path, |document| {
                        document[&format!("k{i}")] = toml_edit::value(i);
                        Ok(())
                    })
                });
            }
        });
        assert_eq!(read(&path).unwrap().len(), 8);
    }
}
