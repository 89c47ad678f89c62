//! `.find`: where in the database a text is.

use super::CommandCall;
use crate::shell::exec::screen::show_rows;
use crate::shell::state::{Shell, ShellResult};
use crate::shell::table_info::{RowTable, tables};
use crate::shell::words::is_option;
use crate::sql::text::value_to_text;
use crate::sql::{Args, Failure, Sink, Value, ValueRef};
use crate::sqltext::quote::{identifier, literal};
use std::io;
use std::ops::ControlFlow;

/// A query can have no more columns than this, whatever the table has.
const MOST_COLUMNS: usize = 1_000;

/// Shows a line for each value that was found.
struct Finds<'r> {
    sink: &'r mut dyn Sink,
    table: &'r RowTable,
    /// The text in small letters, where SQLite does not fold all of its letters.
    folded: Option<&'r str>,
}

impl Sink for Finds<'_> {
    /// The key, then a value for each column: NULL where it is not what is looked for.
    fn row(&mut self, row: &[ValueRef<'_>]) -> io::Result<ControlFlow<()>> {
        let Some((&key, values)) = row.split_first() else {
            return Ok(ControlFlow::Continue(()));
        };
        for (column, &value) in self.table.columns.iter().zip(values) {
            if value == ValueRef::Null || !self.is_found(value) {
                continue;
            }
            let found = [
                ValueRef::Text(self.table.name.as_bytes()),
                ValueRef::Text(column.as_bytes()),
                key,
                value,
            ];
            if self.sink.row(&found)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

impl Finds<'_> {
    /// Whether a value that SQLite found holds the text. LIKE folds the letters of ASCII only; where there are others, their
    /// places were left open.
    fn is_found(&self, value: ValueRef<'_>) -> bool {
        match (self.folded, value) {
            (None, _) => true,
            (Some(folded), ValueRef::Text(text)) => String::from_utf8_lossy(text).to_lowercase().contains(folded),
            // No number is written with such letters.
            (Some(_), _) => false,
        }
    }
}

/// The statement that reads the rows of `table` in which `?1` is. Text only and any case, unless `exact` asks for it as it
/// is written.
fn query(table: &RowTable, exact: bool) -> String {
    let values: Vec<String> = table
        .columns
        .iter()
        .take(MOST_COLUMNS)
        .map(|column| {
            let column = identifier(column);
            let test = if exact {
                format!("instr({column}, ?1) > 0")
            } else {
                format!("{column} LIKE ?1 ESCAPE '\\'")
            };
            format!("CASE WHEN typeof({column}) <> 'blob' AND {test} THEN {column} END")
        })
        .collect();
    let key = match &table.key[..] {
        [] => "NULL".to_owned(),
        [only] => only.clone(),
        several => several
            .iter()
            .map(|part| format!("quote({part})"))
            .collect::<Vec<_>>()
            .join("||','||"),
    };
    format!(
        "SELECT {key}, {} FROM main.{}",
        values.join(", "),
        identifier(&table.name)
    )
}

/// A pattern for LIKE that fits whatever holds `text`.
fn pattern(text: &str) -> String {
    let mut pattern = String::from("%");
    for letter in text.chars() {
        match letter {
            '\\' | '%' | '_' => pattern.extend(['\\', letter]),
            // Which letter it is, whatever its case, is looked at afterwards.
            letter if !letter.is_ascii() && letter.is_alphabetic() => pattern.push('_'),
            letter => pattern.push(letter),
        }
    }
    pattern.push('%');
    pattern
}

pub fn find(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    let (mut exact, mut words) = (false, Vec::new());
    for word in &call.args {
        if is_option(word, "case") {
            exact = true;
        } else {
            words.push(word.as_str());
        }
    }
    let (text, tables_like) = match words[..] {
        [text] if !text.is_empty() => (text, None),
        [text, like] if !text.is_empty() => (text, Some(like)),
        _ => return shell.fail(format_args!("Usage: .find ?--case? TEXT ?TABLE-PATTERN?")),
    };
    let wanted = match tables_like {
        Some(like) => {
            let rows = shell.ask(
                &format!("SELECT name FROM sqlite_schema WHERE name LIKE {}", literal(like)),
                &[],
            )?;
            Some(rows.iter().map(|row| value_to_text(&row[0])).collect::<Vec<_>>())
        }
        None => None,
    };
    let all = match tables(shell.session()?) {
        Ok(all) => all,
        Err(error) => return shell.fail_with_error(error),
    };
    let parameter = if exact { text.to_owned() } else { pattern(text) };
    let args = Args {
        positional: vec![Value::Text(parameter)],
        named: Vec::new(),
    };
    let folded = (!exact && !text.is_ascii()).then(|| text.to_lowercase());
    let result = show_rows(shell, &["table", "column", "row", "value"], |session, sink| {
        let mut failures: Vec<String> = Vec::new();
        for table in &all {
            if wanted.as_ref().is_some_and(|wanted| !wanted.contains(&table.name)) || table.columns.is_empty() {
                continue;
            }
            let mut finds = Finds {
                sink: &mut *sink,
                folded: folded.as_deref(),
                table,
            };
            match session.run(&query(table, exact), &args, &mut finds) {
                Ok(_) => {}
                Err(Failure::Sink(error)) => return Err(error),
                // A table that cannot be read hides nothing in the others.
                Err(failure @ Failure::Sql { .. }) if !crate::shell::interrupt::pressed() => {
                    failures.push(format!("{}: {failure}", table.name));
                }
                Err(failure) => {
                    failures.push(failure.to_string());
                    break;
                }
            }
        }
        Ok::<_, io::Error>(failures)
    })?;
    let Some(failures) = result else { return Ok(()) };
    let failures: Vec<String> = failures?;
    match failures[..] {
        [] => Ok(()),
        _ => shell.fail(format_args!("Error: {}", failures.join("\nError: "))),
    }
}
