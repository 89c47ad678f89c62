//! Databases that are hard to carry over: what makes each, what to ask of it, and what a server cannot take.

/// A database to be carried.
pub struct Nasty {
    pub name: &'static str,
    /// Statements that make it.
    pub make: &'static str,
    /// Questions that must be answered alike before and after.
    pub ask: &'static [&'static str],
    /// What does not survive on a server.
    pub on_a_server: &'static [Loss],
}

/// What a server has no place for. All of it is told, or refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Servers refuse to set it.
    ApplicationId,
    /// Servers do not run `ANALYZE`.
    Statistics,
    /// Servers refuse rows of more than some megabytes.
    LongRows,
}

const fn plain(name: &'static str, make: &'static str) -> Nasty {
    Nasty {
        name,
        make,
        ask: &[],
        on_a_server: &[],
    }
}

pub const DATABASES: &[Nasty] = &[
    plain("empty", "create table t(a); drop table t;"),
    plain(
        "text with NUL",
        "create table t(a primary key, b text);
         insert into t values('a' || char(0) || 'b', char(0)), (char(0,0), 'x' || char(0)), ('plain', '');",
    ),
    plain(
        "line ends, tabs and backslashes in text",
        r"create table t(a);
         insert into t values(char(10)), (char(13)), (char(13,10)), ('a' || char(13,10) || 'b' || char(9) || 'c'),
         ('\n' || char(10)), ('\r\n\012' || char(10,13)), ('\n'), ('(\n0)' || char(10) || '\n\012'), ('\u0041 \\'),
         ('it''s' || char(10) || '''quoted'''), (char(27) || '[31mred' || char(127)), ('a;' || char(10) || 'b; --');",
    ),
    plain(
        "text beyond ASCII",
        "create table t(a text);
         insert into t values('日本 é'), (char(128512)), (char(65279) || 'bom'), (char(65533, 65535)), ('e' || char(769)),
         (char(8238) || 'right to left'), (char(1114111)), (char(133, 8232));",
    ),
    Nasty {
        name: "text that is not UTF-8",
        make: "create table t(a, b); insert into t values(1, 'before'), (2, cast(x'ff41' as text)),
               (3, cast(x'eda080' as text)), (4, 'between'), (cast(x'80' as text), cast(x'c3' as text)), (6, 'after');
               create table u(k text primary key, v) without rowid;
               insert into u values('a', 1.5), (cast(x'fe' as text), -9e999), ('z', x'00');",
        ask: &["select hex(b) from t order by rowid"],
        on_a_server: &[],
    },
    Nasty {
        name: "infinite reals",
        make: "create table t(a real, b); insert into t values(9e999, -9e999), (-9e999, 1), (1.5, null), (0, 9e999);
               create table u(k primary key, v) without rowid; insert into u values(-9e999, 'x'), (9e999, 'y');",
        ask: &[],
        on_a_server: &[],
    },
    plain(
        "reals at the edges",
        "create table t(a);
         insert into t values(5e-324), (-5e-324), (1.7976931348623157e308), (-0.0), (0.0), (0.1 + 0.2), (3.0), (1e15),
         (1e100), (123456789012345678.0), (9007199254740993.0), (4611686018427387904.0), (2.2250738585072014e-308),
         (-2.7432105980834475e-18), (8.41e21), (1.0/3);",
    ),
    plain(
        "integers at the edges",
        "create table t(a integer, b int); insert into t values(9223372036854775807, -9223372036854775808),
         (9007199254740993, -1), (0, null);
         create table k(id integer primary key, v);
         insert into k values(-9223372036854775808, 'least'), (9223372036854775807, 'most'), (0, 'zero');",
    ),
    plain(
        "values of other types than their columns",
        "create table t(i integer, r real, x text, n numeric, b blob, untyped);
         insert into t values('abc', 'def', x'00', x'3132', 'text', '12');
         insert into t values(1.5, 3, 3.0, '1e3', 3.0, 3.0); insert into t values('', '', '', '', '', '');
         insert into t values('1', '1', '1', '1', '1', '1'); insert into t values(1, 1, 1, 1, 1, 1);",
    ),
    Nasty {
        name: "row ids that no column shows",
        make: "create table t(a, b); insert into t(rowid, a) values(5, 'x'), (900, 'y'), (-3, 'z'),
               (9223372036854775807, 'last'); create unique index covering on t(b, a);
               create table u(rowid, v); insert into u(oid, rowid, v) values(77, 'not a number', 1);",
        ask: &[],
        on_a_server: &[],
    },
    Nasty {
        name: "numbers of the file",
        make: "create table t(a); pragma user_version = -2147483648; pragma application_id = 1196444487;",
        ask: &[],
        on_a_server: &[Loss::ApplicationId],
    },
    plain("a version and nothing else", "pragma user_version = 7;"),
    plain(
        "tables with odd names",
        r#"create table "a""b"(x); insert into "a""b" values(1); create table 'it''s'(x); insert into 'it''s' values(2);
         create table "two words"(x); insert into "two words" values(3); create table "select"(x);
         insert into "select" values(4); create table "日本"(x); insert into "日本" values(5); create table ""(x);
         insert into "" values(6); create table "two
lines"(x); insert into "two
lines" values(7); create table [b]("]" int); insert into [b] values(8); create table "semi;colon -- /*"(x);
         insert into "semi;colon -- /*" values(9); create table "1"(x); insert into "1" values(10);
         create table "a.b"(x); create table "%_\"(x); insert into "%_\" values(11); create table "rowid"(x);
         insert into "rowid" values(12);"#,
    ),
    plain(
        "columns with odd names",
        r#"create table t("" int, " " text, "a""b", 'c''d', "select", "日本", "two
lines", [e;f], `g``h`, "1", "null", "x'00'"); insert into t values(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12);
         create table rowid_taken(rowid text, oid, _rowid_); insert into rowid_taken values('a', 'b', 'c');
         create table "order"("group" int primary key, "by" references "order"); insert into "order" values(1, 1);
         create index "index" on "order"("by"); create view "view" as select "group" as "a b" from "order";"#,
    ),
    plain(
        "generated columns",
        "create table t(a, b as (a + 1), c, d generated always as (c || '!') stored, e int as (length(d)) virtual unique);
         insert into t(a, c) values(1, 'x'), ('y', null), (2.5, 'long one');
         create table w(d as (k || 1) stored, k primary key) without rowid; insert into w values('q');
         create index te on t(b, e);",
    ),
    plain(
        "tables without row ids",
        "create table w(a text, b int, c, primary key(b desc, a)) without rowid;
         insert into w values('x', 1, null), ('y', 1, 'z'), ('x', -1, x'00'); create index wc on w(c);
         create table v(k text primary key collate nocase) without rowid; insert into v values('A'), ('b');",
    ),
    plain(
        "strict tables",
        "create table s(i integer primary key, n int, r real, x text, b blob, y any) strict;
         insert into s values(1, 2, 3, '4', x'05', '6'), (2, null, null, null, null, 7.5), (3, 0, -0.0, '', x'', '1.0');
         create table k(a any primary key, b any) strict, without rowid; insert into k values('1', 1), (1, '1');",
    ),
    plain(
        "counted keys",
        "create table a(id integer primary key autoincrement, v); insert into a values(5, 'x'), (700, 'y');
         delete from a where id = 700; create table b(id integer primary key autoincrement);
         create table c(id integer primary key autoincrement); insert into c values(3); delete from c;
         update sqlite_sequence set seq = 9000 where name = 'a'; insert into sqlite_sequence values('gone', 4);",
    ),
    plain(
        "a count that no table needs any more",
        "create table a(id integer primary key autoincrement); insert into a values(5); drop table a; create table t(x);
         insert into t values('autoincrement');",
    ),
    Nasty {
        name: "words with their content",
        make: "create virtual table f using fts5(title, body, tokenize = 'porter unicode61', prefix = '2 3');
               insert into f(rowid, title, body) values(1, 'one', 'hello world'), (7, 'it''s', 'running 日本 words'),
               (900, null, 'two' || char(10) || 'lines'); delete from f where rowid = 1;
               insert into f(f, rank) values('rank', 'bm25(10.0, 5.0)');
               create table \"f looks\"(a); create table fx_data(a); insert into fx_data values('no shadow');",
        ask: &[
            "select rowid, title, body from f where f match 'run'",
            "select rowid from f where f match 'li*' order by rank",
            "select count(*) from f where f match 'hello'",
        ],
        on_a_server: &[],
    },
    Nasty {
        name: "words with content elsewhere",
        make: "create table docs(title, body); insert into docs(rowid, title, body) values(3, 'a', 'first text'),
               (50, 'b', 'second text'); create virtual table f using fts5(title, body, content = 'docs');
               insert into f(f) values('rebuild'); create trigger docs_in after insert on docs begin
               insert into f(rowid, title, body) values(new.rowid, new.title, new.body); end;",
        ask: &["select rowid, body from f where f match 'second'", "select rowid from f where f match 'text'"],
        on_a_server: &[],
    },
    Nasty {
        name: "words without content",
        make: "create virtual table f using fts5(body, content = ''); insert into f(rowid, body) values(4, 'hello there'),
               (9, 'there again'); create virtual table v using fts5vocab(f, 'row');",
        ask: &["select rowid from f where f match 'there'", "select * from v"],
        on_a_server: &[],
    },
    Nasty {
        name: "words of the older kind",
        make: "create virtual table f using fts4(title, body, tokenize=porter);
               insert into f(docid, title, body) values(2, 'x', 'running fast'), (8, 'y', 'it''s ' || char(13) || ' ok');
               create virtual table g using fts3(a); insert into g values('three');",
        ask: &["select docid, body from f where f match 'run'", "select a from g where g match 'three'"],
        on_a_server: &[],
    },
    Nasty {
        name: "boxes",
        make: "create virtual table r using rtree(id, x0, x1, y0, y1, +label); insert into r values(1, 0, 1, 0, 1, 'one'),
               (70, -5.5, 1e10, 2, 3, 'it''s'); with recursive n(i) as (select 100 union all select i + 1 from n where i < 400)
               insert into r select i, i, i + 1, i, i + 2, 'n' || i from n;
               create virtual table i using rtree_i32(id, a, b); insert into i values(1, -5, 5);",
        ask: &["select id, label from r where x0 > 300 and y1 < 310", "select * from i where a < 0"],
        on_a_server: &[],
    },
    plain(
        "triggers and views with odd text",
        "create table t(a, b); create table log(what text);
         create trigger t1 after insert on t begin insert into log values('a;b'); update t set b = case when new.a then 1
         else 'end;' end; end; create view v as select a, ';' as \"x;\" from t -- the end
;
         create view broken as select * from nowhere; create view /* odd */ \"v;2\"(one, two) as values(1, 'two
lines'); create trigger before_all before update of a on t when new.a is not old.a begin select raise(abort, 'no;'); end;
         create trigger \"t 2\" instead of delete on v begin select 'it''s; -- no comment'; end;
         insert into t values(1, 2); delete from log; insert into log values('by hand');",
    ),
    plain(
        "indexes on expressions and parts",
        "create table t(a, b, c text); insert into t values(1, 'x', 'Q'), (2, null, 'q'), (3, 'y;', '');
         create index part on t(a) where b is not null and c <> 'it''s; --'; create unique index expr on t(lower(c), a + 1);
         create index coll on t(c collate nocase desc); create index j on t(json_extract(c, '$.x')) where c like '{%'; --tail
         create index \"odd name;\" on t(a, b);",
    ),
    plain(
        "blobs",
        "create table t(a); insert into t values(x''), (x'00'), (x'27'), (zeroblob(100000)), (randomblob(70000)),
         (x'0a0d5c6e'), (cast('text' as blob));",
    ),
    plain(
        "checks, defaults and collations",
        "create table t(a int check(a > 0 or a is null) default 1, b text default 'it''s
two lines' collate nocase, c default (1 + 2), d default current_timestamp, e default x'00ff', f real default 1e999,
         g text default \"double\", h not null on conflict ignore default '--', unique(b, c) on conflict replace,
         constraint \"odd;name\" check(b <> ';'));
         insert into t(a, d) values(1, 'now'); insert into t(b, d) values('B', 'then');",
    ),
    plain(
        "rows that refer to each other in circles",
        "create table a(id integer primary key, b references b(id) on delete cascade deferrable initially deferred);
         create table b(id integer primary key, a references a(id)); insert into a values(1, 2); insert into b values(2, 1);
         insert into a values(3, 99); create table child(p references parent(k)); insert into child values('x'), ('y');
         create table parent(k text primary key); insert into parent values('x');",
    ),
    plain(
        "rows that refer to later ones",
        "create table t(id integer primary key, up references t); insert into t values(1, 3), (2, 2), (3, 1), (4, null);",
    ),
    Nasty {
        name: "what ANALYZE found",
        make: "create table t(a, b); create index i on t(a); insert into t values(1, 1), (1, 2), (2, 3); analyze;
               insert into sqlite_stat1 values('t', 'nothing', 'by hand');",
        ask: &[],
        on_a_server: &[Loss::Statistics],
    },
    plain(
        "empty tables",
        "create table a(x); create table b(id integer primary key autoincrement); create table c(k primary key) without rowid;
         create virtual table f using fts5(a);",
    ),
    plain(
        "schema text with carriage returns",
        "create table t(a, -- one\r\n b default 'x\r\ny');\r\ninsert into t(a) values(1);
         create view v as\r\n select 'one\r\ntwo' as c;\r\ncreate trigger tr after insert on t begin\r\n select '\r\n'; end;",
    ),
    plain(
        "text in UTF-16",
        "pragma encoding = 'UTF-16le'; create table t(a text); insert into t values('é 日本'), (''), (char(128512));",
    ),
    plain(
        "what would change rows as they come",
        "create table t(a unique on conflict replace, b); insert into t values(1, 'x'), (2, 'y');
         create trigger tr after insert on t begin delete from t where a <> new.a; end;
         create trigger tb before insert on t begin select raise(ignore); end;",
    ),
    plain(
        "tables made from queries and altered later",
        "create table t as select 1 as a, 'x' as \"b c\", null as d; alter table t add column e text default 'new';
         alter table t rename column a to \"a;1\"; insert into t values(2, 'y', 3, null); alter table t rename to \"t 2\";
         alter table \"t 2\" drop column d;",
    ),
];
