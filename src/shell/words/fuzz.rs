//! The words of dot-commands, from any line.

use super::{MOST, after, c_literal, integer, split, switch, unescape};
use crate::fuzz::{pieces, run};
use proptest::prelude::*;

const PIECES: &[&str] = &[
    "a",
    "word",
    " ",
    "  ",
    "\t",
    "'",
    "\"",
    "\\",
    "\\n",
    "\\0",
    "\\101",
    "\\7",
    "\\777",
    "\\\"",
    "\n",
    "é",
    "--x",
    "0x1F",
    "KiB",
    "-",
    "+",
    "99999999999999999999",
    "12",
    "on",
    "Off",
    ".",
    "\u{0}",
    "\u{7f}",
];

#[test]
fn words_fuzz_any_line_has_words() {
    run("lines of words", 15_000, pieces(PIECES, 24), |line| {
        let words = split(line.as_bytes());
        prop_assert!(words.len() <= MOST);
        prop_assert!(words.iter().map(Vec::len).sum::<usize>() <= line.len());
        for skipped in 0..=words.len() + 1 {
            let rest = after(line.as_bytes(), skipped);
            prop_assert!(rest.is_empty() || line.as_bytes().windows(rest.len()).any(|part| part == rest));
        }
        prop_assert!(unescape(line.as_bytes()).len() <= line.len());
        let _ = (integer(&line), switch(&line));
        Ok(())
    });
}

#[test]
fn words_fuzz_quoted_words_come_back() {
    let word = pieces(PIECES, 6).prop_filter("C strings end at a NUL", |word| !word.contains('\0'));
    run("quoted words", 8_000, proptest::collection::vec(word, 0..6), |words| {
        let line: Vec<String> = words.iter().map(|word| c_literal(word)).collect();
        let back: Vec<String> = split(line.join(" ").as_bytes())
            .into_iter()
            .map(|word| String::from_utf8(word).unwrap())
            .collect();
        prop_assert_eq!(back, words);
        Ok(())
    });
}

#[test]
fn words_fuzz_whole_numbers_come_back() {
    run("numbers", 3_000, any::<i64>(), |number| {
        prop_assert_eq!(integer(&number.to_string()), number);
        Ok(())
    });
}
