//! `auth`, `org` and `plan`.

use super::{has, logged_in};
use crate::support::{World, redact};
use serde_json::json;

#[test]
fn turso_cli_auth_and_api_tokens_work() {
    let world = World::new();
    let mut cli = logged_in(&world);
    assert_eq!(cli.ok("GET", "/v1/current-user", None)["user"]["username"], "alice");
    assert_eq!(cli.ok("GET", "/releases/latest", None)["latest"], "v1.0.29");

    // api-tokens mint, as a whole, and for a group.
    let minted = cli.ok("POST", "/v2/auth/api-tokens/ci", None);
    has(&minted["token"], &["name", "id", "value"]);
    cli.ok("GET", "/v2/organizations", None);
    has(
        &cli.ok("GET", "/v1/organizations/alice/groups/default", None),
        &["group"],
    );
    let body = json!({ "organization": "alice", "group": "default", "scopes": ["db:create", "db:mint-token"] });
    let scoped = cli.ok("POST", "/v2/auth/api-tokens/scoped", Some(body));
    for preset in ["read-only", "full-access"] {
        let body = json!({ "organization": "alice", "group": "default", "scopes": [preset] });
        cli.ok("POST", &format!("/v2/auth/api-tokens/{preset}"), Some(body));
    }
    let listed = cli.ok("GET", "/v1/auth/api-tokens", None)["tokens"].clone();
    let find = |name: &str| {
        listed
            .as_array()
            .unwrap()
            .iter()
            .find(|token| token["name"] == name)
            .unwrap()
    };
    has(find("ci"), &["id", "name", "created_at"]);
    has(find("scoped"), &["organization", "group", "scopes"]);
    assert_eq!(cli.ok("DELETE", "/v1/auth/api-tokens/ci", None)["token"], "ci");

    // What was minted opens what it says, and no more.
    let owner = std::mem::replace(&mut cli.token, scoped["token"]["value"].as_str().unwrap().to_owned());
    cli.ok("GET", "/v1/auth/validate", None);
    cli.scope = "/v1/organizations/alice".to_owned();
    cli.own(
        "POST",
        "/databases",
        Some(json!({ "name": "made", "group": "default" })),
    );
    let (status, sentence) = cli.refused("DELETE", "/databases/made", None);
    // Of a 403 the program says something else than the body.
    assert_eq!(status, 401);
    insta::assert_snapshot!(sentence, @"the API token in use may not destroy databases");
    cli.token = owner;

    // logout --all
    let from = cli.ok("POST", "/v1/auth/invalidate", None)["validFrom"]
        .as_i64()
        .unwrap();
    assert!(from > 0);
    assert_eq!(cli.send("GET", "/v1/auth/validate", None).0, 401);
}

