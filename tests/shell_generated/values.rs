//! What generated scripts are made of: values, names and texts that both engines hold to be the same.

use fastrand::Rng;
use std::fmt::Write as _;

/// One of several.
pub fn pick<'a>(random: &mut Rng, from: &[&'a str]) -> &'a str {
    from[random.usize(..from.len())]
}

/// True once in so many times.
pub fn once_in(random: &mut Rng, times: u32) -> bool {
    random.u32(..times) == 0
}

/// Letters, words, and what is easily misread between them.
pub fn text(random: &mut Rng) -> String {
    const BITS: &[&str] = &[
        "a",
        "Z",
        "word",
        "two words",
        " ",
        "  ",
        "\n",
        "\t",
        "'",
        "\"",
        "\\",
        "\\n",
        "|",
        ",",
        ";",
        "<b>",
        "&",
        "--",
        "/*",
        "0",
        "12",
        "-",
        ".",
        "_x",
        "(",
        "é",
        "null",
        "NULL",
        "x'41'",
        "averylongwordthatwraps",
    ];
    let bits = match random.u32(..10) {
        0 => 0,
        1..=6 => random.usize(1..4),
        _ => random.usize(4..16),
    };
    (0..bits).map(|_| pick(random, BITS)).collect()
}

/// A text as SQL.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A value as SQL. `exact` leaves out reals that the older engine writes with digits that are not theirs.
pub fn value(random: &mut Rng, exact: bool) -> String {
    const INTEGERS: &[&str] = &[
        "0",
        "1",
        "-1",
        "42",
        "-20",
        "9223372036854775807",
        "-9223372036854775807",
        "1234567890123",
    ];
    const EXACT: &[&str] = &["0.5", "-2.5", "1.0", "100.25", "1e10", "-0.125", "1234.5"];
    const INEXACT: &[&str] = &["0.1", "1e300", "1e-5", "3.14159", "1e15", "1e16", "-1.5e-300", "9e999"];
    const BLOBS: &[&str] = &["x''", "x'4142'", "x'7c2c'", "x'0a41'", "zeroblob(0)"];
    const ODD: &[&str] = &[
        "char(13)",
        "char(13,10)",
        "'x'||char(13,10)||'y'",
        "char(1,27,127)",
        "'a'||char(9,9)||'b'",
        "char(11)||'v'",
        "char(8364)",
    ];
    match random.u32(..20) {
        0..=2 => pick(random, INTEGERS).to_owned(),
        3 | 4 => pick(random, EXACT).to_owned(),
        5 if !exact => pick(random, INEXACT).to_owned(),
        5..=7 => "null".to_owned(),
        8 => pick(random, BLOBS).to_owned(),
        9 => pick(random, ODD).to_owned(),
        _ => literal(&text(random)),
    }
}

/// A name, unquoted.
pub fn name(random: &mut Rng) -> String {
    const NAMES: &[&str] = &[
        "a",
        "b",
        "c",
        "id",
        "name",
        "B",
        "x1",
        "_",
        "select",
        "order",
        "two words",
        "x\"y",
        "it's",
        "a.b",
        "1st",
        "a-b",
        "a|b",
        "a,b",
        "long_name_of_a_column_that_goes_on",
        "[x]",
        "`y`",
        "%",
    ];
    pick(random, NAMES).to_owned()
}

/// A name as SQL.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A query with columns of any values.
pub fn query(random: &mut Rng, exact: bool) -> String {
    let width = random.usize(1..6);
    let names: Vec<String> = (0..width).map(|_| name(random)).collect();
    let mut sql = String::new();
    for row in 0..random.usize(1..5) {
        sql.push_str(if row == 0 { "select " } else { " union all select " });
        for (index, name) in names.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            let _ = write!(sql, "{comma}{} as {}", value(random, exact), quoted(name));
        }
    }
    if once_in(random, 12) {
        sql = format!("select * from ({sql}) where 0");
    }
    sql + ";\n"
}
