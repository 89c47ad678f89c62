//! Candidates, what plans are worth, and what the advisor finds in schemas made here.

use super::*;

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn candidate(table: &str, columns: &[&str]) -> Candidate {
    Candidate {
        table: table.to_owned(),
        columns: owned(columns),
    }
}

/// The indexes that would help a statement, on a database that `schema` makes.
fn advised(schema: &str, statement: &str) -> Vec<String> {
    let mut original = sql::open(&Target::Memory).unwrap();
    for sql in schema.split_inclusive(';').filter(|sql| !sql.trim().is_empty()) {
        rows(original.as_mut(), sql).unwrap();
    }
    let mut copy = RowlessCopy::new(original.as_mut()).unwrap();
    let (indexes, _) = find_indexes(&mut copy, statement).unwrap();
    indexes
        .iter()
        .map(|index| format!("{}({})", index.table, index.list()))
        .collect()
}

#[test]
fn index_candidate_quotes_names_where_they_need_it() {
    assert_eq!(
        candidate("t", &["a", "b"]).sql(),
        "CREATE INDEX t_idx_000123a7 ON t(a, b);"
    );
    let odd = candidate("a table", &["order by", "1st"]);
    assert_eq!(odd.list(), "\"order by\", \"1st\"");
    assert!(odd.sql().starts_with("CREATE INDEX \"a table_idx_"), "{}", odd.sql());
    assert!(
        odd.sql().ends_with(" ON \"a table\"(\"order by\", \"1st\");"),
        "{}",
        odd.sql()
    );
    assert_ne!(candidate("t", &["a", "b"]).name(), candidate("t", &["b", "a"]).name());
}

#[test]
fn index_candidates_are_all_orders_of_up_to_three_columns() {
    let candidates = combined("t", &owned(&["a", "b"]));
    assert_eq!(
        Vec::from_iter(candidates),
        [
            candidate("t", &["a"]),
            candidate("t", &["a", "b"]),
            candidate("t", &["b"]),
            candidate("t", &["b", "a"]),
        ]
    );
    // n + n(n-1) + n(n-1)(n-2), and none of four columns.
    let many = combined("t", &owned(&["a", "b", "c", "d"]));
    assert_eq!(many.len(), 4 + 12 + 24);
    assert!(many.iter().all(|index| index.columns.len() <= LONGEST));
    assert!(combined("t", &[]).is_empty());
}

#[test]
fn plan_is_worth_what_it_searches_and_sorts_whatever_the_index() {
    let plan = |lines: &[&str]| worth(&owned(lines));
    assert_eq!(
        plan(&["SEARCH t USING INDEX one (a=?)"]),
        plan(&["SEARCH t USING COVERING INDEX two (a=?)"])
    );
    assert_eq!(
        plan(&["SCAN t USING INDEX one"]),
        plan(&["SCAN t USING COVERING INDEX two"])
    );
    assert_eq!(plan(&["SCAN t", "SCAN u"]), plan(&["SCAN u", "SCAN t"]));
    assert_ne!(
        plan(&["SEARCH t USING INDEX one (a=?)"]),
        plan(&["SEARCH t USING INDEX one (a=? AND b=?)"])
    );
    assert_ne!(plan(&["SCAN t"]), plan(&["SCAN t", "USE TEMP B-TREE FOR ORDER BY"]));
}

#[test]
fn index_advice_is_the_shortest_index_that_serves_as_well() {
    let schema = "CREATE TABLE t(a, b, c);";
    assert_eq!(advised(schema, "SELECT c FROM t WHERE a = 1"), ["t(a)"]);
    assert_eq!(advised(schema, "SELECT c FROM t WHERE b > 2 AND a = 1"), ["t(a, b)"]);
    assert_eq!(advised(schema, "SELECT a FROM t ORDER BY b"), ["t(b)"]);
    assert_eq!(advised(schema, "UPDATE t SET a = 1 WHERE c = 3"), ["t(c)"]);
    assert_eq!(advised(schema, "SELECT * FROM t"), Vec::<String>::new());
}

#[test]
fn index_advice_without_a_better_plan_is_none() {
    let key = "CREATE TABLE u(x INTEGER PRIMARY KEY, y);";
    assert_eq!(advised(key, "SELECT y FROM u WHERE x = 4"), Vec::<String>::new());
    let indexed = "CREATE TABLE t(a, b); CREATE INDEX there ON t(a);";
    assert_eq!(advised(indexed, "SELECT b FROM t WHERE a = 1"), Vec::<String>::new());
}

#[test]
fn index_advice_reads_statistics_and_no_rows() {
    // Of two conditions SQLite takes the column that ANALYZE found selective.
    let schema = "CREATE TABLE t(few, many, rest); CREATE INDEX one ON t(few); CREATE INDEX two ON t(many); \
                  INSERT INTO t SELECT value % 2, value, 0 FROM generate_series(1, 1000); ANALYZE;";
    let mut original = sql::open(&Target::Memory).unwrap();
    for sql in schema.split_inclusive(';').filter(|sql| !sql.trim().is_empty()) {
        rows(original.as_mut(), sql).unwrap();
    }
    let mut copy = RowlessCopy::new(original.as_mut()).unwrap();
    let plan = copy.plan("SELECT rest FROM t WHERE few = 1 AND many = 5").unwrap();
    assert_eq!(plan, ["SEARCH t USING INDEX two (many=?)"]);
    assert_eq!(rows(copy.session.as_mut(), "SELECT * FROM t").unwrap().len(), 0);
}

#[test]
fn index_advice_for_a_statement_that_does_not_parse_is_an_error() {
    let mut original = sql::open(&Target::Memory).unwrap();
    let mut copy = RowlessCopy::new(original.as_mut()).unwrap();
    let error = find_indexes(&mut copy, "SELECT nope").err().unwrap();
    assert_eq!(error.message(), "no such column: nope");
}
