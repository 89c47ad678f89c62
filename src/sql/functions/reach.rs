//! What each function, module and pragma of torso's SQLite connections can reach: the one table that decides what somebody
//! else's SQL may use, and what safe mode allows.
//!
//! Everything that a connection has is in it; a test asks a real connection. What is not in it reaches outside.

/// What SQL can touch through a function, a module or a pragma.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// Its arguments and the database's own content.
    Database,
    /// The connection or the process: its memory, its settings.
    Process,
    /// Files, programs, libraries or memory by address.
    Outside,
}

/// Functions by what they reach. Sources: sqlite.org/lang_corefunc.html and the pages of each extension.
const FUNCTIONS: &[(Reach, &[&str])] = &[
    (Reach::Outside, &["edit", "readfile", "writefile"]),
    // A library is loaded; a tokenizer is given as an address in memory.
    (Reach::Outside, &["fts3_tokenizer", "load_extension"]),
    (
        Reach::Database,
        &[
            "->",
            "->>",
            "abs",
            "avg",
            "changes",
            "char",
            "coalesce",
            "concat",
            "concat_ws",
            "count",
            "format",
            "glob",
            "group_concat",
            "hex",
            "if",
            "ifnull",
            "iif",
            "instr",
            "last_insert_rowid",
            "length",
            "like",
            "likelihood",
            "likely",
            "lower",
            "ltrim",
            "match",
            "max",
            "min",
            "nullif",
            "octet_length",
            "printf",
            "quote",
            "random",
            "randomblob",
            "replace",
            "round",
            "rtrim",
            "sign",
            "soundex",
            "string_agg",
            "substr",
            "substring",
            "subtype",
            "sum",
            "total",
            "total_changes",
            "trim",
            "typeof",
            "unhex",
            "unicode",
            "unistr",
            "unistr_quote",
            "unlikely",
            "upper",
            "zeroblob",
            "sqlite_compileoption_get",
            "sqlite_compileoption_used",
            "sqlite_log",
            "sqlite_source_id",
            "sqlite_version",
        ],
    ),
    (
        Reach::Database,
        &[
            "current_date",
            "current_time",
            "current_timestamp",
            "date",
            "datetime",
            "julianday",
            "strftime",
            "time",
            "timediff",
            "unixepoch",
        ],
    ),
    (
        Reach::Database,
        &[
            "cume_dist",
            "dense_rank",
            "first_value",
            "lag",
            "last_value",
            "lead",
            "nth_value",
            "ntile",
            "percent_rank",
            "rank",
            "row_number",
        ],
    ),
    (
        Reach::Database,
        &[
            "json",
            "json_array",
            "json_array_insert",
            "json_array_length",
            "json_error_position",
            "json_extract",
            "json_group_array",
            "json_group_object",
            "json_insert",
            "json_object",
            "json_patch",
            "json_pretty",
            "json_quote",
            "json_remove",
            "json_replace",
            "json_set",
            "json_type",
            "json_valid",
            "jsonb",
            "jsonb_array",
            "jsonb_array_insert",
            "jsonb_extract",
            "jsonb_group_array",
            "jsonb_group_object",
            "jsonb_insert",
            "jsonb_object",
            "jsonb_patch",
            "jsonb_remove",
            "jsonb_replace",
            "jsonb_set",
        ],
    ),
    (
        Reach::Database,
        &[
            "bm25",
            "fts5",
            "fts5_get_locale",
            "fts5_insttoken",
            "fts5_locale",
            "fts5_source_id",
            "highlight",
            "matchinfo",
            "offsets",
            "optimize",
            "rtreecheck",
            "rtreedepth",
            "rtreenode",
            "snippet",
        ],
    ),
    // What SQLite's own statements call within ALTER TABLE. No other statement can, and no list of functions has them. Source:
    // `alter.c` of SQLite 3.54.
    (
        Reach::Database,
        &[
            "sqlite_add_constraint",
            "sqlite_drop_column",
            "sqlite_drop_constraint",
            "sqlite_fail",
            "sqlite_find_constraint",
            "sqlite_rename_column",
            "sqlite_rename_quotefix",
            "sqlite_rename_table",
            "sqlite_rename_test",
        ],
    ),
    // The shell's own. What `sha3_query` runs is judged as any statement.
    (
        Reach::Database,
        &[
            "acos",
            "acosh",
            "asin",
            "asinh",
            "atan",
            "atan2",
            "atanh",
            "base64",
            "base85",
            "ceil",
            "ceiling",
            "cos",
            "cosh",
            "decimal",
            "decimal_add",
            "decimal_cmp",
            "decimal_mul",
            "decimal_sub",
            "decimal_sum",
            "degrees",
            "exp",
            "floor",
            "ieee754",
            "ieee754_exponent",
            "ieee754_from_blob",
            "ieee754_mantissa",
            "ieee754_to_blob",
            "is_base85",
            "ln",
            "log",
            "log10",
            "log2",
            "lsmode",
            "mod",
            "pi",
            "pow",
            "power",
            "radians",
            "regexp",
            "regexpi",
            "sha3",
            "sha3_query",
            "sin",
            "sinh",
            "sqrt",
            "tan",
            "tanh",
            "trunc",
        ],
    ),
];

