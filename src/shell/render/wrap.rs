//! How many cells of a terminal a text takes, and where it breaks into lines.
//!
//! A unit is a character with what combines with it, or a byte that is no UTF-8 together with the continuation bytes after it. Classic counts every
//! unit as one cell; here a wide character takes two and a combining one none, so that columns line up.

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// What one line of a cell shows.
pub struct Line<'a> {
    /// The bytes shown. Tabs within are still tabs: see [`push_expanded`].
    pub visible: &'a [u8],
    /// Its width in cells.
    pub width: usize,
    /// What is left for the next line.
    pub rest: Option<&'a [u8]>,
}

/// The next unit's length in bytes and width in cells. `text` is not empty.
fn unit(text: &[u8]) -> (usize, usize) {
    let first = text[0];
    if first < 0x80 {
        return (1, 1);
    }
    // Characters that make one sign together (an emoji with its modifiers, a flag) are one unit, as terminals draw them.
    let start = &text[..text.len().min(LONGEST_UNIT)];
    let valid = start.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    if let Some(cluster) = valid.graphemes(true).next() {
        return (cluster.len(), cluster.width());
    }
    let follows = text[1..].iter().take_while(|&&byte| byte & 0xc0 == 0x80).count();
    (follows + 1, 1)
}

/// Bytes that are looked at for one unit: more than any sign in use takes.
const LONGEST_UNIT: usize = 128;

/// The next tab stop after `at`, but not beyond `limit`.
fn tab_stop(at: usize, limit: usize) -> usize {
    ((at / 8 + 1) * 8).min(limit)
}

/// Splits off the first line of a text: up to a line end or another control character, or `limit`
/// cells (0 is no limit), between words if asked.
pub fn line(text: &[u8], limit: usize, words: bool) -> Line<'_> {
    let limit = if limit == 0 { usize::MAX } else { limit };
    let mut end = 0;
    let mut width = 0;
    while let Some(&byte) = text.get(end) {
        if byte == b'\t' {
            if width >= limit {
                break;
            }
            width = tab_stop(width, limit);
            end += 1;
        } else if byte < b' ' {
            break;
        } else {
            let (bytes, cells) = unit(&text[end..]);
            // At least one unit a line, however narrow the column.
            if cells > 0 && width > 0 && width.saturating_add(cells) > limit || cells > 0 && width >= limit {
                return full_line(text, end, limit, words);
            }
            end += bytes;
            width += cells;
        }
    }
    if width >= limit {
        return full_line(text, end, limit, words);
    }
    Line {
        visible: &text[..end],
        width,
        rest: after(text, end),
    }
}

/// A line that reached its limit at `end`.
fn full_line(text: &[u8], end: usize, limit: usize, words: bool) -> Line<'_> {
    let at = |index: usize| text.get(index).copied().unwrap_or(0);
    let mut visible = end;
    let mut next = end;
    if words {
        let space = |byte: u8| byte == b' ' || (b'\t'..=b'\r').contains(&byte);
        let back = (end / 2 + 1..=end).rev();
        let between_words = back.clone().find(|&k| space(at(k - 1)));
        let boundary = || {
            back.clone()
                .find(|&k| at(k - 1).is_ascii_alphanumeric() != at(k).is_ascii_alphanumeric() && at(k) & 0xc0 != 0x80)
        };
        if let Some(k) = between_words.or_else(boundary) {
            visible = k;
            next = k;
            while at(next) == b' ' {
                next += 1;
            }
        }
    }
    let rest = if at(next) >= b' ' {
        Some(&text[next..])
    } else {
        after(text, next)
    };
    Line {
        visible: &text[..visible],
        width: width(&text[..visible], limit),
        rest,
    }
}

/// What follows a line that ended at `end`, without the line end itself.
fn after(text: &[u8], end: usize) -> Option<&[u8]> {
    let skip = if text[end..].starts_with(b"\r\n") { 2 } else { 1 };
    text.get(end + skip..).filter(|rest| !rest.is_empty())
}

/// The width of one line in cells.
pub fn width(text: &[u8], limit: usize) -> usize {
    let limit = if limit == 0 { usize::MAX } else { limit };
    let mut at = 0;
    let mut cells = 0;
    while at < text.len() {
        if text[at] == b'\t' {
            cells = tab_stop(cells, limit);
            at += 1;
        } else {
            let (bytes, wide) = unit(&text[at..]);
            at += bytes;
            cells += wide;
        }
    }
    cells
}

/// Appends what [`line`] shows, with tabs as blanks.
pub fn push_expanded(out: &mut Vec<u8>, visible: &[u8], limit: usize) {
    let limit = if limit == 0 { usize::MAX } else { limit };
    let mut rest = visible;
    let mut cells = 0;
    while let Some(tab) = memchr::memchr(b'\t', rest) {
        out.extend_from_slice(&rest[..tab]);
        cells += width(&rest[..tab], 0);
        let stop = tab_stop(cells, limit);
        out.extend(std::iter::repeat_n(b' ', stop - cells));
        cells = stop;
        rest = &rest[tab + 1..];
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str, limit: usize, words: bool) -> Vec<String> {
        let mut lines = Vec::new();
        let mut rest = Some(text.as_bytes());
        while let Some(text) = rest {
            let line = line(text, limit, words);
            let mut out = Vec::new();
            push_expanded(&mut out, line.visible, limit);
            assert_eq!(width(&out, 0), line.width);
            lines.push(String::from_utf8(out).unwrap());
            rest = line.rest;
        }
        lines
    }

    #[test]
    fn wrapped_lines_end_at_line_ends_and_limits() {
        assert_eq!(lines("a\nb\r\nc\n", 0, false), ["a", "b", "c"]);
        assert_eq!(lines("abcdef", 4, false), ["abcd", "ef"]);
        assert_eq!(lines("ab cd ef gh", 6, true), ["ab cd ", "ef gh"]);
        assert_eq!(lines("a\tb", 0, false), ["a       b"]);
    }

    #[test]
    fn wrapped_wide_characters_never_overflow_a_column() {
        assert_eq!(lines("日本語", 3, false), ["日", "本", "語"]);
        assert_eq!(lines("日本語", 4, false), ["日本", "語"]);
        assert_eq!(lines("e\u{301}e\u{301}", 1, false), ["e\u{301}", "e\u{301}"]);
        assert_eq!(lines("日", 1, false), ["日"]);
        // A family, a flag and a skin tone are one sign of two cells each.
        for sign in ["👨\u{200d}👩\u{200d}👧", "🇳🇱", "👍🏽"] {
            assert_eq!(lines(&format!("{sign}{sign}"), 2, false), [sign, sign]);
        }
    }
}
