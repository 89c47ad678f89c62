//! Sessions on a libSQL server: they behave as sessions on a file do.

use crate::support::sqld::Sqld;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};
use torso::error::Code;
use torso::sql::{self, Args, Column, Failure, Outcome, Phase, Rows, Session, Sink, Target, Value, ValueRef};

/// Keeps a result.
#[derive(Default, Debug, PartialEq)]
struct Collected {
    columns: Vec<Column>,
    rows: Vec<Vec<Value>>,
    /// Stops after so many rows.
    enough: Option<usize>,
}

impl Sink for Collected {
    fn columns(&mut self, columns: &[Column]) -> std::io::Result<()> {
        self.columns = columns.to_vec();
        Ok(())
    }

    fn row(&mut self, row: &[ValueRef<'_>]) -> std::io::Result<ControlFlow<()>> {
        self.rows
            .push(row.iter().map(|&value| Value::try_from(value).unwrap()).collect());
        let enough = self.enough.is_some_and(|enough| self.rows.len() >= enough);
        Ok(if enough {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        })
    }
}

fn connect(url: &str) -> Box<dyn Session> {
    sql::open(&Target::Remote {
        url: url.parse().unwrap(),
        token: None,
        renewal: None,
        read_only: false,
        wait_replica: false,
    })
    .unwrap()
}

fn run(session: &mut dyn Session, sql: &str) -> Result<(Outcome, Collected), Failure> {
    let mut sink = Collected::default();
    let outcome = session.run(sql, &Args::default(), &mut sink)?;
    Ok((outcome, sink))
}

/// Runs a statement that must succeed; its rows.
#[track_caller]
fn rows(session: &mut dyn Session, sql: &str) -> Vec<Vec<Value>> {
    match run(session, sql) {
        Ok((_, result)) => result.rows,
        Err(failure) => panic!("{sql}: {failure:?}"),
    }
}

#[track_caller]
fn integer(session: &mut dyn Session, sql: &str) -> i64 {
    match rows(session, sql).as_slice() {
        [row] => match row.as_slice() {
            [Value::Integer(integer)] => *integer,
            other => panic!("{sql}: {other:?}"),
        },
        other => panic!("{sql}: {other:?}"),
    }
}

/// The code of a failure of the connection.
#[track_caller]
fn connection_code<T: std::fmt::Debug>(result: Result<T, Failure>) -> Code {
    match result {
        Err(Failure::Connection(error)) => error.code(),
        other => panic!("no failure of the connection: {other:?}"),
    }
}

/// What two sessions must agree on, as text.
fn account(result: &Result<(Outcome, Collected), Failure>) -> String {
    match result {
        Ok((outcome, result)) => format!(
            "{} {} {} {} {:?} {:?}",
            outcome.consumed,
            outcome.ran,
            outcome.rows,
            outcome.changes,
            result.columns.iter().map(|column| &column.name).collect::<Vec<_>>(),
            result.rows
        ),
        Err(Failure::Sql {
            phase,
            message,
            code,
            offset,
        }) => format!("{phase:?} {message} {} {offset:?}", code & 0xff),
        Err(other) => format!("{other:?}"),
    }
}

#[test]
fn remote_session_answers_as_a_file_does() {
    let server = Sqld::start();
    let mut remote = connect(&server.url());
    let mut file = sql::open(&Target::Memory).unwrap();
    // The server's default differs.
    rows(file.as_mut(), "pragma foreign_keys = on");
    let statements = [
        "create table t(a integer primary key, b text, c blob, d real, e, unique(b));",
        "insert into t values(1,'x'||char(0)||'y',x'00ff10',1.5,null),(9007199254740993,'é\"\\'||char(10,27,127),x'',-0.0,1e300)",
        "select *, 3.0 z, 0.1+0.2, 5e-324, -9223372036854775808 from t order by a; select 2",
        "  -- only a comment\n",
        ";",
        "",
        "select 1 where 0",
        "insert into t(a) values(1)",
        "insert into t(b) values('x'), ('x')",
        "select changes(), last_insert_rowid()",
        "select last_insert_rowid() from t limit 1",
        "update t set e = 5",
        "delete from t where a = 1",
        "insert into t(d) values(1)",
        "select nope from t",
        "  select\n a,\n nope from t",
        "select * frm t",
        "select * from missing",
        "selec 1",
        "insert into missing values(1)",
        "insert into t(nope) values(1)",
        "select 'é', nope",
        "select (1",
        "select abs(-9223372036854775808)",
        "select json('x')",
        "select a from t union all select abs(-9223372036854775808)",
        "create table t(x)",
        "drop table missing",
        "begin",
        "begin",
        "insert into t(a,b) values(50,'in')",
        "select * frm t",
        "select nope",
        "selec",
        "insert into t(a) values(50)",
        "select count(*) from t",
        "savepoint s",
        "delete from t",
        "rollback to s",
        "release s",
        "release nothing",
        "commit",
        "commit",
        "select count(*) from t",
        "with a as (select 1 x) insert into t(a) select x+60 from a",
        "insert into t(a) values(70),(71) returning a, b",
        "select :a as a, ?2, $x as x, @y as y",
        "values (1,2),(3,4)",
        "pragma user_version",
        "pragma user_version=7",
        "pragma user_version",
        "create trigger tr after insert on t begin select 1; select 2; end; select 3",
        "select 1 as a, 2 as a, (select 3)",
        "create table p(a primary key); ",
        "create table f(a references p)",
        "insert into f values(1)",
        "insert into t(a) values('x')",
        "select typeof(e), e from t where e is not null",
        "replace into t(a,b) values(70,'again')",
        "select total_changes() > 0",
        "insert or rollback into t(a) values(70)",
        "select x'', '', null",
        "select zeroblob(3), cast('a' as blob)",
    ];
    let mut differ = Vec::new();
    for sql in statements {
        let (ours, theirs) = (account(&run(remote.as_mut(), sql)), account(&run(file.as_mut(), sql)));
        if ours != theirs {
            differ.push(format!("{sql}\n  remote: {ours}\n  file:   {theirs}"));
        }
        assert_eq!(remote.in_transaction(), file.in_transaction(), "after {sql}");
    }
    assert!(
        differ.is_empty(),
        "{} of {} statements differ:\n{}",
        differ.len(),
        statements.len(),
        differ.join("\n")
    );
    assert_eq!(remote.total_changes(), file.total_changes());
}

#[test]
fn infinite_reals_have_their_sign_or_are_counted() {
    let server = Sqld::start();
    let mut remote = connect(&server.url());
    let reals = [f64::INFINITY, f64::NEG_INFINITY, 1.0].map(Value::Real);
    // Also where results come whole.
    for set_cost_tracking in [false, true] {
        remote.set_cost_tracking(set_cost_tracking);
        let (outcome, result) = run(remote.as_mut(), "select 9e999, -9e999, 1.0").unwrap();
        assert_eq!((outcome.signless_infinities, result.rows), (0, vec![reals.to_vec()]));
    }
    rows(remote.as_mut(), "create table t(a)");
    let (outcome, result) = run(remote.as_mut(), "insert into t values(-9e999) returning a").unwrap();
    assert_eq!(outcome.signless_infinities, 1);
    assert!(matches!(result.rows[0][..], [Value::Real(real)] if real.is_nan()));
    remote.set_cost_tracking(false);
    let (_, result) = run(remote.as_mut(), "insert into t values(-9e999) returning a").unwrap();
    assert_eq!(result.rows, [[Value::Real(f64::NEG_INFINITY)]]);
    assert_eq!(integer(remote.as_mut(), "select count(*) from t"), 2);
}

#[test]
fn text_that_is_not_utf8_is_one_error_and_the_session_continues() {
    let server = Sqld::start();
    let mut remote = connect(&server.url());
    rows(remote.as_mut(), "create table t(a default 1)");
    // Where the connection ends before anything of the answer has arrived, nothing says why.
    let hint = (0..20).find_map(|_| {
        let Err(Failure::Connection(error)) = run(remote.as_mut(), "select cast(x'ff' as text)") else {
            panic!("the server sent it")
        };
        assert_eq!(error.code(), Code::Unavailable);
        assert_eq!(integer(remote.as_mut(), "select 5"), 5);
        error.hint_text().map(str::to_owned)
    });
    insta::assert_snapshot!(hint.unwrap(), @"the server stops like that at a text that is not valid UTF-8: ask for hex(column) or cast(column as blob)");
    let _ = run(remote.as_mut(), "pragma table_info(t)");
    assert_eq!(integer(remote.as_mut(), "select 5"), 5);
}

#[test]
fn parameters_are_bound_by_place_and_name_and_null_otherwise() {
    let server = Sqld::start();
    let mut remote = connect(&server.url());
    let mut file = sql::open(&Target::Memory).unwrap();
    let text = |text: &str| Value::Text(text.to_owned());
    let named = |pairs: &[(&str, Value)]| Args {
        named: pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect(),
        ..Args::default()
    };
    let place = |values: &[Value]| Args {
        positional: values.to_vec(),
        ..Args::default()
    };
    for (sql, args) in [
        ("select ?", place(&[])),
        (
            "select ?, ?",
            place(&[Value::Integer(i64::MIN), Value::Blob(vec![0, 255, 7])]),
        ),
        ("select ?3, ?1", place(&[text("a"), text("b"), Value::Real(0.1)])),
        (
            "select :a, @b, $c, :a",
            named(&[("$c", Value::Null), (":a", text("é\0\"")), (":not", text("x"))]),
        ),
        (
            "select ?, :b",
            named(&[("?1", text("first")), (":b", Value::Integer(2))]),
        ),
        (
            "insert into t values(:a) returning *",
            named(&[(":a", Value::Real(1.0))]),
        ),
    ] {
        let mut results = Vec::new();
        for session in [&mut remote, &mut file] {
            rows(session.as_mut(), "create table if not exists t(a)");
            let mut sink = Collected::default();
            session
                .run(sql, &args, &mut sink)
                .unwrap_or_else(|failure| panic!("{sql}: {failure:?}"));
            results.push(sink.rows);
        }
        assert_eq!(results[0], results[1], "{sql}");
    }
    let failure = remote
        .run(
            "select ?",
            &place(&[Value::Real(f64::INFINITY)]),
            &mut Collected::default(),
        )
        .unwrap_err();
    insta::assert_snapshot!(failure, @"an infinite real cannot be sent to a server as a parameter");
}

#[test]
fn sink_that_stops_an_endless_result_keeps_the_transaction() {
    let server = Sqld::start();
    let mut remote = connect(&server.url());
    rows(remote.as_mut(), "create table t(a)");
    rows(remote.as_mut(), "begin");
    rows(remote.as_mut(), "insert into t values(1)");
    let mut sink = Collected {
        enough: Some(3),
        ..Collected::default()
    };
    let endless = "with recursive c(x) as (select 1 union all select x + 1 from c) select x from c";
    let begun = Instant::now();
    remote.run(endless, &Args::default(), &mut sink).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(sink.rows.len(), 3);
    assert!(remote.in_transaction());
    assert_eq!(integer(remote.as_mut(), "select count(*) from t"), 1);
    rows(remote.as_mut(), "commit");
    let mut other = connect(&server.url());
    assert_eq!(integer(other.as_mut(), "select count(*) from t"), 1);
}

#[test]
fn interrupt_ends_a_query_within_200_ms_and_keeps_the_transaction() {
    let server = Sqld::start();
    let mut remote = connect(&server.url());
    rows(remote.as_mut(), "create table t(a)");
    rows(remote.as_mut(), "begin");
    rows(remote.as_mut(), "insert into t values(1)");
    let interrupt = remote.interrupter();
    // An interrupt between statements is not kept for the next one.
    interrupt();
    assert_eq!(integer(remote.as_mut(), "select count(*) from t"), 1);
    let (tell, told) = mpsc::channel();
    let interrupter = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        tell.send(Instant::now()).unwrap();
        interrupt();
    });
    let endless = "with recursive c(x) as (select 1 union all select x + 1 from c) select max(x) from c";
    let failure = run(remote.as_mut(), endless).unwrap_err();
    let took = told.recv().unwrap().elapsed();
    interrupter.join().unwrap();
    assert!(
        matches!(&failure, Failure::Sql { message, code: 9, .. } if message == "interrupted"),
        "{failure:?}"
    );
    assert!(took < Duration::from_millis(200), "{took:?}");
    assert!(remote.in_transaction());
    rows(remote.as_mut(), "commit");
    assert_eq!(integer(remote.as_mut(), "select count(*) from t"), 1);
}

