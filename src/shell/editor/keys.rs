//! What the keys do where the line editor's own way is not right for statements of several lines.
//!
//! One handler sees every key first. It gathers a bracketed paste and inserts it whole, lets Enter either finish the text
//! or start a new line, and treats a line end and its tab (see [`lines`]) as one character. The line editor offers a handler
//! no edit that large, but hands its buffer to the completer; so an edit is left in [`KeyBindings::pending`], the handler asks for
//! a completion, and the completer carries the edit out.

use super::lines::{self, Edit, EditKey};
use crate::sync::lock;
use rustyline::{Cmd, ConditionalEventHandler, Event, EventContext, KeyCode, KeyEvent, Modifiers, RepeatCount};
use std::sync::{Arc, Mutex, MutexGuard};

/// What the handler and the helper share.
#[derive(Debug, Default)]
struct State {
    /// The text of a paste that is still arriving.
    paste: Option<String>,
    /// An edit, and the buffer and cursor it is meant for.
    pending: Option<(Edit, String, usize)>,
    /// The user wants the text in an editor: the buffer.
    external: Option<String>,
}

/// The shared state; clones share it.
#[derive(Debug, Clone, Default)]
pub struct KeyBindings(Arc<Mutex<State>>);

impl KeyBindings {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }

    /// The edit to carry out, if one was asked for on exactly this buffer.
    #[must_use]
    pub fn pending(&self, buffer: &str, at: usize) -> Option<Edit> {
        let (edit, for_buffer, for_at) = self.state().pending.take()?;
        (for_buffer == buffer && for_at == at).then_some(edit)
    }

    /// The text to take into an editor, if that was why the reading ended.
    #[must_use]
    pub fn external(&self) -> Option<String> {
        self.state().external.take()
    }

    fn ask(&self, edit: Edit, ctx: &EventContext<'_>) -> Cmd {
        self.state().pending = Some((edit, ctx.line().to_owned(), ctx.pos()));
        Cmd::Complete
    }
}

/// Sees every key. `complete` says whether a text can be run as it stands.
pub struct Handler {
    pub keys: KeyBindings,
    pub complete: fn(&str) -> bool,
}

impl ConditionalEventHandler for Handler {
    fn handle(&self, event: &Event, _: RepeatCount, positive: bool, ctx: &EventContext<'_>) -> Option<Cmd> {
        let KeyEvent(code, modifiers) = event.get(0).copied()?;
        if let Some(cmd) = self.paste(code, modifiers) {
            return Some(cmd);
        }
        let key = match (code, modifiers) {
            (KeyCode::Enter, Modifiers::NONE) | (KeyCode::Char('J' | 'M'), Modifiers::CTRL) => {
                if (self.complete)(&lines::unfold(ctx.line())) {
                    return Some(Cmd::AcceptLine);
                }
                EditKey::Newline
            }
            (KeyCode::Enter, Modifiers::ALT) | (KeyCode::Char('J' | 'M'), Modifiers::CTRL_ALT) => EditKey::Newline,
            (KeyCode::Left, Modifiers::NONE) | (KeyCode::Char('B'), Modifiers::CTRL) => EditKey::Left,
            (KeyCode::Right, Modifiers::NONE) | (KeyCode::Char('F'), Modifiers::CTRL) => EditKey::Right,
            (KeyCode::Home, Modifiers::NONE) | (KeyCode::Char('A'), Modifiers::CTRL) => EditKey::Home,
            (KeyCode::Up, Modifiers::NONE) => EditKey::Up,
            (KeyCode::Down, Modifiers::NONE) => EditKey::Down,
            (KeyCode::PageUp, Modifiers::NONE) => return Some(Cmd::HistorySearchBackward),
            (KeyCode::PageDown, Modifiers::NONE) => return Some(Cmd::HistorySearchForward),
            (KeyCode::Backspace, Modifiers::NONE) | (KeyCode::Char('H'), Modifiers::CTRL) => EditKey::Backspace,
            (KeyCode::Delete, Modifiers::NONE) => EditKey::Delete,
            (KeyCode::Char('D'), Modifiers::CTRL) if !ctx.line().is_empty() => EditKey::Delete,
            (KeyCode::Char('K'), Modifiers::CTRL) => EditKey::KillEnd,
            (KeyCode::Char('U'), Modifiers::CTRL) => EditKey::KillStart,
            (KeyCode::Char(c), Modifiers::NONE) => EditKey::Char(c),
            (KeyCode::Char('E' | 'e'), Modifiers::ALT) => {
                self.keys.state().external = Some(lines::unfold(ctx.line()));
                return Some(Cmd::Interrupt);
            }
            _ => return None,
        };
        // A negative argument reverses a key: rare enough for the line editor's own way.
        if !positive {
            return None;
        }
        lines::edit(key, ctx.line(), ctx.pos()).map(|edit| self.keys.ask(edit, ctx))
    }
}

impl Handler {
    /// Gathers a bracketed paste: keys that arrive inside it are text, never commands.
    fn paste(&self, code: KeyCode, modifiers: Modifiers) -> Option<Cmd> {
        let mut state = self.keys.state();
        if code == KeyCode::BracketedPasteStart {
            state.paste = Some(String::new());
            return Some(Cmd::Noop);
        }
        let paste = state.paste.as_mut()?;
        match (code, modifiers) {
            (KeyCode::BracketedPasteEnd, _) => {
                let text = state.paste.take().unwrap_or_default();
                // A line end of the terminal may be CR, LF or both. The last one would only add an empty line.
                let text = text.replace("\r\n", "\n").replace('\r', "\n");
                let text = text.trim_end_matches('\n');
                return Some(if text.is_empty() {
                    Cmd::Noop
                } else {
                    Cmd::Insert(1, lines::fold(text))
                });
            }
            (KeyCode::Enter, _) | (KeyCode::Char('M'), Modifiers::CTRL) => paste.push('\r'),
            (KeyCode::Char('J'), Modifiers::CTRL) => paste.push('\n'),
            (KeyCode::Tab, _) => paste.push('\t'),
            (KeyCode::Char(c), Modifiers::NONE | Modifiers::SHIFT) => paste.push(c),
            // Control characters have no business in SQL, and an escape sequence is never obeyed.
            _ => {}
        }
        Some(Cmd::Noop)
    }
}
