//! Who is let in, and what malformed, huge, slow and too many requests get.

use crate::support::World;
use crate::support::server::Server;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use torso::control::endpoints::ENDPOINTS;

/// A path with something for every parameter.
fn filled(template: &str) -> String {
    template
        .split('/')
        .map(|part| if part.starts_with('{') { "something" } else { part })
        .collect::<Vec<_>>()
        .join("/")
}

#[test]
fn request_without_a_token_is_refused() {
    let world = World::new();
    let server = Server::start(&world, &["--rate-limit", "0"]);
    server.wait_ready();
    let client = Server::client();
    let ask = |method: &str, path: &str, token: Option<&str>| {
        let url = format!("{}{path}", server.url().trim_end_matches('/'));
        let mut request = client.request(method.parse().unwrap(), url);
        if let Some(token) = token {
            request = request.header("authorization", token);
        }
        request.send().unwrap()
    };
    let mut public = Vec::new();
    for endpoint in ENDPOINTS {
        for template in endpoint.paths() {
            let (method, path) = (endpoint.method.name(), filled(&template));
            if endpoint.public {
                let response = ask(method, &path, None);
                assert_eq!(
                    response.status(),
                    if method == "GET" { 200 } else { 400 },
                    "{method} {path}"
                );
                public.push(template);
                continue;
            }
            let almost = format!("Bearer {}x", server.token);
            for token in [
                None,
                Some("Bearer "),
                Some("Basic eDp5"),
                Some(almost.as_str()),
                Some("Bearer torso_x"),
            ] {
                let response = ask(method, &path, token);
                assert_eq!(response.status(), 401, "{method} {path} {token:?}");
                assert_eq!(response.headers()["www-authenticate"], "Bearer");
                let document: Value = response.json().unwrap();
                assert_eq!(document["code"], "unauthenticated");
                assert!(document["error"].is_string() && document["request_id"].is_string());
            }
            // And with one, every path is there.
            let token = format!("Bearer {}", server.token);
            if method == "GET" {
                let response = ask(method, &path, Some(&token));
                let status = response.status().as_u16();
                let document: Value = response.json().unwrap();
                assert_ne!(document["code"], "path_not_found", "{method} {path}");
                assert!(
                    status < 500 || document["code"] == "unsupported",
                    "{method} {path}: {document}"
                );
            }
        }
    }
    assert_eq!(
        public,
        [
            "/",
            "/signup",
            "/health",
            "/ready",
            "/metrics",
            "/releases/latest",
            "/v1/invitations/accept"
        ]
    );
}

