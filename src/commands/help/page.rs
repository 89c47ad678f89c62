//! The help page of one command, drawn from the command tree.
//!
//! [`Detail::Screen`] is what `-h` and `--help` print: a screenful, a line for each option. [`Detail::Whole`] is what
//! `torso help COMMAND` prints: everything. [`Detail::Reference`] is the same for `docs/reference`.

use super::verb_groups;
use crate::ui::markdown::PageStyle;
use clap::{Arg, Command};
use unicode_width::UnicodeWidthStr as _;

/// How much a page says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::commands) enum Detail {
    Screen,
    Whole,
    Reference,
}

/// Lines that a terminal shows at once. A page that is longer does without empty lines between its parts.
pub(in crate::commands) const SCREEN: usize = 24;
/// The widest column of options; a longer option has a line to itself.
const WIDEST_OPTION: usize = 34;

/// Draws the page of a command of a tree that was built. It ends with a line end.
pub(in crate::commands) fn render(command: &Command, detail: Detail, style: PageStyle) -> String {
    let parts = parts(command, detail, style);
    let page = |between: &str| parts.join(between) + "\n";
    let roomy = page("\n\n");
    if detail == Detail::Screen && roomy.lines().count() > SCREEN {
        page("\n")
    } else {
        roomy
    }
}

/// An option, argument or command, and what it does.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) text: String,
}

fn parts(command: &Command, detail: Detail, style: PageStyle) -> Vec<String> {
    let long = detail != Detail::Screen;
    let about = if long { command.get_long_about() } else { None };
    let about = about.or_else(|| command.get_about()).map(ToString::to_string);
    let mut parts = vec![paragraphs(&about.unwrap_or_default(), style)];
    parts.push(usage(command, style));

    let notes = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let (examples, notes): (Vec<_>, Vec<_>) = notes
        .split("\n\n")
        .filter(|block| !block.trim().is_empty())
        .partition(|block| block.starts_with("Example"));
    parts.extend(examples.iter().map(|block| verbatim(block, style)));

    let below: Vec<Row> = subcommands(command);
    if !below.is_empty() {
        // A screenful says by its usage what they are, and has no line to spare.
        parts.push(match detail {
            Detail::Screen => verb_groups::render(command, style).unwrap_or_else(|| lines(&below, style)),
            _ => section("Commands", &below, style),
        });
    }
    for (heading, rows) in sections(command, detail) {
        parts.push(section(&heading, &rows, style));
    }
    parts.extend(notes.iter().map(|block| note(block, style)));
    if let Some(codes) = exit_codes(command) {
        parts.push(style.wrap(&codes, "", "  "));
    }
    if detail != Detail::Reference {
        parts.push(style.wrap(&more(command, detail), "", "  "));
    }
    parts
}

fn usage(command: &Command, style: PageStyle) -> String {
    let usage = command.clone().render_usage().to_string();
    let mut usage = usage.strip_prefix("Usage:").unwrap_or(&usage).trim().to_owned();
    // Clap counts the options of every command, which have a page of their own.
    if !command.get_arguments().any(|arg| is_own(arg) && !arg.is_positional()) {
        usage = usage.replace("[OPTIONS] ", "").replace(" [OPTIONS]", "");
    }
    format!("{} {usage}", style.strong("Usage:"))
}

/// Where the rest is.
fn more(command: &Command, detail: Detail) -> String {
    let name = command.get_bin_name().unwrap_or("torso");
    let path = name.strip_prefix("torso ").unwrap_or_default();
    if command.has_subcommands() && detail == Detail::Screen && verb_groups::has_groups(command) {
        format!("All of it: torso help {path}. More: torso help {path} COMMAND, torso help options")
    } else if command.has_subcommands() {
        format!("More: torso help {path} COMMAND. For every command: torso help options")
    } else if detail == Detail::Screen {
        format!("More: torso help {path}. For every command: torso help options")
    } else {
        "Options of every command: torso help options".to_owned()
    }
}

