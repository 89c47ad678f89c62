//! CREATE, ALTER and DROP.

use super::words::{DANGEROUS_FUNCTIONS, DANGEROUS_TABLES};
use super::{Columns, Generator};

const TYPES: &[&str] = &[
    "integer",
    "text",
    "real",
    "blob",
    "numeric",
    "varchar ( 20 )",
    "decimal ( 10 , 2 )",
    "f32_blob ( 3 )",
    "datetime",
];

impl Generator {
    /// What is stored and runs later: no parameters, no other tables.
    fn stored_expression(&mut self, columns: &Columns) {
        let before = (self.in_trigger, self.depth);
        self.in_trigger = true;
        self.depth = 0;
        if self.hostile(25) {
            let name = self.pick(DANGEROUS_FUNCTIONS);
            let name = self.name(name);
            self.push(name);
            self.words("( 'canary.txt' )");
        } else if self.chance(60) {
            self.simple_expression(columns);
        } else {
            let function = self.pick(&["lower", "abs", "length", "typeof", "upper", "trim"]);
            self.words(function);
            self.words("(");
            self.simple_expression(columns);
            self.words(")");
        }
        (self.in_trigger, self.depth) = before;
    }

    fn if_not_exists(&mut self) {
        self.maybe(15, "if not exists");
    }

    pub(super) fn create_table(&mut self) {
        self.words("create");
        if self.hostile(5) {
            self.words("temp");
        }
        self.words("table");
        self.if_not_exists();
        let name = self.new_name();
        self.table_name(&name);
        if self.chance(12) {
            self.words("as");
            let _ = self.select();
            return;
        }
        self.words("(");
        let mut columns = Columns::new();
        self.list(4, |inner, at| {
            let column = format!("c{at}");
            let known = columns.clone();
            inner.column(&column, &known, at == 0);
            columns.push(column);
        });
        self.table_constraints(&columns);
        self.words(")");
        let option = self.pick(&["", "", "", "", "strict"]);
        if !option.is_empty() && self.hostile(50) {
            self.words(option);
        }
    }

    fn column(&mut self, column: &str, known: &Columns, first: bool) {
        let name = self.name(column);
        self.push(name);
        if self.chance(80) {
            let kind = self.pick(TYPES);
            self.words(kind);
        }
        if first && self.chance(40) {
            let key = self.pick(&["primary key", "primary key on conflict replace", "primary key asc"]);
            return self.words(key);
        }
        match self.rng.u32(0..12) {
            0 => self.words("not null"),
            1 => self.words("unique"),
            2 => {
                self.words("default (");
                self.stored_expression(&Columns::new());
                self.words(")");
            }
            3 => {
                let default = self.pick(&[
                    "default 1",
                    "default 'x'",
                    "default -5",
                    "default current_timestamp",
                    "default null",
                    "default true",
                    "default word",
                ]);
                self.words(default);
            }
            4 => {
                self.words("check (");
                self.stored_expression(known);
                self.words(")");
            }
            5 => {
                let reference = self.pick(&[
                    "references users ( id )",
                    "references users ( id ) on delete cascade",
                    "references users on update set null deferrable initially deferred",
                ]);
                self.words(reference);
            }
            6 if !known.is_empty() => {
                self.maybe(50, "generated always");
                self.words("as (");
                self.stored_expression(known);
                let kind = self.pick(&[")", ") stored", ") virtual"]);
                self.words(kind);
            }
            7 => self.words("collate nocase"),
            8 => self.words("constraint k not null on conflict ignore"),
            _ => {}
        }
    }

    fn table_constraints(&mut self, columns: &Columns) {
        if self.chance(12) {
            self.words(", unique (");
            self.push(columns[0].clone());
            self.words(")");
        }
        if self.chance(10) {
            self.words(", constraint k check (");
            self.stored_expression(columns);
            self.words(")");
        }
        if self.chance(8) {
            self.words(", foreign key (");
            self.push(columns[0].clone());
            self.words(") references users ( id ) on delete set null");
        }
    }