fn raw(server: &Server, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    // It may hang up in the middle of something too large.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn bad_request_gets_an_answer_that_says_so() {
    let world = World::new();
    let server = Server::start(&world, &[]);
    let head = |line: &str, more: &str| {
        format!(
            "{line} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\nconnection: close\r\n{more}\r\n",
            server.token
        )
    };
    let status = |request: String| {
        raw(&server, request.as_bytes())
            .chars()
            .skip(9)
            .take(3)
            .collect::<String>()
    };
    assert_eq!(status("nonsense\r\n\r\n".into()), "400");
    let large = format!("x-large: {}\r\n", "y".repeat(100 << 10));
    assert_eq!(status(head("GET /v1/databases", &large)), "431");
    let many: String = (0..200).map(|n| format!("x-{n}: 1\r\n")).collect();
    assert_eq!(status(head("GET /v1/databases", &many)), "431");

    let said = |request: reqwest::blocking::RequestBuilder, status: u16, code: &str| {
        let response = request.send().unwrap();
        assert_eq!(response.status(), status, "{code}");
        let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
        let document: Value = response.json().unwrap();
        assert_eq!(document["code"], code, "{document}");
        assert_eq!(document["request_id"], id.as_str());
        assert!(document["hint"].is_string(), "{document}");
    };
    let post = |body: &str| server.request("POST", "/v1/databases").body(body.to_owned());
    for body in ["{", "[]", "\"x\"", "{\"name\": 3}", "{}", "\u{feff}{}"] {
        said(post(body), 400, "invalid_value");
    }
    said(post("{\"name\": \"../x\"}"), 400, "invalid_name");
    said(post(&"[".repeat(200_000)), 400, "invalid_value");
    said(
        post(&format!("{{\"name\":\"{}\"}}", "x".repeat(300 << 10))),
        413,
        "too_large",
    );
    said(
        server.request("GET", "/v1/databases/..%2F..%2Fetc"),
        400,
        "invalid_name",
    );
    said(server.request("GET", "/v1/databases/%ff"), 400, "invalid_value");
    said(server.request("GET", "/v1/nothing"), 404, "path_not_found");
    said(server.request("GET", "/info"), 404, "path_not_found");
    said(
        server.request("GET", "/v1/organizations/..%2Fx/databases"),
        404,
        "organization_not_found",
    );
    said(server.request("PUT", "/v1/databases"), 405, "method_not_allowed");
    said(server.request("GET", "/v1/databases?limit=x"), 400, "invalid_value");
    said(
        post("{\"name\":\"a\",\"remote_encryption\":{\"encryption_key\":\"x\"}}"),
        501,
        "unsupported",
    );
    // A client's own id comes back, and is in the audit log.
    let response = server
        .request("POST", "/v1/databases")
        .header("x-request-id", "job-7")
        .body(json!({ "NAME": "app" }).to_string())
        .send()
        .unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["x-request-id"]),
        (200, &"job-7".parse().unwrap())
    );
    let log = server.ok("GET", "/v1/audit-logs?page_size=1", None);
    assert_eq!(log["audit_logs"][0]["code"], "db-create");
    assert_eq!(log["audit_logs"][0]["data"]["request_id"], "job-7");
    // Browsers may ask first, without a token.
    let response = Server::client()
        .request(reqwest::Method::OPTIONS, format!("{}v1/databases", server.url()))
        .send()
        .unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.headers().get("access-control-allow-origin").is_none());
}

/// Pages of any origin reach databases, which takes a token; the API and the metrics, which this machine may read without one,
/// are not for them.
#[test]
fn cors_lets_browsers_in_at_databases_only() {
    let world = World::new();
    let server = Server::start(&world, &[]);
    server.wait_ready();
    for (method, path, open) in [
        ("GET", "metrics", false),
        ("GET", "health", false),
        ("GET", "", false),
        ("GET", "v1/databases", false),
        ("OPTIONS", "v1/databases", false),
        ("GET", "v1/nothing", false),
        ("OPTIONS", "db/app-admin/v2/pipeline", true),
        ("POST", "db/app-admin/v2/pipeline", true),
    ] {
        let response = Server::client()
            .request(method.parse().unwrap(), format!("{}{path}", server.url()))
            .header("origin", "https://page.example")
            .send()
            .unwrap();
        let allowed = response.headers().get("access-control-allow-origin");
        assert_eq!(allowed.is_some(), open, "{method} {path}");
    }
}

/// A page whose name was made to lead to this machine asks under that name.
#[test]
fn requests_under_foreign_names_are_refused_on_loopback() {
    let world = World::new();
    let server = Server::start(&world, &[]);
    server.wait_ready();
    let ask = |host: &str, path: &str| {
        let answer = raw(
            &server,
            format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").as_bytes(),
        );
        answer.chars().skip(9).take(3).collect::<String>()
    };
    for host in [
        "localhost",
        "localhost:8080",
        "app.localhost",
        "127.0.0.1",
        "127.0.0.1:1",
        "[::1]:8080",
        "192.0.2.1",
    ] {
        assert_eq!(ask(host, "/metrics"), "200", "{host}");
    }
    for host in [
        "page.example",
        "x",
        "localhost.page.example",
        "127.0.0.1.page.example",
        "example.com",
    ] {
        for path in ["/metrics", "/v1/databases", "/db/app-admin/version"] {
            assert_eq!(ask(host, path), "403", "{host} {path}");
        }
    }
}