/// Modules of virtual tables. Those of pragmas are made when they are first used, and do what the pragma does.
const MODULES: &[(Reach, &[&str])] = &[(
    Reach::Database,
    &[
        "dbstat",
        "fts3",
        "fts3tokenize",
        "fts4",
        "fts4aux",
        "fts5",
        "fts5vocab",
        "generate_series",
        "json_each",
        "json_tree",
        "jsonb_each",
        "jsonb_tree",
        "rtree",
        "rtree_i32",
    ],
)];

/// Pragmas. Source: sqlite.org/pragma.html.
const PRAGMAS: &[(Reach, &[&str])] = &[
    (Reach::Outside, &["data_store_directory", "temp_store_directory"]),
    (
        Reach::Process,
        &[
            "hard_heap_limit",
            "shrink_memory",
            "soft_heap_limit",
            "threads",
            "trusted_schema",
        ],
    ),
    (
        Reach::Database,
        &[
            "analysis_limit",
            "application_id",
            "auto_vacuum",
            "automatic_index",
            "busy_timeout",
            "cache_size",
            "cache_spill",
            "case_sensitive_like",
            "cell_size_check",
            "checkpoint_fullfsync",
            "collation_list",
            "compile_options",
            "count_changes",
            "data_version",
            "database_list",
            "default_cache_size",
            "defer_foreign_keys",
            "empty_result_callbacks",
            "encoding",
            "foreign_key_check",
            "foreign_key_list",
            "foreign_keys",
            "freelist_count",
            "full_column_names",
            "fullfsync",
            "function_list",
            "ignore_check_constraints",
            "incremental_vacuum",
            "index_info",
            "index_list",
            "index_xinfo",
            "integrity_check",
            "journal_mode",
            "journal_size_limit",
            "legacy_alter_table",
            "locking_mode",
            "max_page_count",
            "mmap_size",
            "module_list",
            "optimize",
            "page_count",
            "page_size",
            "pragma_list",
            "query_only",
            "quick_check",
            "read_uncommitted",
            "recursive_triggers",
            "reverse_unordered_selects",
            "schema_version",
            "secure_delete",
            "short_column_names",
            "synchronous",
            "table_info",
            "table_list",
            "table_xinfo",
            "temp_store",
            "user_version",
            "wal_autocheckpoint",
            "wal_checkpoint",
            "writable_schema",
        ],
    ),
];

fn find(table: &[(Reach, &[&str])], name: &str) -> Option<Reach> {
    table
        .iter()
        .find(|(_, names)| names.iter().any(|known| known.eq_ignore_ascii_case(name)))
        .map(|(reach, _)| *reach)
}

