//! PRAGMA, transactions, ATTACH, VACUUM and the like.

use super::Generator;

impl Generator {
    pub(super) fn pragma(&mut self) {
        self.words("pragma");
        if self.chance(8) {
            let schema = if self.hostile(30) {
                self.pick(&["temp", "other", "o"])
            } else {
                "main"
            };
            self.words(schema);
            self.words(".");
        }
        if self.hostile(50) {
            return self.dangerous_pragma();
        }
        let pragma = self.pick(&[
            "table_info ( t )",
            "table_info = 'users'",
            "table_xinfo ( 'posts' )",
            "table_list",
            "index_list ( posts )",
            "index_info ( posts_user )",
            "foreign_key_list ( posts )",
            "foreign_keys",
            "foreign_keys = on",
            "user_version",
            "user_version = 7",
            "integrity_check",
            "quick_check",
            "page_count",
            "encoding",
            "collation_list",
            "database_list",
            "compile_options",
            "journal_mode",
            "page_size",
            "cache_size",
            "synchronous",
            "foreign_key_check",
            "defer_foreign_keys = on",
            "freelist_count",
            "schema_version",
            "application_id",
            "auto_vacuum",
            "query_only",
            "index_xinfo ( posts_user )",
            "data_version",
        ]);
        self.words(pragma);
    }

    fn dangerous_pragma(&mut self) {
        const PRAGMAS: &[&str] = &[
            "writable_schema",
            "temp_store_directory",
            "data_store_directory",
            "journal_mode",
            "locking_mode",
            "wal_checkpoint",
            "query_only",
            "mmap_size",
            "page_size",
            "auto_vacuum",
            "incremental_vacuum",
            "optimize",
            "shrink_memory",
            "key",
            "rekey",
            "hexkey",
            "cipher",
            "trusted_schema",
            "cache_size",
            "max_page_count",
            "hard_heap_limit",
            "synchronous",
            "ignore_check_constraints",
            "case_sensitive_like",
            "schema_version",
            "application_id",
            "recursive_triggers",
            "legacy_alter_table",
            "nothing",
            "module_list",
            "function_list",
            "user_version",
            "foreign_keys",
            "table_info",
            "temp_store",
            "secure_delete",
            "encoding",
            "threads",
        ];
        let name = self.pick(PRAGMAS);
        let name = self.name(name);
        self.push(name);
        let value = self.pick(&[
            "1", "on", "'.'", "delete", "-1", "'x'", "t", "\"off\"", "main . t", "default", "0x10", "+5", "1.5",
            "delete",
        ]);
        match self.rng.u32(0..5) {
            0 | 1 => {}
            2 => {
                self.words("=");
                self.words(value);
            }
            _ => {
                self.words("(");
                self.words(value);
                self.words(")");
            }
        }
    }

    pub(super) fn transaction(&mut self) {
        let statement = self.pick(&[
            "begin",
            "begin immediate",
            "begin deferred transaction",
            "begin exclusive",
            "commit",
            "end transaction",
            "rollback",
            "savepoint a",
            "release a",
            "rollback to a",
            "release savepoint a",
            "rollback transaction to savepoint a",
            "begin concurrent",
            "begin readonly",
        ]);
        // The engine has these two only in hostile texts' eyes.
        let statement = if self.manner == super::Manner::Tame && statement.ends_with("current") {
            "begin"
        } else {
            statement
        };
        self.words(statement);
    }

    pub(super) fn maintenance(&mut self) {
        if !self.hostile(80) {
            let statement = self.pick(&["reindex", "reindex t", "reindex posts_user", "reindex main . posts"]);
            return self.words(statement);
        }
        let statement = self.pick(&[
            "attach 'other.db' as o",
            "attach database 'other.db' as o key 'x'",
            "attach other as o",
            "attach \"other.db\" as o",
            "attach 'file:other.db?mode=ro' as 'o'",
            "attach ( 'other' || '.db' ) as o",
            "attach ? as o",
            "detach o",
            "detach main",
            "vacuum",
            "vacuum into 'new.db'",
            "vacuum main into ( 'new' || '.db' )",
            "analyze",
            "analyze t",
            "analyze sqlite_schema",
            "reindex nocase",
            "create function f language wasm as ''",
            "drop function f",
            "load_extension ( 'x' )",
            ";",
            "; ; ;",
            ".read canary.txt",
            "create temp table x as select * from t",
            "select 1 ; attach 'other.db' as o ; select * from o . secrets",
            "attach 'other.db' as o ; select * from o . secrets",
            "end ; select readfile ( 'canary.txt' )",
        ]);
        self.words(statement);
        if statement.starts_with("attach") && self.chance(30) {
            self.words("; select * from o . secrets");
        }
    }
}
