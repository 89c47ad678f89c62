//! `.help`, made from the table of commands.

use super::{CommandCall, specs};
use crate::shell::command_spec::CommandSpec;
use crate::shell::exec::screen::show_lines;
use crate::shell::state::{Shell, ShellResult};

pub fn help(shell: &mut Shell<'_>, call: &CommandCall) -> ShellResult {
    let pattern = call.args.first().map_or("", String::as_str);
    if !print(shell, pattern)? {
        shell.show(format_args!("Nothing matches '{pattern}'"))?;
    }
    Ok(())
}

/// Prints the help on what `pattern` names. False if it names nothing.
pub fn print(shell: &mut Shell<'_>, pattern: &str) -> ShellResult<bool> {
    let lines: Vec<String> = match pattern {
        "" => sorted().iter().map(|spec| spec.help_line()).collect(),
        "-a" | "-all" | "--all" => sorted().iter().flat_map(|spec| spec.help()).collect(),
        _ if pattern.starts_with('0') => sorted().iter().flat_map(|spec| spec.help()).collect(),
        _ => matching(pattern),
    };
    show_lines(shell, &lines)?;
    Ok(!lines.is_empty())
}

/// All commands by name.
fn sorted() -> Vec<&'static CommandSpec> {
    let mut all: Vec<_> = specs().collect();
    all.sort_unstable_by_key(|spec| spec.name);
    all
}

/// Whether a name begins as the pattern says, in which `*` stands for any text and `?` for a character.
fn begins_like(name: &str, pattern: &str) -> bool {
    let mut rest = pattern.chars();
    match rest.next() {
        None => true,
        Some('*') => (0..=name.len()).any(|at| name.get(at..).is_some_and(|name| begins_like(name, rest.as_str()))),
        Some(wanted) => {
            let mut name = name.chars();
            name.next().is_some_and(|there| wanted == '?' || wanted == there)
                && begins_like(name.as_str(), rest.as_str())
        }
    }
}

/// The help on the command of this name, or the list of those that begin so, or the help of those that mention it.
fn matching(pattern: &str) -> Vec<String> {
    let pattern = pattern.strip_prefix('.').unwrap_or(pattern);
    let all = sorted();
    let mut named: Vec<_> = all.iter().filter(|spec| spec.name == pattern).collect();
    if named.is_empty() {
        named = all.iter().filter(|spec| begins_like(spec.name, pattern)).collect();
    }
    match named[..] {
        [] => {}
        [only] => return only.help(),
        _ => return named.iter().map(|spec| spec.help_line()).collect(),
    }
    let wanted = pattern.to_ascii_lowercase();
    all.iter()
        .map(|spec| spec.help())
        .filter(|lines| lines.iter().any(|line| line.to_ascii_lowercase().contains(&wanted)))
        .flatten()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::command_spec::CommandGroup;
    use std::collections::BTreeSet;
    use std::fmt::Write as _;

    #[test]
    fn dot_commands_have_one_name_a_summary_and_an_example() {
        let names: BTreeSet<&str> = specs().map(|spec| spec.name).collect();
        assert_eq!(names.len(), specs().count());
        for spec in specs() {
            assert!(!spec.summary.is_empty(), "{}", spec.name);
            assert!(spec.shortest <= spec.name.len(), "{}", spec.name);
            let typed = spec.example[1..].split(' ').next().unwrap();
            let called = crate::shell::dot::find(typed).map(|command| command.spec.name);
            assert_eq!(called, Some(spec.name), "{}", spec.example);
            for line in spec.help() {
                assert!(line.chars().count() <= 80, "{line}");
            }
        }
    }

    /// The table of commands in `docs/shell.md`.
    fn documented() -> String {
        let mut out = String::from("| Purpose | Commands |\n|---|---|\n");
        for (group, title) in CommandGroup::TITLES {
            let calls: Vec<String> = sorted()
                .iter()
                .filter(|spec| spec.group == group)
                .map(|spec| {
                    let options = spec.options().into_iter().filter(|option| !spec.usage.contains(option));
                    let words: Vec<&str> = [spec.usage]
                        .into_iter()
                        .chain(options)
                        .filter(|word| !word.is_empty())
                        .collect();
                    let call = format!(
                        ".{} {}",
                        spec.name,
                        words.join(" ").replace("?OPTIONS? ", "").replace("?OPTIONS?", "")
                    );
                    format!("`{}`", call.trim_end().replace('|', "\\|"))
                })
                .collect();
            let _ = writeln!(out, "| {title} | {} |", calls.join(", "));
        }
        out
    }

    #[test]
    fn dot_commands_in_the_docs_are_those_of_the_table() {
        const BEGIN: &str =
            "<!-- Made from src/shell/dot/table.rs; UPDATE=1 cargo test --lib shell:: makes it again. -->\n";
        const END: &str = "<!-- End of what is made. -->\n";
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/shell.md");
        let page = std::fs::read_to_string(path).unwrap();
        let (before, rest) = page.split_once(BEGIN).expect("the mark of the beginning");
        let (section, after) = rest.split_once(END).expect("the mark of the end");
        if section == documented() {
            return;
        }
        assert!(
            std::env::var_os("UPDATE").is_some(),
            "docs/shell.md is stale: run UPDATE=1 cargo test --lib shell::"
        );
        std::fs::write(path, format!("{before}{BEGIN}{}{END}{after}", documented())).unwrap();
    }

    #[test]
    fn dot_help_is_found_by_name_beginning_or_word() {
        assert_eq!(matching("mode"), matching(".mode"));
        assert!(matching("mode").len() > 5);
        assert!(matching("e").iter().all(|line| line.starts_with(".e")));
        assert!(
            matching("spreadsheet")
                .contains(&".excel                   Open the next result in a spreadsheet".to_owned())
        );
        assert!(matching("xyzzy").is_empty());
        assert_eq!(
            matching("*"),
            sorted().iter().map(|spec| spec.help_line()).collect::<Vec<_>>()
        );
        assert_eq!(matching("m*e"), matching("mode"));
        assert_eq!(matching(".?ode"), matching("mode"));
    }
}
