//! The groups of tests that `.config/nextest.toml` runs: fast, peers and slow. A test is in exactly one of them.
//!
//! The lists here are the definition; the filters of the profiles are made of them (`TORSO_BLESS=1` writes them).

use super::source::rust_files;
use crate::support::crate_root;
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};

/// Integration tests that need real servers or clients: libSQL server, Node.js, Python, nginx. Beginnings of their paths, as
/// regular expressions; of modules where few tests need a server, those that have it in their names.
const PEERS: &[&str] = &[
    "applications::",
    "backup::kills::",
    "backup::large::",
    "backup::objects::",
    "backup::page::",
    "backup::rehearsal::",
    "backup::server::",
    "bad_input::.*server",
    "client::",
    "docs::blocks::",
    "docs::lost_primary::",
    "docs::monitoring::",
    "docs::rust::",
    "dry_run::.*server",
    "engine_sqld::",
    "gateway::",
    "hosted::",
    "in_use::clients",
    "machines::",
    "packaging::",
    "policy::",
    "readme::",
    "remote::",
    "remote_shell::",
    "round_trip::",
    "server::",
    "server_run::",
    "shell_commands::",
    "shell_data_safety::.*server",
    "shell_generated::remote::",
    "shell_interactive::",
    "workflows::",
];

/// Integration tests that take minutes: kills at every point, disks that fill up, fuzzes of whole programs.
const SLOW: &[&str] = &[
    "crash::",
    "disk::",
    "hostile_names::",
    "parallel::",
    "policy::fuzz::",
    "power_loss::",
    "server_run::calls::",
    "server_run::faults::",
    "server_run::moves::",
    "shell_differential::",
    "shell_generated::",
];

/// A group; `.config/nextest.toml` has a profile of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    Fast,
    Peers,
    Slow,
}

/// The group of an integration test, by its path. Unit tests are all fast.
fn group_of(path: &str) -> Group {
    let is_in = |list: &[&str]| Regex::new(&any_of(list)).unwrap().is_match(path);
    if is_in(SLOW) {
        Group::Slow
    } else if is_in(PEERS) {
        Group::Peers
    } else {
        Group::Fast
    }
}

fn any_of(list: &[&str]) -> String {
    format!("^({})", list.join("|"))
}

/// What `.config/nextest.toml` must say of the groups.
fn profiles() -> String {
    let either = |lists: [&[&str]; 2]| {
        let tests: Vec<String> = lists.concat().iter().map(|test| format!("test(/^{test}/)")).collect();
        format!("(\n  {}\n)", tests.join("\n  or "))
    };
    let integration = "binary(=integration)";
    let mut text = String::new();
    for (name, filter) in [
        ("fast", format!("not ({integration} and {})", either([PEERS, SLOW]))),
        (
            "peers",
            format!(
                "{integration} and {} and not {}",
                either([PEERS, &[]]),
                either([SLOW, &[]])
            ),
        ),
        ("slow", format!("{integration} and {}", either([SLOW, &[]]))),
    ] {
        writeln!(text, "\n[profile.{name}]\ndefault-filter = '''\n{filter}\n'''").unwrap();
    }
    text
}

/// The paths of the tests in this program.
fn integration_tests() -> Vec<String> {
    let program = std::env::current_exe().unwrap();
    let list = std::process::Command::new(program).arg("--list").output().unwrap();
    String::from_utf8(list.stdout)
        .unwrap()
        .lines()
        .filter_map(|line| line.strip_suffix(": test"))
        .map(str::to_owned)
        .collect()
}

/// Every list names tests that exist, and the program that nextest runs has each test in one group: the first that fits.
#[test]
#[allow(clippy::print_stdout)] // for whoever runs `just figures`
fn test_groups_hold_each_test_once_and_name_no_others() {
    let tests = integration_tests();
    let mut groups: BTreeMap<Group, BTreeMap<&str, usize>> = BTreeMap::new();
    for test in &tests {
        let module = test.split("::").next().unwrap();
        *groups.entry(group_of(test)).or_default().entry(module).or_default() += 1;
    }
    for (group, modules) in &groups {
        println!("{group:?}: {} tests", modules.values().sum::<usize>());
        for (module, count) in modules {
            println!("{count:>6}  {module}");
        }
    }
    assert_eq!(groups.len(), 3, "a group is empty");
    for pattern in PEERS.iter().chain(SLOW) {
        let pattern = Regex::new(&format!("^{pattern}")).unwrap();
        assert!(tests.iter().any(|test| pattern.is_match(test)), "no test is {pattern}");
    }
}

