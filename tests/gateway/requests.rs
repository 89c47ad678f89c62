//! Requests over HTTP: the routes that there are, in every way that clients spell them, and those that there are not.

use super::{Answer, Door, field, pipeline};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use torso::control::gateway_plane::GatewayPlane as _;
use torso::server::gateway::GatewayLimits;

#[test]
fn routes_of_the_protocol_are_served() {
    let door = Door::new();
    let token = door.create("app");
    let label = "app-alice";
    door.run(label, &token, "create table t (x)").fine();
    let insert = json!({ "stmt": { "sql": "insert into t values (?)", "args": [{ "type": "text", "value": "a" }] } });
    door.json(label, "/v1/execute", &token, &insert).fine();
    let batch = json!({ "batch": { "steps": [{ "stmt": { "sql": "insert into t values (2)" } }] } });
    door.json(label, "/v1/batch", &token, &batch).fine();
    let old = json!({ "statements": ["insert into t values (3)", { "q": "insert into t values (?)", "params": [4] }] });
    door.json(label, "/", &token, &old).fine();
    door.json(label, "/v3/pipeline", &token, &pipeline("insert into t values (5)"))
        .fine();
    let cursor = json!({ "batch": { "steps": [{ "stmt": { "sql": "select x from t" } }] } });
    let answer = door.json(label, "/v3/cursor", &token, &cursor);
    answer.fine();
    assert_eq!(answer.text().matches("\"type\":\"row\"").count(), 5, "{answer:?}");
    let stmt = field(1, b"select count(*) from t");
    let execute = field(2, &field(2, &field(1, &stmt)));
    let answer = door
        .post(label, "/v3-protobuf/pipeline", &token)
        .body(execute)
        .send()
        .unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.bytes().unwrap().windows(8).any(|part| part == b"count(*)"));
    let answer = door
        .post(label, "/v3-protobuf/cursor", &token)
        .body(field(2, &field(1, &field(2, &stmt))))
        .send()
        .unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.bytes().unwrap().windows(8).any(|part| part == b"count(*)"));
    for path in ["/v2", "/v3", "/v3-protobuf", "/version", "/health"] {
        assert_eq!(door.get(label, path, "").status, 200, "{path}");
        assert_eq!(door.get(label, path, &token).status, 200, "{path}");
    }
    let dump = door.get(label, "/dump", &token);
    assert!(
        dump.status == 200 && dump.text().contains("INSERT INTO t VALUES"),
        "{dump:?}"
    );
    door.get(label, "/dump", "").refused(401, "UNAUTHORIZED");
    let metrics = door.metrics();
    assert!(
        metrics.contains("torso_gateway_requests_total{kind=\"dump\",outcome=\"refused\"} 1"),
        "{metrics}"
    );
}

#[test]
fn stream_is_continued_by_its_baton() {
    let door = Door::new();
    let token = door.create("app");
    let begin = json!({ "requests": [
        { "type": "execute", "stmt": { "sql": "create table t (x)" } },
        { "type": "execute", "stmt": { "sql": "begin" } },
        { "type": "execute", "stmt": { "sql": "insert into t values (1)" } },
    ] });
    let first = door.json("app-alice", "/v2/pipeline", &token, &begin);
    first.fine();
    assert!(first.json()["base_url"].is_null());
    let commit = json!({ "baton": first.json()["baton"], "requests": [
        { "type": "execute", "stmt": { "sql": "commit" } }, { "type": "close" },
    ] });
    // The instance's own name leads to the same process.
    door.json("app-alice--ams", "/v2/pipeline", &token, &commit).fine();
    assert_eq!(door.number("app-alice", &token, "select count(*) from t"), 1);
}

