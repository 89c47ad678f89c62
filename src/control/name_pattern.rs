//! Patterns of names: `*` is any text, `?` any character.

/// Whether `text` matches a pattern. Linear in practice: only the last star is ever gone back to.
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == b'?' || *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    p = at + 1;
                    t = from + 1;
                    star = Some((at, t));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn name_patterns_match_whole_names() {
        for (pattern, text) in [
            ("*", ""),
            ("*", "app"),
            ("a?p", "app"),
            ("*-a*-b", "x-a-a-b"),
            ("app", "app"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("", "a"), ("a", ""), ("a?", "a"), ("a*b", "abc"), ("shop-*", "shop")] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }
}
