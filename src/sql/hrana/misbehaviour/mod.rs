//! Tests with servers that misbehave: each must give one clear error, soon.

mod server;

use super::HranaSession;
use super::address::Address;
use crate::error::{Code, Error};
use crate::secret::{Renewal, Secret};
use crate::sql::{Failure, Outcome, Session as _};
use server::{BEGIN, END, HEAD, MisbehavingServer, ROW, Reaction, ScriptedRows, TOKEN, cut, http, run};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

#[test]
fn bad_answer_to_a_query_is_one_clear_error() {
    let bad_rows = [
        "{\"type\":\"row\",\"row\":[]}\n",
        "{\"type\":\"row\"}\n",
        "{\"type\":\"row\",\"row\":[{\"type\":\"integer\",\"value\":\"1\"},{\"type\":\"null\"}]}\n",
        "{\"type\":\"row\",\"row\":[{\"type\":\"integer\",\"value\":\"x\"}]}\n",
        "{\"type\":\"row\",\"row\":[{\"type\":\"integer\",\"value\":\"9223372036854775808\"}]}\n",
        "{\"type\":\"row\",\"row\":[{\"type\":\"blob\",\"base64\":\"?\"}]}\n",
        "{\"type\":\"row\",\"row\":[{\"type\":\"strange\",\"value\":\"1\"}]}\n",
        "{\"type\":\"row\",\"row\":[{\"type\":\"integer\",\"val",
        "{\"type\":\"row\",\"row\":[{\"type\":\"text\",\"value\":\"\u{1}\"}]}\n",
        "[]\n",
        "\n",
        "null\n",
        "nonsense\n",
    ];
    let mut cases: Vec<(String, Reaction)> = bad_rows
        .iter()
        .map(|row| ((*row).to_owned(), http(200, &format!("{HEAD}{BEGIN}{row}"))))
        .collect();
    for body in [
        String::new(),
        "<html>".to_owned(),
        "{".to_owned(),
        HEAD.to_owned(),
        format!("{HEAD}{BEGIN}"),
        format!("{HEAD}{BEGIN}{ROW}"),
        format!("{HEAD}{ROW}{END}"),
        format!("{HEAD}{END}"),
        format!("{HEAD}{BEGIN}{BEGIN}{ROW}{END}"),
        format!("{HEAD}{BEGIN}{ROW}{END}{END}"),
        format!("{HEAD}{BEGIN}{ROW}{END}{ROW}"),
        format!("{HEAD}{BEGIN}{ROW}{END}{HEAD}{BEGIN}{ROW}{END}"),
        format!("{HEAD}{HEAD}"),
        format!("{HEAD}{}", "[".repeat(100_000)),
        "{\"baton\":1}\n".to_owned(),
        "{\"baton\":null,\"base_url\":\"ftp://x\"}\n".to_owned(),
    ] {
        cases.push((body.clone(), http(200, &body)));
    }
    for body in [
        "",
        HEAD,
        &format!("{HEAD}{BEGIN}{ROW}{ROW}"),
        &format!("{HEAD}{BEGIN}{ROW}{{\"typ"),
    ] {
        cases.push((format!("cut: {body}"), cut(body, false)));
        cases.push((format!("silent: {body}"), cut(body, true)));
    }
    cases.push(("nothing".to_owned(), Reaction::Bytes(Vec::new())));
    cases.push(("silence".to_owned(), Reaction::Silence(Vec::new())));
    cases.push((
        "no HTTP".to_owned(),
        Reaction::Bytes(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()),
    ));
    for (name, reaction) in cases {
        let server = MisbehavingServer::start(vec![reaction]);
        let mut session = server.session();
        let begun = Instant::now();
        let result = run(&mut session, "select 1");
        let Err(Failure::Connection(error)) = result else {
            panic!("{name:?}: taken for an answer")
        };
        assert!(
            begun.elapsed() < Duration::from_secs(3),
            "{name}: {:?}",
            begun.elapsed()
        );
        let expected = if name.starts_with("silen") {
            Code::Timeout
        } else {
            Code::Unavailable
        };
        assert_eq!(error.code(), expected, "{name}: {error:?}");
        assert!(!error.full_message().contains('\n'), "{name}: {error:?}");
    }
}

/// An answer of bytes.
fn bytes(body: &[u8], missing: usize) -> Reaction {
    let head = format!(
        "HTTP/1.1 200 x\r\nconnection: close\r\ncontent-type: application/octet-stream\r\ncontent-length: {}\r\n\r\n",
        body.len() + missing
    );
    Reaction::Bytes([head.as_bytes(), body].concat())
}