/// A process holds all databases of a group, and takes a baton for what it says, whatever the request is for.
#[test]
fn baton_leads_to_its_own_database_only() {
    let door = Door::new();
    let (own, other) = (door.create("own"), door.create("other"));
    door.run("other-alice", &other, "create table t (x)").fine();
    let reader = door.read_only("other");
    let open = json!({ "requests": [{ "type": "execute", "stmt": { "sql": "select 1" } }] });
    let write = |baton: &Value| {
        json!({ "baton": baton, "requests": [
            { "type": "execute", "stmt": { "sql": "insert into t values (1)" } },
        ] })
    };
    let batch = json!({ "batch": { "steps": [{ "stmt": { "sql": "select 1" } }] } });
    for (path, body) in [("/v2/pipeline", &open), ("/v3/pipeline", &open), ("/v3/cursor", &batch)] {
        let request = door
            .post("other-alice", path, &reader)
            .header("accept-encoding", "gzip, br");
        let first = Answer::of(request.body(body.to_string()).send().unwrap());
        let line = first.text().lines().next().unwrap_or_default().to_owned();
        let baton = serde_json::from_str::<Value>(&line).unwrap()["baton"].clone();
        assert!(baton.is_string(), "{path}: {first:?}");
        for path in ["/v2/pipeline", "/v3/pipeline"] {
            door.json("own-alice", path, &own, &write(&baton))
                .refused(400, "BATON_INVALID");
        }
        let bare = baton.as_str().unwrap().split('.').next().unwrap().to_owned();
        for label in ["own-alice", "other-alice"] {
            let token = if label == "own-alice" { &own } else { &other };
            door.json(label, "/v2/pipeline", token, &write(&json!(bare)))
                .refused(400, "BATON_INVALID");
        }
        // It is still good where it came from.
        let again = json!({ "baton": baton, "requests": [{ "type": "get_autocommit" }] });
        door.json("other-alice", "/v3/pipeline", &reader, &again).fine();
    }
    assert_eq!(door.number("other-alice", &other, "select count(*) from t"), 0);
}

/// A process would compress at the highest level, on threads that all its databases share, so that nothing else goes on there.
#[test]
fn answer_is_not_compressed_whatever_the_client_accepts() {
    let door = Door::new();
    let token = door.create("app");
    door.run("app-alice", &token, "create table t (x)").fine();
    door.replicate("app", "lhr");
    let sql = "with recursive c(x) as (select 1 union all select x + 1 from c limit 2000) select x, 'aaaaaaaa' from c";
    let pipeline = pipeline(sql).to_string();
    let cursor = json!({ "batch": { "steps": [{ "stmt": { "sql": sql } }] } }).to_string();
    for label in ["app-alice", "app-alice--lhr"] {
        for accepted in ["br, gzip, deflate", "gzip", "*"] {
            for (path, body) in [
                ("/v2/pipeline", &pipeline),
                ("/v3/pipeline", &pipeline),
                ("/v3/cursor", &cursor),
            ] {
                let request = door.post(label, path, &token).header("accept-encoding", accepted);
                let answer = Answer::of(request.body(body.clone()).send().unwrap());
                assert_eq!(answer.status, 200, "{answer:?}");
                assert!(
                    answer.header("content-encoding").is_empty(),
                    "{label} {path} {accepted}"
                );
                assert!(answer.text().contains("aaaaaaaa"), "{label} {path} {accepted}");
            }
        }
    }
}

#[test]
fn long_answer_ends_with_its_token() {
    let door = Door::with(GatewayLimits {
        recheck: Duration::from_millis(100),
        ..GatewayLimits::default()
    });
    let token = door.create("app");
    let sql = "with recursive c(x) as (select 1 union all select x + 1 from c limit 3000000) select x, hex(randomblob(100)) from c";
    let body = json!({ "batch": { "steps": [{ "stmt": { "sql": sql } }] } });
    let request = door.post("app-alice", "/v3/cursor", &token).body(body.to_string());
    let mut response = request.send().unwrap();
    let mut some = [0; 1024];
    response.read_exact(&mut some).unwrap();
    let owner = door.owner();
    let plane = door.hosted.plane(&owner, None).unwrap();
    plane
        .rotate_database_tokens(&"app".parse().unwrap(), Duration::ZERO)
        .unwrap();
    std::thread::sleep(Duration::from_millis(200));
    // What was on its way arrives; the end does not.
    let copied = std::io::copy(&mut response, &mut std::io::sink());
    assert!(copied.is_err(), "{copied:?}");
}

