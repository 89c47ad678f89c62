//! Pages made from the command tree itself: man pages, the reference, the list of error codes.
//!
//! The checked-in copies in `docs/` and `completions/` are held current by tests; `UPDATE=1 cargo test --lib` writes them.

use super::help::tree;
use crate::context::Context;
use crate::error::{Code, Error, Result};
use clap::Command;
use std::path::PathBuf;

/// Write the man pages into a directory
#[derive(clap::Args)]
pub(super) struct Args {
    /// Where to put them
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
}

pub(super) fn run(ctx: &Context, args: &Args) -> Result<()> {
    let doing = |error, path: &PathBuf| Error::io(error, format!("cannot write {}", path.display()));
    std::fs::create_dir_all(&args.dir).map_err(|error| doing(error, &args.dir))?;
    for (name, text) in man_pages()? {
        let path = args.dir.join(name);
        std::fs::write(&path, text).map_err(|error| doing(error, &path))?;
        ctx.ui.value(&path.to_string_lossy())?;
    }
    Ok(())
}

/// One page for the program, with the options of every command, and one for each command below it; the verbs of a noun are
/// sections of its page.
fn man_pages() -> Result<Vec<(String, String)>> {
    let tree = tree();
    let global = global_options(&tree);
    let mut pages = vec![("torso.1".to_owned(), man_page(&tree, "torso")?)];
    for noun in tree.get_subcommands().filter(|noun| !noun.is_hide_set()) {
        let name = format!("torso-{}", noun.get_name());
        let mut page = man_page(&without(noun, &global), &name)?;
        for verb in leaves(noun) {
            page.push_str(&verb_section(&without(verb, &global))?);
        }
        page.push_str(".SH \"SEE ALSO\"\n\\fBtorso\\fR(1) has the options of every command.\n");
        pages.push((format!("{name}.1"), page));
    }
    Ok(pages)
}

/// The options of every command, and `--help`: they stand in the program's page only.
fn global_options(tree: &Command) -> Vec<String> {
    let is_global = |arg: &&clap::Arg| arg.is_global_set() || arg.get_id() == "help";
    tree.get_arguments()
        .filter(is_global)
        .map(|arg| arg.get_id().to_string())
        .collect()
}

/// The command with some of its options hidden.
fn without(command: &Command, options: &[String]) -> Command {
    let has = |command: &Command, id: &str| command.get_arguments().any(|arg| arg.get_id() == id);
    options.iter().fold(command.clone(), |command, id| {
        if has(&command, id) {
            command.mut_arg(id, |arg| arg.hide(true))
        } else {
            command
        }
    })
}

fn man_page(command: &Command, name: &str) -> Result<String> {
    // The manual's date would make every day's build differ, so it has none.
    let man = clap_mangen::Man::new(command.clone()).title(name).date("");
    let mut out = Vec::new();
    man.render(&mut out).map_err(render_failed)?;
    let text = String::from_utf8(out).map_err(render_failed)?;
    // Only nouns of the program itself have pages of their own to refer to.
    let whole = command.get_name() == "torso";
    let without_page = command
        .get_subcommands()
        .filter(|below| !(whole && below.has_subcommands()));
    Ok(without_page.fold(text, |text, below| {
        let words = format!("{} {}", name.replace('-', " "), below.get_name());
        text.replace(
            &format!("{}(1)", words.replace([' ', '-'], "\\-")),
            &words.replace('-', "\\-"),
        )
    }))
}

/// A verb as a section of its noun's page: how it is called, what it does, its own options, its example.
fn verb_section(verb: &Command) -> Result<String> {
    let man = clap_mangen::Man::new(verb.clone());
    let mut out = Vec::new();
    let heading = verb.get_bin_name().unwrap_or(verb.get_name()).to_uppercase();
    out.extend_from_slice(format!(".SH \"{heading}\"\n").as_bytes());
    man.render_synopsis_section(&mut out).map_err(render_failed)?;
    man.render_description_section(&mut out).map_err(render_failed)?;
    if verb.get_arguments().any(|arg| !arg.is_hide_set()) {
        man.render_options_section(&mut out).map_err(render_failed)?;
    }
    man.render_extra_section(&mut out).map_err(render_failed)?;
    let text = String::from_utf8(out).map_err(render_failed)?;
    let headings = [
        (".SH SYNOPSIS\n", ""),
        (".SH DESCRIPTION\n", ".PP\n"),
        (".SH OPTIONS\n", ".PP\n"),
        (".SH EXTRA\n", ".PP\n"),
    ];
    Ok(headings
        .iter()
        .fold(text, |text, (heading, instead)| text.replace(heading, instead)))
}

