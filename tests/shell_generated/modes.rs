//! Results of any values in any mode, with any headers, separators, widths and wrapping.

use super::values::{once_in, pick, query};
use crate::support::beside::Case;
use fastrand::Rng;
use std::fmt::Write as _;

const MODES: &[&str] = &[
    "list",
    "csv",
    "column",
    "columns",
    "col",
    "line",
    "lines",
    "json",
    "html",
    "insert",
    "insert t",
    "insert 'two words'",
    "insert \"x\\\"y\"",
    "insert select",
    "quote",
    "q",
    "tabs",
    "tcl",
    "tc",
    "ascii",
    "box",
    "b",
    "table",
    "tab",
    "ta",
    "markdown",
    "mark",
    "qbox",
    "count",
    "off",
    "j",
    "nosuch",
];
/// Those that line up what they show.
const GRIDS: &[&str] = &["box", "table", "column", "markdown", "qbox", "col"];
const LAYOUTS: &[&str] = &[
    "--wrap 0",
    "--wrap 1",
    "--wrap 3",
    "--wrap 5",
    "--wrap 10",
    "--wrap 20",
    "-wrap 7",
    "--ww",
    "--wordwrap on",
    "--wordwrap off",
    "-wordwrap yes",
    "--quote",
    "--noquote",
    "-quote",
    "--wrap",
    "--wrap x",
    "--nosuch",
    "--wrap -4",
];
const SEPARATORS: &[&str] = &[
    ",",
    "|",
    ";",
    "\"\"",
    "\"\\t\"",
    "\" \"",
    "ab",
    "'\\n'",
    "\\037",
    "--",
    "\"--this one is far too long to be kept\"",
    "'",
];
const NULLS: &[&str] = &[
    "NULL",
    "''",
    "nil",
    "\"<none>\"",
    "\\\\N",
    "'a text that is too long to be kept whole'",
];
const WIDTHS: &[&str] = &[
    "",
    "5",
    "3 4 5",
    "-5",
    "0 0 8",
    "1 1 1 1 1",
    "12 -12 0 -3",
    "x 2",
    "0x10 +3 1000",
];

/// A command that changes how results look.
fn setting(random: &mut Rng) -> String {
    match random.u32(..8) {
        0 | 1 => format!(".headers {}", pick(random, &["on", "off", "1", "0", "yes"])),
        2 => format!(".nullvalue {}", pick(random, NULLS)),
        3 => format!(".separator {}", pick(random, SEPARATORS)),
        4 => format!(".separator {} {}", pick(random, SEPARATORS), pick(random, SEPARATORS)),
        5 | 6 => format!(".width {}", pick(random, WIDTHS)),
        _ => pick(
            random,
            &[".mode", ".show", ".mode --wrap 4", ".mode --ww", ".mode --quote"],
        )
        .to_owned(),
    }
}

fn mode(random: &mut Rng) -> (String, bool) {
    let mut line = String::from(".mode ");
    let mut exact = true;
    if random.bool() {
        line.push_str(pick(random, GRIDS));
        exact = line.ends_with("qbox");
        for _ in 0..random.usize(..4) {
            let layout = pick(random, LAYOUTS);
            exact |= layout.ends_with("quote");
            let _ = write!(line, " {layout}");
        }
    } else {
        let mode = pick(random, MODES);
        line.push_str(mode);
        exact &= matches!(mode.as_bytes()[0], b'i' | b'j' | b'q');
        if once_in(random, 6) {
            let _ = write!(line, " {}", pick(random, LAYOUTS));
        }
    }
    (line, exact)
}

pub fn case(random: &mut Rng) -> Case {
    let mut script = String::new();
    // Once exact values are wanted they are to the end: a mode that is refused leaves the one before.
    let mut exact = false;
    for _ in 0..random.usize(1..4) {
        let mut lines: Vec<String> = (0..random.usize(..3)).map(|_| setting(random)).collect();
        if !once_in(random, 5) {
            let (line, only_exact) = mode(random);
            exact |= only_exact || lines.iter().any(|line| line.contains("quote"));
            lines.insert(random.usize(..=lines.len()), line);
        }
        for line in lines {
            let _ = writeln!(script, "{line}");
        }
        for _ in 0..random.usize(1..3) {
            script.push_str(&query(random, exact));
        }
    }
    Case::in_memory(String::new(), script)
}