/// Nobody without a token holds memory or a place.
#[test]
fn body_without_a_valid_token_is_not_waited_for() {
    let door = Door::new();
    door.create("app");
    let started = Instant::now();
    let answer = door.raw(
        "GET /db/app-alice/version HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 30000000\r\n\r\nslow",
    );
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn paths_lead_where_they_say_or_nowhere() {
    let door = Door::new();
    let token = door.create("app");
    door.create("other");
    let body = pipeline("select 1");
    for path in ["/v2/pipeline", "//v2/pipeline", "/v2//pipeline/", "/v2/pipeline?x=1"] {
        door.json("app-alice", path, &token, &body).fine();
    }
    // What a URL library would change is sent as it is.
    let send = |path: &str| {
        let body = body.to_string();
        door.raw(&format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ))
    };
    assert!(send("/db/app-alice/v2/pipeline").starts_with("HTTP/1.1 200"));
    for path in [
        "/db/app-alice/dev/other/v2/pipeline",
        "/db/app-alice/../other-alice/v2/pipeline",
        "/db/app-alice/%2e%2e/other-alice/v2/pipeline",
        "/db/app-alice/v2/%70ipeline",
        "/db/app-alice/v2/pipeline/..",
        "/db/app-alice/./v2/pipeline",
        "/db/app-alice/v2\\pipeline",
        "/db/app-alice/dev//v2/pipeline",
        "/db/app-alice/V2/pipeline",
        "/db/app-alice/beta/listen?table=t",
        "/db/app-alice/console",
        "/db/app-alice/v1/jobs",
        "/db/app-alice/info",
        "/db/app-alice/wal_log.ReplicationLog/Other",
        "/db/app-alice/v2/cursor",
    ] {
        let answer = send(path);
        assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
        assert!(answer.contains("\"code\":"), "{path}: {answer}");
    }
    // What leads to no database is like a database that the token does not open.
    for path in [
        "/db/nobody-alice/v2/pipeline",
        "/db//v2/pipeline",
        "/db/app-alice%2f/v2/pipeline",
        "/db/other-alice/v2/pipeline",
    ] {
        let answer = send(path);
        assert!(answer.starts_with("HTTP/1.1 401"), "{path}: {answer}");
        assert!(answer.contains("UNAUTHORIZED"), "{path}: {answer}");
    }
    // Replicas outside ask for it, and take anything but 404 for another protocol.
    for token in ["", token.as_str(), "nonsense"] {
        door.get("app-alice", "/info", token).refused(404, "NOT_FOUND");
    }
    let answer = door.client.put(door.url("app-alice", "/v2/pipeline")).send().unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["allow"]),
        (405, &"POST, OPTIONS".parse().unwrap())
    );
}

