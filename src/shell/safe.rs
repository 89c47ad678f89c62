//! Safe mode: statements that reach outside the database are refused.

use crate::sql::Session;
use crate::sync::lock;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// Functions that reach outside the database.
const FORBIDDEN: [&str; 7] = [
    "edit",
    "fts3_tokenizer",
    "load_extension",
    "readfile",
    "writefile",
    "zipfile",
    "zipfile_cds",
];

/// Checks statements, and records what it refused.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    on: Arc<AtomicBool>,
    refusal: Arc<Mutex<Option<String>>>,
}

impl Guard {
    /// Whether statements are held back now.
    pub fn set(&self, on: bool) {
        self.on.store(on, Ordering::Relaxed);
    }

    /// What was refused since this was last asked.
    #[must_use]
    pub fn take_refusal(&self) -> Option<String> {
        lock(&self.refusal).take()
    }

    fn refuse(&self, what: String) -> Authorization {
        *lock(&self.refusal) = Some(what);
        Authorization::Deny
    }

    fn check(&self, context: &AuthContext<'_>) -> Authorization {
        if !self.on.load(Ordering::Relaxed) {
            return Authorization::Allow;
        }
        match context.action {
            AuthAction::Attach { .. } => self.refuse("cannot run ATTACH in safe mode".to_owned()),
            AuthAction::Function { function_name } => {
                match FORBIDDEN.iter().find(|name| name.eq_ignore_ascii_case(function_name)) {
                    Some(name) => self.refuse(format!("cannot use the {name}() function in safe mode")),
                    None => Authorization::Allow,
                }
            }
            _ => Authorization::Allow,
        }
    }

    /// Watches the statements of `session`, where the engine lets us.
    pub fn watch(&self, session: &mut dyn Session) {
        let guard = self.clone();
        session.watched();
        if let Some(connection) = session.local() {
            // Setting a hook only fails where SQLite was built without it.
            let _ = connection.authorizer(Some(move |context: AuthContext<'_>| guard.check(&context)));
        }
    }
}
