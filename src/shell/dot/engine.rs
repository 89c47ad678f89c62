//! Dot-commands that reach into the engine: limits, switches, hooks, versions.

use super::Call;
use crate::shell::state::{End, Ran, Shell};
use crate::shell::words::integer;
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use std::time::Duration;

/// The connection beneath the session, to watch or to limit the engine at its work. Only a local database has one.
pub(super) fn local<'s>(shell: &'s mut Shell<'_>, command: &str) -> Ran<&'s mut Connection> {
    if !shell.session()?.is_local() {
        return shell.fail(format_args!(
            "Error: .{command} needs a database in a local file: it reaches into the engine, and a server's is its own"
        ));
    }
    let session = shell.session()?;
    session.watched();
    session.local().ok_or(End::Failed(1))
}

/// Limits as `.limits` names them, in its order.
pub(super) const LIMITS: [(&str, Limit); 12] = [
    ("length", Limit::SQLITE_LIMIT_LENGTH),
    ("sql_length", Limit::SQLITE_LIMIT_SQL_LENGTH),
    ("column", Limit::SQLITE_LIMIT_COLUMN),
    ("expr_depth", Limit::SQLITE_LIMIT_EXPR_DEPTH),
    ("compound_select", Limit::SQLITE_LIMIT_COMPOUND_SELECT),
    ("vdbe_op", Limit::SQLITE_LIMIT_VDBE_OP),
    ("function_arg", Limit::SQLITE_LIMIT_FUNCTION_ARG),
    ("attached", Limit::SQLITE_LIMIT_ATTACHED),
    ("like_pattern_length", Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH),
    ("variable_number", Limit::SQLITE_LIMIT_VARIABLE_NUMBER),
    ("trigger_depth", Limit::SQLITE_LIMIT_TRIGGER_DEPTH),
    ("worker_threads", Limit::SQLITE_LIMIT_WORKER_THREADS),
];

pub fn limits(shell: &mut Shell<'_>, call: &Call) -> Ran {
    local(shell, "limits")?;
    let words = call.texts();
    let chosen = match words[..] {
        [] => {
            for (name, limit) in LIMITS {
                let value = local(shell, "limits")?.limit(limit).unwrap_or(-1);
                shell.show(format_args!("{name:>20} {value}"))?;
            }
            return Ok(());
        }
        [name] | [name, _] => name.to_ascii_lowercase(),
        _ => return shell.fail(format_args!("Usage: .limit NAME ?NEW-VALUE?")),
    };
    let mut matching = LIMITS.iter().filter(|(name, _)| name.starts_with(&chosen));
    let (Some((name, limit)), None) = (matching.next(), matching.next()) else {
        return if LIMITS.iter().any(|(name, _)| name.starts_with(&chosen)) {
            shell.fail(format_args!("ambiguous limit: \"{}\"", words[0]))
        } else {
            shell.fail(format_args!(
                "unknown limit: \"{}\"\nenter \".limits\" with no arguments for a list.",
                words[0]
            ))
        };
    };
    let connection = local(shell, "limits")?;
    if let Some(value) = words.get(1) {
        #[allow(clippy::cast_possible_truncation)] // as classic does
        let value = integer(value) as i32;
        // A negative limit changes nothing, as in SQLite.
        let _ = connection.set_limit(*limit, value);
    }
    let value = connection.limit(*limit).unwrap_or(-1);
    shell.show(format_args!("{name:>20} {value}"))
}

/// Switches as `.dbconfig` names them, in its order.
const SWITCHES: [(&str, DbConfig); 15] = [
    ("defensive", DbConfig::SQLITE_DBCONFIG_DEFENSIVE),
    ("dqs_ddl", DbConfig::SQLITE_DBCONFIG_DQS_DDL),
    ("dqs_dml", DbConfig::SQLITE_DBCONFIG_DQS_DML),
    ("enable_fkey", DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY),
    ("enable_qpsg", DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG),
    ("enable_trigger", DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER),
    ("enable_view", DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW),
    ("fts3_tokenizer", DbConfig::SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER),
    ("legacy_alter_table", DbConfig::SQLITE_DBCONFIG_LEGACY_ALTER_TABLE),
    ("legacy_file_format", DbConfig::SQLITE_DBCONFIG_LEGACY_FILE_FORMAT),
    ("no_ckpt_on_close", DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE),
    ("reset_database", DbConfig::SQLITE_DBCONFIG_RESET_DATABASE),
    ("trigger_eqp", DbConfig::SQLITE_DBCONFIG_TRIGGER_EQP),
    ("trusted_schema", DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA),
    ("writable_schema", DbConfig::SQLITE_DBCONFIG_WRITABLE_SCHEMA),
];

pub fn dbconfig(shell: &mut Shell<'_>, call: &Call) -> Ran {
    local(shell, "dbconfig")?;
    let wanted = call.args.first();
    let mut known = wanted.is_none();
    for (name, switch) in SWITCHES {
        if wanted.is_some_and(|wanted| wanted != name) {
            continue;
        }
        known = true;
        if let Some(word) = call.args.get(1) {
            let on = shell.switch(word)? != 0;
            // What cannot be changed shows in the line below.
            let _ = local(shell, "dbconfig")?.set_db_config(switch, on);
        }
        let on = local(shell, "dbconfig")?.db_config(switch).unwrap_or(false);
        shell.show(format_args!("{name:>19} {}", if on { "on" } else { "off" }))?;
    }
    if let (false, Some(wanted)) = (known, wanted) {
        shell.say(format_args!(
            "Error: unknown dbconfig \"{wanted}\"\nEnter \".dbconfig\" with no arguments for a list"
        ))?;
    }
    Ok(())
}

pub fn timeout(shell: &mut Shell<'_>, call: &Call) -> Ran {
    let millis = call.args.first().map_or(0, |word| integer(word));
    let timeout = Duration::from_millis(u64::try_from(millis).unwrap_or(0).min(0x7fff_ffff));
    let set = shell.session()?.set_timeout(timeout);
    match set {
        Ok(()) => Ok(()),
        Err(error) => shell.fail(format_args!("Error: {error}")),
    }
}

pub fn version(shell: &mut Shell<'_>, _: &Call) -> Ran {
    let source: String = match shell.ask("SELECT sqlite_source_id()", &[])?.first() {
        Some(row) => crate::shell::state::text_of(&row[0]),
        None => String::new(),
    };
    shell.show(format_args!("SQLite {} {source}", rusqlite::version()))?;
    shell.show(format_args!("torso {}", env!("CARGO_PKG_VERSION")))
}
