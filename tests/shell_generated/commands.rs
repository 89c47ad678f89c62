//! Dot-commands: every abbreviation, right and wrong arguments in every way of quoting, and what they leave behind.

use super::values::{once_in, pick};
use crate::support::beside::Case;
use fastrand::Rng;
use std::fmt::Write as _;

/// What a command takes; `*` is one of [`SWITCHES`], `#` one of [`NUMBERS`].
const COMMANDS: &[(&str, &[&str])] = &[
    ("bail", &["*", "", "* *"]),
    ("binary", &["*", ""]),
    ("cd", &["TMP", "nosuch", "", "a b", "."]),
    ("changes", &["*", "", "on off"]),
    ("clone", &["", "copy.db x"]),
    (
        "connection",
        &["", "0", "1", "2", "close 1", "close 0", "close 9", "7", "x", "close"],
    ),
    ("databases", &["", "x"]),
    (
        "dbconfig",
        &[
            "nosuch",
            "defensive on",
            "defensive",
            "dqs_ddl off",
            "enable_fkey 1",
            "x y z",
        ],
    ),
    (
        "dump",
        &[
            "",
            "t",
            "t u",
            "n%",
            "--newlines",
            "--data-only t",
            "--nosys",
            "--nosuch",
            "--preserve-rowids",
        ],
    ),
    ("echo", &["*", "", "* *"]),
    ("eqp", &["off", "0", "no", "", "nosuch"]),
    ("explain", &["*", "auto", "", "off"]),
    ("fullschema", &["", "--indent", "x", "-indent"]),
    ("headers", &["*", "", "* *"]),
    ("indexes", &["", "t", "%", "nosuch", "t u"]),
    ("indices", &["", "t", "T"]),
    (
        "lint",
        &[
            "",
            "fkey-indexes",
            "fkey",
            "nosuch",
            "fkey-indexes -verbose",
            "fkey-indexes -groupbyparent",
        ],
    ),
    (
        "mode",
        &[
            "list",
            "csv",
            "column",
            "box --wrap 5",
            "quote x",
            "insert t u",
            "line -nosuch",
            "x y z",
            "",
        ],
    ),
    ("nonce", &["", "a b"]),
    ("nullvalue", &["N", "", "a b", "''", "\"a b\"", "\\102\\101"]),
    (
        "once",
        &[
            "out.txt",
            "out1.txt",
            "|cat",
            "off",
            "",
            "/nosuch/dir/x",
            "--bom out.txt",
            "a b",
            "-nosuch",
        ],
    ),
    ("open", &["", ":memory:", "FILE", "--new FILE", "--nosuch", "a b"]),
    (
        "output",
        &[
            "out.txt",
            "out2.txt",
            "",
            "stdout",
            "off",
            "/nosuch/dir/x",
            "--bom out.txt",
            "a b",
        ],
    ),
    (
        "parameter",
        &[
            "",
            "list",
            "init",
            "clear",
            "set :a 1",
            "set :a",
            "set @b 'x y'",
            "set $c \"1+1\"",
            "unset :a",
            "unset",
            "set ?1 x'41'",
            "nosuch",
            "set :a 1 2",
        ],
    ),
    (
        "print",
        &[
            "",
            "a  b",
            "'a  b'",
            "\"a\\tb\"",
            "'it''s'",
            "a\\tb",
            "\"q\\\"q\" x",
            "'un",
            "\"\\101\\x\\",
            "a'b'c \"d\"e",
            "\\\\ \\n \\0 z",
        ],
    ),
    ("progress", &["x", "--nosuch", "1000 --once --quiet"]),
    ("prompt", &["", "a", "a b", "a b c"]),
    (
        "read",
        &["", "nosuch", "a b", "TMP", "script.sql", "|echo 'select 77;'"],
    ),
    // A source that is not there empties the database in classic, and changes nothing here.
    ("restore", &["a b c"]),
    ("save", &["", "saved.x", "--nosuch f", "a b c"]),
    ("scanstats", &["*", ""]),
    (
        "schema",
        &[
            "",
            "t",
            "T%",
            "--indent",
            "-indent t",
            "--nosys",
            "nosuch",
            "t u",
            "--nosuch",
            "sqlite_schema",
            "sqlite_master",
            "main.t",
        ],
    ),
    ("separator", &[", ;", "\"\\t\"", "", "a b c", "'' ''", "\\n"]),
    (
        "sha3sum",
        &[
            "",
            "t",
            "--sha3-256",
            "--sha3-384 t",
            "--schema",
            "--nosuch",
            "-sha3-512",
            "t u",
        ],
    ),
    (
        "shell",
        &["echo a  b", "", "exit 3", "echo 'a b'", "nosuchprogram 2>/dev/null"],
    ),
    ("show", &["", "x"]),
    ("stats", &["off", "0", "x y"]),
    ("system", &["echo \"a b\" c", "true"]),
    ("tables", &["", "t", "%u%", "T", "nosuch", "t u"]),
    ("timeout", &["#", "", "x"]),
    ("timer", &["off", "", "0", "* *"]),
    ("trace", &["off", "--nosuch"]),
    ("width", &["#", "# #", "", "x", "# # # # # #"]),
];

