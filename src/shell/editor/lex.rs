//! SQL text as tokens, also while it is only half typed.
//!
//! The tokens are sqlite3-parser's; what it refuses (an open quote, a lone `!`) becomes a token of its own, so that every
//! byte of any text belongs to exactly one token. Highlighting, completion and the continuation prompt read these; where a
//! statement ends is `sql::split`'s to say.

use sqlite3_parser::dialect::TokenType;
use sqlite3_parser::lexer::Splitter;
use sqlite3_parser::lexer::sql::Tokenizer;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
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

/// A token: a range of bytes of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    pub kind: Kind,
    pub start: usize,
    pub end: usize,
    /// A quote or a block comment that the text does not close.
    pub open: bool,
}

impl Token {
    /// The token's bytes.
    #[must_use]
    pub fn text<'t>(&self, text: &'t str) -> &'t str {
        &text[self.start..self.end]
    }

    /// Whether it carries meaning: neither white space nor a comment.
    #[must_use]
    pub fn matters(&self) -> bool {
        !matches!(self.kind, Kind::Space | Kind::Comment)
    }
}

/// All tokens of `text`, in order and without gaps.
#[must_use]
pub fn tokens(text: &str) -> Vec<Token> {
    let bytes = text.as_bytes();
    let mut lexer = Tokenizer::new();
    let mut all = Vec::new();
    let mut start = 0;
    while start < bytes.len() {
        let rest = &bytes[start..];
        let (kind, length, open) = match lexer.split(rest) {
            // A letter beside a number makes the lexer stop without having moved.
            Ok((_, 0)) | Err(_) => refused(&text[start..]),
            Ok((Some((_, class)), length)) => (kind_of(class, rest[0]), length, false),
            Ok((None, length)) if rest[0].is_ascii_whitespace() => (Kind::Space, length, false),
            Ok((None, length)) => (Kind::Comment, length, false),
        };
        all.push(Token {
            kind,
            start,
            end: start + length,
            open,
        });
        start += length;
    }
    all
}

fn kind_of(class: TokenType, first: u8) -> Kind {
    match class {
        TokenType::TK_STRING => Kind::Text,
        TokenType::TK_BLOB => Kind::Blob,
        TokenType::TK_INTEGER | TokenType::TK_FLOAT => Kind::Number,
        TokenType::TK_VARIABLE => Kind::Variable,
        TokenType::TK_ID if matches!(first, b'"' | b'`' | b'[') => Kind::Quoted,
        TokenType::TK_ID => Kind::Name,
        _ if first.is_ascii_alphabetic() || first == b'_' => Kind::Keyword,
        _ => Kind::Sign,
    }
}

/// The token at the start of a text that the lexer does not accept: its kind, its length, whether it is left open.
fn refused(rest: &str) -> (Kind, usize, bool) {
    let all = rest.len();
    let word = rest
        .find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '$' | '.')))
        .unwrap_or(all);
    match rest.as_bytes()[0] {
        b'\'' => (Kind::Text, all, true),
        b'"' | b'`' | b'[' => (Kind::Quoted, all, true),
        b'/' => (Kind::Comment, all, true),
        // A blob whose digits are wrong ends with its quote all the same.
        b'x' | b'X' => match rest[2..].find('\'') {
            Some(at) => (Kind::Stray, at + 3, false),
            None => (Kind::Text, all, true),
        },
        b'0'..=b'9' | b'.' if word > 0 => (Kind::Stray, word, false),
        b'@' | b':' | b'$' | b'#' => (Kind::Variable, 1, false),
        _ => (Kind::Stray, rest.chars().next().map_or(1, char::len_utf8), false),
    }
}

/// What is open at some point of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Open {
    /// The quote or bracket that would close it, or `*` for a block comment.
    pub quote: Option<char>,
    /// Parentheses opened and not closed; negative when too many were closed.
    pub depth: i32,
}

/// What is open at the start of each line of `text`, the first included.
#[must_use]
pub fn open_at_lines(text: &str) -> Vec<Open> {
    let mut lines = vec![Open::default()];
    let mut depth = 0;
    for token in tokens(text) {
        let body = token.text(text);
        let first = body.as_bytes().first().copied().unwrap_or_default();
        let quote = match token.kind {
            Kind::Text | Kind::Stray if token.open || body.contains('\'') => Some('\''),
            Kind::Quoted if first == b'[' => Some(']'),
            Kind::Quoted => Some(char::from(first)),
            Kind::Comment if first == b'/' => Some('*'),
            _ => None,
        };
        match (token.kind, body) {
            (Kind::Sign, "(") => depth += 1,
            (Kind::Sign, ")") => depth -= 1,
            (Kind::Sign, ";") => depth = 0,
            _ => {}
        }
        let breaks = body.matches('\n').count();
        // A `--` comment's token includes the line end that closes it.
        lines.extend(std::iter::repeat_n(Open { quote, depth }, breaks));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<Kind> {
        tokens(text)
            .into_iter()
            .filter(Token::matters)
            .map(|token| token.kind)
            .collect()
    }

    #[test]
    fn tokens_cover_any_text_without_gaps() {
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
            for token in tokens(text) {
                assert_eq!(token.start, at, "{text}");
                assert!(token.end > token.start, "{text}");
                at = token.end;
            }
            assert_eq!(at, text.len(), "{text}");
        }
    }

    #[test]
    fn kinds_are_told_apart() {
        assert_eq!(
            kinds("SELECT name, \"n\", 'x', x'00', 1.5, :p FROM t"),
            [
                Kind::Keyword,
                Kind::Name,
                Kind::Sign,
                Kind::Quoted,
                Kind::Sign,
                Kind::Text,
                Kind::Sign,
                Kind::Blob,
                Kind::Sign,
                Kind::Number,
                Kind::Sign,
                Kind::Variable,
                Kind::Keyword,
                Kind::Name
            ]
        );
    }

    #[test]
    fn what_is_open_is_known_for_each_line() {
        let open = |text: &str| *open_at_lines(text).last().unwrap();
        assert_eq!(open("select 'a\n").quote, Some('\''));
        assert_eq!(open("select \"a\n").quote, Some('"'));
        assert_eq!(open("select [a\n").quote, Some(']'));
        assert_eq!(open("select /* a\n").quote, Some('*'));
        assert_eq!(open("select -- 'a\n"), Open::default());
        assert_eq!(open("select (1, (2\n").depth, 2);
        assert_eq!(open("select 1)\n").depth, -1);
        assert_eq!(open("select ((1;\nselect\n").depth, 0);
        assert_eq!(open_at_lines("a\n'b\nc'\nd").len(), 4);
        assert_eq!(open_at_lines("a\n'b\nc'\nd")[2].quote, Some('\''));
        assert_eq!(open_at_lines("a\n'b\nc'\nd")[3].quote, None);
    }
}
