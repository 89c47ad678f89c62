//! The server's log, on standard error. It has no secrets: headers, queries and bodies are never logged, only paths,
//! and in these what looks like a token in the wrong place is cut out.

use crate::control::hosted::LogSwitch;
use crate::control::server_configuration::LogLevel;
use std::borrow::Cow;
use std::io::{IsTerminal, Write};
use std::sync::OnceLock;
use tracing_subscriber::EnvFilter;

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// One line of text per event
    #[default]
    Text,
    /// One JSON document per line
    Json,
}

/// Writes the log's lines, one a call, with everything in them visible: what clients send can neither write to an operator's
/// terminal nor begin a line of its own, whatever field it is in.
struct Visible<W> {
    out: W,
    form: LogFormat,
}

impl<W: Write> Write for Visible<W> {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        self.out.write_all(visible(&text, self.form).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

/// Control characters, line ends that are none in ASCII, and what changes the direction of text.
fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}'
        )
}

/// A line with its end, and invisible characters in it escaped. Colours are the log's own: `tracing` escapes ESC in fields.
fn visible(line: &str, form: LogFormat) -> Cow<'_, str> {
    let body = line.strip_suffix('\n').unwrap_or(line);
    if !body.contains(is_invisible) {
        return Cow::Borrowed(line);
    }
    let mut escaped = String::with_capacity(line.len() + 16);
    let mut rest = body;
    while let Some(at) = rest.find(is_invisible) {
        escaped.push_str(&rest[..at]);
        rest = &rest[at..];
        let colour = rest.strip_prefix("\u{1b}[").and_then(|code| {
            let digits = code
                .bytes()
                .take_while(|byte| byte.is_ascii_digit() || *byte == b';')
                .count();
            code[digits..].starts_with('m').then_some(digits + 3)
        });
        if let (LogFormat::Text, Some(length)) = (form, colour) {
            escaped.push_str(&rest[..length]);
            rest = &rest[length..];
            continue;
        }
        let Some(character) = rest.chars().next() else { break };
        rest = &rest[character.len_utf8()..];
        match form {
            LogFormat::Text => escaped.extend(character.escape_unicode()),
            // All of them are of one UTF-16 unit, and can only be within a string.
            LogFormat::Json => escaped.push_str(&format!("\\u{:04x}", u32::from(character))),
        }
    }
    escaped.push_str(rest);
    escaped.push_str(&line[body.len()..]);
    Cow::Owned(escaped)
}

/// What changes the level of the log, and the level that it began with.
static SWITCH: OnceLock<(LogLevel, LogSwitch)> = OnceLock::new();

fn filter(level: LogLevel) -> EnvFilter {
    EnvFilter::new(format!("off,torso={}", level.name()))
}

/// Starts the log. A second call changes nothing.
pub fn start(form: LogFormat, level: LogLevel) {
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || Visible {
            out: std::io::stderr(),
            form,
        })
        .with_env_filter(filter(level))
        .with_target(false);
    let (begun, switch): (_, LogSwitch) = match form {
        LogFormat::Text => {
            let subscriber = subscriber
                .with_ansi(std::io::stderr().is_terminal())
                .with_filter_reloading();
            let handle = subscriber.reload_handle();
            // It only fails where the log is gone.
            let switch = move |level| drop(handle.reload(filter(level)));
            (subscriber.try_init(), Box::new(switch))
        }
        LogFormat::Json => {
            let subscriber = subscriber.json().flatten_event(true).with_filter_reloading();
            let handle = subscriber.reload_handle();
            let switch = move |level| drop(handle.reload(filter(level)));
            (subscriber.try_init(), Box::new(switch))
        }
    };
    if begun.is_ok() {
        let _ = SWITCH.set((level, switch));
    }
}

/// The level that the log began with, and what changes it; none before it has begun.
pub(super) fn level_switch() -> Option<(LogLevel, LogSwitch)> {
    let (level, switch) = SWITCH.get()?;
    Some((*level, Box::new(switch)))
}

/// What API tokens and invitations begin with, and JWTs.
const BEGINNINGS: [&str; 2] = ["torso_", "eyJ"];

/// Whether a text contains something that looks like a token.
pub(super) fn mentions_token(text: &str) -> bool {
    BEGINNINGS.iter().any(|beginning| text.contains(beginning))
}

/// A path as it may be logged.
pub(super) fn redacted_path(path: &str) -> Cow<'_, str> {
    if !mentions_token(path) {
        return Cow::Borrowed(path);
    }
    let parts: Vec<&str> = path
        .split('/')
        .map(|part| if mentions_token(part) { "…" } else { part })
        .collect();
    Cow::Owned(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_line_shows_invisible_characters() {
        for (line, redacted_path) in [
            ("plain né\n", "plain né\n"),
            ("a\nb\r\n", "a\\u{a}b\\u{d}\n"),
            ("a\u{9b}2J\u{7f}\n", "a\\u{9b}2J\\u{7f}\n"),
            ("a\u{202e}b\u{2066}c\u{2028}\n", "a\\u{202e}b\\u{2066}c\\u{2028}\n"),
            ("\u{1b}[2mtime\u{1b}[0m\n", "\u{1b}[2mtime\u{1b}[0m\n"),
            ("\u{1b}[2J\u{1b}]0;x\u{7}\n", "\\u{1b}[2J\\u{1b}]0;x\\u{7}\n"),
        ] {
            assert_eq!(visible(line, LogFormat::Text), redacted_path);
        }
        let document = visible("{\"path\":\"a\u{9b}\u{202e}\"}\n", LogFormat::Json).into_owned();
        assert_eq!(document, "{\"path\":\"a\\u009b\\u202e\"}\n");
        let read: serde_json::Value = serde_json::from_str(&document).unwrap();
        assert_eq!(read["path"], "a\u{9b}\u{202e}");
    }

    #[test]
    fn log_line_hides_tokens_in_paths() {
        assert_eq!(redacted_path("/v1/databases/app"), "/v1/databases/app");
        assert_eq!(redacted_path("/v1/databases/torso_abc/usage"), "/v1/databases/…/usage");
        assert_eq!(redacted_path("/db/eyJhbGciOi.x.y/v2/pipeline"), "/db/…/v2/pipeline");
    }
}
