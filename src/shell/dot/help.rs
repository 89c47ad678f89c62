//! `.help`.

use super::Call;
use crate::shell::state::{Ran, Shell};
use std::io::Write;

/// A line that begins with a dot names a command, after it come its arguments and what it is for; the lines up to the
/// next are its details, with an example.
const TEXT: &str = include_str!("help.txt");

pub fn help(shell: &mut Shell<'_>, call: &Call) -> Ran {
    let pattern = call.args.first().map_or("", String::as_str);
    if !print(shell, pattern)? {
        shell.show(format_args!("Nothing matches '{pattern}'"))?;
    }
    Ok(())
}

/// Shows the help on what `pattern` names. False if it names nothing.
pub fn print(shell: &mut Shell<'_>, pattern: &str) -> Ran<bool> {
    let lines: Vec<&str> = TEXT.lines().collect();
    let shown: Vec<&str> = match pattern {
        "" => lines.into_iter().filter(|line| line.starts_with('.')).collect(),
        "-a" | "-all" | "--all" => lines,
        _ if pattern.starts_with('0') => lines,
        _ => matching(&lines, pattern),
    };
    for line in &shown {
        writeln!(shell.out, "{line}")?;
    }
    Ok(!shown.is_empty())
}

/// The lines of a command with its details.
fn entry(lines: &[&'static str], at: usize) -> Vec<&'static str> {
    let details = lines[at + 1..].iter().take_while(|line| !line.starts_with('.'));
    std::iter::once(&lines[at]).chain(details).copied().collect()
}

/// The command that a line names.
fn name(line: &'static str) -> Option<&'static str> {
    line.strip_prefix('.')?.split(' ').next()
}

/// The lines on a command.
#[cfg(test)]
pub fn on(name: &str) -> Vec<&'static str> {
    let lines: Vec<&str> = TEXT.lines().collect();
    matching(&lines, name)
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

fn matching(lines: &[&'static str], pattern: &str) -> Vec<&'static str> {
    let pattern = pattern.strip_prefix('.').unwrap_or(pattern);
    let named = |whole: bool| -> Vec<usize> {
        let fits = |name: &str| {
            if whole {
                name == pattern
            } else {
                begins_like(name, pattern)
            }
        };
        (0..lines.len())
            .filter(|&at| name(lines[at]).is_some_and(fits))
            .collect()
    };
    let found = match named(true) {
        found if found.is_empty() => named(false),
        found => found,
    };
    match found[..] {
        [] => {}
        [only] => return entry(lines, only),
        _ => return found.into_iter().map(|at| lines[at]).collect(),
    }
    // Nothing is named so: show what speaks of it.
    let wanted = pattern.to_ascii_lowercase();
    let mut shown = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let whole = entry(lines, at);
        if whole.iter().any(|line| line.to_ascii_lowercase().contains(&wanted)) {
            shown.extend(&whole);
        }
        at += whole.len();
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_command_has_its_help_and_there_is_no_other() {
        let lines: Vec<&str> = TEXT.lines().collect();
        let told: Vec<&str> = lines.iter().filter_map(|line| name(line)).collect();
        assert!(told.is_sorted(), "{told:?}");
        let there: BTreeSet<&str> = crate::shell::dot::names().collect();
        assert_eq!(told.iter().copied().collect::<BTreeSet<_>>(), there);
        assert_eq!(told.len(), there.len());
    }

    #[test]
    fn the_document_names_every_command_and_option() {
        let document = include_str!("../../../docs/shell.md");
        let option = |word: &&str| word.starts_with('-') && word.len() > 1;
        let missing: Vec<&str> = TEXT
            .lines()
            .filter(|line| !line.starts_with("   Example:"))
            .flat_map(|line| line.split([' ', ',', '?']))
            .filter(|word| option(word) || word.len() > 1 && word.starts_with('.'))
            .map(|word| word.trim_end_matches(['.', ';', ':']))
            .filter(|word| word.len() > 1 && !document.contains(word))
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn every_command_has_a_summary_and_one_example_of_itself() {
        let lines: Vec<&str> = TEXT.lines().collect();
        for at in (0..lines.len()).filter(|&at| lines[at].starts_with('.')) {
            let (usage, summary) = lines[at].split_at(25);
            assert!(usage.ends_with(' ') || lines[at].contains("  "), "{}", lines[at]);
            assert!(!summary.trim().is_empty(), "{}", lines[at]);
            let examples: Vec<&str> = entry(&lines, at)
                .iter()
                .filter_map(|line| line.strip_prefix("   Example:  "))
                .collect();
            let [example] = examples[..] else {
                panic!("{}: {examples:?}", lines[at]);
            };
            let typed = example[1..].split(' ').next().unwrap();
            let called = crate::shell::dot::find(typed).map(|command| command.0);
            assert_eq!(called, name(lines[at]), "{example}");
        }
        assert!(lines.iter().all(|line| line.chars().count() <= 90));
    }

    #[test]
    fn a_name_or_its_beginning_or_a_word_finds_help() {
        let lines: Vec<&str> = TEXT.lines().collect();
        assert_eq!(matching(&lines, "mode"), matching(&lines, ".mode"));
        assert!(matching(&lines, "mode").len() > 5);
        assert!(matching(&lines, "e").iter().all(|line| line.starts_with(".e")));
        assert!(
            matching(&lines, "spreadsheet").contains(&".excel                   Open the next result in a spreadsheet")
        );
        assert!(matching(&lines, "xyzzy").is_empty());
        let all = lines.iter().filter(|line| line.starts_with('.'));
        assert_eq!(matching(&lines, "*"), all.copied().collect::<Vec<_>>());
        assert_eq!(matching(&lines, "m*e"), matching(&lines, "mode"));
        assert_eq!(matching(&lines, ".?ode"), matching(&lines, "mode"));
    }
}
