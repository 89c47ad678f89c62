//! Tokens of SQL text: the one lexer. It cuts a text as SQLite's tokenizer does (`tokenize.c`), whatever is in it, also
//! while it is only half typed: every byte belongs to exactly one token.
//!
//! Two things are left out on purpose. Tcl's variables: SQLite takes `::` and a parenthesis right behind a parameter for a
//! part of its name. Nobody writes those, so they are tokens of their own here, and [`super::policy`] refuses them. And a
//! NUL, at which SQLite stops reading: here it is a byte like any other.
//!
//! What statements are is left to [`super::classify`], where they end to [`super::split`].

/// The kind of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// White space, or a byte order mark.
    Space,
    /// `-- …` without its line end, or `/* … */`.
    Comment,
    /// A keyword or a bare name.
    Word,
    /// A name in `"`, `` ` `` or `[ ]`.
    QuotedName,
    /// `'…'`
    String,
    /// `x'…'`
    Blob,
    Number,
    /// `?`, `?1`, `:x`, `@x`, `$x`, `#x`
    Parameter,
    /// An operator or punctuation, whole: `->>` is one.
    Symbol,
    /// What no statement may contain: a quote that is not closed, a number with letters, a stray byte.
    Illegal,
}

/// A token, as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SqlToken<'a> {
    pub kind: TokenKind,
    pub text: &'a [u8],
    /// False for a quote, a bracket or a comment that the text does not close.
    pub closed: bool,
}

impl<'a> SqlToken<'a> {
    /// Whether it means nothing: white space or a comment.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        matches!(self.kind, TokenKind::Space | TokenKind::Comment)
    }

    /// Whether it is this keyword or bare name, in any letter case.
    #[must_use]
    pub fn is_word(&self, word: &str) -> bool {
        self.kind == TokenKind::Word && self.text.eq_ignore_ascii_case(word.as_bytes())
    }

    /// Whether it is this symbol of one byte.
    #[must_use]
    pub fn is_symbol(&self, symbol: u8) -> bool {
        self.kind == TokenKind::Symbol && self.text == [symbol]
    }

    /// What stands between quotes, with doubled ones as they are; none for a token without quotes. Quotes that are not
    /// closed, and those of a blob, count as well.
    #[must_use]
    pub fn quoted(&self) -> Option<&'a [u8]> {
        let start = match self.text {
            [b'\'' | b'"' | b'`' | b'[', ..] => 1,
            [b'x' | b'X', b'\'', ..] => 2,
            _ => return None,
        };
        let end = self.text.len() - usize::from(self.closed);
        Some(self.text.get(start..end).unwrap_or_default())
    }
}

/// Returns the first token of a text, and the text behind it; none for an empty text.
#[must_use]
pub fn next_token(text: &[u8]) -> Option<(SqlToken<'_>, &[u8])> {
    let (kind, length, closed) = scan(text)?;
    let (text, rest) = text.split_at(length);
    Some((SqlToken { kind, text, closed }, rest))
}

/// Returns the first token that is not blank, and the text behind it; none where there is none.
#[must_use]
pub fn next_significant(mut text: &[u8]) -> Option<(SqlToken<'_>, &[u8])> {
    loop {
        let (token, rest) = next_token(text)?;
        if !token.is_blank() {
            return Some((token, rest));
        }
        text = rest;
    }
}

/// Returns all tokens of `sql`, without gaps: their kinds and texts.
pub fn tokens(sql: &str) -> impl Iterator<Item = (TokenKind, &str)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let (kind, length, _) = scan(&sql.as_bytes()[at..])?;
        let start = at;
        at += length;
        Some((kind, &sql[start..at]))
    })
}

/// Returns the tokens of `sql` that are not blank.
pub fn significant_tokens(sql: &str) -> impl Iterator<Item = (TokenKind, &str)> {
    tokens(sql).filter(|(kind, _)| !matches!(kind, TokenKind::Space | TokenKind::Comment))
}

/// Returns how many bytes of `text`, which begins within quotes, a bracket or a comment, belong to it; none if they all do.
/// `close` is the byte that closes it, `*` for a comment.
#[must_use]
pub fn close(text: &[u8], close: u8) -> Option<usize> {
    match close {
        b']' => memchr::memchr(b']', text).map(|end| end + 1),
        b'*' => memchr::memmem::find(text, b"*/").map(|end| end + 2),
        quote => {
            let mut at = 0;
            loop {
                at += memchr::memchr(quote, &text[at..])?;
                if text.get(at + 1) != Some(&quote) {
                    return Some(at + 1);
                }
                at += 2;
            }
        }
    }
}

/// Whether SQLite takes a byte for part of a word.
#[must_use]
pub fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

