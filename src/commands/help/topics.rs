//! The topics of `torso help`: pages of `docs/`, printed as they are, so that there is no second text to keep true.

use super::page::{self, Detail};
use crate::error::Code;
use crate::ui::markdown::{self, PageStyle};
use clap::Command;

/// Something to read about that is not a command.
pub(super) struct Topic {
    pub(super) name: &'static str,
    text: Text,
}

enum Text {
    /// A page of `docs/`.
    Page(&'static str),
    /// A page's section with that heading.
    Section(&'static str, &'static str),
    /// The options of every command, from the command tree.
    Options,
}

const SCRIPTING: &str = include_str!("../../../docs/scripting.md");
/// Has a section for each error code.
const TROUBLESHOOTING: &str = include_str!("../../../docs/troubleshooting.md");

/// The topics, in the order in which they are listed.
pub(super) const TOPICS: &[Topic] = &[
    topic("options", Text::Options),
    topic("scripting", Text::Page(SCRIPTING)),
    topic("environment", Text::Page(include_str!("../../../docs/environment.md"))),
    topic("exit-codes", Text::Page(include_str!("../../../docs/errors.md"))),
    topic("shell", Text::Page(include_str!("../../../docs/shell.md"))),
    topic("sizes", Text::Section(SCRIPTING, "## Names, durations, sizes")),
    topic("locations", Text::Page(include_str!("../../../docs/locations.md"))),
];

/// Other words for a topic.
const ALIASES: &[(&str, &str)] = &[("json", "scripting"), ("errors", "exit-codes")];

const fn topic(name: &'static str, text: Text) -> Topic {
    Topic { name, text }
}

/// The topic of that name.
pub(super) fn find(name: &str) -> Option<&'static Topic> {
    let alias = ALIASES.iter().find(|(alias, _)| *alias == name);
    let name = alias.map_or(name, |(_, name)| name);
    TOPICS.iter().find(|topic| topic.name == name)
}

/// Draws the topic of that name, or what there is to know about the error code of that name. `tree` is the command tree, built.
pub(super) fn render(name: &str, tree: &Command, style: PageStyle) -> Option<String> {
    if let Some(topic) = find(name) {
        return Some(topic.render(tree, style));
    }
    let code = Code::ALL.iter().find(|code| code.name() == name)?;
    let heading = format!("### `{}`", code.name());
    Some(markdown::render(section(TROUBLESHOOTING, &heading), style))
}

impl Topic {
    fn render(&self, tree: &Command, style: PageStyle) -> String {
        match self.text {
            Text::Page(text) => markdown::render(text, style),
            Text::Section(text, heading) => markdown::render(section(text, heading), style),
            Text::Options => options(tree, style),
        }
    }
}

/// A page's section, with its heading, up to the next one of its level; the whole page, if there is no such section.
fn section(text: &'static str, heading: &str) -> &'static str {
    let Some(at) = text.find(&format!("\n{heading}\n")) else {
        return text;
    };
    let rest = &text[at + 1..];
    let level = heading.bytes().take_while(|byte| *byte == b'#').count();
    let ends = (1..=level).filter_map(|level| rest[heading.len()..].find(&format!("\n{} ", "#".repeat(level))));
    ends.min().map_or(rest, |end| &rest[..heading.len() + end])
}

/// The options that every command takes.
pub(in crate::commands) fn options(tree: &Command, style: PageStyle) -> String {
    let global = tree
        .get_arguments()
        .filter(|arg| arg.is_global_set() && !arg.is_hide_set());
    let rows: Vec<_> = global.map(|arg| page::row(arg, Detail::Whole)).collect();
    let intro = "These options work with every command, before or after its name. Flags win over environment variables, \
                 those over the project file, and that over your settings.";
    format!(
        "{}\n\n{}\n\nMore: torso help scripting, torso help environment\n",
        style.wrap(intro, "", ""),
        page::section("Options of every command", &rows, style)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_topics_print_the_text_of_the_docs() {
        let tree = crate::commands::help::tree();
        let style = PageStyle {
            width: 80,
            color: false,
        };
        for (name, words) in [
            ("options", "--output <FORMAT>"),
            ("scripting", "standard output"),
            ("environment", "TORSO_DATA_DIR"),
            ("exit-codes", "database_exists"),
            ("shell", ".read"),
            ("sizes", "1w2d30m"),
            ("locations", "Amsterdam"),
            ("json", "jsonl"),
        ] {
            let text = find(name).unwrap().render(&tree, style);
            assert!(text.contains(words), "{name}: {text}");
        }
        let sizes = find("sizes").unwrap().render(&tree, style);
        assert!(sizes.lines().count() < 20, "{sizes}");
    }
}
