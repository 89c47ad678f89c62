//! Safe mode: statements that reach outside the database are refused. What does is decided by `sql::restrict`.

use crate::sql::Session;
use crate::sql::restrict::{self, Beyond};
use crate::sync::lock;
use rusqlite::hooks::{AuthContext, Authorization};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

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

    /// Whether a statement may do this, now.
    pub fn check(&self, context: &AuthContext<'_>) -> Authorization {
        if !self.on.load(Ordering::Relaxed) {
            return Authorization::Allow;
        }
        match restrict::check(&context.action) {
            None => Authorization::Allow,
            Some(beyond @ (Beyond::Function(_) | Beyond::Module(_))) => {
                self.refuse(format!("cannot use {beyond} in safe mode"))
            }
            Some(beyond) => self.refuse(format!("cannot run {beyond} in safe mode")),
        }
    }

    /// Watches the statements of `session`, and gives `observe` each question of the engine first.
    pub fn watch_and_show(
        &self,
        session: &mut dyn Session,
        mut observe: impl FnMut(&AuthContext<'_>) + Send + 'static,
    ) {
        let guard = self.clone();
        if let Some(engine) = session.engine() {
            engine.pass_verbatim();
            // Setting a hook only fails where SQLite was built without it.
            let _ = engine.connection().authorizer(Some(move |context: AuthContext<'_>| {
                observe(&context);
                guard.check(&context)
            }));
        }
    }

    /// Watches the statements of `session`, where the engine lets us.
    pub fn watch(&self, session: &mut dyn Session) {
        self.watch_and_show(session, |_| ());
    }
}
