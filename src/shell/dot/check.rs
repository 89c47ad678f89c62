//! Dot-commands that examine a database: `.sha3sum`, `.selftest`, `.lint`.

use super::Call;
use super::schema::{identifier, literal};
use crate::shell::exec::Stopped;
use crate::shell::state::{Ran, Shell, text_of};
use crate::shell::words::is_option;
use crate::sql::Value;

/// What `.sha3sum` is to hash, and how.
struct Sum<'a> {
    schema: bool,
    debug: bool,
    bits: u32,
    pattern: Option<&'a str>,
}

fn sum_options<'a>(shell: &mut Shell<'_>, call: &'a Call) -> Ran<Sum<'a>> {
    let mut sum = Sum {
        schema: false,
        debug: false,
        bits: 224,
        pattern: None,
    };
    for word in &call.args {
        match word.strip_prefix("--").or_else(|| word.strip_prefix('-')) {
            Some("schema") => sum.schema = true,
            Some("debug") => sum.debug = true,
            Some("sha3-224") => sum.bits = 224,
            Some("sha3-256") => sum.bits = 256,
            Some("sha3-384") => sum.bits = 384,
            Some("sha3-512") => sum.bits = 512,
            Some(_) => {
                shell.say(format_args!("Unknown option \"{word}\" on \"{}\"", call.name))?;
                super::help::print(shell, &call.name)?;
                return Err(crate::shell::state::End::Failed(1));
            }
            None if sum.pattern.is_some() => {
                return shell.fail(format_args!("Usage: .sha3sum ?OPTIONS? ?LIKE-PATTERN?"));
            }
            None => {
                sum.pattern = Some(word);
                let system = shell.ask("SELECT ?1 LIKE 'sqlite\\_%' ESCAPE '\\'", &[Value::Text(word.clone())])?;
                sum.schema |= system.first().is_some_and(|row| row[0] == Value::Integer(1));
            }
        }
    }
    Ok(sum)
}

/// The query that reads everything in a table, in an order that does not depend on how it is stored.
fn content_query(table: &str) -> String {
    if !table.starts_with("sqlite_") {
        return format!("SELECT * FROM {} NOT INDEXED;", identifier(table));
    }
    match table {
        "sqlite_schema" => "SELECT type,name,tbl_name,sql FROM sqlite_schema ORDER BY name;".to_owned(),
        "sqlite_sequence" => "SELECT name,seq FROM sqlite_sequence ORDER BY name;".to_owned(),
        "sqlite_stat1" => "SELECT tbl,idx,stat FROM sqlite_stat1 ORDER BY tbl,idx;".to_owned(),
        "sqlite_stat4" => "SELECT * FROM sqlite_stat4 ORDER BY tbl, idx, rowid;\n".to_owned(),
        _ => String::new(),
    }
}

pub fn sha3sum(shell: &mut Shell<'_>, call: &Call) -> Ran {
    shell.session()?;
    let sum = sum_options(shell, call)?;
    let system = if sum.schema {
        " UNION ALL SELECT 'sqlite_schema'"
    } else {
        " AND name NOT LIKE 'sqlite_%'"
    };
    let tables = shell.ask(
        &format!(
            "SELECT lower(name) FROM sqlite_schema WHERE type='table' AND coalesce(rootpage,0)>1{system} ORDER BY 1 \
             COLLATE nocase"
        ),
        &[],
    )?;
    let mut values = Vec::new();
    for row in &tables {
        let table = text_of(&row[0]);
        if let Some(pattern) = sum.pattern {
            let like = shell.ask(
                "SELECT ?1 LIKE ?2",
                &[Value::Text(table.clone()), Value::Text(pattern.to_owned())],
            )?;
            if like.first().is_none_or(|row| row[0] != Value::Integer(1)) {
                continue;
            }
        }
        values.push(format!("{},{}", literal(&content_query(&table)), literal(&table)));
    }
    let head = if values.is_empty() {
        "WITH [sha3sum$query](a,b) AS(".to_owned()
    } else {
        format!("WITH [sha3sum$query](a,b) AS(VALUES({}", values.join("),("))
    };
    let bits = sum.bits;
    let sql = if sum.pattern.is_some() {
        format!("{head})) SELECT lower(hex(sha3_query(a,{bits}))) AS hash, b AS label   FROM [sha3sum$query]")
    } else {
        format!("{head})) SELECT lower(hex(sha3_query(group_concat(a,''),{bits}))) AS hash   FROM [sha3sum$query]")
    };
    if sum.debug {
        return shell.show(format_args!("{sql}"));
    }
    // Nothing to hash is no SQL, and no answer.
    match shell.execute(sql.as_bytes()) {
        Err(Stopped::Ended(end)) => Err(end),
        _ => Ok(()),
    }
}

