//! `.tables` and `.indexes`: names of what is in the databases.

use super::CommandCall;
use super::databases::database_names;
use crate::shell::state::{Shell, ShellResult};
use crate::sql::Value;
use crate::sql::text::value_to_text;
use crate::sqltext::quote::{identifier, literal};
use std::io::Write;

/// Width that lists of names are fitted to.
const LINE: usize = 80;

/// Shows names in as many columns as fit, filled downwards.
fn show_names(shell: &mut Shell<'_>, names: &[String]) -> ShellResult {
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
fn list_names(shell: &mut Shell<'_>, pattern: &str, condition: &str) -> ShellResult {
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
    let names: Vec<String> = rows.iter().map(|row| value_to_text(&row[0])).collect();
    show_names(shell, &names)
}

pub fn tables(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    let pattern = call.args.first().map_or("%", String::as_str);
    list_names(
        shell,
        pattern,
        "type IN ('table','view') AND name NOT LIKE 'sqlite_%' AND name LIKE ?1",
    )
}

pub fn indexes(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    if call.args.len() > 1 {
        shell.session()?;
        return shell.fail(format_args!("Usage: .indexes ?LIKE-PATTERN?"));
    }
    let pattern = call.args.first().map_or("%", String::as_str);
    list_names(shell, pattern, "type='index' AND tbl_name LIKE ?1")
}