#[test]
fn headers_do_not_choose_the_database() {
    let door = Door::new();
    let (mine, other) = (door.create("mine"), door.create("other"));
    door.run("mine-alice", &mine, "create table mine (x)").fine();
    door.run("other-alice", &other, "create table theirs (x)").fine();
    let other_id = door.hosted.route("other-alice").unwrap().id.to_string();
    let encoded = {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD_NO_PAD.encode(&other_id)
    };
    for (name, value) in [
        ("x-namespace-bin", encoded.as_str()),
        ("x-namespace", &other_id),
        ("x-forwarded-host", &format!("{other_id}.localhost")),
        ("x-proxy-authorization", "\"FullAccess\""),
        ("x-authorization", &format!("Bearer {other}")),
        ("libsql-proxied", "1"),
        ("connection", "x-namespace-bin, host"),
    ] {
        let body = pipeline("select count(*) from mine").to_string();
        let answer = Answer::of(
            door.post("mine-alice", "/v2/pipeline", &mine)
                .header(name, value)
                .body(body)
                .send()
                .unwrap(),
        );
        answer.fine();
    }
    let body = pipeline("select count(*) from mine").to_string();
    let head = format!("authorization: Bearer {mine}\r\nconnection: close\r\n");
    let length = body.len();
    let host = format!("host: {other_id}.localhost\r\n");
    let answer = door.raw(&format!(
        "POST /db/mine-alice/v2/pipeline HTTP/1.1\r\n{host}{head}content-length: {length}\r\n\r\n{body}"
    ));
    assert!(
        answer.starts_with("HTTP/1.1 200") && !answer.contains("\"error\""),
        "{answer}"
    );
    for bad in [
        format!("{host}host: b\r\n{head}content-length: {length}\r\n\r\n{body}"),
        format!("{host}{head}content-length: {length}\r\ncontent-length: 1\r\n\r\n{body}"),
        format!("{host}{head}authorization: Bearer {other}\r\ncontent-length: {length}\r\n\r\n{body}"),
        format!("{host}{head}content-length: nonsense\r\n\r\n{body}"),
        format!("{host}{head}transfer-encoding: gzip\r\n\r\n{body}"),
    ] {
        let answer = door.raw(&format!("POST /db/mine-alice/v2/pipeline HTTP/1.1\r\n{bad}"));
        assert!(answer.starts_with("HTTP/1.1 4"), "{bad}\n{answer}");
    }
    // Chunks win over a length, here as everywhere; what is behind them is another request.
    let answer = door.raw(&format!(
        "POST /db/mine-alice/v2/pipeline HTTP/1.1\r\n{host}authorization: Bearer {mine}\r\ntransfer-encoding: chunked\r\n\r\n\
         {length:x}\r\n{body}\r\n0\r\n\r\nGET /db/mine-alice/info HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    ));
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains("HTTP/1.1 404"),
        "{answer}"
    );
}

#[test]
fn cors_lets_browsers_ask() {
    let door = Door::new();
    let token = door.create("app");
    for path in ["/v2/pipeline", "/v3/cursor", "/anything", "/"] {
        let asked = door
            .client
            .request(reqwest::Method::OPTIONS, door.url("app-alice", path));
        let answer = Answer::of(asked.header("origin", "https://a.example").send().unwrap());
        assert_eq!(
            (answer.status, answer.header("access-control-allow-origin")),
            (204, "*")
        );
        assert!(answer.header("access-control-allow-headers").contains("authorization"));
        assert!(answer.header("access-control-allow-headers").contains("content-type"));
    }
    door.run("app-alice", "", "select 1").refused(401, "UNAUTHORIZED");
    let answer = door.run("app-alice", &token, "select 1");
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert_eq!(answer.headers.get_all("access-control-allow-origin").iter().count(), 1);
}

#[test]
fn request_bodies_are_limited_and_large_answers_stream() {
    let door = Door::with(GatewayLimits {
        upload_piece: Duration::from_millis(300),
        ..GatewayLimits::default()
    });
    let token = door.create("app");
    door.run("app-alice", &token, "create table t (x)").fine();
    let insert = |bytes: usize| {
        let value = json!({ "type": "text", "value": "a".repeat(bytes) });
        let body = json!({ "requests": [
            { "type": "execute", "stmt": { "sql": "insert into t values (?)", "args": [value] } }, { "type": "close" },
        ] });
        door.json("app-alice", "/v2/pipeline", &token, &body)
    };
    insert(4 << 20).fine();
    // It comes to the engine, which has a limit of its own.
    assert_eq!(insert(20 << 20).status, 200);
    let answer = door.raw(&format!(
        "POST /db/app-alice/v2/pipeline HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\ncontent-length: {}\r\n\r\n",
        33 << 20
    ));
    assert!(
        answer.starts_with("HTTP/1.1 413") && answer.contains("BODY_TOO_LARGE"),
        "{answer}"
    );
    let reader = std::io::repeat(b'a').take(40 << 20);
    let chunked = door
        .post("app-alice", "/v2/pipeline", &token)
        .body(reqwest::blocking::Body::new(reader));
    if let Ok(response) = chunked.send() {
        assert_eq!(response.status(), 413);
    }
    let cursor = json!({ "batch": { "steps": [{ "stmt": {
        "sql": "with recursive n(x) as (select 1 union all select x + 1 from n limit 200) select n.x, t.x from n, t"
    } }] } });
    let answer = door.json("app-alice", "/v3/cursor", &token, &cursor);
    answer.fine();
    assert_eq!(answer.text().matches("\"type\":\"row\"").count(), 200);
    // A body that does not come is not waited for.
    let mut stream = TcpStream::connect(door.address).unwrap();
    let head = format!(
        "POST /db/app-alice/v2/pipeline HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\ncontent-length: 100\r\n\r\n{{"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let start = Instant::now();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert!(answer.ends_with(b"408") && start.elapsed() < Duration::from_secs(5));
}

#[test]
fn database_cannot_take_more_than_its_share() {
    let door = Door::with(GatewayLimits {
        requests: 2,
        queue: Duration::from_millis(100),
        ..GatewayLimits::default()
    });
    let (token, other) = (door.create("app"), door.create("other"));
    let slow = "with recursive n(x) as (select 1 union all select x + 1 from n limit 4000000) select count(*) from n";
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| door.run("app-alice", &token, slow)))
            .collect();
        std::thread::sleep(Duration::from_millis(200));
        door.run("other-alice", &other, "select 1").fine();
        let answers: Vec<Answer> = runs.into_iter().map(|run| run.join().unwrap()).collect();
        let limited: Vec<_> = answers.iter().filter(|answer| answer.status == 429).collect();
        assert!((1..8).contains(&limited.len()), "{answers:?}");
        for answer in limited {
            answer.refused(429, "TOO_MANY_REQUESTS");
            assert_eq!(answer.header("retry-after"), "1");
        }
    });
    door.run("app-alice", &token, "select 1").fine();
}