#[test]
fn bad_answer_in_protobuf_is_one_clear_error() {
    const HEAD: &[u8] = b"\x03\x0a\x01b";
    const BEGIN: &[u8] = b"\x07\x0a\x05\x12\x03\x0a\x01a";
    const ROW: &[u8] = b"\x06\x22\x04\x0a\x02\x10\x02";
    const END: &[u8] = b"\x02\x12\0";
    let good = [HEAD, BEGIN, ROW, END].concat();
    let server = MisbehavingServer::start(vec![bytes(&good, 0)]);
    let (outcome, rows) = run(&mut server.session(), "select 1").unwrap();
    assert_eq!((outcome.rows, rows.0), (1, vec![vec!["Integer(1)".to_owned()]]));
    let mut bad: Vec<Vec<u8>> = (0..good.len()).map(|cut| good[..cut].to_vec()).collect();
    bad.extend(
        [
            [HEAD, ROW, END, b""],
            [HEAD, END, b"", b""],
            [HEAD, BEGIN, BEGIN, END],
            [HEAD, BEGIN, END, ROW],
            // No value, two values, a value of no kind, a message as long as nothing is, lengths without an end.
            [HEAD, BEGIN, b"\x02\x22\0", END],
            [HEAD, BEGIN, b"\x0a\x22\x08\x0a\x02\x10\x02\x0a\x02\x10\x02", END],
            [HEAD, BEGIN, b"\x06\x22\x04\x0a\x02\x38\x02", END],
            [HEAD, BEGIN, b"\xff\xff\xff\xff\xff\xff\xff\xff\x01", END],
            [HEAD, BEGIN, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", END],
            [HEAD, BEGIN, b"\x06\x22\x08\x0a\x02\x10\x02", END],
        ]
        .map(|parts| parts.concat()),
    );
    for (body, missing) in bad.iter().map(|body| (body, 0)).chain([(&good[..9].to_vec(), 40)]) {
        let server = MisbehavingServer::start(vec![bytes(body, missing)]);
        let Err(Failure::Connection(error)) = run(&mut server.session(), "select 1") else {
            panic!("{body:x?}: taken for an answer")
        };
        assert_eq!(error.code(), Code::Unavailable, "{body:x?}: {error:?}");
    }
}

#[test]
fn bad_answer_to_a_change_is_one_clear_error() {
    let result = "{\"cols\":[],\"rows\":[],\"affected_row_count\":1,\"last_insert_rowid\":\"1\"}";
    let batch = |results: &str, errors: &str| {
        format!(
            "{{\"type\":\"ok\",\"response\":{{\"type\":\"batch\",\"result\":{{\"step_results\":[{results}],\"step_errors\":[{errors}]}}}}}}"
        )
    };
    let auto = "{\"type\":\"ok\",\"response\":{\"type\":\"get_autocommit\",\"is_autocommit\":true}}";
    let whole = |results: &[&str]| {
        format!(
            "{{\"baton\":\"b\",\"base_url\":null,\"results\":[{}]}}",
            results.join(",")
        )
    };
    let good = whole(&[&batch(result, "null"), auto]);
    let server = MisbehavingServer::start(vec![http(200, &good)]);
    assert_eq!(
        run(&mut server.session(), "insert into t values(1)").unwrap().0.changes,
        1
    );
    for body in [
        whole(&[]),
        whole(&[&batch(result, "null")]),
        whole(&[&batch(result, "null"), auto, auto]),
        whole(&[&batch(result, "null"), &batch(result, "null"), auto]),
        whole(&[auto, auto]),
        whole(&[&batch(result, "null"), &batch(result, "null")]),
        whole(&[&batch("", ""), auto]),
        whole(&[&batch("null", "null"), auto]),
        whole(&[&batch(result, ""), auto]),
        whole(&[&batch("{\"cols\":[{\"name\":\"a\"}],\"rows\":[[]]}", "null"), auto]),
        good[..good.len() - 1].to_owned(),
        format!("{good}{good}"),
        "{}".to_owned(),
        String::new(),
    ] {
        let server = MisbehavingServer::start(vec![http(200, &body)]);
        let Err(Failure::Connection(error)) = run(&mut server.session(), "insert into t values(1)") else {
            panic!("{body}: taken for an answer")
        };
        assert_eq!(error.code(), Code::Unavailable, "{body}: {error:?}");
    }
}

#[test]
fn error_status_has_its_code_and_does_not_tell_the_token() {
    for (status, code) in [
        (301, Code::Unavailable),
        (401, Code::Unauthenticated),
        (403, Code::Forbidden),
        (404, Code::DatabaseNotFound),
        (408, Code::Timeout),
        (413, Code::TooLarge),
        (418, Code::Unavailable),
        (429, Code::Unavailable),
        (500, Code::Unavailable),
        (503, Code::Unavailable),
        (504, Code::Timeout),
    ] {
        for sql in ["select 1", "delete from t", "select ?"] {
            let body = format!("{{\"error\":\"refused: Authorization: Bearer {TOKEN}\"}}");
            let server = MisbehavingServer::start(vec![http(status, &body)]);
            let Err(Failure::Connection(error)) = run(&mut server.session(), sql) else {
                panic!("{status}: taken for an answer")
            };
            assert_eq!(error.code(), code, "{status} {sql}: {error:?}");
            let told = format!("{error:?} {:?}", error.hint_text());
            assert!(told.contains("refused") && !told.contains(TOKEN), "{told}");
        }
    }
    // A proxy's own page.
    let server = MisbehavingServer::start(vec![http(502, "<html><center>nginx</center></html>")]);
    let Err(Failure::Connection(error)) = run(&mut server.session(), "select 1") else {
        panic!("taken for an answer")
    };
    assert!(error.message().starts_with("the server behind http://"), "{error:?}");
    assert!(error.message().ends_with(" does not answer (HTTP 502)"), "{error:?}");
}

#[test]
fn token_that_ends_is_renewed_once_and_the_statement_is_sent_again() {
    let refused = || http(401, "{\"message\":\"the token has expired\"}");
    let done = || http(200, &format!("{HEAD}{BEGIN}{ROW}{END}"));
    let renewals = Arc::new(AtomicUsize::new(0));
    let with = |reactions: Vec<Reaction>, after: Duration, next: Result<&'static str, Code>| {
        let server = MisbehavingServer::start(reactions);
        let session = server.session();
        let counted = Arc::clone(&renewals);
        renewals.store(0, Ordering::SeqCst);
        let renewal = Renewal::new(after, move || {
            counted.fetch_add(1, Ordering::SeqCst);
            next.map(|text| Secret::new(text.to_owned()))
                .map_err(|code| Error::new(code, "no more tokens"))
        });
        session.state().stream.renew_by(Some(renewal));
        (server, session)
    };
    let day = Duration::from_secs(86_400);
    let asked = || renewals.load(Ordering::SeqCst);

    let (server, mut session) = with(vec![refused(), done()], day, Ok("next"));
    run(&mut session, "select 1").unwrap();
    assert_eq!((asked(), server.requests().len()), (1, 2));

    // One that is refused as well is not tried for ever.
    let (server, mut session) = with(vec![refused()], day, Ok("next"));
    let Err(Failure::Connection(error)) = run(&mut session, "select 1") else {
        panic!("taken for an answer")
    };
    assert_eq!(
        (error.code(), asked(), server.requests().len()),
        (Code::Unauthenticated, 1, 2)
    );

    // Why there is none is what is told.
    let (server, mut session) = with(vec![refused()], day, Err(Code::Forbidden));
    let Err(Failure::Connection(error)) = run(&mut session, "select 1") else {
        panic!("taken for an answer")
    };
    assert_eq!(
        (error.code(), asked(), server.requests().len()),
        (Code::Forbidden, 1, 1)
    );

    // Before it ends it is replaced as well, and where that fails it still serves.
    for next in [Ok("next"), Err(Code::Unavailable)] {
        let (server, mut session) = with(vec![done()], Duration::ZERO, next);
        run(&mut session, "select 1").unwrap();
        assert_eq!((asked(), server.requests().len()), (1, 1));
    }
}

