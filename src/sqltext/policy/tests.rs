//! What is refused and what passes, in every place of a statement and every way to write a name.

use super::*;

#[track_caller]
fn refused(sql: &str, kind: ViolationKind) {
    match analyze_uncached(sql) {
        Err(violation) => assert_eq!(violation.kind(), kind, "{sql}: {violation}"),
        Ok(summary) => panic!("let through: {sql}: {summary:?}"),
    }
}

#[track_caller]
fn passes(sql: &str) -> TextSummary {
    analyze_uncached(sql).unwrap_or_else(|violation| panic!("{sql}: {violation}"))
}

#[test]
fn policy_checks_functions_in_each_place() {
    for name in [
        "readfile",
        "READFILE",
        "\"readfile\"",
        "[readfile]",
        "`readFile`",
        "replicate",
        "padl",
    ] {
        for sql in [
            format!("select {name}(1)"),
            format!("select 1; select {name}/**/ (1)"),
            format!("select * from t where a in (select {name}(1))"),
            format!("select sum(a) filter (where {name}(1)) over (partition by {name}(2)) from t"),
            format!("select sum(a) over w from t window w as (order by {name}(2))"),
            format!("select 1 order by {name}(1)"),
            format!("select 1 limit 1 offset {name}(1)"),
            format!("select 1 group by a having {name}(1)"),
            format!("select * from t join u on {name}(1)"),
            format!("select * from generate_series({name}(1))"),
            format!("select a in json_each({name}(1))"),
            format!("with a as materialized (select {name}(1)) select 1"),
            format!("values (1), ({name}(1))"),
            format!("select case a when 1 then {name}(1) end"),
            format!("select cast({name}(1) as text) collate nocase"),
            format!("select a between 1 and {name}(1)"),
            format!("select a like b escape {name}(1)"),
            format!("select exists (select {name}(1)), not -{name}(1), (1, {name}(2)) = (1, 2), {name}(1) isnull"),
            format!("select '{{}}' -> {name}(1)"),
            format!("insert into t values (1, {name}(1))"),
            format!("insert into t values (1) on conflict (a) where {name}(1) do nothing"),
            format!("insert into t values (1) on conflict (a) do update set a = {name}(1)"),
            format!(
                "insert into t values (1) on conflict (a) do nothing on conflict do update set a = 1 where {name}(1)"
            ),
            format!("insert into t values (1) returning {name}(1)"),
            format!("insert into t default values returning {name}(1)"),
            format!("update t set a = {name}(1)"),
            format!("update t set (a, b) = (select 1, {name}(1)) from u where a = 1"),
            format!("update t set a = 1 from (select {name}(1)) where 1"),
            format!("delete from t where {name}(1) returning 1"),
            format!("delete from t returning {name}(1)"),
            format!("create table u (a default ({name}(1)))"),
            format!("create table u (a check ({name}(1)))"),
            format!("create table u (a, check ({name}(1)))"),
            format!("create table u (a, b as ({name}(1)) stored)"),
            format!("create table u as select {name}(1)"),
            format!("alter table u add column a default ({name}(1))"),
            format!("alter table u alter column a to a text check ({name}(1))"),
            format!("create index i on t (a, {name}(a))"),
            format!("create index i on t (a) where {name}(a)"),
            format!("create view v as select {name}(1)"),
            format!("create trigger r after insert on t when {name}(1) begin select 1; end"),
            format!("create trigger r after insert on t begin select {name}(1); end"),
            format!("create trigger r after insert on t begin update t set a = {name}(1); end"),
            format!("create trigger r after insert on t begin insert into t select {name}(1); end"),
            format!("create trigger r after insert on t begin delete from t where {name}(1); end"),
            format!("explain select {name}(1)"),
            format!("explain query plan select {name}(1)"),
        ] {
            refused(&sql, ViolationKind::Function);
        }
    }
}

