//! Markdown on a terminal: wrapped at its width, tables laid out, without the marks where colour replaces them.
//!
//! For pages of the documentation that `torso help` prints. Images and raw HTML are left out; a link is its text.

use comfy_table::{ContentArrangement, presets};
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// How a page is drawn.
#[derive(Debug, Clone, Copy)]
pub struct PageStyle {
    /// Columns that a line may have.
    pub width: usize,
    pub color: bool,
}

impl PageStyle {
    /// The text in bold, where there is colour.
    #[must_use]
    pub fn strong(self, text: &str) -> String {
        if self.color {
            let bold = anstyle::Style::new().bold();
            format!("{bold}{text}{bold:#}")
        } else {
            text.to_owned()
        }
    }

    /// A paragraph, wrapped; `first` begins its first line and `rest` the others.
    #[must_use]
    pub fn wrap(self, text: &str, first: &str, rest: &str) -> String {
        let options = textwrap::Options::new(self.width.max(20))
            .initial_indent(first)
            .subsequent_indent(rest)
            .word_splitter(textwrap::WordSplitter::NoHyphenation)
            .break_words(false);
        textwrap::fill(text, options)
    }
}

/// Draws a page. It ends with a line end.
#[must_use]
pub fn render(markdown: &str, style: PageStyle) -> String {
    let mut page = Page {
        style,
        out: String::new(),
        text: String::new(),
        lists: Vec::new(),
        bullet: None,
        rows: Vec::new(),
        in_code: false,
    };
    for event in Parser::new_ext(markdown, Options::ENABLE_TABLES) {
        page.event(event);
    }
    page.out.truncate(page.out.trim_end().len());
    page.out.push('\n');
    page.out
}

/// A page while it is drawn.
struct Page {
    style: PageStyle,
    out: String,
    /// Of the paragraph, cell or code block that is open.
    text: String,
    /// The numbers of the next items of the lists that are open; none where they have bullets.
    lists: Vec<Option<u64>>,
    /// What the next paragraph begins with.
    bullet: Option<String>,
    rows: Vec<Vec<String>>,
    in_code: bool,
}

impl Page {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(&tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) => self.text.push_str(&text),
            Event::Code(code) if self.style.color => self.text.push_str(&self.style.strong(&code)),
            Event::Code(code) => self.text.push_str(&format!("`{code}`")),
            Event::SoftBreak => self.text.push(' '),
            Event::HardBreak => self.text.push('\n'),
            _ => {}
        }
    }

    fn start(&mut self, tag: &Tag<'_>) {
        match tag {
            Tag::CodeBlock(_) => {
                self.flush();
                self.in_code = true;
            }
            Tag::List(start) => {
                self.flush();
                self.lists.push(*start);
            }
            Tag::Item => {
                self.bullet = Some(match self.lists.last_mut() {
                    Some(Some(number)) => {
                        *number += 1;
                        format!("{}. ", *number - 1)
                    }
                    _ => "- ".to_owned(),
                });
            }
            Tag::Table(_) => self.rows.clear(),
            Tag::TableHead | Tag::TableRow => self.rows.push(Vec::new()),
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Heading(_) => {
                let heading = std::mem::take(&mut self.text);
                self.out.push_str(&self.style.strong(&heading));
                self.out.push_str("\n\n");
            }
            TagEnd::Paragraph => {
                self.flush();
                if self.lists.is_empty() {
                    self.out.push('\n');
                }
            }
            TagEnd::Item => self.flush(),
            TagEnd::List(_) => {
                self.lists.pop();
                if self.lists.is_empty() {
                    self.out.push('\n');
                }
            }
            TagEnd::CodeBlock => {
                let code = std::mem::take(&mut self.text);
                let indent = format!("    {}", "  ".repeat(self.lists.len()));
                code.lines().for_each(|line| {
                    self.out
                        .push_str(&format!("{}\n", format!("{indent}{line}").trim_end()))
                });
                self.in_code = false;
                self.out.push('\n');
            }
            TagEnd::TableCell => {
                let cell = std::mem::take(&mut self.text);
                if let Some(row) = self.rows.last_mut() {
                    row.push(cell);
                }
            }
            TagEnd::Table => self.table(),
            _ => {}
        }
    }

    /// Ends a paragraph.
    fn flush(&mut self) {
        let text = std::mem::take(&mut self.text);
        if text.trim().is_empty() {
            return;
        }
        let outer = "  ".repeat(self.lists.len().saturating_sub(1));
        let bullet = self.bullet.take();
        let inner = if self.lists.is_empty() { "" } else { "  " };
        let first = format!("{outer}{}", bullet.as_deref().unwrap_or(inner));
        let rest = " ".repeat(first.len());
        self.out.push_str(&self.style.wrap(text.trim(), &first, &rest));
        self.out.push('\n');
    }

    fn table(&mut self) {
        let mut rows = std::mem::take(&mut self.rows).into_iter();
        let mut table = comfy_table::Table::new();
        table
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(u16::try_from(self.style.width).unwrap_or(u16::MAX));
        let head = rows.next().unwrap_or_default();
        if head.iter().any(|cell| !cell.is_empty()) {
            table.add_row(head.iter().map(|cell| self.style.strong(cell)));
        }
        table.add_rows(rows);
        for line in table.to_string().lines() {
            self.out.push_str(line.trim_end());
            self.out.push('\n');
        }
        self.out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: PageStyle = PageStyle {
        width: 40,
        color: false,
    };

    #[test]
    fn markdown_of_every_kind_is_laid_out() {
        let page = "# Title\n\nA paragraph with `code` and a [link](x.md) that is longer than a line.\n\n\
                    - one\n- two, which goes on over more than a line of forty\n\n```sh\nls  -l\n```\n\n\
                    | a | b |\n|---|---|\n| 1 | long text in a cell that has to be wrapped somewhere |\n\n<!-- x -->\n";
        let drawn = render(page, PLAIN);
        assert_eq!(
            drawn,
            "Title\n\nA paragraph with `code` and a link that\nis longer than a line.\n\n- one\n\
             - two, which goes on over more than a\n  line of forty\n\n    ls  -l\n\n \
             a  b\n 1  long text in a cell that has to be\n    wrapped somewhere\n"
        );
    }

    #[test]
    fn markdown_never_is_wider_than_the_terminal() {
        let pages = [
            include_str!("../../docs/scripting.md"),
            include_str!("../../docs/errors.md"),
        ];
        for page in pages {
            for width in [60, 80, 100] {
                let drawn = render(page, PageStyle { width, color: false });
                let in_code = |line: &str| line.starts_with("    ");
                for line in drawn.lines().filter(|line| !in_code(line)) {
                    assert!(unicode_width::UnicodeWidthStr::width(line) <= width, "{line}");
                }
            }
        }
    }
}