#[test]
fn test_groups_are_those_of_the_profiles() {
    let path = crate_root().join(".config/nextest.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let (head, _) = text.split_once("\n[profile.fast]").unwrap();
    let wanted = format!("{}\n{}", head.trim_end(), profiles());
    if std::env::var_os("TORSO_BLESS").is_some() {
        std::fs::write(&path, wanted).unwrap();
        return;
    }
    assert_eq!(text, wanted, "TORSO_BLESS=1 writes the filters again");
}

/// What starts a server, or a client that a package manager installs.
const STARTS: &str = r"\b(Sqld|Deployment|Door|installed)\b|\bsqld::program\b|\b(Server|Engine)::start\b";

/// A function of a test file.
struct TestFunction {
    name: String,
    is_test: bool,
    body: String,
}

/// A test of the fast group calls nothing of its file that starts a server. Helpers of other modules are in their groups.
#[test]
fn test_group_fast_starts_no_server() {
    let starts = Regex::new(STARTS).unwrap();
    let mut wrong = Vec::new();
    for (path, text) in rust_files("tests") {
        let no_tests = ["bench", "data", "house", "peers", "support"];
        if no_tests.iter().any(|folder| path.starts_with(folder)) {
            continue;
        }
        let functions = functions_of(&text);
        let starting = starting(&functions, &starts);
        let module = super::module_path(&path).join("::");
        let tests = functions
            .iter()
            .filter(|function| function.is_test && starting.contains(&function.name));
        wrong.extend(
            tests
                .map(|function| format!("{module}::{}", function.name))
                .filter(|test| group_of(test) == Group::Fast),
        );
    }
    assert!(
        wrong.is_empty(),
        "in the fast group, and starts a server:\n{}",
        wrong.join("\n")
    );
}

/// The functions whose bodies match, or that call one of those.
fn starting(functions: &[TestFunction], starts: &Regex) -> BTreeSet<String> {
    let mut starting = BTreeSet::new();
    loop {
        let calls = |body: &str| {
            let words = body.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
            words.into_iter().any(|word| starting.contains(word))
        };
        let more: Vec<String> = functions
            .iter()
            .filter(|function| !starting.contains(&function.name))
            .filter(|function| starts.is_match(&function.body) || calls(&function.body))
            .map(|function| function.name.clone())
            .collect();
        if more.is_empty() {
            return starting;
        }
        starting.extend(more);
    }
}

/// The functions of a file, comments left out.
fn functions_of(text: &str) -> Vec<TestFunction> {
    struct Functions<'t> {
        lines: Vec<&'t str>,
        functions: Vec<TestFunction>,
    }
    impl<'ast> Visit<'ast> for Functions<'_> {
        fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
            let span = function.block.span();
            let body = &self.lines[span.start().line - 1..span.end().line];
            let code: Vec<&str> = body.iter().map(|line| line.split("//").next().unwrap()).collect();
            let is_test = |attribute: &syn::Attribute| {
                let last = attribute.path().segments.last();
                last.is_some_and(|segment| segment.ident == "test")
            };
            self.functions.push(TestFunction {
                name: function.sig.ident.to_string(),
                is_test: function.attrs.iter().any(is_test),
                body: code.join("\n"),
            });
            visit::visit_item_fn(self, function);
        }
    }
    let mut functions = Functions {
        lines: text.lines().collect(),
        functions: Vec::new(),
    };
    functions.visit_file(&syn::parse_file(text).unwrap());
    functions.functions
}

#[test]
fn test_functions_that_start_a_server_through_others_are_found() {
    let text = "fn both() -> u8 { let s = Sqld::start(); 1 }\n#[test]\nfn through() { both(); }\n#[test]\nfn alone() {\n// Sqld\n}\n";
    let functions = functions_of(text);
    let starting = starting(&functions, &Regex::new(STARTS).unwrap());
    assert_eq!(Vec::from_iter(starting), ["both", "through"]);
    let tests: Vec<_> = functions
        .iter()
        .filter(|function| function.is_test)
        .map(|function| &function.name)
        .collect();
    assert_eq!(tests, ["through", "alone"]);
}