#[test]
fn policy_checks_engine_tables_in_each_place() {
    for name in [
        "fsdir",
        "FsDir",
        "'fsdir'",
        "\"fsdir\"",
        "[fsdir]",
        "`fsdir`",
        "sqlite_dbpage",
        "carray",
    ] {
        for sql in [
            format!("select * from {name}"),
            format!("select * from main.{name} where path = '/'"),
            format!("select * from {name}('/')"),
            format!("select * from (select 1) window, {name}"),
            format!("select * from t, (u join ({name}))"),
            format!("select 1 in {name}"),
            format!("select 1 in {name}('/')"),
            format!("update {name} set a = 1"),
            format!("update or ignore {name} set a = 1"),
            format!("update t set a = 1 from {name}"),
            format!("delete from {name}"),
            format!("insert into {name} values (1)"),
            format!("replace into {name} select 1"),
            format!("create table {name} (a)"),
            format!("create table u (a references {name})"),
            format!("create table u (a, foreign key (a) references {name} (b))"),
            format!("create view v as select * from {name}"),
            format!("create view {name} as select 1"),
            format!("create trigger r after insert on t begin update {name} set a = 1; end"),
            format!("create trigger r after insert on {name} begin select 1; end"),
            format!("create index i on {name} (a)"),
            format!("alter table {name} rename to x"),
            format!("alter table t rename to {name}"),
            format!("drop table {name}"),
            format!("with a as (select * from {name}) select 1"),
            format!("pragma table_info({name})"),
            format!("create virtual table x using fts5(a, content={name})"),
            format!("create virtual table x using fts4(a, content={name})"),
            format!("create virtual table x using fts5vocab({name}, 'row')"),
        ] {
            refused(&sql, ViolationKind::Table);
        }
        refused(&format!("create virtual table x using {name}"), ViolationKind::Module);
    }
}

#[test]
fn policy_allows_tables_of_its_lists_and_with_user_names() {
    for name in [
        "sqlite_dbdata",
        "sqlite_dbptr",
        "SQLITE_dbpage",
        "sqlite_of_a_later_version",
        "libsql_wasm_func_table",
        "Libsql_of_a_later_version",
        "pragma_wal_checkpoint",
        "pragma_of_a_later_version",
        "bytecode",
        "zipfile",
    ] {
        for sql in [
            format!("select * from {name}"),
            format!("insert into \"{name}\" values (1)"),
        ] {
            refused(&sql, ViolationKind::Table);
        }
    }
    for name in [
        "t",
        "sqlitedb",
        "libsql",
        "my_sqlite_things",
        "pragmatic",
        "rtree",
        "sqlite_schema",
        "main.sqlite_master",
        "sqlite_sequence",
        "sqlite_stat1",
        "pragma_table_info('t')",
        "json_each('[]')",
    ] {
        passes(&format!("select * from {name}"));
    }
    passes("pragma index_info(sqlite_autoindex_t_1)");
}

#[test]
fn policy_of_a_module_argument_with_a_comment_sees_its_table() {
    for sql in [
        "create virtual table x using fts4(a, content=/* none */fsdir)",
        "create virtual table x using fts4(a, content='fsdir' -- none\n)",
        "create virtual table x using fts5(a, /* first */ content = fsdir)",
        "create virtual table x using fts5vocab(/* of */ fsdir, 'row')",
    ] {
        refused(sql, ViolationKind::Table);
    }
}

/// The parser panics on this text (libsql-sqlite3-parser 0.13), which must not be seen anywhere.
#[test]
fn policy_of_a_text_on_which_the_parser_panics_does_not_parse() {
    let sql = "select cast(a as)";
    let mut parser = libsql_sqlite3_parser::lexer::sql::Parser::new(sql.as_bytes());
    assert!(
        crate::panics::catch(|| parser.next()).is_err(),
        "the parser has been mended: find another text"
    );
    refused(sql, ViolationKind::Syntax);
    // libSQL server has the same parser, so it is not asked for its words.
    assert!(!analyze_uncached(sql).unwrap_err().is_harmless());
}

