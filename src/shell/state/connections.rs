//! The connections that are open side by side.

use super::safe::Guard;
use super::script::ScriptTranslation;
use crate::sql::{Session, Target};

/// Connections that can be open side by side.
pub const SLOTS: usize = 5;

/// One of the connections.
#[derive(Default)]
pub struct Slot {
    /// As the user named it.
    pub file: Option<String>,
    pub target: Option<Target>,
    pub session: Option<Box<dyn Session>>,
    /// Whether `.auth` writes what the session's engine asks permission for.
    pub shows_authorizer: bool,
    /// The database in memory with `.parameter`'s table, where the database itself cannot have one.
    pub parameters: Option<Box<dyn Session>>,
    pub translation: ScriptTranslation,
    /// The name of a database that a script could not open: its statements are meant for no other one.
    pub unavailable: Option<String>,
}

impl Slot {
    /// A connection on which nothing runs until a database is opened.
    #[must_use]
    pub fn unavailable(name: &str) -> Self {
        Self {
            unavailable: Some(name.to_owned()),
            ..Self::default()
        }
    }
}

/// All connections, and which is active.
pub struct Connections {
    pub slots: [Slot; SLOTS],
    pub active: usize,
    /// Total changes on sessions that were closed.
    pub changed: u64,
    /// Checks statements in safe mode.
    pub guard: Guard,
}

impl Connections {
    #[must_use]
    pub fn new(first: Slot) -> Self {
        let mut slots: [Slot; SLOTS] = Default::default();
        slots[0] = first;
        Self {
            slots,
            active: 0,
            changed: 0,
            guard: Guard::default(),
        }
    }

    /// Closes one of them.
    pub fn close(&mut self, index: usize) {
        if let Some(mut session) = self.slots[index].session.take() {
            self.changed += session.total_changes();
        }
    }
}

/// Has so many bytes of the file read through the address space. Results do not depend on it, so a failure is ignored; a
/// server has no address space of ours.
pub fn map(session: &mut dyn Session, bytes: i64) {
    if let Some(engine) = session.engine() {
        let _ = engine.connection().pragma_update(None, "mmap_size", bytes);
    }
}
