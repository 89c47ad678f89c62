//! The product's source, parsed: each file of `src` without its unit tests, and how many lines are which.

use crate::support::{crate_root, tree};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use syn::spanned::Spanned as _;

/// A file of `src` that is part of the product.
pub struct SourceFile {
    /// Relative to `src`.
    pub path: PathBuf,
    /// The module's path, such as `["control", "names"]`; empty for `lib.rs`.
    pub module: Vec<String>,
    pub text: String,
    /// Without what is compiled for tests only.
    pub items: Vec<syn::Item>,
    /// How many of its lines are unit tests.
    pub test_lines: usize,
}

/// The product's files, and the lines of unit tests in files of their own.
pub struct Product {
    pub files: Vec<SourceFile>,
    pub test_lines: usize,
}

/// Reads and parses `src`, once for each process.
pub fn product() -> &'static Product {
    // Parsed trees cannot cross threads, so each thread that asks keeps its own.
    thread_local! {
        static PRODUCT: OnceLock<&'static Product> = const { OnceLock::new() };
    }
    PRODUCT.with(|product| *product.get_or_init(|| Box::leak(Box::new(load()))))
}

/// Rust files below a folder of the crate, with their text, by path relative to that folder.
pub fn rust_files(folder: &str) -> Vec<(PathBuf, String)> {
    let root = crate_root().join(folder);
    let mut files: Vec<_> = tree::list(&root)
        .into_keys()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| (path.clone(), std::fs::read_to_string(root.join(path)).unwrap()))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no source found in {}", root.display());
    files
}

/// The path of the module that a file is: without `.rs` and `/mod`.
pub fn module_path(path: &Path) -> Vec<String> {
    let mut parts: Vec<String> = path
        .with_extension("")
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    if parts.last().is_some_and(|last| last == "mod") || parts == ["lib"] {
        parts.pop();
    }
    parts
}

fn load() -> Product {
    let mut files: Vec<SourceFile> = rust_files("src")
        .into_iter()
        .map(|(path, text)| {
            let items = syn::parse_file(&text)
                .unwrap_or_else(|error| panic!("src/{}: {error}", path.display()))
                .items;
            SourceFile {
                module: module_path(&path),
                path,
                text,
                items,
                test_lines: 0,
            }
        })
        .collect();
    // A file that is a test's is named by `#[cfg(test)] mod NAME;`.
    let mut of_tests: BTreeSet<Vec<String>> = BTreeSet::new();
    for file in &mut files {
        let (tests, items) = std::mem::take(&mut file.items)
            .into_iter()
            .partition(|item| is_for_tests(item_attributes(item)));
        file.items = items;
        for item in tests {
            let lines = item.span().end().line - item.span().start().line + 1;
            match item {
                syn::Item::Mod(module) if module.content.is_none() => {
                    of_tests.insert([file.module.clone(), vec![module.ident.to_string()]].concat());
                }
                _ => file.test_lines += lines,
            }
        }
    }
    let (tests, files): (Vec<_>, Vec<_>) = files
        .into_iter()
        .partition(|file| (1..=file.module.len()).any(|length| of_tests.contains(&file.module[..length])));
    Product {
        test_lines: tests.iter().map(|file| file.text.lines().count()).sum(),
        files,
    }
}

/// Whether something has `#[cfg(test)]`, alone or within `all`.
pub fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.meta.require_list().is_ok_and(|list| {
                let text = list.tokens.to_string();
                text == "test" || text.starts_with("all (test")
            })
    })
}

fn item_attributes(item: &syn::Item) -> &[syn::Attribute] {
    use syn::Item::{Const, Enum, Fn, Impl, Macro, Mod, Static, Struct, Trait, Type, Use};
    match item {
        Const(item) => &item.attrs,
        Enum(item) => &item.attrs,
        Fn(item) => &item.attrs,
        Impl(item) => &item.attrs,
        Macro(item) => &item.attrs,
        Mod(item) => &item.attrs,
        Static(item) => &item.attrs,
        Struct(item) => &item.attrs,
        Trait(item) => &item.attrs,
        Type(item) => &item.attrs,
        Use(item) => &item.attrs,
        _ => &[],
    }
}
