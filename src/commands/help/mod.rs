//! `torso help`: a command's whole help, or a topic; and the pages that `-h` and `torso` alone print.

mod overview;
mod page;
mod topics;
mod verb_groups;

#[cfg(all(test, feature = "server"))]
pub(super) use page::{Detail, render as render_page};
#[cfg(all(test, feature = "server"))]
pub(super) use topics::options as render_options;

use super::Cli;
use super::completers::candidates;
use crate::context::Context;
use crate::error::{Code, Error, Result};
use crate::settings::{Overrides, Settings};
use crate::shell::terminal::pager;
use crate::ui;
use crate::ui::markdown::PageStyle;
use clap::{Command, CommandFactory as _};
use clap_complete::engine::ArgValueCompleter;
use std::ffi::{OsStr, OsString};

/// Show everything about a command, a topic or an error code
///
/// A topic is a page of the documentation: options, scripting, environment, exit-codes, shell, sizes or locations. For the code of
/// an error, torso prints its cause and what to do next. What does not fit on a terminal is shown with the program that PAGER
/// names, or less.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  torso help db create\n  torso help scripting\n  torso help database_busy")]
pub(super) struct Args {
    /// A command such as db create, or a topic
    #[arg(value_name = "COMMAND|TOPIC", add = complete_words())]
    words: Vec<String>,
}

/// What `torso help` explains: commands at every level, topics, and codes of errors.
fn complete_words() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        let Some(typed) = typed.to_str() else { return Vec::new() };
        let tree = tree();
        let mut words = Vec::new();
        collect_commands(&tree, &mut words);
        words.extend(
            topics::TOPICS
                .iter()
                .map(|topic| (topic.name.to_owned(), "topic".to_owned())),
        );
        if !typed.is_empty() {
            words.extend(
                Code::ALL
                    .iter()
                    .map(|code| (code.name().to_owned(), "error code".to_owned())),
            );
        }
        words.retain(|(word, _)| word.starts_with(typed));
        words.sort();
        words.dedup_by(|one, other| one.0 == other.0);
        candidates(words)
    })
}

fn collect_commands(command: &Command, words: &mut Vec<(String, String)>) {
    for next in command.get_subcommands().filter(|next| !next.is_hide_set()) {
        let about = next.get_about().map(ToString::to_string).unwrap_or_default();
        words.push((next.get_name().to_owned(), about));
        collect_commands(next, words);
    }
}

/// The command tree with everything propagated, as pages are drawn from it.
pub(super) fn tree() -> Command {
    let mut tree = Cli::command();
    tree.build();
    tree
}

pub(super) fn run(ctx: &Context, args: &Args) -> Result<()> {
    let tree = tree();
    let style = style(ctx.ui.colors_answer());
    let words: Vec<&str> = args.words.iter().map(String::as_str).collect();
    let topic = match words.as_slice() {
        [word] if tree.find_subcommand(word).is_none() => topics::render(word, &tree, style),
        _ => None,
    };
    let text = match (topic, words.as_slice()) {
        (Some(text), _) => text,
        (None, []) => overview::render(&tree, &ctx.settings, style),
        (None, words) => page::render(find_command(&tree, words)?, page::Detail::Whole, style),
    };
    pager::page(&text).map_err(|error| Error::io(error, "cannot print the help"))
}

/// What `torso` alone prints.
pub(super) fn print_overview(ctx: &Context) -> Result<()> {
    ctx.ui
        .page(&overview::render(&tree(), &ctx.settings, style(ctx.ui.colors_answer())))
}

/// The page that `-h` or `--help` asks for, or that is shown where a command is missing. `args` is the command line.
pub(super) fn requested_page(args: &[OsString], color: bool) -> String {
    let tree = tree();
    match requested_command(args, &tree) {
        Some(command) => page::render(command, page::Detail::Screen, style(color)),
        None => overview::render(&tree, &Settings::new(Overrides::default()), style(color)),
    }
}

