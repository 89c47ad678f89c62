//! What the engine knows and a hosted database may use: functions, tables that modules make, modules of virtual tables,
//! and pragmas. Whatever is in no list is refused. `tests/engine_sqld/vocabulary.rs` holds the lists against a real libSQL
//! server, so that a build that knows more fails there first. All lists are sorted and in lower case.

/// Functions that may be called. What `libsql_vector_idx` may do is decided in `vector_index`.
pub const FUNCTIONS: &[&str] = &[
    "->",
    "->>",
    "abs",
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "atn2",
    "avg",
    "bm25",
    "ceil",
    "ceiling",
    "changes",
    "char",
    "coalesce",
    "concat",
    "concat_ws",
    "cos",
    "cosh",
    "cot",
    "coth",
    "count",
    "cume_dist",
    "current_date",
    "current_time",
    "current_timestamp",
    "date",
    "datetime",
    "degrees",
    "dense_rank",
    "exp",
    "first_value",
    "floor",
    "format",
    "fts5",
    "fts5_source_id",
    "geopoly_area",
    "geopoly_bbox",
    "geopoly_blob",
    "geopoly_ccw",
    "geopoly_contains_point",
    "geopoly_debug",
    "geopoly_group_bbox",
    "geopoly_json",
    "geopoly_overlap",
    "geopoly_regular",
    "geopoly_svg",
    "geopoly_within",
    "geopoly_xform",
    "glob",
    "group_concat",
    "hex",
    "highlight",
    "ifnull",
    "iif",
    "instr",
    "json",
    "json_array",
    "json_array_length",
    "json_error_position",
    "json_extract",
    "json_group_array",
    "json_group_object",
    "json_insert",
    "json_object",
    "json_patch",
    "json_quote",
    "json_remove",
    "json_replace",
    "json_set",
    "json_type",
    "json_valid",
    "jsonb",
    "jsonb_array",
    "jsonb_extract",
    "jsonb_group_array",
    "jsonb_group_object",
    "jsonb_insert",
    "jsonb_object",
    "jsonb_patch",
    "jsonb_remove",
    "jsonb_replace",
    "jsonb_set",
    "julianday",
    "lag",
    "last_insert_rowid",
    "last_rows_affected",
    "last_value",
    "lead",
    "length",
    "libsql_server_database_name",
    "like",
    "likelihood",
    "likely",
    "ln",
    "log",
    "log10",
    "log2",
    "lower",
    "lower_quartile",
    "lsmode",
    "ltrim",
    "match",
    "matchinfo",
    "max",
    "median",
    "min",
    "mod",
    "mode",
    "nth_value",
    "ntile",
    "nullif",
    "octet_length",
    "offsets",
    "percent_rank",
    "pi",
    "pow",
    "power",
    "printf",
    "quote",
    "radians",
    "random",
    "randomblob",
    "rank",
    "regexp",
    "regexpi",
    "replace",
    "reverse",
    "round",
    "row_number",
    "rtreecheck",
    "rtreedepth",
    "rtreenode",
    "rtrim",
    "sha3",
    "sign",
    "sin",
    "sinh",
    "snippet",
    "soundex",
    "sqlite_compileoption_get",
    "sqlite_compileoption_used",
    "sqlite_source_id",
    "sqlite_version",
    "sqrt",
    "square",
    "stdev",
    "strftime",
    "string_agg",
    "substr",
    "substring",
    "subtype",
    "sum",
    "tan",
    "tanh",
    "time",
    "timediff",
    "total",
    "total_changes",
    "trim",
    "trunc",
    "typeof",
    "unhex",
    "unicode",
    "unixepoch",
    "unlikely",
    "upper",
    "upper_quartile",
    "uuid",
    "uuid_blob",
    "uuid_str",
    "variance",
    "vector",
    "vector16",
    "vector1bit",
    "vector32",
    "vector64",
    "vector8",
    "vector_distance_cos",
    "vector_distance_l2",
    "vector_extract",
    "vectorb16",
    "zeroblob",
];

/// Functions that an engine may know and that are refused, so that the error can say more than that there is none.
pub const REFUSED_FUNCTIONS: &[&str] = &[
    // Of the engine's string functions only `reverse`, which Django uses, is let through: they walk text by hand, and go beyond its
    // end where it is not UTF-8 or a number is negative. SQLite's own do the same: instr, substr, trim, upper, replace.
    "charindex",
    "difference",
    "edit",
    "fts3_tokenizer",
    "leftstr",
    "load_extension",
    // Of FTS3: a SELECT that writes.
    "optimize",
    "padc",
    "padl",
    "padr",
    "proper",
    "readfile",
    "replicate",
    "rightstr",
    "sha3_query",
    "sqlite3mc_codec_data",
    "sqlite3mc_config",
    "sqlite3mc_config_table",
    "sqlite3mc_version",
    "sqlite_crypt",
    "sqlite_drop_column",
    "sqlite_fail",
    "sqlite_log",
    "sqlite_rename_column",
    "sqlite_rename_quotefix",
    "sqlite_rename_table",
    "sqlite_rename_test",
    "strfilter",
    "writefile",
];

