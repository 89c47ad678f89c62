//! The text of a `.env` file: where its variables are, and the same text with new values for some of them. Comments, order,
//! line ends and variables of others stay byte for byte.

use crate::commands::variables::dotenv_line;

/// The text with these variables set: in place where it sets them already, else at its end.
pub(super) fn merge(text: &str, values: &[(&str, &str)]) -> String {
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let mut merged = String::with_capacity(text.len() + 256);
    let mut missing: Vec<_> = values.to_vec();
    for entry in Entries(text) {
        let wanted = name(entry).and_then(|name| values.iter().find(|(wanted, _)| *wanted == name));
        let Some((name, value)) = wanted else {
            merged.push_str(entry);
            continue;
        };
        missing.retain(|(other, _)| other != name);
        if entry.trim_start().starts_with("export ") {
            merged.push_str("export ");
        }
        merged.push_str(&dotenv_line(name, value));
        merged.push_str(comment(entry));
        merged.push_str(&entry[entry.trim_end_matches(['\r', '\n']).len()..]);
    }
    if !missing.is_empty() && !merged.is_empty() && !merged.ends_with('\n') {
        merged.push_str(end);
    }
    for (name, value) in missing {
        merged.push_str(&dotenv_line(name, value));
        merged.push_str(end);
    }
    merged
}

/// The name that an entry sets; none for a comment, an empty line and what is neither.
fn name(entry: &str) -> Option<&str> {
    let line = entry.trim_start();
    let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
    let (name, _) = line.split_once('=')?;
    let name = name.trim_end();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    (!name.is_empty() && name.chars().all(plain)).then_some(name)
}

/// The comment behind the value of an entry, with the blanks before it; empty where there is none.
fn comment(entry: &str) -> &str {
    let entry = entry.trim_end_matches(['\r', '\n']);
    let value = entry.find('=').map_or(entry.len(), |at| at + 1);
    let start = value + (entry[value..].len() - entry[value..].trim_start_matches([' ', '\t']).len());
    let behind = match entry[start..].chars().next() {
        Some(quote @ ('"' | '\'' | '`')) => closing_quote(&entry[start + 1..], quote).map(|at| start + 1 + at + 1),
        _ => None,
    };
    let from = behind.unwrap_or(value);
    let blank = |at: &(usize, char)| at.1 == '#' && entry[..from + at.0].ends_with([' ', '\t']);
    let Some((at, _)) = entry[from..].char_indices().find(blank) else {
        return "";
    };
    let before = entry[..from + at].trim_end_matches([' ', '\t']).len();
    // Of what is neither value nor comment nothing is known.
    match behind {
        Some(behind) if before != behind => "",
        _ => &entry[before..],
    }
}

/// The place of the quote that ends a value, which begins behind its first one.
fn closing_quote(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quote == '"' => escaped = true,
            c if c == quote => return Some(at),
            _ => {}
        }
    }
    None
}

/// The entries of a file, each with its line end: a line, or several where a quoted value goes on over line ends.
struct Entries<'a>(&'a str);

impl<'a> Iterator for Entries<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if self.0.is_empty() {
            return None;
        }
        let line = self.0.find('\n').map_or(self.0.len(), |at| at + 1);
        let end = end_of_quoted(self.0, line).unwrap_or(line);
        let (entry, rest) = self.0.split_at(end);
        self.0 = rest;
        Some(entry)
    }
}

/// The end of an entry whose value is in quotes and goes on behind its first line, which ends at `line`. None where the
/// value ends in that line, or nowhere: then the quote is one of a bare value.
fn end_of_quoted(text: &str, line: usize) -> Option<usize> {
    let first = &text[..line];
    name(first)?;
    let value = first.find('=')? + 1;
    let start = value + (first[value..].len() - first[value..].trim_start_matches([' ', '\t']).len());
    let quote = first[start..]
        .chars()
        .next()
        .filter(|c| matches!(c, '"' | '\'' | '`'))?;
    let closed = start + 1 + closing_quote(&text[start + 1..], quote)?;
    if closed < line {
        return None;
    }
    Some(text[closed..].find('\n').map_or(text.len(), |end| closed + end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: [(&str, &str); 2] = [("URL", "libsql://new"), ("TOKEN", "t0k")];

    #[test]
    fn dotenv_without_the_variables_gets_them_at_its_end() {
        assert_eq!(merge("", &VALUES), "URL=libsql://new\nTOKEN=t0k\n");
        assert_eq!(
            merge("# mine\nA=1", &VALUES),
            "# mine\nA=1\nURL=libsql://new\nTOKEN=t0k\n"
        );
        assert_eq!(merge("A=1\r\n", &VALUES), "A=1\r\nURL=libsql://new\r\nTOKEN=t0k\r\n");
    }

    #[test]
    fn dotenv_with_the_variables_gets_new_values_in_place() {
        let before = "# URL=old\nexport URL = 'old' # why\n\nA=\"x\nTOKEN=inner\"\nTOKEN=\r\nB='it''s'\n";
        let after = "# URL=old\nexport URL=libsql://new # why\n\nA=\"x\nTOKEN=inner\"\nTOKEN=t0k\r\nB='it''s'\n";
        assert_eq!(merge(before, &VALUES), after);
        assert_eq!(merge(after, &VALUES), after);
        assert_eq!(
            merge("URL=\"a\\\"\nb\"\nTOKEN=x", &VALUES),
            "URL=libsql://new\nTOKEN=t0k"
        );
    }

    #[test]
    fn dotenv_comments_behind_values_stay() {
        for (before, after) in [
            ("URL=\"x # y\" # keep\r\n", "URL=libsql://new # keep\r\n"),
            ("URL=x#y\t# keep\n", "URL=libsql://new\t# keep\n"),
            ("URL=x#y\n", "URL=libsql://new\n"),
            ("URL= # keep\n", "URL=libsql://new # keep\n"),
            ("URL='a\nb' # keep\n", "URL=libsql://new # keep\n"),
            ("URL='a' b # keep\n", "URL=libsql://new\n"),
        ] {
            assert_eq!(merge(before, &VALUES[..1]), after, "{before}");
        }
    }

    #[test]
    fn dotenv_with_an_open_quote_loses_nothing() {
        assert_eq!(
            merge("A='open\nURL=x\n", &VALUES),
            "A='open\nURL=libsql://new\nTOKEN=t0k\n"
        );
    }
}
