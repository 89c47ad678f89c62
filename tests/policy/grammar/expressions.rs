//! Expressions over columns.

use super::words::{DANGEROUS_FUNCTIONS, DANGEROUS_TABLES};
use super::{Columns, Generator};

/// Harmless functions, with numbers of arguments that they take.
const FUNCTIONS: &[(&str, usize)] = &[
    ("abs", 1),
    ("lower", 1),
    ("upper", 1),
    ("length", 1),
    ("typeof", 1),
    ("hex", 1),
    ("quote", 1),
    ("coalesce", 2),
    ("ifnull", 2),
    ("nullif", 2),
    ("iif", 3),
    ("instr", 2),
    ("substr", 3),
    ("substring", 2),
    ("replace", 3),
    ("trim", 1),
    ("ltrim", 2),
    ("rtrim", 1),
    ("round", 2),
    ("random", 0),
    ("randomblob", 1),
    ("zeroblob", 1),
    ("printf", 2),
    ("format", 2),
    ("char", 2),
    ("unicode", 1),
    ("unhex", 1),
    ("date", 1),
    ("time", 1),
    ("datetime", 2),
    ("julianday", 1),
    ("strftime", 2),
    ("unixepoch", 1),
    ("timediff", 2),
    ("json", 1),
    ("json_array", 2),
    ("json_object", 2),
    ("json_extract", 2),
    ("json_set", 3),
    ("json_type", 1),
    ("json_valid", 1),
    ("json_quote", 1),
    ("json_patch", 2),
    ("json_array_length", 1),
    ("jsonb", 1),
    ("max", 2),
    ("min", 2),
    ("likely", 1),
    ("changes", 0),
    ("last_insert_rowid", 0),
    ("sqlite_version", 0),
    ("glob", 2),
    ("like", 2),
    ("sign", 1),
    ("sqrt", 1),
    ("power", 2),
    ("ceil", 1),
    ("floor", 1),
    ("pi", 0),
    ("soundex", 1),
    ("vector32", 1),
    ("vector", 1),
    ("vector_extract", 1),
    ("vector_distance_cos", 2),
    ("uuid", 0),
    ("sha3", 1),
    ("regexp", 2),
    ("octet_length", 1),
    ("concat", 2),
    ("concat_ws", 3),
    ("reverse", 1),
];

const AGGREGATES: &[(&str, usize)] = &[
    ("count", 1),
    ("sum", 1),
    ("total", 1),
    ("avg", 1),
    ("max", 1),
    ("min", 1),
    ("group_concat", 1),
    ("string_agg", 2),
    ("json_group_array", 1),
    ("json_group_object", 2),
    ("median", 1),
    ("stdev", 1),
];

const WINDOW_FUNCTIONS: &[(&str, usize)] = &[
    ("row_number", 0),
    ("rank", 0),
    ("dense_rank", 0),
    ("lag", 1),
    ("lead", 2),
    ("first_value", 1),
    ("last_value", 1),
    ("ntile", 1),
    ("nth_value", 2),
    ("percent_rank", 0),
    ("cume_dist", 0),
];

impl Generator {
    pub(super) fn expression(&mut self, columns: &Columns) {
        self.deeper(
            |inner| inner.compound_expression(columns),
            |inner| inner.simple_expression(columns),
        );
    }

    pub(super) fn simple_expression(&mut self, columns: &Columns) {
        if columns.is_empty() || self.chance(35) {
            self.literal();
        } else {
            let column = columns[self.rng.usize(..columns.len())].clone();
            self.push(column);
        }
    }

    fn operand(&mut self, columns: &Columns) {
        if self.chance(60) {
            self.simple_expression(columns);
        } else {
            self.words("(");
            self.expression(columns);
            self.words(")");
        }
    }

    fn compound_expression(&mut self, columns: &Columns) {
        match self.rng.u32(0..100) {
            0..18 => self.simple_expression(columns),
            18..40 => {
                const OPERATORS: &[&str] = &[
                    "+",
                    "-",
                    "*",
                    "/",
                    "%",
                    "||",
                    "=",
                    "==",
                    "<>",
                    "!=",
                    "<",
                    "<=",
                    ">",
                    ">=",
                    "and",
                    "or",
                    "&",
                    "|",
                    "<<",
                    ">>",
                    "is",
                    "is not",
                    "is distinct from",
                    "is not distinct from",
                    "->",
                    "->>",
                ];
                self.operand(columns);
                let operator = self.pick(OPERATORS);
                if operator.starts_with("->") {
                    self.push(operator);
                    self.push("'$.a'");
                } else {
                    self.words(operator);
                    self.operand(columns);
                }
            }
            40..44 => {
                let operator = self.pick(&["-", "+", "~", "not"]);
                self.words(operator);
                self.operand(columns);
            }
            44..48 => {
                self.operand(columns);
                self.maybe(30, "not");
                self.words("between");
                self.operand(columns);
                self.words("and");
                self.operand(columns);
            }
            48..58 => self.membership(columns),
            58..62 => {
                self.operand(columns);
                self.maybe(30, "not");
                let operator = self.pick(&["like", "glob", "regexp"]);
                self.words(operator);
                self.operand(columns);
                if operator == "like" && self.chance(20) {
                    self.words("escape '!'");
                }
            }
            62..67 => self.case(columns),
            67..70 => {
                self.words("cast (");
                self.expression(columns);
                let cast = self.pick(&[
                    "as text )",
                    "as integer )",
                    "as numeric )",
                    "as varchar ( 10 )  )",
                    "as blob )",
                ]);
                self.words(cast);
            }
            70..73 => {
                self.operand(columns);
                self.words("collate");
                let collation = self.pick(&["nocase", "binary", "rtrim", "\"nocase\""]);
                self.words(collation);
            }
            73..77 => {
                self.maybe(30, "not");
                self.words("exists (");
                let _ = self.select();
                self.words(")");
            }
            77..81 => {
                self.words("(");
                self.select_of_one();
                self.words(")");
            }
            81..83 => {
                self.operand(columns);
                let test = self.pick(&["isnull", "notnull", "not null", "is null", "is not null"]);
                self.words(test);
            }
            83..85 => {
                self.words("(");
                self.expression(columns);
                self.words(",");
                self.expression(columns);
                self.words(") = (");
                self.expression(columns);
                self.words(",");
                self.expression(columns);
                self.words(")");
            }
            _ => self.function(columns),
        }
    }

