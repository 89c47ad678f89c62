//! What `torso` alone prints: the commands by what they are about, where to start, and where commands run now.

use super::page;
use super::topics::TOPICS;
use crate::settings::Settings;
use crate::settings::contexts::ServerSettings;
use crate::ui::markdown::PageStyle;
use clap::Command;
use unicode_width::UnicodeWidthStr as _;

/// The commands of a line, and what they do; empty where the one command says it itself.
type CommandLine = (&'static [&'static str], &'static str);

/// The commands by what they are about. Every one that is not hidden stands here once, which a test holds. A line of several
/// says what they do; that of one is its own.
const GROUPS: &[(&str, &[CommandLine])] = &[
    (
        "Databases",
        &[(&["db"], ""), (&["group"], ""), (&["apply"], ""), (&["location"], "")],
    ),
    (
        "Applications",
        &[
            (&["run"], ""),
            (&["env", "link"], "Connect a folder's application with a database"),
            (&["wait", "gc"], "Wait for a database; destroy what has expired"),
        ],
    ),
    (
        "Where",
        &[
            (&["context"], ""),
            (&["auth", "org"], "Log in to a server; its organizations and members"),
            (&["api"], ""),
        ],
    ),
    (
        "Servers",
        &[
            (&["server", "node"], "Serve databases; be a location of a server"),
            (&["dev", "engine"], "Serve a file to clients; install libSQL server"),
        ],
    ),
    (
        "This machine",
        &[
            (&["config"], ""),
            (&["doctor"], ""),
            (&["completion", "help"], "Complete words in a shell; explain everything"),
        ],
    ),
];

const START: &str = "torso db create app, then torso db shell app";

/// Draws the page for a tree that was built. The settings say where commands run now.
pub(in crate::commands) fn render(tree: &Command, settings: &Settings, style: PageStyle) -> String {
    let version = tree.get_version().unwrap_or_default();
    let about = tree.get_about().map(ToString::to_string).unwrap_or_default();
    let commands = page::subcommands(tree);
    let title_width = GROUPS.iter().map(|(title, _)| title.width()).max().unwrap_or(0) + 2;
    let lines = || GROUPS.iter().flat_map(|(_, lines)| lines.iter());
    let names_of = |names: &[&str]| names.join(", ");
    let name_width = lines().map(|(names, _)| names_of(names).width()).max().unwrap_or(0) + 2;
    let mut list = Vec::new();
    for (title, lines) in GROUPS {
        for (at, (names, text)) in lines.iter().enumerate() {
            if !names.iter().any(|name| commands.iter().any(|row| row.name == *name)) {
                // Not on this system.
                continue;
            }
            let own = commands.iter().find(|row| names == &[row.name.as_str()]);
            let Some(text) = own
                .map(|row| row.text.as_str())
                .or(Some(*text))
                .filter(|text| !text.is_empty())
            else {
                continue;
            };
            let (title, names) = (if at == 0 { title } else { "" }, names_of(names));
            let pad = |text: &str, width: usize| " ".repeat(width.saturating_sub(text.width()));
            let first = format!(
                "{}{}{}{}",
                style.strong(title),
                pad(title, title_width),
                style.strong(&names),
                pad(&names, name_width)
            );
            list.push(style.wrap(text, &first, &" ".repeat(title_width + name_width)));
        }
    }
    let topics: Vec<_> = TOPICS.iter().map(|topic| topic.name).collect();
    let mut end = style.wrap(&format!("torso help TOPIC: {}", topics.join(" ")), "", "  ");
    if let Some(place) = place(settings) {
        end.push_str(&format!("\n{place}"));
    }
    format!(
        "torso {version}: {about}\n{} torso COMMAND [OPTIONS]\n{} {START}\n\n{}\n{end}\n",
        style.strong("Usage:"),
        style.strong("Start here:"),
        list.join("\n")
    )
}

/// Where commands run now. None where the settings cannot be read: the command that needs them says why.
fn place(settings: &Settings) -> Option<String> {
    Some(match settings.server().ok()? {
        Some(ServerSettings {
            context: Some(name),
            url,
            ..
        }) => format!("You are in context {name}: {url}"),
        Some(server) => format!("Commands run on {}, as the environment says.", server.url),
        None => "You are in context local: this machine.".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overview_names_every_command_once() {
        let lines = GROUPS.iter().flat_map(|(_, lines)| lines.iter());
        let mut named: Vec<_> = lines.flat_map(|(names, _)| names.iter().copied()).collect();
        let tree = crate::commands::command();
        let visible = tree.get_subcommands().filter(|command| !command.is_hide_set());
        let mut commands: Vec<_> = visible.map(Command::get_name).collect();
        named.sort_unstable();
        commands.sort_unstable();
        assert_eq!(named, commands);
    }
}
