//! The audit log over HTTP: who did what, when, with what result, in which request; also what was refused and what failed.

use crate::support::World;
use crate::support::server::Server;
use serde_json::{Value, json};
use std::collections::BTreeSet;

struct Office {
    server: Server,
    _world: World,
}

impl Office {
    fn new() -> Self {
        let world = World::new();
        let server = Server::start(&world, &["--owner", "alice", "--rate-limit", "0"]);
        server.ok("POST", "/v1/organizations", Some(json!({ "name": "team" })));
        Self { server, _world: world }
    }

    /// A new user with a role in the team: the token.
    fn user(&self, name: &str, role: &str) -> String {
        let new = json!({ "email": format!("{name}@example.com"), "role": role });
        let invited = self.server.ok("POST", "/v1/organizations/team/invites", Some(new));
        let accept = json!({ "invitation": invited["invited"]["link"], "username": name });
        let accepted = self.server.ok("POST", "/v1/invitations/accept", Some(accept));
        accepted["token"].as_str().unwrap().to_owned()
    }

    /// The status of a request of somebody's.
    fn ask(&self, token: &str, id: &str, method: &str, path: &str, body: &str) -> u16 {
        let url = format!("{}{path}", self.server.url().trim_end_matches('/'));
        let request = Server::client()
            .request(method.parse().unwrap(), url)
            .bearer_auth(token)
            .header("x-request-id", id)
            .body(body.to_owned());
        request.send().unwrap().status().as_u16()
    }

    fn log(&self, token: &str, slug: &str, query: &str) -> Value {
        let url = format!("{}v1/organizations/{slug}/audit-logs{query}", self.server.url());
        let answer = Server::client().get(url).bearer_auth(token).send().unwrap();
        assert_eq!(answer.status(), 200);
        answer.json().unwrap()
    }

    /// The entries about a request: code, author and result.
    fn about(&self, token: &str, slug: &str, id: &str) -> Vec<(String, String, String)> {
        let log = self.log(token, slug, "?page_size=1000");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let entries = log["audit_logs"].as_array().unwrap().iter();
        entries
            .filter(|entry| entry["data"]["request_id"] == id)
            .map(|entry| {
                let at: jiff::Timestamp = text(&entry["created_at"]).parse().unwrap();
                assert!(jiff::Timestamp::now().duration_since(at).as_secs() < 120, "{entry}");
                assert!(
                    !text(&entry["message"]).is_empty() && !text(&entry["origin"]).is_empty(),
                    "{entry}"
                );
                (
                    text(&entry["code"]),
                    text(&entry["author"]),
                    text(&entry["data"]["result"]),
                )
            })
            .collect()
    }
}