#[test]
fn policy_checks_modules_and_their_arguments() {
    for sql in [
        "create virtual table x using csv(filename='/etc/passwd')",
        "create virtual table x using fts4(a, compress=readfile, uncompress=hex)",
        "create virtual table x using fts4(a, COMPRESS = zip)",
        "create virtual table x using fts5(a, unknown_option=1)",
        "create virtual table x using fts5(a, content=a b)",
        "create virtual table x using fts5(a, content='a\"b')",
        "create virtual table x using rtree(id, a; b)",
    ] {
        refused(sql, ViolationKind::Module);
    }
    for sql in [
        "create virtual table x using fts5(title, body UNINDEXED, tokenize = 'porter unicode61')",
        "create virtual table x using fts5(a, tokenize=\"unicode61 remove_diacritics 2 tokenchars '-_'\")",
        "create virtual table x using fts5(a, content='', contentless_delete=1, prefix='2 3', detail=none)",
        "create virtual table x using fts5(a, content='my posts', content_rowid='id', columnsize=0)",
        "create virtual table x using fts4(a TEXT, tokenize=porter, languageid=\"lid\", order=desc)",
        "create virtual table x using fts4(a, tokenize=unicode61 \"remove_diacritics=1\")",
        "create virtual table x using fts3(a VARCHAR(20), b)",
        "create virtual table x using fts5vocab('main', 'ft', 'col')",
        "create virtual table x using rtree(id, minx, maxx, +name TEXT, +size VARCHAR(10))",
        "create virtual table x using geopoly(a, b, c)",
        "create virtual table x using fts5(\"a b\")",
        "create virtual table x using fts5(a /* the title, in words */, b -- and its text\n)",
        "create virtual table x using rtree(id /* of the row */, minx, maxx)",
    ] {
        assert!(passes(sql).changes_schema, "{sql}");
    }
}

#[test]
fn policy_of_a_vector_index_takes_plain_names() {
    for sql in [
        "create index \"a; select 1; --\" on t (libsql_vector_idx(c))",
        "create index i on \"a b\" (LIBSQL_VECTOR_IDX(c))",
        "create index i on t (\"libsql_vector_idx\"(c))",
        "create index i on t (\"libsql_vector_idx\"(\"c d\"))",
        "create index \"m n\".i on t (libsql_vector_idx(c))",
        "create index i on t (libsql_vector_idx(c, 'metric=' || 'x'))",
        "create index i on t (libsql_vector_idx(c, 'metric=x y'))",
        "create index i on t (libsql_vector_idx(c, 'metric'))",
        "create index i on t (libsql_vector_idx(lower(c)))",
        "create index i on t (libsql_vector_idx())",
        "create index \"a b\" on t ([libsql_vector_idx](c) collate nocase)",
        "explain create index \"a;b\" on t (libsql_vector_idx(c))",
    ] {
        if !sql.contains("on t (\"libsql_vector_idx\"(c))") {
            refused(sql, ViolationKind::VectorIndex);
        }
    }
    for sql in [
        "select libsql_vector_idx(c) from t",
        "create index i on t (lower(libsql_vector_idx(c)))",
        "create index i on t (a) where libsql_vector_idx(c)",
        "create table u (a default (libsql_vector_idx(1)))",
    ] {
        refused(sql, ViolationKind::Function);
    }
    for sql in [
        "create index if not exists movies_idx on movies (libsql_vector_idx(embedding))",
        "create index `i` on \"t\" (libsql_vector_idx(\"c\", 'metric=cosine', 'max_neighbors=20', 'alpha=1.2'))",
        "create unique index \"a b\" on \"my table\" (\"c d\", lower(e))",
    ] {
        assert!(passes(sql).changes_schema, "{sql}");
    }
}

#[test]
fn policy_lets_nobody_write_vector_index_parameters() {
    for sql in [
        "create table if not exists libsql_vector_meta_shadow (name text primary key, metadata blob) without rowid",
        "select * from libsql_vector_meta_shadow",
        "drop table libsql_vector_meta_shadow",
        "delete from libsql_vector_meta_shadow where name = 'i'",
    ] {
        passes(sql);
    }
    for sql in [
        "insert into libsql_vector_meta_shadow values ('i', x'00')",
        "insert into libsql_vector_meta_shadow values (?, x'00')",
        "insert into libsql_vector_meta_shadow (metadata, name) values ('a', x'00')",
        "insert into libsql_vector_meta_shadow select 'a', x'00'",
        "insert into \"LIBSQL_vector_meta_shadow\" default values",
        "insert into libsql_vector_meta_shadow values ('i', x'00') on conflict do update set name = ?",
        "update libsql_vector_meta_shadow set name = 'a'",
        "create view libsql_vector_meta_shadow as select 1",
        "create table libsql_vector_meta_shadow as select 1",
        "create table libsql_vector_meta_shadow (name as ('a b'), metadata)",
        "create table libsql_vector_meta_shadow (name, metadata, x)",
        "alter table t rename to libsql_vector_meta_shadow",
        "alter table libsql_vector_meta_shadow add column x",
        "create trigger r after insert on t begin insert into libsql_vector_meta_shadow values ('a', x'00'); end",
        "create trigger r after insert on libsql_vector_meta_shadow begin select 1; end",
        "create virtual table libsql_vector_meta_shadow using fts5(name, metadata)",
        "select * from libsql_vector_index",
        "create table libsql_wasm_func_table (a)",
    ] {
        refused(sql, ViolationKind::Table);
    }
}

