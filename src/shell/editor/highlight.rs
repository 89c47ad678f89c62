//! Colours for what is being typed, and the continuation prompts drawn in front of its lines.

use super::lex::{Lexeme, LexemeKind, OpenState, lexemes, open_at_lines};
use super::lines;
use super::prompt::Prompt;
use anstyle::{AnsiColor, Style};
use unicode_width::UnicodeWidthStr;

const KEYWORD: Style = AnsiColor::Blue.on_default().bold();
const TEXT: Style = AnsiColor::Green.on_default();
const NUMBER: Style = AnsiColor::Cyan.on_default();
const VARIABLE: Style = AnsiColor::Magenta.on_default();
const QUOTED: Style = AnsiColor::Yellow.on_default();
const COMMENT: Style = AnsiColor::BrightBlack.on_default();
const STRAY: Style = AnsiColor::Red.on_default().underline();
const MATCHING: Style = AnsiColor::Yellow.on_default().bold().underline();
const DOT: Style = AnsiColor::Magenta.on_default().bold();
const CONTINUATION: Style = AnsiColor::BrightBlack.on_default();

/// The buffer as it is drawn: coloured (if `colour`), each tab of a line's start replaced by a continuation prompt, every
/// other tab by the blanks that the editor counts for it. `bracket` is where the cursor stands, if the bracket there and
/// its partner should stand out.
#[must_use]
pub fn draw(buffer: &str, prompt: &Prompt, colour: bool, bracket: Option<usize>, columns: usize) -> String {
    let (text, at) = lines::unfold_at(buffer, bracket.unwrap_or(0).min(buffer.len()));
    let tokens = if text.starts_with('.') {
        dot_tokens(&text)
    } else {
        lexemes(&text)
    };
    let pair = bracket.and_then(|_| matching(&text, &tokens, at));
    let open = open_at_lines(&text);
    let mut page = Page {
        out: String::with_capacity(buffer.len() * 2),
        prompt,
        colour,
        open: &open,
        line: 0,
        column: prompt.main().width(),
        tab: usize::from(prompt.continuation_width()),
        columns,
    };
    for token in &tokens {
        let style = match pair {
            Some((one, other)) if token.start == one || token.start == other => MATCHING,
            _ => style_of(token, &text),
        };
        page.write(token.text(&text), style);
    }
    page.out
}

/// The prompt as it is drawn.
#[must_use]
pub fn draw_prompt(prompt: &str, colour: bool) -> String {
    if !colour {
        return prompt.to_owned();
    }
    let style = Style::new().bold();
    match prompt.strip_suffix("*> ") {
        Some(name) => {
            let star = AnsiColor::Yellow.on_default().bold();
            format!("{style}{name}{style:#}{star}*{star:#}{style}>{style:#} ")
        }
        None => format!("{style}{prompt}{style:#}"),
    }
}

struct Page<'a> {
    out: String,
    prompt: &'a Prompt,
    colour: bool,
    open: &'a [OpenState],
    line: usize,
    column: usize,
    tab: usize,
    columns: usize,
}

impl Page<'_> {
    fn write(&mut self, text: &str, style: Style) {
        for (index, part) in text.split('\n').enumerate() {
            if index > 0 {
                self.break_line();
            }
            self.styled(part, style);
        }
    }

    fn break_line(&mut self) {
        self.line += 1;
        self.out.push('\n');
        let open = self.open.get(self.line).copied().unwrap_or_default();
        let prompt = self.prompt.continuation(open);
        self.column = self.tab;
        let colour = self.colour;
        paint(&mut self.out, &prompt, CONTINUATION, colour);
    }

    fn styled(&mut self, part: &str, style: Style) {
        if part.is_empty() {
            return;
        }
        let mut painted = String::with_capacity(part.len());
        for piece in part.split_inclusive('\t') {
            let body = piece.strip_suffix('\t');
            let plain = body.unwrap_or(piece);
            painted.extend(plain.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }));
            self.column += plain.width();
            if self.columns > 0 {
                self.column %= self.columns;
            }
            if body.is_some() {
                let blanks = self.tab - self.column % self.tab;
                painted.extend(std::iter::repeat_n(' ', blanks));
                self.column += blanks;
            }
        }
        let colour = self.colour;
        paint(&mut self.out, &painted, style, colour);
    }
}

fn paint(out: &mut String, text: &str, style: Style, colour: bool) {
    if colour && style != Style::new() {
        use std::fmt::Write;
        // Writing to a String cannot fail.
        let _ = write!(out, "{style}{text}{style:#}");
    } else {
        out.push_str(text);
    }
}