#[test]
fn server_without_version_3_is_asked_in_version_2() {
    let batch = |rows: &str| {
        http(
            200,
            &format!(
                "{{\"baton\":\"b\",\"base_url\":null,\"results\":[{{\"type\":\"ok\",\"response\":{{\"type\":\"batch\",\"result\":\
                 {{\"step_results\":[{{\"cols\":[{{\"name\":\"a\"}}],\"rows\":[{rows}],\"affected_row_count\":0,\
                 \"last_insert_rowid\":null}}],\"step_errors\":[null]}}}}}}]}}"
            ),
        )
    };
    let rows = "[{\"type\":\"integer\",\"value\":5}],[{\"type\":\"float\",\"value\":null}]";
    let server = MisbehavingServer::start(vec![
        http(404, ""),
        http(404, ""),
        http(404, ""),
        http(200, ""),
        batch(rows),
        batch(""),
        batch(""),
    ]);
    let mut session = server.session();
    let (outcome, result) = run(&mut session, "select a from t").unwrap();
    assert_eq!(result.0, [["Integer(5)"], ["Real(NaN)"]]);
    assert_eq!((outcome.rows, outcome.signless_infinities), (2, 1));
    assert!(!session.in_transaction());
    run(&mut session, "begin").unwrap();
    assert!(session.in_transaction());
    run(&mut session, "commit").unwrap();
    assert!(!session.in_transaction());
    let asked: Vec<_> = server.requests().into_iter().map(|(line, _)| line).collect();
    assert_eq!(
        asked[..6],
        [
            "POST /v3-protobuf/cursor HTTP/1.1",
            "POST /v3/cursor HTTP/1.1",
            "GET /v3 HTTP/1.1",
            "GET /v2 HTTP/1.1",
            "POST /v2/pipeline HTTP/1.1",
            "POST /v2/pipeline HTTP/1.1"
        ]
    );
}

