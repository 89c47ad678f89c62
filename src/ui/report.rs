//! The one place that prints an error and turns it into an exit code.

use super::{Ui, text};
use crate::error::Error;
use std::io::Write;

/// Prints `error` on stderr, with `json` as a JSON document, and returns the exit code. A closed pipe is not reported.
pub fn report(ui: &Ui, json: bool, error: &Error) -> u8 {
    if error.is_broken_pipe() {
        return 0;
    }
    let text = if json { document(error) } else { sentences(ui, error) };
    // If stderr is closed, there is nobody to tell.
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
    error.kind().exit_code()
}

/// `{"error":{…}}` on one line.
#[must_use]
pub fn document(error: &Error) -> String {
    let document = serde_json::json!({"error": {
        "code": error.code().name(),
        "message": error.full_message(),
        "hint": error.hint_text(),
        "retryable": error.kind().retryable(),
    }});
    format!("{document}\n")
}

fn sentences(ui: &Ui, error: &Error) -> String {
    let safe = |text: &str| {
        if ui.err_terminal && !ui.raw {
            text::visible_lines(text)
        } else {
            text.to_owned()
        }
    };
    let mut out = format!(
        "{}: {}\n",
        ui.paint("error", anstyle::AnsiColor::Red),
        safe(error.message())
    );
    for cause in error.causes() {
        out.push_str(&format!("  caused by: {}\n", safe(&cause)));
    }
    if let Some(hint) = error.hint_text() {
        out.push_str(&format!(
            "{}: {}\n",
            ui.paint("hint", anstyle::AnsiColor::Cyan),
            safe(hint)
        ));
    }
    out
}
