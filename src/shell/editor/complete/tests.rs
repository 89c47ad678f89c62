//! Text with a cursor (`^`) against what should be offered there.

use super::*;

struct Fake;

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn commands() -> Vec<&'static crate::shell::command_spec::CommandSpec> {
    crate::shell::dot::specs().collect()
}

impl Schema for Fake {
    fn tables(&self) -> Vec<String> {
        owned(&["orders", "users", "user groups", "active"])
    }
    fn columns(&self, table: &str) -> Vec<String> {
        owned(match table.to_lowercase().as_str() {
            "users" => &["id", "name", "email", "order"],
            "orders" => &["id", "user_id", "total"],
            "user groups" => &["group name"],
            "active" => &["id", "since"],
            _ => &[],
        })
    }
    fn indexes(&self) -> Vec<String> {
        owned(&["orders_by_user"])
    }
    fn triggers(&self) -> Vec<String> {
        owned(&["orders_audit"])
    }
    fn schemas(&self) -> Vec<String> {
        owned(&["main", "temp"])
    }
    fn functions(&self) -> Vec<String> {
        owned(&["count", "coalesce", "json_each", "json_extract", "total", "upper"])
    }
    fn pragmas(&self) -> Vec<String> {
        owned(&["foreign_keys", "journal_mode", "table_info"])
    }
    fn collations(&self) -> Vec<String> {
        owned(&["BINARY", "NOCASE", "RTRIM"])
    }
    fn databases(&self) -> Vec<String> {
        owned(&["app", "app-test"])
    }
}

fn offered(text: &str) -> Vec<Candidate> {
    let at = text.find('^').unwrap();
    complete(&text.replacen('^', "", 1), at, &commands(), &Fake).candidates
}

fn texts(text: &str) -> Vec<String> {
    offered(text).into_iter().map(|candidate| candidate.text).collect()
}