#[test]
fn transaction_that_is_idle_outlives_the_servers_timeout() {
    let server = Sqld::start();
    let mut remote = connect(&server.url());
    rows(remote.as_mut(), "create table t(a)");
    rows(remote.as_mut(), "begin");
    rows(remote.as_mut(), "insert into t values(1)");
    std::thread::sleep(Duration::from_secs(12));
    assert!(remote.in_transaction());
    rows(remote.as_mut(), "commit");
    assert_eq!(integer(remote.as_mut(), "select count(*) from t"), 1);
}

/// Looks at one row for long.
#[derive(Default)]
struct Looks(usize);

impl Sink for Looks {
    fn columns(&mut self, _: &[Column]) -> std::io::Result<()> {
        Ok(())
    }

    fn row(&mut self, _: &[ValueRef<'_>]) -> std::io::Result<ControlFlow<()>> {
        self.0 += 1;
        if self.0 == 3 {
            std::thread::sleep(Duration::from_secs(13));
        }
        Ok(ControlFlow::Continue(()))
    }
}

#[test]
fn transaction_outlives_a_slow_reader_of_its_rows() {
    let server = Sqld::start();
    rows(connect(&server.url()).as_mut(), "create table t(a)");
    // All of them have been sent while they are looked at; or most of them are still to come.
    std::thread::scope(|scope| {
        for count in [2_000, 300_000] {
            let server = &server;
            scope.spawn(move || {
                let mut remote = connect(&server.url());
                // Both only read at first, so that neither waits for the other.
                rows(remote.as_mut(), "begin");
                let many = format!(
                    "with recursive c(x) as (select 1 union all select x + 1 from c where x < {count})
                     select x, 'a text of some length, as many have' from c, (select count(*) from t)"
                );
                let mut sink = Looks::default();
                remote.run(&many, &Args::default(), &mut sink).unwrap();
                assert_eq!(sink.0, count);
                assert!(remote.in_transaction());
                assert_eq!(integer(remote.as_mut(), "select count(*) from t"), 0);
                rows(remote.as_mut(), "commit");
            });
        }
    });
}

#[test]
fn transaction_ended_by_another_writer_is_not_continued_outside() {
    let server = Sqld::start();
    let mut first = connect(&server.url());
    rows(first.as_mut(), "create table t(a)");
    rows(first.as_mut(), "begin immediate");
    rows(first.as_mut(), "insert into t values('first')");
    let mut second = connect(&server.url());
    // The server lets a writer wait for five seconds, and then ends the transaction in its way.
    rows(second.as_mut(), "insert into t values('second')");
    let lost = run(first.as_mut(), "insert into t values('outside')");
    assert_eq!(connection_code(lost), Code::TransactionLost);
    assert!(!first.in_transaction());
    assert_eq!(integer(first.as_mut(), "select count(*) from t"), 1);
}

#[test]
fn stream_that_is_gone_is_opened_again_with_its_settings() {
    let mut server = Sqld::start();
    let mut remote = connect(&server.url());
    rows(remote.as_mut(), "create table t(a)");
    rows(remote.as_mut(), "pragma foreign_keys = off");
    assert_eq!(integer(remote.as_mut(), "pragma foreign_keys"), 0);
    server.restart();
    assert_eq!(integer(remote.as_mut(), "pragma foreign_keys"), 0);
    rows(remote.as_mut(), "pragma foreign_keys(on)");
    server.restart();
    assert_eq!(integer(remote.as_mut(), "select count(*) from t"), 0);
    assert_eq!(integer(remote.as_mut(), "pragma foreign_keys"), 1);
}

#[test]
fn transaction_on_a_stream_that_is_gone_is_reported() {
    let mut server = Sqld::start();
    for statement in ["insert into t values('outside')", "select * from t", "commit"] {
        let mut remote = connect(&server.url());
        rows(remote.as_mut(), "create table if not exists t(a)");
        rows(remote.as_mut(), "begin");
        rows(remote.as_mut(), "insert into t values('inside')");
        server.restart();
        assert_eq!(
            connection_code(run(remote.as_mut(), statement)),
            Code::TransactionLost,
            "{statement}"
        );
        assert!(!remote.in_transaction());
        assert_eq!(integer(remote.as_mut(), "select count(*) from t"), 0);
    }
}

#[test]
fn server_that_is_away_is_one_error_and_its_return_is_noticed() {
    let mut server = Sqld::start();
    let mut remote = connect(&server.url());
    rows(remote.as_mut(), "create table t(a)");
    server.kill();
    assert_eq!(connection_code(run(remote.as_mut(), "select 1")), Code::Unavailable);
    server.restart();
    assert_eq!(integer(remote.as_mut(), "select count(*) from t"), 0);
}

/// Rows of one number, of which some repeat.
struct Numbers {
    next: i64,
    end: i64,
    row: Vec<Value>,
    refused: Vec<(u64, i32)>,
    bail: bool,
}

impl Numbers {
    fn new(end: i64) -> Self {
        Self {
            next: 0,
            end,
            row: Vec::new(),
            refused: Vec::new(),
            bail: false,
        }
    }
}

/// Whether the row of that number repeats the one before it.
fn repeats(number: i64) -> bool {
    number % 700 == 699
}

impl Rows for Numbers {
    fn width(&self) -> usize {
        2
    }

