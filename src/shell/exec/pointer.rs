//! The mark below the place in a statement where an error is, as the `sqlite3` shell draws it in scripts.

use crate::sqltext::token;

/// The text around an error and a mark below it, as two lines.
pub fn pointer(sql: &str, offset: usize) -> String {
    let bytes = sql.as_bytes();
    if offset >= bytes.len() {
        return String::new();
    }
    let continues = |at: usize| bytes.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
    let mut start = 0;
    while offset - start > 50 {
        start += 1;
        while continues(start) && start < offset {
            start += 1;
        }
    }
    let mut end = bytes.len();
    if end - start > 78 {
        end = start + 78;
        while continues(end) {
            end -= 1;
        }
    }
    let line: String = String::from_utf8_lossy(&bytes[start..end])
        .chars()
        .map(|letter| {
            if letter.is_ascii() && token::is_space(letter as u8) {
                ' '
            } else {
                letter
            }
        })
        .collect();
    let column = offset - start;
    if column < 25 {
        format!("\n  {line}\n  {:column$}^--- error here", "")
    } else {
        format!("\n  {line}\n  {:width$}error here ---^", "", width = column - 14)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_pointer_shows_the_offset_in_the_statement() {
        assert_eq!(pointer("select nope;", 7), "\n  select nope;\n         ^--- error here");
        let long = format!("select {}, nope;", "a".repeat(100));
        assert!(pointer(&long, 109).ends_with("error here ---^"));
        assert_eq!(pointer("x", 1), "");
        for offset in 0..60 {
            pointer(&"é".repeat(60), offset);
        }
    }
}
