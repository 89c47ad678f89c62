//! Tokens of SQL text, as SQLite splits it (`tokenize.c` of SQLite 3.45, the version in libSQL): one lexer for all that
//! only needs to know where names, texts and statements begin and end. What statements mean is the parser's to say.

/// A token. White space and comments are none.
#[derive(Clone, Copy)]
pub enum Token<'a> {
    /// A word: a name or a keyword.
    Word(&'a [u8]),
    /// A name in double quotes, brackets or backticks.
    Name(&'a [u8]),
    /// A string literal, which SQLite also takes for the name of a table.
    Text(&'a [u8]),
    /// One byte of anything else; parameters and numbers are `0`.
    Other(u8),
}

/// Returns the next token, and the text behind it; none at the end of the text.
pub fn next(mut text: &[u8]) -> Option<(Token<'_>, &[u8])> {
    loop {
        text = match text {
            [] => return None,
            [b' ' | b'\t' | b'\n' | b'\x0c' | b'\r', rest @ ..] | [0xef, 0xbb, 0xbf, rest @ ..] => rest,
            [b'-', b'-', rest @ ..] => memchr::memchr(b'\n', rest).map_or(&[][..], |end| &rest[end + 1..]),
            // As in SQLite, a slash and a star at the end of the text are no comment.
            [b'/', b'*', rest @ ..] if !rest.is_empty() => {
                memchr::memmem::find(rest, b"*/").map_or(&[][..], |end| &rest[end + 2..])
            }
            _ => break,
        };
    }
    let (first, rest) = (text[0], &text[1..]);
    Some(match first {
        b'\'' | b'"' | b'`' => {
            let end = quoted(rest, first);
            let inner = &rest[..end];
            let token = if first == b'\'' {
                Token::Text(inner)
            } else {
                Token::Name(inner)
            };
            (token, rest.get(end + 1..).unwrap_or_default())
        }
        b'[' => {
            let end = memchr::memchr(b']', rest).unwrap_or(rest.len());
            (Token::Name(&rest[..end]), rest.get(end + 1..).unwrap_or_default())
        }
        b'?' => {
            let end = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            (Token::Other(b'0'), &rest[end..])
        }
        b'$' | b'@' | b':' | b'#' => (Token::Other(b'0'), &rest[word(rest)..]),
        b'0'..=b'9' => (Token::Other(b'0'), &rest[word(rest)..]),
        _ if is_word(first) => {
            let end = 1 + word(rest);
            (Token::Word(&text[..end]), &text[end..])
        }
        _ => (Token::Other(first), rest),
    })
}

/// Where a quoted text ends: at its quote, unless that is doubled.
fn quoted(text: &[u8], quote: u8) -> usize {
    let mut at = 0;
    while let Some(found) = memchr::memchr(quote, &text[at..]) {
        at += found;
        if text.get(at + 1) != Some(&quote) {
            return at;
        }
        at += 2;
    }
    text.len()
}

fn word(text: &[u8]) -> usize {
    text.iter().position(|&byte| !is_word(byte)).unwrap_or(text.len())
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

/// Bytes of the longest statement in a text. What stands between semicolons counts as one, also in the body of a trigger.
#[must_use]
pub fn longest_statement(sql: &str) -> usize {
    let (mut longest, mut begun) = (0, 0);
    let mut rest = sql.as_bytes();
    while let Some((token, after)) = next(rest) {
        rest = after;
        let at = sql.len() - rest.len();
        longest = longest.max(at - begun);
        if matches!(token, Token::Other(b';')) {
            begun = at;
        }
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_measured_by_semicolons() {
        assert_eq!(longest_statement("select 1"), 8);
        assert_eq!(longest_statement("a;bb; ccc 'x;y' "), 10);
        assert_eq!(longest_statement(""), 0);
    }

    #[test]
    fn token_of_odd_text_ends_at_its_end() {
        for text in [
            "", "'", "\"", "[", "/*", "/", "--", "?", "$", ")))", "((", "x'", "'fsdir'", "a.'",
        ] {
            let mut rest = text.as_bytes();
            while let Some((_, after)) = next(rest) {
                assert!(after.len() < rest.len(), "{text:?}");
                rest = after;
            }
        }
    }
}
