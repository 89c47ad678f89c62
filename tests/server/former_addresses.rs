//! Addresses of databases that were renamed, or moved to another organization.

use crate::support::World;
use crate::support::hrana;
use crate::support::server::Server;
use serde_json::{Value, json};

fn token(server: &Server, path: &str) -> String {
    let minted = server.ok("POST", path, None);
    minted["jwt"].as_str().unwrap().to_owned()
}

fn run(server: &Server, label: &str, token: &str, sql: &str) -> Result<Vec<Value>, String> {
    let request = Server::client().post(format!("{}db/{label}/v2/pipeline", server.url()));
    hrana::execute(request.bearer_auth(token), [sql])
}

#[test]
fn renamed_database_is_reached_by_its_former_address() {
    let world = World::new();
    let server = Server::start(&world, &["--owner", "alice", "--locations", "ams,lhr"]);
    server.ok("POST", "/v1/databases", Some(json!({ "name": "app" })));
    server.ok(
        "POST",
        "/v1/databases/app/instances",
        Some(json!({ "location": "lhr" })),
    );
    let jwt = token(&server, "/v1/databases/app/auth/tokens");
    run(&server, "app-alice", &jwt, "create table t (x)").unwrap();
    server.ok("POST", "/v1/databases/app/rename", Some(json!({ "name": "shop" })));
    server.ok("POST", "/v1/databases/shop/rename", Some(json!({ "name": "store" })));
    for label in ["app-alice", "shop-alice", "store-alice"] {
        run(&server, label, &jwt, "insert into t values (1)").unwrap();
        run(&server, &format!("{label}--lhr"), &jwt, "select count(*) from t").unwrap();
    }
    assert!(
        run(&server, "app-alice--iad", &jwt, "select 1")
            .unwrap_err()
            .contains("UNAUTHORIZED")
    );

    // Also after a start.
    let owner = server.token.clone();
    server.end(nix::sys::signal::Signal::SIGTERM);
    let mut server = Server::start(&world, &[]);
    server.token = owner;
    server.wait_ready();
    run(&server, "app-alice", &jwt, "insert into t values (1)").unwrap();

    // A database that is made there has the address at once.
    server.ok("POST", "/v1/databases", Some(json!({ "name": "app" })));
    let refused = run(&server, "app-alice", &jwt, "select 1").unwrap_err();
    assert!(refused.contains("opens no database"), "{refused}");
    let own = token(&server, "/v1/databases/app/auth/tokens");
    run(&server, "app-alice", &own, "create table other (x)").unwrap();
    server.ok("DELETE", "/v1/databases/store", None);
    assert!(
        run(&server, "shop-alice", &jwt, "select 1")
            .unwrap_err()
            .contains("DATABASE_NOT_FOUND")
    );
}

#[test]
fn moved_database_says_at_its_former_address_where_it_is() {
    let world = World::new();
    let server = Server::start(&world, &["--owner", "alice", "--locations", "ams"]);
    server.ok("POST", "/v1/organizations", Some(json!({ "name": "team" })));
    server.ok("POST", "/v1/organizations", Some(json!({ "name": "other" })));
    for organization in ["alice", "other"] {
        server.ok(
            "POST",
            &format!("/v1/organizations/{organization}/databases"),
            Some(json!({ "name": "app" })),
        );
    }
    let jwt = token(&server, "/v1/databases/app/auth/tokens");
    let foreign = token(&server, "/v1/organizations/other/databases/app/auth/tokens");
    server.ok("POST", "/v1/databases/app/transfer", Some(json!({ "org": "team" })));
    let refused = run(&server, "app-alice", &jwt, "select 1").unwrap_err();
    let now = format!("{}db/app-team/", server.url());
    assert!(
        refused.contains("DATABASE_MOVED") && refused.contains(&now),
        "{refused}"
    );
    // That is nobody else's to know.
    for (token, code) in [(foreign.as_str(), "UNAUTHORIZED"), ("nonsense", "UNAUTHORIZED")] {
        let refused = run(&server, "app-alice", token, "select 1").unwrap_err();
        assert!(refused.contains(code) && !refused.contains("team"), "{refused}");
    }
    let jwt = token(&server, "/v1/organizations/team/databases/app/auth/tokens");
    run(&server, "app-team", &jwt, "select 1").unwrap();
}