#[test]
fn policy_takes_words_in_strings_for_words() {
    for sql in [
        "select 'readfile(1)' -- writefile('x')",
        "insert into t values (1, 'fsdir', 'readfile('), ('fsdir', 'carray', '')",
        "select /* readfile('x') */ readfile from t where \"readfile\" = 1 order by 'fsdir'",
        "update t set a = 'fsdir', b = 'carray'",
        "create table my_readfile (readfiles, fsdir)",
        "create table edit (id integer); insert into main.edit(id) values (1); create index i on edit (id)",
        "create table if not exists edit (a references edit(id)); select edit, 1 from edit where edit in (1, 2)",
        "select $a, (edit), :b, (1), max(?1) from t where x in (@c)",
        "select * from documents('needle')",
    ] {
        passes(sql);
    }
}

#[test]
fn policy_refuses_a_unique_vector_index() {
    refused(
        "create unique index i on t (libsql_vector_idx(c, 'metric=l2'))",
        ViolationKind::Statement,
    );
    passes("create index i on t (libsql_vector_idx(c, 'metric=l2'))");
}

#[test]
fn policy_of_an_unparsed_text_with_an_effect_refuses_it() {
    for sql in [
        "drop table t,",
        "create index i on t (x) y z",
        "alter table t",
        "pragma a b c",
        "reindex 1 2",
    ] {
        let violation = analyze(sql).unwrap_err();
        assert_eq!(violation.kind(), ViolationKind::Syntax, "{sql}");
        assert!(!violation.is_harmless(), "{sql}");
    }
    assert!(analyze("select 1 from from").unwrap_err().is_harmless());
}

#[test]
fn policy_checks_pragmas_and_whether_they_write() {
    for (sql, writes, needs_full) in [
        ("pragma user_version", false, true),
        ("pragma main.user_version", false, true),
        ("pragma user_version = 3", true, false),
        ("pragma user_version(3)", true, false),
        ("pragma table_info(t)", false, false),
        ("pragma table_info = t", false, false),
        ("pragma foreign_keys = on", false, true),
        ("pragma integrity_check", false, true),
        ("pragma journal_mode = wal", false, false),
        ("pragma wal_checkpoint", false, false),
        ("explain pragma user_version = 3", true, false),
        ("explain query plan pragma user_version", false, true),
    ] {
        let summary = passes(sql);
        assert_eq!(
            (summary.writes, summary.read_needs_full_access),
            (writes, needs_full),
            "{sql}"
        );
    }
    refused("pragma unknown_to_all", ViolationKind::Pragma);
    // SQLite acts on pragmas when it prepares them.
    for sql in [
        "explain query plan pragma writable_schema = on",
        "explain query plan pragma \"Writable_Schema\" = on",
        "explain pragma cache_size = 9",
        "explain query plan pragma query_only(1)",
    ] {
        refused(sql, ViolationKind::Pragma);
    }
    for sql in [
        "pragma writable_schema = on",
        "pragma journal_mode = wal",
        "select 1; pragma cache_size = 9",
    ] {
        assert!(check(sql, Policy::FULL).is_ok(), "{sql}");
        let prepared = Policy {
            usage: TextUse::Prepare,
            ..Policy::FULL
        };
        assert_eq!(check(sql, prepared).unwrap_err().kind(), ViolationKind::Pragma, "{sql}");
    }
    refused("select * from pragma_optimize", ViolationKind::Table);
    refused("select hex(file) from pragma_database_list", ViolationKind::Table);
    assert!(!passes("select * from pragma_user_version(), pragma_table_info('t')").read_needs_full_access);
}

