//! The end of a command before its work is done: by Ctrl-C, SIGTERM or SIGHUP. Files that are not finished are removed, and one
//! error says what stays. `--timeout` is `time_limit`'s. Commands that end by themselves then, in order, have ways of their own.

use crate::change_outcome::hint_of_changes;
use crate::error::{Code, Error};
use crate::shell::interrupt;
use crate::temporary_files::remove_unfinished;
#[cfg(unix)]
use crate::termination;
use crate::ui::{Ui, report};

/// How errors are printed.
#[derive(Clone, Copy)]
pub(super) struct EarlyEnd {
    pub ui: Ui,
    pub json: bool,
}

impl EarlyEnd {
    /// Has Ctrl-C answered as every failure is, with exit code 130. What was acknowledged stays, as after a kill.
    pub fn on_interrupt(self) {
        interrupt::end_with(move || self.end(&interrupted("interrupted")));
    }

    /// Has SIGTERM and SIGHUP leave no more behind than Ctrl-C does. The program still ends by the signal.
    #[cfg(unix)]
    pub fn on_termination(self) {
        use signal_hook::consts::{SIGHUP, SIGTERM};
        let watched = [(SIGTERM, "SIGTERM"), (SIGHUP, "SIGHUP")];
        let watched = watched
            .into_iter()
            .filter(|(signal, _)| !termination::is_ignored(*signal));
        let names: Vec<(i32, &str)> = watched.collect();
        let Ok(mut signals) = signal_hook::iterator::Signals::new(names.iter().map(|(signal, _)| signal)) else {
            return;
        };
        std::thread::spawn(move || {
            let Some(signal) = signals.forever().next() else {
                return;
            };
            let name = names.iter().find(|(number, _)| *number == signal);
            let message = format!("ended by {}", name.map_or("a signal", |(_, name)| name));
            self.clean_up_and_report(&interrupted(&message));
            // Where it does not end the program, the exit code that shells would give does.
            let _ = signal_hook::low_level::emulate_default_handler(signal);
            std::process::exit(128 + signal);
        });
    }

    fn end(self, error: &Error) {
        std::process::exit(self.clean_up_and_report(error).into());
    }

    fn clean_up_and_report(self, error: &Error) -> u8 {
        remove_unfinished();
        report::report(&self.ui, self.json, error)
    }
}

fn interrupted(message: &str) -> Error {
    let hint = hint_of_changes().unwrap_or("nothing half-made was left behind; run it again");
    Error::new(Code::Interrupted, message).hint(hint)
}
