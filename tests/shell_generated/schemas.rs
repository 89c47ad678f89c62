//! Schemas with everything in them, and the commands that show and dump them.

use super::values::{literal, name, once_in, pick, quoted, text, value};
use crate::support::beside::Case;
use fastrand::Rng;
use std::fmt::Write as _;

const TYPES: &[&str] = &[
    "",
    " integer",
    " text",
    " real",
    " blob",
    " numeric",
    " varchar(10)",
    " int not null",
    " text collate nocase",
    " default 5",
    " text default 'it''s'",
    " check(1)",
];
const COMMANDS: &[&str] = &[
    ".dump",
    ".dump",
    ".dump",
    ".dump t%",
    ".dump --preserve-rowids",
    ".dump --data-only",
    ".dump --newlines",
    ".dump --nosys",
    ".dump 'two words' t1",
    ".dump a%",
    ".schema",
    ".schema",
    ".schema t%",
    ".schema --indent",
    ".schema --indent t%",
    ".schema --nosys",
    ".schema 'two words'",
    ".schema a%",
    ".schema main.t%",
    ".schema %v1",
    ".tables",
    ".tables t%",
    ".tables %w%",
    ".indexes",
    ".indexes t1",
    ".indexes %",
    ".fullschema",
    ".fullschema --indent",
    ".sha3sum",
    ".sha3sum --schema",
    ".sha3sum t%",
    ".lint fkey-indexes",
    ".databases",
    ".lint fkey-indexes -verbose",
];

struct Table {
    name: String,
    columns: Vec<String>,
}

fn blanks(random: &mut Rng) -> &'static str {
    pick(random, &["", "", "", " ", "\n  "])
}

fn table(random: &mut Rng, number: usize, others: &[Table]) -> (Table, String) {
    let called = if once_in(random, 3) {
        format!("{}{number}", name(random))
    } else {
        format!("t{number}")
    };
    let written = if called.starts_with('t') && random.bool() {
        called.clone()
    } else {
        quoted(&called)
    };
    let mut columns = Vec::new();
    let mut sql = format!("create {}table {written}(", pick(random, &["", "", "", "", "temp "]));
    for index in 0..random.usize(1..5) {
        let column = if once_in(random, 3) {
            format!("{}{index}", name(random))
        } else {
            format!("c{index}")
        };
        let comma = if index == 0 { "" } else { "," };
        let _ = write!(
            sql,
            "{comma}{}{}{}",
            blanks(random),
            quoted(&column),
            pick(random, TYPES)
        );
        columns.push(column);
    }
    match random.u32(..8) {
        0 => {
            let _ = write!(sql, ", primary key({})", quoted(&columns[0]));
        }
        1 => {
            let _ = write!(sql, ", unique({}), check(1 < 2 /* , */)", quoted(&columns[0]));
        }
        2 if !others.is_empty() => {
            let other = &others[random.usize(..others.len())];
            let _ = write!(
                sql,
                ", foreign key({}) references {}({})",
                quoted(&columns[0]),
                quoted(&other.name),
                quoted(&other.columns[0])
            );
        }
        3 => sql.push_str(", id integer primary key autoincrement"),
        4 => sql.push_str(", k integer primary key"),
        5 => {
            let _ = write!(sql, ", g as ({} || 'x'), s as (1) stored", quoted(&columns[0]));
        }
        _ => {}
    }
    let keyed = sql.contains("primary key(");
    sql.push(')');
    if keyed && random.bool() {
        sql.push_str(" without rowid");
    }
    sql.push_str(";\n");
    (Table { name: called, columns }, sql)
}

/// A statement that adds something to a table.
fn more(random: &mut Rng, table: &Table, number: usize) -> String {
    let called = quoted(&table.name);
    let column = quoted(&table.columns[random.usize(..table.columns.len())]);
    match random.u32(..12) {
        0 => format!("create index i{number} on {called}({column});\n"),
        1 => format!(
            "create unique index {} on {called}({column} desc) where {column} > 5;\n",
            quoted(&format!("{}i{number}", name(random)))
        ),
        2 => format!("create view v{number} as select {column}, 1 as \"one \"\"x\" from {called};\n"),
        3 => format!(
            "create view {}(p, q) as select 1,\n  2 -- two\n;\n",
            quoted(&format!("{}v{number}", name(random)))
        ),
        4 => format!("create trigger tr{number} after update on {called} begin\n  select 1; select 'x;y';\nend;\n"),
        5 => format!("create temp view tv{number} as select 1;\n"),
        6 => format!("delete from {called} where rowid % 2;\n"),
        _ => {
            let columns: Vec<String> = table.columns.iter().map(|column| quoted(column)).collect();
            let values: Vec<String> = columns
                .iter()
                .map(|_| {
                    if once_in(random, 5) {
                        literal(&format!("{}\n\\n{}", text(random), text(random)))
                    } else {
                        value(random, true).replace("9223372036854775807", "1234567890123")
                    }
                })
                .collect();
            format!(
                "insert or ignore into {called}({}) values({});\n",
                columns.join(","),
                values.join(",")
            )
        }
    }
}

pub fn case(random: &mut Rng) -> Case {
    let mut script = String::new();
    let mut tables: Vec<Table> = Vec::new();
    for number in 1..=random.usize(1..5) {
        let (table, sql) = table(random, number, &tables);
        script.push_str(&sql);
        tables.push(table);
    }
    for number in 0..random.usize(1..14) {
        let table = &tables[random.usize(..tables.len())];
        script.push_str(&more(random, table, number));
    }
    if once_in(random, 10) {
        script.push_str("attach ':memory:' as aux1; create table aux1.t1(z); insert into aux1.t1 values(1);\n");
    }
    for _ in 0..random.usize(1..4) {
        let _ = writeln!(script, "{}", pick(random, COMMANDS));
    }
    Case::in_memory(String::new(), script)
}
