//! Makes text from databases, files and names safe to show: it may have characters that control the terminal.
//!
//! Also formats sizes, times and durations for people.

use jiff::Timestamp;
use std::borrow::Cow;
use std::fmt::Write as _;

/// The text with control characters, ESC, and the marks that reorder or hide text written out as `\u{…}`.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(steers) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            c if steers(c) => {
                // Writing to a String does not fail.
                let _ = write!(escaped, "\\u{{{:x}}}", c as u32);
            }
            c => escaped.push(c),
        }
    }
    Cow::Owned(escaped)
}

/// Like [`visible`], but keeps line breaks: for whole messages.
#[must_use]
pub fn visible_lines(text: &str) -> String {
    text.split('\n').map(visible).collect::<Vec<_>>().join("\n")
}

/// Whether a character could move the cursor, colour, reorder or hide what is shown.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Bytes for people: `0 B`, `512 B`, `4.0 KiB`, `1.5 GiB`.
#[must_use]
#[allow(clippy::cast_precision_loss)] // one decimal is shown
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A point in time for people: `2026-11-23 18:48 UTC`.
#[must_use]
pub fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// How long ago, in the largest fitting unit: `now`, `12s ago`, `3h ago`.
#[must_use]
pub fn age(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second() - at.as_second();
    if seconds < 1 {
        return "now".into();
    }
    format!("{} ago", span(seconds.unsigned_abs().saturating_mul(1000)))
}

/// Milliseconds for people: `0ms`, `850ms`, `12s`, `5m`, `3h`, `2d`.
#[must_use]
pub fn span(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms}ms"),
        1_000..60_000 => format!("{}s", ms / 1_000),
        60_000..3_600_000 => format!("{}m", ms / 60_000),
        3_600_000..172_800_000 => format!("{}h", ms / 3_600_000),
        _ => format!("{}d", ms / 86_400_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_control_characters_are_written_out() {
        assert_eq!(visible("plain ünïcode 数"), "plain ünïcode 数");
        assert_eq!(visible("\x1b[31mred\x07\u{9b}"), "\\u{1b}[31mred\\u{7}\\u{9b}");
        assert_eq!(visible("a\u{202e}b\nc\td"), "a\\u{202e}b\\nc\\td");
        assert_eq!(visible_lines("one\ntwo\x1b"), "one\ntwo\\u{1b}");
    }

    #[test]
    fn size_has_one_decimal() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(4096), "4.0 KiB");
        assert_eq!(size(1024 * 1024 - 1), "1.0 MiB");
        assert_eq!(size(1_610_612_736), "1.5 GiB");
        assert!(size(u64::MAX).ends_with(" PiB"));
    }

    #[test]
    fn age_uses_the_largest_unit_that_fits() {
        let now: Timestamp = "2026-01-10T00:00:00Z".parse().unwrap();
        for (at, text) in [
            ("2026-01-10T00:00:05Z", "now"),
            ("2026-01-09T23:59:50Z", "10s ago"),
            ("2026-01-09T23:00:00Z", "1h ago"),
            ("2026-01-01T00:00:00Z", "9d ago"),
        ] {
            assert_eq!(age(at.parse().unwrap(), now), text);
        }
    }
}
