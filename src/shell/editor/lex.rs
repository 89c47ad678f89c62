//! SQL text as it is typed: the lexer's tokens, with keywords told from names, and what is still open.
//!
//! Every byte of any text belongs to exactly one lexeme. Highlighting, completion and the continuation prompt read these;
//! where a statement ends is `sqltext::split`'s to say.

use crate::sqltext::quote::is_keyword;
use crate::sqltext::token::{SqlToken, TokenKind, next_token};

/// What a lexeme is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LexemeKind {
    Space,
    Comment,
    /// `'text'`
    Text,
    Blob,
    Number,
    /// A bare name that is no keyword.
    Name,
    /// A name in `"`, `` ` `` or `[ ]`.
    Quoted,
    Keyword,
    /// `?1`, `:x`, `@x`, `$x`
    Variable,
    /// Operators and punctuation, whole (`->>` is one).
    Sign,
    /// What no SQL text may contain.
    Stray,
}

/// A lexeme: a range of bytes of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lexeme {
    pub kind: LexemeKind,
    pub start: usize,
    pub end: usize,
    /// A quote or a block comment that the text does not close.
    pub open: bool,
}

impl Lexeme {
    /// Returns the lexeme's bytes.
    #[must_use]
    pub fn text<'t>(&self, text: &'t str) -> &'t str {
        &text[self.start..self.end]
    }

    /// Whether it carries meaning: neither white space nor a comment.
    #[must_use]
    pub fn is_significant(&self) -> bool {
        !matches!(self.kind, LexemeKind::Space | LexemeKind::Comment)
    }
}

/// Returns all lexemes of `text`, in order and without gaps.
#[must_use]
pub fn lexemes(text: &str) -> Vec<Lexeme> {
    let mut all = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((token, after)) = next_token(rest) {
        let start = text.len() - rest.len();
        // To SQLite a slash and a star at the end are no comment; for whoever types, one has just begun.
        let begins_comment = rest == b"/*";
        rest = if begins_comment { &[] } else { after };
        all.push(Lexeme {
            kind: if begins_comment {
                LexemeKind::Comment
            } else {
                kind_of(&token)
            },
            start,
            end: text.len() - rest.len(),
            open: begins_comment || !token.closed,
        });
    }
    all
}

fn kind_of(token: &SqlToken<'_>) -> LexemeKind {
    match token.kind {
        TokenKind::Space => LexemeKind::Space,
        TokenKind::Comment => LexemeKind::Comment,
        TokenKind::Word if is_keyword(token.text) => LexemeKind::Keyword,
        TokenKind::Word => LexemeKind::Name,
        TokenKind::QuotedName => LexemeKind::Quoted,
        TokenKind::String => LexemeKind::Text,
        TokenKind::Blob => LexemeKind::Blob,
        TokenKind::Number => LexemeKind::Number,
        TokenKind::Parameter => LexemeKind::Variable,
        TokenKind::Symbol => LexemeKind::Sign,
        TokenKind::Illegal => match token.text {
            [b'@' | b':' | b'$' | b'#'] => LexemeKind::Variable,
            [b'"' | b'`' | b'[', ..] => LexemeKind::Quoted,
            _ if !token.closed => LexemeKind::Text,
            _ => LexemeKind::Stray,
        },
    }
}

/// What is open at some point of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OpenState {
    /// The quote or bracket that would close it, or `*` for a block comment.
    pub quote: Option<char>,
    /// Parentheses opened and not closed; negative when too many were closed.
    pub depth: i32,
}

/// What is open at the start of each line of `text`, the first included.
#[must_use]
pub fn open_at_lines(text: &str) -> Vec<OpenState> {
    let mut lines = vec![OpenState::default()];
    let mut depth = 0;
    for token in lexemes(text) {
        let body = token.text(text);
        let first = body.as_bytes().first().copied().unwrap_or_default();
        let quote = match token.kind {
            LexemeKind::Text | LexemeKind::Stray if token.open || body.contains('\'') => Some('\''),
            LexemeKind::Quoted if first == b'[' => Some(']'),
            LexemeKind::Quoted => Some(char::from(first)),
            LexemeKind::Comment if first == b'/' => Some('*'),
            _ => None,
        };
        match (token.kind, body) {
            (LexemeKind::Sign, "(") => depth += 1,
            (LexemeKind::Sign, ")") => depth -= 1,
            (LexemeKind::Sign, ";") => depth = 0,
            _ => {}
        }
        let breaks = body.matches('\n').count();
        lines.extend(std::iter::repeat_n(OpenState { quote, depth }, breaks));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<LexemeKind> {
        lexemes(text)
            .into_iter()
            .filter(Lexeme::is_significant)
            .map(|token| token.kind)
            .collect()
    }

    #[test]
    fn lexemes_cover_any_text_without_gaps() {
        let texts = [
            "",
            "select 1",
            "select 'it''s', \"a\"\"b\", [c d], `e` from t -- end",
            "select 'open",
            "select \"open",
            "select /* open",
            "[open",
            "x'0g' x'0",
            "1a 1.2.3 1e .5 0x",
            "! @ : $ # \u{7f} é 日本 '日本'",
            "a->>'$.b' -> c",
            "\u{1}\u{2}",
        ];
        for text in texts {
            let mut at = 0;
            for token in lexemes(text) {
                assert_eq!(token.start, at, "{text}");
                assert!(token.end > token.start, "{text}");
                at = token.end;
            }
            assert_eq!(at, text.len(), "{text}");
        }
    }

    #[test]
    fn lexemes_have_kinds() {
        assert_eq!(
            kinds("SELECT name, \"n\", 'x', x'00', 1.5, :p FROM t"),
            [
                LexemeKind::Keyword,
                LexemeKind::Name,
                LexemeKind::Sign,
                LexemeKind::Quoted,
                LexemeKind::Sign,
                LexemeKind::Text,
                LexemeKind::Sign,
                LexemeKind::Blob,
                LexemeKind::Sign,
                LexemeKind::Number,
                LexemeKind::Sign,
                LexemeKind::Variable,
                LexemeKind::Keyword,
                LexemeKind::Name
            ]
        );
    }

    #[test]
    fn lexer_state_at_each_line_tells_what_is_open() {
        let open = |text: &str| *open_at_lines(text).last().unwrap();
        assert_eq!(open("select 'a\n").quote, Some('\''));
        assert_eq!(open("select \"a\n").quote, Some('"'));
        assert_eq!(open("select [a\n").quote, Some(']'));
        assert_eq!(open("select /* a\n").quote, Some('*'));
        assert_eq!(open("select -- 'a\n"), OpenState::default());
        assert_eq!(open("select (1, (2\n").depth, 2);
        assert_eq!(open("select 1)\n").depth, -1);
        assert_eq!(open("select ((1;\nselect\n").depth, 0);
        assert_eq!(open_at_lines("a\n'b\nc'\nd").len(), 4);
        assert_eq!(open_at_lines("a\n'b\nc'\nd")[2].quote, Some('\''));
        assert_eq!(open_at_lines("a\n'b\nc'\nd")[3].quote, None);
    }
}
