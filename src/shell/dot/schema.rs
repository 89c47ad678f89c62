//! `.schema` and `.fullschema`: the statements that make a database.

use super::CommandCall;
use super::databases::database_names;
use crate::shell::render::{Mode, Renderer, Style};
use crate::shell::state::{Shell, ShellResult};
use crate::shell::words::is_option;
use crate::sql::Value;
use crate::sql::text::value_to_text;
use crate::sqltext::quote::{identifier, is_keyword, literal};
use crate::sqltext::split::complete;
use crate::sqltext::token::is_space;
use std::io::Write;

/// Whether a name must be quoted.
fn needs_quotes(name: &str) -> bool {
    let plain = name
        .bytes()
        .enumerate()
        .all(|(at, byte)| byte == b'_' || byte.is_ascii_alphabetic() || (at > 0 && byte.is_ascii_digit()));
    name.is_empty() || !plain || is_keyword(name.as_bytes())
}

/// A name, quoted where it must be.
fn quoted(name: &str) -> String {
    if needs_quotes(name) {
        identifier(name)
    } else {
        name.to_owned()
    }
}

/// The name of a database other than `main`, quoted where it must be. `temp` is a keyword, but not there.
fn quoted_schema(schema: &str) -> String {
    if schema.eq_ignore_ascii_case("temp") {
        schema.to_owned()
    } else {
        quoted(schema)
    }
}

/// What follows `CREATE` in the statements that a database's name can be put into.
const CREATED: [&str; 6] = ["TABLE", "INDEX", "UNIQUE INDEX", "VIEW", "TRIGGER", "VIRTUAL TABLE"];

/// A statement of the schema with the name of its database, unless that is `main`, and with the columns of a view or a
/// virtual table as a comment: the statement itself does not tell them.
fn completed(shell: &mut Shell<'_>, sql: &str, schema: &str, name: &str) -> ShellResult<String> {
    let created = sql.strip_prefix("CREATE ").and_then(|rest| {
        CREATED
            .iter()
            .find_map(|kind| Some((*kind, rest.strip_prefix(kind)?.strip_prefix(' ')?)))
    });
    let Some((kind, rest)) = created else {
        return Ok(sql.to_owned());
    };
    let other = (!schema.eq_ignore_ascii_case("main")).then_some(schema);
    let mut text = match other {
        Some(schema) => format!("CREATE {kind} {}.{rest}", quoted_schema(schema)),
        None => sql.to_owned(),
    };
    if kind.starts_with('V')
        && let Some(columns) = columns_of(shell, other, name)?
    {
        text.push_str("\n/* ");
        text.push_str(&columns);
        text.push_str(" */");
    }
    Ok(text)
}

/// `name(column,…)`, if it has columns.
fn columns_of(shell: &mut Shell<'_>, schema: Option<&str>, name: &str) -> ShellResult<Option<String>> {
    let sql = format!(
        "PRAGMA {}.table_info={}",
        identifier(schema.unwrap_or("main")),
        literal(name)
    );
    let rows = shell.query(&sql, &[])?.unwrap_or_default();
    if rows.is_empty() {
        return Ok(None);
    }
    let columns: Vec<String> = rows.iter().map(|row| quoted(&value_to_text(&row[1]))).collect();
    let prefix = schema.map_or_else(String::new, |schema| format!("{}.", quoted_schema(schema)));
    Ok(Some(format!("{prefix}{}({})", quoted(name), columns.join(","))))
}

/// A statement of the schema, or a piece of one, as it is shown.
fn write_piece(out: &mut dyn Write, sql: &str, tail: &str) -> std::io::Result<()> {
    let mut sql = std::borrow::Cow::Borrowed(sql);
    if tail.starts_with(';') && (sql.contains("/*") || sql.contains("--")) {
        // A comment left open would hide the semicolon.
        for close in ["", "*/", "\n"] {
            if complete(format!("{sql}{close};").as_bytes()) {
                sql = format!("{sql}{close}").into();
                break;
            }
        }
    }
    if sql.starts_with("CREATE TABLE '") || sql.starts_with("CREATE TABLE \"") {
        write!(
            out,
            "CREATE TABLE IF NOT EXISTS {}{tail}",
            &sql["CREATE TABLE ".len()..]
        )
    } else {
        write!(out, "{sql}{tail}")
    }
}

fn write_statement(shell: &mut Shell<'_>, sql: &str, indent: bool) -> ShellResult {
    if indent {
        write_indented(&mut shell.out, sql)?;
    } else {
        write_piece(&mut shell.out, sql, ";\n")?;
    }
    Ok(())
}

/// Shorter statements stay on one line.
const LONG: usize = 79;

