//! Names and literals, in every way to write them.

use super::{Generator, TABLES, Table};

/// Names that reach beyond a database, or that must not be reached by strangers.
pub const DANGEROUS_FUNCTIONS: &[&str] = &[
    "readfile",
    "writefile",
    "load_extension",
    "fts3_tokenizer",
    "sha3_query",
    "sqlite3mc_config",
    "sqlite3mc_config_table",
    "sqlite3mc_codec_data",
    "sqlite_log",
    "replicate",
    "padl",
    "padr",
    "padc",
    "edit",
];

pub const DANGEROUS_TABLES: &[&str] = &["fsdir", "carray", "sqlite_dbpage"];

/// Keywords that can be names all the same.
const SOFT_KEYWORDS: &[&str] = &[
    "window",
    "filter",
    "over",
    "materialized",
    "generated",
    "always",
    "do",
    "without",
    "key",
    "replace",
    "temp",
    "begin",
    "end",
    "abort",
    "action",
    "after",
    "analyze",
    "asc",
    "attach",
    "before",
    "by",
    "cascade",
    "cast",
    "conflict",
    "current",
    "database",
    "desc",
    "detach",
    "each",
    "exclude",
    "explain",
    "fail",
    "first",
    "following",
    "for",
    "glob",
    "groups",
    "if",
    "ignore",
    "immediate",
    "initially",
    "instead",
    "last",
    "like",
    "match",
    "no",
    "nulls",
    "of",
    "offset",
    "others",
    "partition",
    "plan",
    "pragma",
    "preceding",
    "query",
    "raise",
    "range",
    "recursive",
    "regexp",
    "reindex",
    "release",
    "rename",
    "restrict",
    "rollback",
    "row",
    "rows",
    "savepoint",
    "ties",
    "trigger",
    "unbounded",
    "vacuum",
    "view",
    "virtual",
    "with",
    "except",
    "intersect",
    "union",
    "cross",
    "inner",
    "left",
    "natural",
    "outer",
    "right",
    "full",
    "random",
    "rowid",
    "wasm",
    "function",
    "language",
];

impl Generator {
    /// A name as SQL may write it where a name is expected.
    pub(super) fn name(&mut self, name: &str) -> String {
        let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && name != "order"
            && name != "select";
        let style = match self.rng.u32(0..100) {
            0..70 if plain => 0,
            70..76 if plain => 1,
            0..88 => 2,
            88..93 => 3,
            93..97 => 4,
            _ if self.chance(if self.manner == super::Manner::Tame { 0 } else { 90 }) => 5,
            _ => 2,
        };
        match style {
            0 => name.to_owned(),
            1 => self.mixed_case(name),
            2 => format!("\"{}\"", name.replace('"', "\"\"")),
            3 if !name.contains(']') => format!("[{name}]"),
            4 => format!("`{}`", name.replace('`', "``")),
            _ => format!("'{}'", name.replace('\'', "''")),
        }
    }

    fn mixed_case(&mut self, name: &str) -> String {
        name.chars()
            .map(|c| if self.rng.bool() { c.to_ascii_uppercase() } else { c })
            .collect()
    }

    /// A name that nothing else in the text has.
    pub(super) fn new_name(&mut self) -> String {
        self.next += 1;
        if self.hostile(12) {
            return self.hostile_name();
        }
        if self.chance(6) {
            return self
                .pick(&[
                    "window",
                    "key",
                    "replace",
                    "filter",
                    "temp",
                    "a b",
                    "é",
                    "generated",
                    "Mixed",
                ])
                .to_owned();
        }
        format!("n{}", self.next)
    }

