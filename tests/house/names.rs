//! The names that the product declares, and the words that are not the field's (`docs/glossary.md`, for contributors).

use super::source::product;
use std::collections::{BTreeMap, BTreeSet};
use syn::visit::{self, Visit};

/// What a name names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NameKind {
    Type,
    /// A type that other files can name.
    PublicType,
    Function,
    /// A variable, an argument or a field.
    Variable,
    File,
}

/// A name, and where it is declared: `src/…:line`.
#[derive(Debug)]
pub struct DeclaredName {
    pub kind: NameKind,
    pub name: String,
    pub at: String,
}

/// Metaphors that once named types here: the field has a word for each.
const TYPES: &[&str] = &[
    "Account",
    "Arriving",
    "Asked",
    "Begun",
    "Busy",
    "Case",
    "Collected",
    "Cure",
    "Desk",
    "Does",
    "End",
    "Ending",
    "Fault",
    "Flow",
    "Form",
    "Given",
    "Guest",
    "Inward",
    "Kept",
    "Known",
    "Laboratory",
    "Lane",
    "Letter",
    "Link",
    "Links",
    "Loan",
    "Lobby",
    "Look",
    "Meta",
    "Moving",
    "Note",
    "Open",
    "Place",
    "Promise",
    "Ran",
    "Refusal",
    "Refused",
    "Rising",
    "Sense",
    "Shape",
    "Shown",
    "Sight",
    "Silence",
    "Speech",
    "Stopped",
    "Stray",
    "Tenancy",
    "Told",
    "Translation",
    "Verdict",
    "Waiting",
    "Work",
];

/// Words that name no function and no variable.
const WORDS: &[&str] = &[
    "admit",
    "anew",
    "asked",
    "caution",
    "cure",
    "dismiss",
    "dissolve",
    "given",
    "greet",
    "heal",
    "kept",
    "look",
    "lobby",
    "ripe",
    "sent_away",
    "settle",
    "shown",
    "told",
    "uninvite",
    "vet",
];

/// Words that name no function.
const FUNCTIONS: &[&str] = &["found", "hand_over", "lend", "mend", "ran", "said"];

/// Words that name no file.
const FILES: &[&str] = &[
    "access",
    "caution",
    "danger",
    "desk",
    "expert",
    "flow",
    "keeper",
    "labels",
    "lanes",
    "laboratory",
    "links",
    "lobby",
    "moves",
    "person",
    "place",
    "places",
    "reading",
    "refusal",
    "speech",
    "tenant",
    "to_server",
    "waiting",
];

/// A function whose name has one of these is a sentence.
const SENTENCES: &[&str] = &[
    "that", "was", "were", "what", "which", "who", "whose", "nothing", "nobody", "it", "them",
];

/// Words that are no part of a function's name either.
const PARTS: &[&str] = &[
    "anew", "asked", "cleared", "given", "giver", "kept", "settle", "settled", "shown", "tell", "told",
];

/// Every name that the product declares.
pub fn declared_names() -> Vec<DeclaredName> {
    let mut names = Vec::new();
    for file in &product().files {
        let at = format!("src/{}", file.path.display());
        if let Some(last) = file.module.last() {
            let name = last.clone();
            names.push(DeclaredName {
                kind: NameKind::File,
                name,
                at: at.clone(),
            });
        }
        let mut declarations = Declarations { at, names: &mut names };
        for item in &file.items {
            declarations.visit_item(item);
        }
    }
    names
}

/// The names that are words of [`TYPES`], [`WORDS`], [`FUNCTIONS`] or [`FILES`].
pub fn foreign_names(names: &[DeclaredName]) -> Vec<String> {
    let is_foreign = |name: &DeclaredName| {
        let is_in = |list: &[&str]| list.contains(&name.name.as_str());
        match name.kind {
            NameKind::Type | NameKind::PublicType => is_in(TYPES),
            NameKind::Function => {
                is_in(WORDS) || is_in(FUNCTIONS) || name.name.split('_').any(|part| PARTS.contains(&part))
            }
            NameKind::Variable => is_in(WORDS),
            NameKind::File => is_in(FILES) || is_in(WORDS),
        }
    };
    listed(names.iter().filter(|name| is_foreign(name)))
}

/// Functions whose names are sentences. A test of a condition (`is_…`, `has_…`) may have one of the words.
pub fn sentence_names(names: &[DeclaredName]) -> Vec<String> {
    let is_sentence = |name: &DeclaredName| {
        name.kind == NameKind::Function && name.name.split('_').any(|word| SENTENCES.contains(&word))
    };
    listed(names.iter().filter(|name| is_sentence(name)))
}

/// Names that more than one public type outside `commands/` has, each with the places.
pub fn duplicated_types(names: &[DeclaredName]) -> Vec<String> {
    let mut places: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for name in names {
        if name.kind == NameKind::PublicType && !name.at.starts_with("src/commands/") {
            // Twice in one file is one for each platform.
            let file = name.at.split(':').next().unwrap_or_default();
            places.entry(&name.name).or_default().insert(file);
        }
    }
    places
        .into_iter()
        .filter(|(_, places)| places.len() > 1)
        .map(|(name, places)| format!("{name}: {}", Vec::from_iter(places).join(", ")))
        .collect()
}

fn listed<'a>(names: impl Iterator<Item = &'a DeclaredName>) -> Vec<String> {
    names
        .map(|name| format!("{} {} ({:?})", name.at, name.name, name.kind))
        .collect()
}

struct Declarations<'n> {
    at: String,
    names: &'n mut Vec<DeclaredName>,
}

impl Declarations<'_> {
    fn add(&mut self, kind: NameKind, name: &syn::Ident) {
        self.names.push(DeclaredName {
            kind,
            name: name.to_string(),
            at: format!("{}:{}", self.at, name.span().start().line),
        });
    }

    fn add_type(&mut self, visibility: &syn::Visibility, name: &syn::Ident) {
        let kind = match visibility {
            syn::Visibility::Inherited => NameKind::Type,
            _ => NameKind::PublicType,
        };
        self.add(kind, name);
    }
}

impl<'ast> Visit<'ast> for Declarations<'_> {
    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.add_type(&item.vis, &item.ident);
        visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.add_type(&item.vis, &item.ident);
        visit::visit_item_enum(self, item);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.add_type(&item.vis, &item.ident);
        visit::visit_item_trait(self, item);
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        self.add_type(&item.vis, &item.ident);
        visit::visit_item_type(self, item);
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        self.add(NameKind::Function, &signature.ident);
        visit::visit_signature(self, signature);
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        if let Some(name) = &field.ident {
            self.add(NameKind::Variable, name);
        }
        visit::visit_field(self, field);
    }

    fn visit_pat_ident(&mut self, pattern: &'ast syn::PatIdent) {
        self.add(NameKind::Variable, &pattern.ident);
        visit::visit_pat_ident(self, pattern);
    }
}
