//! The state of the code, as figures: `just figures` prints them, `docs/design.md` records them, and a test fails when one of
//! them gets worse. `source` reads the code, `imports` finds circles, `names` knows the words that are not the field's,
//! `test_names` those with which the name of a test does not begin, `groups` which tests are fast.

mod groups;
mod imports;
mod names;
mod source;
mod test_names;

use crate::support::crate_root;
use imports::import_circles;
pub use imports::{import_graph, within};
pub use source::{module_path, product, rust_files};
use std::fmt::Write as _;
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};

/// The longest file.
pub const FILE_LINES: usize = 500;
/// The longest function.
pub const FUNCTION_LINES: usize = 80;

/// One figure, and what it counts.
struct Figure {
    name: &'static str,
    value: usize,
    /// What was counted, for whoever wants to make it less. Empty for numbers of lines.
    items: Vec<String>,
    /// Whether it must not grow. Otherwise it is a size, which new capabilities change.
    is_bounded: bool,
}

impl Figure {
    fn count(name: &'static str, items: Vec<String>) -> Self {
        Self {
            name,
            value: items.len(),
            items,
            is_bounded: true,
        }
    }

    fn lines(name: &'static str, value: usize) -> Self {
        Self {
            name,
            value,
            items: Vec::new(),
            is_bounded: false,
        }
    }
}

fn figures() -> Vec<Figure> {
    let product = product();
    let names = names::declared_names();
    let graph = import_graph();
    let circles = import_circles(&graph)
        .into_iter()
        .map(|circle| Vec::from_iter(circle).join(", "))
        .collect();
    let all: usize = product.files.iter().map(|file| file.text.lines().count()).sum();
    let inner_tests: usize = product.files.iter().map(|file| file.test_lines).sum();
    let tests: usize = rust_files("tests").iter().map(|(_, text)| text.lines().count()).sum();
    vec![
        Figure::count("circles of imports between files", circles),
        Figure::count("names that are not the field's words", names::foreign_names(&names)),
        Figure::count("functions whose names are sentences", names::sentence_names(&names)),
        Figure::count(
            "names of public types that stand twice",
            names::duplicated_types(&names),
        ),
        Figure::count(
            "names of tests that do not begin with a feature",
            test_names::foreign_test_names(),
        ),
        Figure::count("files of more than 500 lines", long_files()),
        Figure::count("functions of more than 80 lines", long_functions()),
        Figure::lines("lines of the product", all - inner_tests),
        Figure::lines("lines of tests", product.test_lines + inner_tests + tests),
    ]
}

/// Files of `src` that are too long, unit tests in them included.
fn long_files() -> Vec<String> {
    rust_files("src")
        .iter()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > FILE_LINES)
        .map(|(path, lines)| format!("src/{}: {lines} lines", path.display()))
        .collect()
}

/// Functions of the product that are too long.
fn long_functions() -> Vec<String> {
    struct Functions<'f> {
        path: String,
        long: &'f mut Vec<String>,
    }
    impl Functions<'_> {
        fn add(&mut self, name: &syn::Ident, whole: proc_macro2::Span) {
            let lines = whole.end().line - whole.start().line + 1;
            if lines > FUNCTION_LINES {
                let start = whole.start().line;
                self.long.push(format!("{}:{start} {name}: {lines} lines", self.path));
            }
        }
    }
    impl<'ast> Visit<'ast> for Functions<'_> {
        fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
            self.add(
                &function.sig.ident,
                function.sig.span().join(function.block.span()).unwrap(),
            );
            visit::visit_item_fn(self, function);
        }
        fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
            self.add(
                &function.sig.ident,
                function.sig.span().join(function.block.span()).unwrap(),
            );
            visit::visit_impl_item_fn(self, function);
        }
    }
    let mut long = Vec::new();
    for file in &product().files {
        let path = format!("src/{}", file.path.display());
        let mut functions = Functions { path, long: &mut long };
        file.items.iter().for_each(|item| functions.visit_item(item));
    }
    long
}

/// The heading of the table in `docs/design.md`.
const HEADING: &str = "\n## Figures\n";

/// The values that `docs/design.md` records, by name.
fn recorded(design: &str) -> std::collections::BTreeMap<&str, usize> {
    let (_, section) = design.split_once(HEADING).expect("docs/design.md has figures");
    let section = section.split_once("\n## ").map_or(section, |(section, _)| section);
    section
        .lines()
        .filter_map(|line| {
            let (name, value) = line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | ")?;
            Some((name, value.replace(',', "").parse().ok()?))
        })
        .collect()
}

/// Numbers of lines are recorded in hundreds.
fn rounded(lines: usize) -> usize {
    lines.div_ceil(100) * 100
}

fn with_commas(value: usize) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Prints the figures, and fails when one is worse than `docs/design.md` says. `TORSO_BLESS=1` records better ones.
#[test]
#[allow(clippy::print_stdout)] // for whoever runs `just figures`
fn figures_are_not_worse_than_recorded() {
    let path = crate_root().join("docs/design.md");
    let mut design = std::fs::read_to_string(&path).unwrap();
    let figures = figures();
    let (mut report, mut worse) = (String::new(), Vec::new());
    let mut lines = String::new();
    let old = recorded(&design);
    for figure in &figures {
        writeln!(report, "{:>8}  {}", with_commas(figure.value), figure.name).unwrap();
        let known = old.get(figure.name).copied();
        let is_worse = match known {
            None => true,
            Some(known) if figure.is_bounded => figure.value > known,
            // A description, not a bound: it may be one part in twenty off.
            Some(known) => figure.value.abs_diff(known) > known / 20,
        };
        if is_worse {
            worse.push(format!(
                "{}: {}, recorded {known:?}\n  {}",
                figure.name,
                figure.value,
                figure.items.join("\n  ")
            ));
        }
        let value = if figure.is_bounded {
            figure.value
        } else {
            rounded(figure.value)
        };
        writeln!(lines, "| {} | {} |", figure.name, with_commas(value)).unwrap();
    }
    println!("{report}");
    if std::env::var_os("TORSO_FIGURES").is_some() {
        for figure in figures.iter().filter(|figure| !figure.items.is_empty()) {
            println!("{}:\n  {}", figure.name, figure.items.join("\n  "));
        }
    }
    if std::env::var_os("TORSO_BLESS").is_some() {
        let table = format!("| figure | value |\n|---|---|\n{lines}");
        let start = design.find("| figure | value |").expect("docs/design.md has the table");
        let end = design[start..]
            .find("\n\n")
            .map_or(design.len(), |length| start + length + 1);
        design.replace_range(start..end, &table);
        std::fs::write(&path, design).unwrap();
        return;
    }
    assert!(worse.is_empty(), "{}", worse.join("\n"));
}

#[test]
fn figures_in_the_design_are_read() {
    let design = "# D\n\n## Figures\n\nText.\n\n| figure | value |\n|---|---|\n| circles | 0 |\n| lines | 75,500 |\n\n## Next\n| no | 1 |\n";
    assert_eq!(Vec::from_iter(recorded(design)), [("circles", 0), ("lines", 75_500)]);
    assert_eq!(with_commas(1_234_567), "1,234,567");
    assert_eq!(with_commas(123), "123");
}