/// Whether a function reaches nothing outside the database. One that is not known does.
#[must_use]
pub(crate) fn is_harmless_function(name: &str) -> bool {
    find(FUNCTIONS, name) == Some(Reach::Database)
}

/// Whether the virtual tables of a module reach nothing outside the database. One that is not known does.
#[must_use]
pub(crate) fn is_harmless_module(name: &str) -> bool {
    match name.get(..7).filter(|start| start.eq_ignore_ascii_case("pragma_")) {
        Some(_) => is_harmless_pragma(&name[7..]),
        None => find(MODULES, name) == Some(Reach::Database),
    }
}

/// Whether a pragma reaches nothing outside the database. One that is not known does.
#[must_use]
pub(crate) fn is_harmless_pragma(name: &str) -> bool {
    find(PRAGMAS, name) == Some(Reach::Database)
}

/// Whether a pragma is known to reach files. SQLite ignores a pragma that it does not know.
#[must_use]
pub(crate) fn is_pragma_of_files(name: &str) -> bool {
    find(PRAGMAS, name) == Some(Reach::Outside)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{Target, open, query};
    use std::collections::BTreeSet;

    /// What a connection of torso's has.
    fn registered(sql: &str) -> BTreeSet<String> {
        let mut session = open(&Target::Memory).unwrap();
        // Modules of this kind are made when they are first used.
        for used in [
            "json_each('[]')",
            "json_tree('[]')",
            "jsonb_each('[]')",
            "jsonb_tree('[]')",
        ] {
            query::rows(session.as_mut(), &format!("SELECT * FROM {used}")).unwrap();
        }
        query::rows(session.as_mut(), sql)
            .unwrap()
            .into_iter()
            .map(|row| match &row[0] {
                crate::sql::Value::Text(name) => name.clone(),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn reach_of_everything_registered_is_declared() {
        for (table, sql) in [
            (FUNCTIONS, "SELECT DISTINCT name FROM pragma_function_list"),
            (PRAGMAS, "SELECT name FROM pragma_pragma_list"),
            (
                MODULES,
                "SELECT name FROM pragma_module_list WHERE substr(name, 1, 7) <> 'pragma_'",
            ),
        ] {
            let all = registered(sql);
            let undeclared: Vec<_> = all.iter().filter(|name| find(table, name).is_none()).collect();
            assert!(undeclared.is_empty(), "declare what these reach: {undeclared:?}");
        }
        let pragmas = registered("SELECT substr(name, 8) FROM pragma_module_list WHERE substr(name, 1, 7) = 'pragma_'");
        assert!(pragmas.iter().all(|name| find(PRAGMAS, name).is_some()), "{pragmas:?}");
    }

    #[test]
    fn reach_of_a_function_outside_is_for_statements_only() {
        // 0x80000 is SQLITE_DIRECTONLY. A schema may not call the function whatever the connection trusts.
        let direct = registered("SELECT DISTINCT name FROM pragma_function_list WHERE flags & 0x80000");
        for (reach, names) in FUNCTIONS {
            if *reach == Reach::Outside {
                for name in *names {
                    assert!(direct.contains(*name), "{name} can be called by a schema");
                }
            }
        }
    }

    #[test]
    fn reach_of_a_name_is_declared_once() {
        for table in [FUNCTIONS, MODULES, PRAGMAS] {
            let names: Vec<_> = table.iter().flat_map(|(_, names)| *names).collect();
            assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        }
    }

    #[test]
    fn reach_of_what_is_unknown_is_outside() {
        assert!(!is_harmless_function("zipfile"));
        assert!(!is_harmless_module("zipfile") && !is_harmless_module("csv") && !is_harmless_module("fsdir"));
        assert!(!is_harmless_pragma("key") && !is_harmless_module("pragma_key"));
        assert!(is_harmless_module("PRAGMA_table_info") && is_harmless_function("UPPER"));
    }
}