    pub(super) fn create_index(&mut self) {
        self.words("create");
        self.maybe(20, "unique");
        self.words("index");
        self.if_not_exists();
        let name = self.new_name();
        if self.chance(15) || self.hostile(30) {
            return self.create_vector_index(&name);
        }
        let name = self.name(&name);
        self.push(name);
        self.words("on");
        let (table, columns) = self.some_table();
        let table = self.name(table);
        self.push(table);
        let columns: Columns = columns.iter().map(|column| self.written(column)).collect();
        self.words("(");
        self.list(2, |inner, at| {
            if inner.chance(20) {
                inner.stored_expression(&columns);
            } else {
                inner.push(columns[at % columns.len()].clone());
            }
            let order = inner.pick(&["", "", "asc", "desc", "collate nocase"]);
            if !order.is_empty() {
                inner.words(order);
            }
        });
        self.words(")");
        if self.chance(20) {
            self.words("where");
            self.push(columns[0].clone());
            self.words("is not null");
        }
    }

    fn create_vector_index(&mut self, name: &str) {
        let name = self.name(name);
        self.push(name);
        self.words("on");
        let table = self.name("vectors");
        self.push(table);
        if self.chance(10) {
            self.words("using");
            let kind = if self.hostile(50) {
                self.hostile_name()
            } else {
                "libsql_vector_idx".to_owned()
            };
            let kind = self.name(&kind);
            self.push(kind);
            return self.words("( e )");
        }
        self.words("(");
        let function = if self.chance(80) {
            "libsql_vector_idx".to_owned()
        } else {
            self.name("libsql_vector_idx")
        };
        self.push(function);
        let setting = self.pick(&[
            "",
            "",
            ", 'metric=cosine'",
            ", 'metric=l2' , 'max_neighbors=8'",
            ", 'type=diskann'",
            ", 'compress_neighbors=float8'",
        ]);
        self.words("( e");
        if !setting.is_empty() {
            self.words(setting);
        }
        if self.hostile(10) {
            self.words(", 'x'' ; select readfile(1); --'");
        }
        self.words(") )");
        if self.chance(8) {
            self.words("where id > 3");
        }
    }

    pub(super) fn create_view(&mut self) {
        self.words("create");
        if self.hostile(5) {
            self.words("temporary");
        }
        self.words("view");
        self.if_not_exists();
        let name = self.new_name();
        self.table_name(&name);
        self.words("as");
        let before = self.in_trigger;
        self.in_trigger = true;
        let _ = self.select();
        self.in_trigger = before;
    }

    pub(super) fn create_trigger(&mut self) {
        self.words("create");
        if self.hostile(5) {
            self.words("temp");
        }
        self.words("trigger");
        self.if_not_exists();
        let name = self.new_name();
        let name = self.name(&name);
        self.push(name);
        let (table, columns) = self.some_table();
        let before = self.in_trigger;
        self.in_trigger = true;
        let event = self.pick(&["insert", "delete", "update"]);
        let when = self.pick(&["after", "before", ""]);
        if !when.is_empty() {
            self.words(when);
        }
        self.words(event);
        if event == "update" && self.chance(30) {
            self.words("of");
            let column = self.written(columns[0]);
            self.push(column);
        }
        self.words("on");
        let table = self.name(table);
        self.push(table);
        self.maybe(30, "for each row");
        let row = if event == "delete" { "old" } else { "new" };
        let known: Columns = columns.iter().map(|column| format!("{row}.\"{column}\"")).collect();
        if self.chance(30) {
            self.words("when");
            self.expression(&known);
        }
        self.words("begin");
        for _ in 0..self.rng.u32(1..3) {
            match self.rng.u32(0..10) {
                0..4 => {
                    self.words("insert into log values (");
                    self.expression(&known);
                    self.words(")");
                }
                4 => self.insert(),
                5 => self.update(),
                6 => self.delete(),
                7 => {
                    let raise = self.pick(&[
                        "select raise ( ignore )",
                        "select raise ( abort , 'no' )",
                        "select raise ( fail , 'no' ) where 0",
                    ]);
                    self.words(raise);
                }
                _ => {
                    let _ = self.select();
                }
            }
            self.words(";");
        }
        self.words("end");
        self.in_trigger = before;
    }

    pub(super) fn create_virtual_table(&mut self) {
        self.words("create virtual table");
        self.if_not_exists();
        let name = self.new_name();
        self.table_name(&name);
        self.words("using");
        if self.hostile(45) {
            return self.dangerous_module();
        }
        let module = self.pick(&[
            "fts5 ( title , body )",
            "fts5 ( body , tokenize = 'porter unicode61' )",
            "fts5 ( title , content = 'posts' , content_rowid = 'id' )",
            "fts5 ( a unindexed , b , prefix = '2 3' )",
            "fts5 ( x , content = '' )",
            "fts5 ( body , detail = none , columnsize = 0 )",
            "fts5 ( title , tokenize = \"trigram\" )",
            "fts4 ( title , body )",
            "fts4 ( content='posts' , title )",
            "fts4 ( body , tokenize=unicode61 )",
            "fts3 ( title )",
            "rtree ( id , x0 , x1 , y0 , y1 )",
            "rtree_i32 ( id , x0 , x1 )",
            "rtree ( id , x0 , x1 , + label )",
            "geopoly ( a , b )",
            "fts5vocab ( docs , 'row' )",
        ]);
        self.words(module);
    }

