//! Dot-commands that show what is in the database: `.tables`, `.indexes`, `.schema`, `.fullschema`, `.databases`.

use super::Call;
use crate::shell::render::{Mode, Renderer, Style};
use crate::shell::state::{Ran, Shell, text_of};
use crate::shell::words::is_option;
use crate::sql::Value;
use std::io::Write;

/// A text as an SQL string.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A name as an SQL identifier.
pub fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Names of the attached databases, `main` first.
pub fn database_names(shell: &mut Shell<'_>) -> Ran<Vec<String>> {
    let rows = shell.ask("SELECT name FROM pragma_database_list", &[])?;
    Ok(rows.iter().map(|row| text_of(&row[0])).collect())
}

/// Width that lists of names are fitted to.
const LINE: usize = 80;

/// Shows names in as many columns as fit, filled downwards.
fn show_names(shell: &mut Shell<'_>, names: &[String]) -> Ran {
    let Some(longest) = names.iter().map(String::len).max() else {
        return Ok(());
    };
    let columns = (LINE / (longest + 2)).max(1);
    let rows = names.len().div_ceil(columns);
    for row in 0..rows {
        for (column, name) in names.iter().skip(row).step_by(rows).enumerate() {
            let gap = if column == 0 { "" } else { "  " };
            // Padded by bytes, as the width was found.
            write!(shell.out, "{gap}{name}{:pad$}", "", pad = longest - name.len())?;
        }
        writeln!(shell.out)?;
    }
    Ok(())
}

/// Lists names of all databases that `condition` (on `?1`) lets through.
fn list_names(shell: &mut Shell<'_>, pattern: &str, condition: &str) -> Ran {
    let mut selects = Vec::new();
    for database in database_names(shell)? {
        let name = if database.eq_ignore_ascii_case("main") {
            "name".to_owned()
        } else {
            format!("{}||'.'||name", literal(&database))
        };
        selects.push(format!(
            "SELECT {name} FROM {}.sqlite_schema WHERE {condition}",
            identifier(&database)
        ));
    }
    let sql = format!("{} ORDER BY 1", selects.join(" UNION ALL "));
    let rows = shell.ask(&sql, &[Value::Text(pattern.to_owned())])?;
    let names: Vec<String> = rows.iter().map(|row| text_of(&row[0])).collect();
    show_names(shell, &names)
}

pub fn tables(shell: &mut Shell<'_>, call: &Call) -> Ran {
    let pattern = call.args.first().map_or("%", String::as_str);
    list_names(
        shell,
        pattern,
        "type IN ('table','view') AND name NOT LIKE 'sqlite_%' AND name LIKE ?1",
    )
}

pub fn indexes(shell: &mut Shell<'_>, call: &Call) -> Ran {
    if call.args.len() > 1 {
        shell.session()?;
        return shell.fail(format_args!("Usage: .indexes ?LIKE-PATTERN?"));
    }
    let pattern = call.args.first().map_or("%", String::as_str);
    list_names(shell, pattern, "type='index' AND tbl_name LIKE ?1")
}

pub fn databases(shell: &mut Shell<'_>, _: &Call) -> Ran {
    let rows = shell.ask("PRAGMA database_list", &[])?;
    for row in rows {
        let (name, file) = (text_of(&row[1]), text_of(&row[2]));
        let (read_only, transaction) = database_state(shell, &name)?;
        let file = if file.is_empty() { "\"\"" } else { &file };
        let access = if read_only { "r/o" } else { "r/w" };
        shell.show(format_args!("{name}: {file} {access}{transaction}"))?;
    }
    Ok(())
}

/// Whether a database is read-only, and its transaction as `.databases` tells it.
fn database_state(shell: &mut Shell<'_>, name: &str) -> Ran<(bool, &'static str)> {
    let Some(connection) = shell.session()?.local() else {
        return Ok((false, ""));
    };
    let read_only = connection.is_readonly(name).unwrap_or(false);
    let transaction = match connection.transaction_state(Some(name)) {
        Ok(rusqlite::TransactionState::Read) => " read-txn",
        Ok(rusqlite::TransactionState::Write) => " write-txn",
        _ => "",
    };
    Ok((read_only, transaction))
}

