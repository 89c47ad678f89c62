//! Ctrl-C: interrupts the running statement, on whichever connection. A command without one is ended.

use crate::sql::Interrupter;
use crate::sync::lock;
use crate::temporary_files::remove_unfinished;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, Once, OnceLock};

static CONNECTIONS: Mutex<Vec<Interrupter>> = Mutex::new(Vec::new());
static PRESSED: AtomicU32 = AtomicU32::new(0);
static INSTALLED: Once = Once::new();
static PAGING: AtomicBool = AtomicBool::new(false);
/// Whether somebody asks for [`pressed`].
static HEEDED: AtomicBool = AtomicBool::new(false);
static END: OnceLock<Box<dyn Fn() + Send + Sync>> = OnceLock::new();

/// Takes Ctrl-C over from now on: the caller stops by itself when it was [`pressed`].
pub fn install() {
    HEEDED.store(true, Ordering::SeqCst);
    listen();
}

/// The same, once a statement on `connection` has taken ten thousand steps of SQLite. Ctrl-C ends the program until then, which
/// undoes a transaction as well. The thread that listens costs a tenth of the time of `select 1`; to measure again:
/// `cargo bench --locked --bench beside-sqlite3 -- start`, with [`install`] in its place.
pub fn install_when_slow(connection: &mut rusqlite::Connection) {
    let listen = || {
        install();
        false
    };
    // Only a closed connection refuses; then there is nothing to interrupt.
    let _ = connection.progress_handler(10_000, Some(listen));
}

/// Has Ctrl-C end the program by `end`, until somebody calls [`install`].
pub fn end_with(end: impl Fn() + Send + Sync + 'static) {
    let _ = END.set(Box::new(end));
    listen();
}

/// Has the caller listen for signals: it calls [`press`] for those that are to stop what torso does, and asks nobody to end the
/// program.
pub fn leave_to_caller() {
    HEEDED.store(true, Ordering::SeqCst);
    INSTALLED.call_once(|| {});
}

fn listen() {
    INSTALLED.call_once(|| {
        // Without a handler Ctrl-C ends the program, which is safe at any moment.
        let _ = ctrlc::set_handler(press);
    });
}

/// What Ctrl-C does. Pressed three times without effect, it ends the program.
pub fn press() {
    if !HEEDED.load(Ordering::SeqCst)
        && let Some(end) = END.get()
    {
        end();
    }
    // A pager has the terminal: what is pressed there is no wish to leave.
    if !PAGING.load(Ordering::SeqCst) && PRESSED.fetch_add(1, Ordering::SeqCst) >= 2 {
        remove_unfinished();
        std::process::exit(130);
    }
    for interrupter in lock(&CONNECTIONS).iter() {
        interrupter();
    }
}

/// Adds a connection whose statement is to be stopped.
pub fn on_interrupt(interrupter: Interrupter) {
    let mut connections = lock(&CONNECTIONS);
    // Those of closed connections do nothing; a long session should not gather them for ever.
    if connections.len() >= 64 {
        connections.remove(0);
    }
    connections.push(interrupter);
}

/// Whether Ctrl-C was pressed since the last [`clear`].
#[must_use]
pub fn pressed() -> bool {
    PRESSED.load(Ordering::SeqCst) > 0
}

pub fn clear() {
    PRESSED.store(0, Ordering::SeqCst);
}

/// Tells that a pager has the terminal, and Ctrl-C with it, or has it no longer.
pub fn paging(on: bool) {
    PAGING.store(on, Ordering::SeqCst);
}
