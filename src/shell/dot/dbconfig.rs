//! `.dbconfig`: the engine's switches.

use super::CommandCall;
use super::local::local;
use crate::shell::state::{Shell, ShellResult};
use rusqlite::config::DbConfig;

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

pub fn dbconfig(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
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
