//! Each error code has a section in `docs/troubleshooting.md`, which `torso help CODE` prints and `docs/errors.md` links to.

use super::pages;
use crate::support::World;
use torso::error::Code;

/// The codes that have sections, each with its text, in the order of the page.
fn sections() -> Vec<(String, String)> {
    let page = pages::all()
        .into_iter()
        .find(|page| page.name() == "docs/troubleshooting.md");
    let text = page.unwrap().text;
    let (_, by_code) = text.split_once("\n## By code\n").expect("there is a part by code");
    let sections = by_code.split("\n### ").skip(1);
    sections
        .map(|section| {
            let (heading, text) = section.split_once('\n').unwrap();
            let text = text.split("\nNext: ").next().unwrap_or_default();
            (heading.trim_matches('`').to_owned(), text.trim().to_owned())
        })
        .collect()
}

#[test]
fn troubleshooting_has_a_section_with_cause_and_remedy_for_every_code() {
    let sections = sections();
    let codes: Vec<_> = sections.iter().map(|(code, _)| code.as_str()).collect();
    let wanted: Vec<_> = Code::ALL.iter().map(|code| code.name()).collect();
    assert_eq!(codes, wanted);
    for (code, text) in &sections {
        let sentences = text.split_inclusive(['.', ':']).count();
        assert!(sentences > 1 && text.len() > 60, "{code} has only {text:?}");
    }
}

#[test]
fn help_of_every_error_code_prints_its_section() {
    let world = World::new();
    for (code, text) in sections() {
        let printed = world.ok(["help", &code]);
        let first = text.split([' ', '\n']).take(3).collect::<Vec<_>>().join(" ");
        assert!(printed.starts_with(&format!("`{code}`\n")), "{code}: {printed}");
        assert!(printed.contains(&first), "{code}: {first:?} is not in {printed}");
    }
}