/// White space as the C library's `isspace` sees it. A vertical tab is white space behind other white space only.
#[must_use]
pub fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\x0b' | b'\x0c' | b'\r')
}

/// How many bytes at the start of `text` are like `is`.
fn count(text: &[u8], is: impl Fn(u8) -> bool) -> usize {
    text.iter().position(|&byte| !is(byte)).unwrap_or(text.len())
}

/// The kind and the length of the first token, and whether it is closed.
fn scan(text: &[u8]) -> Option<(TokenKind, usize, bool)> {
    use TokenKind::{Blob, Comment, Illegal, Parameter, QuotedName, Space, String, Symbol, Word};
    let until_closed = |kind, from: usize, by| match close(&text[from..], by) {
        Some(length) => (kind, from + length, true),
        None => (if kind == Comment { kind } else { Illegal }, text.len(), false),
    };
    let (&first, rest) = text.split_first()?;
    Some(match first {
        b' ' | b'\t' | b'\n' | b'\x0c' | b'\r' => (Space, 1 + count(rest, is_space), true),
        b'-' if rest.starts_with(b"-") => {
            let end = memchr::memchr(b'\n', text).unwrap_or(text.len());
            (Comment, end, true)
        }
        // As in SQLite, a slash and a star at the end of the text are no comment.
        b'/' if rest.len() > 1 && rest[0] == b'*' => until_closed(Comment, 2, b'*'),
        b'\'' => until_closed(String, 1, b'\''),
        b'"' | b'`' => until_closed(QuotedName, 1, first),
        b'[' => until_closed(QuotedName, 1, b']'),
        b'x' | b'X' if rest.starts_with(b"'") => {
            let digits = count(&text[2..], |byte| byte.is_ascii_hexdigit());
            match memchr::memchr(b'\'', &text[2..]) {
                Some(end) if end == digits && end % 2 == 0 => (Blob, end + 3, true),
                Some(end) => (Illegal, end + 3, true),
                None => (Illegal, text.len(), false),
            }
        }
        b'0'..=b'9' => number(text),
        b'.' if rest.first().is_some_and(u8::is_ascii_digit) => number(text),
        b'?' => (Parameter, 1 + count(rest, |byte| byte.is_ascii_digit()), true),
        b'$' | b'@' | b':' | b'#' => match count(rest, is_word_byte) {
            0 => (Illegal, 1, true),
            length => (Parameter, 1 + length, true),
        },
        0xef if rest.starts_with(b"\xbb\xbf") => (Space, 3, true),
        _ if is_word_byte(first) => (Word, 1 + count(rest, is_word_byte), true),
        _ => match symbol(text) {
            0 => (Illegal, 1, true),
            length => (Symbol, length, true),
        },
    })
}

/// The length of the operator or punctuation at the start of `text`; 0 if there is none.
fn symbol(text: &[u8]) -> usize {
    match text {
        [b'-', b'>', b'>', ..] => 3,
        [b'-', b'>', ..]
        | [b'=', b'=', ..]
        | [b'<', b'=' | b'>' | b'<', ..]
        | [b'>', b'=' | b'>', ..]
        | [b'!', b'=', ..]
        | [b'|', b'|', ..] => 2,
        [
            b'-' | b'(' | b')' | b';' | b'+' | b'*' | b'/' | b'%' | b'=' | b'<' | b'>' | b'|' | b',' | b'&' | b'~'
            | b'.',
            ..,
        ] => 1,
        _ => 0,
    }
}

/// The number at the start of `text`, with whatever letters are attached to it.
fn number(text: &[u8]) -> (TokenKind, usize, bool) {
    let at = |index: usize| text.get(index).copied().unwrap_or(0);
    let digits = |from: usize| {
        from + count(text.get(from..).unwrap_or_default(), |byte| {
            byte.is_ascii_digit() || byte == b'_'
        })
    };
    let mut end;
    if at(0) == b'0' && matches!(at(1), b'x' | b'X') && at(2).is_ascii_hexdigit() {
        end = 3 + count(&text[3..], |byte| byte.is_ascii_hexdigit() || byte == b'_');
    } else {
        end = digits(0);
        if at(end) == b'.' {
            end = digits(end + 1);
        }
        let signed = matches!(at(end + 1), b'+' | b'-') && at(end + 2).is_ascii_digit();
        if matches!(at(end), b'e' | b'E') && (signed || at(end + 1).is_ascii_digit()) {
            end = digits(end + 2);
        }
    }
    match count(&text[end..], is_word_byte) {
        0 => (TokenKind::Number, end, true),
        letters => (TokenKind::Illegal, end + letters, true),
    }
}

#[cfg(test)]
mod tests;
