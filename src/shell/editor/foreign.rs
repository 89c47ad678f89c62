//! Words of other shells: what is typed out of habit, and what does the same here.
//!
//! None of them begins a statement of SQLite, so a person who types one means something else.

/// What to type here in place of `text`. None if it is not one of the known habits.
#[must_use]
pub fn translate(text: &str) -> Option<String> {
    let text = text.trim().trim_end_matches(';').trim_end();
    if text.contains('\n') {
        return None;
    }
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let last = text.split_whitespace().next_back().unwrap_or_default();
    let meant = match words[..] {
        ["show", "tables"] | ["\\dt" | "\\d"] => ".tables lists the tables".to_owned(),
        ["show", "databases" | "schemas"] | ["\\l"] => ".databases lists the databases".to_owned(),
        ["show", "indexes" | "indices" | "index" | "keys", "from" | "in", _] | ["\\di", _] => {
            format!(".indexes {last} lists its indexes")
        }
        ["show", "indexes" | "indices"] | ["\\di"] => ".indexes lists the indexes".to_owned(),
        ["show", "create", "table" | "view", _]
        | ["show", "columns" | "fields", "from" | "in", _]
        | ["describe" | "desc" | "\\d" | "\\d+", _]
        | ["describe" | "desc", "table", _] => format!(".schema {last} shows how it was made"),
        ["use" | "\\c" | "\\connect" | "connect", _] => format!(".open {last} opens another database"),
        ["source" | "\\i" | "\\.", _] => format!(".read {last} runs a script"),
        ["help"] | ["\\?" | "\\h" | "?"] => ".help lists the commands".to_owned(),
        ["\\x"] => ".mode line shows a value a line".to_owned(),
        ["\\timing"] => ".timer on shows how long statements take".to_owned(),
        ["clear" | "cls"] => "Ctrl-L clears the screen".to_owned(),
        _ => return None,
    };
    Some(meant)
}

/// Characters that editors and web pages put in the place of plain ones, and their names.
const LOOKALIKES: [(char, &str); 12] = [
    ('\u{a0}', "a no-break space"),
    ('\u{202f}', "a narrow no-break space"),
    ('\u{2007}', "a figure space"),
    ('\u{3000}', "an ideographic space"),
    ('\u{200b}', "a zero-width space"),
    ('\u{feff}', "a byte-order mark"),
    ('\u{2018}', "the typographic quote ‘"),
    ('\u{2019}', "the typographic quote ’"),
    ('\u{201c}', "the typographic quote “"),
    ('\u{201d}', "the typographic quote ”"),
    ('\u{2013}', "an en dash"),
    ('\u{ff1b}', "a full-width semicolon"),
];

/// The first character outside string literals that only looks like one that SQL has, by name.
#[must_use]
pub fn lookalike(sql: &str) -> Option<&'static str> {
    use super::lex::{LexemeKind, lexemes};
    lexemes(sql)
        .into_iter()
        .filter(|token| !matches!(token.kind, LexemeKind::Text | LexemeKind::Quoted | LexemeKind::Comment))
        .flat_map(|token| sql[token.start..token.end].chars().collect::<Vec<_>>())
        .find_map(|letter| LOOKALIKES.iter().find(|(known, _)| *known == letter))
        .map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_of_other_shells_are_translated() {
        for (typed, meant) in [
            ("show tables;", Some(".tables lists the tables")),
            ("SHOW TABLES", Some(".tables lists the tables")),
            ("\\dt", Some(".tables lists the tables")),
            ("describe City", Some(".schema City shows how it was made")),
            ("desc t;", Some(".schema t shows how it was made")),
            ("\\d t", Some(".schema t shows how it was made")),
            ("use other;", Some(".open other opens another database")),
            ("help", Some(".help lists the commands")),
            ("select 1", None),
            ("help me", None),
            ("show", None),
            ("", None),
        ] {
            assert_eq!(translate(typed).as_deref(), meant, "{typed}");
        }
    }

    #[test]
    fn lookalike_characters_are_named_outside_strings() {
        assert_eq!(lookalike("select\u{a0}1"), Some("a no-break space"));
        assert_eq!(lookalike("select \u{2018}a\u{2019}"), Some("the typographic quote ‘"));
        assert_eq!(lookalike("select '\u{2018}a\u{2019}\u{a0}'"), None);
        assert_eq!(lookalike("select 1"), None);
    }
}