/// The names that `--url` and `--domain` give the server are its own.
#[test]
fn requests_under_the_names_of_url_and_domain_are_answered_on_loopback() {
    let world = World::new();
    let server = Server::start(
        &world,
        &["--url", "https://torso.example.com", "--domain", "db.example.org"],
    );
    // Its URL leads nowhere here.
    let ask = |host: &str, path: &str| {
        let answer = raw(
            &server,
            format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").as_bytes(),
        );
        answer.get(9..12).unwrap_or_default().to_owned()
    };
    let begun = std::time::Instant::now();
    while ask("localhost", "/ready") != "200" {
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not become ready");
        std::thread::sleep(Duration::from_millis(50));
    }
    for (host, status) in [
        ("torso.example.com", "200"),
        ("TORSO.example.com.:8443", "200"),
        ("db.example.org", "200"),
        ("localhost", "200"),
        ("example.com", "403"),
        ("xtorso.example.com", "403"),
        ("torso.example.com.page.example", "403"),
        ("xdb.example.org", "403"),
    ] {
        assert_eq!(ask(host, "/health"), status, "{host}");
    }
    // By the host's name as by the path, a label that leads nowhere is like any other.
    for path in ["/version", "/health", "/v2", "/v3", "/v3-protobuf"] {
        assert_eq!(ask("nosuch.db.example.org", path), "200", "{path}");
    }
    assert_eq!(ask("nosuch.db.example.org", "/dump"), "401");
}

/// Without a valid token nothing tells whether there is a database at a label.
#[test]
fn hostname_of_a_database_is_not_told_without_a_valid_token() {
    let world = World::new();
    let server = Server::start(&world, &[]);
    server.wait_ready();
    server.ok(
        "POST",
        "/v1/databases",
        Some(json!({ "name": "app", "group": "default" })),
    );
    let valid = server.ok("POST", "/v1/databases/app/auth/tokens", None)["jwt"]
        .as_str()
        .unwrap()
        .to_owned();
    let ask = |label: &str, path: &str, authorization: Option<&str>| {
        let mut request = Server::client()
            .post(format!("{}db/{label}/{path}", server.url()))
            .json(&json!({ "requests": [] }));
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        let response = request.send().unwrap();
        (response.status().as_u16(), response.text().unwrap())
    };
    for path in ["v2/pipeline", "v3/cursor"] {
        for authorization in [None, Some("Bearer nonsense"), Some("Basic eDp5"), Some("Bearer ")] {
            let known = ask("app-admin", path, authorization);
            assert_eq!(known.0, 401);
            assert_eq!(
                known,
                ask("nosuch-admin", path, authorization),
                "{path} {authorization:?}"
            );
        }
    }
    // A token of another database tells as little.
    server.ok(
        "POST",
        "/v1/databases",
        Some(json!({ "name": "other", "group": "default" })),
    );
    let authorization = format!("Bearer {valid}");
    let known = ask("other-admin", "v2/pipeline", Some(&authorization));
    assert_eq!(known.0, 401);
    assert_eq!(known, ask("nosuch-admin", "v2/pipeline", Some(&authorization)));
    assert_eq!(ask("app-admin", "v2/pipeline", Some(&authorization)).0, 200);
    // Neither does one whose database is gone, but it says that.
    server.ok(
        "POST",
        "/v1/databases",
        Some(json!({ "name": "gone", "group": "default" })),
    );
    let gone = server.ok("POST", "/v1/databases/gone/auth/tokens", None)["jwt"].clone();
    server.ok("DELETE", "/v1/databases/gone", None);
    let gone = format!("Bearer {}", gone.as_str().unwrap());
    let refused = ask("gone-admin", "v2/pipeline", Some(&gone));
    assert!(
        refused.0 == 404 && refused.1.contains("DATABASE_NOT_FOUND"),
        "{refused:?}"
    );
    for label in ["app-admin", "nosuch-admin"] {
        assert_eq!(ask(label, "v2/pipeline", Some(&gone)), refused, "{label}");
    }
    for path in ["v2", "v3", "v3-protobuf", "version", "health", "dump"] {
        let get = |label: &str, authorization: Option<&str>| {
            let mut request = Server::client().get(format!("{}db/{label}/{path}", server.url()));
            if let Some(authorization) = authorization {
                request = request.header("authorization", authorization);
            }
            let response = request.send().unwrap();
            let mut headers: Vec<_> = response.headers().keys().map(ToString::to_string).collect();
            headers.sort();
            (response.status().as_u16(), headers, response.text().unwrap())
        };
        for authorization in [None, Some("Bearer nonsense"), Some(authorization.as_str())] {
            let known = get("other-admin", authorization);
            assert_eq!(known.0, if path == "dump" { 401 } else { 200 }, "{path}");
            assert_eq!(known, get("nosuch-admin", authorization), "{path} {authorization:?}");
        }
        assert_eq!(get("app-admin", Some(&authorization)).0, 200, "{path}");
    }
}

