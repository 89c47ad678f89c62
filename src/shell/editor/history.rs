//! What was entered before: whole statements, one list for each database, in a private file.
//!
//! An entry is one statement, of however many lines. The file holds one entry a line (`\n` and `\\` escaped), is appended
//! to at once (several shells may share it) and shortened when a shell opens it. What looks like a secret stays in memory
//! and never reaches the file. A history that cannot be read or written never stops the shell.

use super::lines;
use super::secrets::is_secret;
use crate::private_files;
use crate::temporary_files::TemporaryFile;
use rustyline::history::{History as Recall, SearchDirection, SearchResult};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Entries kept.
pub const LIMIT: usize = 5000;
/// A longer entry (a pasted dump) is not worth recalling.
const LONGEST: usize = 1 << 20;

/// The name of the history's file for a database, told by what identifies it: a path on disk never holds a user's name.
#[must_use]
pub fn key(identity: &str) -> String {
    // FNV-1a: the same on every machine and in every version, which `std`'s hasher does not promise.
    let hash = identity.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

/// The history of one database. Entries are held as the edit buffer wants them (see [`lines`]).
#[derive(Debug, Default)]
pub struct History {
    entries: VecDeque<String>,
    file: Option<PathBuf>,
}

impl History {
    /// The history kept in `file`, or one of this session only.
    #[must_use]
    pub fn open(file: Option<PathBuf>) -> Self {
        let mut history = Self {
            entries: VecDeque::new(),
            file: None,
        };
        let Some(file) = file else { return history };
        let stored = fs::read(&file).unwrap_or_default();
        let lines = stored.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let mut count = 0;
        for line in lines {
            count += 1;
            history.remember(unescape(&String::from_utf8_lossy(line)));
        }
        // Rewritten only once it has grown well over what is kept, so that it stays an append in nearly every session.
        if count > history.entries.len() + LIMIT / 4 {
            let _ = history.rewrite(&file);
        }
        history.file = Some(file);
        history
    }

    /// Adds what was entered, as the user sees it.
    pub fn add(&mut self, text: &str) {
        let text = text.trim_end();
        if text.is_empty() || text.len() > LONGEST || self.entries.back().is_some_and(|last| *last == lines::fold(text))
        {
            return;
        }
        self.remember(text.to_owned());
        if let Some(file) = &self.file
            && !is_secret(text)
        {
            let _ = append(file, text);
        }
    }

    fn remember(&mut self, text: String) {
        let entry = lines::fold(&text);
        if let Some(earlier) = self.entries.iter().rposition(|known| *known == entry) {
            self.entries.remove(earlier);
        }
        if self.entries.len() == LIMIT {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
    }

    fn rewrite(&self, file: &Path) -> io::Result<()> {
        let directory = file.parent().unwrap_or(Path::new("."));
        // A temporary file is made 0600.
        let mut fresh = TemporaryFile::create_in(directory, ".tmp")?;
        let mut text = String::new();
        for entry in &self.entries {
            text.push_str(&escape(&lines::unfold(entry)));
            text.push('\n');
        }
        fresh.write_all(text.as_bytes())?;
        fresh.persist(file, true)?;
        Ok(())
    }

    fn find<'a>(
        &'a self,
        start: usize,
        direction: SearchDirection,
        matches: impl Fn(&str) -> Option<usize>,
    ) -> Option<SearchResult<'a>> {
        let found = |idx: usize| {
            let entry = self.entries.get(idx)?;
            let pos = matches(entry)?;
            Some(SearchResult {
                entry: Cow::Borrowed(entry),
                idx,
                pos,
            })
        };
        match direction {
            SearchDirection::Forward => (start..self.entries.len()).find_map(found),
            SearchDirection::Reverse => (0..self.entries.len().min(start + 1)).rev().find_map(found),
        }
    }
}

fn append(file: &Path, text: &str) -> io::Result<()> {
    if let Some(directory) = file.parent() {
        private_files::create_directory(directory)?;
    }
    let mut file = private_files::options().create(true).append(true).open(file)?;
    private_files::make_private(&file)?;
    // One write, so that shells running side by side do not mix their lines.
    file.write_all((escape(text) + "\n").as_bytes())
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r")
}

fn unescape(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (c, c == '\\') {
            (_, true) => match chars.next() {
                Some('n') => text.push('\n'),
                Some('r') => text.push('\r'),
                Some(other) => text.push(other),
                None => text.push('\\'),
            },
            (c, false) => text.push(c),
        }
    }
    text
}