    fn dangerous_module(&mut self) {
        if self.chance(30) {
            let module = self.pick(DANGEROUS_TABLES);
            let module = self.name(module);
            return self.push(module);
        }
        let module = self.pick(&[
            "fts5 ( a , content = 'fsdir' )",
            "fts5 ( a , content = sqlite_dbpage )",
            "fts5 ( data , content = \"sqlite_dbpage\" , content_rowid = pgno )",
            "fts5 ( a , content = [fsdir] )",
            "fts5 ( a , content = 'o'' , x' )",
            "fts5 ( name , content=`fsdir` )",
            "fts5 ( a , CONTENT = 'FSDIR' )",
            "fts5 ( a , content = 'v' )",
            "fts5 ( a , content_rowid = 'readfile(1)' , content = 't' )",
            "fts4 ( content='sqlite_dbpage' , data )",
            "fts4 ( content=\"fsdir\" )",
            "fts4 ( a , compress=readfile , uncompress=writefile )",
            "fts4 ( a , compress=\"lower\" , uncompress=upper )",
            "fts4 ( a , tokenize=fsdir )",
            "fts4 ( a , languageid=\"readfile(1)\" )",
            "fts4aux ( main , docs )",
            "fts3tokenize ( 'simple' )",
            "fts5vocab ( 'main' , 'docs' , 'col' )",
            "fts5vocab ( 'sqlite_dbpage' , 'row' )",
            "rtree ( id , x0 , x1 ) ; select readfile ( 1 )",
            "rtree ( id , \"x0); select readfile(1); --\" , x1 )",
            "csv ( filename = 'canary.txt' )",
            "zipfile ( 'canary.txt' )",
            "dbstat ( main )",
            "generate_series",
            "json_each ( 1 )",
            "pragma_table_info",
            "vector_top_k",
            "libsql_vector_idx ( e )",
            "\"fts5\" ( a , content = 'fsdir' )",
            "'fts5' ( a )",
            "sqlite_stmt",
        ]);
        self.words(module);
    }

    pub(super) fn alter(&mut self) {
        self.words("alter table");
        let (table, columns) = self.some_table();
        self.table_name(table);
        let column = self.written(columns[columns.len() - 1]);
        match self.rng.u32(0..10) {
            0..3 => {
                self.words("rename to");
                let name = self.new_name();
                let name = self.name(&name);
                self.push(name);
            }
            3..5 => {
                self.words("rename");
                self.maybe(70, "column");
                self.push(column);
                self.words("to");
                let name = self.new_name();
                let name = self.name(&name);
                self.push(name);
            }
            5..8 => {
                self.words("add");
                self.maybe(70, "column");
                let name = self.new_name();
                let name = self.name(&name);
                self.push(name);
                let kind = self.pick(&[
                    "text",
                    "integer default 3",
                    "text default 'x'",
                    "integer references users ( id )",
                    "",
                    "text collate nocase",
                ]);
                if !kind.is_empty() {
                    self.words(kind);
                }
                if self.hostile(40) {
                    self.words("default (");
                    self.stored_expression(&Columns::new());
                    self.words(")");
                }
            }
            8 => {
                self.words("drop");
                self.maybe(70, "column");
                self.push(column);
            }
            _ => {
                self.words("alter column");
                self.push(column.clone());
                self.words("to");
                self.push(column);
                let kind = self.pick(&["text", "integer", "text check ( 1 )"]);
                self.words(kind);
                if self.hostile(40) {
                    self.words("default (");
                    self.stored_expression(&Columns::new());
                    self.words(")");
                }
            }
        }
    }

    pub(super) fn drop(&mut self) {
        self.words("drop");
        let what = self.pick(&[
            "table log",
            "table if exists nothing",
            "view v",
            "index posts_user",
            "trigger t_log",
            "index if exists vectors_index",
            "table docs",
            "table if exists main . t",
        ]);
        if self.hostile(30) {
            self.words("table");
            let name = self.hostile_name();
            return self.table_name(&name);
        }
        self.words(what);
    }
}
