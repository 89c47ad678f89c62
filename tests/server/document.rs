//! Every operation of the API's document, asked of a real server, and each answer held against the document.

use super::schema::Document;
use crate::support::World;
use crate::support::server::Server;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Asks and remembers what was asked.
struct Examiner {
    server: Server,
    document: Document,
    asked: BTreeSet<(String, String)>,
}

impl Examiner {
    /// Asks by the document's path, with values for its parameters; the query follows them.
    #[track_caller]
    fn ask(&mut self, method: &str, path: &str, values: &[&str], body: Option<Value>) -> Value {
        let mut values = values.iter();
        let filled: Vec<&str> = path
            .split('/')
            .map(|part| {
                if part.starts_with('{') {
                    *values.next().unwrap()
                } else {
                    part
                }
            })
            .collect();
        let query = values.next().copied().unwrap_or_default();
        let answer = self.server.ok(method, &format!("{}{query}", filled.join("/")), body);
        let faults = self.document.faults(method, path, &answer);
        assert!(faults.is_empty(), "{method} {path}: {faults:#?}\n{answer:#}");
        self.asked.insert((method.to_owned(), path.to_owned()));
        answer
    }

    /// The same below an organization.
    #[track_caller]
    fn org(&mut self, method: &str, path: &str, values: &[&str], body: Option<Value>) -> Value {
        let values = [&["alice"], values].concat();
        self.ask(
            method,
            &format!("/v1/organizations/{{organizationSlug}}{path}"),
            &values,
            body,
        )
    }
}

