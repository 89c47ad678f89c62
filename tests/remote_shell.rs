//! The shell on a libSQL server and on a file: scripts say and write the same.

use crate::support::beside::tell;
use crate::support::sqld::Sqld;
use crate::support::{Run, World, in_parallel, redact};
use std::sync::Mutex;

/// A table with values that are easily lost on the way.
const SETUP: &str = "
CREATE TABLE v(id INTEGER PRIMARY KEY, t TEXT, b BLOB, r REAL, \"odd name\" ANY);
INSERT INTO v VALUES(1,'plain',x'00ff10',1.5,NULL);
INSERT INTO v VALUES(2,'it''s \"quoted\", and | split',x'',-0.25,42);
INSERT INTO v VALUES(-9223372036854775808,'two'||char(10)||'lines',NULL,1e300,'text');
INSERT INTO v VALUES(9007199254740993,'日本 é',zeroblob(3),0.1,'');
INSERT INTO v VALUES(5,'tab'||char(9)||'<&>',x'6162',123456789.0,-1);
CREATE TABLE c(a TEXT COLLATE NOCASE, b INT CHECK(b > 0), UNIQUE(a, b));
INSERT INTO c VALUES('x',1),('Y',2);
CREATE INDEX cb ON c(b);
CREATE VIEW w AS SELECT a, b * 2 AS twice FROM c;
CREATE TRIGGER ct AFTER INSERT ON c BEGIN UPDATE v SET t = t || '!' WHERE id = 1; END;
";

const MODES: [&str; 18] = [
    "ascii",
    "box",
    "column",
    "csv",
    "html",
    "insert",
    "json",
    "jsonl",
    "line",
    "list",
    "markdown",
    "qbox",
    "quote",
    "table",
    "tabs",
    "tcl",
    "vertical",
    "insert mine",
];

const QUERIES: [&str; 8] = [
    "SELECT * FROM v;",
    "SELECT id, r FROM v WHERE id > 0 ORDER BY r; SELECT * FROM w;",
    "SELECT * FROM v WHERE 0;",
    "SELECT 1 AS a, 2 AS a, NULL, '', x'', 1.0, 1e15, 3.0e-10;",
    "SELECT count(*), typeof(r), \"odd name\" FROM v GROUP BY 2, 3;",
    "EXPLAIN QUERY PLAN SELECT * FROM v WHERE id = 3;",
    "INSERT INTO c VALUES('z', 9) RETURNING *; SELECT t FROM v WHERE id = 1;",
    "VALUES (1,'a'),(2,'b');",
];

/// Scripts that are more than a query in a mode.
const SCRIPTS: &[&str] = &[
    ".tables\n.tables v%\n.tables nothing\n.indexes\n.indexes c\n",
    ".schema\n.schema c\n.schema --indent\n.schema w\n.schema nothing\n.fullschema\n",
    ".dump\n",
    ".dump c\n",
    ".dump --preserve-rowids --data-only\n",
    ".headers on\nSELECT * FROM c;\n.headers off\nSELECT * FROM c;\n",
    ".nullvalue NIL\nSELECT * FROM v;\n",
    ".separator , ;\nSELECT * FROM c;\n",
    ".mode box --wrap 5\nSELECT * FROM v;\n.width 3 -8\nSELECT * FROM v;\n",
    ".changes on\nINSERT INTO c VALUES('n', 5);\nSELECT 1;\nUPDATE c SET b = b + 1;\nDELETE FROM c WHERE b > 100;\nINSERT INTO c VALUES('n', -5);\n",
    ".echo on\nSELECT 1;\n.tables\n",
    ".bail on\nSELECT 1;\nSELECT nope;\nSELECT 2;\n",
    "SELECT 1;\nSELECT nope FROM v;\nSELECT 2;\n",
    "SELECT\n  id,\n  nope\nFROM v;\n",
    "SELECT * FRM v;\nselec 1;\nSELECT (1;\nSELECT 'unterminated;\n",
    "SELECT * FROM missing;\nINSERT INTO missing VALUES(1);\nINSERT INTO c(nope) VALUES(1);\nDROP TABLE missing;\n",
    "INSERT INTO c VALUES('x', 1);\nINSERT INTO c VALUES('q', 0);\nINSERT INTO v(id) VALUES('text');\n",
    "SELECT abs(-9223372036854775808);\nSELECT json('{');\nSELECT 1 UNION ALL SELECT abs(-9223372036854775808);\n",
    "BEGIN;\nINSERT INTO c VALUES('in', 7);\nSELECT count(*) FROM c;\nROLLBACK;\nSELECT count(*) FROM c;\n",
    "BEGIN;\nINSERT INTO c VALUES('in', 7);\nSELECT nope;\nSELECT * FRM c;\nbogus;\nCOMMIT;\nSELECT count(*) FROM c;\n",
    "SAVEPOINT a;\nDELETE FROM c;\nSAVEPOINT b;\nDELETE FROM v;\nROLLBACK TO a;\nRELEASE a;\nSELECT count(*) FROM c, v;\n",
    "COMMIT;\nROLLBACK;\nBEGIN;\nBEGIN;\nEND;\n",
    "INSERT INTO c VALUES('a1', 11); INSERT INTO c VALUES('a2', 0); INSERT INTO c VALUES('a3', 13);\nSELECT * FROM c;\n",
    "SELECT last_insert_rowid(), changes(), total_changes() > 0;\nINSERT INTO v(t) VALUES('new');\nSELECT changes();\n",
    "PRAGMA user_version;\nPRAGMA user_version = 12;\nPRAGMA user_version;\nPRAGMA table_info(v);\nPRAGMA index_list(c);\n",
    "PRAGMA foreign_keys;\nCREATE TABLE k(a REFERENCES v);\nINSERT INTO k VALUES(77);\nPRAGMA foreign_keys = off;\nINSERT INTO k VALUES(77);\nPRAGMA foreign_key_check;\n",
    "SELECT :a, ?, ?5, @b, $c;\n",
    "CREATE TRIGGER t2 AFTER DELETE ON c BEGIN SELECT 1; SELECT CASE WHEN 1 THEN 2 END; END;\nDELETE FROM c;\n.schema c\n",
    "CREATE TABLE n(a, b AS (a * 2), c GENERATED ALWAYS AS (a + 1) STORED);\nINSERT INTO n VALUES(3);\nSELECT * FROM n;\n.schema n\n.dump n\n",
    "CREATE TABLE wr(a TEXT PRIMARY KEY, b) WITHOUT ROWID;\nINSERT INTO wr VALUES('k', 1);\n.dump wr\n",
    "CREATE TABLE ai(a INTEGER PRIMARY KEY AUTOINCREMENT);\nINSERT INTO ai DEFAULT VALUES;\n.dump ai\n.dump\n",
    "CREATE VIRTUAL TABLE f USING fts5(a);\nINSERT INTO f VALUES('hello world');\nSELECT * FROM f WHERE f MATCH 'world';\n.tables\n",
    "CREATE TABLE \"order\"(\"group\" INT, \"a b\" TEXT, \"q\"\"q\");\nINSERT INTO \"order\" VALUES(1, 'x', 2);\n.dump \"order\"\n.schema order\n.mode insert order\nSELECT * FROM \"order\";\n",
    ".eqp on\nSELECT * FROM v WHERE id = 1;\nSELECT * FROM c WHERE b = 2;\n",
    ".read body.sql\nSELECT 'after';\n",
    ".import --csv rows.csv fresh\nSELECT * FROM fresh;\n.schema fresh\n",
    ".import --csv --skip 1 rows.csv c\nSELECT * FROM c;\n",
    ".mode csv\n.import ragged.csv c\nSELECT * FROM c;\n",
    ".import --csv none.csv c\n",
    // Without triggers, and without tables that refer to themselves, rows travel to a server as one array.
    "DROP TRIGGER ct;\n.import --csv --skip 1 rows.csv c\n.mode csv\n.import ragged.csv c\n.mode list\nSELECT *, typeof(b) FROM c;\nSELECT count(*) FROM c;\n",
    "DROP TRIGGER ct;\nCREATE TABLE u(a, b UNIQUE ON CONFLICT FAIL);\nINSERT INTO u VALUES(0, 33);\n.mode csv\n.import ragged.csv u\nSELECT rowid, * FROM u;\n",
    "DROP TRIGGER ct;\nCREATE TABLE u(a PRIMARY KEY ON CONFLICT REPLACE, b UNIQUE ON CONFLICT IGNORE);\n.mode csv\n.import ragged.csv u\n.import ragged.csv u\n.mode quote\nSELECT rowid, * FROM u;\nSELECT last_insert_rowid();\n",
    "DROP TRIGGER ct;\nCREATE TABLE self(a INTEGER PRIMARY KEY, b REFERENCES self);\n.import --csv family.csv self\nSELECT * FROM self;\n",
    "DROP TRIGGER ct;\n.import --csv odd.csv odd\n.mode quote\nSELECT * FROM odd;\nCREATE TABLE n(a INT, b REAL, c BLOB, d AS (a + 1));\n.import --csv --skip 1 odd.csv n\nSELECT * FROM n;\n",
    "DROP TRIGGER ct;\nCREATE TABLE ai(a INTEGER PRIMARY KEY AUTOINCREMENT, b, c CHECK(c <> 'bad'));\n.import --csv checked.csv ai\nSELECT * FROM ai;\nSELECT * FROM sqlite_sequence;\nINSERT INTO ai(b) VALUES('next');\nSELECT max(a) FROM ai;\n",
    ".import --csv --create --types guess rows.csv fresh\n.schema fresh\nSELECT a, typeof(b) FROM fresh;\n.import --csv --create rows.csv fresh\n.import --csv --types TEXT,REAL rows.csv told\n.schema told\n.import --csv --types TEXT rows.csv short\n.import --csv --dry-run rows.csv tried\n.tables\n",
    "DROP TRIGGER ct;\nBEGIN;\n.import --csv --skip 1 rows.csv c\nSELECT count(*) FROM c;\nROLLBACK;\nSELECT count(*) FROM c;\n",
    "DROP TRIGGER ct;\nCREATE VIRTUAL TABLE words USING fts5(a, b);\n.import --csv rows.csv words\nSELECT * FROM words WHERE words MATCH 'quoted';\n",
    ".parameter list\n.parameter init\n.parameter list\n.parameter set :id 5\n.parameter set @text hello\n.parameter set $blob x'0fff'\n.parameter set ?4 \"1.5 + 2\"\n.parameter list\nSELECT :id, @text, $blob, ?4, $unknown;\nSELECT t FROM v WHERE id = :id;\n.parameter unset :id\nSELECT :id, @text;\n.parameter clear\n.parameter list\nSELECT @text;\n.parameter nosuch\n",
    ".once out.txt\nSELECT * FROM c;\nSELECT 'here';\n",
    ".output out.txt\nSELECT * FROM c;\n.output\nSELECT 'here';\n",
    ".mode list\nSELECT 1\n;\n/* comment */ SELECT 2; -- more\nSELECT 3\n/\nSELECT 4\ngo\n",
    ";;;\n  ;\nSELECT 1;;\n-- only\n",
    "SELECT 'no end'",
    "EXPLAIN QUERY PLAN SELECT * FROM v, c WHERE v.id = c.b;\n",
    ".print a 'b c'\n.nosuch\n.mode nosuch\n.headers maybe\n",
    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 2000) SELECT x, 'row ' || x FROM n;\n",
    ".sha3sum\n.sha3sum v\n.sha3sum --schema\n.sha3sum --sha3-512\n.mode box\n.sha3sum %\n.sha3sum --debug c\n.sha3sum nothing\n",
    "CREATE TABLE s(a, g AS (a + 1), h AS (a * 2) STORED, PRIMARY KEY(a)) WITHOUT ROWID;\nINSERT INTO s VALUES(-9e999),(2),(9e999),(1.5);\nINSERT INTO v(id,t) VALUES(77,CAST(x'ff61' AS TEXT));\nCREATE TABLE n(a INTEGER PRIMARY KEY AUTOINCREMENT);\nINSERT INTO n VALUES(5);\nBEGIN;\n.sha3sum\n.sha3sum sqlite%\nCOMMIT;\n.sha3sum --sha3-256 --schema\n",
    // Infinities have their sign.
    "SELECT 9e999, -9e999, 1.5;\n.mode quote\nSELECT 9e999, -9e999;\n.mode json\nINSERT INTO v(id, r) VALUES(78, -9e999) RETURNING r;\nSELECT r FROM v WHERE id = 78;\n",
    "DROP TRIGGER ct;\n.trace stdout\nSELECT 1;\n/* c */ SELECT 2; SELECT nope;\n.trace --row\nSELECT * FROM c;\n.trace --stmt --plain\nINSERT INTO c VALUES('new', 1);INSERT INTO c VALUES('bad', -1);\nWITH x AS (SELECT 1) SELECT * FROM x;\n.trace off\nSELECT 3;\n.trace --nosuch\n",
    ".lint fkey-indexes\n",
    ".log stdout\nselct 1;\nSELECT nope FROM v;\n.log off\nselct 2;\n.log\n",
    // What statements cost must not change what they say, also where a result is too large to come whole.
    ".stats vmstep\n.stats off\nSELECT * FROM v; SELECT nope;\n",
    ".databases\n",
    // Reals whose last bit depends on how they are read.
    ".mode quote\nSELECT -2.7432105980834475e-18, 8.41e21, 5e-324, 9007199254740993.0;\n",
];

