//! Sentences are short: whoever reads a page in a second language does not read one twice.

use super::pages::{self, Page};
use regex::Regex;
use std::sync::LazyLock;

/// The most words of a sentence. A span of code is one word.
const MOST: usize = 25;

/// The mark before an item of a list.
static ITEM: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^(?:[-*]|\d+\.) +").unwrap());
static LINK: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"!?\[([^\]]*)\]\([^)]*\)").unwrap());
static CODE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"``.*?``|`[^`]*`").unwrap());
/// The end of a sentence, and how the next begins.
static END: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"[.!?]["”)*]*\s+(?:["“(*]*(?:[A-Z0-9.]|torso ))"#).unwrap());

/// A paragraph, an item of a list or a cell of a table.
struct Part {
    /// Of its first line, from 1.
    line: usize,
    text: String,
}

/// The page's parts, without headings, fenced blocks and comments.
fn parts(page: &Page) -> Vec<Part> {
    let (mut parts, mut fenced, mut comment) = (Vec::<Part>::new(), false, false);
    // Whether the next line goes on with the last part.
    let mut open = false;
    for (at, line) in page.text.lines().enumerate() {
        let text = line.trim();
        let fence = text.starts_with("```");
        let begins_comment = text.starts_with("<!--");
        if fence || fenced || comment || begins_comment || text.is_empty() || text.starts_with('#') {
            fenced ^= fence;
            comment = (comment || begins_comment) && !text.ends_with("-->");
            open = false;
        } else if text.starts_with('|') {
            let cells = text.trim_matches('|').replace(r"\|", "/");
            parts.extend(cells.split('|').map(|cell| Part {
                line: at + 1,
                text: cell.to_owned(),
            }));
            open = false;
        } else if let Some(part) = parts.last_mut().filter(|_| open && !ITEM.is_match(text)) {
            part.text.push(' ');
            part.text.push_str(text);
        } else {
            parts.push(Part {
                line: at + 1,
                text: ITEM.replace(text, "").into_owned(),
            });
            open = true;
        }
    }
    parts
}

/// The sentences of a part, with links as their words and code as one word.
fn sentences(text: &str) -> Vec<String> {
    let plain = LINK.replace_all(text, "$1");
    let plain = CODE.replace_all(&plain, "Code");
    let mut sentences = Vec::new();
    let mut start = 0;
    for end in END.find_iter(&plain) {
        let space = end.start() + end.as_str().find(char::is_whitespace).unwrap_or(1);
        sentences.push(plain[start..space].to_owned());
        start = space;
    }
    sentences.push(plain[start..].to_owned());
    sentences
}

fn words(sentence: &str) -> usize {
    sentence
        .split_whitespace()
        .filter(|word| word.contains(char::is_alphanumeric))
        .count()
}

#[test]
fn docs_sentences_of_every_page_have_at_most_25_words() {
    let (mut checked, mut failures) = (0, Vec::new());
    for page in pages::all() {
        for part in parts(&page) {
            for sentence in sentences(&part.text) {
                checked += 1;
                let count = words(&sentence);
                if count > MOST {
                    failures.push(format!("{}:{}: {count} words:{sentence}", page.name(), part.line));
                }
            }
        }
    }
    assert!(checked > 1000, "only {checked}");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Every text of the command tree: summaries, details, and what stands below a page.
fn help_texts(command: &clap::Command, texts: &mut Vec<(String, String)>) {
    let path = command.get_bin_name().unwrap_or("torso").to_owned();
    let abouts = [command.get_about(), command.get_long_about()].into_iter().flatten();
    texts.extend(abouts.map(|text| (path.clone(), text.to_string())));
    for arg in command.get_arguments() {
        let values = arg.get_possible_values();
        let values = values.iter().filter_map(|value| value.get_help());
        let helps = [arg.get_help(), arg.get_long_help()]
            .into_iter()
            .flatten()
            .chain(values);
        texts.extend(helps.map(|text| (format!("{path} {}", arg.get_id()), text.to_string())));
    }
    for below in command.get_subcommands() {
        help_texts(below, texts);
    }
}

#[test]
fn help_sentences_have_at_most_25_words() {
    let mut tree = torso::commands::command();
    tree.build();
    let mut texts = Vec::new();
    help_texts(&tree, &mut texts);
    assert!(texts.len() > 300, "only {}", texts.len());
    let mut failures = Vec::new();
    for (name, text) in &texts {
        for paragraph in text.split("\n\n") {
            for sentence in sentences(&paragraph.replace('\n', " ")) {
                if words(&sentence) > MOST {
                    failures.push(format!("{name}: {} words:{sentence}", words(&sentence)));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn docs_sentences_are_counted_by_paragraph_item_and_cell() {
    let page = Page {
        path: "test.md".into(),
        text: "# A heading\n\nOne two. Three [four](five.md) `six seven`.\ngoes on\n- an item\n  of three\n- next\n\n\
               | a cell | and. Another |\n\n```sh\nnot counted\n```\n<!-- nor\nthis -->\n"
            .to_owned(),
    };
    let counted: Vec<_> = parts(&page)
        .iter()
        .flat_map(|part| sentences(&part.text))
        .map(|sentence| words(&sentence))
        .collect();
    assert_eq!(counted, [2, 5, 4, 1, 2, 1, 1]);
}
