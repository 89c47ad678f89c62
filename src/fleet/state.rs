//! The file that notes which databases are done, so that the same command goes on where it stopped.
//!
//! It has a line of JSON for the work and one for each database, added when the work on it has ended. A line that a crash cut off
//! counts for nothing, so a database may be worked on twice, and none is left out.

use crate::control::names::{DatabaseId, DatabaseName};
use crate::error::{Code, Error, Result};
use crate::private_files;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// The first line.
#[derive(Serialize, Deserialize)]
struct Head {
    torso_fleet: u32,
    /// A hash of what is done, and where.
    work: String,
}

/// A line for a database.
#[derive(Serialize, Deserialize)]
struct Line {
    database: DatabaseName,
    /// Stays what it is when the database is renamed, and is another one for a new database of that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<DatabaseId>,
    done: bool,
}

/// The form of the file that is written here.
const FORM: u32 = 1;

/// A file of which databases are done. While it is open, no other command can use it.
#[derive(Debug)]
pub struct FleetState {
    file: File,
    path: PathBuf,
    done: HashSet<DatabaseId>,
    /// Those whose ids were not known.
    done_by_name: HashSet<DatabaseName>,
}

impl FleetState {
    /// Opens a file, or makes it. `work` is a hash of what is done, and where.
    ///
    /// Fails with `conflict` where the file is of other work or in use, and with `invalid_file` where it is no such file.
    pub fn open(path: &Path, work: &str) -> Result<Self> {
        let doing = |error| Error::io(error, format!("cannot use {}", path.display()));
        let mut options = private_files::options();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(path).map_err(doing)?;
        file.try_lock().map_err(|_| {
            Error::new(Code::Conflict, format!("another torso uses {}", path.display()))
                .hint("wait for it, or name another file with --resume")
        })?;
        let (mut done, mut done_by_name) = (HashSet::new(), HashSet::new());
        let mut reader = BufReader::new(&file);
        let (mut line, mut number, mut end) = (String::new(), 0, 0);
        loop {
            line.clear();
            let read = reader.read_line(&mut line).map_err(|_| not_a_state(path))?;
            // The last line is whole only with its end.
            if read == 0 || !line.ends_with('\n') {
                break;
            }
            number += 1;
            end += read as u64;
            if number == 1 {
                let head: Head = serde_json::from_str(&line).map_err(|_| not_a_state(path))?;
                if head.torso_fleet != FORM || head.work != work {
                    return Err(other_work(path));
                }
            } else {
                let line: Line = serde_json::from_str(&line).map_err(|_| not_a_state(path))?;
                match line {
                    Line { done: false, .. } => false,
                    Line { id: Some(id), .. } => done.insert(id),
                    Line { database, .. } => done_by_name.insert(database),
                };
            }
        }
        let head = text_of(&Head {
            torso_fleet: FORM,
            work: work.to_owned(),
        })?;
        if number == 0 && !head.starts_with(&line) {
            return Err(not_a_state(path));
        }
        file.set_len(end)
            .and_then(|()| file.seek(SeekFrom::Start(end)).map(drop))
            .map_err(doing)?;
        let mut state = Self {
            file,
            path: path.to_owned(),
            done,
            done_by_name,
        };
        if number == 0 {
            state.write(&head)?;
        }
        Ok(state)
    }

    /// Whether the work on a database is done.
    #[must_use]
    pub fn is_done(&self, name: &DatabaseName, id: Option<&DatabaseId>) -> bool {
        id.is_some_and(|id| self.done.contains(id)) || self.done_by_name.contains(name)
    }

    /// Notes what came of a database.
    pub fn record(&mut self, name: &DatabaseName, id: Option<&DatabaseId>, done: bool) -> Result<()> {
        let line = Line {
            database: name.clone(),
            id: id.cloned(),
            done,
        };
        self.write(&text_of(&line)?)
    }

    fn write(&mut self, line: &str) -> Result<()> {
        self.file
            .write_all(line.as_bytes())
            .map_err(|error| Error::io(error, format!("cannot write {}", self.path.display())))
    }
}

/// A line, with its end.
fn text_of(line: &impl Serialize) -> Result<String> {
    let text = serde_json::to_string(line)
        .map_err(|error| Error::new(Code::Internal, format!("a state cannot be written: {error}")))?;
    Ok(text + "\n")
}

fn not_a_state(path: &Path) -> Error {
    Error::new(
        Code::InvalidFile,
        format!("{} is not a file in which torso notes what is done", path.display()),
    )
    .hint("name a new file with --resume; torso makes it")
}

fn other_work(path: &Path) -> Error {
    Error::new(
        Code::Conflict,
        format!(
            "{} is about other work: other SQL, other options or another server",
            path.display()
        ),
    )
    .hint("run the command that it is of, or name another file with --resume")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> DatabaseName {
        text.parse().unwrap()
    }

    #[test]
    fn fleet_state_goes_on_where_it_stopped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let mut state = FleetState::open(&path, "w").unwrap();
        assert_eq!(FleetState::open(&path, "w").unwrap_err().code(), Code::Conflict);
        state.record(&name("a"), None, true).unwrap();
        state.record(&name("b"), None, false).unwrap();
        drop(state);
        // A crash cuts the last line off.
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.push_str("{\"database\":\"c\",\"do");
        std::fs::write(&path, &text).unwrap();
        let mut state = FleetState::open(&path, "w").unwrap();
        let done = ["a", "b", "c"].map(|text| state.is_done(&name(text), None));
        assert_eq!(done, [true, false, false]);
        state.record(&name("b"), None, true).unwrap();
        drop(state);
        assert!(FleetState::open(&path, "w").unwrap().is_done(&name("b"), None));
        assert_eq!(FleetState::open(&path, "other").unwrap_err().code(), Code::Conflict);
    }

    #[test]
    fn fleet_state_knows_databases_by_their_ids() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let (first, second) = (DatabaseId::generate(), DatabaseId::generate());
        let mut state = FleetState::open(&path, "w").unwrap();
        state.record(&name("a"), Some(&first), true).unwrap();
        drop(state);
        let state = FleetState::open(&path, "w").unwrap();
        assert!(state.is_done(&name("renamed"), Some(&first)));
        assert!(
            !state.is_done(&name("a"), Some(&second)),
            "another database of the name"
        );
    }

    #[test]
    fn file_that_is_no_fleet_state_is_not_touched() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notes");
        for text in [
            "dear diary\n",
            "{\"torso_fleet\":1,\"work\":\"w\"}\n[]\n",
            "half a line",
        ] {
            std::fs::write(&path, text).unwrap();
            let error = FleetState::open(&path, "w").unwrap_err();
            assert_eq!(error.code(), Code::InvalidFile, "{text}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
    }
}
