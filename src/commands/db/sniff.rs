//! What a file to be imported is, told from its beginning and its name. Compressed files and other encodings were decoded
//! before: see `input`.
//!
//! What is clear is imported as what it is. What is not is refused with what it looks like and what to do.

use super::input::Input;
use crate::error::{Code, Error, Result};
use crate::shell::import::reader::{CsvFieldReader, Dialect, FieldEnd, Record};
use crate::sqlite_header;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// Bytes that are looked at.
const SAMPLE: u64 = 64 << 10;

/// Records that are looked at to tell a separator.
const RECORDS: usize = 50;

/// What separates columns, the likeliest first.
const SEPARATORS: [u8; 4] = [b',', b'\t', b';', b'|'];

/// How other kinds of files begin: what they are, and what to do.
const FOREIGN: [(&[u8], &str, &str); 7] = [
    (b"\x1f\x8b", "compressed by gzip twice", "gunzip it first"),
    (
        b"PK\x03\x04",
        "a ZIP archive, or a spreadsheet",
        "unzip it, or save the spreadsheet as CSV",
    ),
    (b"BZh", "compressed (bzip2)", "bunzip2 it first"),
    (b"\xfd7zXZ\x00", "compressed (xz)", "unxz it first"),
    (b"\x28\xb5\x2f\xfd", "compressed (zstd)", "unzstd it first"),
    (b"%PDF", "a PDF document", "export its table as CSV"),
    (b"PAR1", "a Parquet file", "export it as CSV first"),
];

/// Words that SQL scripts begin with.
const SQL: [&str; 12] = [
    "PRAGMA",
    "BEGIN",
    "CREATE",
    "INSERT",
    "DROP",
    "REPLACE",
    "UPDATE",
    "DELETE",
    "ALTER",
    "WITH",
    "SAVEPOINT",
    "ANALYZE",
];

/// What a file to be imported is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::commands) enum Kind {
    Database,
    Script,
    Csv,
    /// Objects, which become rows of a table.
    Json,
}

impl Kind {
    /// Told by how it begins, then by its extension.
    pub fn of(input: &Input) -> Result<Self> {
        Sample::of(input)?.kind(input.label())
    }
}

/// The beginning of a file.
pub(super) struct Sample {
    bytes: Vec<u8>,
    extension: String,
}

impl Sample {
    /// Reads the beginning of a file.
    pub fn of(input: &Input) -> Result<Self> {
        let mut bytes = Vec::new();
        File::open(input.path())
            .and_then(|file| file.take(SAMPLE).read_to_end(&mut bytes))
            .map_err(|error| Error::io(error, format!("cannot read {}", input.label().display())))?;
        Ok(Self {
            bytes,
            extension: input
                .name()
                .and_then(Path::extension)
                .map(|extension| extension.to_string_lossy().to_lowercase())
                .unwrap_or_default(),
        })
    }

    /// The kind of the file. Fails where it is none that can be imported.
    pub fn kind(&self, path: &Path) -> Result<Kind> {
        if self.is_database() {
            return Ok(Kind::Database);
        }
        let code = match self.extension.as_str() {
            _ if self.has_table_extension() => Code::InvalidCsv,
            _ => Code::InvalidFile,
        };
        self.check(path, code)?;
        Ok(match self.extension.as_str() {
            "db" | "sqlite" | "sqlite3" | "sl3" | "s3db" | "db3" => Kind::Database,
            "sql" | "dump" => Kind::Script,
            "json" | "jsonl" | "ndjson" => Kind::Json,
            "csv" | "tsv" | "tab" => Kind::Csv,
            _ if self.is_sql() => Kind::Script,
            _ if self.is_json() => Kind::Json,
            _ => Kind::Csv,
        })
    }

    /// Fails where the file is compressed by others than gzip, or of a kind that is not imported.
    pub fn check(&self, path: &Path, code: Code) -> Result<()> {
        let found = match self.foreign() {
            Some(found) => found,
            None if self.bytes.contains(&0) => ("no text: it contains NUL bytes", "export its table as CSV in UTF-8"),
            None => return Ok(()),
        };
        let (what, hint) = found;
        Err(Error::new(code, format!("{} is {what}", path.display())).hint(hint))
    }

