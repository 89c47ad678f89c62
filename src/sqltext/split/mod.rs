//! Where statements end: in a text, and in lines as they arrive.
//!
//! The rules are those of `sqlite3_complete`: a statement ends at a `;` outside quotes, brackets and comments, except that
//! the body of a trigger ends at `; END ;`. [`Accumulator`] adds the rules of the `sqlite3` shell for input that comes line
//! by line: dot-commands only where no statement is pending, white space and comments dropped between statements, `/` or
//! `go` alone on a line as a `;`.

use super::quote::cast_from_blob;
use super::token::{SqlToken, TokenKind, close, is_space, is_word_byte, next_significant, next_token};
use std::borrow::Cow;

/// A token, as far as it matters for where statements end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EndToken {
    Semicolon,
    Other,
    Explain,
    Create,
    Temp,
    Trigger,
    End,
}

impl EndToken {
    fn of_word(word: &[u8]) -> Self {
        let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
        if is(b"create") {
            Self::Create
        } else if is(b"trigger") {
            Self::Trigger
        } else if is(b"temp") || is(b"temporary") {
            Self::Temp
        } else if is(b"end") {
            Self::End
        } else if is(b"explain") {
            Self::Explain
        } else {
            Self::Other
        }
    }
}

/// How far the reading of a statement is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StatementState {
    /// Nothing yet but white space.
    Nothing,
    /// Between statements.
    Start,
    /// Inside a statement that ends at the next semicolon.
    Plain,
    /// After `EXPLAIN`, which may be followed by `CREATE TRIGGER`.
    Explain,
    /// After `CREATE`, which may be followed by `TEMP` and `TRIGGER`.
    Create,
    /// Inside a trigger.
    Trigger,
    /// Inside a trigger, after a semicolon.
    TriggerSemicolon,
    /// Inside a trigger, after `; END`.
    TriggerEnd,
}

impl StatementState {
    fn after(self, token: EndToken) -> Self {
        match (self, token) {
            (Self::Trigger | Self::TriggerSemicolon, EndToken::Semicolon) => Self::TriggerSemicolon,
            (Self::TriggerSemicolon, EndToken::End) => Self::TriggerEnd,
            (_, EndToken::Semicolon) => Self::Start,
            (Self::Trigger | Self::TriggerSemicolon | Self::TriggerEnd, _) => Self::Trigger,
            (Self::Nothing | Self::Start, EndToken::Explain) => Self::Explain,
            (Self::Nothing | Self::Start | Self::Explain, EndToken::Create) => Self::Create,
            (Self::Explain, EndToken::Other) => Self::Explain,
            (Self::Create, EndToken::Temp) => Self::Create,
            (Self::Create, EndToken::Trigger) => Self::Trigger,
            _ => Self::Plain,
        }
    }

    /// The state behind a token. `sqlite3_complete` knows fewer tokens than the tokenizer: a byte order mark and
    /// the number of a parameter belong to the word behind them (`glued`), a vertical tab is a byte like any other, and
    /// numbers and parameters are words and dots.
    fn after_token(self, token: &SqlToken<'_>, glued: bool) -> Self {
        match token.kind {
            TokenKind::Space if is_mark(token) || memchr::memchr(0x0b, token.text).is_some() => {
                self.after(EndToken::Other)
            }
            TokenKind::Space | TokenKind::Comment => self,
            TokenKind::Symbol if token.text == b";" => self.after(EndToken::Semicolon),
            TokenKind::Word if !glued => self.after(EndToken::of_word(token.text)),
            TokenKind::Number | TokenKind::Parameter | TokenKind::Illegal if token.quoted().is_none() => token
                .text
                .chunk_by(|&one, &next| is_word_byte(one) && is_word_byte(next))
                .fold(self, |state, word| state.after(EndToken::of_word(word))),
            _ => self.after(EndToken::Other),
        }
    }
}

/// Whether a token of white space is a byte order mark.
fn is_mark(token: &SqlToken<'_>) -> bool {
    token.text[0] == 0xef
}

