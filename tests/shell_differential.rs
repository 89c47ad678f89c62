//! The shell against the system's `sqlite3`: the same scripts through both must give the same bytes on standard output,
//! the same exit code, and something on standard error from both or from neither.
//!
//! Scripts are in `shell/cases.txt`. Where the two differ on purpose, or because the engines do, the case stands in
//! [`EXCEPTIONS`] with the reason. Without the oracle, or with another generation of it, they fail: there is nothing to compare with.

use crate::support::beside::{Case, compare, need_oracle, report, tell};
use std::collections::BTreeMap;

/// Cases that differ, each with its reason.
const EXCEPTIONS: &[(&str, &str)] = &include!("shell/exceptions.in");

fn cases() -> Vec<Case> {
    let text = include_str!("shell/cases.txt");
    let mut cases: Vec<Case> = Vec::new();
    for line in text.split_inclusive('\n') {
        if let Some(head) = line.strip_prefix("%% ") {
            let (name, arguments) = head
                .trim_end()
                .split_once(" :: ")
                .unwrap_or((head.trim_end(), ":memory:"));
            cases.push(Case {
                name: name.to_owned(),
                arguments: words(arguments),
                script: String::new(),
                files: Vec::new(),
            });
        } else if let Some(case) = cases.last_mut() {
            case.script.push_str(line);
        }
    }
    cases
}

/// Words between blanks; those with blanks in them stand in double quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let (word, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap(),
            None => rest.split_once(' ').unwrap_or((rest, "")),
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    words
}

#[test]
fn scripts_get_the_answers_of_sqlite3() {
    need_oracle();
    let cases = cases();
    let reasons: BTreeMap<&str, &str> = EXCEPTIONS.iter().copied().collect();
    for name in reasons.keys() {
        assert!(cases.iter().any(|case| case.name == *name), "no case {name}");
    }
    let differing = compare(&cases);
    tell(format_args!(
        "shell: {} of {} scripts answered as sqlite3 answers them, {} exceptions",
        cases.len() - differing.len(),
        cases.len(),
        reasons.len()
    ));
    let agreeing: Vec<&&str> = reasons
        .keys()
        .filter(|name| differing.iter().all(|found| found.case.name != **name))
        .collect();
    assert!(agreeing.is_empty(), "exceptions that agree now: {agreeing:?}");
    let unexcused: Vec<_> = differing
        .iter()
        .filter(|found| !reasons.contains_key(found.case.name.as_str()))
        .collect();
    assert!(unexcused.is_empty(), "{}", report(&unexcused));
}

/// Values whose text is the same in every version of the engine.
const VALUES: [&str; 22] = [
    "1",
    "-20",
    "0",
    "9223372036854775807",
    "2.5",
    "1e10",
    "1.0",
    "100.25",
    "null",
    "''",
    "'abc'",
    "'it''s'",
    "'a|b,c\"d'",
    "'line1\nline2'",
    "x'4142'",
    "x''",
    "'  sp '",
    "'<b>&'",
    "'a\\b'",
    "char(13,10)",
    "'word word word word word word word word word word word word word word'",
    "x'01ff'",
];

const DOT_COMMANDS: [&str; 62] = [
    ".mode list",
    ".mode csv",
    ".mode column",
    ".mode line",
    ".mode json",
    ".mode html",
    ".mode insert",
    ".mode insert t",
    ".mode quote",
    ".mode tabs",
    ".mode tcl",
    ".mode ascii",
    ".mode box",
    ".mode table",
    ".mode markdown",
    ".mode qbox",
    ".mode column --wrap 10",
    ".mode box --wrap 8 --ww",
    ".mode table --quote",
    ".mode nosuch",
    ".mode",
    ".headers on",
    ".headers off",
    ".headers maybe",
    ".nullvalue NULL",
    ".nullvalue",
    ".separator ;",
    ".separator , \\r\\n",
    ".separator",
    ".width 5 10",
    ".width",
    ".width -8 3",
    ".show",
    ".echo on",
    ".echo off",
    ".changes on",
    ".changes off",
    ".print hello  world",
    ".print \"a\\tb\" 'c'",
    ".tables",
    ".tables t%",
    ".schema",
    ".schema t1",
    ".schema --indent",
    ".indexes",
    ".bail off",
    ".dump",
    ".dump t1",
    ".eqp on",
    ".eqp off",
    ".once /dev/null",
    ".once |cat",
    ".output",
    ".foo",
    ".databases",
    ".limit length",
    ".parameter set :a 5",
    ".parameter list",
    ".parameter clear",
    ".explain auto",
    ".fullschema",
    ".sha3sum",
];

