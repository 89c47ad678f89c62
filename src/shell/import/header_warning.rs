//! What the header of a new table tells of a file that was read as something it is not. `sqlite3` makes a table of whatever it
//! reads and says nothing, and so does `.import` in scripts. At a terminal a person reads what the file looks like, and what to
//! type. Recognizing files before they are read is left to `db import`.

use super::ImportOptions;
use super::reader::Record;
use crate::shell::words::c_literal;
use crate::sqlite_header;

/// What separates columns in files, the likeliest first.
const SEPARATORS: &[u8] = b",\t;|";

/// Statements that scripts begin with.
const STATEMENTS: &[&str] = &["CREATE ", "INSERT ", "PRAGMA ", "BEGIN", "DROP "];

/// Returns a warning about the first record of a file, of which the columns of a table are to be; none where nothing is odd about
/// it. `is_made` is whether the table was made.
pub(super) fn describe(header: &Record, options: &ImportOptions, is_made: bool) -> Option<String> {
    let (what, commands) = recognize(header, options)?;
    let mut text = String::new();
    text.push_str(&format!("Warning: {what}.\n"));
    text.push_str(match is_made && !options.dry_run {
        true => "If so, drop the table, and type:\n",
        false => "If so, type:\n",
    });
    for command in commands {
        text.push_str(&format!("  {command}\n"));
    }
    Some(text)
}

/// What the file looks like, and the commands that read it.
fn recognize(header: &Record, options: &ImportOptions) -> Option<(String, Vec<String>)> {
    let first = header.get(0)?;
    let (name, file, table) = (options.display_name(), options.file.as_str(), c_word(&options.table));
    let import = |option: &str| format!(".import {option}{} {table}", c_word(file));
    let decoded = |program: &str| match file.strip_prefix('|') {
        Some(command) => c_word(&format!("|{command} | {program}")),
        None => c_word(&format!("|{program} {}", sh_word(file))),
    };
    if first.starts_with(sqlite_header::MAGIC) {
        // A database has to be a file before it can be opened.
        let commands = match file.strip_prefix('|') {
            Some(command) => vec![format!(".system {command} > copy.db"), ".open copy.db".to_owned()],
            None => vec![format!(".open {}", c_word(file))],
        };
        return Some((format!("{name} is a SQLite database"), commands));
    }
    if first.starts_with(b"\x1f\x8b") {
        let command = format!(".import --csv {} {table}", decoded("gzip -dc"));
        return Some((format!("{name} looks compressed (gzip)"), vec![command]));
    }
    if header.bytes().contains(&0) {
        let command = format!(".import --csv {} {table}", decoded("iconv -f UTF-16 -t UTF-8"));
        return Some((
            format!("{name} contains NUL bytes: it looks like UTF-16"),
            vec![command],
        ));
    }
    if options.dialect.quotes && header.is_quoted(0) && header.count() == 1 {
        return None;
    }
    let text = first.trim_ascii_start();
    let is_json = matches!(text, [b'{', rest @ ..] if rest.trim_ascii_start().first().is_none_or(|byte| *byte == b'"'))
        || matches!(text, [b'[', rest @ ..] if rest.trim_ascii_start().first().is_none_or(|byte| b"{[".contains(byte)));
    if is_json {
        return Some((format!("{name} looks like JSON"), vec![import("--json ")]));
    }
    let begins = |word: &&str| {
        text.get(..word.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()))
    };
    if STATEMENTS.iter().any(begins) {
        return Some((
            format!("{name} looks like SQL"),
            vec![format!(".read {}", c_word(file))],
        ));
    }
    let unquoted = |index: &usize| !header.is_quoted(*index);
    let has_return = (0..header.count())
        .filter(unquoted)
        .filter_map(|index| header.get(index))
        .any(|field| field.contains(&b'\r'));
    if options.dialect.text_file && has_return {
        let column = c_literal(&char::from(options.dialect.column).to_string());
        let commands = vec![format!(".separator {column} \"\\r\""), import("")];
        return Some((
            format!("{name} looks as if its lines ended with carriage returns"),
            commands,
        ));
    }
    let used = options.dialect.column;
    let separator = SEPARATORS
        .iter()
        .find(|separator| **separator != used && first.contains(separator))
        .filter(|_| header.count() == 1)?;
    let literal = c_literal(&char::from(*separator).to_string());
    let what = format!("{name} looks as if {literal} separated its columns; here it is one column");
    let commands = match separator {
        b',' => vec![import("--csv ")],
        b'\t' => vec![import("--tsv ")],
        _ => vec![format!(".separator {literal}"), import("")],
    };
    Some((what, commands))
}

/// A word of a dot-command, in quotes where it needs them.
fn c_word(word: &str) -> String {
    match is_plain(word) {
        true => word.to_owned(),
        false => c_literal(word),
    }
}