    fn advance(&mut self) -> torso::error::Result<bool> {
        if self.next == self.end {
            return Ok(false);
        }
        let number = if repeats(self.next) { self.next - 1 } else { self.next };
        self.next += 1;
        self.row = vec![Value::Integer(number), Value::Text(format!("text {number}"))];
        Ok(true)
    }

    fn value(&self, index: usize) -> ValueRef<'_> {
        ValueRef::from(&self.row[index])
    }

    fn refused(&mut self, nth: u64, failure: Failure) -> torso::error::Result<ControlFlow<()>> {
        let Failure::Sql { code, .. } = failure else {
            panic!("{failure:?}")
        };
        self.refused.push((nth, code & 0xff));
        Ok(if self.bail {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        })
    }
}

#[test]
fn row_batch_with_refused_rows_names_each() {
    let server = Sqld::start();
    let mut remote = connect(&server.url());
    let sql = "insert into t values(?, ?)";
    for in_transaction in [true, false] {
        rows(
            remote.as_mut(),
            "create table if not exists t(a integer primary key, b)",
        );
        rows(remote.as_mut(), "delete from t");
        if in_transaction {
            rows(remote.as_mut(), "begin");
        }
        let mut numbers = Numbers::new(3000);
        let taken = remote.insert_many(sql, &mut numbers).unwrap();
        let expected: Vec<_> = (0..3000)
            .filter(|&number| repeats(number))
            .map(|n| (n as u64, 19))
            .collect();
        assert_eq!(numbers.refused, expected);
        assert_eq!(taken, 3000 - expected.len() as u64);
        assert_eq!(remote.in_transaction(), in_transaction);
        if in_transaction {
            rows(remote.as_mut(), "commit");
        }
        assert_eq!(integer(remote.as_mut(), "select count(*) from t"), taken as i64);
    }
    // The caller may stop at the first: then nothing behind it was taken, as on a file.
    rows(remote.as_mut(), "delete from t");
    let mut numbers = Numbers::new(3000);
    numbers.bail = true;
    assert_eq!(remote.insert_many(sql, &mut numbers).unwrap(), 699);
    assert_eq!(integer(remote.as_mut(), "select max(a) from t"), 698);
    let failure = remote
        .insert_many("insert into nowhere values(?)", &mut Numbers::new(1))
        .unwrap_err();
    assert!(
        matches!(&failure, Failure::Sql { phase: Phase::Prepare, message, .. } if message == "no such table: nowhere"),
        "{failure:?}"
    );
}

