//! The pages, and their fenced blocks, inline code and links.

use crate::support::crate_root;
use std::path::PathBuf;

/// A page of the documentation.
pub struct Page {
    /// Relative to the crate's folder.
    pub path: PathBuf,
    pub text: String,
}

/// A fenced block.
pub struct Block {
    /// Of its first line, from 1.
    pub line: usize,
    /// What stands behind the fence.
    pub language: String,
    /// The comment right before it, without its brackets.
    pub marker: Option<String>,
    pub text: String,
}

/// All pages that people write. `docs/reference` is made from the command tree, which tests of its own hold.
pub fn all() -> Vec<Page> {
    let root = crate_root();
    let mut paths: Vec<PathBuf> = std::fs::read_dir(root)
        .unwrap()
        .chain(std::fs::read_dir(root.join("docs")).unwrap())
        .chain(std::fs::read_dir(root.join("docs/tutorials")).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    paths.sort();
    let pages: Vec<_> = paths
        .into_iter()
        .map(|path| Page {
            text: std::fs::read_to_string(&path).unwrap(),
            path: path.strip_prefix(root).unwrap().to_owned(),
        })
        .collect();
    assert!(pages.len() > 10);
    pages
}

impl Page {
    pub fn name(&self) -> String {
        self.path.display().to_string()
    }

    pub fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut lines = self.text.lines().enumerate();
        let mut before = String::new();
        while let Some((at, line)) = lines.next() {
            let Some(language) = line.trim_start().strip_prefix("```") else {
                if !line.trim().is_empty() {
                    line.trim().clone_into(&mut before);
                }
                continue;
            };
            let indent = line.len() - line.trim_start().len();
            let mut text = String::new();
            for (_, line) in lines.by_ref() {
                if line.trim() == "```" {
                    break;
                }
                text.push_str(line.get(indent..).unwrap_or_default());
                text.push('\n');
            }
            let marker = before.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->"));
            blocks.push(Block {
                line: at + 2,
                language: language.trim().to_owned(),
                marker: marker.map(str::to_owned),
                text,
            });
            before.clear();
        }
        blocks
    }

    /// The text outside of fenced blocks.
    pub fn prose(&self) -> String {
        let mut fenced = false;
        let mut prose = String::new();
        for line in self.text.lines() {
            if line.trim_start().starts_with("```") {
                fenced = !fenced;
            } else if !fenced {
                prose.push_str(line);
                prose.push('\n');
            }
        }
        prose
    }

    /// What stands between backticks outside of fenced blocks. A span may go on in the next line.
    pub fn inline_code(&self) -> Vec<String> {
        let prose = self.prose();
        let spans = prose.split("\n\n").flat_map(|paragraph| {
            let paragraph = paragraph.replace('\n', " ").replace("``", "");
            let parts: Vec<String> = paragraph.split('`').map(str::to_owned).collect();
            parts.into_iter().skip(1).step_by(2)
        });
        spans.collect()
    }

    /// The targets of links that are not addresses of the web.
    pub fn links(&self) -> Vec<String> {
        let prose = self.prose();
        let targets = prose.split("](").skip(1);
        let targets = targets.filter_map(|rest| rest.split_once(')').map(|(target, _)| target.to_owned()));
        targets
            .filter(|target| !target.contains("://") && !target.starts_with("mailto:"))
            .collect()
    }
}