/// A `CREATE TABLE` with a line for each column.
fn write_indented(out: &mut dyn Write, sql: &str) -> std::io::Result<()> {
    let starts = |prefix: &str| {
        sql.get(..prefix.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    if starts("CREATE VIEW") || starts("CREATE TRIG") {
        return writeln!(out, "{sql};");
    }
    let text = collapsed(sql.as_bytes());
    let show = |piece: &[u8]| String::from_utf8_lossy(piece).into_owned();
    if text.len() < LONG {
        return write_piece(out, &show(&text), ";\n");
    }
    let mut piece: Vec<u8> = Vec::new();
    let (mut depth, mut lines, mut waiting_for) = (0, 0, 0);
    let mut at = 0;
    while at < text.len() {
        let byte = text[at];
        at += 1;
        match byte {
            byte if byte == waiting_for => waiting_for = 0,
            b'"' | b'\'' | b'`' => waiting_for = byte,
            b'[' => waiting_for = b']',
            b'-' if text.get(at) == Some(&b'-') => waiting_for = b'\n',
            b'(' => depth += 1,
            b')' => {
                depth -= 1;
                if lines > 0 && depth == 0 && !piece.is_empty() {
                    write_piece(out, &show(&piece), "\n")?;
                    piece.clear();
                }
            }
            _ => {}
        }
        piece.push(byte);
        let breaks = matches!(byte, b'(' | b'\n') || (byte == b',' && !line_ends(&text[at..]));
        if depth == 1 && waiting_for == 0 && breaks {
            if byte == b'\n' {
                piece.pop();
            }
            write_piece(out, &show(&piece), "\n  ")?;
            piece.clear();
            lines += 1;
            while text.get(at).copied().is_some_and(is_space) {
                at += 1;
            }
        }
    }
    write_piece(out, &show(&piece), ";\n")
}

/// Whether nothing but white space or a comment follows on the line.
fn line_ends(text: &[u8]) -> bool {
    let line = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let dark = crate::sqltext::split::trim_start(line);
    dark.is_empty() || dark.starts_with(b"--")
}

/// `text` with one white space for many, and none before parentheses or after an opening one.
fn collapsed(text: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(text.len());
    for &byte in crate::sqltext::split::trim_start(text) {
        if is_space(byte) {
            if out.last() == Some(&b'\r') {
                out.pop();
                out.push(b'\n');
            }
            if out.last().is_some_and(|&last| is_space(last) || last == b'(') {
                continue;
            }
        } else if matches!(byte, b'(' | b')') && out.last().copied().is_some_and(is_space) {
            out.pop();
        }
        out.push(byte);
    }
    while out.last().copied().is_some_and(is_space) {
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

fn schema_options<'a>(shell: &mut Shell<'_>, call: &'a CommandCall) -> ShellResult<SchemaOptions<'a>> {
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

pub fn schema(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    shell.session()?;
    let options = schema_options(shell, call)?;
    if let Some(pattern) = options.pattern {
        for table in [
            "sqlite_master",
            "sqlite_schema",
            "sqlite_temp_master",
            "sqlite_temp_schema",
        ] {
            if is_like(shell, pattern, table)? {
                let sql = format!(
                    "CREATE TABLE {pattern} (\n  type text,\n  name text,\n  tbl_name text,\n  rootpage integer,\n  sql \
                     text\n)"
                );
                write_statement(shell, &sql, options.indent)?;
                break;
            }
        }
    }
    let sql = schema_query(shell, &options)?;
    if options.debug {
        return shell.show(format_args!("SQL: {sql};"));
    }
    for row in shell.ask(&sql, &[])? {
        let [statement, name, schema, module] = [0, 1, 2, 3].map(|index| value_to_text(&row[index]));
        let statement = if module == "1" {
            match columns_of(shell, None, &name)? {
                Some(columns) => format!("/* {columns} */"),
                None => continue,
            }
        } else {
            completed(shell, &statement, &schema, &name)?
        };
        write_statement(shell, &statement, options.indent)?;
    }
    Ok(())
}

fn is_like(shell: &mut Shell<'_>, pattern: &str, text: &str) -> ShellResult<bool> {
    let rows = shell.ask(
        "SELECT ?1 LIKE ?2 ESCAPE '\\'",
        &[Value::Text(text.to_owned()), Value::Text(pattern.to_owned())],
    )?;
    Ok(matches!(
        rows.first().and_then(|row| row.first()),
        Some(Value::Integer(1))
    ))
}

/// Statement, name and schema of everything that is to be shown, in order, and whether it is a module of the engine.
fn schema_query(shell: &mut Shell<'_>, options: &SchemaOptions<'_>) -> ShellResult<String> {
    let mut parts: Vec<String> = database_names(shell)?
        .iter()
        .enumerate()
        .map(|(number, database)| {
            format!(
                "SELECT sql, tbl_name, name, rowid, {} AS snum, {} AS sname, 0 AS module FROM {}.sqlite_schema",
                number + 1,
                literal(database),
                identifier(database)
            )
        })
        .collect();
    let mut conditions = Vec::new();
    if let Some(pattern) = options.pattern {
        parts.push("SELECT '', name, name, name, 9e+99, 'main', 1 FROM pragma_module_list".to_owned());
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
        "SELECT sql, name, sname, module FROM ({}) WHERE {} ORDER BY snum, rowid",
        parts.join(" UNION ALL "),
        conditions.join(" AND ")
    ))
}

pub fn fullschema(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
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
        write_statement(shell, &value_to_text(&row[0]), indent)?;
    }
    let statistics = shell.ask(
        "SELECT rowid FROM sqlite_schema WHERE name GLOB 'sqlite_stat[134]'",
        &[],
    )?;
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
fn insert_rows(shell: &mut Shell<'_>, table: &str) -> ShellResult {
    let style = Style {
        mode: Mode::Insert,
        insert_table: table.to_owned(),
        headers: false,
        ..Style::default()
    };
    shell.session()?;
    let slot = &mut shell.connections.slots[shell.connections.active];
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
