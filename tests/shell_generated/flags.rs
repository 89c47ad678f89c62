//! Command lines: flags, what comes with `-cmd` and `-init`, SQL and dot-commands as arguments, and the exit code of it all.

use super::values::{once_in, pick};
use crate::support::beside::Case;
use fastrand::Rng;

const FLAGS: &[&[&str]] = &[
    &["-csv"],
    &["-json"],
    &["-line"],
    &["-list"],
    &["-column"],
    &["-box"],
    &["-table"],
    &["-markdown"],
    &["-html"],
    &["-quote"],
    &["-tabs"],
    &["-ascii"],
    &["-header"],
    &["--header"],
    &["-noheader"],
    &["-separator", ";"],
    &["-separator", "\\t"],
    &["-newline", "#"],
    &["-newline", "\\r\\n"],
    &["-nullvalue", "nil"],
    &["-bail"],
    &["--bail"],
    &["-batch"],
    &["-echo"],
    &["-cmd", "select 'cmd'"],
    &["-cmd", ".mode csv"],
    &["-cmd", "select nope"],
    &["-cmd", ".headers on"],
    &["-cmd", ".nosuch"],
    &["-cmd", ".bail on"],
    &["-init", "init.sql"],
    &["-init", "nosuch.sql"],
    &["-readonly"],
    &["-safe"],
    &["-nonce", "n1", "-batch"],
    &["-nofollow"],
    &["-mmap", "1000000"],
    &["-lookaside", "64", "10"],
    &["-pagecache", "512", "10"],
    &["-maxsize", "1000"],
    &["-stats", "-cmd", ".stats off"],
];
const OPERANDS: &[&str] = &[
    "select 1",
    "select 1; select 2;",
    "select 1, null, 'a b'",
    "select nope",
    "select 1; selec 2; select 3",
    "",
    " ",
    "/* nothing */",
    ".print hello",
    ".tables",
    ".nosuch",
    ".mode csv",
    ".headers on",
    "select * from t",
    "create table t(a); insert into t values(1)",
    "insert into t values(1)",
    "insert into u values(1)",
    ".exit 3",
    ".quit",
    ".import --csv rows.csv t",
    ".import nosuch.csv t",
    ".import --csv rows.csv u",
    ".read init.sql",
    ".dump",
    "select abs(-9223372036854775807-1)",
    ".read nosuch.sql",
];
const LINES: &[&str] = &[
    "select 1;",
    "select 'a', null;",
    "select nope;",
    ".print line",
    ".mode box",
    ".bail on",
    ".bail off",
    ".exit 5",
    ".exit",
    ".quit",
    "create table s(a unique);",
    "insert into s values(1);",
    ".nosuch",
    "select 1; select nope; select 2;",
    "select 'pending",
    ".exit x",
    ".exit 256",
    ".headers on",
];

pub fn case(random: &mut Rng) -> Case {
    let mut words: Vec<String> = Vec::new();
    let flags = |random: &mut Rng, most: usize, words: &mut Vec<String>| {
        for _ in 0..random.usize(..most) {
            words.extend(FLAGS[random.usize(..FLAGS.len())].iter().map(|&word| word.to_owned()));
        }
    };
    if once_in(random, 30) {
        // Alone: what is wrong is told before anything runs here, and after some of it there.
        words.push(pick(random, &["-nosuch", "--nosuch=1", "-nullvalue", "-separator"]).to_owned());
    } else {
        flags(random, 4, &mut words);
    }
    words.push(
        pick(
            random,
            &[":memory:", ":memory:", ":memory:", "FILE", "link.db", "TMP/none/x.db"],
        )
        .to_owned(),
    );
    flags(random, 2, &mut words);
    if random.bool() {
        for _ in 0..random.usize(1..4) {
            words.push(pick(random, OPERANDS).to_owned());
        }
    }
    let mut script = String::new();
    for _ in 0..random.usize(..5) {
        script.push_str(pick(random, LINES));
        script.push('\n');
    }
    Case {
        name: String::new(),
        arguments: words,
        script,
        files: vec![
            (
                "init.sql".to_owned(),
                b"create table if not exists u(a unique);\n.headers on\nselect 'init' as i;\n".to_vec(),
            ),
            ("rows.csv".to_owned(), b"1,2\n1,3\n".to_vec()),
        ],
    }
}