/// What a database without a `selftest` table is checked for.
const DEFAULT_TESTS: &str = "VALUES(0,'memo','Missing SELFTEST table - default checks only',''),(1,'run','PRAGMA \
                             integrity_check','ok')";

pub fn selftest(shell: &mut Shell<'_>, call: &Call) -> Ran {
    shell.session()?;
    let (mut init, mut verbose) = (false, false);
    for word in &call.args {
        match word.strip_prefix("--").or_else(|| word.strip_prefix('-')) {
            Some("init") => init = true,
            Some("v") => verbose = true,
            _ => {
                return shell.fail(format_args!(
                    "Unknown option \"{word}\" on \"{}\"\nShould be one of: --init -v",
                    call.name
                ));
            }
        }
    }
    if init {
        make_selftest(shell)?;
    }
    let exists = shell
        .query("SELECT 1 FROM pragma_table_info('selftest','main')", &[])?
        .is_ok_and(|rows| !rows.is_empty());
    let tests = if exists {
        "SELECT tno,op,cmd,ans FROM selftest ORDER BY tno"
    } else {
        DEFAULT_TESTS
    };
    let (mut run, mut wrong) = (0, 0);
    let mut failed = false;
    for row in shell.ask(tests, &[])? {
        let [number, operation, command, expected] = [0, 1, 2, 3].map(|index| text_of(&row[index]));
        if row[1..].contains(&Value::Null) {
            continue;
        }
        if verbose {
            shell.show(format_args!("{number}: {operation} {command}"))?;
        }
        match operation.as_str() {
            "memo" => shell.show(format_args!("{command}"))?,
            "run" => {
                run += 1;
                let answer = answer_of(shell, &command)?;
                failed = check(shell, &number, &expected, answer, verbose)?;
                wrong += u32::from(failed);
            }
            _ => {
                shell.say(format_args!(
                    "Unknown operation \"{operation}\" on selftest line {number}"
                ))?;
                failed = true;
                break;
            }
        }
    }
    shell.show(format_args!("{wrong} errors out of {run} tests"))?;
    if failed {
        Err(crate::shell::state::End::Failed(1))
    } else {
        Ok(())
    }
}

/// All values that `sql` gives, with blanks between, or SQLite's words.
fn answer_of(shell: &mut Shell<'_>, sql: &str) -> Ran<Result<String, String>> {
    let mut values = Vec::new();
    let mut rest = sql;
    while !rest.trim().is_empty() {
        let end = crate::sql::split::first_statement(rest.as_bytes());
        let (statement, after) = rest.split_at(end);
        rest = after;
        match shell.query(statement, &[])? {
            Ok(rows) => values.extend(rows.iter().flatten().map(text_of)),
            Err(failure) => return Ok(Err(failure.to_string())),
        }
    }
    Ok(Ok(values.join(" ")))
}

/// Compares an answer with what was expected. True if they differ.
fn check(
    shell: &mut Shell<'_>,
    number: &str,
    expected: &str,
    answer: Result<String, String>,
    verbose: bool,
) -> Ran<bool> {
    if verbose {
        let shown = answer.as_deref().unwrap_or_default();
        shell.show(format_args!("Result: {shown}"))?;
    }
    match answer {
        Ok(answer) if answer == expected => Ok(false),
        Ok(answer) => {
            shell.show(format_args!("{number}: Expected: [{expected}]"))?;
            shell.show(format_args!("{number}:      Got: [{answer}]"))?;
            Ok(true)
        }
        Err(message) => {
            shell.show(format_args!("{number}: error-code-1: {message}"))?;
            Ok(true)
        }
    }
}

