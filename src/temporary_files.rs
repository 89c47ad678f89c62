//! Files that vanish unless the work that makes them is finished, however the program ends: by `--timeout`, Ctrl-C or a signal,
//! too, when no destructor runs. Only SIGKILL and a crash leave them.

use crate::sync::lock;
use std::collections::BTreeMap;
use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};
use tempfile::NamedTempFile;

/// What SQLite keeps beside a database while it writes.
const COMPANIONS: [&str; 4] = ["", "-journal", "-wal", "-shm"];

/// The files that are not finished, by a number for each.
static UNFINISHED: Mutex<Registry> = Mutex::new(Registry {
    paths: BTreeMap::new(),
    next: 0,
});

/// What is called, once, before the first file is made.
static ON_FIRST: Mutex<Option<Box<dyn FnOnce() + Send>>> = Mutex::new(None);

struct Registry {
    paths: BTreeMap<u64, PathBuf>,
    next: u64,
}

impl Registry {
    fn add(&mut self, path: &Path) -> UnfinishedFile {
        self.next += 1;
        // The working directory may be another one at the end.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        self.paths.insert(self.next, path);
        UnfinishedFile { number: self.next }
    }
}

/// The registry, for whoever is about to make a file: what cares for files at an early end is there before the first one is.
fn registry_of_maker() -> MutexGuard<'static, Registry> {
    let registry = lock(&UNFINISHED);
    let on_first = lock(&ON_FIRST).take();
    if let Some(on_first) = on_first {
        on_first();
    }
    registry
}

/// Has a function called when the first unfinished file is made: a command that makes none needs no care at its end.
pub fn on_first(function: impl FnOnce() + Send + 'static) {
    *lock(&ON_FIRST) = Some(Box::new(function));
}

/// Removes all unfinished files, for a program that ends now. Threads that make or finish one after this wait until it has ended.
pub fn remove_unfinished() {
    let registry = lock(&UNFINISHED);
    for path in registry.paths.values() {
        for companion in COMPANIONS {
            let mut name = path.as_os_str().to_owned();
            name.push(companion);
            // It may not be there, and nothing more can be done about one that stays.
            let _ = std::fs::remove_file(name);
        }
    }
    std::mem::forget(registry);
}

/// A file under the name that it is to have, as long as it is not finished. When this is dropped the file stays: it is whole, or
/// its maker has removed it.
#[derive(Debug)]
pub struct UnfinishedFile {
    number: u64,
}

impl UnfinishedFile {
    /// Registers a file that is about to be made. Where there is one already, it is somebody's: none is returned.
    #[must_use]
    pub fn begin(path: &Path) -> Option<Self> {
        let mut registry = registry_of_maker();
        path.symlink_metadata().is_err().then(|| registry.add(path))
    }

    fn forget(&self, registry: &mut MutexGuard<'_, Registry>) {
        registry.paths.remove(&self.number);
    }
}

impl Drop for UnfinishedFile {
    fn drop(&mut self) {
        self.forget(&mut lock(&UNFINISHED));
    }
}

/// A file under a name of its own, removed when this is dropped.
#[derive(Debug)]
pub struct TemporaryFile {
    // Dropped in this order: the file is gone before it is forgotten.
    file: NamedTempFile,
    entry: UnfinishedFile,
}

impl TemporaryFile {
    /// Makes one in a directory, which only its owner may read. Its name begins with `prefix`.
    ///
    /// # Errors
    ///
    /// Those of the file system, as for all functions here.
    pub fn create_in(directory: &Path, prefix: &str) -> io::Result<Self> {
        Self::build(tempfile::Builder::new().prefix(prefix), directory)
    }

    /// The same, with other permissions from its first moment.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn create_with_permissions(directory: &Path, permissions: Permissions) -> io::Result<Self> {
        Self::build(tempfile::Builder::new().permissions(permissions), directory)
    }

    /// Makes one in the directory for temporary files. Its name begins with `prefix` and ends with `suffix`.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn create(prefix: &str, suffix: &str) -> io::Result<Self> {
        let mut builder = tempfile::Builder::new();
        Self::build(builder.prefix(prefix).suffix(suffix), &tempfile::env::temp_dir())
    }

    fn build(builder: &tempfile::Builder<'_, '_>, directory: &Path) -> io::Result<Self> {
        let mut registry = registry_of_maker();
        let file = builder.tempfile_in(directory)?;
        let entry = registry.add(file.path());
        Ok(Self { file, entry })
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    #[must_use]
    pub fn as_file(&self) -> &File {
        self.file.as_file()
    }

    pub fn as_file_mut(&mut self) -> &mut File {
        self.file.as_file_mut()
    }

    /// Gives the finished file its name; `overwrite` says whether a file of that name may be replaced.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` where it may not, and those of the file system.
    pub fn persist(self, path: &Path, overwrite: bool) -> io::Result<File> {
        let mut registry = lock(&UNFINISHED);
        let Self { file, entry } = self;
        let persisted = if overwrite {
            file.persist(path)
        } else {
            file.persist_noclobber(path)
        };
        entry.forget(&mut registry);
        drop(registry);
        Ok(persisted?)
    }

    /// Leaves the finished file where it is, for other programs.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn keep(self) -> io::Result<PathBuf> {
        let Self { file, entry: _entry } = self;
        let (_, path) = file.keep()?;
        Ok(path)
    }
}

impl Write for TemporaryFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
