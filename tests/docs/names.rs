//! What a page names exists: codes, fields, variables, metrics, files. And what exists is on a page.

use super::pages;
use crate::support::crate_root;
use std::collections::BTreeSet;
use std::path::Path;
use torso::settings::env;

/// All of the source, and of the golden documents.
fn sources() -> String {
    fn read(dir: &Path, out: &mut String) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                read(&path, out);
            } else if let Ok(text) = std::fs::read_to_string(&path) {
                out.push_str(&text);
            }
        }
    }
    let mut out = String::new();
    for folder in ["src", "tests/golden", "tests/bench", "tests/peers", "docs/deploy"] {
        read(&crate_root().join(folder), &mut out);
    }
    out
}

fn page(name: &str) -> String {
    std::fs::read_to_string(crate_root().join("docs").join(name)).unwrap()
}

/// Names of others: an option of the Rust client, a code of libSQL server, and a limit of the system.
const OF_OTHERS: &[&str] = &["sync_interval", "PROXY_ERROR", "RLIMIT_DATA"];

#[test]
fn docs_name_in_code_exists_in_the_program() {
    let source = sources();
    let mut failures = Vec::new();
    for page in pages::all().iter().filter(|page| page.name() != "CHANGELOG.md") {
        for code in page.inline_code() {
            let is_name = code.contains('_')
                && code.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
                && !code.starts_with('_');
            if is_name && !source.contains(&code) && !OF_OTHERS.contains(&code.as_str()) {
                failures.push(format!("{}: {code}", page.name()));
            }
        }
    }
    assert!(
        failures.is_empty(),
        "nothing of that name is in the source:\n{}",
        failures.join("\n")
    );
}

/// Files and folders of this repository, from its root or, for modules, from `src`.
#[test]
fn docs_path_in_code_exists_in_the_repository() {
    let root = crate_root();
    let rooms: Vec<String> = std::fs::read_dir(root.join("src"))
        .unwrap()
        .map(|entry| format!("{}/", entry.unwrap().file_name().to_string_lossy()))
        .collect();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    let (mut checked, mut failures) = (0, Vec::new());
    for page in pages::all().iter().filter(|page| page.name() != "CHANGELOG.md") {
        for code in page.inline_code().iter().filter(|code| code.chars().all(is_plain)) {
            let from_root = ["src/", "tests/", "docs/", ".ci/", ".config/"]
                .iter()
                .any(|folder| code.starts_with(folder));
            let from_src = rooms.iter().any(|room| code.starts_with(room));
            let path = if from_root {
                root.join(code)
            } else {
                root.join("src").join(code)
            };
            if from_root || from_src {
                checked += 1;
                if !path.exists() && !path.with_extension("rs").exists() {
                    failures.push(format!("{}: {code}", page.name()));
                }
            }
        }
    }
    assert!(checked > 50, "only {checked}");
    assert!(
        failures.is_empty(),
        "these paths do not exist:\n{}",
        failures.join("\n")
    );
}

#[test]
fn docs_variable_of_torso_exists_and_every_one_is_on_the_page() {
    let known: BTreeSet<&str> = env::ALL.iter().map(|variable| variable.name).collect();
    let listed = page("environment.md");
    for name in &known {
        assert!(listed.contains(&format!("`{name}`")), "{name} is not in environment.md");
    }
    for page in pages::all() {
        for code in page.inline_code() {
            let name = code
                .trim_start_matches('$')
                .split(['=', '/', ' '])
                .next()
                .unwrap()
                .to_owned();
            let is_ours = name.starts_with("TORSO_") || name.starts_with("TURSO_");
            if is_ours && !["TORSO_BLESS", "TORSO_FIGURES", "TORSO_FUZZ_CASES"].contains(&name.as_str()) {
                assert!(
                    known.contains(name.as_str()),
                    "{}: there is no variable {name}",
                    page.name()
                );
            }
        }
    }
}

/// Variables are read by their names in one list only, so that the list is complete.
#[test]
fn environment_variable_that_the_source_reads_is_in_the_list() {
    let known: BTreeSet<&str> = env::ALL.iter().map(|variable| variable.name).collect();
    // Those of the tests.
    let own = [
        "UPDATE",
        "TORSO_FUZZ_CASES",
        "TORSO_BACKUP_FLIPS",
        "TORSO_BACKUP_MIB",
        "TORSO_OUTAGE_SECONDS",
        "TORSO_SEED",
    ];
    let source = sources();
    let mut checked = 0;
    for opening in ["env::var(\"", "env::var_os(\""] {
        for (at, _) in source.match_indices(opening) {
            let name = source[at + opening.len()..].split('"').next().unwrap();
            if !name.starts_with("BENCH_") && !name.starts_with("CARGO") && !own.contains(&name) {
                assert!(known.contains(name), "{name} is read and not listed");
                checked += 1;
            }
        }
    }
    assert!(checked > 3);
}

