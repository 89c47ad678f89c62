//! `.lint`: indexes that foreign keys lack.

use super::CommandCall;
use crate::shell::state::{Shell, ShellResult};
use crate::shell::words::is_option;
use crate::sql::Value;
use crate::sql::text::value_to_text;
use crate::sqltext::quote::literal;

const LINT_USAGE: &str = "Usage lint sub-command ?switches...?\nWhere sub-commands are:\n    fkey-indexes";

pub fn lint(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    shell.session()?;
    let Some(command) = call
        .args
        .first()
        .filter(|word| !word.is_empty() && "fkey-indexes".starts_with(word.as_str()))
    else {
        return shell.say(format_args!("{LINT_USAGE}"));
    };
    let (mut verbose, mut group) = (false, false);
    for word in &call.args[1..] {
        if word.len() > 1 && "-verbose".starts_with(word.as_str()) {
            verbose = true;
        } else if is_option(word, "groupbyparent") || (word.len() > 1 && "-groupbyparent".starts_with(word.as_str())) {
            group = true;
        } else {
            return shell.say(format_args!("Usage: .lint {command} ?-verbose? ?-groupbyparent?"));
        }
    }
    foreign_key_indexes(shell, verbose, group)
}

/// A foreign key as `.lint` looks at it.
struct ForeignKey {
    /// The query that finds the children of a row.
    child_query: String,
    /// The plan of that query, as it would be with the right index.
    wanted: String,
    create: String,
    target: String,
    parent: String,
}

/// `COLLATE …` for the columns of foreign keys whose collation is not that of the column they refer to, as a table expression
/// of the child, the key's number, the column's place in it, and the clause. A server does not tell collations: none there.
fn collate_clauses(shell: &mut Shell<'_>) -> ShellResult<String> {
    const NONE: &str = "SELECT NULL, NULL, NULL, '' WHERE 0";
    let columns = shell.ask(
        "SELECT s.name, f.[from], f.[table], coalesce(f.[to], (SELECT name FROM pragma_table_info(f.[table]) WHERE \
         pk=seq+1)), f.id, f.seq FROM sqlite_schema AS s, pragma_foreign_key_list(s.name) AS f WHERE s.type='table'",
        &[],
    )?;
    let Some(engine) = shell.session()?.engine() else {
        return Ok(NONE.to_owned());
    };
    let connection = engine.connection();
    let collation = |table: &Value, column: &Value| {
        let described = connection.column_metadata(None, value_to_text(table).as_str(), value_to_text(column).as_str());
        described.ok()?.1.map(|name| name.to_string_lossy().into_owned())
    };
    let clauses: Vec<String> = columns
        .iter()
        .filter_map(|row| {
            let (child, parent) = (collation(&row[0], &row[1])?, collation(&row[2], &row[3])?);
            let clause = literal(&format!(" COLLATE {parent}"));
            let key = format!(
                "{},{},{}",
                literal(&value_to_text(&row[0])),
                value_to_text(&row[4]),
                value_to_text(&row[5])
            );
            (!child.eq_ignore_ascii_case(&parent)).then(|| format!("({key},{clause})"))
        })
        .collect();
    Ok(if clauses.is_empty() {
        NONE.to_owned()
    } else {
        format!("VALUES {}", clauses.join(","))
    })
}

/// Foreign keys whose children can only be found by reading whole tables.
fn foreign_key_indexes(shell: &mut Shell<'_>, verbose: bool, group: bool) -> ShellResult {
    let clauses = collate_clauses(shell)?;
    let clause = "coalesce((SELECT clause FROM clauses c WHERE c.child=s.name AND c.id=f.id AND c.seq=f.seq),'')";
    let rows = shell.ask(
        &format!("WITH clauses(child,id,seq,clause) AS ({clauses}) \
         SELECT 'SELECT 1 FROM ' || quote(s.name) || ' WHERE ' || group_concat(quote(s.name) || '.' || \
         quote(f.[from]) || '=?' || {clause}, ' AND '), 'SEARCH ' || s.name || ' USING COVERING INDEX*(' || group_concat('*=?', ' AND ') || \
         ')', 'CREATE INDEX ' || quote(s.name || '_' || group_concat(f.[from], '_')) || ' ON ' || quote(s.name) || \
         '(' || group_concat(quote(f.[from]) || {clause}, ', ') || ');', s.name || '(' || group_concat(f.[from], ', ') || ')', \
         f.[table] || '(' || group_concat(coalesce(f.[to], (SELECT name FROM pragma_table_info(f.[table]) WHERE \
         pk=seq+1))) || ')', f.[table], 'SEARCH ' || s.name || ' USING INTEGER PRIMARY KEY (rowid=?)' FROM \
         sqlite_schema AS s, pragma_foreign_key_list(s.name) AS f WHERE s.type='table' GROUP BY s.name, f.id ORDER BY \
         CASE WHEN ?1 THEN f.[table] ELSE s.name END"),
        &[Value::Integer(i64::from(group))],
    )?;
    let mut previous = String::new();
    for row in rows {
        let field = |value: &Value| match value {
            Value::Null => "(null)".to_owned(),
            value => value_to_text(value),
        };
        let fields: Vec<String> = row.iter().map(field).collect();
        let key = ForeignKey {
            child_query: fields[0].clone(),
            wanted: fields[1].clone(),
            create: fields[2].clone(),
            target: fields[4].clone(),
            parent: fields[5].clone(),
        };
        let indexed = is_indexed(shell, &key, &fields[6])?;
        let indent = if group { "    " } else { "" };
        if group && (verbose || !indexed) && previous != key.parent {
            shell.show(format_args!("-- Parent table {}", key.parent))?;
            previous.clone_from(&key.parent);
        }
        if !indexed {
            shell.show(format_args!("{indent}{} --> {}", key.create, key.target))?;
        } else if verbose {
            shell.show(format_args!(
                "{indent}/* no extra indexes required for {} -> {} */",
                fields[3], key.target
            ))?;
        }
    }
    Ok(())
}

/// Whether an index serves the key: the plan for finding children says so.
fn is_indexed(shell: &mut Shell<'_>, key: &ForeignKey, by_rowid: &str) -> ShellResult<bool> {
    let Ok(plan) = shell.query(&format!("EXPLAIN QUERY PLAN {}", key.child_query), &[])? else {
        return Ok(false);
    };
    for row in plan {
        let detail = value_to_text(&row[3]);
        let glob = shell.ask(
            "SELECT ?1 GLOB ?2 OR ?1=?3",
            &[
                Value::Text(detail),
                Value::Text(key.wanted.clone()),
                Value::Text(by_rowid.to_owned()),
            ],
        )?;
        if glob.first().is_some_and(|row| row[0] == Value::Integer(1)) {
            return Ok(true);
        }
    }
    Ok(false)
}