/// Whether a name must be quoted, as the shell decides it for schema names: unlike SQLite it knows few keywords.
fn needs_quotes(name: &str) -> bool {
    let plain = name.bytes().enumerate().all(|(at, byte)| {
        byte == b'_' || byte.is_ascii_alphabetic() || (at > 0 && byte.is_ascii_digit())
    });
    name.is_empty() || !plain || is_keyword(name)
}

/// Whether SQLite takes a word for a keyword.
fn is_keyword(word: &str) -> bool {
    use sqlite3_parser::dialect::keyword_token;
    keyword_token(word.as_bytes()).is_some()
}

/// Puts the schema's name into a statement that creates something in a database other than `main`.
fn with_schema(sql: &str, schema: &str) -> String {
    const CREATES: [&str; 7] = [
        "CREATE TABLE ",
        "CREATE VIEW ",
        "CREATE INDEX ",
        "CREATE UNIQUE INDEX ",
        "CREATE TRIGGER ",
        "CREATE VIRTUAL TABLE ",
        "CREATE TEMP VIEW ",
    ];
    if schema.eq_ignore_ascii_case("temp") {
        return match sql.strip_prefix("CREATE ") {
            Some(rest) => format!("CREATE TEMP {rest}"),
            None => sql.to_owned(),
        };
    }
    for create in CREATES {
        if let Some(rest) = sql.strip_prefix(create) {
            let name = if needs_quotes(schema) { identifier(schema) } else { schema.to_owned() };
            return format!("{create}{name}.{rest}");
        }
    }
    sql.to_owned()
}

/// The columns of a view or virtual table, as a comment: its own statement does not tell them.
fn columns_comment(shell: &mut Shell<'_>, schema: &str, name: &str) -> Ran<Option<String>> {
    let sql = format!(
        "PRAGMA {}.table_info({})",
        identifier(schema),
        identifier(name)
    );
    let Ok(rows) = shell.query(&sql, &[])? else {
        return Ok(None);
    };
    if rows.is_empty() {
        return Ok(None);
    }
    let quoted = |name: &str| if needs_quotes(name) { identifier(name) } else { name.to_owned() };
    let columns: Vec<String> = rows.iter().map(|row| quoted(&text_of(&row[1]))).collect();
    let prefix = if schema.eq_ignore_ascii_case("main") {
        String::new()
    } else {
        format!("{}.", quoted(schema))
    };
    Ok(Some(format!("{prefix}{}({})", quoted(name), columns.join(","))))
}

/// A statement of the schema as it is shown.
fn write_statement(shell: &mut Shell<'_>, sql: &str, indent: bool) -> Ran {
    if indent {
        let text = pretty(sql);
        shell.out.write_all(text.as_bytes())?;
        return Ok(());
    }
    let sql = if sql.starts_with("CREATE TABLE '") || sql.starts_with("CREATE TABLE \"") {
        format!("CREATE TABLE IF NOT EXISTS {}", &sql["CREATE TABLE ".len()..])
    } else {
        sql.to_owned()
    };
    shell.show(format_args!("{}", terminated(&sql)))
}

/// `sql` with a `;` where SQLite would need one. A comment at its end would hide it, so it goes on a line of its own.
fn terminated(sql: &str) -> String {
    if crate::sql::split::complete(sql.as_bytes()) {
        return sql.to_owned();
    }
    for tail in [";", "\n;"] {
        let whole = format!("{sql}{tail}");
        if crate::sql::split::complete(whole.as_bytes()) {
            return whole;
        }
    }
    format!("{sql};")
}