#[test]
fn docs_list_every_metric_and_no_other() {
    let read = |file: &str| std::fs::read_to_string(crate_root().join("src/server").join(file)).unwrap();
    let source = read("metrics.rs") + &read("process_metrics.rs") + &read("gateway/counters.rs");
    let words = |text: &str| -> BTreeSet<String> {
        let is_part = |c: char| c.is_ascii_lowercase() || c == '_';
        text.split(|c: char| !is_part(c))
            .filter(|word| word.starts_with("torso_") && word.len() > "torso_".len())
            .map(|word| {
                let base = ["_bucket", "_sum", "_count"]
                    .iter()
                    .find_map(|end| word.strip_suffix(end));
                base.unwrap_or(word).to_owned()
            })
            .collect()
    };
    let metrics: BTreeSet<String> = words(&source)
        .into_iter()
        .filter(|name| source.contains(&format!("\"{name}\"")))
        .collect();
    assert!(metrics.len() > 8, "{metrics:?}");
    assert_eq!(
        words(&page("monitoring.md")),
        metrics,
        "left: docs/monitoring.md, right: the source"
    );
}

/// The members of a golden document: of the thing, or of an item of the list.
fn members(document: &serde_json::Value) -> Vec<String> {
    let thing = document
        .as_array()
        .map_or(document, |items| items.first().unwrap_or(document));
    let members = thing.as_object().into_iter().flatten();
    members.map(|(name, _)| format!("`{name}`")).collect()
}

/// `docs/json.md` names every member of every document that a command prints, and no other: it is made of them.
#[test]
fn docs_json_members_are_those_that_commands_print() {
    let mut page = String::from(
        "# JSON of every command\n\nFor whoever reads torso's output in programs, to look up. Made from the documents in `tests/golden`; do \
         not edit.\n\nEach line is a command with `--json` and the members of its document, or of an item where it is a list. \
         Members are added, never renamed or removed. A command's link leads to the \
         [JSON Schema](https://json-schema.org) of its document.\n\n| command | members |\n|---|---|\n",
    );
    let mut commands = std::collections::BTreeMap::new();
    let answers = crate::golden_json::ANSWERS.iter().chain(crate::client::ANSWERS);
    for (name, line) in answers.chain(crate::backup::server::ANSWERS) {
        let tree = torso::commands::command();
        let mut command = &tree;
        let mut path = vec!["torso"];
        for word in line.split(' ') {
            let Some(below) = command.find_subcommand(word) else {
                break;
            };
            command = below;
            path.push(word);
        }
        let golden = std::fs::read_to_string(crate_root().join(format!("tests/golden/{name}.json"))).unwrap();
        let document: serde_json::Value = serde_json::from_str(&golden).unwrap();
        let known: &mut Vec<String> = commands.entry(path.join(" ")).or_default();
        for member in members(&document) {
            if !known.contains(&member) {
                known.push(member);
            }
        }
    }
    for (command, members) in commands.iter().filter(|(_, members)| !members.is_empty()) {
        let schema = command.trim_start_matches("torso ").replace(' ', "-");
        page.push_str(&format!(
            "| [`{command}`](json/{schema}.json) | {} |\n",
            members.join(", ")
        ));
    }
    page.push_str("\nNext: [scripts and CI](scripting.md).\n");
    let file = crate_root().join("docs/json.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&file, &page).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(kept == page, "docs/json.md is stale: UPDATE=1 cargo test docs::names");
}

#[test]
fn docs_link_of_every_page_leads_somewhere() {
    let root = crate_root();
    let mut checked = 0;
    for page in pages::all() {
        for link in page.links() {
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let here = root.join(page.path.parent().unwrap());
            let target = if file.is_empty() {
                root.join(&page.path)
            } else {
                here.join(file)
            };
            assert!(target.exists(), "{}: {link} leads nowhere", page.name());
            if !anchor.is_empty() {
                let text = std::fs::read_to_string(&target).unwrap();
                let anchors = text.lines().filter(|line| line.starts_with('#')).map(anchor_of);
                assert!(
                    anchors.into_iter().any(|known| known == anchor),
                    "{}: {link}",
                    page.name()
                );
            }
            checked += 1;
        }
    }
    assert!(checked > 60, "only {checked}");
}

/// The anchor that a heading gets.
fn anchor_of(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// Somebody who is new finds every page: the index links to all of them.
#[test]
fn docs_index_names_every_page() {
    let index = page("index.md");
    for entry in std::fs::read_dir(crate_root().join("docs")).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        if name.ends_with(".md") && name != "index.md" {
            assert!(
                index.contains(&format!("({name}")),
                "docs/index.md does not link to {name}"
            );
        }
    }
}

/// A page begins with who it is for and how long it takes, or that it is to look something up, and ends with what comes next.
#[test]
fn docs_page_says_for_whom_it_is_how_long_it_takes_and_what_is_next() {
    for page in pages::all() {
        let name = page.name();
        if !name.starts_with("docs/") || name == "docs/index.md" {
            continue;
        }
        let opening = page.text.split("\n\n").nth(1).unwrap_or_default();
        let opening = opening.replace('\n', " ");
        let for_whom = opening.contains("For ") || opening.starts_with("To look up");
        let how_long = opening.contains(" minutes") || opening.to_lowercase().contains("to look up");
        assert!(for_whom && how_long, "{name}: {opening}");
        assert!(
            page.text
                .trim_end()
                .rsplit("\n\n")
                .next()
                .unwrap()
                .starts_with("Next: "),
            "{name}"
        );
    }
}

#[test]
fn docs_readme_stays_a_page_and_shows_both_pictures() {
    let readme = std::fs::read_to_string(crate_root().join("README.md")).unwrap();
    assert!(readme.lines().count() < 100, "{} lines", readme.lines().count());
    for picture in ["overview.svg", "session.svg"] {
        assert!(readme.contains(&format!("(docs/pictures/{picture})")), "{picture}");
    }
}
