//! The types of a new table's columns: told by the user, or guessed from the values of the whole file.
//!
//! A guess never loses anything: a column is `INTEGER` or `REAL` where every value is written just as SQLite would write it
//! back, else `TEXT`, so that `007` stays what it is.

use super::ImportOptions;
use super::reader::{CsvFieldReader, FieldEnd, Record};
use super::strict::{ColumnKind, kind_of, spooled};
use crate::error::{Code, Error, Result};
use std::fs::File;
use std::io::{Read, Seek};

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Types {
    Guess,
    /// One for each column, as they are declared.
    List(Vec<String>),
}

impl Types {
    /// Reads what follows `--types`. None where it is not a list of types.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text == "guess" {
            return Some(Self::Guess);
        }
        split_types(text).map(Self::List)
    }
}

/// The types in a list, between commas outside of brackets. None where it is not a list of types.
pub(super) fn split_types(text: &str) -> Option<Vec<String>> {
    let (mut depth, mut list) = (0_u32, vec![String::new()]);
    for character in text.chars() {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.checked_sub(1)?,
            ',' if depth == 0 => {
                list.push(String::new());
                continue;
            }
            ',' | ' ' | '_' => {}
            character if character.is_alphanumeric() => {}
            _ => return None,
        }
        list.last_mut()?.push(character);
    }
    (depth == 0 && !text.is_empty()).then_some(list)
}

/// What was guessed, and the input from its start.
pub(super) struct Guessed {
    pub kinds: Vec<&'static str>,
    pub input: Box<dyn Read>,
}

/// Guesses from what a file holds, which is then at its start again. What can be read only once is kept meanwhile. None where
/// `stop` said so.
pub(super) fn guess(
    mut input: Box<dyn Read>,
    options: &ImportOptions,
    stop: &dyn Fn() -> bool,
) -> Result<Option<Guessed>> {
    // A pipe cannot be read again, and of a file nobody knows here whether it is one.
    let mut file = match options.file.strip_prefix('|') {
        None => match File::open(&options.file) {
            Ok(file) if file.metadata().is_ok_and(|metadata| metadata.is_file()) => file,
            _ => spooled(&mut input, options.display_name())?,
        },
        Some(_) => spooled(&mut input, options.display_name())?,
    };
    let kinds = survey(&mut file, options, stop)?;
    file.rewind().map_err(|error| options.unreadable(error))?;
    Ok(kinds.map(|kinds| Guessed {
        kinds,
        input: Box::new(file),
    }))
}

fn survey(file: &mut File, options: &ImportOptions, stop: &dyn Fn() -> bool) -> Result<Option<Vec<&'static str>>> {
    let mut reader = CsvFieldReader::new(file, options.dialect);
    let mut record = Record::default();
    // What every value so far allows; the header tells how many columns there are.
    let mut kinds: Vec<Option<ColumnKind>> = Vec::new();
    let mut read = 0;
    loop {
        if stop() {
            return Ok(None);
        }
        record.clear();
        // Flaws are told when the records are imported.
        let mut end = Some(FieldEnd::Column);
        while end == Some(FieldEnd::Column) {
            end = record
                .read(&mut reader, &mut |_| {})
                .map_err(|error| options.unreadable(error))?;
        }
        if record.count() == 0 {
            break;
        }
        read += 1;
        if read == options.skip + 1 {
            kinds = vec![None; record.count()];
        } else if read > options.skip {
            for (kind, field) in kinds.iter_mut().zip(record.iter()) {
                if *kind == Some(ColumnKind::Text) || options.null.as_ref().is_some_and(|null| null.as_bytes() == field)
                {
                    continue;
                }
                let found = kind_of(field);
                *kind = Some(if kind.is_none_or(|kind| kind == found) {
                    found
                } else {
                    ColumnKind::Text
                });
            }
        }
    }
    Ok(Some(
        kinds
            .into_iter()
            .map(|kind| kind.unwrap_or(ColumnKind::Text).name())
            .collect(),
    ))
}

impl Types {
    /// The types for `columns`, as they are declared.
    pub(super) fn of(&self, columns: &[String], line: u64, options: &ImportOptions) -> Result<Vec<String>> {
        match self {
            // Guessed before: see [`guess`].
            Self::Guess => Ok(Vec::new()),
            Self::List(list) if list.len() == columns.len() => Ok(list.clone()),
            Self::List(list) => Err(Error::new(
                Code::InvalidValue,
                format!(
                    "{}:{line}: --types names {} types, and there are {} columns",
                    options.display_name(),
                    list.len(),
                    columns.len()
                ),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn import_types_list_is_told_from_other_text() {
        let list = |types: &[&str]| Some(Types::List(types.iter().map(|&name| name.to_owned()).collect()));
        assert_eq!(Types::parse("guess"), Some(Types::Guess));
        assert_eq!(
            Types::parse("INTEGER,DECIMAL(10,2),,DOUBLE PRECISION"),
            list(&["INTEGER", "DECIMAL(10,2)", "", "DOUBLE PRECISION"])
        );
        for none in ["", "TEXT)", "TEXT(", "TEXT; DROP", "'x'"] {
            assert_eq!(Types::parse(none), None, "{none}");
        }
    }
}
