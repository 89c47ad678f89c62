//! Which file imports which, and the circles among them.

use super::source::{SourceFile, product};
use proc_macro2::{TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};
use syn::visit::{self, Visit};

/// A module, and the modules that it names.
pub type ImportGraph = BTreeMap<String, BTreeSet<String>>;

/// The modules of `src`, each with the modules that it names: in `use`, in paths and in what macros are given. What a module
/// has to do with its own parents and children does not count: they are one room. Unit tests do not count either.
pub fn import_graph() -> ImportGraph {
    let product = product();
    let known: BTreeSet<String> = product.files.iter().map(|file| file.module.join("::")).collect();
    product
        .files
        .iter()
        .map(|file| (file.module.join("::"), imports(file, &known)))
        .collect()
}

/// The part of a graph whose modules are `room` or below it.
pub fn within(graph: &ImportGraph, room: &str) -> ImportGraph {
    let is_in = |module: &str| {
        module
            .strip_prefix(room)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    graph
        .iter()
        .filter(|(module, _)| is_in(module))
        .map(|(module, others)| {
            let others = others.iter().filter(|other| is_in(other)).cloned().collect();
            (module.clone(), others)
        })
        .collect()
}

/// Groups of modules that name each other in a circle.
pub fn import_circles(graph: &ImportGraph) -> BTreeSet<BTreeSet<&str>> {
    let reach: BTreeMap<&str, BTreeSet<&str>> = graph
        .keys()
        .map(|module| (module.as_str(), reachable(graph, module)))
        .collect();
    reach
        .iter()
        .filter(|(module, reached)| reached.contains(*module))
        .map(|(module, reached)| {
            reached
                .iter()
                .copied()
                .filter(|other| reach[other].contains(module))
                .collect()
        })
        .collect()
}

/// What can be reached from `start`.
fn reachable<'g>(graph: &'g ImportGraph, start: &str) -> BTreeSet<&'g str> {
    let mut seen = BTreeSet::new();
    let mut next: Vec<&str> = vec![start];
    while let Some(module) = next.pop() {
        for other in &graph[module] {
            if seen.insert(other.as_str()) {
                next.push(other);
            }
        }
    }
    seen
}

fn imports(file: &SourceFile, known: &BTreeSet<String>) -> BTreeSet<String> {
    let mut paths = Paths::default();
    for item in &file.items {
        paths.visit_item(item);
    }
    let module = file.module.join("::");
    paths
        .found
        .iter()
        .filter_map(|path| named_module(&file.module, path, known))
        .filter(|other| !other.is_empty() && *other != module && !is_kin(&module, other))
        .collect()
}

/// The longest known module that a path leads to, seen from `from`.
fn named_module(from: &[String], path: &[String], known: &BTreeSet<String>) -> Option<String> {
    let mut whole: Vec<&str> = from.iter().map(String::as_str).collect();
    for part in path {
        match part.as_str() {
            "crate" => whole.clear(),
            "super" => {
                whole.pop();
            }
            "self" => {}
            part => whole.push(part),
        }
    }
    (1..=whole.len())
        .rev()
        .map(|length| whole[..length].join("::"))
        .find(|module| known.contains(module))
}

fn is_kin(one: &str, other: &str) -> bool {
    let is_below = |one: &str, other: &str| one.strip_prefix(other).is_some_and(|rest| rest.starts_with("::"));
    is_below(one, other) || is_below(other, one)
}

/// The paths of a file that begin with `crate`, `super` or `self`.
#[derive(Default)]
struct Paths {
    found: Vec<Vec<String>>,
}

impl Paths {
    fn add(&mut self, path: Vec<String>) {
        if path.len() > 1 && matches!(path[0].as_str(), "crate" | "super" | "self") {
            self.found.push(path);
        }
    }

    fn add_tree(&mut self, prefix: &[String], tree: &syn::UseTree) {
        let joined = |name: &syn::Ident| [prefix, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.add_tree(&joined(&path.ident), &path.tree),
            syn::UseTree::Name(name) => self.add(joined(&name.ident)),
            syn::UseTree::Rename(rename) => self.add(joined(&rename.ident)),
            syn::UseTree::Glob(_) => self.add(prefix.to_vec()),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.add_tree(prefix, tree)),
        }
    }

    /// What a macro is given is not parsed: names joined by `::` are a path.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(name) if colons == 2 || path.is_empty() => path.push(name.to_string()),
                TokenTree::Ident(name) => self.add(std::mem::replace(&mut path, vec![name.to_string()])),
                TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() => {
                    colons += 1;
                    continue;
                }
                TokenTree::Group(group) => {
                    self.add(std::mem::take(&mut path));
                    self.add_tokens(group.stream());
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => self.add(std::mem::take(&mut path)),
            }
            colons = 0;
        }
        self.add(path);
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.add_tree(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.add(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.add_tokens(call.tokens.clone());
        visit::visit_macro(self, call);
    }
}

#[test]
fn import_circles_through_other_files_are_found() {
    let graph: ImportGraph = [("a", "b"), ("b", "c"), ("c", "a"), ("d", "a")]
        .into_iter()
        .map(|(from, to)| (from.to_owned(), BTreeSet::from([to.to_owned()])))
        .collect();
    assert_eq!(
        import_circles(&graph),
        BTreeSet::from([BTreeSet::from(["a", "b", "c"])])
    );
}

#[test]
fn imports_in_uses_paths_and_macros_are_read() {
    let text = "use super::{a, b::{c, d as e}};\nfn f() { crate::g::h(); println!(\"{}\", super::i::j(self::k)) }";
    let mut paths = Paths::default();
    for item in syn::parse_file(text).unwrap().items {
        paths.visit_item(&item);
    }
    let found: Vec<String> = paths.found.iter().map(|path| path.join("::")).collect();
    assert_eq!(
        found,
        [
            "super::a",
            "super::b::c",
            "super::b::d",
            "crate::g::h",
            "super::i::j",
            "self::k"
        ]
    );
}