#[test]
fn write_that_a_replica_cannot_pass_on_is_refused_there() {
    let door = Door::new();
    let token = door.create("app");
    door.run("app-alice", &token, "create table t (x)").fine();
    door.replicate("app", "lhr");
    let insert = |size: usize| {
        let value = json!({ "type": "text", "value": "x".repeat(size) });
        json!({ "sql": "insert into t values (?)", "args": [value] })
    };
    let one = json!({ "requests": [{ "type": "execute", "stmt": insert(4_300_000) }] });
    let steps: Vec<Value> = (0..10).map(|_| json!({ "stmt": insert(500_000) })).collect();
    let many = json!({ "requests": [{ "type": "batch", "batch": { "steps": steps } }] });
    for body in [&one, &many] {
        let before = door.number("app-alice", &token, "select count(*) from t");
        door.json("app-alice--lhr", "/v2/pipeline", &token, body)
            .refused(413, "BODY_TOO_LARGE");
        assert_eq!(door.number("app-alice", &token, "select count(*) from t"), before);
        door.json("app-alice", "/v2/pipeline", &token, body).fine();
        assert!(door.number("app-alice", &token, "select count(*) from t") > before);
    }
    // What is shorter arrives, and a long question that only reads is answered.
    let shorter = json!({ "requests": [{ "type": "execute", "stmt": insert(3_900_000) }] });
    let before = door.number("app-alice", &token, "select count(*) from t");
    door.json("app-alice--lhr", "/v2/pipeline", &token, &shorter).fine();
    assert_eq!(door.number("app-alice", &token, "select count(*) from t"), before + 1);
    let value = json!({ "type": "text", "value": "x".repeat(4_300_000) });
    let read = json!({ "requests": [{ "type": "execute", "stmt": { "sql": "select length(?)", "args": [value] } }] });
    door.json("app-alice--lhr", "/v2/pipeline", &token, &read).fine();
}

#[test]
fn text_in_a_result_that_is_not_utf8_is_an_error_of_the_request() {
    let door = Door::new();
    let token = door.create("app");
    door.run("app-alice", &token, "select cast(x'80' as text)")
        .refused(400, "TEXT_NOT_UTF8");
    door.run("app-alice", &token, "select hex(cast(x'80' as text))").fine();
}

#[test]
fn transaction_that_blocks_writers_needs_a_token_that_may_write() {
    let door = Door::new();
    let token = door.create("app");
    let read_only = door.read_only("app");
    for begin in ["begin immediate", "begin exclusive"] {
        door.run("app-alice", &read_only, begin).refused(403, "FORBIDDEN");
        door.run("app-alice", &token, begin).fine();
    }
    for begin in ["begin", "begin deferred", "begin readonly"] {
        door.run("app-alice", &read_only, begin).fine();
    }
}