/// The commands below one, with their other names.
pub(super) fn subcommands(command: &Command) -> Vec<Row> {
    let visible = command.get_subcommands().filter(|below| !below.is_hide_set());
    visible
        .map(|below| {
            let names = std::iter::once(below.get_name()).chain(below.get_visible_aliases());
            Row {
                name: names.collect::<Vec<_>>().join(", "),
                text: below.get_about().map(ToString::to_string).unwrap_or_default(),
            }
        })
        .collect()
}

/// A command's own arguments and options, by heading, in the order in which they are declared.
fn sections(command: &Command, detail: Detail) -> Vec<(String, Vec<Row>)> {
    let own = command.get_arguments().filter(|arg| is_own(arg));
    let mut sections: Vec<(String, Vec<Row>)> = Vec::new();
    for arg in own.filter(|arg| is_visible(arg, detail)) {
        let heading = arg
            .get_help_heading()
            .unwrap_or(if arg.is_positional() { "Arguments" } else { "Options" });
        let row = row(arg, detail);
        match sections.iter_mut().find(|(known, _)| known == heading) {
            Some((_, rows)) => rows.push(row),
            None => sections.push((heading.to_owned(), vec![row])),
        }
    }
    // Arguments first, whatever was declared first.
    sections.sort_by_key(|(heading, _)| heading != "Arguments");
    sections
}

/// Whether it is the command's own, not one that every command takes.
fn is_own(arg: &Arg) -> bool {
    !arg.is_global_set() && !matches!(arg.get_id().as_str(), "help" | "version")
}

fn is_visible(arg: &Arg, detail: Detail) -> bool {
    let is_hidden = arg.is_hide_set() || (detail == Detail::Screen && arg.is_hide_short_help_set());
    !is_hidden
}

/// An argument as a line of a page.
pub(super) fn row(arg: &Arg, detail: Detail) -> Row {
    let long = arg.get_long_help().filter(|_| detail != Detail::Screen);
    let help = long.or_else(|| arg.get_help()).map(ToString::to_string);
    let help = help.unwrap_or_default();
    // Values and default belong to the summary, which comes before the details.
    let (summary, details) = help.split_once("\n\n").unwrap_or((&help, ""));
    let mut text = summary.to_owned();
    let values = arg.get_possible_values();
    let shows_values = arg.get_action().takes_values() && !arg.is_hide_possible_values_set();
    let names: Vec<_> = values
        .iter()
        .filter(|value| shows_values && !value.is_hide_set())
        .map(|value| value.get_name().to_owned())
        .collect();
    let default: Vec<_> = arg
        .get_default_values()
        .iter()
        .map(|value| value.to_string_lossy())
        .collect();
    if !names.is_empty() {
        text.push_str(&format!(": {}", names.join(", ")));
    }
    if arg.get_action().takes_values() && !default.is_empty() && !arg.is_hide_default_value_set() {
        text.push_str(&format!(" [default: {}]", default.join(",")));
    }
    if let Some(aliases) = arg.get_visible_aliases().filter(|aliases| !aliases.is_empty()) {
        text.push_str(&format!(" [also --{}]", aliases.join(", --")));
    }
    if !details.is_empty() {
        text.push_str(&format!("\n\n{details}"));
    }
    if detail != Detail::Screen {
        for value in values.iter().filter(|_| shows_values) {
            if let Some(help) = value.get_help() {
                text.push_str(&format!("\n- {}: {help}", value.get_name()));
            }
        }
    }
    Row { name: name(arg), text }
}

/// `-g, --group <NAME>`.
fn name(arg: &Arg) -> String {
    if arg.is_positional() {
        return arg.to_string();
    }
    match arg.get_short() {
        Some(short) if arg.get_long().is_some() => format!("-{short}, {arg}"),
        Some(_) => arg.to_string(),
        None => format!("    {arg}"),
    }
}