/// Modules whose tables exist without being made, and that may be read. Beside them: `pragma_…` of [`PRAGMAS`].
pub const TABLE_MODULES: &[&str] = &[
    "dbstat",
    "fts3tokenize",
    "generate_series",
    "json_each",
    "json_tree",
    "sqlite_stmt",
    "vector_top_k",
];

/// Modules of which virtual tables may be made; `virtual_table` judges their arguments.
pub const VIRTUAL_TABLE_MODULES: &[&str] = &[
    "dbstat",
    "fts3",
    "fts3tokenize",
    "fts4",
    "fts4aux",
    "fts5",
    "fts5vocab",
    "geopoly",
    "rtree",
    "rtree_i32",
];

/// Tables that the engine makes itself and that statements may name. Which of them may be written to, the engine decides.
pub const SYSTEM_TABLES: &[&str] = &[
    VECTOR_INDEX_TABLE,
    "sqlite_master",
    "sqlite_schema",
    "sqlite_sequence",
    "sqlite_stat1",
    "sqlite_stat2",
    "sqlite_stat3",
    "sqlite_stat4",
    "sqlite_temp_master",
    "sqlite_temp_schema",
];

/// How the names begin that the engine keeps for itself: a table of such a name is one of [`SYSTEM_TABLES`] and
/// [`TABLE_MODULES`], a readable pragma's, or out of reach.
pub const RESERVED_PREFIXES: &[&str] = &["libsql_", "pragma_", "sqlite_"];

/// How the engine names the indexes of UNIQUE and PRIMARY KEY constraints, which clients ask about.
pub const AUTOMATIC_INDEX_PREFIX: &str = "sqlite_autoindex_";

/// Modules that an engine may register without a reserved prefix, and that are out of reach.
pub const REFUSED_MODULES: &[&str] = &["bytecode", "carray", "fsdir", "tables_used", "zipfile"];

/// The table in which the engine keeps the parameters of vector indexes by name. It trusts the names in it.
pub const VECTOR_INDEX_TABLE: &str = "libsql_vector_meta_shadow";

/// The function that makes an index one of vectors. `vector_index` judges the places where it may stand.
pub(super) const VECTOR_INDEX_FUNCTION: &str = "libsql_vector_idx";

/// What a value behind a pragma does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PragmaValue {
    /// It says what is to be read.
    Selects,
    /// It changes the connection, and nothing that others see.
    SetsConnection,
    /// It changes the database.
    Writes,
    /// libSQL server refuses to run it. SQLite would act on it as soon as it is prepared.
    EngineRefuses,
}

/// A pragma that may be used.
#[derive(Debug)]
pub struct Pragma {
    pub name: &'static str,
    pub value: PragmaValue,
    /// Whether libSQL server also runs it, without a value or with one that selects, for a token that may only read.
    pub read_by_all: bool,
}

const fn pragma(name: &'static str, value: PragmaValue, read_by_all: bool) -> Pragma {
    Pragma {
        name,
        value,
        read_by_all,
    }
}

use PragmaValue::{EngineRefuses, Selects, SetsConnection, Writes};

/// The pragma that names the files of databases. The gateway hides where they are in its answers.
pub const DATABASE_LIST: &str = "database_list";

