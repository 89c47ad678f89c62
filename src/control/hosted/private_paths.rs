//! Where files of the server's are, in texts that callers read.

use std::path::Path;

/// What callers read in the place of a path.
pub const PRIVATE_FILE: &str = "(a file of the server's)";

/// Characters that end a path in a sentence.
const ENDS: [char; 8] = ['"', '\'', '`', ',', ';', '(', ')', '…'];

/// Puts `with` in the place of `dir` and of each path below it. The server makes all names below itself, without blanks.
pub(super) fn replace_below(text: &str, dir: &Path, with: &str) -> String {
    let dir = dir.to_string_lossy();
    let mut replaced = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(&*dir).filter(|_| !dir.is_empty()) {
        let (head, path) = rest.split_at(at);
        let below = &path[dir.len()..];
        let end = below
            .find(|c: char| c.is_whitespace() || ENDS.contains(&c))
            .unwrap_or(below.len());
        let end = below[..end].trim_end_matches([':', '.', '?', '!']).len();
        replaced.push_str(head);
        replaced.push_str(with);
        rest = &below[end..];
    }
    replaced.push_str(rest);
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_paths_are_replaced_whole_wherever_they_stand() {
        let dir = Path::new("/srv/my data");
        for (text, public) in [
            ("/srv/my data/staging/a1.seed cannot become", "it cannot become"),
            ("cannot read /srv/my data/x: no", "cannot read it: no"),
            ("\"/srv/my data/a/b\", /srv/my data", "\"it\", it"),
            ("…/srv/my data/a.", "…it."),
            ("/srv/other and a/b", "/srv/other and a/b"),
        ] {
            assert_eq!(replace_below(text, dir, "it"), public);
        }
    }
}