#[test]
fn policy_depends_on_the_token_and_the_instance() {
    let read_only = Policy {
        access: TokenAccess::ReadOnly,
        ..Policy::FULL
    };
    let replica = Policy {
        instance: InstanceKind::Replica,
        ..Policy::FULL
    };
    let prepared = Policy {
        usage: TextUse::Prepare,
        ..replica
    };
    let kind = |sql: &str, policy| check(sql, policy).err().map(|violation| violation.kind());
    assert_eq!(kind("insert into t values (1)", Policy::FULL), None);
    assert_eq!(kind("insert into t values (1)", read_only), Some(ViolationKind::Writes));
    assert_eq!(kind("select 1", read_only), None);
    let exclusive = "select 1; BEGIN EXCLUSIVE TRANSACTION";
    assert_eq!(kind(exclusive, read_only), Some(ViolationKind::BlocksWriters));
    assert_eq!(kind("begin; begin readonly; savepoint s", read_only), None);
    assert_eq!(kind("create table t (x)", replica), None);
    assert_eq!(
        kind("create table t (x)", prepared),
        Some(ViolationKind::SchemaChangeAtReplica)
    );
    assert_eq!(
        kind("explain create table t (x)", replica),
        Some(ViolationKind::SchemaChangeAtReplica)
    );
    assert_eq!(kind("insert into t values (1)", prepared), None);
}

#[test]
fn policy_checks_statements_before_one_that_does_not_parse() {
    refused("select readfile(1); nonsense", ViolationKind::Function);
    refused("select 1; nonsense", ViolationKind::Syntax);
    refused("vacuum into 'x'", ViolationKind::Statement);
    refused("attach 'other' as o", ViolationKind::Statement);
    refused("attach readfile('x') as y", ViolationKind::Statement);
}

#[test]
fn policy_of_an_unparsed_text_without_refused_names_passes_it() {
    for sql in [
        "selec 1",
        "select 1 from",
        "select 'a",
        "select 1 +",
        "/* a",
        "select `",
    ] {
        let violation = analyze_uncached(sql).unwrap_err();
        assert_eq!(violation.kind(), ViolationKind::Syntax, "{sql}");
        assert!(violation.is_harmless(), "{sql}");
    }
    for sql in [
        "selec readfile(1)",
        "select 1 from from 'FSDIR'",
        "create index x on t (libsql_vector_idx(a)) )",
        "pragma writable_schema = on /*",
    ] {
        assert!(!analyze_uncached(sql).unwrap_err().is_harmless(), "{sql}");
    }
}

#[test]
fn policy_of_deep_statements_overflows_no_stack() {
    let deep = 40_000;
    for sql in [
        format!("select {}1{}", "(".repeat(deep), ")".repeat(deep)),
        format!("select 1{}", "+1".repeat(deep)),
        format!("select {}1", "- ".repeat(deep)),
        format!("select {}1{}", "abs(".repeat(deep), ")".repeat(deep)),
        format!("{}1{}", "select (".repeat(deep / 2), ")".repeat(deep / 2)),
        format!(
            "select {}1{}",
            "case when 1 then ".repeat(deep / 4),
            " end".repeat(deep / 4)
        ),
        format!(
            "insert into t values (1) {}",
            "on conflict (a) do nothing ".repeat(deep / 4)
        ),
        format!("select * from {}t{}", "(".repeat(deep), ")".repeat(deep)),
    ] {
        let _ = analyze_uncached(&sql);
    }
    let most = format!("select 1{}", "+1".repeat(500_000));
    refused(&most, ViolationKind::TooDeep);
}

#[test]
fn policy_takes_single_create_statements_for_schema_objects() {
    check_schema_object("CREATE TABLE t(a, b DEFAULT (1))").unwrap();
    for sql in [
        "select 1",
        "create table t (a); create table u (a)",
        "",
        "create view v as select readfile(1)",
    ] {
        assert!(check_schema_object(sql).is_err(), "{sql}");
    }
    check_vector_index_name("a_1").unwrap();
    assert!(check_vector_index_name("a;").is_err());
}