#[test]
fn api_answers_are_as_documented() {
    let world = World::new();
    let server = Server::start(&world, &["--locations", "ams,lhr", "--owner", "alice"]);
    let document = Document::load();
    let mut it = Examiner {
        server,
        document,
        asked: BTreeSet::new(),
    };

    it.ask("GET", "/v1/auth/validate", &[], None);
    it.ask("GET", "/v1/user", &[], None);
    it.ask("POST", "/v1/auth/api-tokens/{tokenName}", &["ci"], None);
    it.ask(
        "POST",
        "/v1/auth/api-tokens/{tokenName}",
        &["here"],
        Some(json!({ "organization": "alice" })),
    );
    let tokens = it.ask("GET", "/v1/auth/api-tokens", &[], None);
    assert_eq!(tokens["tokens"].as_array().unwrap().len(), 3);
    it.ask("DELETE", "/v1/auth/api-tokens/{tokenName}", &["ci"], None);
    let tokens = it.org("GET", "/api-tokens", &[], None);
    assert_eq!(tokens["tokens"].as_array().unwrap().len(), 1);
    let id = tokens["tokens"][0]["id"].as_str().unwrap().to_owned();
    it.org("DELETE", "/api-tokens/{tokenId}", &[&id], None);

    it.ask("GET", "/v1/locations", &[], None);
    it.org("GET", "/groups", &[], None);
    it.org(
        "POST",
        "/groups",
        &[],
        Some(json!({ "name": "web", "location": "ams", "extensions": "all" })),
    );
    it.org(
        "POST",
        "/groups/{groupName}/locations/{location}",
        &["web", "lhr"],
        None,
    );
    it.org("GET", "/groups/{groupName}", &["web"], None);
    it.org("GET", "/groups/{groupName}/configuration", &["web"], None);
    let protect = json!({ "delete_protection": false });
    it.org("PATCH", "/groups/{groupName}/configuration", &["web"], Some(protect));
    it.org("POST", "/groups/{groupName}/unarchive", &["web"], None);
    it.org("POST", "/groups/{groupName}/update", &["web"], None);
    it.org(
        "POST",
        "/groups/{groupName}/auth/tokens",
        &["web", "?expiration=2d"],
        None,
    );
    it.org("POST", "/groups/{groupName}/auth/rotate", &["web"], None);

    it.org(
        "POST",
        "/databases",
        &[],
        Some(json!({ "name": "app", "group": "web", "size_limit": "1000000000" })),
    );
    let branch = json!({ "name": "copy", "group": "web", "seed": { "type": "database", "name": "app" } });
    it.org("POST", "/databases", &[], Some(branch));
    let databases = it.org("GET", "/databases", &[], None);
    assert_eq!(databases["databases"].as_array().unwrap().len(), 2);
    it.org("GET", "/databases/{databaseName}", &["copy"], None);
    it.org("GET", "/databases/{databaseName}/configuration", &["app"], None);
    let patch = json!({ "block_writes": true, "allow_attach": null, "allowed_ips": [] });
    let configuration = it.org(
        "PATCH",
        "/databases/{databaseName}/configuration",
        &["app"],
        Some(patch),
    );
    assert_eq!(
        (&configuration["block_writes"], &configuration["size_limit"]),
        (&json!(true), &json!("1000000000"))
    );
    let instances = it.org("GET", "/databases/{databaseName}/instances", &["app"], None);
    assert_eq!(instances["instances"].as_array().unwrap().len(), 2);
    it.org(
        "GET",
        "/databases/{databaseName}/instances/{instanceName}",
        &["app", "lhr"],
        None,
    );
    let permissions = json!({ "permissions": { "read_attach": { "databases": [] } } });
    let query = "?expiration=2w1d30m&authorization=read-only";
    it.org(
        "POST",
        "/databases/{databaseName}/auth/tokens",
        &["app", query],
        Some(permissions),
    );
    it.org("POST", "/databases/{databaseName}/auth/rotate", &["app"], None);
    let span = "?from=2026-01-01T00:00:00Z&to=2100-01-01T00:00:00%2B02:00";
    it.org("GET", "/databases/{databaseName}/usage", &["app", span], None);
    it.org("GET", "/databases/{databaseName}/stats", &["app"], None);
    it.org("DELETE", "/databases/{databaseName}", &["copy"], None);

    let organizations = it.ask("GET", "/v1/organizations", &[], None);
    assert_eq!(organizations.as_array().unwrap().len(), 1);
    it.org("GET", "", &[], None);
    it.org("PATCH", "", &[], Some(json!({ "overages": true })));
    for path in ["/plans", "/invoices", "/subscription", "/usage"] {
        it.org("GET", path, &[], None);
    }
    let other = it
        .server
        .ok("POST", "/v1/organizations", Some(json!({ "name": "Team Two" })));
    let other = other["organization"]["slug"].as_str().unwrap().to_owned();
    let to = json!({ "organization": other });
    it.org("POST", "/groups/{groupName}/transfer", &["web"], Some(to));
    it.org(
        "POST",
        "/groups",
        &[],
        Some(json!({ "name": "gone", "location": "lhr" })),
    );
    it.org(
        "POST",
        "/groups/{groupName}/locations/{location}",
        &["gone", "ams"],
        None,
    );
    it.org(
        "DELETE",
        "/groups/{groupName}/locations/{location}",
        &["gone", "ams"],
        None,
    );
    it.org("DELETE", "/groups/{groupName}", &["gone"], None);

    let invites = "/v2/organizations/{organizationSlug}/invites";
    let new = json!({ "email": "bob@example.com", "role": "member" });
    it.ask("POST", invites, &[&other], Some(new.clone()));
    it.ask("GET", invites, &[&other], None);
    let path = format!("{invites}/{{email}}");
    it.ask("DELETE", &path, &[&other, "bob%40example.com"], None);
    // Who has the text of an invitation becomes a user, once.
    let invitation = it.ask("POST", invites, &[&other], Some(new))["invited"]["link"].clone();
    let accept = json!({ "invitation": invitation, "username": "bob" });
    let bob = it.server.ok("POST", "/v1/invitations/accept", Some(accept.clone()));
    assert!(bob["token"].as_str().unwrap().starts_with("torso_"));
    assert_eq!(it.server.ask("POST", "/v1/invitations/accept", Some(accept)).0, 404);

    let members = "/v1/organizations/{organizationSlug}/members";
    let member = format!("{members}/{{username}}");
    it.ask("GET", members, &[&other], None);
    it.ask("GET", &member, &[&other, "alice"], None);
    it.ask("PATCH", &member, &[&other, "bob"], Some(json!({ "role": "viewer" })));
    it.ask("DELETE", &member, &[&other, "bob"], None);
    it.ask(
        "POST",
        members,
        &[&other],
        Some(json!({ "username": "bob", "role": "member" })),
    );
    let log = it.org("GET", "/audit-logs", &["?page=1&page_size=50"], None);
    assert!(log["audit_logs"].as_array().unwrap().len() > 10);

    let documented: BTreeSet<_> = it.document.operations().into_iter().collect();
    let left: Vec<_> = documented.difference(&it.asked).collect();
    assert!(left.is_empty(), "never asked: {left:#?}");
}
