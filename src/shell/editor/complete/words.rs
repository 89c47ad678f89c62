//! Words that SQL, pragmas and dot-commands take in certain places.

/// What may begin a statement.
pub const STATEMENTS: &[&str] = &[
    "SELECT",
    "INSERT",
    "UPDATE",
    "DELETE",
    "WITH",
    "CREATE",
    "DROP",
    "ALTER",
    "EXPLAIN",
    "PRAGMA",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT",
    "RELEASE",
    "VALUES",
    "REPLACE",
    "ATTACH",
    "DETACH",
    "VACUUM",
    "ANALYZE",
    "REINDEX",
    "END",
];

/// What may stand where a value is wanted.
pub const OPERANDS: &[&str] = &[
    "CASE",
    "CAST",
    "DISTINCT",
    "EXISTS",
    "NOT",
    "NULL",
    "SELECT",
    "TRUE",
    "FALSE",
    "CURRENT_DATE",
    "CURRENT_TIME",
    "CURRENT_TIMESTAMP",
    "RAISE",
];

/// What may follow a value.
pub const OPERATORS: &[&str] = &[
    "AND", "OR", "IS", "IN", "LIKE", "GLOB", "BETWEEN", "NOT", "COLLATE", "ISNULL", "NOTNULL", "REGEXP", "MATCH",
    "ESCAPE", "WHEN", "THEN", "ELSE", "END", "OVER", "FILTER",
];

/// What may follow a table in `FROM`.
pub const AFTER_TABLE: &[&str] = &[
    "WHERE",
    "JOIN",
    "LEFT",
    "INNER",
    "CROSS",
    "RIGHT",
    "FULL",
    "NATURAL",
    "OUTER",
    "ON",
    "USING",
    "AS",
    "GROUP",
    "ORDER",
    "LIMIT",
    "UNION",
    "INTERSECT",
    "EXCEPT",
    "INDEXED",
    "NOT",
    "WINDOW",
    "RETURNING",
    "SET",
];

/// What may follow a value in each clause of a query, besides operators.
pub fn next_clauses(clause: &str) -> &'static [&'static str] {
    match clause {
        "SELECT" => &["FROM", "AS", "WHERE", "UNION", "LIMIT", "ORDER"],
        "FROM" | "JOIN" => AFTER_TABLE,
        "ON" => &[
            "JOIN", "LEFT", "INNER", "CROSS", "WHERE", "GROUP", "ORDER", "LIMIT", "UNION",
        ],
        "WHERE" => &[
            "GROUP",
            "ORDER",
            "LIMIT",
            "UNION",
            "INTERSECT",
            "EXCEPT",
            "RETURNING",
            "WINDOW",
        ],
        "GROUP" => &["HAVING", "ORDER", "LIMIT", "UNION", "WINDOW"],
        "HAVING" => &["ORDER", "LIMIT", "UNION", "WINDOW"],
        "ORDER" => &["ASC", "DESC", "NULLS", "LIMIT", "COLLATE"],
        "LIMIT" => &["OFFSET"],
        "SET" => &["WHERE", "FROM", "RETURNING"],
        "VALUES" => &["RETURNING", "ON", "UNION"],
        _ => &[],
    }
}

