//! The statement around the cursor (`^`), its groups, and the tables whose columns can be named there.

use super::*;

/// Tables `users(id, name)` and `orders(id, user_id)`.
struct TwoTables;

impl Schema for TwoTables {
    fn tables(&self) -> Vec<String> {
        vec!["users".to_owned(), "orders".to_owned()]
    }
    fn columns(&self, table: &str) -> Vec<String> {
        let columns: &[&str] = match table {
            "users" => &["id", "name"],
            "orders" => &["id", "user_id"],
            _ => &[],
        };
        columns.iter().map(|name| (*name).to_owned()).collect()
    }
    fn indexes(&self) -> Vec<String> {
        Vec::new()
    }
    fn triggers(&self) -> Vec<String> {
        Vec::new()
    }
    fn schemas(&self) -> Vec<String> {
        Vec::new()
    }
    fn functions(&self) -> Vec<String> {
        Vec::new()
    }
    fn pragmas(&self) -> Vec<String> {
        Vec::new()
    }
    fn collations(&self) -> Vec<String> {
        Vec::new()
    }
    fn databases(&self) -> Vec<String> {
        Vec::new()
    }
}

/// What `read` makes of the statement around the cursor of `text`.
fn at_cursor<T>(text: &str, read: impl Fn(&Statement<'_>) -> T) -> T {
    let at = text.find('^').unwrap();
    read(&Statement::around(&text.replacen('^', "", 1), at))
}

/// The sources at the cursor: `alias(columns)`, innermost query first.
fn sources(text: &str) -> Vec<String> {
    at_cursor(text, |statement| described(&statement.sources(&TwoTables)))
}

fn described(sources: &[QuerySource]) -> Vec<String> {
    sources
        .iter()
        .map(|source| format!("{}({})", source.alias, source.columns(&TwoTables).join(",")))
        .collect()
}

/// The items, those before the cursor first.
fn words(text: &str) -> (Vec<String>, Vec<String>) {
    at_cursor(text, |statement| {
        let texts = |items: &[Item<'_>]| items.iter().map(|item| item.text.to_owned()).collect();
        (
            texts(&statement.items[..statement.before]),
            texts(&statement.items[statement.before..]),
        )
    })
}

#[test]
fn statement_of_several_is_the_one_around_the_cursor() {
    let split = |before: &str, after: &str| {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        (words(before), words(after))
    };
    assert_eq!(words("select 1; update t ^set a; select 2"), split("update t", "set a"));
    assert_eq!(words("select 1;^"), split("", ""));
    assert_eq!(words("^select 1"), split("", "select 1"));
    // The word being typed is no item, wherever the cursor is in it.
    assert_eq!(words("select na^me from t"), split("select", "from t"));
    assert_eq!(words("select \"na^"), split("select", ""));
    // A closed quote behind the cursor is finished.
    assert_eq!(words("select \"name\"^"), split("select \"name\"", ""));
    assert_eq!(words("select ';' ^"), split("select ';'", ""));
}

#[test]
fn statement_in_a_trigger_is_one_of_its_body() {
    let (before, _) = words("create trigger a after insert on t begin update u set ^ end");
    assert_eq!(before, ["update", "u", "set"]);
    let (before, _) = words("create temp trigger a after insert on ^");
    assert_eq!(before.first().map(String::as_str), Some("create"));
}

#[test]
fn statement_word_begins_where_its_token_does() {
    let word = |text: &str| at_cursor(text, |statement| (statement.word_start, statement.word_kind));
    assert_eq!(word("select us^ from t"), (7, Some(LexemeKind::Name)));
    assert_eq!(word("select \"u s^"), (7, Some(LexemeKind::Quoted)));
    assert_eq!(word("select ^ from t"), (7, None));
}

#[test]
fn statement_groups_are_those_of_its_parentheses() {
    let groups = |text: &str| {
        at_cursor(text, |statement| {
            let queries: Vec<bool> = statement
                .around
                .iter()
                .map(|group| statement.is_query(*group))
                .collect();
            let opener = statement.opener(statement.group());
            (queries, opener.last().map(|item| item.text.to_owned()))
        })
    };
    assert_eq!(groups("select a^"), (vec![true], None));
    assert_eq!(groups("insert into t(a, ^"), (vec![true, false], Some("t".to_owned())));
    assert_eq!(
        groups("select * from t where a in (select max(^"),
        (vec![true, true, false], Some("max".to_owned()))
    );
    // What is closed before the cursor is not around it, nor what is closed too often.
    assert_eq!(groups("select (1), ^"), (vec![true], None));
    assert_eq!(groups("select 1)) ^"), (vec![true], None));
}

#[test]
fn query_sources_are_its_tables_by_their_aliases() {
    assert_eq!(sources("select ^ from users"), ["users(id,name)"]);
    assert_eq!(
        sources("select ^ from users u join main.orders as o on 1"),
        ["u(id,name)", "o(id,user_id)"]
    );
    assert_eq!(
        sources("select ^ from users, orders o"),
        ["users(id,name)", "o(id,user_id)"]
    );
    assert_eq!(
        sources("select ^ from json_each('[]') j, users"),
        ["j()", "users(id,name)"]
    );
    assert_eq!(sources("update or ignore users set ^"), ["users(id,name)"]);
    assert_eq!(sources("insert or replace into orders(^"), ["orders(id,user_id)"]);
    assert_eq!(sources("select ^ from \"users\" [u u]"), ["u u(id,name)"]);
    // What is being typed is no alias of the table before it.
    assert_eq!(sources("select * from users wh^"), ["users(id,name)"]);
    // After the tables a comma separates other things.
    assert_eq!(sources("select * from users order by ^, orders"), ["users(id,name)"]);
}

#[test]
fn query_sources_of_an_inner_query_come_before_those_around_it() {
    assert_eq!(
        sources("select * from users where id in (select ^ from orders)"),
        ["orders(id,user_id)", "users(id,name)"]
    );
    // The other part of a compound has its own.
    assert_eq!(
        sources("select id from users union select ^ from orders"),
        ["orders(id,user_id)"]
    );
    assert_eq!(
        sources("select ^ from users union select id from orders"),
        ["users(id,name)"]
    );
}

#[test]
fn query_source_that_is_a_subquery_has_its_outputs() {
    assert_eq!(
        sources("select ^ from (select id, name as n from users) s"),
        ["s(id,n)"]
    );
    assert_eq!(
        sources("select ^ from (select *, 1 as one from orders) s"),
        ["s(id,user_id,one)"]
    );
    assert_eq!(
        sources("select ^ from (select * from (select id from users)) s"),
        ["s(id)"]
    );
}

#[test]
fn common_tables_have_their_columns_or_their_querys() {
    let common = |text: &str| at_cursor(text, |statement| described(&statement.common_tables(&TwoTables)));
    assert_eq!(
        common("with a as (select id from users), b(x, y) as not materialized (select 1, 2) select ^"),
        ["a(id)", "b(x,y)"]
    );
    assert_eq!(common("select id as a, (select 1) ^"), Vec::<String>::new());
    assert_eq!(
        sources("with a as (select name from users) select ^ from A r"),
        ["r(name)"]
    );
    // One that names itself ends.
    assert_eq!(
        sources("with recursive a as (select * from a) select ^ from a"),
        ["a()"]
    );
}

#[test]
fn quoted_name_loses_its_quotes() {
    for (quoted, name) in [
        ("plain", "plain"),
        ("\"a \"\"b\"\"\"", "a \"b\""),
        ("`a``b`", "a`b"),
        ("[a b]", "a b"),
        ("\"open", "open"),
        ("[", ""),
    ] {
        assert_eq!(unquote(quoted), name, "{quoted}");
    }
}