const SWITCHES: &[&str] = &[
    "on", "off", "yes", "no", "1", "0", "2", "ON", "Off", "YES", "maybe", "0x1", "00", "-1", "''", "\"on\"",
];
const NUMBERS: &[&str] = &[
    "0", "1", "-1", "10", "0x0a", "5K", "2MiB", "+3", "-0x2", "x", "''", "12abc",
];

/// Commands, or beginnings of them, that do what has to differ: their own help texts, other builds, times, processes.
fn differs(typed: &str) -> bool {
    // Too short to be the command that was meant, or another's beginning.
    const OTHERS: &[&str] = &["s", "sc", "t", "tr", "tra", "d", "r", "re", "l", "c", "st", "sta"];
    OTHERS.contains(&typed)
}

fn command(random: &mut Rng) -> String {
    let (name, arguments) = COMMANDS[random.usize(..COMMANDS.len())];
    let typed = match random.u32(..4) {
        0 => &name[..random.usize(1..=name.len())],
        _ => name,
    };
    let mut line = format!(".{}", if differs(typed) { name } else { typed });
    if once_in(random, 40) {
        line.insert_str(1, pick(random, &[" ", ".", "X", "\"", "'"]));
    }
    let arguments = pick(random, arguments);
    if !arguments.is_empty() {
        let _ = write!(line, "{}", pick(random, &[" ", " ", " ", "  ", "\t"]));
    }
    for letter in arguments.chars() {
        match letter {
            '*' => line.push_str(pick(random, SWITCHES)),
            '#' => line.push_str(pick(random, NUMBERS)),
            other => line.push(other),
        }
    }
    if once_in(random, 15) {
        line.push_str(pick(random, &[" ", ";", " extra", " ;", " --", "\t"]));
    }
    line
}

const STATEMENTS: &[&str] = &[
    "select * from t;",
    "select 1, null, 'x';",
    "insert into t values(1, 'new');",
    "update t set b = b || '!';",
    "select nope;",
    "select :a, @b, $c;",
    "select 1; select 2;",
    "delete from u;",
    "create table n(a);",
    "select changes();",
];

pub fn case(random: &mut Rng) -> Case {
    let mut script = String::from(
        "create table t(a integer primary key, b);\ninsert into t values(5,'five'),(6,null);\n\
         create table u(x references t, y text); create index ui on u(y);\ncreate view v as select * from t;\n",
    );
    for _ in 0..random.usize(2..7) {
        match random.u32(..3) {
            0 => script.push_str(pick(random, STATEMENTS)),
            _ => script.push_str(&command(random)),
        }
        script.push('\n');
    }
    script.push_str(pick(
        random,
        &[
            ".show\n",
            "select * from t;\n",
            ".tables\n",
            ".show\nselect 'end', null;\n",
        ],
    ));
    if script.contains(".sh") || script.contains(".sys") {
        // Classic does not write what it has to say before it runs a program.
        script = script
            .lines()
            .filter(|line| !line.starts_with(".e"))
            .map(|line| format!("{line}\n"))
            .collect();
    }
    Case {
        files: vec![(
            "script.sql".to_owned(),
            b"select 'read';\nselect nope;\n.print done\n".to_vec(),
        )],
        ..Case::in_memory(String::new(), script)
    }
}