#[test]
fn rate_limited_request_is_told_when_to_retry() {
    let world = World::new();
    let server = Server::start(&world, &["--rate-limit", "1"]);
    let client = Server::client();
    let mut statuses = Vec::new();
    for _ in 0..20 {
        let response = client
            .get(format!("{}v1/auth/validate", server.url()))
            .bearer_auth(&server.token)
            .send()
            .unwrap();
        if response.status() == 429 {
            assert_eq!(response.headers()["retry-after"], "1");
            let document: Value = response.json().unwrap();
            assert_eq!(document["code"], "rate_limited");
            assert_eq!(document["retryable"], true);
            return;
        }
        statuses.push(response.status().as_u16());
    }
    panic!("never: {statuses:?}");
}

#[test]
fn slow_client_does_not_keep_others_waiting() {
    let world = World::new();
    let server = Server::start(&world, &[]);
    let mut slow: Vec<TcpStream> = (0..200)
        .map(|_| {
            let mut stream = TcpStream::connect(server.address()).unwrap();
            stream.write_all(b"GET /v1/databases HTTP/1.1\r\nx-slow: ").unwrap();
            stream
        })
        .collect();
    // Bodies that do not come hold no thread.
    slow.extend((0..200).map(|_| {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        let head = format!(
            "POST /v1/databases HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-length: 20\r\n\r\n",
            server.token
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream
    }));
    let start = std::time::Instant::now();
    assert_eq!(server.ok("GET", "/v1/databases", None)["databases"], json!([]));
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn token_request_gives_no_more_than_it_asks_for() {
    let world = World::new();
    let server = Server::start(&world, &["--locations", "ams", "--owner", "alice"]);
    server.wait_ready();
    let client = Server::client();
    let post = |path: &str, body: Value| {
        let url = format!("{}v1/{path}", server.url());
        let response = client.post(url).bearer_auth(&server.token).json(&body).send().unwrap();
        (response.status().as_u16(), response.json::<Value>().unwrap())
    };
    // An empty list of scopes is not everything.
    let (status, refused) = post("auth/api-tokens/ci", json!({ "scopes": [] }));
    assert_eq!((status, &refused["code"]), (400, &json!("invalid_value")), "{refused}");
    let (status, _) = post("auth/api-tokens/ci", json!({}));
    assert_eq!(status, 200);
    // What a database's token may do counts in the body, too.
    let (status, _) = post("databases", json!({ "name": "app" }));
    assert_eq!(status, 200);
    let tokens = "databases/app/auth/tokens";
    let (status, minted) = post(tokens, json!({ "authorization": "read-only", "expiration": "1d" }));
    assert_eq!(status, 200, "{minted}");
    let write = json!({ "requests": [{ "type": "execute", "stmt": { "sql": "create table t (x)" } }] });
    let run = client.post(format!("{}db/app-alice/v2/pipeline", server.url()));
    let run = run
        .bearer_auth(minted["jwt"].as_str().unwrap())
        .json(&write)
        .send()
        .unwrap();
    assert_eq!(run.status(), 403);
    let listed = client
        .get(format!("{}v1/{tokens}", server.url()))
        .bearer_auth(&server.token);
    let listed: Value = listed.send().unwrap().json().unwrap();
    assert_eq!(listed["tokens"][0]["authorization"], "read-only", "{listed}");
    assert!(listed["tokens"][0]["expires_at"].is_string(), "{listed}");
    let differing = format!("{tokens}?authorization=full-access");
    let (status, refused) = post(&differing, json!({ "authorization": "read-only" }));
    assert_eq!((status, &refused["code"]), (400, &json!("invalid_value")), "{refused}");
    let (status, _) = post(tokens, json!({ "authorization": "all" }));
    assert_eq!(status, 400);
}