fn statement(random: &mut fastrand::Rng) -> String {
    let mut value = || random.choice(VALUES).unwrap();
    let [a, b, c, d] = [value(), value(), value(), value()];
    let table = random.u8(1..=4);
    match random.u8(0..16) {
        0 => format!("select {a}, {b}, {c};"),
        1 => format!("select {a} as a, {b} as \"b c\" union all select {c}, {d};"),
        2 | 3 => format!("create table t{table}(a, b integer, c text);"),
        4 | 5 => format!("insert into t{table} values({a}, {b}, {c});"),
        6 => format!("select * from t{table};"),
        7 => "select nope;".to_owned(),
        8 => "select 1; select 2; select nope; select 3;".to_owned(),
        9 => "select\n 1,\n -- comment\n 2\n;".to_owned(),
        10 => "/* two\nlines */ select 3;".to_owned(),
        11 => format!("create view v{table} as select {a} as x;"),
        12 => format!("create index i{table} on t{table}(a, b);"),
        // Named, because names are aligned by display width here and by bytes there.
        13 => format!("select 'ünïcode' as u, 'tab\\there' as t, {a} as v;"),
        14 => "begin;\ninsert into t1 values(1,2,3);\nrollback;".to_owned(),
        _ => "select :a, ?, @b;".to_owned(),
    }
}

/// Scripts made of pieces in any order: what no one thought of writing down.
#[test]
fn generated_scripts_get_the_answers_of_sqlite3() {
    const SCRIPTS: u64 = 250;
    need_oracle();
    let cases: Vec<Case> = (0..SCRIPTS)
        .map(|seed| {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut script = String::new();
            for _ in 0..random.u8(3..15) {
                if random.u8(0..10) < 4 {
                    script.push_str(random.choice(DOT_COMMANDS).unwrap());
                } else {
                    script.push_str(&statement(&mut random));
                }
                script.push('\n');
            }
            Case::in_memory(format!("seed {seed}"), script)
        })
        .collect();
    let differing = compare(&cases);
    tell(format_args!(
        "shell: {} of {SCRIPTS} generated scripts answered as sqlite3 answers them",
        cases.len() - differing.len()
    ));
    assert!(
        differing.is_empty(),
        "{}",
        report(&differing.iter().collect::<Vec<_>>())
    );
}

/// Beginnings and ends of statements, whole ones, and what stands between: any two of them make a script.
const PIECES: [&str; 34] = [
    "select 1",
    "select 1;select 2",
    "select 1\n/\n",
    "select 1\ngo\n",
    "select 1\nGo  \n",
    "select 1\n go;\n",
    "/\nselect 1;",
    "go\nselect 1;",
    "select 'a;\nb';",
    "select 'a\n.print x\nb';",
    "create trigger x after insert on t begin select 1; end;",
    "create temp trigger x after insert on t begin select 1;\n select case when 1 then 2 end;\nend;",
    "/* ; */ select 1;",
    "-- ;\nselect 1;",
    "select 1 -- x;\n;",
    "select 1 /* ; \n",
    "\u{feff}select 1;",
    "select 1;\r\nselect 2;\r\n.print x\r\n.mode csv\r\nselect 1,2;\r\n",
    "select \"a",
    "select [a;b]",
    "select `a;b`;",
    ";",
    "; ;",
    "explain select",
    "begin",
    "end;",
    "select 1;;select 2",
    "select case 1 when 1 then 2 end;",
    "create table t(a);\ncreate trigger tr after insert on t begin\nselect 1;\nend;\nselect * from t;",
    "select 1\n;\n",
    "\n\n#c\nselect 1;",
    "select 1 #c\n;",
    "select x'41';",
    "",
];

/// Where statements begin and end, in every pair of pieces.
#[test]
fn input_is_split_as_by_sqlite3() {
    need_oracle();
    let pairs = PIECES
        .iter()
        .flat_map(|first| PIECES.iter().map(move |second| format!("{first}\n{second}")));
    let cases: Vec<Case> = pairs.map(|script| Case::in_memory(script.clone(), script)).collect();
    let differing = compare(&cases);
    tell(format_args!(
        "shell: {} of {} pairs of pieces split as sqlite3 splits them",
        cases.len() - differing.len(),
        cases.len()
    ));
    assert!(
        differing.is_empty(),
        "{}",
        report(&differing.iter().collect::<Vec<_>>())
    );
}
