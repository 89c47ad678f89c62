//! The verbs of a noun that has more than a screen has lines: in groups, side by side, with a few words each. `torso help NOUN`
//! has the whole sentences.

use crate::ui::markdown::PageStyle;
use clap::Command;
use unicode_width::UnicodeWidthStr as _;

/// Verbs that belong together: a title, and each verb with its few words.
type VerbGroup = (&'static str, &'static [(&'static str, &'static str)]);

/// The verbs of `torso db`. Every one that is not hidden stands here once, which a test holds; so does that all fit.
const DB: &[VerbGroup] = &[
    (
        "Manage and connect",
        &[
            ("create", "empty, or with content"),
            ("list", "what there is"),
            ("show", "details, URL, size"),
            ("config", "size limit, protection"),
            ("rename", "give another name"),
            ("compact", "free unused room"),
            ("destroy", "delete, with replicas"),
            ("env", "URL and token for programs"),
            ("tokens", "create, list, revoke"),
        ],
    ),
    (
        "Replicas",
        &[
            ("replicate", "add one"),
            ("replicas", "where they are, how fresh"),
            ("sync", "refresh them"),
            ("verify", "prove that they are equal"),
            ("promote", "make one the primary"),
            ("locations", "where databases can be"),
        ],
    ),
    (
        "Copy and back up",
        &[
            ("branch", "a copy beside it"),
            ("copy", "into another context"),
            ("import", "from CSV, JSON, SQL, files"),
            ("export", "to a SQLite file"),
            ("dump", "to SQL text"),
            ("backup", "to a directory or S3"),
            ("backups", "what can be restored"),
            ("restore", "in place, or as new"),
        ],
    ),
    (
        "Query and change",
        &[
            ("shell", "type SQL, or run it"),
            ("exec", "run SQL on many"),
            ("migrate", "apply SQL files once"),
            ("inspect", "sizes, slow queries"),
            ("schema", "CREATE statements"),
            ("diff", "compare two databases"),
            ("usage", "reads, writes, storage"),
        ],
    ),
];

/// The groups of a command's verbs; none where a line for each fits.
fn groups_of(command: &Command) -> Option<&'static [VerbGroup]> {
    (command.get_bin_name() == Some("torso db")).then_some(DB)
}

/// Whether a command's verbs are in groups.
pub(super) fn has_groups(command: &Command) -> bool {
    groups_of(command).is_some()
}

/// The verbs of a command in groups, side by side where the page is wide enough. None where a line for each fits.
pub(super) fn render(command: &Command, style: PageStyle) -> Option<String> {
    let groups = groups_of(command)?;
    let blocks: Vec<Vec<String>> = groups.iter().map(|group| block(group, style)).collect();
    let columns = columns_of(&blocks, style.width);
    let width = style.width / columns.len();
    let height = columns.iter().map(Vec::len).max().unwrap_or(0);
    let rows = (0..height).map(|row| {
        let mut line = String::new();
        for (at, column) in columns.iter().enumerate() {
            let text = column.get(row).map_or("", String::as_str);
            line.push_str(&" ".repeat((at * width).saturating_sub(visible_width(&line))));
            line.push_str(text);
        }
        line.trim_end().to_owned()
    });
    Some(rows.collect::<Vec<_>>().join("\n"))
}

/// The lines of a group.
fn block((title, verbs): &VerbGroup, style: PageStyle) -> Vec<String> {
    let widest = verbs.iter().map(|(name, _)| name.width()).max().unwrap_or(0);
    let line = |(name, words): &(&str, &str)| {
        let space = " ".repeat(widest - name.width() + 2);
        format!("  {}{space}{words}", style.strong(name))
    };
    std::iter::once(format!("{}:", style.strong(title)))
        .chain(verbs.iter().map(line))
        .collect()
}

/// Groups one below the other, in as many columns as the page has room for, filled so that they are about equally long.
fn columns_of(blocks: &[Vec<String>], page_width: usize) -> Vec<Vec<String>> {
    const GAP: usize = 2;
    let widest = blocks
        .iter()
        .flatten()
        .map(|line| visible_width(line))
        .max()
        .unwrap_or(0);
    let count = (page_width / (widest + GAP)).clamp(1, 2);
    let all: usize = blocks.iter().map(Vec::len).sum();
    let mut columns: Vec<Vec<String>> = vec![Vec::new()];
    let mut placed = 0;
    for block in blocks {
        // A block goes where its middle is.
        let column = (placed + block.len() / 2) * count / all.max(1);
        while columns.len() <= column.min(count - 1) {
            columns.push(Vec::new());
        }
        if let Some(last) = columns.last_mut() {
            last.extend(block.iter().cloned());
        }
        placed += block.len();
    }
    columns
}

/// The width of a text without the sequences that make it bold.
fn visible_width(text: &str) -> usize {
    let mut width = 0;
    let mut rest = text;
    while let Some(start) = rest.find('\x1b') {
        width += rest[..start].width();
        let end = rest[start..].find('m').map_or(rest.len(), |at| start + at + 1);
        rest = &rest[end..];
    }
    width + rest.width()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verb_groups_name_every_verb_once() {
        let tree = crate::commands::help::tree();
        let db = tree.find_subcommand("db").unwrap();
        let mut named: Vec<_> = DB
            .iter()
            .flat_map(|(_, verbs)| verbs.iter().map(|(name, _)| *name))
            .collect();
        let visible = db.get_subcommands().filter(|verb| !verb.is_hide_set());
        let mut verbs: Vec<_> = visible.map(Command::get_name).collect();
        named.sort_unstable();
        verbs.sort_unstable();
        assert_eq!(named, verbs);
    }

    #[test]
    fn verb_groups_stand_side_by_side_where_there_is_room() {
        let tree = crate::commands::help::tree();
        let db = tree.find_subcommand("db").unwrap();
        let page = |width, color| render(db, PageStyle { width, color }).unwrap();
        let wide = page(80, false);
        assert!(wide.lines().all(|line| line.width() <= 80), "{wide}");
        // There is room for eight more verbs on a screen of 24 lines.
        assert!(wide.lines().count() + 4 <= 21, "{wide}");
        let colored = page(80, true);
        let first = |text: &str| text.lines().next().map(visible_width);
        assert_eq!(first(&colored), first(&wide));
        assert_eq!(
            page(40, false).lines().count(),
            DB.iter().map(|(_, verbs)| verbs.len() + 1).sum::<usize>()
        );
    }
}
