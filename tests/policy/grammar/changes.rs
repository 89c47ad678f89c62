//! INSERT, UPDATE and DELETE.

use super::{Columns, Generator};

impl Generator {
    fn plain(&mut self, columns: &[&str]) -> Columns {
        columns.iter().map(|column| self.written(column)).collect()
    }

    /// A column where only a name may stand.
    pub(super) fn written(&mut self, column: &str) -> String {
        let plain = column.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') && column != "select";
        if plain && self.chance(80) {
            column.to_owned()
        } else {
            format!("\"{column}\"")
        }
    }

    pub(super) fn insert(&mut self) {
        if self.depth > 0 && !self.in_trigger && self.chance(8) {
            drop(self.with());
        }
        let verb = self.pick(&[
            "insert",
            "insert",
            "insert",
            "insert or ignore",
            "insert or replace",
            "replace",
            "insert or abort",
        ]);
        self.words(verb);
        self.words("into");
        let (table, columns) = if self.chance(10) {
            ("docs", &["title", "body"][..])
        } else {
            self.some_table()
        };
        // The vector's type must be right.
        let (table, columns) = if table == "vectors" {
            ("t", &["a", "b", "c"][..])
        } else {
            (table, columns)
        };
        if self.in_trigger {
            let name = self.name(table);
            self.push(name);
        } else {
            self.table_name(table);
        }
        if self.chance(10) && table != "docs" && !self.in_trigger {
            return self.words("default values");
        }
        let named = self.chance(60);
        if named {
            let columns = self.plain(columns);
            self.words("(");
            self.push(columns.join(", "));
            self.words(")");
        }
        if self.chance(80) {
            self.words("values");
            self.list(3, |inner, _| {
                inner.words("(");
                for at in 0..columns.len() {
                    if at > 0 {
                        inner.words(",");
                    }
                    // Keys are numbers.
                    if at == 0 && columns[0] == "id" {
                        inner.words("null")
                    } else {
                        inner.expression(&Columns::new())
                    }
                }
                inner.words(")");
            });
        } else {
            self.words("select");
            for at in 0..columns.len() {
                if at > 0 {
                    self.words(",");
                }
                if at == 0 && columns[0] == "id" {
                    self.words("null")
                } else {
                    self.words("x")
                }
            }
            self.words("from log where true");
        }
        if table == "users" && self.chance(40) {
            self.words("on conflict ( email ) do");
            let action = self.pick(&[
                "nothing",
                "update set name = excluded . name",
                "update set name = 'y' where users . id > 0",
            ]);
            self.words(action);
        }
        self.returning(columns);
    }

    fn returning(&mut self, columns: &[&str]) {
        if !self.in_trigger && self.chance(25) {
            self.words("returning");
            if self.chance(40) {
                return self.words("*");
            }
            let columns = self.plain(columns);
            self.list(2, |inner, _| inner.expression(&columns));
        }
    }

    pub(super) fn update(&mut self) {
        self.words("update");
        self.maybe(8, "or ignore");
        let (table, columns) = self.some_table();
        if self.in_trigger {
            let name = self.name(table);
            self.push(name);
        } else {
            self.table_name(table);
        }
        self.words("set");
        let known = self.plain(columns);
        let last = columns[columns.len() - 1];
        self.list(2, |inner, _| {
            let column = inner.written(last);
            inner.push(column);
            inner.words("=");
            if table == "vectors" {
                inner.words("null")
            } else {
                inner.expression(&known)
            }
        });
        if !self.in_trigger && self.chance(10) {
            self.words("from ( select 1 as p ) as s9");
        }
        if self.chance(70) {
            self.words("where");
            self.expression(&known);
        }
        self.returning(columns);
    }

    pub(super) fn delete(&mut self) {
        if self.depth > 0 && !self.in_trigger && self.chance(5) {
            drop(self.with());
        }
        self.words("delete from");
        let (table, columns) = self.some_table();
        if self.in_trigger {
            let name = self.name(table);
            self.push(name);
        } else {
            self.table_name(table);
        }
        let known = self.plain(columns);
        if self.chance(75) {
            self.words("where");
            self.expression(&known);
        }
        self.returning(columns);
    }
}