/// Reads a text, beginning in a state. Calls `visit` with the state before and after each token and with where it ends,
/// until it returns false. None if a quote, a bracket or a comment is not closed.
fn read_states(
    sql: &[u8],
    mut state: StatementState,
    mut visit: impl FnMut(StatementState, StatementState, usize) -> bool,
) -> Option<StatementState> {
    let mut rest = sql;
    let mut glued = false;
    while let Some((token, after)) = next_token(rest) {
        if !token.closed || rest == b"/*" {
            return None;
        }
        rest = after;
        let before = state;
        state = state.after_token(&token, glued);
        glued = match token.kind {
            TokenKind::Space => is_mark(&token),
            TokenKind::Parameter => token.text.len() > 1,
            _ => false,
        };
        if !visit(before, state, sql.len() - rest.len()) {
            break;
        }
    }
    Some(state)
}

/// Whether `sql` ends with a complete statement: what `sqlite3_complete` answers.
#[must_use]
pub fn complete(sql: &[u8]) -> bool {
    read_states(sql, StatementState::Nothing, |_, _, _| true) == Some(StatementState::Start)
}

/// Returns how many bytes of `sql` its first statement takes, with what comes before it and with its `;`. All of it where
/// the statement does not end.
#[must_use]
pub fn first_statement(sql: &[u8]) -> usize {
    let mut end = None;
    let _ = read_states(sql, StatementState::Start, |before, after, at| {
        if after == StatementState::Start && before != StatementState::Start {
            end = Some(at);
        }
        end.is_none()
    });
    end.unwrap_or(sql.len())
}

/// Returns the bytes of the longest statement in a text. What stands between semicolons counts as one, also in the body of
/// a trigger.
#[must_use]
pub fn longest_statement(sql: &str) -> usize {
    let (mut longest, mut begun) = (0, 0);
    let mut rest = sql.as_bytes();
    while let Some((token, after)) = next_significant(rest) {
        rest = after;
        let at = sql.len() - rest.len();
        longest = longest.max(at - begun);
        if token.is_symbol(b';') {
            begun = at;
        }
    }
    longest
}

/// Returns `sql`, which need not be UTF-8, as UTF-8 with the same meaning: string literals with invalid bytes become
/// `CAST(x'…' AS TEXT)`. Invalid bytes elsewhere (in names and comments) are replaced.
#[must_use]
pub fn to_utf8(sql: &[u8]) -> Cow<'_, str> {
    if let Ok(valid) = std::str::from_utf8(sql) {
        return Cow::Borrowed(valid);
    }
    let mut valid = String::with_capacity(sql.len() * 2);
    let mut rest = sql;
    while let Some((token, after)) = next_token(rest) {
        rest = after;
        match std::str::from_utf8(token.text) {
            Ok(text) => valid.push_str(text),
            Err(_) if token.kind == TokenKind::String => {
                let mut bytes = token.quoted().unwrap_or_default().to_vec();
                let mut second = false;
                bytes.retain(|&byte| {
                    second = byte == b'\'' && !second;
                    byte != b'\'' || second
                });
                valid.push_str(&cast_from_blob(&bytes));
            }
            Err(_) => valid.push_str(&String::from_utf8_lossy(token.text)),
        }
    }
    Cow::Owned(valid)
}

/// Returns `text` without leading white space.
#[must_use]
pub fn trim_start(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|&byte| !is_space(byte)).unwrap_or(text.len());
    &text[start..]
}

/// What is known of the lines so far: enough to know when [`complete`] is worth calling.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct LineScan {
    /// What closes the quote, bracket or comment that the text is in (`*` for a comment); 0 outside.
    waiting_for: u8,
    /// There was something other than white space, comments and semicolons.
    has_content: bool,
    /// The last thing, white space and comments aside, was a semicolon.
    semicolon: bool,
}

impl LineScan {
    fn is_outside(self) -> bool {
        self.waiting_for == 0
    }

