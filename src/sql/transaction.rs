//! The transaction around somebody's script: begun before it, undone by its first error, and with the setting of foreign keys that
//! the script wants. What the script does is its caller's business.

use super::parsed_script::ParsedScript;
use super::script_error::commit_error;
use super::{Args, Session, Unseen, query};
use crate::error::{Code, Error, Result};
use crate::sqltext::classify::StatementKind;
use crate::sqltext::quote::unquote;
use crate::sqltext::token::significant_tokens;

/// Has a session enforce foreign keys as a server does, also on a file: the same script does the same on every control plane.
pub(crate) fn enforce_foreign_keys(session: &mut dyn Session) -> Result<()> {
    if session.is_local() {
        execute(session, "PRAGMA foreign_keys = ON")?;
    }
    Ok(())
}

/// Does work in a transaction that can write from its beginning. An error undoes it; `name` is whose work it is.
pub(crate) fn in_transaction<T>(
    session: &mut dyn Session,
    name: &str,
    work: impl FnOnce(&mut dyn Session) -> Result<T>,
) -> Result<T> {
    execute(session, "BEGIN IMMEDIATE")?;
    let done = work(session).and_then(|done| {
        let committed = session.run("COMMIT", &Args::default(), &mut Unseen);
        committed.map_err(|failure| commit_error(name, failure))?;
        Ok(done)
    });
    if done.is_err() && session.in_transaction() {
        // The error that is returned is the first one; a transaction that cannot be ended here ends with the session.
        let _ = execute(session, "ROLLBACK");
    }
    done
}

/// The same for the work of a script. One that turns foreign keys off, to make a table anew under its name, needs them off before the
/// transaction begins: within one `PRAGMA foreign_keys` does nothing, and dropping the old table would delete the rows that refer to it.
///
/// # Errors
///
/// `sql_error` where such a script leaves more rows that refer to no row than there were.
pub(crate) fn run_in_transaction<T>(
    session: &mut dyn Session,
    script: &ParsedScript,
    work: impl FnOnce(&mut dyn Session) -> Result<T>,
) -> Result<T> {
    if !turns_foreign_keys_off(script) || query::text(session, "PRAGMA foreign_keys")? == "0" {
        return in_transaction(session, script.name(), work);
    }
    execute(session, "PRAGMA foreign_keys = OFF")?;
    let done = in_transaction(session, script.name(), |session| {
        // A schema in which keys do not fit together cannot be checked. It was so before.
        let before = count_orphans(session).ok();
        let done = work(session)?;
        match before {
            Some(before) => check_orphans(session, script, before).map(|()| done),
            None => Ok(done),
        }
    });
    let restored = execute(session, "PRAGMA foreign_keys = ON");
    done.and_then(|done| restored.map(|()| done))
}

/// Whether a statement of a script is `PRAGMA foreign_keys = OFF`, in any of its forms.
fn turns_foreign_keys_off(script: &ParsedScript) -> bool {
    let pragmas = script.statements().iter();
    let mut pragmas = pragmas.filter(|statement| statement.kind == StatementKind::Pragma);
    pragmas.any(|statement| {
        let words: Vec<String> = significant_tokens(script.text(statement))
            .map(|(_, text)| unquote(text).to_ascii_lowercase())
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        matches!(
            words[..],
            ["pragma", "foreign_keys", "=" | "(", "off" | "no" | "false" | "0", ..]
                | [
                    "pragma",
                    _,
                    ".",
                    "foreign_keys",
                    "=" | "(",
                    "off" | "no" | "false" | "0",
                    ..
                ]
        )
    })
}

/// How many rows refer to a row that is not there.
fn count_orphans(session: &mut dyn Session) -> Result<u64> {
    let count = query::text(session, "SELECT count(*) FROM pragma_foreign_key_check")?;
    count
        .parse()
        .map_err(|_| Error::new(Code::Internal, format!("{count:?} is not a count")))
}

fn check_orphans(session: &mut dyn Session, script: &ParsedScript, before: u64) -> Result<()> {
    let after = count_orphans(session)?;
    if after <= before {
        return Ok(());
    }
    let rows = match after - before {
        1 => "1 row that refers".to_owned(),
        many => format!("{many} rows that refer"),
    };
    Err(Error::new(
        Code::SqlError,
        format!(
            "{}: it turns foreign keys off, and leaves {rows} to a row that is not there",
            script.name()
        ),
    )
    .hint("mend these rows in the same file; PRAGMA foreign_key_check lists them"))
}

fn execute(session: &mut dyn Session, sql: &str) -> Result<()> {
    session.run(sql, &Args::default(), &mut Unseen)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_keys_are_turned_off_in_every_form() {
        for (sql, off) in [
            ("PRAGMA foreign_keys=OFF;", true),
            ("pragma main.\"foreign_keys\" ( 'no' )", true),
            ("select 1; -- why\nPRAGMA /* keys */ foreign_keys = 0", true),
            ("PRAGMA foreign_keys = ON", false),
            ("PRAGMA foreign_keys", false),
            ("select 'PRAGMA foreign_keys = OFF'", false),
        ] {
            let script = ParsedScript::parse("x.sql", sql.to_owned()).unwrap();
            assert_eq!(turns_foreign_keys_off(&script), off, "{sql}");
        }
    }
}