#[test]
fn base_url_on_another_server_is_not_followed() {
    let second = MisbehavingServer::start(vec![http(200, &format!("{HEAD}{BEGIN}{ROW}{END}"))]);
    let port = second.url.rsplit(':').next().unwrap().trim_end_matches('/').to_owned();
    for base_url in [
        format!("{}some/path", second.url),
        format!("http://localhost:{port}/"),
        "https://elsewhere.example".to_owned(),
        "file:///etc/passwd".to_owned(),
        "http://".to_owned(),
    ] {
        let head = format!("{{\"baton\":\"sent\",\"base_url\":\"{base_url}\"}}\n");
        let first = MisbehavingServer::start(vec![http(200, &format!("{head}{BEGIN}{END}"))]);
        let mut session = first.session();
        let Err(Failure::Connection(error)) = run(&mut session, "select 1") else {
            panic!("{base_url} was followed");
        };
        assert_eq!(error.code(), Code::Unavailable, "{error}");
    }
    assert_eq!(second.requests(), []);
}

#[test]
fn transaction_with_a_lost_answer_is_not_continued_outside() {
    let opened = "{\"baton\":\"b\",\"base_url\":null,\"results\":[{\"type\":\"ok\",\"response\":{\"type\":\"batch\",\"result\":\
                  {\"step_results\":[{}],\"step_errors\":[null]}}},{\"type\":\"ok\",\"response\":{\"type\":\"get_autocommit\",\
                  \"is_autocommit\":false}}]}";
    let server = MisbehavingServer::start(vec![
        http(200, opened),
        Reaction::Bytes(Vec::new()),
        http(
            400,
            "{\"message\":\"The stream has expired due to inactivity\",\"code\":\"STREAM_EXPIRED\"}",
        ),
    ]);
    let mut session = server.session();
    run(&mut session, "begin").unwrap();
    let code = |result: Result<(Outcome, ScriptedRows), Failure>| match result {
        Err(Failure::Connection(error)) => error.code(),
        _ => panic!("taken for an answer"),
    };
    assert_eq!(code(run(&mut session, "insert into t values(1)")), Code::Unavailable);
    assert_eq!(
        code(run(&mut session, "insert into t values(2)")),
        Code::TransactionLost
    );
    let (_, body) = server.requests().pop().unwrap();
    assert!(body.contains("is_autocommit"), "{body}");
}

#[test]
fn stream_of_a_stopped_statement_is_abandoned() {
    let good = http(200, &format!("{HEAD}{BEGIN}{ROW}{END}"));
    // The second statement is stopped in the middle of its answer.
    let server = MisbehavingServer::start(vec![good.clone(), cut(&format!("{HEAD}{BEGIN}"), true), good]);
    let address = Address::new(&server.url.parse().unwrap(), None).unwrap();
    let mut session = HranaSession::new(address, Duration::from_secs(15));
    run(&mut session, "select 1").unwrap();
    let interrupt = session.interrupter();
    let thread = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        interrupt();
    });
    let failure = run(&mut session, "select 2").map(|_| ()).unwrap_err();
    assert_eq!(failure.primary_code(), Some(9), "{failure:?}");
    thread.join().unwrap();
    // Nothing is asked of the server before the next statement, which has a stream of its own.
    assert!(!session.in_transaction());
    run(&mut session, "select 3").unwrap();
    let asked = server.requests();
    assert_eq!(asked.len(), 3);
    let has_baton = |nth: usize| asked[nth].1.starts_with("\u{a}\u{1}b");
    assert!(has_baton(1) && !has_baton(2), "{asked:?}");
}

#[test]
fn interrupt_does_not_wait_for_a_silent_server() {
    for sql in ["select 1", "delete from t"] {
        let server = MisbehavingServer::start(vec![Reaction::Silence(Vec::new())]);
        let address = Address::new(&server.url.parse().unwrap(), None).unwrap();
        let mut session = HranaSession::new(address, Duration::from_secs(15));
        let interrupt = session.interrupter();
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(100));
            interrupt();
        });
        let begun = Instant::now();
        let failure = run(&mut session, sql).map(|_| ()).unwrap_err();
        assert!(begun.elapsed() < Duration::from_millis(300), "{:?}", begun.elapsed());
        assert_eq!(failure.primary_code(), Some(9), "{failure:?}");
        thread.join().unwrap();
    }
}
