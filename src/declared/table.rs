//! A table of a TOML file that is read strictly: every error names the line and the key, and a key that nobody asks for is one.

use crate::error::{Code, Error, Result};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::str::FromStr;
use toml_edit::{Item, TableLike, Value};

/// How similar a key must be to a known one for that to be suggested (Jaro-Winkler, 0 to 1).
const LIKENESS: f64 = 0.75;

/// A file's name and its text.
pub(super) struct SourceFile<'d> {
    pub name: &'d str,
    pub text: &'d str,
    /// The lines of the keys that were read.
    pub lines: RefCell<BTreeMap<String, u64>>,
}

impl SourceFile<'_> {
    /// The line of a byte, from 1.
    pub fn line_of(&self, at: usize) -> u64 {
        let before = &self.text.as_bytes()[..at.min(self.text.len())];
        1 + memchr::memchr_iter(b'\n', before).count() as u64
    }

    /// An error about a line.
    pub fn invalid(&self, line: u64, why: &str) -> Error {
        Error::new(Code::InvalidFile, format!("{}:{line}: {why}", self.name))
    }
}

/// A table under reading.
pub(super) struct StrictTable<'d> {
    source: &'d SourceFile<'d>,
    /// Its keys from the top: `databases.app`. Empty for the whole file.
    path: String,
    table: &'d dyn TableLike,
    /// The line on which it begins.
    pub line: u64,
    asked_for: RefCell<Vec<&'static str>>,
}

impl<'d> StrictTable<'d> {
    /// The whole file.
    pub fn root(source: &'d SourceFile<'d>, table: &'d dyn TableLike) -> Self {
        Self {
            source,
            path: String::new(),
            table,
            line: 1,
            asked_for: RefCell::default(),
        }
    }

    fn name_of(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// An error about a value of this table.
    pub fn invalid(&self, key: &str, why: &str) -> Error {
        self.source
            .invalid(self.line_of(key), &format!("{}: {why}", self.name_of(key)))
    }

    /// An error about the table itself.
    pub fn invalid_itself(&self, why: &str) -> Error {
        self.source.invalid(self.line, &format!("{}: {why}", self.path))
    }

    fn line_of(&self, key: &str) -> u64 {
        let key = self.table.get_key_value(key);
        let span = key.and_then(|(key, item)| key.span().or_else(|| item.span()));
        span.map_or(self.line, |span: Range<usize>| self.source.line_of(span.start))
    }

    fn get(&self, key: &'static str) -> Option<&'d Item> {
        self.asked_for.borrow_mut().push(key);
        let item = self.table.get(key)?;
        let mut lines = self.source.lines.borrow_mut();
        lines.insert(self.name_of(key), self.line_of(key));
        Some(item)
    }

    /// A text that becomes a value of some type.
    pub fn text<T: FromStr<Err = Error>>(&self, key: &'static str) -> Result<Option<T>> {
        let Some(item) = self.get(key) else { return Ok(None) };
        let text = item
            .as_str()
            .ok_or_else(|| self.invalid(key, "a text in quotes is wanted"))?;
        self.read(key, text).map(Some)
    }

    /// A value that is a time, or a text that stands for one.
    pub fn time<T: FromStr<Err = Error>>(&self, key: &'static str) -> Result<Option<T>> {
        match self.get(key).and_then(Item::as_datetime) {
            Some(time) => self.read(key, &time.to_string()).map(Some),
            None => self.text(key),
        }
    }

    fn read<T: FromStr<Err = Error>>(&self, key: &str, text: &str) -> Result<T> {
        text.parse().map_err(|error: Error| {
            let located = self.invalid(key, error.message());
            match error.hint_text() {
                Some(hint) => located.hint(hint),
                None => located,
            }
        })
    }

    /// A list of texts, each once.
    pub fn list<T: FromStr<Err = Error> + PartialEq>(&self, key: &'static str) -> Result<Option<Vec<T>>> {
        let Some(item) = self.get(key) else { return Ok(None) };
        let wanted = || self.invalid(key, "a list of texts is wanted, such as [\"ams\", \"lhr\"]");
        let mut values = Vec::new();
        for value in item.as_array().ok_or_else(wanted)? {
            let text = value.as_str().ok_or_else(wanted)?;
            let value = self.read(key, text)?;
            if values.contains(&value) {
                return Err(self.invalid(key, &format!("{text} stands there twice")));
            }
            values.push(value);
        }
        Ok(Some(values))
    }

    pub fn boolean(&self, key: &'static str) -> Result<Option<bool>> {
        let Some(item) = self.get(key) else { return Ok(None) };
        let value = item.as_bool();
        value
            .map(Some)
            .ok_or_else(|| self.invalid(key, "true or false is wanted"))
    }

    pub fn number(&self, key: &'static str) -> Result<Option<f64>> {
        let Some(item) = self.get(key) else { return Ok(None) };
        let value = match item.as_value() {
            Some(Value::Float(number)) => Some(*number.value()),
            // Degrees and such: far below 2^53.
            Some(Value::Integer(number)) => Some(*number.value() as f64),
            _ => None,
        };
        value.map(Some).ok_or_else(|| self.invalid(key, "a number is wanted"))
    }

    /// A table below this one.
    pub fn table(&self, key: &'static str) -> Result<Option<Self>> {
        match self.get(key) {
            None => Ok(None),
            Some(item) => self.below(key, item).map(Some),
        }
    }

    /// The tables in a table below this one, by their names.
    pub fn named_tables<T: FromStr<Err = Error>>(&self, key: &'static str) -> Result<Vec<(T, Self)>> {
        let Some(parent) = self.table(key)? else {
            return Ok(Vec::new());
        };
        let mut tables = Vec::new();
        for (name, item) in parent.table.iter() {
            let table = parent.below(name, item)?;
            parent.source.lines.borrow_mut().insert(table.path.clone(), table.line);
            tables.push((parent.read(name, name)?, table));
        }
        Ok(tables)
    }

    fn below(&self, key: &str, item: &'d Item) -> Result<Self> {
        let table = item
            .as_table_like()
            .ok_or_else(|| self.invalid(key, "a table is wanted"))?;
        Ok(Self {
            source: self.source,
            path: self.name_of(key),
            table,
            line: self.line_of(key),
            asked_for: RefCell::default(),
        })
    }

    /// Refuses a key that was not asked for. Call it when everything was.
    pub fn finish(self) -> Result<()> {
        let known = self.asked_for.borrow();
        let Some((key, _)) = self.table.iter().find(|(key, _)| !known.contains(key)) else {
            return Ok(());
        };
        let near = known
            .iter()
            .map(|name| (strsim::jaro_winkler(key, name), name))
            .filter(|(likeness, _)| *likeness >= LIKENESS)
            .max_by(|one, other| one.0.total_cmp(&other.0));
        let error = self.invalid(key, "there is no such key");
        Err(match near {
            Some((_, name)) => error.hint(format!("did you mean {name}?")),
            None => error.hint(format!("keys here are {}", known.join(", "))),
        })
    }
}