/// A `CREATE TABLE` with a line for each column.
fn pretty(sql: &str) -> String {
    let lower = sql.to_ascii_lowercase();
    if lower.starts_with("create view") || lower.starts_with("create trig") {
        return format!("{sql};\n");
    }
    let source = if sql.starts_with("CREATE TABLE '") || sql.starts_with("CREATE TABLE \"") {
        format!("CREATE TABLE IF NOT EXISTS {}", &sql["CREATE TABLE ".len()..])
    } else {
        sql.to_owned()
    };
    let text = collapsed(source.as_bytes());
    if text.len() < 79 {
        return format!("{};\n", String::from_utf8_lossy(&text));
    }
    let mut out = Vec::with_capacity(text.len() + 64);
    let mut depth = 0_i32;
    let mut lines = 0;
    let mut at = 0;
    let mut quote_end = 0_u8;
    let end_at = text.iter().rposition(|&byte| byte == b')');
    while at < text.len() {
        let byte = text[at];
        if byte == quote_end {
            quote_end = 0;
        } else if quote_end == 0 {
            match byte {
                b'"' | b'\'' | b'`' => quote_end = byte,
                b'[' => quote_end = b']',
                b'-' if text.get(at + 1) == Some(&b'-') => quote_end = b'\n',
                b'(' => depth += 1,
                b')' => {
                    depth -= 1;
                    if lines > 0 && depth == 0 && Some(at) == end_at && out.last() != Some(&b'\n') {
                        out.push(b'\n');
                    }
                }
                _ => {}
            }
        }
        out.push(byte);
        let splits = (byte == b'(' && depth == 1) || (byte == b',' && depth == 1) || (byte == b'\n');
        if quote_end == 0 && depth == 1 && splits {
            if byte != b'\n' {
                out.push(b'\n');
            }
            out.extend_from_slice(b"  ");
            lines += 1;
            while text.get(at + 1) == Some(&b' ') {
                at += 1;
            }
        }
        at += 1;
    }
    format!("{};\n", String::from_utf8_lossy(&out))
}

/// White space as single blanks, and none around parentheses.
fn collapsed(text: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(text.len());
    for &byte in text {
        if crate::sql::split::is_space(byte) {
            if matches!(out.last(), Some(b' ' | b'(')) {
                continue;
            }
            out.push(b' ');
        } else {
            if matches!(byte, b'(' | b')') && out.last() == Some(&b' ') {
                out.pop();
            }
            out.push(byte);
        }
    }
    while out.last() == Some(&b' ') {
        out.pop();
    }
    out
}

struct SchemaOptions<'a> {
    indent: bool,
    debug: bool,
    no_system: bool,
    pattern: Option<&'a str>,
}

fn schema_options<'a>(shell: &mut Shell<'_>, call: &'a Call) -> Ran<SchemaOptions<'a>> {
    let mut options = SchemaOptions {
        indent: false,
        debug: false,
        no_system: false,
        pattern: None,
    };
    for word in &call.args {
        if is_option(word, "indent") {
            options.indent = true;
        } else if is_option(word, "debug") {
            options.debug = true;
        } else if is_option(word, "nosys") {
            options.no_system = true;
        } else if word.starts_with('-') {
            return shell.fail(format_args!("Unknown option: \"{word}\""));
        } else if options.pattern.is_none() {
            options.pattern = Some(word);
        } else {
            return shell.fail(format_args!("Usage: .schema ?--indent? ?--nosys? ?LIKE-PATTERN?"));
        }
    }
    Ok(options)
}

pub fn schema(shell: &mut Shell<'_>, call: &Call) -> Ran {
    shell.session()?;
    let options = schema_options(shell, call)?;
    if let Some(pattern) = options.pattern {
        let tables = ["sqlite_master", "sqlite_schema", "sqlite_temp_master", "sqlite_temp_schema"];
        let rows = shell.ask(
            "SELECT ?1 LIKE ?2 ESCAPE '\\' OR ?1 LIKE ?3 ESCAPE '\\'",
            &[Value::Null, Value::Null, Value::Null],
        )?;
        drop(rows);
        for table in tables {
            if is_like(shell, pattern, table)? {
                write_statement(
                    shell,
                    &format!(
                        "CREATE TABLE {pattern} (\n  type text,\n  name text,\n  tbl_name text,\n  rootpage \
                         integer,\n  sql text\n)"
                    ),
                    options.indent,
                )?;
                break;
            }
        }
    }
    let sql = schema_query(shell, &options)?;
    if options.debug {
        return shell.show(format_args!("SQL: {sql};"));
    }
    for row in shell.ask(&sql, &[])? {
        let [statement, kind, name, schema] = [0, 1, 2, 3].map(|index| text_of(&row[index]));
        let mut statement = if schema.eq_ignore_ascii_case("main") {
            statement
        } else {
            with_schema(&statement, &schema)
        };
        let virtual_table = statement.starts_with("CREATE VIRTUAL TABLE") || kind == "module";
        if kind == "view" || (virtual_table && kind != "module") {
            if let Some(columns) = columns_comment(shell, &schema, &name)? {
                statement = format!("{statement}\n/* {columns} */");
            }
        }
        write_statement(shell, &statement, options.indent)?;
    }
    Ok(())
}

