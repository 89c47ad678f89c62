//! What SQL wants next, judged by the words before the cursor.

mod of_schema;

use super::statement::{Item, Statement};
use super::words;
use crate::shell::editor::lex::LexemeKind;

/// A kind of name or word that may stand at the cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expectation {
    Keywords(&'static [&'static str]),
    /// Tables, views and the names that `WITH` gives.
    Tables,
    /// Columns of one table.
    ColumnsOf(String),
    /// Columns of the tables in reach, and their aliases.
    Columns,
    /// Columns that more than one of the tables in reach has.
    SharedColumns,
    /// What stands behind `qualifier.`: columns of a table or alias, or tables of a schema.
    Qualified(String),
    Functions,
    /// Functions that stand for a table, such as `json_each`.
    TableFunctions,
    Schemas,
    Indexes,
    Triggers,
    Views,
    Pragmas,
    Collations,
    Types,
}

use Expectation::{Columns, ColumnsOf, Functions, Keywords, Tables};

/// What may stand at the cursor, the most likely first. Empty where only the user can know: a new name, an alias.
pub fn expect(statement: &Statement<'_>) -> Vec<Expectation> {
    if matches!(
        statement.word_kind,
        Some(LexemeKind::Text | LexemeKind::Number | LexemeKind::Variable | LexemeKind::Stray)
    ) {
        return Vec::new();
    }
    let group = statement.group();
    let here = statement.here(group);
    if let [.., name, dot] = here.as_slice()
        && dot.sign(".")
        && name.names()
    {
        return vec![Expectation::Qualified(name.name())];
    }
    if group != 0
        && !is_query_so_far(statement, group, &here)
        && let Some(wants) = in_list(statement, group, &here)
    {
        return wants;
    }
    if group != 0 && here.is_empty() {
        return operand();
    }
    in_statement(&here, group == 0)
}

fn is_query_so_far(statement: &Statement<'_>, group: usize, here: &[&Item<'_>]) -> bool {
    !here.is_empty() && statement.is_query(group)
}

/// What may stand where a value is wanted.
fn operand() -> Vec<Expectation> {
    vec![Columns, Functions, Keywords(words::OPERANDS)]
}

/// Inside parentheses that hold a list rather than a query: told by what stands before the `(`.
fn in_list(statement: &Statement<'_>, group: usize, here: &[&Item<'_>]) -> Option<Vec<Expectation>> {
    let opener = statement.opener(group);
    let fresh = here.last().is_none_or(|item| item.sign(","));
    let (last, head) = opener.split_last()?;
    let first = opener.iter().find(|item| !item.is_any(&["EXPLAIN", "QUERY", "PLAN"]))?;
    if last.is("USING") {
        return Some(if fresh {
            vec![Expectation::SharedColumns, Columns]
        } else {
            Vec::new()
        });
    }
    if last.is_any(&["VALUES"])
        || (last.sign(",") && opener.iter().any(|item| item.is("VALUES")) && first.is_any(&["INSERT", "REPLACE"]))
    {
        return Some(if fresh {
            vec![Functions, Keywords(words::OPERANDS)]
        } else {
            vec![Keywords(words::OPERATORS)]
        });
    }
    if first.is("PRAGMA") {
        return Some(pragma_value(&last.name()));
    }
    if last.is("KEY") || last.is("UNIQUE") && first.is("CREATE") {
        // Columns of the table being defined: those named at the start of an entry before.
        return Some(if fresh {
            vec![ColumnsOf(String::new())]
        } else {
            Vec::new()
        });
    }
    if last.names()
        && let Some(wanted) = after_name(last, head, first, &opener, here)
    {
        return Some(wanted);
    }
    if last.is_any(&["OVER", "WINDOW"]) {
        return Some(match here.last() {
            None => vec![Keywords(&["PARTITION", "ORDER", "ROWS", "RANGE", "GROUPS"])],
            Some(_) => in_statement(here, false),
        });
    }
    // A function's arguments, a value in parentheses, `IN (`, `EXISTS (`, `FROM (`.
    if last.is_any(&["FROM", "JOIN", "EXISTS"]) && fresh {
        return Some(vec![Keywords(&["SELECT", "WITH", "VALUES"]), Tables]);
    }
    if last.is("AS") && fresh {
        return Some(vec![Keywords(&["SELECT", "WITH", "VALUES"])]);
    }
    if opener.iter().any(|item| item.is("CAST")) && here.last().is_some_and(|item| item.is("AS")) {
        return Some(vec![Expectation::Types]);
    }
    Some(in_expression(here, ""))
}