#[test]
fn row_batches_never_continue_outside_a_lost_transaction() {
    struct Restarting<'a>(Numbers, &'a mut Sqld);
    impl Rows for Restarting<'_> {
        fn width(&self) -> usize {
            self.0.width()
        }
        fn advance(&mut self) -> torso::error::Result<bool> {
            if self.0.next == 600 {
                self.1.restart();
            }
            self.0.advance()
        }
        fn value(&self, index: usize) -> ValueRef<'_> {
            self.0.value(index)
        }
        fn refused(&mut self, nth: u64, failure: Failure) -> torso::error::Result<ControlFlow<()>> {
            self.0.refused(nth, failure)
        }
    }
    let mut server = Sqld::start();
    let mut remote = connect(&server.url());
    rows(remote.as_mut(), "create table t(a integer primary key, b)");
    rows(remote.as_mut(), "begin");
    let lost = remote.insert_many(
        "insert into t values(?, ?)",
        &mut Restarting(Numbers::new(690 * 3), &mut server),
    );
    assert_eq!(connection_code(lost), Code::TransactionLost);
    assert_eq!(integer(remote.as_mut(), "select count(*) from t"), 0);
}

#[test]
fn first_row_does_not_wait_for_the_last_and_costs_are_counted() {
    let server = Sqld::start();
    let mut remote = connect(&server.url());
    rows(remote.as_mut(), "create table t(a)");
    let (outcome, _) = run(remote.as_mut(), "insert into t values(1),(2)").unwrap();
    let cost = outcome.cost.unwrap();
    assert_eq!(cost.rows_written, Some(2));
    assert!(cost.server.unwrap() <= cost.total);
    struct First(Arc<AtomicBool>, Instant, Duration);
    impl Sink for First {
        fn columns(&mut self, _: &[Column]) -> std::io::Result<()> {
            Ok(())
        }
        fn row(&mut self, _: &[ValueRef<'_>]) -> std::io::Result<ControlFlow<()>> {
            if !self.0.swap(true, Ordering::SeqCst) {
                self.2 = self.1.elapsed();
            }
            Ok(ControlFlow::Continue(()))
        }
    }
    let mut sink = First(Arc::default(), Instant::now(), Duration::ZERO);
    let many =
        "with recursive c(x) as (select 1 union all select x + 1 from c where x < 200000) select x, 'text' from c";
    let outcome = remote.run(many, &Args::default(), &mut sink).unwrap();
    assert_eq!(outcome.rows, 200_000);
    assert!(sink.2 < sink.1.elapsed() / 4, "the first row after {:?}", sink.2);
}

#[test]
fn server_version_is_asked_and_returned() {
    let server = Sqld::start();
    let version = connect(&server.url()).server_version().unwrap().unwrap();
    assert!(version.starts_with("sqld 0.24.32"), "{version}");
}
