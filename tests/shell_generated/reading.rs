//! Scripts that read scripts: how deep, what stops them, what the exit code is, and where their output goes.

use super::values::{once_in, pick};
use crate::support::beside::Case;
use fastrand::Rng;

const LINES: &[&str] = &[
    "select 'here';",
    "select nope;",
    "select 1; select nope; select 2;",
    ".print p",
    ".nosuch",
    ".mode csv",
    ".mode list",
    ".headers on",
    ".bail on",
    ".bail off",
    ".exit",
    ".exit 4",
    ".quit",
    ".read a.sql",
    ".read b.sql",
    ".read c.sql",
    ".read none.sql",
    ".read \"|echo select 9\"",
    ".read '|cat a.sql'",
    ".once out1.txt",
    ".output out2.txt",
    ".output",
    ".echo on",
    ".echo off",
    "select 'a\nb';",
    "select 1 -- no end",
    "select 'open",
    ";",
    "insert into t values(1);",
    "create table t(a unique);",
    ".testcase one",
    ".check 1*",
    ".changes on",
    "begin;",
    "rollback;",
    "commit;",
    "select :x;",
    ".parameter set :x 7",
    ".read",
    ".print \"a b\" c",
];

fn lines(random: &mut Rng, most: usize) -> String {
    let mut text = String::new();
    for _ in 0..random.usize(1..most) {
        text.push_str(pick(random, LINES));
        text.push_str(if once_in(random, 12) { "\r\n" } else { "\n" });
    }
    if once_in(random, 8) {
        text.pop();
    }
    text
}

pub fn case(random: &mut Rng) -> Case {
    // A file reads only those after it, or the output would be endless in breadth.
    let below = |text: String, forbidden: &[&str]| -> Vec<u8> {
        let mut text = text;
        for name in forbidden {
            // A program that fails fails the command here, and not there.
            text = text.replace(&format!("|cat {name}.sql"), "|true");
            text = text.replace(&format!("{name}.sql"), "none.sql");
        }
        text.into_bytes()
    };
    let mut script = lines(random, 8);
    if once_in(random, 10) {
        script.push_str(".read self.sql\n");
    }
    Case {
        files: vec![
            ("a.sql".to_owned(), below(lines(random, 6), &["a"])),
            ("b.sql".to_owned(), below(lines(random, 6), &["a", "b"])),
            ("c.sql".to_owned(), below(lines(random, 6), &["a", "b", "c"])),
            ("self.sql".to_owned(), b"select 'deeper';\n.read self.sql\n".to_vec()),
        ],
        ..Case::in_memory(String::new(), script)
    }
}