/// Pragmas that libSQL server 0.24.32 answers (`query_analysis.rs`).
pub const PRAGMAS: &[Pragma] = &[
    pragma("analysis_limit", EngineRefuses, false),
    pragma("application_id", EngineRefuses, false),
    pragma("auto_vacuum", EngineRefuses, false),
    pragma("automatic_index", EngineRefuses, false),
    pragma("busy_timeout", EngineRefuses, false),
    pragma("cache_size", EngineRefuses, false),
    pragma("cache_spill", EngineRefuses, false),
    pragma("cell_size_check", EngineRefuses, false),
    pragma("checkpoint_fullfsync", EngineRefuses, false),
    pragma("collation_list", Selects, false),
    pragma("compile_options", Selects, true),
    pragma("data_version", Selects, false),
    pragma(DATABASE_LIST, Selects, true),
    pragma("defer_foreign_keys", SetsConnection, false),
    pragma("encoding", EngineRefuses, true),
    pragma("foreign_key_check", Selects, false),
    pragma("foreign_key_list", Selects, false),
    pragma("foreign_keys", SetsConnection, false),
    pragma("freelist_count", Selects, false),
    pragma("fullfsync", EngineRefuses, false),
    pragma("function_list", Selects, true),
    pragma("hard_heap_limit", EngineRefuses, false),
    pragma("index_info", Selects, true),
    pragma("index_list", Selects, true),
    pragma("index_xinfo", Selects, true),
    pragma("integrity_check", Selects, false),
    pragma("journal_mode", EngineRefuses, false),
    pragma("journal_size_limit", EngineRefuses, false),
    pragma("legacy_alter_table", EngineRefuses, false),
    pragma("legacy_file_format", EngineRefuses, false),
    pragma("locking_mode", EngineRefuses, false),
    pragma("max_page_count", EngineRefuses, false),
    pragma("mmap_size", EngineRefuses, false),
    pragma("module_list", Selects, true),
    pragma("page_count", Selects, false),
    pragma("page_size", EngineRefuses, false),
    pragma("pragma_list", Selects, true),
    pragma("query_only", EngineRefuses, false),
    pragma("quick_check", Selects, false),
    pragma("read_uncommitted", EngineRefuses, false),
    pragma("recursive_triggers", EngineRefuses, false),
    pragma("reverse_unordered_selects", EngineRefuses, false),
    pragma("schema_version", EngineRefuses, true),
    pragma("secure_delete", EngineRefuses, false),
    pragma("soft_heap_limit", EngineRefuses, false),
    pragma("stats", Selects, false),
    pragma("synchronous", EngineRefuses, false),
    pragma("table_info", Selects, true),
    pragma("table_list", Selects, true),
    pragma("table_xinfo", Selects, true),
    pragma("temp_store", EngineRefuses, false),
    pragma("threads", EngineRefuses, false),
    pragma("trusted_schema", EngineRefuses, false),
    pragma("user_version", Writes, false),
    pragma("wal_autocheckpoint", EngineRefuses, false),
];

/// Pragmas of SQLite that libSQL server refuses in its own words. As tables (`pragma_…`) they are refused here.
pub const ENGINE_REFUSES_PRAGMAS: &[&str] = &[
    "case_sensitive_like",
    "cipher",
    "count_changes",
    "data_store_directory",
    "default_cache_size",
    "empty_result_callbacks",
    "full_column_names",
    "hexkey",
    "hexrekey",
    "ignore_check_constraints",
    "incremental_vacuum",
    "key",
    "lock_proxy_file",
    "lock_status",
    "optimize",
    "parser_trace",
    "rekey",
    "short_column_names",
    "shrink_memory",
    "sql_trace",
    "temp_store_directory",
    "textkey",
    "textrekey",
    "vdbe_addoptrace",
    "vdbe_debug",
    "vdbe_eqp",
    "vdbe_listing",
    "vdbe_trace",
    "wal_checkpoint",
    "writable_schema",
];

/// Whether a sorted list has a name. `name` is in lower case.
pub fn contains(list: &[&str], name: &str) -> bool {
    list.binary_search(&name).is_ok()
}

/// The pragma of a name in lower case, if it may be used.
pub fn find_pragma(name: &str) -> Option<&'static Pragma> {
    let at = PRAGMAS.binary_search_by(|pragma| pragma.name.cmp(name)).ok()?;
    Some(&PRAGMAS[at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policy_lists_are_sorted_and_in_lower_case() {
        let pragmas: Vec<&str> = PRAGMAS.iter().map(|pragma| pragma.name).collect();
        for list in [
            FUNCTIONS,
            REFUSED_FUNCTIONS,
            TABLE_MODULES,
            VIRTUAL_TABLE_MODULES,
            SYSTEM_TABLES,
            RESERVED_PREFIXES,
            REFUSED_MODULES,
            &pragmas,
            ENGINE_REFUSES_PRAGMAS,
        ] {
            assert!(list.is_sorted(), "{list:?}");
            assert!(list.iter().all(|name| *name == name.to_ascii_lowercase()), "{list:?}");
            assert!(list.windows(2).all(|pair| pair[0] != pair[1]), "{list:?}");
        }
    }

    #[test]
    fn policy_lists_allow_and_refuse_no_name_at_once() {
        assert!(REFUSED_FUNCTIONS.iter().all(|name| !contains(FUNCTIONS, name)));
        for allowed in [SYSTEM_TABLES, TABLE_MODULES, VIRTUAL_TABLE_MODULES] {
            assert!(REFUSED_MODULES.iter().all(|name| !contains(allowed, name)));
        }
        assert!(ENGINE_REFUSES_PRAGMAS.iter().all(|name| find_pragma(name).is_none()));
    }
}