/// The exit codes that a command's own options are about.
fn exit_codes(command: &Command) -> Option<String> {
    let has = |name: &str| command.get_arguments().any(|arg| arg.get_long() == Some(name));
    let mut codes = Vec::new();
    if has("if-exists") {
        codes.push("3 there is none");
    }
    if has("if-not-exists") {
        codes.push("5 it exists already");
    }
    if has("yes") {
        codes.push("6 not confirmed");
    }
    (!codes.is_empty()).then(|| {
        format!(
            "Exit codes: 0 done, 1 failed, {}: torso help exit-codes",
            codes.join(", ")
        )
    })
}

fn heading(text: &str, style: PageStyle) -> String {
    style.strong(&format!("{text}:"))
}

/// Rows under a heading.
pub(super) fn section(title: &str, rows: &[Row], style: PageStyle) -> String {
    format!("{}\n{}", heading(title, style), lines(rows, style))
}

/// Rows, each with its text in a second column.
pub(super) fn lines(rows: &[Row], style: PageStyle) -> String {
    let no_short = rows
        .iter()
        .all(|row| row.name.starts_with("    ") || !row.name.starts_with('-'));
    let name = |row: &Row| {
        if no_short {
            row.name.trim_start().to_owned()
        } else {
            row.name.clone()
        }
    };
    let widest = rows.iter().map(|row| name(row).width()).max().unwrap_or(0);
    let column = widest.min(WIDEST_OPTION).min(style.width / 2);
    let drawn: Vec<String> = rows
        .iter()
        .map(|row| {
            let name = name(row);
            let indent = " ".repeat(column + 4);
            let mut first = format!(
                "  {}{}",
                style.strong(&name),
                " ".repeat((column + 2).saturating_sub(name.width()))
            );
            let mut out = String::new();
            if name.width() > column && !row.text.is_empty() {
                out.push_str(&format!("  {}\n", style.strong(&name)));
                first.clone_from(&indent);
            }
            let texts = row.text.split('\n').filter(|text| !text.trim().is_empty());
            let texts: Vec<_> = texts
                .enumerate()
                .map(|(at, text)| style.wrap(text, if at == 0 { &first } else { &indent }, &indent))
                .collect();
            if texts.is_empty() {
                first
            } else {
                out + &texts.join("\n")
            }
        })
        .collect();
    drawn
        .iter()
        .flat_map(|row| row.lines())
        .map(str::trim_end)
        .collect::<Vec<_>>()
        .join("\n")
}

fn paragraphs(text: &str, style: PageStyle) -> String {
    let wrapped: Vec<_> = text
        .split("\n\n")
        .map(|paragraph| style.wrap(paragraph.trim(), "", ""))
        .collect();
    wrapped.join("\n\n")
}

/// A block whose lines are to be typed or read as they are.
fn verbatim(block: &str, style: PageStyle) -> String {
    match block.split_once('\n') {
        Some((title, rest)) => format!("{}\n{rest}", style.strong(title)),
        None => block.to_owned(),
    }
}

/// A block of a page's notes: a table of names and texts under a heading, or a paragraph.
fn note(block: &str, style: PageStyle) -> String {
    let Some((title, rest)) = block.split_once('\n') else {
        return style.wrap(block, "", "");
    };
    let Some(title) = title.strip_suffix(':') else {
        return style.wrap(&block.replace('\n', " "), "", "");
    };
    let mut rows: Vec<Row> = Vec::new();
    for line in rest.lines() {
        let trimmed = line.trim_start();
        let more = line.len() - trimmed.len() > 8;
        match (trimmed.split_once("  "), rows.last_mut()) {
            (_, Some(row)) if more => row.text.push_str(&format!(" {trimmed}")),
            (Some((name, text)), _) => rows.push(Row {
                name: name.to_owned(),
                text: text.trim().to_owned(),
            }),
            (None, _) => rows.push(Row {
                name: trimmed.to_owned(),
                text: String::new(),
            }),
        }
    }
    section(title, &rows, style)
}