/// Fills the `selftest` table with what the database answers now.
fn make_selftest(shell: &mut Shell<'_>) -> Ran {
    for sql in [
        "SAVEPOINT selftest_init",
        "CREATE TABLE IF NOT EXISTS selftest(tno INTEGER PRIMARY KEY, op TEXT, cmd TEXT, ans TEXT)",
        "CREATE TEMP TABLE [_shell$self](op,cmd,ans)",
        "INSERT INTO temp.[_shell$self](rowid,op,cmd) VALUES(coalesce((SELECT (max(tno)+100)/10 FROM \
         selftest),10),'memo','Tests generated by --init')",
        "INSERT INTO temp.[_shell$self] SELECT 'run','SELECT hex(sha3_query(''SELECT type,name,tbl_name,sql FROM \
         sqlite_schema ORDER BY 2'',224))',hex(sha3_query('SELECT type,name,tbl_name,sql FROM sqlite_schema ORDER BY \
         2',224))",
        "INSERT INTO temp.[_shell$self] SELECT 'run','SELECT hex(sha3_query(''SELECT * FROM ' || \
         printf('\"%w\"',name) || ' NOT INDEXED'',224))',hex(sha3_query(printf('SELECT * FROM \"%w\" NOT INDEXED',\
         name),224)) FROM (SELECT name FROM sqlite_schema WHERE type='table' AND name<>'selftest' AND \
         coalesce(rootpage,0)>0) ORDER BY name",
        "INSERT INTO temp.[_shell$self] VALUES('run','PRAGMA integrity_check','ok')",
        "INSERT INTO selftest(tno,op,cmd,ans) SELECT rowid*10,op,cmd,ans FROM temp.[_shell$self]",
        "DROP TABLE temp.[_shell$self]",
        "RELEASE selftest_init",
    ] {
        if let Err(failure) = shell.query(sql, &[])? {
            shell.say(format_args!("SQL error: {failure}"))?;
            shell.query("ROLLBACK TO selftest_init", &[])?.ok();
            shell.query("RELEASE selftest_init", &[])?.ok();
            break;
        }
    }
    Ok(())
}

const LINT_USAGE: &str = "Usage lint sub-command ?switches...?\nWhere sub-commands are:\n    fkey-indexes";

pub fn lint(shell: &mut Shell<'_>, call: &Call) -> Ran {
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
fn collate_clauses(shell: &mut Shell<'_>) -> Ran<String> {
    const NONE: &str = "SELECT NULL, NULL, NULL, '' WHERE 0";
    let columns = shell.ask(
        "SELECT s.name, f.[from], f.[table], coalesce(f.[to], (SELECT name FROM pragma_table_info(f.[table]) WHERE \
         pk=seq+1)), f.id, f.seq FROM sqlite_schema AS s, pragma_foreign_key_list(s.name) AS f WHERE s.type='table'",
        &[],
    )?;
    let Some(connection) = shell.session()?.local() else {
        return Ok(NONE.to_owned());
    };
    let collation = |table: &Value, column: &Value| {
        let described = connection.column_metadata(None, text_of(table).as_str(), text_of(column).as_str());
        described.ok()?.1.map(|name| name.to_string_lossy().into_owned())
    };
    let clauses: Vec<String> = columns
        .iter()
        .filter_map(|row| {
            let (child, parent) = (collation(&row[0], &row[1])?, collation(&row[2], &row[3])?);
            let clause = literal(&format!(" COLLATE {parent}"));
            let key = format!(
                "{},{},{}",
                literal(&text_of(&row[0])),
                text_of(&row[4]),
                text_of(&row[5])
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
fn foreign_key_indexes(shell: &mut Shell<'_>, verbose: bool, group: bool) -> Ran {
    let clauses = collate_clauses(shell)?;
    let clause = "coalesce((SELECT clause FROM clauses c WHERE c.child=s.name AND c.id=f.id AND c.seq=f.seq),'')";
    let rows = shell.ask(
        &format!("WITH clauses(child,id,seq,clause) AS ({clauses}) \
         SELECT 'SELECT rowid FROM ' || quote(s.name) || ' WHERE ' || group_concat(quote(s.name) || '.' || \
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
            value => text_of(value),
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
fn is_indexed(shell: &mut Shell<'_>, key: &ForeignKey, by_rowid: &str) -> Ran<bool> {
    let Ok(plan) = shell.query(&format!("EXPLAIN QUERY PLAN {}", key.child_query), &[])? else {
        return Ok(false);
    };
    for row in plan {
        let detail = text_of(&row[3]);
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
