//! Where statements end: in a text, and in lines as they arrive.
//!
//! The rules are SQLite's: a statement ends at a `;` outside quotes, brackets and comments, except that the body of a
//! trigger ends at `; END ;`. [`Accumulator`] adds the rules of the `sqlite3` shell for input that comes line by line:
//! dot-commands only where no statement is pending, white space and comments dropped between statements, `/` or `go` alone
//! on a line as a `;`.

use super::quote::cast_from_blob;

/// A token, as far as it matters for where statements end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Semicolon,
    Space,
    Other,
    Explain,
    Create,
    Temp,
    Trigger,
    End,
}

/// How far the reading of a statement is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing yet, not even white space.
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

impl State {
    fn after(self, token: Token) -> Self {
        match (self, token) {
            (state, Token::Space) => state,
            (Self::Trigger | Self::TriggerSemicolon, Token::Semicolon) => Self::TriggerSemicolon,
            (Self::TriggerSemicolon, Token::End) => Self::TriggerEnd,
            (_, Token::Semicolon) => Self::Start,
            (Self::Trigger | Self::TriggerSemicolon | Self::TriggerEnd, _) => Self::Trigger,
            (Self::Nothing | Self::Start, Token::Explain) => Self::Explain,
            (Self::Nothing | Self::Start | Self::Explain, Token::Create) => Self::Create,
            (Self::Explain, Token::Other) => Self::Explain,
            (Self::Create, Token::Temp) => Self::Create,
            (Self::Create, Token::Trigger) => Self::Trigger,
            _ => Self::Plain,
        }
    }
}

/// The next token and its length, or none where a quote, a bracket or a comment is not closed. `text` is not empty.
fn token(text: &[u8]) -> Option<(Token, usize)> {
    let closed = |by: u8| {
        text[1..]
            .iter()
            .position(|&byte| byte == by)
            .map(|at| (Token::Other, at + 2))
    };
    match text[0] {
        b';' => Some((Token::Semicolon, 1)),
        b' ' | b'\r' | b'\t' | b'\n' | b'\x0c' => Some((Token::Space, 1)),
        b'/' if text.get(1) == Some(&b'*') => text[2..]
            .windows(2)
            .position(|pair| pair == b"*/")
            .map(|at| (Token::Space, at + 4)),
        b'-' if text.get(1) == Some(&b'-') => {
            let end = text.iter().position(|&byte| byte == b'\n');
            Some((Token::Space, end.unwrap_or(text.len())))
        }
        b'[' => closed(b']'),
        quote @ (b'\'' | b'"' | b'`') => closed(quote),
        byte if is_word(byte) => {
            let length = text.iter().position(|&byte| !is_word(byte)).unwrap_or(text.len());
            Some((word(&text[..length]), length))
        }
        _ => Some((Token::Other, 1)),
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

fn word(word: &[u8]) -> Token {
    let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
    if is(b"create") {
        Token::Create
    } else if is(b"trigger") {
        Token::Trigger
    } else if is(b"temp") || is(b"temporary") {
        Token::Temp
    } else if is(b"end") {
        Token::End
    } else if is(b"explain") {
        Token::Explain
    } else {
        Token::Other
    }
}

/// Whether `sql` ends with a complete statement: what `sqlite3_complete` answers.
#[must_use]
pub fn complete(sql: &[u8]) -> bool {
    let mut state = State::Nothing;
    let mut rest = sql;
    while !rest.is_empty() {
        let Some((token, length)) = token(rest) else {
            return false;
        };
        state = if state == State::Nothing && token == Token::Space {
            State::Nothing
        } else {
            state.after(token)
        };
        rest = &rest[length..];
    }
    state == State::Start
}

/// How many bytes of `sql` its first statement takes, with what comes before it and with its `;`. All of it where the
/// statement does not end.
#[must_use]
pub fn first_statement(sql: &[u8]) -> usize {
    let mut state = State::Start;
    let mut at = 0;
    while at < sql.len() {
        let Some((token, length)) = token(&sql[at..]) else {
            return sql.len();
        };
        at += length;
        let before = state;
        state = state.after(token);
        if token == Token::Semicolon && state == State::Start && before != State::Start {
            return at;
        }
    }
    sql.len()
}

/// The kind of a piece of SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// White space or a comment.
    Blank,
    /// A keyword, a bare name or a number.
    Word,
    /// A whole string literal; a quoted name; a symbol of one byte.
    Other,
}

/// Splits `sql` into pieces, without gaps. An unclosed quote or comment is one piece to the end.
pub fn pieces(sql: &str) -> impl Iterator<Item = (Piece, &str)> {
    let text = sql.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at;
        if start == text.len() {
            return None;
        }
        let (found, length) = token(&text[start..]).unwrap_or((Token::Other, text.len() - start));
        at += length;
        if matches!(text[start], b'\'' | b'"' | b'`') {
            // A doubled quote ends one token and begins another.
            while at < text.len() && text[at] == text[start] {
                at += token(&text[at..]).map_or(text.len() - at, |(_, length)| length);
            }
        }
        let piece = match found {
            Token::Space => Piece::Blank,
            _ if is_word(text[start]) => Piece::Word,
            _ => Piece::Other,
        };
        Some((piece, &sql[start..at]))
    })
}