/// What may follow a keyword (or two) that wants a certain other one.
pub fn after_keyword(before: Option<&str>, keyword: &str) -> Option<&'static [&'static str]> {
    Some(match (before, keyword) {
        (_, "CREATE") => &[
            "TABLE",
            "INDEX",
            "UNIQUE",
            "VIEW",
            "TRIGGER",
            "TEMP",
            "TEMPORARY",
            "VIRTUAL",
        ],
        (Some("CREATE"), "TEMP" | "TEMPORARY") => &["TABLE", "VIEW", "TRIGGER"],
        (Some("CREATE"), "UNIQUE") => &["INDEX"],
        (Some("CREATE"), "VIRTUAL") => &["TABLE"],
        (_, "EXPLAIN") => &["QUERY", "SELECT", "INSERT", "UPDATE", "DELETE", "WITH"],
        (Some("EXPLAIN"), "QUERY") => &["PLAN"],
        (Some("QUERY"), "PLAN") => &["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"],
        (_, "INSERT") => &["INTO", "OR"],
        (_, "REPLACE") => &["INTO"],
        (_, "DELETE") => &["FROM"],
        (Some("INSERT" | "UPDATE"), "OR") => &["REPLACE", "IGNORE", "ABORT", "FAIL", "ROLLBACK"],
        (_, "DROP") => &["TABLE", "INDEX", "VIEW", "TRIGGER"],
        (_, "ALTER") => &["TABLE"],
        (_, "BEGIN") => &["TRANSACTION", "DEFERRED", "IMMEDIATE", "EXCLUSIVE"],
        (_, "ROLLBACK") => &["TO", "TRANSACTION"],
        (_, "IF") => &["EXISTS", "NOT"],
        (Some("IF"), "NOT") => &["EXISTS"],
        (_, "GROUP" | "ORDER" | "PARTITION") => &["BY"],
        (_, "LEFT" | "RIGHT" | "FULL") => &["JOIN", "OUTER"],
        (_, "INNER" | "CROSS" | "OUTER") => &["JOIN"],
        (_, "NATURAL") => &["JOIN", "LEFT", "INNER"],
        (_, "UNION") => &["ALL", "SELECT"],
        (_, "INTERSECT" | "EXCEPT") | (Some("UNION"), "ALL") => &["SELECT"],
        (_, "NULLS") => &["FIRST", "LAST"],
        (_, "PRIMARY" | "FOREIGN") => &["KEY"],
        (_, "FOREIGN KEY") => &["REFERENCES"],
        (_, "INDEXED") => &["BY"],
        (_, "DEFAULT") => &["VALUES", "NULL", "CURRENT_TIMESTAMP", "CURRENT_DATE", "CURRENT_TIME"],
        (_, "WITH") => &["RECURSIVE"],
        (_, "WITHOUT") => &["ROWID"],
        (_, "CONFLICT") => &["DO"],
        (_, "DO") => &["NOTHING", "UPDATE"],
        _ => return None,
    })
}

/// Types of columns and casts.
pub const TYPES: &[&str] = &[
    "INTEGER", "TEXT", "REAL", "BLOB", "NUMERIC", "ANY", "BOOLEAN", "DATETIME", "DATE", "VARCHAR",
];

/// What may begin an entry of a table's definition, besides a column's name.
pub const TABLE_CONSTRAINTS: &[&str] = &["PRIMARY", "FOREIGN", "UNIQUE", "CHECK", "CONSTRAINT"];

/// What may follow a column's name or type.
pub const COLUMN_CONSTRAINTS: &[&str] = &[
    "PRIMARY",
    "NOT",
    "NULL",
    "UNIQUE",
    "DEFAULT",
    "REFERENCES",
    "CHECK",
    "COLLATE",
    "GENERATED",
    "AS",
    "AUTOINCREMENT",
    "ON",
];

const SWITCH: &[&str] = &["ON", "OFF"];

/// Values that a pragma takes; empty where they are numbers or names.
pub fn pragma_values(pragma: &str) -> &'static [&'static str] {
    match pragma {
        "journal_mode" => &["DELETE", "TRUNCATE", "PERSIST", "MEMORY", "WAL", "OFF"],
        "synchronous" => &["OFF", "NORMAL", "FULL", "EXTRA"],
        "auto_vacuum" => &["NONE", "FULL", "INCREMENTAL"],
        "locking_mode" => &["NORMAL", "EXCLUSIVE"],
        "temp_store" => &["DEFAULT", "FILE", "MEMORY"],
        "encoding" => &["'UTF-8'", "'UTF-16'", "'UTF-16le'", "'UTF-16be'"],
        "secure_delete" => &["ON", "OFF", "FAST"],
        "wal_checkpoint" => &["PASSIVE", "FULL", "RESTART", "TRUNCATE"],
        "automatic_index"
        | "cell_size_check"
        | "checkpoint_fullfsync"
        | "defer_foreign_keys"
        | "foreign_keys"
        | "fullfsync"
        | "ignore_check_constraints"
        | "legacy_alter_table"
        | "query_only"
        | "read_uncommitted"
        | "recursive_triggers"
        | "reverse_unordered_selects"
        | "trusted_schema"
        | "writable_schema"
        | "cache_spill"
        | "case_sensitive_like" => SWITCH,
        _ => &[],
    }
}

/// Pragmas that take a table.
pub const TABLE_PRAGMAS: &[&str] = &[
    "table_info",
    "table_xinfo",
    "table_list",
    "index_list",
    "foreign_key_list",
    "foreign_key_check",
    "integrity_check",
    "quick_check",
];

/// Pragmas that take an index.
pub const INDEX_PRAGMAS: &[&str] = &["index_info", "index_xinfo"];