    /// Only white space, comments and semicolons so far.
    fn is_blank(self) -> bool {
        self.is_outside() && !self.has_content
    }

    fn is_terminated(self) -> bool {
        self.is_outside() && self.semicolon
    }

    /// Goes on with `line`.
    fn scan(mut self, line: &[u8]) -> Self {
        let mut rest = line;
        if self.waiting_for != 0 {
            let Some(length) = close(rest, self.waiting_for) else {
                return self;
            };
            self.waiting_for = 0;
            rest = &rest[length..];
        }
        while let Some((token, after)) = next_token(rest) {
            if rest == b"/*" {
                self.waiting_for = b'*';
                return self;
            }
            rest = after;
            match token.kind {
                TokenKind::Comment => {}
                TokenKind::Space if !is_mark(&token) => {}
                // White space for the shell, though not for the tokenizer.
                TokenKind::Illegal if token.text == b"\x0b" => {}
                TokenKind::Symbol if token.text == b";" => self.semicolon = true,
                _ => {
                    self.semicolon = false;
                    self.has_content = true;
                }
            }
            if !token.closed {
                self.waiting_for = match token.text[0] {
                    b'/' => b'*',
                    b'[' => b']',
                    b'x' | b'X' => b'\'',
                    quote => quote,
                };
            }
        }
        self
    }
}

/// The result of feeding a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineOutcome {
    /// White space and comments between statements: nothing is pending.
    Blank,
    /// The pending text was only white space and comments; it is dropped.
    Dropped,
    /// A dot-command, or a `#` comment.
    Command,
    /// The statement continues on the next line.
    More,
    /// There are one or more complete statements: call [`Accumulator::take`].
    Ready,
}

/// Gathers lines into complete statements.
#[derive(Debug, Default)]
pub struct Accumulator {
    scan: LineScan,
    text: Vec<u8>,
    start_line: u64,
}

impl Accumulator {
    /// Whether a statement has begun.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        !self.text.is_empty()
    }

    /// Returns the text gathered so far.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Returns the number of the line on which the gathered text began.
    #[must_use]
    pub fn start_line(&self) -> u64 {
        self.start_line
    }

    /// Returns the text, and leaves none.
    pub fn take(&mut self) -> Vec<u8> {
        self.scan = LineScan::default();
        std::mem::take(&mut self.text)
    }

    /// Adds a line, without its line end.
    pub fn feed(&mut self, line: &[u8], number: u64) -> LineOutcome {
        let line = if self.scan.is_outside() && is_terminator(line) && self.is_complete_with_semicolon() {
            b";"
        } else {
            line
        };
        self.scan = self.scan.scan(line);
        if !self.is_pending() {
            if self.scan.is_blank() {
                self.scan = LineScan::default();
                return LineOutcome::Blank;
            }
            if matches!(line.first(), Some(b'.' | b'#')) {
                self.scan = LineScan::default();
                return LineOutcome::Command;
            }
            self.start_line = number;
            self.text.extend_from_slice(trim_start(line));
        } else {
            self.text.push(b'\n');
            self.text.extend_from_slice(line);
        }
        if self.scan.is_terminated() && complete(&self.text) {
            LineOutcome::Ready
        } else if self.scan.is_blank() {
            LineOutcome::Dropped
        } else {
            LineOutcome::More
        }
    }

    /// Whether the text would be complete with a `;` after it.
    fn is_complete_with_semicolon(&self) -> bool {
        if self.text.is_empty() {
            return true;
        }
        let mut text = self.text.clone();
        text.push(b';');
        complete(&text)
    }
}

/// Whether a line is `/` or `go` and nothing else but white space and comments.
fn is_terminator(line: &[u8]) -> bool {
    let line = trim_start(line);
    let rest = match line {
        [b'/', rest @ ..] | [b'g' | b'G', b'o' | b'O', rest @ ..] => rest,
        _ => return false,
    };
    LineScan::default().scan(rest) == LineScan::default()
}

#[cfg(test)]
mod tests;
