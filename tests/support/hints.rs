//! Hints are obeyed: what they name exists. Every failure that a test provokes is looked at.

use std::sync::LazyLock;

static COMMANDS: LazyLock<clap::Command> = LazyLock::new(|| {
    let mut tree = torso::commands::command();
    tree.build();
    tree
});

/// The command that a command line runs. The words that are none of a command's name stay.
fn command_of<'a>(tree: &'a clap::Command, words: &[String]) -> &'a clap::Command {
    let mut command = tree;
    for word in words {
        if let Some(below) = command.find_subcommand(word) {
            command = below;
        }
    }
    command
}

/// The hint in what a failure wrote: the line of it, or the member of its document.
fn hint_of(stderr: &str) -> Option<String> {
    let last = stderr.lines().last()?;
    if let Ok(document) = serde_json::from_str::<serde_json::Value>(last) {
        return document["error"]["hint"].as_str().map(str::to_owned);
    }
    last.strip_prefix("hint: ").map(str::to_owned)
}

/// Whether a command has an option of that long name.
fn has_option(command: &clap::Command, name: &str) -> bool {
    command.get_arguments().any(|arg| {
        let aliases = arg.get_all_aliases().unwrap_or_default();
        arg.get_long() == Some(name) || aliases.contains(&name)
    })
}

/// Fails if the hint of a failure names an option that the command does not have which it is about: that of a command line in
/// the hint, else the one that failed.
#[track_caller]
pub fn check(words: &[String], stderr: &str) {
    let Some(hint) = hint_of(stderr) else { return };
    let tree = &*COMMANDS;
    let own = command_of(tree, words);
    // The words of the shell are its own, and the server's flags are in hints of others.
    let mut about = own;
    let mut rest = hint.split_whitespace().peekable();
    while let Some(word) = rest.next() {
        let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric() && c != '-');
        if bare == "torso" {
            about = tree;
            while let Some(below) = rest
                .peek()
                .and_then(|next| about.find_subcommand(next.trim_end_matches([';', ','])))
            {
                about = below;
                rest.next();
            }
            continue;
        }
        if let Some(name) = bare
            .strip_prefix("--")
            .map(|name| name.split('=').next().unwrap_or_default())
        {
            let known = about.get_name() == "shell" || has_option(about, name) || has_option(own, name);
            assert!(
                known || name.is_empty(),
                "the hint names --{name}, which {} does not have: {hint}\n(torso {})",
                about.get_name(),
                words.join(" ")
            );
        }
        if word.ends_with([';', ':']) {
            about = own;
        }
    }
}

#[test]
fn hint_that_names_a_foreign_option_is_found() {
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let found = |line: &str, hint: &str| {
        let (line, hint) = (words(line), format!("error: no\nhint: {hint}\n"));
        std::panic::catch_unwind(move || check(&line, &hint)).is_err()
    };
    assert!(!found("db import x.csv app", "add --if-not-exists"));
    assert!(!found(
        "db list",
        "type torso db create NAME --from-file FILE; or --json"
    ));
    assert!(found("db import x.csv app", "add --from-csv PATH"));
    assert!(found("db list", "torso db create NAME --from-nowhere"));
    let document = "{\"error\":{\"hint\":\"add --nothing\"}}";
    assert!(std::panic::catch_unwind(|| check(&words("db list"), document)).is_err());
}