/// Inside parentheses after a name: columns of a table that is filled, referred to, indexed or defined; none for a function.
fn after_name(
    last: &Item<'_>,
    head: &[&Item<'_>],
    first: &Item<'_>,
    opener: &[&Item<'_>],
    here: &[&Item<'_>],
) -> Option<Vec<Expectation>> {
    let fresh = here.last().is_none_or(|item| item.sign(","));
    let mut before = head;
    if let [rest @ .., schema, dot] = before
        && dot.sign(".")
        && schema.names()
    {
        before = rest;
    }
    let keyword = before.last();
    if keyword.is_some_and(|word| word.is_any(&["INTO", "REFERENCES"])) {
        return Some(if fresh {
            vec![ColumnsOf(last.name())]
        } else {
            Vec::new()
        });
    }
    if keyword.is_some_and(|word| word.is("ON")) && first.is("CREATE") {
        return Some(if fresh {
            vec![ColumnsOf(last.name()), Functions]
        } else {
            vec![Keywords(&["ASC", "DESC", "COLLATE"])]
        });
    }
    if first.is("CREATE") && opener.iter().any(|item| item.is("TABLE")) && !opener.iter().any(|item| item.is("VIRTUAL"))
    {
        return Some(in_definition(here));
    }
    if first.is("WITH")
        && keyword.is_some_and(|word| word.is_any(&["WITH", "RECURSIVE"]) || word.sign(","))
        && !opener.iter().any(|item| item.is("SELECT"))
    {
        return Some(Vec::new());
    }
    None
}

/// An entry of `CREATE TABLE t ( … )`.
fn in_definition(here: &[&Item<'_>]) -> Vec<Expectation> {
    let entry = here
        .iter()
        .rposition(|item| item.sign(","))
        .map_or(here, |comma| &here[comma + 1..]);
    match entry {
        [] => vec![Keywords(words::TABLE_CONSTRAINTS)],
        [.., word] if word.is("REFERENCES") => vec![Tables],
        [.., word] if word.is("COLLATE") => vec![Expectation::Collations],
        [.., before, word] if words::after_keyword(Some(before.text), &upper(word)).is_some() => {
            keyword_after(Some(before), word)
        }
        [.., word] if word.is_any(&["PRIMARY", "FOREIGN", "DEFAULT"]) => keyword_after(None, word),
        [.., word] if word.is("NOT") => vec![Keywords(&["NULL"])],
        [one] if one.names() => vec![Expectation::Types, Keywords(words::COLUMN_CONSTRAINTS)],
        [_, ..] => vec![Keywords(words::COLUMN_CONSTRAINTS)],
    }
}

fn upper(item: &Item<'_>) -> String {
    item.text.to_ascii_uppercase()
}

fn keyword_after(before: Option<&Item<'_>>, word: &Item<'_>) -> Vec<Expectation> {
    words::after_keyword(before.map(upper).as_deref(), &upper(word))
        .map(|keywords| vec![Keywords(keywords)])
        .unwrap_or_default()
}

fn pragma_value(pragma: &str) -> Vec<Expectation> {
    let pragma = pragma.to_ascii_lowercase();
    if words::TABLE_PRAGMAS.contains(&pragma.as_str()) {
        vec![Tables]
    } else if words::INDEX_PRAGMAS.contains(&pragma.as_str()) {
        vec![Expectation::Indexes]
    } else {
        vec![Keywords(words::pragma_values(&pragma))]
    }
}

/// Keywords that begin a clause of a query or statement.
const CLAUSES: &[&str] = &[
    "SELECT",
    "FROM",
    "JOIN",
    "ON",
    "WHERE",
    "GROUP",
    "HAVING",
    "ORDER",
    "LIMIT",
    "OFFSET",
    "SET",
    "VALUES",
    "RETURNING",
    "USING",
    "INTO",
    "UPDATE",
    "WINDOW",
    "PARTITION",
];

/// After these a value is wanted.
const BEFORE_VALUE: &[&str] = &[
    "SELECT",
    "DISTINCT",
    "WHERE",
    "ON",
    "HAVING",
    "BY",
    "SET",
    "AND",
    "OR",
    "NOT",
    "LIKE",
    "GLOB",
    "BETWEEN",
    "IN",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "RETURNING",
    "REGEXP",
    "MATCH",
    "ESCAPE",
];

/// At the level of a statement or a query.
fn in_statement(here: &[&Item<'_>], outermost: bool) -> Vec<Expectation> {
    let Some((last, head)) = here.split_last() else {
        return vec![Keywords(if outermost {
            words::STATEMENTS
        } else {
            &["SELECT", "WITH", "VALUES"]
        })];
    };
    let before = head.last().copied();
    let first = here
        .iter()
        .find(|item| !item.is_any(&["EXPLAIN", "QUERY", "PLAN"]))
        .unwrap_or(last);
    let begins = |words: &[&str]| first.is_any(words);
    if outermost && begins(&["PRAGMA"]) {
        return match here {
            [_] => vec![Expectation::Pragmas, Expectation::Schemas],
            [.., name, sign] if sign.sign("=") => pragma_value(&name.name()),
            _ => Vec::new(),
        };
    }
    if outermost && let Some(wants) = of_schema::of_schema(here, last, before, first) {
        return wants;
    }
    if last.is_any(&["FROM", "JOIN", "INTO"]) {
        return vec![Tables, Expectation::Schemas, Expectation::TableFunctions];
    }
    if last.is("UPDATE") {
        // `ON CONFLICT DO UPDATE SET`
        return if before.is_some_and(|word| word.is("DO")) {
            vec![Keywords(&["SET"])]
        } else {
            vec![Tables, Expectation::Schemas, Keywords(&["OR"])]
        };
    }
    if last.is_any(&["REPLACE", "IGNORE", "ABORT", "FAIL", "ROLLBACK"]) && before.is_some_and(|word| word.is("OR")) {
        return if begins(&["UPDATE"]) {
            vec![Tables]
        } else {
            vec![Keywords(&["INTO"])]
        };
    }
    if last.is("COLLATE") {
        return vec![Expectation::Collations];
    }
    if last.is("CONFLICT") {
        return vec![Keywords(&["DO"])];
    }
    if last.is_any(&["AS", "SAVEPOINT", "RELEASE", "LIMIT", "OFFSET"]) {
        return Vec::new();
    }
    let clause = here
        .iter()
        .rev()
        .find(|item| item.is_any(CLAUSES))
        .map(|item| upper(item))
        .unwrap_or_default();
    if !last.is_any(BEFORE_VALUE)
        && last.kind == LexemeKind::Keyword
        && words::after_keyword(before.map(upper).as_deref(), &upper(last)).is_some()
    {
        return keyword_after(before, last);
    }
    match clause.as_str() {
        "FROM" | "JOIN" => {
            if last.sign(",") {
                return vec![Tables, Expectation::Schemas, Expectation::TableFunctions];
            }
            vec![Keywords(words::AFTER_TABLE)]
        }
        "INTO" => vec![Keywords(&["VALUES", "SELECT", "DEFAULT", "AS", "WITH"])],
        "UPDATE" => vec![Keywords(&["SET", "AS", "FROM"])],
        "SET" => in_assignments(here, last),
        _ => in_expression(here, &clause),
    }
}

/// After `SET`: a column, its value, the next column.
fn in_assignments(here: &[&Item<'_>], last: &Item<'_>) -> Vec<Expectation> {
    let since = here
        .iter()
        .rposition(|item| item.is("SET") || item.sign(","))
        .unwrap_or(0);
    if since + 1 == here.len() {
        return vec![Columns];
    }
    if here[since..].iter().any(|item| item.sign("=")) {
        return in_expression(here, "SET");
    }
    if last.names() { vec![Keywords(&[])] } else { Vec::new() }
}

/// Where values stand: one is wanted after an operator, something that goes on after a value.
fn in_expression(here: &[&Item<'_>], clause: &str) -> Vec<Expectation> {
    let Some((last, head)) = here.split_last() else {
        return operand();
    };
    let value = match last.kind {
        // `*` is a value after SELECT or in count(*), an operator after another value.
        LexemeKind::Sign if last.sign("*") => head
            .last()
            .is_none_or(|before| before.is("SELECT") || before.sign(",") || before.sign(".")),
        LexemeKind::Sign => last.sign(")"),
        LexemeKind::Keyword => {
            if last.is("IS") {
                return vec![Keywords(&["NULL", "NOT", "DISTINCT"]), Columns, Functions];
            }
            if last.is("NOT") && !head.is_empty() && !head.last().is_some_and(|before| before.is_any(BEFORE_VALUE)) {
                return vec![
                    Keywords(&["NULL", "IN", "LIKE", "BETWEEN", "EXISTS", "GLOB"]),
                    Columns,
                    Functions,
                ];
            }
            !last.is_any(BEFORE_VALUE)
        }
        _ => true,
    };
    if value {
        return vec![Keywords(words::next_clauses(clause)), Keywords(words::OPERATORS)];
    }
    operand()
}