    /// Whether it is clearly of a kind that is not imported.
    pub fn is_foreign(&self) -> bool {
        self.foreign().is_some()
    }

    /// What a file of a kind that is not imported is, and what to do with it.
    fn foreign(&self) -> Option<(&'static str, &'static str)> {
        let known = FOREIGN.iter().find(|(start, ..)| self.bytes.starts_with(start));
        known.map(|(_, what, hint)| (*what, *hint)).or_else(|| {
            // What a server answers in place of a file that it does not have, for example.
            let starts = |word: &str| {
                self.text()
                    .get(..word.len())
                    .is_some_and(|text| text.eq_ignore_ascii_case(word.as_bytes()))
            };
            let is_markup = ["<!doctype", "<html", "<?xml"].into_iter().any(starts);
            is_markup.then_some(("a web page or XML", "export its table as CSV or JSON"))
        })
    }

    /// The text without a byte-order mark and blanks.
    fn text(&self) -> &[u8] {
        let text = self.bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.bytes);
        text.trim_ascii_start()
    }

    /// Whether its name ends as those of tables do.
    pub fn has_table_extension(&self) -> bool {
        matches!(self.extension.as_str(), "csv" | "tsv" | "tab")
    }

    /// Whether the file has no bytes.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether it is a SQLite file.
    pub fn is_database(&self) -> bool {
        self.bytes.starts_with(sqlite_header::MAGIC)
    }

    /// Whether it begins as a script does: with a statement or a comment.
    pub fn is_sql(&self) -> bool {
        let text = self.text();
        if text.starts_with(b"--") || text.starts_with(b"/*") {
            return true;
        }
        let length = text
            .iter()
            .position(|byte| !byte.is_ascii_alphabetic())
            .unwrap_or(text.len());
        let followed = text
            .get(length)
            .is_some_and(|byte| byte.is_ascii_whitespace() || *byte == b';');
        let word = &text[..length];
        followed && SQL.iter().any(|known| word.eq_ignore_ascii_case(known.as_bytes()))
    }

    /// Whether it begins as an array or an object of JSON does.
    fn is_json(&self) -> bool {
        match self.text() {
            [b'{', rest @ ..] => matches!(rest.trim_ascii_start().first(), Some(b'"' | b'}')),
            [b'[', rest @ ..] => matches!(rest.trim_ascii_start().first(), Some(b'{' | b']')),
            _ => false,
        }
    }

    /// What ends a row: a line feed, or a carriage return where there is no line feed at all.
    pub fn row_end(&self) -> u8 {
        if self.bytes.contains(&b'\r') && !self.bytes.contains(&b'\n') {
            b'\r'
        } else {
            b'\n'
        }
    }

    /// What separates the columns: that which gives all records the same number of them, more than one. A comma where none does.
    pub fn separator(&self) -> u8 {
        if matches!(self.extension.as_str(), "tsv" | "tab") {
            return b'\t';
        }
        let widest = SEPARATORS
            .into_iter()
            .filter_map(|separator| Some((self.width(separator)?, separator)))
            .filter(|(width, _)| *width > 1)
            .collect::<Vec<_>>();
        widest
            .iter()
            .find(|(_, separator)| *separator == b',')
            .or_else(|| widest.iter().max_by_key(|(width, _)| *width))
            .map_or(b',', |(_, separator)| *separator)
    }

    /// How many columns all records have with `separator`; none where they differ.
    fn width(&self, separator: u8) -> Option<usize> {
        let dialect = Dialect {
            column: separator,
            row: self.row_end(),
            ..Dialect::CSV
        };
        let mut reader = CsvFieldReader::new(self.bytes.as_slice(), dialect);
        let mut record = Record::default();
        let mut width = None;
        for _ in 0..RECORDS {
            record.clear();
            let mut end = Some(FieldEnd::Column);
            while end == Some(FieldEnd::Column) {
                end = record.read(&mut reader, &mut |_| {}).ok()?;
            }
            // The last record may be cut off, and a blank line ends many files.
            if matches!(end, None | Some(FieldEnd::File)) && (width.is_some() || self.bytes.len() as u64 == SAMPLE) {
                break;
            }
            if record.bytes().is_empty() {
                continue;
            }
            match width {
                None => width = Some(record.count()),
                Some(width) if width == record.count() => {}
                Some(_) => return None,
            }
            if end == Some(FieldEnd::File) {
                break;
            }
        }
        width
    }

    /// A separator other than `used` that a file of one column contains: in its first record, or in most of the others.
    pub fn suspected_separator(&self, used: u8) -> Option<char> {
        let end = self.row_end();
        let records = self.text().split(|byte| *byte == end);
        let records: Vec<&[u8]> = records
            .filter(|record| !record.trim_ascii().is_empty())
            .take(RECORDS)
            .collect();
        let (first, others) = records.split_first()?;
        let is_common = |separator: &u8| {
            let count = others.iter().filter(|record| record.contains(separator)).count();
            first.contains(separator) || count * 2 > others.len()
        };
        let mut suspected = SEPARATORS.into_iter().filter(|separator| *separator != used);
        suspected.find(is_common).map(char::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(text: &[u8], extension: &str) -> Sample {
        Sample {
            bytes: text.to_vec(),
            extension: extension.to_owned(),
        }
    }

    #[test]
    fn csv_separator_is_the_one_that_gives_all_records_one_width() {
        for (text, extension, separator) in [
            ("a,b\n1,2\n", "csv", b','),
            ("a;b\n1,5;2\n", "csv", b';'),
            ("a\tb\n1\t2\n", "tsv", b'\t'),
            ("a\tb\n1, 2\t2\n", "txt", b'\t'),
            ("a|b|c\n1|2|3\n", "csv", b'|'),
            ("a,b;c\n1,2;3\n", "csv", b','),
            ("name\nAda\n", "csv", b','),
            ("a;b\r1;2\r", "csv", b';'),
            ("\"a;b\",c\n1,2\n", "csv", b','),
        ] {
            assert_eq!(sample(text.as_bytes(), extension).separator(), separator, "{text:?}");
        }
        assert_eq!(sample(b"a,b\r1,2\r", "csv").row_end(), b'\r');
        assert_eq!(sample(b"a,b\r\n1,2\r\n", "csv").row_end(), b'\n');
    }

    #[test]
    fn separator_is_suspected_in_the_first_record_or_in_most_others() {
        for (text, suspected) in [
            ("a;b\n1\n", Some(';')),
            ("a\n1;2\n3;4\n", Some(';')),
            ("a\n1|2\n\n3|4\n5\n", Some('|')),
            ("a\n1;2\n3\n4\n", None),
            ("name\n\"Doe, John\"\n\"Roe, Jane\"\n", None),
            ("a\n", None),
            ("", None),
        ] {
            assert_eq!(
                sample(text.as_bytes(), "csv").suspected_separator(b','),
                suspected,
                "{text:?}"
            );
        }
    }

    #[test]
    fn file_kind_follows_from_content_and_name() {
        let path = Path::new("x");
        let kind = |text: &[u8], extension: &str| sample(text, extension).kind(path).ok();
        assert_eq!(kind(b"SQLite format 3\0", "csv"), Some(Kind::Database));
        assert_eq!(kind(b"a,b\n", "csv"), Some(Kind::Csv));
        assert_eq!(kind(b"create table t(a);", ""), Some(Kind::Script));
        assert_eq!(kind(b"-- a dump\n", "txt"), Some(Kind::Script));
        assert_eq!(kind(b"created,deleted\n", "txt"), Some(Kind::Csv));
        assert_eq!(kind(b"[{\"a\":1}]", "txt"), Some(Kind::Json));
        assert_eq!(kind(b"{\"a\":1}\n", "json"), Some(Kind::Json));
        for foreign in [
            &b"BZh91"[..],
            b"PK\x03\x04",
            b"a\0b\0",
            b"\n<!DOCTYPE html>",
            b"<?xml version='1.0'?>",
        ] {
            assert_eq!(kind(foreign, "csv"), None);
        }
    }
}