/// Cases where the whole list is told.
const EXACT: &[(&str, &[&str])] = &[
    // Tables.
    ("select * from u^", &["users", "\"user groups\""]),
    ("select * from ^", &["orders", "users", "\"user groups\"", "active"]),
    ("SELECT * FROM orders o JOIN u^", &["users", "\"user groups\""]),
    ("select * from users, o^", &["orders"]),
    ("insert into o^", &["orders"]),
    ("update o^", &["orders", "or"]),
    ("delete from us^", &["users", "\"user groups\""]),
    ("select * from \"u^", &["\"users\"", "\"user groups\""]),
    ("select * from [user^", &["[users]", "[user groups]"]),
    ("select * from main.o^", &["orders"]),
    ("drop table o^", &["orders"]),
    ("alter table a^", &["active"]),
    ("create index i on u^", &["users", "\"user groups\""]),
    ("create table t(a references o^", &["orders"]),
    ("select * from (select * from us^", &["users", "\"user groups\""]),
    ("with recent as (select * from orders) select * from rec^", &["recent"]),
    ("drop index o^", &["orders_by_user"]),
    ("drop trigger if exists o^", &["orders_audit"]),
    // Columns, also before FROM.
    ("select e^ from users", &["email", "exists"]),
    ("select ^ from users", &["id", "name", "email", "\"order\"", "users"]),
    ("select id, em^ from users where id = 1", &["email"]),
    ("select u.^ from users u", &["id", "name", "email", "\"order\""]),
    ("select u.n^ from users as u", &["name"]),
    ("select users.e^ from users", &["email"]),
    ("select * from users where em^", &["email"]),
    ("select * from users u join orders o on o.u^", &["user_id"]),
    ("select * from users u join orders o on o.user_id = u.i^", &["id"]),
    ("select * from users order by em^", &["email"]),
    ("select * from orders group by us^", &["user_id"]),
    ("update users set em^", &["email"]),
    ("update users set email = 'x', n^", &["name"]),
    ("update users set email = 'x' where em^", &["email"]),
    ("insert into orders (^", &["id", "user_id", "total"]),
    ("insert into orders (id, u^", &["user_id"]),
    ("create index i on users(em^", &["email"]),
    ("create table t(a references users(n^", &["name"]),
    (
        "select * from users join orders using (^",
        &[
            "id",
            "name",
            "email",
            "\"order\"",
            "user_id",
            "total",
            "users",
            "orders",
        ],
    ),
    ("alter table users rename column em^", &["email"]),
    ("alter table users drop column em^", &["email"]),
    (
        "select x.^ from (select id, name as label from users) x",
        &["id", "label"],
    ),
    (
        "select x.^ from (select * from orders) as x",
        &["id", "user_id", "total"],
    ),
    ("with r(a, b) as (select 1, 2) select r.^ from r", &["a", "b"]),
    ("with r as (select id as n from users) select r.^ from r", &["n"]),
    (
        "select * from users u where exists (select 1 from orders where user_id = u.em^",
        &["email"],
    ),
    ("select (select em^) from users", &["email"]),
    ("select sum(tot^) from orders", &["total", "total("]),
    ("select id from users union select us^ from orders", &["user_id"]),
    ("delete from users where em^", &["email"]),
    ("insert into users(id) values (1) returning em^", &["email"]),
    ("select \"g^ from \"user groups\"", &["\"group name\""]),
    (
        "create trigger t after insert on users begin update orders set us^",
        &["user_id"],
    ),
    ("select 1; select em^ from users; select 2", &["email"]),
    // Functions and keywords, in the user's letter case.
    ("select coun^ from users", &["count("]),
    ("select COUN^ from users", &["COUNT("]),
    ("sel^", &["select "]),
    ("SEL^", &["SELECT "]),
    ("Sel^", &["select "]),
    ("select * fr^", &["from "]),
    ("select * from users wh^", &["where "]),
    ("SELECT * FROM users WHERE id = 1 ORD^", &["ORDER "]),
    ("select * from users order ^", &["by "]),
    ("SELECT * FROM users ORDER ^", &["BY "]),
    (
        "select * from users where email is ^",
        &["null", "not", "distinct", "id", "name", "email", "\"order\"", "users"],
    ),
    ("insert ^", &["into", "or"]),
    ("delete ^", &["from "]),
    ("drop ta^", &["table "]),
    ("explain query ^", &["plan "]),
    ("insert into users ^", &["values", "select", "default", "as", "with"]),
    ("update users ^", &["set", "as", "from"]),
    ("select * from users left ^", &["join", "outer"]),
    ("create table t(a i^", &["integer "]),
    ("select cast(a as te^", &["text "]),
    ("select * from users order by name coll^", &["collate "]),
    ("select * from users order by name collate n^", &["NOCASE"]),
    // Pragmas and their values.
    ("pragma jo^", &["journal_mode"]),
    ("pragma journal_mode = w^", &["wal "]),
    ("PRAGMA journal_mode = W^", &["WAL "]),
    ("pragma foreign_keys(o^", &["on", "off"]),
    ("pragma table_info(us^", &["users", "\"user groups\""]),
    // Nowhere.
    ("select 'fr^", &[]),
    ("select 1 -- sel^", &[]),
    ("select /* sel^", &[]),
    ("select 12^", &[]),
    ("select id as n^", &[]),
    ("select * from users limit ^", &[]),
    ("create table u^", &[]),
    // Dot-commands.
    (".ta^", &[".tables "]),
    (".mod^", &[".mode "]),
    (".mode j^", &["json", "jsonl"]),
    (".mode insert o^", &["orders"]),
    (".headers ^", &["on", "off"]),
    (".schema us^", &["users", "'user groups'"]),
    (".dump --pre^", &["--preserve-rowids"]),
    (".dump users o^", &["orders"]),
    (".open app^", &["app", "app-test"]),
    (".help mod^", &["mode"]),
    (".sche us^", &["users", "'user groups'"]),
    (".nosuch x^", &[]),
];

