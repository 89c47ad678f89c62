//! What operators and their tools ask a server over its sockets: health, readiness, metrics; and the id that every answer has.

use crate::support::World;
use crate::support::server::Server;
use crate::support::sqld::free_port;
use reqwest::blocking::Response;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The value of a metric, by its name and labels.
fn metric(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} is not in\n{text}"))
        .parse()
        .unwrap()
}

fn scrape(server: &Server) -> String {
    let answer = Server::client().get(format!("{}metrics", server.url())).send().unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(
        answer.headers()["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
    answer.text().unwrap()
}

#[test]
fn metrics_count_requests_and_are_for_the_permitted_only() {
    let world = World::new();
    let server = Server::start(&world, &["--owner", "alice"]);
    server.ok(
        "POST",
        "/v1/databases",
        Some(json!({ "name": "app", "group": "default" })),
    );
    let token = server.ok("POST", "/v1/databases/app/auth/tokens", None)["jwt"].clone();
    let before = scrape(&server);
    for line in before.lines() {
        let sample = line
            .rsplit_once(' ')
            .is_some_and(|(_, value)| value.parse::<f64>().is_ok());
        assert!(
            sample || line.starts_with("# HELP ") || line.starts_with("# TYPE "),
            "{line}"
        );
    }
    assert_eq!(metric(&before, "torso_ready") as u64, 1);
    let run = |bearer: &str| {
        let pipeline =
            json!({ "requests": [{ "type": "execute", "stmt": { "sql": "select 1" } }, { "type": "close" }] });
        let url = format!("{}db/app-alice/v2/pipeline", server.url());
        Server::client()
            .post(url)
            .bearer_auth(bearer)
            .json(&pipeline)
            .send()
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!((run(token.as_str().unwrap()), run("nonsense")), (200, 401));
    server.ok("GET", "/v1/databases", None);
    let after = scrape(&server);
    for (name, more) in [
        (
            "torso_requests_total{part=\"gateway\",method=\"POST\",status=\"200\"}",
            1.0,
        ),
        (
            "torso_requests_total{part=\"gateway\",method=\"POST\",status=\"401\"}",
            1.0,
        ),
        // The listing, and the scrape before.
        ("torso_requests_total{part=\"api\",method=\"GET\",status=\"200\"}", 2.0),
        ("torso_gateway_requests_total{kind=\"call\",outcome=\"ok\"}", 1.0),
        ("torso_gateway_requests_total{kind=\"call\",outcome=\"refused\"}", 1.0),
        ("torso_request_seconds_count{part=\"gateway\"}", 2.0),
    ] {
        let was = before
            .lines()
            .any(|line| line.starts_with(name))
            .then(|| metric(&before, name));
        assert!(
            (metric(&after, name) - was.unwrap_or(0.0) - more).abs() < 0.5,
            "{name}\n{after}"
        );
    }
    // Ids have names in two gauges of their own, which only some may read: `server::leaving`.
    let with_names: Vec<&str> = after
        .lines()
        .filter(|line| line.contains("app") || line.contains("alice"))
        .filter(|line| !line.starts_with("torso_database_info{") && !line.starts_with("torso_pool_info{"))
        .collect();
    assert_eq!(with_names, [""; 0]);
    // What came through a proxy is perhaps from anywhere.
    for header in ["forwarded", "x-forwarded-for"] {
        let ask = || {
            Server::client()
                .get(format!("{}metrics", server.url()))
                .header(header, "192.0.2.7")
        };
        assert_eq!(ask().send().unwrap().status(), 401);
        assert_eq!(ask().bearer_auth("nonsense").send().unwrap().status(), 401);
        assert_eq!(ask().bearer_auth(&server.token).send().unwrap().status(), 200);
    }
}

#[test]
fn readiness_is_reported_from_the_first_moment() {
    let world = World::new();
    let address = format!("127.0.0.1:{}", free_port());
    let started = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let client = Server::client();
            let ask = |path: &str| {
                let answer = client
                    .get(format!("http://{address}{path}"))
                    .timeout(Duration::from_secs(5))
                    .send()
                    .ok()?;
                Some((answer.status().as_u16(), answer.json::<Value>().unwrap()))
            };
            let mut seen = BTreeSet::new();
            while !started.load(Ordering::SeqCst) {
                // It answers that it is there before it can serve, and never otherwise.
                if let Some(health) = ask("/health") {
                    assert_eq!(health, (200, json!({ "status": "ok" })));
                }
                match ask("/ready") {
                    Some((503, told)) => assert_eq!(
                        (&told["code"], &told["retryable"]),
                        (&json!("unavailable"), &json!(true))
                    ),
                    Some((status, told)) => {
                        assert_eq!((status, &told["status"]), (200, &json!("ready")));
                        seen.insert(status);
                    }
                    None => {}
                }
            }
            seen
        });
        let server = Server::start(&world, &["--listen", &address]);
        server.wait_ready();
        std::thread::sleep(Duration::from_millis(200));
        started.store(true, Ordering::SeqCst);
        assert_eq!(watch.join().unwrap(), BTreeSet::from([200]));
    });
}

#[test]
fn request_id_is_in_each_answer() {
    let world = World::new();
    let server = Server::start(&world, &["--owner", "alice"]);
    let base = server.url().trim_end_matches('/').to_owned();
    let client = Server::client();
    let id = |answer: &Response| answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    let mut ids = BTreeSet::new();
    let paths = [
        "/",
        "/health",
        "/metrics",
        "/v1/databases",
        "/nothing",
        "/db/nothing/v2",
        "/db/app-alice/v2/pipeline",
        "/%ff",
    ];
    for path in paths {
        for method in ["GET", "POST", "OPTIONS"] {
            let ask = || client.request(method.parse().unwrap(), format!("{base}{path}"));
            let answer = ask().send().unwrap();
            assert!(ids.insert(id(&answer)), "{method} {path}: twice the same");
            let answer = ask().header("x-request-id", "job-7.a_B").send().unwrap();
            assert_eq!(id(&answer), "job-7.a_B", "{method} {path}");
            for bad in ["a b", "a\"b", "torso_abc", "eyJhbGciOi.x.y", &"x".repeat(65)] {
                let answer = ask().header("x-request-id", bad).send().unwrap();
                assert_eq!(id(&answer).len(), 36, "{method} {path}: {bad}");
            }
        }
    }
}
