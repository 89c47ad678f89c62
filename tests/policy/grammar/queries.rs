//! SELECT, with all that it can be made of.

use super::words::DANGEROUS_TABLES;
use super::{Columns, Generator, READ_TABLES, TABLES, Table};

impl Generator {
    /// A query; how many columns it has, where that is known.
    pub(super) fn select(&mut self) -> usize {
        let with = self.depth > 0 && self.chance(12);
        let common = if with { self.with() } else { None };
        let count = self.rng.usize(1..4);
        self.compound(count, common.as_ref());
        count
    }

    /// A query of one column.
    pub(super) fn select_of_one(&mut self) {
        self.deeper(|inner| inner.compound(1, None), |inner| inner.words("select 1"));
    }

    fn compound(&mut self, count: usize, common: Option<&(String, Columns)>) {
        let mut parts = 1;
        self.core(count, common);
        while self.depth > 0 && parts < 3 && self.chance(10) {
            let operator = self.pick(&["union", "union all", "except", "intersect"]);
            self.words(operator);
            self.core(count, None);
            parts += 1;
        }
        if self.chance(25) {
            self.words("order by 1");
            let order = self.pick(&[
                "",
                "asc",
                "desc",
                "desc nulls last",
                "collate nocase",
                "asc nulls first",
            ]);
            if !order.is_empty() {
                self.words(order);
            }
        }
        if self.chance(25) {
            self.words("limit");
            let limit = self.pick(&["1", "10", "?", "-1", "5 offset 2", "2 , 3", "( 3 )"]);
            let limit = if self.in_trigger { "2" } else { limit };
            self.words(limit);
        }
    }

    fn core(&mut self, count: usize, common: Option<&(String, Columns)>) {
        if self.chance(6) {
            self.words("values");
            let rows = self.rng.usize(1..3);
            for at in 0..rows {
                self.words(if at == 0 { "(" } else { ", (" });
                for column in 0..count {
                    if column > 0 {
                        self.words(",");
                    }
                    self.expression(&Columns::new());
                }
                self.words(")");
            }
            return;
        }
        self.words("select");
        self.maybe(8, "distinct");
        // The columns stand before the tables that they come from.
        let selected = std::mem::take(&mut self.tokens);
        let columns = self.from(common);
        let from = std::mem::replace(&mut self.tokens, selected);
        let grouped = !columns.is_empty() && self.chance(15);
        let window = (!grouped && !columns.is_empty() && self.chance(8)).then_some("w");
        for at in 0..count {
            if at > 0 {
                self.words(",");
            }
            if grouped && self.chance(70) {
                self.aggregate(&columns);
            } else if !grouped && !columns.is_empty() && (window.is_some() && at == 0 || self.chance(3)) {
                self.window_function(&columns, window);
            } else {
                self.expression(&columns);
            }
            if self.chance(12) {
                drop(self.alias());
            }
        }
        self.tokens.extend(from);
        if !columns.is_empty() && self.chance(40) {
            self.words("where");
            self.expression(&columns);
        }
        if grouped && self.chance(70) {
            self.words("group by");
            self.list(2, |inner, _| inner.simple_column(&columns));
            if self.chance(40) {
                self.words("having");
                self.aggregate(&columns);
                self.words("> 0");
            }
        }
        if window.is_some() {
            self.words("window w as");
            self.window_definition(&columns);
        }
    }

    fn simple_column(&mut self, columns: &Columns) {
        let column = columns[self.rng.usize(..columns.len())].clone();
        self.push(column);
    }

    /// FROM with tables, or nothing; the columns that they have.
    fn from(&mut self, common: Option<&(String, Columns)>) -> Columns {
        let mut columns = Columns::new();
        if common.is_none() && self.chance(12) {
            return columns;
        }
        self.words("from");
        let count = match self.rng.u32(0..10) {
            0..7 => 1,
            7..9 => 2,
            _ => 3,
        };
        for at in 0..count {
            let first = columns.clone();
            let mut outer = false;
            if at > 0 {
                let join = self.pick(&[
                    ",",
                    "join",
                    "left join",
                    "inner join",
                    "cross join",
                    "left outer join",
                    "right join",
                    "full outer join",
                    "natural join",
                ]);
                self.words(join);
                outer = join != "," && join != "natural join";
            }
            let name = format!("s{at}");
            let found = match common {
                Some((table, found)) if at == 0 => {
                    self.push(table.clone());
                    self.words("as");
                    self.push(name.clone());
                    found.iter().map(|column| format!("{name}.{column}")).collect()
                }
                _ => self.source(&name),
            };
            if outer && !first.is_empty() && !found.is_empty() && self.chance(70) {
                self.words("on");
                self.simple_column(&first);
                self.words("=");
                self.simple_column(&found);
            }
            columns.extend(found);
        }
        columns
    }

    /// One table, query or table function that is called `name`.
    fn source(&mut self, name: &str) -> Columns {
        if self.hostile(12) {
            return self.dangerous_source(name);
        }
        match self.rng.u32(0..100) {
            0..65 => {
                let table = if self.chance(75) {
                    self.some_table()
                } else {
                    READ_TABLES[self.rng.usize(..READ_TABLES.len())]
                };
                self.plain_source(table, name)
            }
            65..80 => self.subquery(name),
            80..90 => self.table_function(name),
            _ => {
                self.words("(");
                let table = self.some_table();
                let columns = self.plain_source(table, name);
                self.words(")");
                columns
            }
        }
    }