fn render_failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(Code::Internal, "cannot make a man page").caused_by(error)
}

/// Every verb below a noun, however deep, hidden ones left out.
fn leaves(noun: &Command) -> Vec<&Command> {
    let mut found = Vec::new();
    for verb in noun.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        if verb.has_subcommands() {
            found.extend(leaves(verb));
        } else {
            found.push(verb);
        }
    }
    found
}

/// Holds a checked-in file equal to what the program makes; with `UPDATE` set, writes it.
#[cfg(all(test, feature = "server"))]
pub(super) fn same_as_file(path: &str, text: &str) {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, text).unwrap();
    }
    let recorded = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        recorded == text,
        "{path} is stale: run UPDATE=1 cargo test --lib commands::"
    );
}

// The pages are about the whole program.
#[cfg(all(test, feature = "server"))]
mod tests {
    use super::*;
    use crate::commands::help;
    use crate::settings::env;
    use crate::ui::markdown::PageStyle;
    use clap::CommandFactory as _;
    use std::fmt::Write as _;

    const STYLE: PageStyle = PageStyle {
        width: 100,
        color: false,
    };

    const MADE: &str = "Made from the program itself; do not edit.";

    /// `docs/reference.md`, the options of every command and the list of commands; and a page of `docs/reference` for each.
    fn reference() -> Vec<(String, String)> {
        let tree = help::tree();
        let mut index = format!(
            "# Command reference\n\nTo look up an option. {MADE} `torso help COMMAND` prints the same.\n\n\
             ## Options of every command\n\n<!-- not run: made from the command tree -->\n```text\n{}```\n\n## Commands\n\n| command | what it does |\n|---|---|\n",
            help::render_options(&tree, STYLE)
        );
        let mut pages = Vec::new();
        for noun in tree.get_subcommands().filter(|noun| !noun.is_hide_set()) {
            let name = noun.get_name();
            let about = |command: &Command| command.get_about().map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(index, "| [`torso {name}`](reference/{name}.md) | {} |", about(noun));
            for verb in leaves(noun).into_iter().filter(|_| noun.has_subcommands()) {
                let path = verb.get_bin_name().unwrap_or_default();
                let anchor = path.replace(' ', "-");
                let _ = writeln!(index, "| [`{path}`](reference/{name}.md#{anchor}) | {} |", about(verb));
            }
            let mut page = format!("# torso {name}\n\n{MADE} [All commands](../reference.md)\n");
            chapter(&mut page, noun, 1);
            pages.push((format!("docs/reference/{name}.md"), page));
        }
        index.push_str("\nNext: [scripts and CI](scripting.md), [errors and exit codes](errors.md).\n");
        pages.push(("docs/reference.md".to_owned(), index));
        pages
    }

    /// One command and those below it.
    fn chapter(out: &mut String, command: &Command, depth: usize) {
        if depth > 1 {
            let name = command.get_bin_name().unwrap_or(command.get_name());
            let _ = write!(out, "\n{} {name}\n", "#".repeat(depth));
        }
        let _ = write!(
            out,
            "\n```text\n{}```\n",
            help::render_page(command, help::Detail::Reference, STYLE)
        );
        for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
            chapter(out, below, depth + 1);
        }
    }

    /// `docs/environment.md`: every variable that the program reads.
    fn environment() -> String {
        let mut out = format!(
            "# Environment variables\n\nFor whoever runs torso in scripts, containers or services, to look up. {MADE}\n\
             `torso help environment` prints it.\n\n| variable | what it does |\n|---|---|\n"
        );
        for variable in env::ALL {
            let _ = writeln!(out, "| `{}` | {} |", variable.name, variable.meaning);
        }
        out.push_str(
            "\nA variable that is set to nothing counts as not set, but for `PAGER`. Flags win over variables, variables over \
             the project file and your settings: `torso config show --origin` shows which one won.\n\n\
             Next: [contexts, settings and projects](contexts.md).\n",
        );
        out
    }

    /// The table of exit codes in `docs/errors.md`.
    const EXIT_CODES: &str = "\
## Exit codes

