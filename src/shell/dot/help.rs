//! `.help`.

use super::Call;
use crate::shell::state::{Ran, Shell};
use std::io::Write;

/// A line that begins with a dot names a command; the lines up to the next are its details. These are the words of the
/// `sqlite3` shell, which scripts get to the byte.
const TEXT: &str = include_str!("help.txt");

/// The same for commands that only this shell has.
const OWN: &str = include_str!("help-own.txt");

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
    let own: Vec<&str> = OWN.lines().collect();
    // In a list only a person sees what other shells do not have; asked for by name, everybody does.
    let listed = || lines.iter().chain(own.iter().filter(|_| shell.interactive)).copied();
    let shown: Vec<&str> = match pattern {
        "" => listed().filter(|line| line.starts_with('.')).collect(),
        "-a" | "-all" | "--all" => listed().collect(),
        _ if pattern.starts_with('0') => listed().collect(),
        _ => match matching(&lines, pattern) {
            found if found.is_empty() => matching(&own, pattern),
            found => found,
        },
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

fn matching(lines: &[&'static str], pattern: &str) -> Vec<&'static str> {
    let named: Vec<usize> = (0..lines.len())
        .filter(|&at| {
            lines[at]
                .strip_prefix('.')
                .is_some_and(|line| line.starts_with(pattern))
        })
        .collect();
    match named[..] {
        [] => {}
        [only] => return entry(lines, only),
        _ => return named.into_iter().map(|at| lines[at]).collect(),
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