    fn membership(&mut self, columns: &Columns) {
        self.operand(columns);
        self.maybe(30, "not");
        self.words("in");
        match self.rng.u32(0..10) {
            0..5 => {
                self.words("(");
                self.list(4, |inner, _| inner.expression(columns));
                self.words(")");
            }
            5 => self.words("( )"),
            6..8 => {
                self.words("(");
                self.select_of_one();
                self.words(")");
            }
            8 => self.table_name("log"),
            _ => self.table_function_of_one(),
        }
    }

    fn table_function_of_one(&mut self) {
        if self.hostile(40) {
            let name = self.pick(DANGEROUS_TABLES);
            let name = self.name(name);
            self.push(name);
            self.words("(");
            self.push("'.'");
            self.words(")");
        } else {
            self.words("( select value from json_each ( '[1,2]' ) )");
        }
    }

    fn case(&mut self, columns: &Columns) {
        self.words("case");
        if self.chance(40) {
            self.expression(columns);
        }
        for _ in 0..self.rng.u32(1..3) {
            self.words("when");
            self.expression(columns);
            self.words("then");
            self.expression(columns);
        }
        if self.chance(60) {
            self.words("else");
            self.expression(columns);
        }
        self.words("end");
    }

    fn arguments(&mut self, columns: &Columns, count: usize) {
        for at in 0..count {
            if at > 0 {
                self.words(",");
            }
            self.expression(columns);
        }
        self.words(")");
    }

    fn function(&mut self, columns: &Columns) {
        if self.hostile(35) {
            return self.dangerous_function(columns);
        }
        let (name, count) = FUNCTIONS[self.rng.usize(..FUNCTIONS.len())];
        let name = if self.chance(5) {
            format!("\"{name}\"")
        } else {
            name.to_owned()
        };
        self.push(name);
        self.words("(");
        self.arguments(columns, count);
    }

    fn dangerous_function(&mut self, columns: &Columns) {
        let name = self.pick(DANGEROUS_FUNCTIONS);
        let name = self.name(name);
        self.push(name);
        self.words("(");
        match self.rng.u32(0..6) {
            0 => self.words("*  )"),
            1 => self.words("'canary.txt' )"),
            2 => self.words("'new.txt' , 'text' )"),
            3 => self.words("'select 1' )"),
            4 => {
                self.expression(columns);
                self.words(", 3 )");
            }
            _ => {
                let count = self.rng.usize(0..4);
                self.arguments(columns, count);
            }
        }
        if self.chance(10) {
            self.words("over ( )");
        }
    }

    /// An aggregate function, for where there may be one.
    pub(super) fn aggregate(&mut self, columns: &Columns) {
        let (name, count) = AGGREGATES[self.rng.usize(..AGGREGATES.len())];
        if name == "count" && self.chance(50) {
            self.words("count ( * )");
        } else {
            self.words(name);
            self.words("(");
            if count == 1 && self.chance(20) {
                self.words("distinct");
            }
            self.arguments(columns, count);
        }
        if self.chance(15) {
            self.words("filter ( where");
            self.simple_expression(columns);
            self.words(")");
        }
    }

    /// A window function; `window` is the name of a window of the query.
    pub(super) fn window_function(&mut self, columns: &Columns, window: Option<&str>) {
        if self.chance(30) {
            self.aggregate(columns);
        } else {
            let (name, count) = WINDOW_FUNCTIONS[self.rng.usize(..WINDOW_FUNCTIONS.len())];
            self.words(name);
            self.words("(");
            for at in 0..count {
                if at > 0 {
                    self.words(",");
                }
                // Numbers of rows must be positive.
                if matches!((name, at), ("ntile", 0) | ("nth_value", 1) | ("lead", 1)) {
                    self.words("2");
                } else {
                    self.simple_expression(columns);
                }
            }
            self.words(")");
        }
        self.words("over");
        match window {
            Some(window) if self.chance(70) => self.push(window),
            _ => self.window_definition(columns),
        }
    }

    pub(super) fn window_definition(&mut self, columns: &Columns) {
        self.words("(");
        if self.chance(50) {
            self.words("partition by");
            self.simple_expression(columns);
        }
        self.words("order by");
        self.simple_expression(columns);
        if self.chance(30) {
            let frame = self.pick(&[
                "rows between unbounded preceding and current row",
                "rows 2 preceding",
                "range between current row and unbounded following",
                "groups between 1 preceding and 1 following exclude ties",
                "rows between 1 preceding and 1 following exclude current row",
            ]);
            self.words(frame);
        }
        self.words(")");
    }
}