fn style_of(token: &Lexeme, text: &str) -> Style {
    match token.kind {
        LexemeKind::Keyword if token.start == 0 && text.starts_with('.') => DOT,
        LexemeKind::Keyword => KEYWORD,
        LexemeKind::Text | LexemeKind::Blob => TEXT,
        LexemeKind::Number => NUMBER,
        LexemeKind::Variable => VARIABLE,
        LexemeKind::Quoted => QUOTED,
        LexemeKind::Comment => COMMENT,
        LexemeKind::Stray => STRAY,
        LexemeKind::Space | LexemeKind::Name | LexemeKind::Sign => Style::new(),
    }
}

/// A dot-command is not SQL: its name, then its words.
fn dot_tokens(text: &str) -> Vec<Lexeme> {
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let mut tokens = vec![Lexeme {
        kind: LexemeKind::Keyword,
        start: 0,
        end,
        open: false,
    }];
    if end < text.len() {
        tokens.push(Lexeme {
            kind: LexemeKind::Name,
            start: end,
            end: text.len(),
            open: false,
        });
    }
    tokens
}

/// The bracket at or just before `at`, and its partner.
fn matching(text: &str, tokens: &[Lexeme], at: usize) -> Option<(usize, usize)> {
    let bracket = |token: &&Lexeme| token.kind == LexemeKind::Sign && matches!(token.text(text), "(" | ")");
    let here = tokens.iter().filter(bracket).find(|token| token.start == at);
    let before = || {
        tokens
            .iter()
            .filter(bracket)
            .find(|token| token.end == at && token.text(text) == ")")
    };
    let one = here.or_else(before)?;
    let forward = one.text(text) == "(";
    let mut depth = 0;
    let mut count = |token: &&Lexeme| {
        depth += if token.text(text) == "(" { 1 } else { -1 };
        depth == 0
    };
    let other = if forward {
        tokens
            .iter()
            .filter(bracket)
            .filter(|token| token.start >= one.start)
            .find(&mut count)
    } else {
        tokens
            .iter()
            .rev()
            .filter(bracket)
            .filter(|token| token.start <= one.start)
            .find(&mut count)
    };
    other.map(|other| (one.start, other.start))
}

/// Whether a bracket stands at or just before `at`.
#[must_use]
pub fn at_bracket(buffer: &str, at: usize) -> bool {
    let bytes = buffer.as_bytes();
    matches!(bytes.get(at), Some(b'(' | b')')) || (at > 0 && bytes.get(at - 1) == Some(&b')'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt() -> Prompt {
        Prompt::new("app", Some("ams"), None, false)
    }

    fn plain(text: &str) -> String {
        draw(&lines::fold(text), &prompt(), false, None, 80)
    }

    #[test]
    fn highlight_without_colour_adds_only_continuation_prompts() {
        assert_eq!(plain("select 1;"), "select 1;");
        assert_eq!(
            plain("select 'a\nb',\n(1\n);"),
            "select 'a\n'   ...> b',\n    ...> (1\n(x1 ...> );"
        );
        assert!(!plain("select 'a\nb'").contains('\x1b'));
    }

    #[test]
    fn highlight_of_tabs_takes_the_columns_of_the_editor() {
        // The prompt is 9 wide, so tab stops are 9 apart.
        assert_eq!(plain("ab\tc"), format!("ab{}c", " ".repeat(7)));
        assert_eq!(plain("x\n\ty"), format!("x\n    ...> {}y", " ".repeat(9)));
    }

    #[test]
    fn highlight_colours_each_kind_and_makes_escapes_harmless() {
        let drawn = draw("select 'x' -- c", &prompt(), true, None, 80);
        assert!(drawn.contains(&format!("{KEYWORD}select{KEYWORD:#}")), "{drawn:?}");
        assert!(drawn.contains(&format!("{TEXT}'x'{TEXT:#}")), "{drawn:?}");
        assert!(drawn.contains(&format!("{COMMENT}-- c{COMMENT:#}")), "{drawn:?}");
        assert!(!draw("select '\x1b[2J'", &prompt(), false, None, 80).contains('\x1b'));
        assert!(draw(".mode box", &prompt(), true, None, 80).starts_with(&format!("{DOT}.mode{DOT:#}")));
    }

    #[test]
    fn highlight_of_a_bracket_marks_its_partner() {
        let text = "f((1), ')', (2))";
        let tokens = lexemes(text);
        assert_eq!(matching(text, &tokens, 1), Some((1, 15)));
        assert_eq!(matching(text, &tokens, 16), Some((15, 1)));
        assert_eq!(matching(text, &tokens, 2), Some((2, 4)));
        assert_eq!(matching(text, &tokens, 8), None);
        assert_eq!(matching("(", &lexemes("("), 0), None);
    }
}
