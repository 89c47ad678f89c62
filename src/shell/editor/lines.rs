//! A statement of several lines in one edit buffer.
//!
//! The line editor keeps a whole statement in one buffer, draws it from the left margin and knows no continuation prompt.
//! To make room for one, each line after the first begins with a tab that is not the user's: the editor counts it as wide
//! as the prompt, the highlighter draws the continuation prompt in its place, and [`unfold`] takes it away again. The
//! editing keys treat a line end and its tab as one character: [`edit`] says what a key does where that matters.

/// A line end as it stands in the buffer.
pub const BREAK: &str = "\n\t";

/// Puts the tabs in: from a user's text to the buffer.
#[must_use]
pub fn fold(text: &str) -> String {
    text.replace('\n', BREAK)
}

/// Takes the tabs out: from the buffer to the user's text.
#[must_use]
pub fn unfold(buffer: &str) -> String {
    buffer.replace(BREAK, "\n")
}

/// The buffer's text and the position in it, without the tabs.
#[must_use]
pub fn unfold_at(buffer: &str, at: usize) -> (String, usize) {
    let before = unfold(&buffer[..at]);
    // Between a line end and its tab: as if after the tab.
    let rest = match buffer[at..].strip_prefix('\t') {
        Some(rest) if before.ends_with('\n') => rest,
        _ => &buffer[at..],
    };
    let at = before.len();
    (before + &unfold(rest), at)
}

/// Keys that meet line ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EditKey {
    Left,
    Right,
    Home,
    Up,
    Down,
    /// Delete backwards.
    Backspace,
    /// Delete forwards.
    Delete,
    /// Delete to the end of the line.
    KillEnd,
    /// Delete to the start of the line.
    KillStart,
    Newline,
    Char(char),
}

/// A change of the buffer: this range becomes `text`, then the cursor stands at `at`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    pub range: std::ops::Range<usize>,
    pub text: String,
    pub at: usize,
}

impl Edit {
    fn go(at: usize) -> Option<Self> {
        Some(Self {
            range: at..at,
            text: String::new(),
            at,
        })
    }

    fn cut(range: std::ops::Range<usize>) -> Option<Self> {
        Some(Self {
            at: range.start,
            range,
            text: String::new(),
        })
    }

    fn put(at: usize, text: &str) -> Option<Self> {
        Some(Self {
            range: at..at,
            text: text.to_owned(),
            at: at + text.len(),
        })
    }
}

/// What `key` does at `at`, or none where the line editor's own way is right: anywhere away from line ends.
#[must_use]
pub fn edit(key: EditKey, buffer: &str, at: usize) -> Option<Edit> {
    let (before, after) = buffer.split_at(at);
    let start = line_start(buffer, at);
    let first = start == 0;
    match key {
        EditKey::Left if before.ends_with(BREAK) => Edit::go(at - BREAK.len()),
        EditKey::Right if after.starts_with(BREAK) => Edit::go(at + BREAK.len()),
        EditKey::Home if !first && at != start => Edit::go(start),
        // At the start already: stay, where the editor's own way would step onto the tab.
        EditKey::Home if !first => Edit::go(at),
        EditKey::Backspace if before.ends_with(BREAK) => Edit::cut(at - BREAK.len()..at),
        EditKey::Delete | EditKey::KillEnd if after.starts_with(BREAK) => Edit::cut(at..at + BREAK.len()),
        EditKey::KillStart if !first && at > start => Edit::cut(start..at),
        EditKey::KillStart if before.ends_with(BREAK) => Edit::cut(at - BREAK.len()..at),
        EditKey::Up if !first => Edit::go(above(buffer, start, at)),
        EditKey::Down => below(buffer, start, at).and_then(Edit::go),
        EditKey::Newline => Edit::put(at, BREAK),
        EditKey::Char(c) if before.ends_with('\n') && after.starts_with('\t') => {
            Edit::put(at + 1, c.encode_utf8(&mut [0; 4]))
        }
        _ => None,
    }
}

/// Where the text of the line around `at` begins: after its tab.
fn line_start(buffer: &str, at: usize) -> usize {
    match buffer[..at].rfind('\n') {
        Some(end) if buffer[end..].starts_with(BREAK) => end + BREAK.len(),
        Some(end) => end + 1,
        None => 0,
    }
}

