//! Damages texts: what is left is rarely a statement, but may be one to one parser and another to the other.

use fastrand::Rng;

/// Pieces that end or begin something.
const PIECES: &[&str] = &[
    "'",
    "\"",
    "`",
    "[",
    "]",
    "(",
    ")",
    ";",
    ",",
    ".",
    "--",
    "/*",
    "*/",
    "\n",
    "\0",
    "\u{feff}",
    "\\",
    "@",
    "$",
    "$a(",
    "$a::",
    "?",
    ":",
    "#",
    "x'",
    "0x",
    "1e",
    "é",
    "\u{a0}",
    "\u{1f600}",
    "\u{301}",
    "\r",
    "\x0c",
    "\x0b",
    "\x1a",
    "||",
    "->",
    "<>",
    "!",
    "!=",
    "==",
    "~",
    "{",
    "}",
    "^",
    "&",
    "begin",
    "end",
    "as",
    "from",
    "select",
    "window",
    "over",
    "filter",
    "union",
    "with",
    "not",
    "in",
    "'fsdir'",
    "fsdir",
    "sqlite_dbpage",
    "readfile",
    "explain",
    "create",
    "trigger",
    "case",
    "on",
    "using",
    "where",
    "set",
    "into",
    "values",
    "returning",
    "do",
    "indexed by",
    "not indexed",
    "materialized",
    "generated always as",
    "without rowid",
    "strict",
    "collate",
    "escape",
    "raise",
    "order by",
    "limit",
];

/// Changes tokens: some are dropped, doubled, swapped or replaced, or `other` goes on in the middle.
pub fn tokens(rng: &mut Rng, mut tokens: Vec<String>, other: &[String]) -> Vec<String> {
    for _ in 0..rng.usize(1..4) {
        if tokens.is_empty() {
            break;
        }
        let at = rng.usize(..tokens.len());
        match rng.u32(0..8) {
            0 => drop(tokens.remove(at)),
            1 => tokens.insert(at, tokens[at].clone()),
            2 => {
                let with = rng.usize(..tokens.len());
                tokens.swap(at, with);
            }
            3 | 4 => tokens.insert(at, PIECES[rng.usize(..PIECES.len())].to_owned()),
            5 => tokens[at] = PIECES[rng.usize(..PIECES.len())].to_owned(),
            6 if !other.is_empty() => {
                tokens.truncate(at);
                tokens.extend_from_slice(&other[rng.usize(..other.len())..]);
            }
            _ if !other.is_empty() => tokens[at].clone_from(&other[rng.usize(..other.len())]),
            _ => {}
        }
    }
    tokens
}

/// Changes characters: some go, come or change places.
pub fn bytes(rng: &mut Rng, text: &str) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    for _ in 0..rng.usize(1..5) {
        if characters.is_empty() {
            break;
        }
        let at = rng.usize(..characters.len());
        match rng.u32(0..6) {
            0 => drop(characters.remove(at)),
            1 => {
                let end = (at + rng.usize(1..6)).min(characters.len());
                characters.drain(at..end);
            }
            2 => {
                let piece = PIECES[rng.usize(..PIECES.len())];
                characters.splice(at..at, piece.chars());
            }
            3 => characters[at] = char::from(rng.u8(0..128)),
            4 => {
                let with = rng.usize(..characters.len());
                characters.swap(at, with);
            }
            _ => characters.truncate(at),
        }
    }
    characters.into_iter().collect()
}

/// A shorter text for which `fails` still holds, as short as dropping pieces makes it.
pub fn minimize(text: &str, mut fails: impl FnMut(&str) -> bool) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    let mut size = characters.len().div_ceil(2);
    while size > 0 {
        let mut at = 0;
        while at < characters.len() {
            let mut shorter = characters.clone();
            shorter.drain(at..(at + size).min(characters.len()));
            if fails(&shorter.iter().collect::<String>()) {
                characters = shorter;
            } else {
                at += size;
            }
        }
        size /= 2;
    }
    characters.into_iter().collect()
}