/// A word of a shell's command line.
fn sh_word(word: &str) -> String {
    match is_plain(word) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

fn is_plain(word: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._/~-".contains(&byte);
    !word.is_empty() && !word.starts_with('-') && word.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::super::reader::{CsvFieldReader, FieldEnd};
    use super::*;
    use crate::shell::render::Style;

    /// The warning about a text that is imported with these words, without its beginning.
    fn warning(words: &[&str], text: &[u8]) -> Option<String> {
        let options = ImportOptions::parse(words, &Style::default()).unwrap();
        let mut reader = CsvFieldReader::new(text, options.dialect);
        let mut record = Record::default();
        while record.read(&mut reader, &mut |_| {}).unwrap() == Some(FieldEnd::Column) {}
        describe(&record, &options, true).map(|text| text.replace("If so, drop the table, and type:\n", ""))
    }

    #[test]
    fn import_header_of_another_separator_is_warned_of() {
        for (words, text, expected) in [
            (
                &["f.csv", "t"][..],
                &b"a,b\n1,2\n"[..],
                "Warning: f.csv looks as if \",\" separated its columns; here it is one column.\n  .import --csv f.csv t\n",
            ),
            (
                &["--csv", "my file.tsv", "a table"],
                b"a\tb\n",
                "Warning: my file.tsv looks as if \"\\t\" separated its columns; here it is one column.\n  \
                 .import --tsv \"my file.tsv\" \"a table\"\n",
            ),
            (
                &["--csv", "f", "t"],
                b"a;b;c\n",
                "Warning: f looks as if \";\" separated its columns; here it is one column.\n  .separator \";\"\n  .import f t\n",
            ),
            (
                &["--tsv", "|cat f", "t"],
                b"a|b\n",
                "Warning: <pipe> looks as if \"|\" separated its columns; here it is one column.\n  .separator \"|\"\n  .import \"|cat f\" t\n",
            ),
            (
                &["--csv", "f", "t"],
                b"a,b\r1,2\r",
                "Warning: f looks as if its lines ended with carriage returns.\n  .separator \",\" \"\\r\"\n  .import f t\n",
            ),
            (
                &["--csv", "f", "t"],
                b"[{\"a\":1,\"b\":2}]\n",
                "Warning: f looks like JSON.\n  .import --json f t\n",
            ),
            (
                &["--csv", "f", "t"],
                b"create table t(a, b);\n",
                "Warning: f looks like SQL.\n  .read f\n",
            ),
            (
                &["--csv", "it's", "t"],
                b"\xff\xfea\0,\0b\0\n\0",
                "Warning: it's contains NUL bytes: it looks like UTF-16.\n  \
                 .import --csv \"|iconv -f UTF-16 -t UTF-8 'it'\\\\''s'\" t\n",
            ),
            (
                &["--csv", "f.gz", "t"],
                b"\x1f\x8b\x08\0abc\n",
                "Warning: f.gz looks compressed (gzip).\n  .import --csv \"|gzip -dc f.gz\" t\n",
            ),
            (
                &["--csv", "TABLE.json", "t"],
                b"[{\"a\":1,\"b\":2}]\n",
                "Warning: TABLE.json looks like JSON.\n  .import --json TABLE.json t\n",
            ),
            (
                &["|make db", "t"],
                b"SQLite format 3\0abc\n",
                "Warning: <pipe> is a SQLite database.\n  .system make db > copy.db\n  .open copy.db\n",
            ),
            (
                &["f.db", "t"],
                b"SQLite format 3\0abc\n",
                "Warning: f.db is a SQLite database.\n  .open f.db\n",
            ),
        ] {
            assert_eq!(warning(words, text).as_deref(), Some(expected), "{words:?}");
        }
    }

    #[test]
    fn import_header_that_was_read_rightly_is_not_warned_of() {
        for (words, text) in [
            (&["--csv", "f", "t"][..], &b"a,b\n"[..]),
            (&["--csv", "f", "t"], b"a,b;c\n"),
            (&["--csv", "f", "t"], b"\"last, first\"\n"),
            (&["--csv", "f", "t"], b"\"a\rb\",c\r\n1,2\r\n"),
            (&["--tsv", "f", "t"], b"a\tb, c\r\n"),
            (&["--csv", "f", "t"], b"name\nx\n"),
            (&["--csv", "f", "t"], b"[x],{y}\n"),
            (&["--csv", "f", "t"], b"Created,begins\n"),
            (&["f", "t"], b"a|b,c\n"),
            (&["--csv", "f", "t"], b""),
        ] {
            assert_eq!(
                warning(words, text),
                None,
                "{words:?} {}",
                String::from_utf8_lossy(text)
            );
        }
    }
}