#[test]
fn completion_offers_only_what_fits() {
    let mut wrong = Vec::new();
    for (text, expected) in EXACT {
        let got = texts(text);
        if got != *expected {
            wrong.push(format!("{text}\n  expected {expected:?}\n       got {got:?}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} wrong:\n{}",
        wrong.len(),
        EXACT.len(),
        wrong.join("\n")
    );
}

#[test]
fn completion_offers_the_kinds_that_fit_the_place() {
    let kinds = |text: &str| {
        let mut kinds: Vec<What> = offered(text).into_iter().map(|candidate| candidate.what).collect();
        kinds.dedup();
        kinds
    };
    assert_eq!(kinds("select ^ from users u"), [What::Column, What::Alias]);
    assert_eq!(kinds("select * from m^"), [What::Schema]);
    assert_eq!(kinds("select * from json_e^"), [What::Function]);
    // Dozens of functions would hide a table whose name begins with the same letters.
    assert_eq!(kinds("select * from pra^"), [] as [What; 0]);
    assert_eq!(kinds("select * from prag^"), [What::Function]);
    assert_eq!(kinds("^"), [What::Keyword]);
    assert_eq!(kinds("reindex o^"), [What::Table, What::Index]);
    assert_eq!(kinds(".^"), [What::Command]);
    assert_eq!(kinds("select u^ from users"), [What::Alias, What::Function]);
}

#[test]
fn completion_replaces_the_word_being_typed() {
    let start = |text: &str| {
        let at = text.find('^').unwrap();
        complete(&text.replacen('^', "", 1), at, &commands(), &Fake).start
    };
    assert_eq!(start("select em^ from users"), 7);
    assert_eq!(start("select u.em^ from users u"), 9);
    assert_eq!(start("select \"em^ from users"), 7);
    assert_eq!(start("select ^ from users"), 7);
    assert_eq!(start(".schema us^"), 8);
    assert_eq!(start(".mode box\nsel^"), 10);
    assert_eq!(start("select 1;\n.mode j^"), 16);
}

#[test]
fn completion_of_paths_quotes_them() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["plain.sql", "with space.sql", ".hidden"] {
        std::fs::write(directory.path().join(name), "").unwrap();
    }
    std::fs::create_dir(directory.path().join("deeper")).unwrap();
    let root = directory.path().to_str().unwrap();
    assert_eq!(
        texts(&format!(".read {root}/^")),
        [
            format!("{root}/deeper/"),
            format!("{root}/plain.sql"),
            format!("'{root}/with space.sql'")
        ]
    );
    assert_eq!(texts(&format!(".read {root}/pl^")), [format!("{root}/plain.sql")]);
    assert_eq!(
        texts(&format!(".read '{root}/with s^")),
        [format!("'{root}/with space.sql'")]
    );
    assert_eq!(texts(&format!(".cd {root}/^")), [format!("{root}/deeper/")]);
    assert_eq!(texts(&format!(".read {root}/.h^")), [format!("{root}/.hidden")]);
}

#[test]
fn completion_of_any_text_does_not_panic() {
    let pieces = [
        "select",
        "(",
        ")",
        "from",
        ".",
        "users",
        "'",
        "\"",
        "[",
        ",",
        ";",
        "\n",
        "as",
        "with",
        "é日",
        "--",
        "/*",
        "create trigger",
        "begin",
        ".mode ",
    ];
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..20_000 {
        let text: String = (0..random.usize(0..14))
            .map(|_| pieces[random.usize(0..pieces.len())].to_owned() + if random.bool() { " " } else { "" })
            .collect();
        let mut at = random.usize(0..=text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        let found = complete(&text, at, &commands(), &Fake);
        assert!(found.start <= at, "{text:?} {at}");
    }
}