    /// A name that means something elsewhere, or breaks out where it is not quoted.
    pub(super) fn hostile_name(&mut self) -> String {
        match self.rng.u32(0..6) {
            0 => self.pick(SOFT_KEYWORDS).to_owned(),
            // Not the one that the engine calls on its own account.
            1 => self.pick(&DANGEROUS_FUNCTIONS[..5]).to_owned(),
            2 => self.pick(DANGEROUS_TABLES).to_owned(),
            3 => self
                .pick(&[
                    "q(x); create table hacked (y); --",
                    "q; select readfile('canary.txt'); --",
                    "q (x); attach 'other.db' as o; --",
                    "x'y",
                    "x\"y",
                    "x]y",
                    "x--y",
                    "x/*y",
                    "",
                    " ",
                    "\u{feff}x",
                    "pragma_table_info",
                    "main",
                    "sqlite_master",
                    "sqlite_x",
                    "libsql_vector_meta_shadow",
                    "vectors_index_shadow",
                    "libsql_wasm_func_table",
                ])
                .to_owned(),
            4 => self
                .pick(&["t", "users", "v", "docs", "docs_data", "areas_node", "vectors"])
                .to_owned(),
            _ => {
                let name = self.pick(DANGEROUS_TABLES);
                format!("{name}{}", self.pick(&["", " ", "_", "\0"]))
            }
        }
    }

    /// An alias, with or without AS.
    pub(super) fn alias(&mut self) -> String {
        let alias = if self.hostile(35) {
            self.hostile_name()
        } else {
            format!("x{}", self.rng.u32(0..4))
        };
        let written = if self.hostile(60) {
            alias.clone()
        } else {
            self.name(&alias)
        };
        self.maybe(60, "as");
        self.push(written);
        alias
    }

    /// The name of a table in the database `main`, with or without it.
    pub(super) fn table_name(&mut self, name: &str) {
        if self.chance(10) {
            let schema = if self.hostile(15) {
                self.pick(&["temp", "other", "o", "sqlite_dbpage"])
            } else {
                "main"
            };
            let schema = self.name(schema);
            self.push(schema);
            self.words(".");
        }
        let name = if self.hostile(5) {
            self.pick(DANGEROUS_TABLES)
        } else {
            name
        };
        let name = self.name(name);
        self.push(name);
    }

    pub(super) fn some_table(&mut self) -> Table {
        TABLES[self.rng.usize(..TABLES.len())]
    }

    pub(super) fn literal(&mut self) {
        let text = match self.rng.u32(0..20) {
            0..5 => self.rng.u32(0..10).to_string(),
            5 => self.rng.i64(..).to_string(),
            6 => self
                .pick(&[
                    "1.5",
                    ".5",
                    "1.",
                    "1e3",
                    "2.5E-3",
                    "9223372036854775808",
                    "0.0",
                    "1e999",
                ])
                .to_owned(),
            7 => self.pick(&["0x1F", "0xffffffffffffffff", "0X0", "00012"]).to_owned(),
            8..12 => self
                .pick(&[
                    "'x'",
                    "''",
                    "'it''s'",
                    "'é'",
                    "'[1,2,3]'",
                    "'{\"a\":1}'",
                    "'$.a'",
                    "'%a%'",
                    "'2020-01-01'",
                ])
                .to_owned(),
            12 => self.pick(&["x'00ff'", "X'AB'", "x''"]).to_owned(),
            13 => "null".to_owned(),
            14 => self
                .pick(&["true", "false", "current_timestamp", "current_date", "current_time"])
                .to_owned(),
            15..18 => self.parameter(),
            _ if self.hostile(30) => self
                .pick(&[
                    "'fsdir'",
                    "'sqlite_dbpage'",
                    "'canary.txt'",
                    "'other.db'",
                    "1_000",
                    "1x",
                    "0x",
                    "x'0'",
                    "x'zz'",
                    "'open",
                    "\"open",
                    "[open",
                    "1.5.5",
                    "'\0'",
                    "$",
                    "@",
                    ":",
                    "#1",
                    "?99999",
                    "?0",
                    "1e",
                    "\u{1f600}",
                ])
                .to_owned(),
            _ => "1".to_owned(),
        };
        self.push(text);
    }

    fn parameter(&mut self) -> String {
        // Triggers, views and the like may not have them.
        if self.in_trigger {
            return "7".to_owned();
        }
        if self.hostile(10) {
            return self
                .pick(&["$a(b)", "$a::b('x)", "$a::(select 1)", "?1a", ":a:b", "@a.b", "$1"])
                .to_owned();
        }
        self.pick(&["?", "?1", "?3", ":name", "@name", "$name", "$a::b", ":1"])
            .to_owned()
    }
}
