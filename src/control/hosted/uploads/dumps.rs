//! Dumps that were uploaded, while databases are made of them: few at a time of each organization, and none that nobody waits for.

use super::{Uploads, canonical};
use crate::control::hosted::caller::ClientPresence;
use crate::control::hosted::{Engines, Shared};
use crate::engine::child;
use crate::engine::file::child as work;
use crate::error::{Code, Error, Result};
use crate::sync::lock;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Dumps of an organization of which databases are made at the same time.
const DUMPS: usize = 2;

/// How long the deletion of an upload waits for the end of what reads it.
const END_OF_DUMP: Duration = Duration::from_secs(10);

/// A dump that is being read.
pub(super) struct RunningDump {
    organization: String,
    is_deleted: Arc<AtomicBool>,
}

/// Counts a dump that is being read while it lives.
pub(super) struct DumpTurn<'a> {
    uploads: &'a Uploads,
    id: String,
    is_deleted: Arc<AtomicBool>,
}

impl Drop for DumpTurn<'_> {
    fn drop(&mut self) {
        lock(&self.uploads.dumps).remove(&self.id);
    }
}

impl Uploads {
    /// Begins to read a dump: of each organization, few at a time.
    pub(super) fn begin_dump(&self, id: &str, organization: &str) -> Result<DumpTurn<'_>> {
        let id = canonical(id)?;
        let mut dumps = lock(&self.dumps);
        let running = dumps.values().filter(|dump| dump.organization == organization).count();
        if running >= DUMPS {
            return Err(Error::new(
                Code::RateLimited,
                format!("databases are being made of {running} dumps of the organization"),
            )
            .hint("wait until one of them is done, then try again"));
        }
        let is_deleted = Arc::new(AtomicBool::new(false));
        let dump = RunningDump {
            organization: organization.to_owned(),
            is_deleted: Arc::clone(&is_deleted),
        };
        dumps.insert(id.clone(), dump);
        Ok(DumpTurn {
            uploads: self,
            id,
            is_deleted,
        })
    }

    /// Ends the reading of a dump, if it is being read, and waits a moment for that.
    pub(super) fn end_dump(&self, id: &str) -> Result<()> {
        let id = canonical(id)?;
        if let Some(dump) = lock(&self.dumps).get(&id) {
            dump.is_deleted.store(true, Ordering::SeqCst);
        }
        let begun = Instant::now();
        while lock(&self.dumps).contains_key(&id) && begun.elapsed() < END_OF_DUMP {
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Shared {
    /// Makes a file of a dump, as long as somebody waits for that.
    pub(super) fn restore(&self, dump: &Path, to: &Path, turn: &DumpTurn<'_>, presence: &ClientPresence) -> Result<()> {
        let find_end = || {
            if turn.is_deleted.load(Ordering::SeqCst) {
                return Some(Error::new(
                    Code::Conflict,
                    "the upload was deleted while a database was being made of it",
                ));
            }
            // Whoever sends the request again has it read again.
            let gone = || {
                Error::new(
                    Code::Unavailable,
                    "the client has gone, so its dump was not read to the end",
                )
            };
            (!presence.is_there()).then(gone)
        };
        match &self.engine {
            Engines::Sqld(engine) => child::restore(engine.sandbox(), dump, to, &find_end),
            Engines::Files => work::restore(dump, to),
        }
    }
}
