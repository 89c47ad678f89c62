//! The names of tests: `<feature>_<condition>_<outcome>`, so that `cargo test dump` runs what is about dumps.

use super::source::rust_files;
use regex::Regex;

/// The longest name.
const NAME_LENGTH: usize = 70;

/// A feature is a noun of the field: no name begins with one of these.
const NO_FEATURES: &[&str] = &[
    "a",
    "after",
    "all",
    "an",
    "any",
    "anything",
    "at",
    "each",
    "every",
    "everything",
    "he",
    "her",
    "his",
    "in",
    "it",
    "its",
    "many",
    "no",
    "nobody",
    "not",
    "nothing",
    "on",
    "one",
    "only",
    "our",
    "several",
    "she",
    "some",
    "somebody",
    "something",
    "that",
    "the",
    "their",
    "there",
    "these",
    "they",
    "this",
    "those",
    "too",
    "two",
    "we",
    "what",
    "whatever",
    "where",
    "wherever",
    "which",
    "who",
    "whoever",
    "whose",
    "with",
    "without",
    "you",
    "your",
];

/// A test, and where it is: `path:line`.
struct TestName {
    name: String,
    at: String,
}

/// Tests of `src` and `tests` whose names do not begin with their feature, say too little or are too long.
pub fn foreign_test_names() -> Vec<String> {
    let mut foreign = Vec::new();
    for folder in ["src", "tests"] {
        for (path, text) in rust_files(folder) {
            let path = format!("{folder}/{}", path.display());
            let names = test_names(&path, &text);
            foreign.extend(names.iter().filter_map(|test| {
                let fault = name_fault(&test.name)?;
                Some(format!("{} {}: {fault}", test.at, test.name))
            }));
        }
    }
    foreign
}

/// What is wrong with a test's name, if anything is.
fn name_fault(name: &str) -> Option<&'static str> {
    let words: Vec<&str> = name.split('_').collect();
    match words[0] {
        first if NO_FEATURES.contains(&first) => Some("begins with no feature"),
        _ if words.len() < 3 => Some("says too little"),
        _ if name.len() > NAME_LENGTH => Some("has more than 70 characters"),
        _ => None,
    }
}

/// The tests of a file, those inside of macros such as `proptest!` included.
fn test_names(path: &str, text: &str) -> Vec<TestName> {
    let function = Regex::new(r"^\s*(?:pub )?(?:async )?fn (\w+)").unwrap();
    let mut names = Vec::new();
    let mut is_test = false;
    for (number, line) in text.lines().enumerate() {
        let attribute = line.trim_start();
        is_test |= ["#[test]", "#[tokio::test]", "#[tokio::test("]
            .iter()
            .any(|start| attribute.starts_with(start));
        if is_test && line.contains("fn ") && !attribute.starts_with(['/', '#']) {
            is_test = false;
            // A macro makes `$name`.
            names.extend(function.captures(line).map(|found| TestName {
                name: found[1].to_owned(),
                at: format!("{path}:{}", number + 1),
            }));
        }
    }
    names
}

#[test]
fn test_name_without_a_feature_or_a_condition_is_found() {
    let faults: Vec<_> = [
        "dump_of_a_damaged_file_exits_1",
        "a_dump_is_whole",
        "itself",
        "dump_works",
        "items_are_listed",
        "whoever_asks_is_answered",
    ]
    .map(name_fault)
    .into();
    assert_eq!(
        faults,
        [
            None,
            Some("begins with no feature"),
            Some("says too little"),
            Some("says too little"),
            None,
            Some("begins with no feature")
        ]
    );
    let long = format!("dump_of_{}_is_whole", "x".repeat(NAME_LENGTH));
    assert_eq!(name_fault(&long), Some("has more than 70 characters"));
}

#[test]
fn test_names_of_functions_and_macros_are_read() {
    let text = "/// fn no\n#[test]\n#[cfg(unix)]\nfn one() {}\nfn helper() {}\n    #[tokio::test(flavor = \"x\")]\n    \
                async fn two() {}\nproptest! {\n    #[test]\n    fn three(x in any()) {}\n}\n#[test]\nfn $name() {}\n";
    let read: Vec<_> = test_names("p", text)
        .iter()
        .map(|test| format!("{} {}", test.at, test.name))
        .collect();
    assert_eq!(read, ["p:4 one", "p:7 two", "p:10 three"]);
}