impl Recall for History {
    fn get(&self, index: usize, _: SearchDirection) -> rustyline::Result<Option<SearchResult<'_>>> {
        Ok(self.entries.get(index).map(|entry| SearchResult {
            entry: Cow::Borrowed(entry),
            idx: index,
            pos: 0,
        }))
    }

    fn add(&mut self, line: &str) -> rustyline::Result<bool> {
        Self::add(self, &lines::unfold(line));
        Ok(true)
    }

    fn add_owned(&mut self, line: String) -> rustyline::Result<bool> {
        Recall::add(self, &line)
    }

    fn len(&self) -> usize {
        self.entries.len()
    }

    fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn set_max_len(&mut self, _: usize) -> rustyline::Result<()> {
        Ok(())
    }

    fn ignore_dups(&mut self, _: bool) -> rustyline::Result<()> {
        Ok(())
    }

    fn ignore_space(&mut self, _: bool) {}

    fn save(&mut self, file: &Path) -> rustyline::Result<()> {
        Ok(self.rewrite(file)?)
    }

    fn append(&mut self, _: &Path) -> rustyline::Result<()> {
        // Every entry is on disk as soon as it is added.
        Ok(())
    }

    fn load(&mut self, file: &Path) -> rustyline::Result<()> {
        *self = Self::open(Some(file.to_owned()));
        Ok(())
    }

    fn clear(&mut self) -> rustyline::Result<()> {
        self.entries.clear();
        Ok(())
    }

    fn search(
        &self,
        term: &str,
        start: usize,
        direction: SearchDirection,
    ) -> rustyline::Result<Option<SearchResult<'_>>> {
        let term = term.to_lowercase();
        if term.is_empty() {
            return Ok(None);
        }
        // The offset only places the cursor; text whose lower case has another length puts it at the start.
        Ok(self.find(start, direction, |entry| {
            let at = entry.to_lowercase().find(&term)?;
            Some(if entry.is_char_boundary(at) { at } else { 0 })
        }))
    }

    fn starts_with(
        &self,
        term: &str,
        start: usize,
        direction: SearchDirection,
    ) -> rustyline::Result<Option<SearchResult<'_>>> {
        Ok(self.find(start, direction, |entry| entry.starts_with(term).then_some(term.len())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn entries(history: &History) -> Vec<String> {
        history.entries.iter().map(|entry| lines::unfold(entry)).collect()
    }

    #[test]
    fn history_entry_of_several_lines_is_one_and_survives() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("history").join("k");
        let mut history = History::open(Some(file.clone()));
        history.add("select 1,\n\t'a\\n'\nfrom t;");
        history.add(".tables\n");
        history.add(".tables");
        let again = History::open(Some(file.clone()));
        assert_eq!(entries(&again), ["select 1,\n\t'a\\n'\nfrom t;", ".tables"]);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(
            fs::metadata(file.parent().unwrap()).unwrap().permissions().mode() & 0o777,
            0o700
        );
    }

    #[test]
    fn history_entry_that_is_repeated_moves_to_the_end() {
        let mut history = History::open(None);
        for text in ["a", "b", "a"] {
            history.add(text);
        }
        assert_eq!(entries(&history), ["b", "a"]);
    }

    #[test]
    fn history_that_has_grown_keeps_the_latest_entries() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("k");
        let text: String = (0..LIMIT * 2).map(|i| format!("select {i};\n")).collect();
        fs::write(&file, text).unwrap();
        let history = History::open(Some(file.clone()));
        assert_eq!(history.entries.len(), LIMIT);
        let text = fs::read_to_string(&file).unwrap();
        assert_eq!(text.lines().count(), LIMIT);
        assert!(text.ends_with(&format!("select {};\n", LIMIT * 2 - 1)));
    }

    #[test]
    fn history_recalls_secrets_and_does_not_store_them() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("k");
        let secrets = [".open libsql://x.turso.io?authToken=abc", "select 'api_key=abc';"];
        let mut history = History::open(Some(file.clone()));
        for text in secrets {
            history.add(text);
        }
        assert_eq!(history.entries.len(), secrets.len());
        let harmless = [".tables", "select 'eyJ';"];
        for text in harmless {
            history.add(text);
        }
        let stored = fs::read_to_string(&file).unwrap();
        assert_eq!(stored.lines().collect::<Vec<_>>(), harmless);
    }

    #[test]
    fn history_search_finds_the_nearest_in_any_case() {
        let mut history = History::open(None);
        for text in ["SELECT 1", "select 2", "delete 3"] {
            history.add(text);
        }
        let found = |term: &str, start, direction| history.search(term, start, direction).unwrap().map(|r| r.idx);
        assert_eq!(found("select", 2, SearchDirection::Reverse), Some(1));
        assert_eq!(found("select 1", 2, SearchDirection::Reverse), Some(0));
        assert_eq!(found("delete", 0, SearchDirection::Forward), Some(2));
        assert_eq!(found("nothing", 2, SearchDirection::Reverse), None);
        assert_eq!(
            history
                .starts_with("sel", 2, SearchDirection::Reverse)
                .unwrap()
                .unwrap()
                .idx,
            1
        );
    }
}