fn is_like(shell: &mut Shell<'_>, pattern: &str, text: &str) -> Ran<bool> {
    let rows = shell.ask(
        "SELECT ?1 LIKE ?2 ESCAPE '\\'",
        &[Value::Text(text.to_owned()), Value::Text(pattern.to_owned())],
    )?;
    Ok(matches!(rows.first().and_then(|row| row.first()), Some(Value::Integer(1))))
}

/// Statement, type, name and schema of everything that is to be shown, in order.
fn schema_query(shell: &mut Shell<'_>, options: &SchemaOptions<'_>) -> Ran<String> {
    let parts: Vec<String> = database_names(shell)?
        .iter()
        .enumerate()
        .map(|(number, database)| {
            format!(
                "SELECT sql, type, tbl_name, name, rowid, {} AS snum, {} AS sname FROM {}.sqlite_schema",
                number + 1,
                literal(database),
                identifier(database)
            )
        })
        .collect();
    let mut conditions = Vec::new();
    if let Some(pattern) = options.pattern {
        let subject = if pattern.contains('.') {
            "lower(printf('%s.%s',sname,tbl_name))"
        } else {
            "lower(tbl_name)"
        };
        if pattern.contains(['*', '?', '[']) {
            conditions.push(format!("{subject} GLOB {}", literal(pattern)));
        } else {
            conditions.push(format!("{subject} LIKE {} ESCAPE '\\'", literal(pattern)));
        }
    }
    if options.no_system {
        conditions.push("name NOT LIKE 'sqlite_%'".to_owned());
    }
    conditions.push("sql IS NOT NULL".to_owned());
    Ok(format!(
        "SELECT sql, type, name, sname FROM ({}) WHERE {} ORDER BY snum, rowid",
        parts.join(" UNION ALL "),
        conditions.join(" AND ")
    ))
}

pub fn fullschema(shell: &mut Shell<'_>, call: &Call) -> Ran {
    let indent = match call.texts()[..] {
        [] => false,
        [word] if is_option(word, "indent") => true,
        _ => return shell.fail(format_args!("Usage: .fullschema ?--indent?")),
    };
    let rows = shell.ask(
        "SELECT sql FROM (SELECT sql, type, name, rowid x FROM sqlite_schema UNION ALL SELECT sql, type, name, rowid \
         FROM sqlite_temp_schema) WHERE type!='meta' AND sql NOTNULL AND name NOT LIKE 'sqlite_%' ORDER BY x",
        &[],
    )?;
    for row in rows {
        write_statement(shell, &text_of(&row[0]), indent)?;
    }
    let statistics = shell.ask("SELECT rowid FROM sqlite_schema WHERE name GLOB 'sqlite_stat[134]'", &[])?;
    if statistics.is_empty() {
        return shell.show(format_args!("/* No STAT tables available */"));
    }
    shell.show(format_args!("ANALYZE sqlite_schema;"))?;
    for table in ["sqlite_stat1", "sqlite_stat4"] {
        insert_rows(shell, table)?;
    }
    shell.show(format_args!("ANALYZE sqlite_schema;"))
}

/// Shows a table's rows as `INSERT`s. One that does not exist has none.
fn insert_rows(shell: &mut Shell<'_>, table: &str) -> Ran {
    let style = Style {
        mode: Mode::Insert,
        insert_table: table.to_owned(),
        headers: false,
        ..Style::default()
    };
    shell.session()?;
    let slot = &mut shell.slots[shell.active];
    if let Some(session) = &mut slot.session {
        let mut renderer = Renderer::new(&style, &mut shell.out);
        let ran = session.run(
            &format!("SELECT * FROM {table}"),
            &crate::sql::Args::default(),
            &mut renderer,
        );
        renderer.finish()?;
        drop(ran);
    }
    Ok(())
}