#[test]
fn turso_cli_organizations_and_plans_work() {
    let world = World::new();
    let mut cli = logged_in(&world);
    let listed = cli.ok("GET", "/v2/organizations", None)["organizations"].clone();
    has(&listed[0], &["id", "name", "slug", "type", "overages"]);
    assert_eq!(
        (&listed[0]["type"], listed.as_array().unwrap().len()),
        (&json!("personal"), 1)
    );

    // org create: asked first whether it could be, then how it would be paid.
    let ask = |dry: bool| format!("/v1/organizations?dry_run={dry}");
    cli.ok("POST", &ask(true), Some(json!({ "name": "Team Two" })));
    assert_eq!(
        cli.ok("GET", "/v2/organizations", None)["organizations"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let customer = cli.ok(
        "POST",
        "/v1/organizations/stripe-customer",
        Some(json!({ "Name": "Team Two" })),
    );
    let customer = customer["stripeCustomerId"].as_str().unwrap();
    let portal = cli.ok("POST", "/v1/billing/portal", Some(json!({ "stripe_id": customer })));
    assert!(portal["portal"]["url"].as_str().unwrap().starts_with("http"));
    let methods = cli.ok(
        "GET",
        &format!("/v1/billing/payment-methods?stripe_id={customer}"),
        None,
    );
    assert_eq!(methods["exists"], true);
    let made = cli.ok(
        "POST",
        &ask(false),
        Some(json!({ "name": "Team Two", "stripe_id": customer })),
    );
    let slug = made["org"]["slug"].as_str().unwrap().to_owned();
    has(&made["org"], &["name", "slug"]);
    assert_eq!(
        cli.ok("GET", "/v2/organizations", None)["organizations"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let plan = cli.ok(
        "POST",
        &format!("/v1/organizations/{slug}/subscription"),
        Some(json!({ "plan": "scaler" })),
    );
    assert_eq!(plan["subscription"]["plan"], "self-hosted");
    let (status, told) = cli.send("POST", &ask(true), Some("{\"name\":\"Team Two\"}"));
    assert_eq!((status, &told["code"]), (409, &json!("organization_exists")));

    // org members and invites, on the personal organization with an empty place in the path.
    for scope in ["/v1/organizations/".to_owned(), format!("/v1/organizations/{slug}")] {
        cli.scope = scope;
        let members = cli.own("GET", "/members", None)["members"].clone();
        has(&members[0], &["username", "role"]);
        assert_eq!(cli.own("GET", "/invites", None)["invites"], json!([]));
    }
    let invited = cli.own(
        "POST",
        "/invite",
        Some(json!({ "email": "bob@example.com", "role": "member" })),
    );
    let invites = cli.own("GET", "/invites", None)["invites"].clone();
    has(&invites[0], &["email", "role", "accepted"]);
    let accept = json!({ "invitation": invited["invited"]["link"], "username": "bob" });
    cli.ok("POST", "/v1/invitations/accept", Some(accept));
    cli.own("DELETE", "/members/bob", None);
    cli.own("POST", "/members", Some(json!({ "username": "bob", "role": "viewer" })));
    cli.own(
        "POST",
        "/invite",
        Some(json!({ "email": "eve@example.com", "role": "admin" })),
    );
    cli.own("DELETE", "/invites/eve@example.com", None);

    let log = cli.own("GET", "/audit-logs?page=1&page_size=10", None);
    has(
        &log["audit_logs"][0],
        &["code", "author", "origin", "created_at", "data"],
    );
    has(&log["pagination"], &["page", "total_pages", "total_rows"]);

    // plan show, and what is about money.
    has(
        &cli.own("GET", "/subscription", None)["subscription"],
        &["plan", "timeline", "overages"],
    );
    let usage = cli.own("GET", "/usage", None)["organization"].clone();
    has(&usage, &["uuid", "usage", "databases"]);
    has(
        &usage["usage"],
        &[
            "rows_read",
            "rows_written",
            "storage_bytes",
            "bytes_synced",
            "databases",
            "locations",
            "groups",
        ],
    );
    let plans = cli.ok("GET", "/v1/plans", None)["plans"].clone();
    has(&plans[0], &["name", "price", "quotas"]);
    has(
        &plans[0]["quotas"],
        &[
            "rowsRead",
            "rowsWritten",
            "databases",
            "bytesSynced",
            "locations",
            "storage",
            "groups",
        ],
    );
    for kind in ["all", "upcoming", "issued"] {
        assert_eq!(
            cli.own("GET", &format!("/invoices?type={kind}"), None)["invoices"],
            json!([])
        );
    }
    for (method, body) in [("GET", None), ("PUT", Some(json!({ "name": "Team Two" })))] {
        let (status, sentence) = cli.refused(method, "/billing/customer", body);
        assert_eq!(status, 501);
        insta::allow_duplicates! {
            insta::assert_snapshot!(sentence, @"this server bills nothing, so organizations have no billing customer");
        }
    }

    // org jwks
    cli.scope = format!("/v2/organizations/{slug}");
    assert_eq!(cli.own("GET", "/jwks", None)["jwks"], json!([]));
    let key = json!({ "jwks_url": "https://issuer.example.com/jwks.json", "region": "local" });
    let (status, sentence) = cli.refused("PUT", "/jwks/clerk", Some(key));
    assert_eq!(status, 501);
    insta::assert_snapshot!(sentence, @"databases are opened by tokens of this server only, not by those of other issuers");
    let template = json!({ "database": "app", "group": "default", "scope": "full-access", "permissions": [] });
    assert_eq!(cli.refused("GET", "/jwks-template", Some(template)).0, 501);
    assert_eq!(
        cli.refused("DELETE", "/jwks/clerk", Some(json!({ "region": "local" })))
            .0,
        404
    );

    // org db-transfer and destroy
    cli.scope = "/v1".to_owned();
    cli.own(
        "POST",
        "/databases",
        Some(json!({ "name": "moved", "location": "local", "group": "default" })),
    );
    cli.find("moved");
    cli.own("POST", "/databases/moved/transfer", Some(json!({ "org": slug })));
    cli.scope = format!("/v1/organizations/{slug}");
    cli.find("moved");
    cli.own("DELETE", "/databases/moved", None);
    cli.ok("DELETE", &format!("/v1/organizations/{slug}"), None);
    assert_eq!(cli.send("GET", &format!("{}/databases", cli.scope), None).0, 404);
}

#[test]
fn refusals_of_databases_and_groups_are_401_with_the_same_body() {
    let world = World::new();
    let mut cli = logged_in(&world);
    cli.ok("POST", "/v1/organizations", Some(json!({ "name": "team" })));
    cli.scope = "/v1/organizations/team".to_owned();
    cli.own("POST", "/groups", Some(json!({ "Name": "g", "Location": "local" })));
    cli.own("POST", "/databases", Some(json!({ "name": "app", "group": "g" })));
    let invited = cli.own(
        "POST",
        "/invite",
        Some(json!({ "email": "v@example.com", "role": "viewer" })),
    );
    let link = invited["invited"]["link"].as_str().unwrap().to_owned();
    let accepted = json!({ "invitation": link, "username": "vera" });
    let token = cli.ok("POST", "/v1/invitations/accept", Some(accepted))["token"].clone();
    cli.token = token.as_str().unwrap().to_owned();
    for (method, path, body) in [
        ("DELETE", "/databases/app", None),
        ("POST", "/databases", Some(json!({ "name": "x", "group": "g" }))),
        (
            "PATCH",
            "/databases/app/configuration",
            Some(json!({ "block_reads": true })),
        ),
        ("POST", "/databases/app/instances", Some(json!({ "location": "lhr" }))),
        ("POST", "/databases/app/auth/rotate", None),
        ("DELETE", "/groups/g", None),
        ("POST", "/groups/g/locations/lhr", None),
        ("POST", "/groups", Some(json!({ "Name": "h", "Location": "local" }))),
    ] {
        let text = body.map(|body| body.to_string());
        let path = format!("{}{path}", cli.scope);
        let (status, told) = cli.send(method, &path, text.as_deref());
        assert_eq!(
            (status, &told["code"]),
            (401, &json!("forbidden")),
            "{method} {path}: {told}"
        );
        // Whoever is not that program gets the status of its meaning.
        let url = format!("{}{path}", cli.server.url().trim_end_matches('/'));
        let other = crate::support::server::Server::client()
            .request(method.parse().unwrap(), url)
            .bearer_auth(&cli.token)
            .body(text.unwrap_or_default())
            .send()
            .unwrap();
        assert_eq!(other.status(), 403, "{method} {path}");
        let other: serde_json::Value = other.json().unwrap();
        assert_eq!(other["error"], told["error"]);
    }
    // db shell asks for a token that writes: what is printed says what works.
    let (_, sentence) = cli.refused("POST", "/databases/app/auth/tokens?expiration=2d", Some(json!({})));
    insta::assert_snapshot!(redact::plain(&sentence), @"as a viewer you may not create database tokens that write: create a read-only one (--read-only), and open the database by its URL with ?authToken=TOKEN");
    cli.own(
        "POST",
        "/databases/app/auth/tokens?authorization=read-only",
        Some(json!({})),
    );
    // Elsewhere the program prints the body of a 403.
    let (status, _) = cli.refused(
        "POST",
        "/members",
        Some(json!({ "username": "vera", "role": "member" })),
    );
    assert_eq!(status, 403);
}

#[test]
fn token_of_an_organization_implies_it_in_paths_without_one() {
    let world = World::new();
    let mut cli = logged_in(&world);
    cli.ok("POST", "/v1/organizations", Some(json!({ "name": "team" })));
    let body = json!({ "organization": "team" });
    let bound = cli.ok("POST", "/v2/auth/api-tokens/bound", Some(body))["token"]["value"].clone();
    let owner = std::mem::replace(&mut cli.token, bound.as_str().unwrap().to_owned());
    cli.own("POST", "/groups", Some(json!({ "Name": "g", "Location": "local" })));
    let made = cli.own("POST", "/databases", Some(json!({ "name": "app" })));
    assert!(made["database"]["Hostname"].as_str().unwrap().ends_with("/db/app-team"));
    assert_eq!(cli.own("GET", "/databases", None)["databases"][0]["Name"], "app");
    assert_eq!(cli.own("GET", "/members", None)["members"][0]["username"], "alice");
    has(&cli.ok("GET", "/v2/locations", None)["locations"]["local"], &["local"]);
    assert_eq!(cli.refused("GET", "/../v1/organizations/alice/databases", None).0, 404);
    cli.token = owner;
    assert_eq!(cli.own("GET", "/databases", None)["databases"], json!([]));
}

#[test]
fn group_token_with_full_access_lists_all_scopes() {
    let world = World::new();
    let cli = logged_in(&world);
    let all = [
        "read",
        "db:create",
        "db:delete",
        "db:configure",
        "db:mint-token",
        "db:rotate-creds",
        "group:configure",
        "group:mint-token",
        "group:rotate-creds",
    ];
    let body = json!({ "organization": "alice", "group": "default", "scopes": ["full-access"] });
    let minted = cli.ok("POST", "/v2/auth/api-tokens/full", Some(body))["token"].clone();
    assert_eq!(minted["scopes"], json!(all));
    cli.ok("POST", "/v2/auth/api-tokens/plain", None);
    let listed = cli.ok("GET", "/v1/auth/api-tokens", None)["tokens"].clone();
    for (name, scopes) in [("full", json!(all)), ("plain", json!([]))] {
        let token = listed
            .as_array()
            .unwrap()
            .iter()
            .find(|token| token["name"] == name)
            .unwrap();
        assert_eq!(token["scopes"], scopes, "{name}");
    }
}

#[test]
fn turso_cli_names_that_are_not_allowed_are_refused_with_the_rule() {
    let world = World::new();
    let cli = logged_in(&world);
    cli.own("POST", "/databases", Some(json!({ "name": "app" })));
    for (path, body) in [
        ("/databases", json!({ "name": "My App" })),
        ("/databases", json!({ "name": "" })),
        ("/databases", json!({ "name": "x".repeat(65) })),
        ("/databases", json!({ "name": "ok", "group": "Bad Group" })),
        ("/databases", json!({ "name": "ok", "location": "A!" })),
        ("/databases/app/rename", json!({ "name": "-app" })),
        ("/databases/app/transfer", json!({ "org": "No Such" })),
        ("/databases/app/instances", json!({ "Location": "LHR!" })),
        ("/groups", json!({ "Name": "Bad", "Location": "local" })),
        ("/groups", json!({ "Name": "g", "Location": "Lo Cal" })),
        ("/groups/default/rename", json!({ "Name": "con" })),
        ("/groups/default/transfer", json!({ "organization": "é" })),
        ("/members", json!({ "username": "Bad Name" })),
    ] {
        let text = body.to_string();
        let (status, told) = cli.send("POST", &format!("/v1{path}"), Some(&text));
        assert_eq!(
            (status, &told["code"]),
            (400, &json!("invalid_name")),
            "{path} {text}: {told}"
        );
        let hint = told["hint"].as_str().unwrap();
        assert!(hint.contains("1 to 64 of a-z, 0-9 and -"), "{path} {text}: {told}");
    }
    let accept = json!({ "invitation": "x", "username": "Bad Name" }).to_string();
    let (status, told) = cli.send("POST", "/v1/invitations/accept", Some(&accept));
    assert_eq!((status, &told["code"]), (400, &json!("invalid_name")), "{told}");
    let token = json!({ "organization": "A B" }).to_string();
    let (status, told) = cli.send("POST", "/v2/auth/api-tokens/x", Some(&token));
    assert_eq!((status, &told["code"]), (400, &json!("invalid_name")), "{told}");
}