/// The command below `torso` that a command line asks help for: the parser knows, and says so in place of a page of its own.
fn requested_command<'t>(args: &[OsString], tree: &'t Command) -> Option<&'t Command> {
    fn naming_itself(command: Command) -> Command {
        command.help_template("{bin}").mut_subcommands(naming_itself)
    }
    let error = naming_itself(Cli::command()).try_get_matches_from(args).err()?;
    let name = error.to_string();
    below(tree).into_iter().find(|command| {
        let own = command.get_bin_name().unwrap_or_default();
        own.replace(' ', "-") == name.trim()
    })
}

/// Every command below one, however deep.
pub(super) fn below(command: &Command) -> Vec<&Command> {
    let direct = command.get_subcommands();
    direct
        .flat_map(|command| std::iter::once(command).chain(below(command)))
        .collect()
}

fn style(color: bool) -> PageStyle {
    PageStyle {
        width: ui::page_width(),
        color,
    }
}

fn find_command<'t>(tree: &'t Command, words: &[&str]) -> Result<&'t Command> {
    let mut found = tree;
    for word in words {
        let path = found.get_bin_name().unwrap_or("torso").to_owned();
        found = found.find_subcommand(word).ok_or_else(|| {
            let topics: Vec<_> = topics::TOPICS.iter().map(|topic| topic.name).collect();
            Error::new(Code::Usage, format!("there is no command or topic {word:?}")).hint(format!(
                "{path} --help shows the commands; topics are {}, and the codes of errors",
                topics.join(", ")
            ))
        })?;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::page::{Detail, SCREEN};
    use super::*;

    /// The columns of the smallest terminal that is looked after.
    const NARROW: PageStyle = PageStyle {
        width: 80,
        color: false,
    };

    /// Commands with so many options that a screenful of 24 lines cannot have them.
    const LONG: &[(&str, usize)] = &[("torso server", 51), ("torso db import", 36)];

    #[test]
    fn help_of_every_command_fits_on_a_screen() {
        let tree = tree();
        let settings = Settings::new(Overrides::default());
        let mut pages = vec![("torso".to_owned(), overview::render(&tree, &settings, NARROW))];
        pages.extend(below(&tree).into_iter().map(|command| {
            let name = command.get_bin_name().unwrap().to_owned();
            (name, page::render(command, Detail::Screen, NARROW))
        }));
        let mut failures = Vec::new();
        for (name, page) in &pages {
            let most = LONG
                .iter()
                .find(|(long, _)| long == name)
                .map_or(SCREEN, |(_, most)| *most);
            let wide = page.lines().filter(|line| line.chars().count() > 80).count();
            if page.lines().count() > most || wide > 0 {
                failures.push(format!("{} lines, {wide} too wide:\n{page}", page.lines().count()));
            }
        }
        assert!(pages.len() > 100);
        assert!(failures.is_empty(), "{} pages\n{}", failures.len(), failures.join("\n"));
    }

    #[test]
    fn help_flag_shows_the_page_of_the_command_it_follows() {
        for (line, first) in [
            ("torso db create -h", "Usage: torso db create"),
            ("torso db --help", "Usage: torso db <COMMAND>"),
            ("torso --context db list -h", "Usage: torso"),
            ("torso auth api-tokens mint --help", "Usage: torso auth api-tokens mint"),
            ("torso --context db db list -h", "Usage: torso db list"),
        ] {
            let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let page = requested_page(&args, false);
            assert!(page.contains(first), "{line}: {page}");
        }
    }

    #[test]
    fn help_of_a_command_or_topic_that_is_not_there_names_the_topics() {
        let error = find_command(&tree(), &["db", "craete"]).unwrap_err();
        assert_eq!(error.code(), Code::Usage);
        assert!(error.hint_text().unwrap().contains("scripting"), "{error}");
    }
}