fn above(buffer: &str, start: usize, at: usize) -> usize {
    let end = buffer[..start].rfind('\n').unwrap_or(0);
    let column = buffer[start.min(at)..at].chars().count();
    let above = line_start(buffer, end);
    advance(buffer, above, end, column)
}

fn below(buffer: &str, start: usize, at: usize) -> Option<usize> {
    let end = at + buffer[at..].find('\n')?;
    let column = buffer[start.min(at)..at].chars().count();
    let below = line_start(buffer, end + 1 + usize::from(buffer[end..].starts_with(BREAK)));
    let limit = buffer[below..].find('\n').map_or(buffer.len(), |more| below + more);
    Some(advance(buffer, below, limit, column))
}

/// `column` characters after `from`, but not past `limit`.
fn advance(buffer: &str, from: usize, limit: usize, column: usize) -> usize {
    buffer[from..limit]
        .char_indices()
        .nth(column)
        .map_or(limit, |(offset, _)| from + offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Applies `key` to a text whose cursor is `^`, and shows the result the same way.
    fn press(key: EditKey, text: &str) -> Option<String> {
        let at = text.find('^').unwrap();
        let (left, right) = (&text[..at], &text[at + 1..]);
        let buffer = fold(left) + &fold(right);
        let edit = edit(key, &buffer, fold(left).len())?;
        let mut buffer = buffer;
        buffer.replace_range(edit.range, &edit.text);
        let (text, at) = unfold_at(&buffer, edit.at);
        Some(format!("{}^{}", &text[..at], &text[at..]))
    }

    #[test]
    fn editor_folding_keeps_the_text() {
        for text in ["", "a", "a\nb", "a\n\tb", "\n", "a\n\n\tb\n", "'x\n\t\ty'"] {
            assert_eq!(unfold(&fold(text)), text);
        }
        assert_eq!(unfold_at("a\n\tb", 3), ("a\nb".into(), 2));
        assert_eq!(unfold_at("a\n\tb", 2), ("a\nb".into(), 2));
        assert_eq!(unfold_at("a\n\tb", 1), ("a\nb".into(), 1));
    }

    #[test]
    fn editor_keys_step_over_whole_line_ends() {
        let cases = [
            (EditKey::Left, "ab\n^cd", Some("ab^\ncd")),
            (EditKey::Left, "ab\nc^d", None),
            (EditKey::Right, "ab^\ncd", Some("ab\n^cd")),
            (EditKey::Home, "ab\ncd^", Some("ab\n^cd")),
            (EditKey::Home, "ab\n^cd", Some("ab\n^cd")),
            (EditKey::Home, "ab^", None),
            (EditKey::Backspace, "ab\n^cd", Some("ab^cd")),
            (EditKey::Backspace, "ab\nc^d", None),
            (EditKey::Delete, "ab^\ncd", Some("ab^cd")),
            (EditKey::KillEnd, "ab^\ncd", Some("ab^cd")),
            (EditKey::KillEnd, "a^b\ncd", None),
            (EditKey::KillStart, "ab\ncd^e", Some("ab\n^e")),
            (EditKey::KillStart, "ab\n^e", Some("ab^e")),
            (EditKey::KillStart, "ab^e", None),
            (EditKey::Newline, "a^b", Some("a\n^b")),
            (EditKey::Up, "abc\ndef^", Some("abc^\ndef")),
            (EditKey::Up, "a\ndef^", Some("a^\ndef")),
            (EditKey::Up, "abc\n^def", Some("^abc\ndef")),
            (EditKey::Up, "abc^", None),
            (EditKey::Down, "a^bc\ndef", Some("abc\nd^ef")),
            (EditKey::Down, "abc^\nd", Some("abc\nd^")),
            (EditKey::Down, "abc\nd^", None),
            (EditKey::Down, "a\nb^\n\nc", Some("a\nb\n^\nc")),
            (EditKey::Up, "a\nb\n\nc^", Some("a\nb\n^\nc")),
            (EditKey::Up, "日本\nab^", Some("日本^\nab")),
        ];
        for (key, text, expected) in cases {
            assert_eq!(press(key, text).as_deref(), expected, "{key:?} {text:?}");
        }
    }

    #[test]
    fn editor_position_never_lands_inside_a_tab() {
        let edit = edit(EditKey::Char('x'), "a\n\tb", 2).unwrap();
        assert_eq!((edit.range, edit.text.as_str(), edit.at), (3..3, "x", 4));
    }
}
