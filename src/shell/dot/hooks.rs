//! `.auth`: what the engine tells of its work, which only a local database can; and `.log`. Where such things are written.
//!
//! Hooks are called in the middle of a statement, where the output is not at hand. What they say is kept in [`Side`] and
//! shown as soon as the statement's result begins or ends.

use super::Call;
use super::engine::local;
use crate::shell::state::{Ran, Shell};
use crate::shell::words::c_literal;
use crate::sql::log;
use crate::sync::lock;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization, TransactionOperation};
use std::fs::File;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

/// What hooks have said and nobody has shown yet.
#[derive(Debug, Clone, Default)]
pub struct Side(Arc<Mutex<Vec<u8>>>);

impl Side {
    pub fn push(&self, line: &str) {
        let mut text = lock(&self.0);
        text.extend_from_slice(line.as_bytes());
        text.push(b'\n');
    }

    /// Shows what was said.
    pub fn drain(&self, out: &mut dyn Write) -> io::Result<()> {
        let text = std::mem::take(&mut *lock(&self.0));
        if text.is_empty() { Ok(()) } else { out.write_all(&text) }
    }
}

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

pub fn auth(shell: &mut Shell<'_>, call: &Call) -> Ran {
    let [word] = call.texts()[..] else {
        return shell.fail(format_args!("Usage: .auth ON|OFF"));
    };
    let on = shell.switch(word)? != 0;
    let side = shell.side.clone();
    let guard = shell.guard.clone();
    let safe = shell.settings.always_safe;
    let connection = local(shell, "auth")?;
    let set = if on {
        connection.authorizer(Some(move |context: AuthContext<'_>| {
            side.push(&authorizer_line(&context));
            Authorization::Allow
        }))
    } else {
        connection.authorizer(None::<fn(AuthContext<'_>) -> Authorization>)
    };
    if safe && !on {
        let slot = shell.slot();
        if let Some(session) = &mut slot.session {
            guard.watch(session.as_mut());
        }
    }
    match set {
        Ok(()) => Ok(()),
        Err(error) => shell.fail(format_args!("Error: {error}")),
    }
}

/// Where a trace goes.
#[derive(Debug, Clone)]
pub enum Traced {
    /// Among the results.
    Shown,
    Complained,
    File(Arc<Mutex<File>>),
}

/// The place that a word names; none for `off`, and for a file that cannot be opened, which is said.
pub(super) fn place(shell: &mut Shell<'_>, word: &str) -> Ran<Option<Traced>> {
    Ok(match word {
        "off" => None,
        "stdout" => Some(Traced::Shown),
        "stderr" => Some(Traced::Complained),
        file => match File::create(file) {
            Ok(opened) => Some(Traced::File(Arc::new(Mutex::new(opened)))),
            Err(_) => {
                shell.say(format_args!("Error: cannot open \"{file}\""))?;
                None
            }
        },
    })
}

impl Traced {
    pub fn write(&self, side: &Side, line: &str) {
        // A trace that cannot be written must not stop the statement that is traced.
        match self {
            Self::Shown => side.push(line),
            Self::Complained => {
                let _ = writeln!(io::stderr(), "{line}");
            }
            Self::File(file) => {
                let mut file = lock(file);
                let _ = writeln!(file, "{line}");
            }
        }
    }
}

/// Keeps a record of statements that fail, wherever they run, and of what else the engine notes where it is here.
pub fn log(shell: &mut Shell<'_>, call: &Call) -> Ran {
    shell.needs_trust(format_args!("cannot run .log in safe mode"))?;
    let [word] = call.texts()[..] else {
        return shell.fail(format_args!("Usage: .log FILENAME"));
    };
    // Newer shells have "on" for standard output.
    shell.log = place(shell, if word == "on" { "stdout" } else { word })?;
    // The engine tells of statements as they are given to it.
    if let Some(session) = &mut shell.slot().session {
        session.watched();
    }
    let side = shell.side.clone();
    log::listen(
        shell
            .log
            .clone()
            .map(|to| -> log::Listener { Box::new(move |code, text| to.write(&side, &format!("({code}) {text}"))) }),
    );
    Ok(())
}