| code | meaning |
|---|---|
| 0 | done, or already so (`--if-exists`, `--if-not-exists`) |
| 1 | failed: an invalid value or file, an SQL error, the disk; for `doctor`: something is wrong |
| 2 | the command line is wrong |
| 3 | not found |
| 4 | not logged in, or not allowed |
| 5 | exists already, or in conflict |
| 6 | confirmation needed: not a terminal, and `--yes` was not given |
| 7 | unreachable, busy or timed out; trying again may help |
| 8 | some parts succeeded, some failed; the result says which |
| 130 | interrupted |
";

    /// `docs/errors.md`: the published list.
    fn errors() -> String {
        let mut out = String::from(
            "# Errors\n\nFor everybody, to look up. Made from the program itself; do not edit. Codes are added, never renamed and \
             never reused.\n\n\
             With `--json`, a failure prints one document on stderr:\n\n\
             ```json\n{\"error\":{\"code\":\"database_not_found\",\"message\":\"…\",\"hint\":\"…\",\"retryable\":false}}\n```\n\n",
        );
        out.push_str(EXIT_CODES);
        out.push_str("\n## Codes\n\n| code | exit | meaning | what to do |\n|---|---|---|---|\n");
        for code in Code::ALL {
            let _ = writeln!(
                out,
                "| [`{0}`](troubleshooting.md#{0}) | {1} | {2} | {3} |",
                code.name(),
                code.kind().exit_code(),
                code.meaning(),
                code.remedy()
            );
        }
        out.push_str(
            "\n`torso help CODE` prints more about a code, as [Troubleshooting](troubleshooting.md#by-code) has it.\n\n\
             Next: [troubleshooting](troubleshooting.md), by message and by code.\n",
        );
        out
    }

    #[test]
    fn command_tree_passes_the_checks_of_clap() {
        crate::commands::Cli::command().debug_assert();
    }

    #[test]
    fn manual_pages_in_the_tree_are_current() {
        for (name, text) in man_pages().unwrap() {
            same_as_file(&format!("docs/man/{name}"), &text);
        }
        for (path, text) in reference() {
            same_as_file(&path, &text);
        }
        same_as_file("docs/environment.md", &environment());
        same_as_file("docs/errors.md", &errors());
        same_as_file("docs/permissions.md", &crate::commands::permissions::page());
    }

    /// A hint that names a command which does not exist is worse than none.
    #[test]
    fn commands_named_in_the_source_exist() {
        fn texts(dir: &std::path::Path, found: &mut Vec<String>) {
            for entry in std::fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    texts(&path, found);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    found.push(std::fs::read_to_string(path).unwrap());
                }
            }
        }
        let mut found = Vec::new();
        texts(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
        let tree = tree();
        let mut checked = 0;
        for (noun, text) in tree
            .get_subcommands()
            .filter(|noun| noun.has_subcommands())
            .flat_map(|noun| found.iter().map(move |text| (noun, text)))
        {
            let opening = format!("torso {} ", noun.get_name());
            for (at, _) in text.match_indices(&opening) {
                let mut command = noun;
                for word in text[at + opening.len()..]
                    .split([' ', ',', '.', '"', '`', '\\', '\n', ';', ')', '?', '|', ':', '<'])
                {
                    if !command.has_subcommands() || !word.starts_with(|c: char| c.is_ascii_lowercase()) {
                        break;
                    }
                    // What is misspelt on purpose is in the tests of misspellings.
                    if !["craete"].contains(&word) {
                        let next = command.find_subcommand(word);
                        assert!(next.is_some(), "{opening}{word} is not a command");
                        checked += 1;
                        command = next.unwrap();
                    }
                }
            }
        }
        assert!(checked > 50);
    }

    #[test]
    fn manual_explains_all_arguments() {
        fn check(command: &Command) {
            for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
                assert!(
                    arg.get_help().is_some(),
                    "{:?} {}",
                    command.get_bin_name(),
                    arg.get_id()
                );
            }
            command.get_subcommands().for_each(check);
        }
        check(&tree());
    }

    #[test]
    fn manual_has_an_example_for_each_command() {
        for noun in tree().get_subcommands().filter(|noun| !noun.is_hide_set()) {
            for verb in if noun.has_subcommands() {
                leaves(noun)
            } else {
                vec![noun]
            } {
                let example = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
                assert!(example.contains("Example"), "{:?} has no example", verb.get_bin_name());
            }
        }
    }
}