/// What a script did, without what has to differ.
#[derive(Debug, PartialEq)]
struct Did {
    code: i32,
    out: String,
    err: String,
    file: Option<String>,
}

fn run(database: &str, script: &str) -> Did {
    let world = World::new();
    world.write("body.sql", "SELECT 'in the file';\nSELECT nope;\nSELECT * FROM c;\n");
    world.write("rows.csv", "a,b\none,10\n\"two, quoted\",20\n");
    world.write("ragged.csv", "r,31\nonly\nlong,32,33\nx,1\nlast,34\n");
    world.write("family.csv", "1,2\n2,2\n3,2\n4,9\n5,4\n");
    world.write("odd.csv", "x,\"y \"\"z\"\"\",w\n007,1e3,\\u0041\n-1,0.1,\"[1,\"\"a\"\"]\"\n9223372036854775808,é 日本,\"line\nbreak\"\n,null,true\n");
    world.write(
        "checked.csv",
        "1,a,ok\n5,b,bad\nx,c,ok\n7,d,ok\n7,e,ok\n8,f,bad\n9,g,ok\n",
    );
    let run: Run = world.torso_with_input(["db", "shell", database, "-cmd", "PRAGMA foreign_keys=ON"], script);
    let plain = |text: &str| {
        text.replace(database, "DATABASE")
            .replace(&world.root().display().to_string(), "WORLD")
    };
    Did {
        code: run.code(),
        out: plain(&run.stdout),
        err: plain(&run.stderr),
        file: std::fs::read_to_string(world.work().join("out.txt")).ok(),
    }
}

