//! The arguments of `.import`: their rules and refusals are those of `sqlite3`. What comes of them is the importer's.

use super::reader::Dialect;
use super::types::Types;
use crate::error::Error;
use crate::shell::render::{Mode, Style};
use crate::shell::words;
use crate::sqltext::quote::identifier;
use std::io;

/// What to import and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportOptions {
    /// A path, or `|` and a shell command.
    pub file: String,
    pub table: String,
    pub schema: Option<String>,
    pub dialect: Dialect,
    /// Records passed over at the start.
    pub skip: u64,
    /// A field of exactly this text is NULL.
    pub null: Option<String>,
    pub verbose: u8,
    /// Objects in JSON rather than separated text.
    pub json: bool,
    /// The table must not be there yet.
    pub create: bool,
    /// The types of a new table's columns; without them all are `TEXT`, as in classic.
    pub types: Option<Types>,
    /// Do everything, tell what came of it, and undo it.
    pub dry_run: bool,
    /// The separators are the style's, not those of an option.
    pub(super) from_style: bool,
    /// The output mode is ascii: a record of one empty field is no record.
    pub(super) ascii_mode: bool,
    /// The style's row separator has to become a line feed: that of CSV output is not what input has.
    pub line_feed_rows: bool,
}

/// Why arguments make no sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportArgumentError {
    /// To be followed by the command's help.
    Usage(String),
    /// All there is to say.
    Message(&'static str),
}

impl ImportOptions {
    /// Reads the arguments of `.import`. Without `--csv` and the like, the separators are the current style's.
    pub fn parse(arguments: &[&str], style: &Style) -> std::result::Result<Self, ImportArgumentError> {
        let mut names = Vec::new();
        let mut options = Self {
            file: String::new(),
            table: String::new(),
            schema: None,
            dialect: Dialect {
                quotes: style.mode != Mode::Ascii,
                text_file: style.mode != Mode::Ascii,
                ..Dialect::CSV
            },
            skip: 0,
            null: None,
            verbose: 0,
            json: false,
            create: false,
            types: None,
            dry_run: false,
            from_style: true,
            ascii_mode: style.mode == Mode::Ascii,
            line_feed_rows: false,
        };
        let mut rest = arguments.iter().copied();
        while let Some(argument) = rest.next() {
            let Some(option) = argument.strip_prefix('-') else {
                if names.len() == 2 {
                    return Err(ImportArgumentError::Usage(format!(
                        "ERROR: extra argument: \"{argument}\".  Usage:\n"
                    )));
                }
                names.push(argument.to_owned());
                continue;
            };
            let option = option.strip_prefix('-').unwrap_or(option);
            options.set(option, argument, &mut rest)?;
        }
        let mut names = names.into_iter();
        options.file = names.next().ok_or_else(|| missing("FILE"))?;
        options.table = names.next().ok_or_else(|| missing("TABLE"))?;
        if options.json && options.types.is_some() {
            return Err(ImportArgumentError::Message(
                "Error: values in JSON have types: --types is for separated text",
            ));
        }
        if options.from_style {
            options.separators_of(style)?;
        }
        Ok(options)
    }

    fn set_dialect(&mut self, dialect: Dialect) {
        self.dialect = dialect;
        self.from_style = false;
    }

    /// Takes in one option, given without its dashes; `argument` is the whole word.
    fn set<'a>(
        &mut self,
        option: &str,
        argument: &str,
        rest: &mut impl ExactSizeIterator<Item = &'a str>,
    ) -> std::result::Result<(), ImportArgumentError> {
        match option {
            "v" => self.verbose = self.verbose.saturating_add(1),
            "ascii" => self.set_dialect(Dialect::ASCII),
            "csv" => self.set_dialect(Dialect::CSV),
            "json" | "jsonl" => {
                self.set_dialect(Dialect::CSV);
                self.json = true;
            }
            "dry-run" => self.dry_run = true,
            "create" => self.create = true,
            "types" if rest.len() > 0 => {
                let list = rest.next().unwrap_or_default();
                let types = Types::parse(list).ok_or_else(|| {
                    ImportArgumentError::Usage(format!(
                        "ERROR: not a list of types, nor the word guess: \"{list}\".  Usage:\n"
                    ))
                })?;
                self.types = Some(types);
            }
            "tsv" => self.set_dialect(Dialect::TSV),
            "schema" | "skip" | "null" if rest.len() > 0 => {
                let value = rest.next().unwrap_or_default();
                match option {
                    "schema" => self.schema = Some(value.to_owned()),
                    "null" => self.null = Some(value.to_owned()),
                    _ => self.skip = u64::try_from(words::integer(value)).unwrap_or(0),
                }
            }
            _ => {
                let text = argument
                    .strip_prefix('-')
                    .filter(|rest| rest.starts_with('-'))
                    .unwrap_or(argument);
                return Err(ImportArgumentError::Usage(format!(
                    "ERROR: unknown option: \"{text}\".  Usage:\n"
                )));
            }
        }
        Ok(())
    }

    fn separators_of(&mut self, style: &Style) -> std::result::Result<(), ImportArgumentError> {
        let refuse = |message| Err(ImportArgumentError::Message(message));
        match style.column_separator.as_bytes() {
            [] => return refuse("Error: non-null column separator required for import"),
            [byte] => self.dialect.column = *byte,
            _ => return refuse("Error: multi-character column separators not allowed for import"),
        }
        match style.row_separator.as_bytes() {
            [] => return refuse("Error: non-null row separator required for import"),
            [byte] => self.dialect.row = *byte,
            b"\r\n" if style.mode == Mode::Csv => {
                self.dialect.row = b'\n';
                self.line_feed_rows = true;
            }
            _ => return refuse("Error: multi-character row separators not allowed for import"),
        }
        Ok(())
    }

    /// The table with its schema, quoted.
    pub(super) fn target(&self) -> String {
        let table = identifier(&self.table);
        match &self.schema {
            Some(schema) => format!("{}.{table}", identifier(schema)),
            None => table,
        }
    }

    pub(super) fn unreadable(&self, error: io::Error) -> Error {
        Error::io(error, format!("cannot read {}", self.display_name()))
    }

    /// What messages call the file.
    pub(super) fn display_name(&self) -> &str {
        if self.file.starts_with('|') {
            "<pipe>"
        } else {
            &self.file
        }
    }
}

fn missing(what: &str) -> ImportArgumentError {
    ImportArgumentError::Usage(format!("ERROR: missing {what} argument. Usage:\n"))
}
