//! `edit`: a value in the user's editor, from SQL.

use super::{DIRECT, refused, text};
use crate::temporary_files::TemporaryFile;
use rusqlite::functions::Context;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Result};
use std::io::Write;
use std::process::Command;

/// The editor given as an argument, else the user's.
fn editor(context: &Context<'_>) -> Result<String> {
    let named = match context.len() {
        2 => text(context.get_raw(1)).map(|name| String::from_utf8_lossy(&name).into_owned()),
        _ => ["VISUAL", "EDITOR"]
            .iter()
            .find_map(|name| std::env::var(name).ok().filter(|value| !value.trim().is_empty())),
    };
    named.ok_or_else(|| refused("no editor for edit()"))
}

/// Opens a value in the editor and returns what was saved: a blob for a blob, text for anything else.
fn edit(context: &Context<'_>) -> Result<Value> {
    let name = context.get_raw(0);
    let is_blob = matches!(name, ValueRef::Blob(_));
    let content = text(name).ok_or_else(|| refused("NULL input to edit()"))?;
    let editor = editor(context)?;
    let failed = |_| refused("edit() cannot write its temporary file");
    let mut file = TemporaryFile::create("torso-", "").map_err(failed)?;
    file.write_all(&content).and_then(|()| file.flush()).map_err(failed)?;
    // Through the shell, because the editor may come with arguments; the path is passed beside it, so nothing in it is parsed.
    let status = Command::new("/bin/sh")
        .args(["-c", &format!("{editor} \"$1\""), "sh"])
        .arg(file.path())
        .status()
        .map_err(|_| refused("edit() cannot start a shell"))?;
    if !status.success() {
        return Err(refused("EDITOR returned non-zero"));
    }
    let mut saved = std::fs::read(file.path()).map_err(|_| refused("edit() cannot read its temporary file back"))?;
    if is_blob {
        return Ok(Value::Blob(saved));
    }
    if !content.windows(2).any(|pair| pair == b"\r\n") {
        // An editor may have changed the line ends.
        let ends: Vec<usize> = saved
            .windows(2)
            .enumerate()
            .filter(|(_, pair)| *pair == b"\r\n")
            .map(|(at, _)| at)
            .collect();
        for at in ends.into_iter().rev() {
            saved.remove(at);
        }
    }
    if let Some(nul) = saved.iter().position(|&byte| byte == 0) {
        saved.truncate(nul);
    }
    String::from_utf8(saved)
        .map(Value::Text)
        .map_err(|_| refused("what was saved is not UTF-8; edit it as a blob"))
}

pub(super) fn register(connection: &Connection) -> Result<()> {
    connection.create_scalar_function("edit", 1, DIRECT, |context| edit(context))?;
    connection.create_scalar_function("edit", 2, DIRECT, |context| edit(context))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(sql: &str) -> std::result::Result<Value, String> {
        let connection = Connection::open_in_memory().unwrap();
        register(&connection).unwrap();
        connection
            .query_row(sql, [], |row| row.get(0))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn edit_function_returns_the_edited_value() {
        let text = |text: &str| Ok(Value::Text(text.to_owned()));
        assert_eq!(answer("select edit('aXb', 'sed -i s/X/Y/')"), text("aYb"));
        assert_eq!(answer("select edit(5, 'true')"), text("5"));
        assert_eq!(answer("select edit(x'00ff', 'true')"), Ok(Value::Blob(vec![0, 255])));
        assert_eq!(answer("select edit('a', 'printf ''l1\\r\\nl2'' >')"), text("l1\nl2"));
        for (sql, why) in [
            ("select edit(null, 'true')", "NULL input"),
            ("select edit('a', 'false')", "EDITOR returned non-zero"),
            ("select edit('a', null)", "no editor"),
        ] {
            assert!(answer(sql).is_err_and(|error| error.contains(why)), "{sql}");
        }
    }

    #[test]
    fn edit_function_in_a_schema_starts_no_program() {
        let connection = Connection::open_in_memory().unwrap();
        register(&connection).unwrap();
        connection
            .execute_batch("create view v as select edit('a', 'true') as x")
            .unwrap();
        let error = connection
            .query_row("select x from v", [], |row| row.get::<_, String>(0))
            .unwrap_err();
        assert!(error.to_string().contains("unsafe use of edit()"), "{error}");
    }
}
