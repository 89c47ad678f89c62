//! What stands before the text: the database, where it is, and what a statement still lacks.

use super::lex::OpenState;
use unicode_width::UnicodeWidthStr;

/// The prompt of one reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    main: String,
    /// A user's own continuation prompt; without one it shows what is open.
    continuation: Option<String>,
}

/// A continuation prompt narrower than this cannot say what is open.
const NARROWEST: usize = 8;
/// A long database name should not push the second line half across the screen.
const WIDEST: usize = 32;

impl Prompt {
    /// `app ams> `, `app lhr (replica)> ` with a role worth telling, `app ams*> ` in a transaction.
    #[must_use]
    pub fn new(database: &str, location: Option<&str>, role: Option<&str>, in_transaction: bool) -> Self {
        let mut main = visible(database);
        if let Some(location) = location {
            main.push(' ');
            main.push_str(&visible(location));
        }
        if let Some(role) = role {
            main.push_str(&format!(" ({role})"));
        }
        if in_transaction {
            main.push('*');
        }
        main.push_str("> ");
        Self {
            main,
            continuation: None,
        }
    }

    /// A user's own prompts, as `.prompt MAIN CONTINUATION` sets them.
    #[must_use]
    pub fn custom(main: &str, continuation: Option<&str>) -> Self {
        Self {
            main: visible(main),
            continuation: continuation.map(visible),
        }
    }

    /// The prompt of the first line.
    #[must_use]
    pub fn main(&self) -> &str {
        &self.main
    }

    /// Columns that the prompt of every later line takes.
    #[must_use]
    pub fn continuation_width(&self) -> u8 {
        let width = match &self.continuation {
            Some(own) => own.width().max(1),
            None => self.main.width().clamp(NARROWEST, WIDEST),
        };
        u8::try_from(width).unwrap_or(u8::MAX)
    }

    /// The prompt of a line at whose start `open` is open, exactly [`Self::continuation_width`] columns wide.
    #[must_use]
    pub fn continuation(&self, open: OpenState) -> String {
        let width = usize::from(self.continuation_width());
        let text = match &self.continuation {
            Some(own) => own.clone(),
            None => {
                let sign = match open {
                    OpenState { quote: Some('*'), .. } => "/*".to_owned(),
                    OpenState { quote: Some(']'), .. } => "[".to_owned(),
                    OpenState { quote: Some(quote), .. } => quote.to_string(),
                    OpenState { depth: 0, .. } => String::new(),
                    OpenState { depth: ..0, .. } => ")x!".to_owned(),
                    OpenState { depth: 1..=9, .. } => format!("(x{}", open.depth),
                    OpenState { .. } => "(..".to_owned(),
                };
                format!("{sign:<rest$}...> ", rest = width.saturating_sub("...> ".len()))
            }
        };
        fit(&text, width)
    }
}

/// Cut or filled to exactly `width` columns.
fn fit(text: &str, width: usize) -> String {
    let mut fitted = String::with_capacity(text.len());
    let mut used = 0;
    for c in text.chars() {
        let next = unicode_width::UnicodeWidthChar::width(c).unwrap_or(0);
        if used + next > width {
            break;
        }
        fitted.push(c);
        used += next;
    }
    fitted.extend(std::iter::repeat_n(' ', width - used));
    fitted
}

/// A name may contain anything; a prompt must not move the cursor.
fn visible(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompt_tells_database_location_and_transaction() {
        assert_eq!(Prompt::new("app", Some("ams"), None, false).main(), "app ams> ");
        assert_eq!(
            Prompt::new("app", Some("lhr"), Some("replica"), false).main(),
            "app lhr (replica)> "
        );
        assert_eq!(Prompt::new("app", Some("ams"), None, true).main(), "app ams*> ");
        assert_eq!(Prompt::new("a\x1b[2Jb", None, None, false).main(), "a\u{fffd}[2Jb> ");
    }

    #[test]
    fn prompt_of_a_continuation_tells_what_is_open_and_keeps_its_width() {
        let prompt = Prompt::new("app", Some("ams"), None, false);
        let open = |quote, depth| prompt.continuation(OpenState { quote, depth });
        assert_eq!(open(None, 0), "    ...> ");
        assert_eq!(open(Some('\''), 2), "'   ...> ");
        assert_eq!(open(Some('"'), 0), "\"   ...> ");
        assert_eq!(open(Some('*'), 0), "/*  ...> ");
        assert_eq!(open(None, 3), "(x3 ...> ");
        assert_eq!(open(None, 12), "(.. ...> ");
        assert_eq!(open(None, -1), ")x! ...> ");
        for name in ["a", "a-rather-long-database-name-indeed-it-is", "日本"] {
            let prompt = Prompt::new(name, None, None, false);
            let text = prompt.continuation(OpenState { quote: None, depth: 1 });
            assert_eq!(text.width(), usize::from(prompt.continuation_width()));
        }
        assert_eq!(
            Prompt::custom("> ", Some("日本 ")).continuation(OpenState::default()),
            "日本 "
        );
        assert_eq!(Prompt::custom("> ", Some("")).continuation(OpenState::default()), " ");
    }
}