#[test]
fn scripts_do_the_same_on_a_server_and_on_a_file() {
    let mut scripts: Vec<String> = SCRIPTS.iter().map(|&script| script.to_owned()).collect();
    for mode in MODES {
        let mut script = format!(".mode {mode}\n");
        for query in QUERIES {
            script.push_str(&format!(".headers off\n{query}\n.headers on\n{query}\n"));
        }
        scripts.push(script);
    }
    let differ = Mutex::new(Vec::new());
    in_parallel(&scripts, |script| {
        let server = Sqld::start();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.db");
        let whole = format!("{SETUP}{script}");
        let remote = run(&server.url(), &whole);
        let local = run(&file.display().to_string(), &whole);
        if remote != local {
            differ
                .lock()
                .unwrap()
                .push(format!("--- {script}\nserver: {remote:#?}\nfile:   {local:#?}"));
        }
    });
    let differ = differ.into_inner().unwrap();
    tell(format_args!(
        "shell: {} of {} scripts do the same on a server and on a file",
        scripts.len() - differ.len(),
        scripts.len()
    ));
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

/// Takes so many steps, and some hundred milliseconds for millions of them.
fn counting(steps: u32) -> String {
    format!("WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < {steps}) SELECT max(x) FROM n;")
}

#[test]
fn timeout_flag_limits_a_statement_on_a_server() {
    let server = Sqld::start();
    let shell = |script: String| World::new().torso_with_input(["db", "shell", &server.url()], &script);
    let late = shell(format!(
        ".timeout 300\nSELECT 'quick';\n{}\nSELECT 'not run';\n",
        counting(100_000_000)
    ));
    insta::assert_snapshot!(redact::plain(&late.report()), @"
    $ torso db shell http://127.0.0.1:[port]
    quick
    -- stderr --
    Error: http://127.0.0.1:[port]/v3-protobuf/cursor was silent for 0.3 s
    -- exit 7 --
    ");
    let usual = shell(format!(".timeout 1\n.timeout 0\n{}\n", counting(1_000_000)));
    assert_eq!(
        (usual.stdout.as_str(), usual.code()),
        ("1000000\n", 0),
        "{}",
        usual.report()
    );
}