/// Turns `sql`, which is not valid UTF-8, into valid UTF-8 with the same meaning: string literals with invalid bytes
/// become `CAST(x'…' AS TEXT)`. Invalid bytes elsewhere (in names and comments) are replaced.
#[must_use]
pub fn with_hex_literals(sql: &[u8]) -> String {
    let mut valid = String::with_capacity(sql.len() * 2);
    let mut at = 0;
    while at < sql.len() {
        let start = at;
        at += token(&sql[at..]).map_or(sql.len() - at, |(_, length)| length);
        if sql[start] == b'\'' {
            // A doubled quote ends one token and begins another.
            while sql.get(at) == Some(&b'\'') {
                at += token(&sql[at..]).map_or(sql.len() - at, |(_, length)| length);
            }
        }
        let text = &sql[start..at];
        match std::str::from_utf8(text) {
            Ok(text) => valid.push_str(text),
            Err(_) if text.len() >= 2 && text[0] == b'\'' && text.ends_with(b"'") => {
                let mut bytes = Vec::with_capacity(text.len());
                let mut written = text[1..text.len() - 1].iter();
                while let Some(byte) = written.next() {
                    bytes.push(*byte);
                    if *byte == b'\'' {
                        written.next();
                    }
                }
                valid.push_str(&cast_from_blob(&bytes));
            }
            Err(_) => valid.push_str(&String::from_utf8_lossy(text)),
        }
    }
    valid
}

/// White space as the C library's `isspace` sees it.
#[must_use]
pub fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\x0b' | b'\x0c' | b'\r')
}

/// `text` without leading white space.
#[must_use]
pub fn trim_start(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|&byte| !is_space(byte)).unwrap_or(text.len());
    &text[start..]
}

/// A cheap scan of the lines so far, enough to know when [`complete`] is worth calling.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Scan {
    /// What closes the quote, bracket or comment that the text is in (`*` for a comment); 0 outside.
    waiting_for: u8,
    /// There was something other than white space, comments and semicolons.
    dark: bool,
    /// The last thing, white space and comments aside, was a semicolon.
    semicolon: bool,
}

impl Scan {
    fn plain(self) -> bool {
        self.waiting_for == 0
    }

    /// Only white space, comments and semicolons so far.
    fn blank(self) -> bool {
        self.plain() && !self.dark
    }

    fn terminated(self) -> bool {
        self.plain() && self.semicolon
    }

    /// Goes on with `line`.
    fn over(mut self, line: &[u8]) -> Self {
        let mut at = 0;
        while at < line.len() {
            let byte = line[at];
            let next = line.get(at + 1).copied();
            at += 1;
            if self.waiting_for == 0 {
                match byte {
                    byte if is_space(byte) => continue,
                    b'-' if next == Some(b'-') => match line[at..].iter().position(|&byte| byte == b'\n') {
                        Some(end) => {
                            at += end + 1;
                            continue;
                        }
                        None => return self,
                    },
                    b';' => {
                        self.semicolon = true;
                        continue;
                    }
                    b'/' if next == Some(b'*') => {
                        at += 1;
                        self.waiting_for = b'*';
                        continue;
                    }
                    b'[' => self.waiting_for = b']',
                    quote @ (b'`' | b'\'' | b'"') => self.waiting_for = quote,
                    _ => {}
                }
                self.semicolon = false;
                self.dark = true;
            } else if byte == self.waiting_for {
                match byte {
                    b'*' if next != Some(b'/') => continue,
                    b'*' => at += 1,
                    b'`' | b'\'' | b'"' if next == Some(byte) => {
                        at += 1;
                        continue;
                    }
                    _ => {}
                }
                self.waiting_for = 0;
            }
        }
        self
    }
}

/// The result of feeding a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fed {
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
    scan: Scan,
    text: Vec<u8>,
    start_line: u64,
}

impl Accumulator {
    /// Whether a statement has begun.
    #[must_use]
    pub fn pending(&self) -> bool {
        !self.text.is_empty()
    }

    /// The text gathered so far.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// The number of the line on which the gathered text began.
    #[must_use]
    pub fn start_line(&self) -> u64 {
        self.start_line
    }

    /// Returns the text and starts anew.
    pub fn take(&mut self) -> Vec<u8> {
        self.scan = Scan::default();
        std::mem::take(&mut self.text)
    }

    /// Feeds a line, without its line end.
    pub fn feed(&mut self, line: &[u8], number: u64) -> Fed {
        let line = if self.scan.plain() && is_terminator(line) && self.ends_with_semicolon() {
            b";"
        } else {
            line
        };
        self.scan = self.scan.over(line);
        if !self.pending() {
            if self.scan.blank() {
                self.scan = Scan::default();
                return Fed::Blank;
            }
            if matches!(line.first(), Some(b'.' | b'#')) {
                self.scan = Scan::default();
                return Fed::Command;
            }
            self.start_line = number;
            self.text.extend_from_slice(trim_start(line));
        } else {
            self.text.push(b'\n');
            self.text.extend_from_slice(line);
        }
        if self.scan.terminated() && complete(&self.text) {
            Fed::Ready
        } else if self.scan.blank() {
            Fed::Dropped
        } else {
            Fed::More
        }
    }

    /// Whether the text would be complete with a `;` after it.
    fn ends_with_semicolon(&self) -> bool {
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
    Scan::default().over(rest) == Scan::default()
}

#[cfg(test)]
mod tests;