#[test]
fn audit_log_records_refusals_and_failures_once() {
    let office = Office::new();
    let owner = office.server.token.clone();
    let viewer = office.user("vic", "viewer");
    let limited = office.server.ok(
        "POST",
        "/v1/auth/api-tokens/limited",
        Some(json!({ "organization": "team", "scopes": ["read"] })),
    );
    let limited = limited["token"].as_str().unwrap();
    let team = "/v1/organizations/team/databases";
    let new = r#"{"name":"app","group":"default"}"#;
    assert_eq!(office.ask(&owner, "made", "POST", team, new), 200);
    let secret = format!("{team}/app/auth/tokens/{owner}");
    // Who asks, how, and what came of it; then the log that tells of it, its code and its result.
    for (number, (token, method, path, body, status, slug, code, result)) in [
        (&*viewer, "POST", team, new, 403, "team", "db-create", "forbidden"),
        (
            &*viewer,
            "DELETE",
            "/v1/organizations/team/databases/app",
            "",
            403,
            "team",
            "db-delete",
            "forbidden",
        ),
        (
            &*viewer,
            "GET",
            "/v1/organizations/team/audit-logs",
            "",
            403,
            "team",
            "refused",
            "forbidden",
        ),
        (
            &*viewer,
            "PATCH",
            "/v1/organizations/team",
            "{}",
            403,
            "team",
            "org-set-overages",
            "forbidden",
        ),
        (&*owner, "POST", team, new, 409, "team", "db-create", "database_exists"),
        (&*owner, "POST", team, "{", 400, "team", "refused", "invalid_value"),
        (
            &*owner,
            "POST",
            team,
            r#"{"name":"../x"}"#,
            400,
            "team",
            "refused",
            "invalid_name",
        ),
        (
            &*owner,
            "DELETE",
            "/v1/organizations/team/databases/no",
            "",
            404,
            "team",
            "db-delete",
            "database_not_found",
        ),
        (
            &*owner,
            "DELETE",
            &*secret,
            "",
            404,
            "team",
            "db-token-revoke",
            "token_not_found",
        ),
        (limited, "POST", team, new, 403, "team", "db-create", "forbidden"),
        (
            limited,
            "POST",
            "/v1/organizations",
            r#"{"name":"x"}"#,
            403,
            "alice",
            "refused",
            "forbidden",
        ),
        (
            limited,
            "POST",
            "/v1/auth/invalidate",
            "",
            403,
            "alice",
            "refused",
            "forbidden",
        ),
        (
            limited,
            "POST",
            "/v1/databases",
            new,
            403,
            "team",
            "db-create",
            "forbidden",
        ),
        (
            &*viewer,
            "DELETE",
            "/v1/organizations/alice/databases/app",
            "",
            404,
            "vic",
            "refused",
            "organization_not_found",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("job-{number}");
        assert_eq!(office.ask(token, &id, method, path, body), status, "{method} {path}");
        let (author, reader) = if token == viewer {
            ("vic", if slug == "vic" { &viewer } else { &owner })
        } else {
            ("alice", &owner)
        };
        let expected = vec![(code.to_owned(), author.to_owned(), result.to_owned())];
        assert_eq!(office.about(reader, slug, &id), expected, "{method} {path}");
        // And nowhere else.
        for (other, reader) in [("team", &owner), ("alice", &owner), ("vic", &viewer)] {
            assert!(
                other == slug || office.about(reader, other, &id).is_empty(),
                "{other}: {method} {path}"
            );
        }
    }
    // Nobody's, and what only looks and finds nothing.
    assert_eq!(office.ask("nobody", "nobody", "POST", team, new), 401);
    assert_eq!(
        office.ask(&owner, "looked", "GET", "/v1/organizations/team/databases/no", ""),
        404
    );
    for id in ["nobody", "looked"] {
        for slug in ["team", "alice"] {
            assert!(office.about(&owner, slug, id).is_empty(), "{id}");
        }
    }
    assert_eq!(office.about(&owner, "team", "made")[0].2, "ok");
    for slug in ["team", "alice"] {
        assert!(
            !office.log(&owner, slug, "?page_size=1000").to_string().contains(&owner),
            "a token is in it"
        );
    }
}

#[test]
fn audit_log_is_read_in_pages_without_gaps() {
    let office = Office::new();
    let owner = office.server.token.clone();
    for number in 0..23 {
        office.ask(
            &owner,
            &format!("page-{number}"),
            "POST",
            "/v1/organizations/team/databases",
            "{",
        );
    }
    let mut seen = Vec::new();
    let mut page = 1;
    loop {
        let log = office.log(&owner, "team", &format!("?page={page}&page_size=7"));
        let entries = log["audit_logs"].as_array().unwrap();
        assert_eq!(log["pagination"]["page"], page);
        assert_eq!(log["pagination"]["page_size"], 7);
        seen.extend(
            entries
                .iter()
                .map(|entry| entry["data"]["request_id"].as_str().unwrap().to_owned()),
        );
        let total = log["pagination"]["total_rows"].as_u64().unwrap();
        assert_eq!(log["pagination"]["total_pages"], total.div_ceil(7));
        if entries.len() < 7 {
            assert_eq!(u64::try_from(seen.len()).unwrap(), total);
            break;
        }
        page += 1;
    }
    // The newest first.
    assert_eq!(&seen[..2], ["page-22", "page-21"]);
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), seen.len());
    assert!(
        office.log(&owner, "team", "?page=1000")["audit_logs"]
            .as_array()
            .unwrap()
            .is_empty()
    );
}

#[test]
fn audit_log_has_one_entry_a_day_of_what_commands_do_beside_their_work() {
    let office = Office::new();
    let owner = office.server.token.clone();
    let team = "/v1/organizations/team/databases";
    for name in ["app", "other"] {
        let new = format!(r#"{{"name":"{name}","group":"default"}}"#);
        assert_eq!(office.ask(&owner, "made", "POST", team, &new), 200);
    }
    for name in ["app", "app", "other", "app"] {
        let sync = format!("{team}/{name}/sync");
        assert_eq!(office.ask(&owner, "sync", "POST", &sync, "{}"), 200);
    }
    assert_eq!(
        office.ask(&owner, "none", "POST", &format!("{team}/none/sync"), "{}"),
        404
    );
    let log = office.log(&owner, "team", "?page_size=1000");
    let mut messages: Vec<&str> = log["audit_logs"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["code"] == "db-sync")
        .map(|entry| entry["message"].as_str().unwrap())
        .collect();
    messages.sort_unstable();
    assert_eq!(
        messages,
        [
            "failed: sync database none (database_not_found)",
            "synced database app; one entry a day",
            "synced database other; one entry a day"
        ]
    );
}