    fn plain_source(&mut self, (table, columns): Table, name: &str) -> Columns {
        self.table_name(table);
        self.maybe(80, "as");
        self.push(name);
        if TABLES.iter().any(|&(known, _)| known == table) && self.chance(5) {
            self.words("not indexed");
        } else if table == "posts" && self.chance(8) {
            self.words("indexed by posts_user");
        }
        let columns: Columns = columns.iter().map(|column| self.qualified(name, column)).collect();
        columns
    }

    fn qualified(&mut self, table: &str, column: &str) -> String {
        let plain = column.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') && column != "select";
        let column = match self.rng.u32(0..10) {
            0..8 if plain => column.to_owned(),
            8 => format!("[{column}]"),
            _ => format!("\"{column}\""),
        };
        format!("{table}.{column}")
    }

    fn subquery(&mut self, name: &str) -> Columns {
        let mut columns = Columns::new();
        let owned = name.to_owned();
        self.words("(");
        if self.depth > 0 && self.chance(50) {
            self.depth -= 1;
            self.words("select * from");
            let inner = self.source("i");
            self.depth += 1;
            // Names of columns are those behind the point.
            columns = inner
                .iter()
                .filter_map(|column| column.split_once('.'))
                .map(|(_, column)| format!("{owned}.{column}"))
                .collect();
        } else {
            self.words("select 1 as p , 'x' as q");
            columns.extend([format!("{owned}.p"), format!("{owned}.q")]);
        }
        self.words(")");
        self.maybe(70, "as");
        self.push(owned);
        columns
    }

    fn table_function(&mut self, name: &str) -> Columns {
        const CALLS: &[Table] = &[
            ("json_each ( '[1,2,3]' )", &["key", "value", "type"]),
            ("json_tree ( '{\"a\":[1]}' , '$.a' )", &["key", "value", "path"]),
            ("generate_series ( 1 , 5 )", &["value"]),
            ("generate_series ( 1 , 9 , 2 )", &["value"]),
            ("pragma_table_info ( 't' )", &["cid", "name", "type"]),
            ("pragma_index_list ( 'posts' )", &["seq", "name"]),
            ("pragma_foreign_key_list ( 'posts' )", &["id", "table"]),
            ("pragma_table_list", &["schema", "name"]),
            ("pragma_table_xinfo ( 'users' )", &["name", "hidden"]),
            ("vector_top_k ( 'vectors_index' , vector32 ( '[1,2,3]' ) , 2 )", &["id"]),
            ("docs ( 'two' )", &["title", "body"]),
        ];
        let (call, columns) = CALLS[self.rng.usize(..CALLS.len())];
        self.words(call);
        self.maybe(70, "as");
        self.push(name);
        columns.iter().map(|column| format!("{name}.\"{column}\"")).collect()
    }

    /// Tables that nobody may read, in all ways to write them.
    fn dangerous_source(&mut self, name: &str) -> Columns {
        // A word that may be an alias, before the table.
        if self.chance(30) {
            self.words("( select 1 )");
            drop(self.alias());
            self.words(",");
        }
        let table = self.pick(DANGEROUS_TABLES);
        match self.rng.u32(0..7) {
            0 => {
                let table = format!("{table} ( '.' )");
                self.words(&table);
            }
            1 => {
                let call = self.pick(&[
                    "pragma_writable_schema",
                    "pragma_temp_store_directory ( '.' )",
                    "pragma_database_list",
                    "pragma_wal_checkpoint",
                    "pragma_journal_mode ( 'delete' )",
                    "pragma_module_list",
                    "pragma_function_list",
                    "pragma_data_store_directory ( '.' )",
                ]);
                self.words(call);
            }
            2 => {
                let hidden = self.pick(&[
                    "docs_data",
                    "areas_node",
                    "vectors_index_shadow",
                    "libsql_vector_meta_shadow",
                    "dbstat",
                    "sqlite_stmt",
                ]);
                let hidden = self.name(hidden);
                self.push(hidden);
            }
            _ => {
                let written = self.name(table);
                self.push(written);
            }
        }
        if self.chance(60) {
            self.words("as");
            self.push(name);
        }
        Columns::new()
    }

    /// WITH; a table that it defines, and its columns.
    pub(super) fn with(&mut self) -> Option<(String, Columns)> {
        self.words("with");
        if self.chance(25) {
            self.words("recursive c0 ( n ) as ( select 1 union all select n + 1 from c0 where n < 5 )");
            return Some(("c0".to_owned(), vec!["n".to_owned()]));
        }
        let name = if self.hostile(25) {
            self.hostile_name()
        } else {
            "c0".to_owned()
        };
        let name = self.name(&name);
        self.push(name.clone());
        self.words("( p , q )");
        self.words("as");
        let hint = self.pick(&["", "", "materialized", "not materialized"]);
        if !hint.is_empty() {
            self.words(hint);
        }
        self.words("(");
        self.deeper(|inner| inner.compound(2, None), |inner| inner.words("select 1 , 2"));
        self.words(")");
        // A string would be no table where it is used.
        (!name.starts_with('\'')).then(|| (name, vec!["p".to_owned(), "q".to_owned()]))
    }
}
