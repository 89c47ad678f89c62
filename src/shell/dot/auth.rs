//! `.auth`: what the engine asks permission for, which only a local database can tell.

use super::CommandCall;
use super::local::local;
use crate::shell::state::{Shell, ShellResult};
use crate::shell::words::c_literal;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization, TransactionOperation};

/// The name of an action, and its first two details.
fn described<'a>(action: &AuthAction<'a>) -> (&'static str, Option<&'a str>, Option<&'a str>) {
    use AuthAction as Do;
    let operation = |operation: &TransactionOperation| match operation {
        TransactionOperation::Begin => Some("BEGIN"),
        TransactionOperation::Release => Some("RELEASE"),
        TransactionOperation::Rollback => Some("ROLLBACK"),
        _ => None,
    };
    match *action {
        Do::CreateIndex { index_name, table_name } => ("CREATE_INDEX", Some(index_name), Some(table_name)),
        Do::CreateTable { table_name } => ("CREATE_TABLE", Some(table_name), None),
        Do::CreateTempIndex { index_name, table_name } => ("CREATE_TEMP_INDEX", Some(index_name), Some(table_name)),
        Do::CreateTempTable { table_name } => ("CREATE_TEMP_TABLE", Some(table_name), None),
        Do::CreateTempTrigger {
            trigger_name,
            table_name,
        } => ("CREATE_TEMP_TRIGGER", Some(trigger_name), Some(table_name)),
        Do::CreateTempView { view_name } => ("CREATE_TEMP_VIEW", Some(view_name), None),
        Do::CreateTrigger {
            trigger_name,
            table_name,
        } => ("CREATE_TRIGGER", Some(trigger_name), Some(table_name)),
        Do::CreateView { view_name } => ("CREATE_VIEW", Some(view_name), None),
        Do::Delete { table_name } => ("DELETE", Some(table_name), None),
        Do::DropIndex { index_name, table_name } => ("DROP_INDEX", Some(index_name), Some(table_name)),
        Do::DropTable { table_name } => ("DROP_TABLE", Some(table_name), None),
        Do::DropTempIndex { index_name, table_name } => ("DROP_TEMP_INDEX", Some(index_name), Some(table_name)),
        Do::DropTempTable { table_name } => ("DROP_TEMP_TABLE", Some(table_name), None),
        Do::DropTempTrigger {
            trigger_name,
            table_name,
        } => ("DROP_TEMP_TRIGGER", Some(trigger_name), Some(table_name)),
        Do::DropTempView { view_name } => ("DROP_TEMP_VIEW", Some(view_name), None),
        Do::DropTrigger {
            trigger_name,
            table_name,
        } => ("DROP_TRIGGER", Some(trigger_name), Some(table_name)),
        Do::DropView { view_name } => ("DROP_VIEW", Some(view_name), None),
        Do::Insert { table_name } => ("INSERT", Some(table_name), None),
        Do::Pragma {
            pragma_name,
            pragma_value,
        } => ("PRAGMA", Some(pragma_name), pragma_value),
        Do::Read {
            table_name,
            column_name,
        } => ("READ", Some(table_name), Some(column_name)),
        Do::Select => ("SELECT", None, None),
        Do::Transaction { operation: ref begun } => ("TRANSACTION", operation(begun), None),
        Do::Update {
            table_name,
            column_name,
        } => ("UPDATE", Some(table_name), Some(column_name)),
        Do::Attach { filename } => ("ATTACH", Some(filename), None),
        Do::Detach { database_name } => ("DETACH", Some(database_name), None),
        Do::AlterTable {
            database_name,
            table_name,
        } => ("ALTER_TABLE", Some(database_name), Some(table_name)),
        Do::Reindex { index_name } => ("REINDEX", Some(index_name), None),
        Do::Analyze { table_name } => ("ANALYZE", Some(table_name), None),
        Do::CreateVtable {
            table_name,
            module_name,
        } => ("CREATE_VTABLE", Some(table_name), Some(module_name)),
        Do::DropVtable {
            table_name,
            module_name,
        } => ("DROP_VTABLE", Some(table_name), Some(module_name)),
        Do::Function { function_name } => ("FUNCTION", None, Some(function_name)),
        Do::Savepoint {
            operation: ref begun,
            savepoint_name,
        } => ("SAVEPOINT", operation(begun), Some(savepoint_name)),
        Do::Recursive => ("RECURSIVE", None, None),
        _ => ("UNKNOWN", None, None),
    }
}

fn authorizer_line(context: &AuthContext<'_>) -> String {
    let (name, first, second) = described(&context.action);
    let mut line = format!("authorizer: {name}");
    for detail in [first, second, context.database_name, context.accessor] {
        line.push(' ');
        match detail {
            Some(text) => line.push_str(&c_literal(text)),
            None => line.push_str("NULL"),
        }
    }
    line
}

pub fn auth(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    let [word] = call.texts()[..] else {
        return shell.fail(format_args!("Usage: .auth ON|OFF"));
    };
    let on = shell.switch(word)? != 0;
    local(shell, "auth")?;
    shell.slot().shows_authorizer = on;
    install_authorizer(shell);
    Ok(())
}

/// Installs the authorizer that `.auth` and `-safe` ask for. An engine has one at a time: whatever sets another for a while, as
/// a copy between databases does, calls this when it is done.
pub fn install_authorizer(shell: &mut Shell<'_>) {
    let side = shell.tracing.hook_output.clone();
    let guard = shell.connections.guard.clone();
    let safe = shell.settings.always_safe;
    let slot = shell.slot();
    let shows = slot.shows_authorizer;
    let Some(session) = &mut slot.session else { return };
    if shows {
        guard.watch_and_show(session.as_mut(), move |context| side.push(&authorizer_line(context)));
    } else if safe {
        guard.watch(session.as_mut());
    } else if let Some(engine) = session.engine() {
        // Setting a hook only fails where SQLite was built without it.
        let _ = engine
            .connection()
            .authorizer(None::<fn(AuthContext<'_>) -> Authorization>);
    }
}
